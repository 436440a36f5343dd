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

#define OUR_TYPE "eniway" // as `type` and `ipam.type` name us
#define DEFAULT_SOCKET "/run/eniway/cni.sock"
#define SUPPORTED_VERSIONS "\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\""
#define NEWEST_VERSION "1.1.0"

enum {
  BYTES_MAX = 1 << 20,  // of stdin, of the call as JSON, and of the answer
  HEAD_BYTES_MAX = 512, // of our request's head
  TIMEOUT_SECONDS_DEFAULT = 60,
  TIMEOUT_SECONDS_MAX = 600,
  STATUS_MS_MAX = 5000,  // the runtime asks every few seconds and waits for the answer
  VERSION_MS_MAX = 1000, // after that we know the answer ourselves
  VERSION_STDIN_MS = 100 // VERSION needs no stdin, and some callers leave it open
};

// The codes of the CNI specification that can come from here.
enum { BAD_ENVIRONMENT = 4, IO = 5, DECODING = 6, BAD_CONFIG = 7, LATER = 11, UNAVAILABLE = 50 };

// A buffer of fixed size; what does not fit is dropped and remembered in is_cut.
struct text {
  char *bytes;
  size_t length, limit;
  bool is_cut;
};

// Keys of our own; a text is empty when it is not usable.
struct own_keys {
  char type[32], socket[sizeof((struct sockaddr_un *)0)->sun_path];
  long timeout_seconds;
  bool has_socket;
};

// The few keys of the network configuration we need. Ours are in `ipam` when another plugin calls
// us for addresses, else beside it.
struct config {
  char version[32];
  struct own_keys outer, ipam, *own;
  bool is_object;
};

// Never written pages cost nothing. The last byte of stdin and answer stays zero, to end the text.
static char stdin_bytes[BYTES_MAX + 2], call_bytes[HEAD_BYTES_MAX + BYTES_MAX];
static char answer_bytes[BYTES_MAX + 1];
static struct text input = {stdin_bytes, 0, BYTES_MAX + 1, false};
static struct text body = {call_bytes + HEAD_BYTES_MAX, 0, BYTES_MAX, false};
static struct text answer = {answer_bytes, 0, BYTES_MAX, false};
static struct config config = {.outer.timeout_seconds = TIMEOUT_SECONDS_DEFAULT,
                               .own = &config.outer};
static const char *command = "";
static char reason[512]; // why the daemon did not answer
static long started_ms, deadline_ms;

static void append(struct text *text, const char *bytes, size_t length) {
  if (length > text->limit - text->length) {
    text->is_cut = true;
    return;
  }
  memcpy(text->bytes + text->length, bytes, length);
  text->length += length;
}

static void append_string(struct text *text, const char *string) {
  append(text, string, strlen(string));
}

// Bytes that are not UTF-8 pass unchanged: the daemon's decoder replaces them.
static void append_json(struct text *text, const char *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  append(text, "\"", 1);
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    char escaped[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    if (byte == '"' || byte == '\\') append(text, (char[]){'\\', (char)byte}, 2);
    else if (byte < 0x20) append(text, escaped, sizeof escaped);
    else append(text, bytes + i, 1);
  }
  append(text, "\"", 1);
}

static long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *variable(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static int left_ms(void) {
  long left = deadline_ms - now_ms();
  return left > 0 ? (int)left : 0;
}

// Waits until the descriptor is ready, at most that long; false when the time is over.
static bool wait_for(int fd, short events, int ms) {
  struct pollfd entry = {fd, events, 0};
  int ready = poll(&entry, 1, ms);
  return ready > 0 || (ready < 0 && errno == EINTR && left_ms() > 0);
}

static int finish(const char *bytes, size_t length, int exit_code) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN && wait_for(STDOUT_FILENO, POLLOUT, left_ms())) continue;
    if (written < 0) {
      dprintf(STDERR_FILENO, "eniway: cannot write the answer to stdout: %s\n", strerror(errno));
      return 1;
    }
    bytes += written;
    length -= (size_t)written;
  }
  return exit_code;
}

static const char *answer_version(void) {
  char quoted[sizeof config.version + 2];
  if (config.is_object && config.version[0] == 0) return "0.1.0";
  snprintf(quoted, sizeof quoted, "\"%s\"", config.version);
  return strstr(SUPPORTED_VERSIONS, quoted) ? config.version : NEWEST_VERSION;
}

// Prints the error object of the specification and returns the exit code.
__attribute__((format(printf, 2, 3))) static int fail(int code, const char *format, ...) {
  char message[PATH_MAX + 1024], head[128];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  struct text error = {answer_bytes, 0, BYTES_MAX, false};
  snprintf(head, sizeof head, "{\"cniVersion\":\"%s\",\"code\":%d,\"msg\":", answer_version(),
           code);
  append_string(&error, head);
  append_json(&error, message, strlen(message));
  append_string(&error, "}\n");
  return finish(error.bytes, error.length, 1);
}

// The scanner of the configuration. The text ends in a zero, which is never part of valid JSON.
static const char *at = stdin_bytes;

static void skip_space(void) { at += strspn(at, " \t\r\n"); }

static bool take(char wanted) { return *at == wanted ? (at++, true) : false; }
// The four digits of a \u escape; -1 when they are not.
static int take_hex(void) {
  int value = 0;
  for (int i = 0; i < 4; i++, at++) {
    int digit = tolower((unsigned char)*at);
    if (!isxdigit(digit)) return -1;
    value = value * 16 + (isdigit(digit) ? digit - '0' : digit - 'a' + 10);
  }
  return value;
}

// What follows a backslash as one character, 0 when it is \u beyond ASCII, -1 when it is no escape.
static int take_escape(void) {
  static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  const char *known = *at ? strchr(plain, *at) : NULL;
  if (known) return at++, meant[known - plain];
  int value = take('u') ? take_hex() : -1;
  return value < 0x80 ? value : 0;
}

// Decodes the rest of a string whose opening quote is taken. Escapes beyond ASCII count as cut: no
// key or value we need has them, and the daemon reads the text itself.
static bool take_string(struct text *out) {
  while (*at != '"') {
    if (!*at) return false;
    int byte = *at++;
    if (byte == '\\' && (byte = take_escape()) < 0) return false;
    if (byte == 0) out->is_cut = true;
    append(out, &(char){(char)byte}, 1);
  }
  return take('"');
}

// Skips any value. Nesting is counted, not checked: the daemon parses the text again.
static bool skip_value(void) {
  struct text nowhere = {0};
  const char *start = at;
  for (int depth = 0; *at;) {
    if (depth == 0 && strchr(",}] \t\r\n", *at)) return at > start;
    char byte = *at++;
    if (byte == '"' && !take_string(&nowhere)) return false;
    if (byte == '{' || byte == '[') depth++;
    if (byte == '}' || byte == ']') depth--;
    if (depth == 0 && strchr("\"}]", byte)) return true;
  }
  return false;
}

// The string at this place as a C string; empty when it is another type or had to be cut.
static bool take_text(char *bytes, size_t size) {
  struct text out = {bytes, 0, size - 1, false};
  bytes[0] = 0;
  if (!take('"')) return skip_value();
  if (!take_string(&out)) return false;
  bytes[out.is_cut ? 0 : out.length] = 0;
  return true;
}

static bool take_timeout(struct own_keys *keys) {
  char *end;
  long value = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : 0;
  bool is_whole = value >= 1 && value <= TIMEOUT_SECONDS_MAX && strchr(",} \t\r\n", *end);
  keys->timeout_seconds = is_whole ? value : TIMEOUT_SECONDS_DEFAULT;
  return skip_value();
}

static bool take_object(struct own_keys *keys);

static bool take_ipam(void) {
  config.ipam = (struct own_keys){.timeout_seconds = TIMEOUT_SECONDS_DEFAULT};
  return *at == '{' ? take_object(&config.ipam) : skip_value();
}

// Of equal keys the last one counts, as in the daemon's parser.
static bool take_member(struct own_keys *keys) {
  bool is_outer = keys == &config.outer;
  char key[32];
  if (*at != '"' || !take_text(key, sizeof key)) return false;
  skip_space();
  if (!take(':')) return false;
  skip_space();
  keys->has_socket |= !strcmp(key, "socket");
  if (!strcmp(key, "socket")) return take_text(keys->socket, sizeof keys->socket);
  if (!strcmp(key, "type")) return take_text(keys->type, sizeof keys->type);
  if (!strcmp(key, "timeoutSeconds")) return take_timeout(keys);
  if (is_outer && !strcmp(key, "cniVersion"))
    return take_text(config.version, sizeof config.version);
  return is_outer && !strcmp(key, "ipam") ? take_ipam() : skip_value();
}

static bool take_object(struct own_keys *keys) {
  if (!take('{')) return false;
  for (skip_space(); *at != '}'; skip_space()) {
    if (!take_member(keys)) return false;
    skip_space();
    // A comma before the closing brace is let through; the daemon refuses it.
    if (!take(',') && *at != '}') return false;
  }
  return take('}');
}

static bool is_config_object(void) {
  skip_space();
  if (!take_object(&config.outer)) return false;
  skip_space();
  return at == input.bytes + input.length;
}

static void read_config(void) {
  config.is_object = is_config_object();
  bool is_delegated = strcmp(config.outer.type, OUR_TYPE) && !strcmp(config.ipam.type, OUR_TYPE);
  config.own = is_delegated ? &config.ipam : &config.outer;
  if (!config.own->has_socket) strcpy(config.own->socket, DEFAULT_SOCKET);
  long ms = config.own->timeout_seconds * 1000, ms_max = ms;
  if (!strcmp(command, "STATUS")) ms_max = STATUS_MS_MAX;
  if (!strcmp(command, "VERSION")) ms_max = VERSION_MS_MAX;
  deadline_ms = started_ms + (ms < ms_max ? ms : ms_max);
}

// Reads stdin to its end; the answer is an errno, 0 for success.
static int read_stdin(void) {
  bool is_version = !strcmp(command, "VERSION");
  if (is_version && isatty(STDIN_FILENO)) return 0;
  while (input.length < input.limit) {
    int patience_ms = is_version ? VERSION_STDIN_MS : left_ms();
    if (!wait_for(STDIN_FILENO, POLLIN, patience_ms)) return is_version ? 0 : ETIMEDOUT;
    ssize_t count = read(STDIN_FILENO, input.bytes + input.length, input.limit - input.length);
    if (count == 0) return 0;
    if (count < 0 && errno != EINTR && errno != EAGAIN) return is_version ? 0 : errno;
    if (count > 0) input.length += (size_t)count;
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
  for (char **variable = environ; *variable; variable++) {
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
  strcpy(address.sun_path, config.own->socket);
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
    else if (!wait_for(fd, POLLOUT, left_ms())) return too_late();
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
    if (!wait_for(fd, POLLIN, left_ms())) return too_late();
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
  char text[256], *asked = config.version;
  bool is_readable = *asked && asked[strspn(asked, "0123456789.")] == 0;
  int length = snprintf(text, sizeof text, "{\"cniVersion\":\"%s\",\"supportedVersions\":[%s]}\n",
                        is_readable ? asked : NEWEST_VERSION, SUPPORTED_VERSIONS);
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
  char directory[sizeof config.own->socket + 16], name[NAME_MAX], unfinished[NAME_MAX];
  int parent = (int)(strrchr(config.own->socket, '/') - config.own->socket);
  snprintf(directory, sizeof directory, "%.*s", parent, config.own->socket);
  mkdir(directory, 0755);
  snprintf(directory, sizeof directory, "%.*s/pending-del", parent, config.own->socket);
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
              "does not answer on %s: %s", directory, why, config.own->socket, reason);
}

static int delete_later(void) {
  const char *container = variable("CNI_CONTAINERID"), *interface = variable("CNI_IFNAME");
  bool is_short = strlen(container) + strlen(interface) <= NAME_MAX - 16;
  if (!*container || !*interface || !is_short || strchr(container, '/') || strchr(interface, '/'))
    return fail(BAD_ENVIRONMENT, "DEL needs CNI_CONTAINERID and CNI_IFNAME, not empty and without "
                "slashes; they are \"%s\" and \"%s\"", container, interface);
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
              "node, kubelet will retry", config.own->socket, reason);
}

static int run_cli(char **arguments) {
  char path[PATH_MAX + 16];
  ssize_t length = readlink("/proc/self/exe", path, PATH_MAX);
  path[length > 0 ? length : 0] = 0;
  char *slash = strrchr(path, '/');
  strcpy(slash ? slash + 1 : path, "eniway-cli");
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

// A closed descriptor would be reused by the socket, and the answer sent back to the daemon. Opened
// the wrong way round, reading and writing fail as they should.
static void guard_descriptors(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int count, char **arguments) {
  started_ms = now_ms();
  deadline_ms = started_ms + TIMEOUT_SECONDS_DEFAULT * 1000;
  guard_descriptors();
  command = variable("CNI_COMMAND");
  if (!*command) return count > 1 ? run_cli(arguments) : print_about();
  signal(SIGPIPE, SIG_IGN);
  int error = read_stdin();
  if (error == 0) {
    read_config();
    write_body();
  }
  if (error == EFBIG || body.is_cut)
    return fail(IO, "the network configuration on stdin is too large: with the environment it may "
                "have at most 1 MiB as JSON");
  if (error) return fail(IO, "cannot read the configuration from stdin: %s", strerror(error));
  if (config.own->socket[0] != '/' && strcmp(command, "VERSION"))
    return fail(BAD_CONFIG, "socket in the network configuration is not usable; it must be an "
                "absolute path of at most %zu bytes", sizeof config.own->socket - 1);
  int exit_code = 1;
  return ask_daemon(&exit_code) ? exit_code : without_daemon();
}
