/* The measuring hand of the benchmark, static and small: Node takes milliseconds to start a child,
 * and a child's reported memory never falls below that of the process that started it (the kernel's
 * fs/exec.c keeps the high-water mark of the memory left behind by exec).
 *
 *   harness run FILE [AT_ONCE]           runs the commands of the file, timing each
 *   harness trace FILE                   runs them and reads their memory exactly; untimed
 *   harness echo PORT                    answers UDP datagrams
 *   harness ping ADDRESS PORT COUNT      prints nanoseconds of COUNT UDP round trips
 *   harness ready ADDRESS PORT PATH MS   waits until HTTP answers 200, prints the monotonic clock
 *
 * A line of FILE, words separated by tabs:
 *   namespace stdin stdout NAME=VALUE ... -- program argument ...
 * Entering the namespace and opening the files are not timed. Printed for each command:
 *   run INDEX EXIT-CODE WALL-NS CPU-US RSS-KIB
 * and with AT_ONCE, where that many are started at once and awaited together, also:
 *   batch WALL-NS
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { words_max = 64, at_once_max = 64, datagram_bytes = 32, reply_bytes = 512 };

typedef struct {
  char *line;
  size_t line_bytes;
  char *words[words_max + 1];
  char **environment;
  char **arguments;
  int input;
  int output;
  pid_t pid;
  long long started_ns;
} command;

static void fail(const char *what, const char *which) {
  fprintf(stderr, "harness: %s %s: %s\n", what, which, strerror(errno));
  exit(1);
}

static long long now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void enter(const char *namespace_path) {
  int fd = open(namespace_path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) fail("cannot enter namespace", namespace_path);
  close(fd);
}

/* Cuts the line at its tabs. What is before "--" becomes the environment, the rest the program. */
static void cut(command *it) {
  int count = 0;
  for (char *at = it->line, *word; (word = strsep(&at, "\t\n")) != NULL;) {
    if (*word == '\0') continue;
    if (count == words_max) errno = E2BIG, fail("too many words in", it->words[0]);
    it->words[count++] = word;
  }
  it->words[count] = NULL;
  it->environment = it->words + 3;
  for (int i = 3; i < count; i++) {
    if (strcmp(it->words[i], "--") != 0) continue;
    it->words[i] = NULL;
    it->arguments = it->words + i + 1;
    return;
  }
  errno = EINVAL;
  fail("no program in the line of", it->line);
}

static int read_command(FILE *file, command *it) {
  if (getline(&it->line, &it->line_bytes, file) < 0) return 0;
  cut(it);
  enter(it->words[0]);
  it->input = open(it->words[1], O_RDONLY | O_CLOEXEC);
  if (it->input < 0) fail("cannot read", it->words[1]);
  it->output = open(it->words[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (it->output < 0) fail("cannot write", it->words[2]);
  return 1;
}

static void start(command *it, int is_traced) {
  it->started_ns = now_ns();
  it->pid = vfork();
  if (it->pid < 0) fail("cannot start", it->arguments[0]);
  if (it->pid > 0) return;
  dup2(it->input, 0);
  dup2(it->output, 1);
  if (is_traced) ptrace(PTRACE_TRACEME, 0, NULL, NULL);
  execve(it->arguments[0], it->arguments, it->environment);
  _exit(127);
}

static long long micros(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }

/* Waits for any of the commands and prints what it took, children that it waited for included. */
static void await_one(command *commands, int count, int first_index) {
  int status;
  struct rusage usage;
  pid_t pid = wait4(-1, &status, 0, &usage);
  long long ended_ns = now_ns();
  for (int i = 0; i < count; i++) {
    if (commands[i].pid != pid) continue;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    printf("run %d %d %lld %lld %ld\n", first_index + i, code, ended_ns - commands[i].started_ns,
           micros(usage.ru_utime) + micros(usage.ru_stime), usage.ru_maxrss);
    close(commands[i].input);
    close(commands[i].output);
  }
}

static void run_all(const char *path, int at_once) {
  static command commands[at_once_max];
  FILE *file = fopen(path, "re");
  if (file == NULL) fail("cannot read", path);
  if (at_once < 1 || at_once > at_once_max) errno = ERANGE, fail("cannot start", "that many");
  for (int index = 0, count = at_once; count == at_once; index += count) {
    for (count = 0; count < at_once && read_command(file, &commands[count]);) count++;
    if (count == 0) break;
    long long started_ns = now_ns();
    for (int i = 0; i < count; i++) start(&commands[i], 0);
    for (int i = 0; i < count; i++) await_one(commands, count, index);
    if (at_once > 1) printf("batch %lld\n", now_ns() - started_ns);
  }
}

/* Walks the page tables, unlike the counters behind ru_maxrss, which wait for 32 pages and more on
 * each processor before they count (kernel/fork.c, lib/percpu_counter.c): a small static program
 * would seem to use none. */
static long resident_kib(pid_t pid) {
  char path[64], line[256];
  long kib = 0;
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  while (kib == 0 && fgets(line, sizeof line, file) != NULL) sscanf(line, "Rss: %ld", &kib);
  fclose(file);
  return kib;
}

static int is_exit_stop(int status) { return status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8)); }

/* Stops at the exit of the first thread, when all that was touched is still there. */
static void trace_one(command *it, int index) {
  int status, stops = 0;
  long kib = 0;
  struct rusage usage;
  while (wait4(it->pid, &status, 0, &usage) == it->pid && WIFSTOPPED(status)) {
    int signal_number = WSTOPSIG(status);
    if (is_exit_stop(status)) kib = resident_kib(it->pid);
    if (stops++ == 0) ptrace(PTRACE_SETOPTIONS, it->pid, NULL, PTRACE_O_TRACEEXIT);
    if (signal_number == SIGTRAP) signal_number = 0;
    ptrace(PTRACE_CONT, it->pid, NULL, signal_number);
  }
  if (usage.ru_maxrss > kib) kib = usage.ru_maxrss;
  printf("run %d %d 0 0 %ld\n", index, WIFEXITED(status) ? WEXITSTATUS(status) : 128, kib);
  close(it->input);
  close(it->output);
}

static void trace_all(const char *path) {
  static command it;
  FILE *file = fopen(path, "re");
  if (file == NULL) fail("cannot read", path);
  for (int index = 0; read_command(file, &it); index++) {
    start(&it, 1);
    trace_one(&it, index);
  }
}

static struct sockaddr_in address_of(const char *ip, const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) errno = EINVAL, fail("not an address:", ip);
  return address;
}

/* Both ends of a round trip share one processor: waking an idle one costs several times more than
 * the path that is to be measured, and varies with the neighbours on the machine. */
static void stay_on_first_processor(void) {
  cpu_set_t allowed, one;
  CPU_ZERO(&one);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) fail("cannot read", "affinity");
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_SET(cpu, &one);
    break;
  }
  if (sched_setaffinity(0, sizeof one, &one) != 0) fail("cannot set", "affinity");
}

/* Ends with the process that started it, however that ends. */
static void echo(const char *port) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  stay_on_first_processor();
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = address_of("0.0.0.0", port);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("cannot bind port", port);
  puts("listening");
  fflush(stdout);
  for (;;) {
    char data[datagram_bytes];
    socklen_t length = sizeof address;
    ssize_t size = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&address, &length);
    if (size > 0) sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&address, length);
  }
}

/* A lost datagram is counted as such: it prints "lost", and the next one is sent. */
static void ping(const char *ip, const char *port, int count) {
  stay_on_first_processor();
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = address_of(ip, port);
  struct timeval second = {.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("cannot reach", ip);
  for (int i = 0; i < count; i++) {
    char data[datagram_bytes] = {0}, answer[datagram_bytes];
    memcpy(data, &i, sizeof i);
    long long sent_ns = now_ns();
    ssize_t size = send(fd, data, sizeof data, 0);
    do {
      if (size >= 0) size = recv(fd, answer, sizeof answer, 0);
    } while (size > 0 && memcmp(data, answer, sizeof i) != 0);
    if (size > 0) printf("%lld\n", now_ns() - sent_ns);
    else puts("lost");
  }
}

static int is_ready(const struct sockaddr_in *address, const char *path) {
  char text[reply_bytes];
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  ssize_t size = -1;
  if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: node\r\n\r\n", path);
    if (write(fd, text, (size_t)length) == length) size = read(fd, text, sizeof text - 1);
  }
  close(fd);
  if (size <= 0) return 0;
  text[size] = '\0';
  return strncmp(text, "HTTP/1.", 7) == 0 && strstr(text, " 200 ") != NULL;
}

static int ready(char **arguments) {
  struct sockaddr_in address = address_of(arguments[0], arguments[1]);
  long long deadline_ns = now_ns() + atoll(arguments[3]) * 1000000LL;
  while (now_ns() < deadline_ns) {
    if (is_ready(&address, arguments[2])) return printf("%lld\n", now_ns()) < 0;
    usleep(500);
  }
  fprintf(stderr, "harness: %s does not answer 200 within %s ms\n", arguments[2], arguments[3]);
  return 1;
}

int main(int count, char **arguments) {
  const char *verb = count > 2 ? arguments[1] : "";
  if (strcmp(verb, "run") == 0) run_all(arguments[2], count > 3 ? atoi(arguments[3]) : 1);
  else if (strcmp(verb, "trace") == 0) trace_all(arguments[2]);
  else if (strcmp(verb, "echo") == 0) echo(arguments[2]);
  else if (strcmp(verb, "ping") == 0 && count == 5)
    ping(arguments[2], arguments[3], atoi(arguments[4]));
  else if (strcmp(verb, "ready") == 0 && count == 6) return ready(arguments + 2);
  else return fputs("harness: see the head of harness.c for its verbs\n", stderr), 2;
  return 0;
}
