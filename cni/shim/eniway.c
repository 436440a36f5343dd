// The executable that container runtimes call. It forwards one CNI invocation (CNI_* variables and
// stdin) to the node daemon over its unix socket and prints the answer; all that thinks is in the
// daemon. Only what must work without a daemon is here: an error that says so, VERSION, and keeping
// a DEL for later. The other side of the wire, and its description, is plugin/wire.ts.

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "config.h"
#include "text.h"

#define SUPPORTED_VERSIONS "\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\""
#define NEWEST_VERSION "1.1.0"

// Of stdin, of the call as JSON, and of the answer. Fuzzing comes near a smaller one more often.
#ifndef BYTES_MAX
#define BYTES_MAX (1 << 20)
#endif

enum {
  HEAD_BYTES_MAX = 512,   // of our request's head
  MESSAGE_BYTES_MAX = PATH_MAX + 1024,
  STATUS_MS_MAX = 5000,   // the runtime asks every few seconds and waits for the answer
  VERSION_MS_MAX = 1000,  // after that we know the answer ourselves
  VERSION_STDIN_MS = 100, // VERSION needs no stdin, and some callers leave it open
  STDOUT_MS_MAX = 10000   // for a reader that stopped in the middle of an answer
};

// The codes of the CNI specification that can come from here.
enum { BAD_ENVIRONMENT = 4, IO = 5, DECODING = 6, BAD_CONFIG = 7, LATER = 11, UNAVAILABLE = 50 };

// Never written pages cost nothing. The last byte of stdin and answer stays zero, to end the text.
static char stdin_bytes[BYTES_MAX + 2], call_bytes[HEAD_BYTES_MAX + BYTES_MAX];
static char answer_bytes[BYTES_MAX + 1];
static char error_bytes[6 * MESSAGE_BYTES_MAX + 128]; // an escape has six characters
static struct text input = {stdin_bytes, 0, BYTES_MAX + 1, false};
static struct text body = {call_bytes + HEAD_BYTES_MAX, 0, BYTES_MAX, false};
static struct text answer = {answer_bytes, 0, BYTES_MAX, false};
static struct config config = {.timeout_seconds = TIMEOUT_SECONDS_DEFAULT};
static const char *command = "";
static char reason[512]; // why the daemon did not answer
static long started_ms, deadline_ms;

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

// Waits until the descriptor is ready. False from that moment on, ready or not: nobody can hold us
// by sending a byte now and then.
static bool wait_until(long moment_ms, int fd, short events) {
  struct pollfd entry = {fd, events, 0};
  for (long left; (left = moment_ms - now_ms()) > 0;) {
    int ready = poll(&entry, 1, (int)left);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
  errno = ETIMEDOUT;
  return false;
}

static int finish(const char *bytes, size_t length, int exit_code) {
  long moment_ms = now_ms() + STDOUT_MS_MAX;
  while (length > 0) {
    // A pipe that is ready takes that much without blocking.
    size_t piece = length < PIPE_BUF ? length : PIPE_BUF;
    bool is_ready = wait_until(moment_ms, STDOUT_FILENO, POLLOUT);
    ssize_t written = is_ready ? write(STDOUT_FILENO, bytes, piece) : -1;
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (written < 0) {
      dprintf(STDERR_FILENO, "eniway: cannot write the answer to stdout: %s\n", strerror(errno));
      return 1;
    }
    bytes += written;
    length -= (size_t)written;
  }
  return exit_code;
}

// Others could end the JSON string they are printed in.
static bool is_version_plain(void) {
  return *config.version && config.version[strspn(config.version, "0123456789.")] == 0;
}

static const char *answer_version(void) {
  char quoted[sizeof config.version + 2];
  if (config.is_object && config.version[0] == 0) return "0.1.0";
  snprintf(quoted, sizeof quoted, "\"%s\"", config.version);
  bool is_known = is_version_plain() && strstr(SUPPORTED_VERSIONS, quoted);
  return is_known ? config.version : NEWEST_VERSION;
}

// Prints the error object of the specification and returns the exit code.
__attribute__((format(printf, 2, 3))) static int fail(int code, const char *format, ...) {
  char message[MESSAGE_BYTES_MAX], head[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  struct text error = {error_bytes, 0, sizeof error_bytes, false};
  snprintf(head, sizeof head, "{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":", answer_version(),
           code);
  append_string(&error, head);
  append_json(&error, message, strlen(message));
  append_string(&error, "}\n");
  return finish(error.bytes, error.length, 1);
}

static void set_deadline(void) {
  long ms = config.timeout_seconds * 1000, ms_max = ms;
  if (!strcmp(command, "STATUS")) ms_max = STATUS_MS_MAX;
  if (!strcmp(command, "VERSION")) ms_max = VERSION_MS_MAX;
  deadline_ms = started_ms + (ms < ms_max ? ms : ms_max);
}

// Reads stdin to its end; the answer is an errno, 0 for success.
static int read_stdin(void) {
  bool is_version = !strcmp(command, "VERSION");
  if (is_version && isatty(STDIN_FILENO)) return 0;
  long moment_ms = is_version ? started_ms + VERSION_STDIN_MS : deadline_ms;
  while (input.length < input.limit) {
    size_t room = input.limit - input.length;
    bool is_ready = wait_until(moment_ms, STDIN_FILENO, POLLIN);
    ssize_t count = is_ready ? read(STDIN_FILENO, input.bytes + input.length, room) : -1;
    if (count == 0) return 0;
    if (count > 0) input.length += (size_t)count;
    else if (errno != EINTR && errno != EAGAIN) return is_version ? 0 : errno;
  }
  return EFBIG;
}

static bool is_forwarded(const char *variable) {
  return !strncmp(variable, "CNI_", 4) || !strncmp(variable, "TRACEPARENT=", 12) ||
         !strncmp(variable, "TRACESTATE=", 11) || !strncmp(variable, "BAGGAGE=", 8);
}

static void write_body(void) {
  const char *separator = "";
  append_string(&body, "{\"environment\":{");
  char **variable = environ;
  while (*variable) variable++;
  // Backwards, because of equal names the first one counts in C and the last one in JSON.
  while (variable-- > environ) {
    const char *equals = strchr(*variable, '=');
    if (!equals || !is_forwarded(*variable)) continue;
    append_string(&body, separator);
    append_json(&body, *variable, (size_t)(equals - *variable));
    append_string(&body, ":");
    append_json(&body, equals + 1, strlen(equals + 1));
    separator = ",";
  }
  append_string(&body, "},\"stdin\":");
  append_json(&body, input.bytes, input.length);
  append_string(&body, "}");
}

static bool give_up(const char *what) {
  snprintf(reason, sizeof reason, "%s", what);
  reason[0] = (char)tolower((unsigned char)reason[0]);
  return false;
}

static bool too_late(void) {
  snprintf(reason, sizeof reason, "no answer within %ld s", (deadline_ms - started_ms) / 1000);
  return false;
}

// Not blocking: a daemon whose backlog is full will not answer soon either (EAGAIN).
static bool connect_daemon(int fd) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, config.socket);
  while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
    if (errno != EINTR) return give_up(strerror(errno));
  return true;
}

static bool send_call(int fd) {
  char head[HEAD_BYTES_MAX];
  int head_length = snprintf(head, sizeof head,
                             "POST /cni HTTP/1.1\r\nHost: eniway\r\nConnection: close\r\n"
                             "Content-Type: application/json\r\neniway-protocol: 1-1\r\n"
                             "Content-Length: %zu\r\n\r\n",
                             body.length);
  // The head goes in front of the body, so that one system call sends both.
  const char *next = memcpy(body.bytes - head_length, head, (size_t)head_length);
  const char *end = body.bytes + body.length;
  while (next < end) {
    ssize_t sent = send(fd, next, (size_t)(end - next), MSG_NOSIGNAL);
    if (sent > 0) next += sent;
    // It may have refused the call before reading all of it; then its answer is waiting.
    else if (errno == EPIPE || errno == ECONNRESET) return true;
    else if (errno != EAGAIN && errno != EINTR) return give_up(strerror(errno));
    else if (!wait_until(deadline_ms, fd, POLLOUT)) return too_late();
  }
  return true;
}

// The blank line after the head of the answer; NULL while it is not there.
static const char *head_end(void) { return memmem(answer.bytes, answer.length, "\r\n\r\n", 4); }

// The number in a header of the answer; -1 when there is none.
static long header(const char *name) {
  size_t length = strlen(name);
  const char *end = head_end(), *line = answer.bytes;
  while ((line = memchr(line, '\n', (size_t)(end - line)))) {
    line++;
    if (strncasecmp(line, name, length) || line[length] != ':') continue;
    const char *value = line + length + 1;
    value += strspn(value, " \t");
    return isdigit((unsigned char)*value) ? strtol(value, NULL, 10) : -1;
  }
  return -1;
}

static bool is_answer_complete(void) {
  const char *end = head_end();
  long length = end ? header("content-length") : -1;
  return length >= 0 && answer.bytes + answer.length - (end + 4) >= length;
}

static bool receive_answer(int fd) {
  while (!is_answer_complete()) {
    size_t room = answer.limit - answer.length;
    if (room == 0) return give_up("its answer is larger than 1 MiB");
    if (!wait_until(deadline_ms, fd, POLLIN)) return too_late();
    ssize_t count = recv(fd, answer.bytes + answer.length, room, 0);
    if (count > 0) answer.length += (size_t)count;
    else if (count == 0) return give_up("it closed the connection before its answer was complete");
    else if (errno != EAGAIN && errno != EINTR) return give_up(strerror(errno));
  }
  return true;
}

// Sends the call and prints the answer. False, with the reason, when there is no usable answer.
static bool ask_daemon(int *exit_code) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return give_up(strerror(errno));
  if (!connect_daemon(fd) || !send_call(fd) || !receive_answer(fd)) return false;
  const char *start = head_end() + 4;
  long code = header("eniway-exit-code");
  if (strncmp(answer.bytes, "HTTP/1.1 200 ", 13) || code < 0 || code > 255) {
    int line = (int)strcspn(start, "\r\n");
    snprintf(reason, sizeof reason, "it refused with %.12s, %.*s", answer.bytes, line, start);
    return false;
  }
  *exit_code = finish(start, (size_t)header("content-length"), (int)code);
  return true;
}

static int print_version(void) {
  char text[256];
  int length = snprintf(text, sizeof text, "{\"cniVersion\":\"%s\",\"supportedVersions\":[%s]}\n",
                        is_version_plain() ? config.version : NEWEST_VERSION, SUPPORTED_VERSIONS);
  return finish(text, (size_t)length, 0);
}

static bool write_durably(int directory, const char *name) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  for (size_t written = 0; written < body.length;) {
    ssize_t count = write(fd, body.bytes + written, body.length - written);
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) written += (size_t)count;
  }
  return fsync(fd) == 0 && close(fd) == 0;
}

// Beside the socket, see plugin/pending.ts. The directory of the socket may not exist yet: after a
// reboot the runtime deletes its old pods before our daemon has ever run.
static int keep_del(const char *container, const char *interface) {
  char directory[sizeof config.socket + 16], name[NAME_MAX], unfinished[NAME_MAX];
  int parent = (int)(strrchr(config.socket, '/') - config.socket);
  snprintf(directory, sizeof directory, "%.*s", parent, config.socket);
  mkdir(directory, 0755);
  snprintf(directory, sizeof directory, "%.*s/pending-del", parent, config.socket);
  mkdir(directory, 0700);
  // A repeated DEL replaces the one that waits. Neither part may hold a colon.
  snprintf(name, sizeof name, "%s:%s.json", container, interface);
  snprintf(unfinished, sizeof unfinished, ".%ld", (long)getpid());
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && write_durably(fd, unfinished) && !renameat(fd, unfinished, fd, name) && !fsync(fd))
    return 0;
  const char *why = strerror(errno);
  if (fd >= 0) unlinkat(fd, unfinished, 0);
  return fail(IO, "cannot keep this DEL in %s: %s; it would wait there because the eniway daemon "
              "does not answer on %s: %s", directory, why, config.socket, reason);
}

static int delete_later(void) {
  const char *container = variable("CNI_CONTAINERID"), *interface = variable("CNI_IFNAME");
  bool is_short = strlen(container) + strlen(interface) <= NAME_MAX - 16;
  // The daemon takes no file whose name begins with a dot.
  if (!*container || !*interface || !is_short || *container == '.' || strchr(container, '/') ||
      strchr(interface, '/'))
    return fail(BAD_ENVIRONMENT, "DEL needs CNI_CONTAINERID and CNI_IFNAME, not empty, without "
                "slashes and leading dot; they are \"%s\" and \"%s\"", container, interface);
  if (!config.is_object)
    return fail(DECODING, "the network configuration on stdin is not one JSON object");
  return keep_del(container, interface);
}

// A call that nobody could answer is told so at once; waiting for a daemon would not help. The
// order is the daemon's: variables before the configuration.
static int refuse_unreadable(void) {
  static const char *const needed[] = {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"};
  bool is_attachment = !strcmp(command, "ADD") || !strcmp(command, "CHECK");
  char missing[64] = "";
  for (int i = 0; is_attachment && i < 3; i++)
    if (!*variable(needed[i])) strcat(strcat(missing, " "), needed[i]);
  if (*missing)
    return fail(BAD_ENVIRONMENT, "missing environment variables for %s:%s; the runtime must set "
                "them", command, missing);
  return fail(DECODING, "the network configuration on stdin is not one JSON object");
}

static int without_daemon(void) {
  if (!strcmp(command, "VERSION")) return print_version();
  if (!strcmp(command, "DEL")) return delete_later();
  if (!config.is_object) return refuse_unreadable();
  return fail(!strcmp(command, "STATUS") ? UNAVAILABLE : LATER,
              "eniway daemon is not answering on %s: %s; check the eniway DaemonSet pod on this "
              "node, kubelet will retry", config.socket, reason);
}

static int run_cli(char **arguments) {
  char path[PATH_MAX + 16];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  // Without /proc it would be beside us in an image's root, and never in the working directory.
  if (length <= 0) path[0] = '/', length = 1;
  path[length] = 0;
  strcpy(strrchr(path, '/') + 1, "eniway-cli");
  execv(path, arguments);
  dprintf(STDERR_FILENO, "eniway: this is the CNI plugin; the command \"%s\" needs %s, which "
          "cannot be run: %s\n", arguments[1], path, strerror(errno));
  return 1;
}

static int print_about(void) {
  dprintf(STDERR_FILENO, "eniway: CNI plugin that gives pods addresses of the cloud's own network; "
          "container runtimes call it.\nCNI versions: %s\n", SUPPORTED_VERSIONS);
  return 0;
}

// A closed descriptor would be reused by the socket, and the answer sent back to the daemon. The
// root is there where /dev/null is not, and a mere path can neither be read nor written.
static void guard_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/", O_PATH);
}

int main(int count, char **arguments) {
  started_ms = now_ms();
  command = variable("CNI_COMMAND");
  if (!*command) return count > 1 ? run_cli(arguments) : print_about();
  guard_descriptors();
  signal(SIGPIPE, SIG_IGN);
  set_deadline();
  int error = read_stdin();
  if (error == 0) {
    config = scan_config(input.bytes, input.length);
    set_deadline();
    write_body();
  }
  if (error == EFBIG || body.is_cut)
    return fail(IO, "the network configuration on stdin is too large: with the environment it may "
                "have at most 1 MiB as JSON");
  if (error) return fail(IO, "cannot read the configuration from stdin: %s", strerror(error));
  if (config.socket[0] != '/' && strcmp(command, "VERSION"))
    return fail(BAD_CONFIG, "socket in the network configuration is not usable; it must be an "
                "absolute path of at most %zu bytes", sizeof config.socket - 1);
  int exit_code = 1;
  return ask_daemon(&exit_code) ? exit_code : without_daemon();
}
