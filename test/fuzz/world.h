// The system calls of the executable, answered from one fuzz input: chunks, signals, errors and
// time are decided by the input's schedule, one byte per call. No real file or socket is touched.
//
// An input is text in four parts:
//
//   SCHEDULE            the first line; its first byte holds the flags below
//   NAME=VALUE          the environment, one variable per line
//   %%                  on a line of its own, then stdin
//   %%                  then what the daemon answers

#pragma once

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sanitizer/asan_interface.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// Small, so that a short answer takes several pieces.
#undef PIPE_BUF
#define PIPE_BUF 256

// Low bits of the first byte: '@' sets none of them.
enum {
  DAEMON_IS_SILENT = 1, // its connection stays open after the answer
  STDIN_STAYS_OPEN = 2,
  DAEMON_IS_DEAD = 4,
  STDOUT_IS_CLOSED = 8,
  DISK_IS_BAD = 16, // file calls fail as the schedule says
  HAS_ARGUMENT = 32
};

// Descriptors that no test process has open.
enum { DAEMON = 1000, DIRECTORY, FILE_BEGUN };

enum { VARIABLES_MAX = 64 };

struct bytes {
  char *start;
  size_t length;
};

struct world {
  const uint8_t *schedule, *schedule_end;
  int flags;
  char *environment[VARIABLES_MAX + 1];
  struct bytes given, answer;
  size_t given_read, answer_read;
  const char *stdin_end, *answer_end; // of the executable's buffers
  long ms, calls, calls_max;
  struct bytes printed, sent, file; // what the executable wrote where
  bool was_stdout_lost, is_synced, is_directory_synced;
  char file_name[NAME_MAX + 1], kept_name[NAME_MAX + 1], kept_in[PATH_MAX];
  char opened_directory[PATH_MAX];
};

static struct world world;

// A broken promise ends the process, as a broken memory access does.
static void require(bool is_kept, const char *promise) {
  if (is_kept) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  abort();
}

static int decide(void) {
  require(++world.calls <= world.calls_max, "it ends after a bounded number of system calls");
  world.ms++;
  return world.schedule < world.schedule_end ? *world.schedule++ : 0;
}

static void grow(struct bytes *bytes, const void *more, size_t length) {
  bytes->start = realloc(bytes->start, bytes->length + length + 1);
  memcpy(bytes->start + bytes->length, more, length);
  bytes->length += length;
  bytes->start[bytes->length] = 0;
}

static ssize_t refuse_call(int error) {
  errno = error;
  return -1;
}

// Bytes 1 to 199 cut a transfer to that many bytes, those from 200 to 224 make it fail.
static ssize_t transfer(size_t length, int error) {
  int way = decide();
  if (way >= 225 || length == 0) return (ssize_t)length;
  if (way >= 222) return refuse_call(error);
  if (way >= 220) return refuse_call(EIO);
  if (way >= 210) return refuse_call(EAGAIN);
  if (way >= 200) return refuse_call(EINTR);
  return (ssize_t)(way > 0 && (size_t)way < length ? (size_t)way : length);
}

// Only what has arrived may be looked at, and the zero behind it.
static ssize_t arrive(void *to, size_t room, struct bytes from, size_t *done) {
  size_t left = from.length - *done;
  ssize_t count = transfer(left < room ? left : room, ECONNRESET);
  if (count > 0) {
    ASAN_UNPOISON_MEMORY_REGION(to, (size_t)count + 1);
    memcpy(to, from.start + *done, (size_t)count);
    *done += (size_t)count;
  }
  return count;
}

static ssize_t world_read(int fd, void *to, size_t room) {
  require(fd == STDIN_FILENO, "it reads stdin only");
  require((char *)to + room < world.stdin_end, "a zero stays behind stdin");
  return arrive(to, room, world.given, &world.given_read);
}

static ssize_t world_recv(int fd, void *to, size_t room, int flags) {
  require(fd == DAEMON && flags == 0 && room > 0, "it receives from the daemon only");
  require((char *)to + room < world.answer_end, "a zero stays behind the answer");
  return arrive(to, room, world.answer, &world.answer_read);
}

static ssize_t world_send(int fd, const void *from, size_t length, int flags) {
  require(fd == DAEMON && flags == MSG_NOSIGNAL, "it sends to the daemon only");
  ssize_t count = transfer(length, EPIPE);
  if (count > 0) grow(&world.sent, from, (size_t)count);
  return count;
}

static bool does_disk_fail(void) { return decide() >= 128 && world.flags & DISK_IS_BAD; }

static ssize_t world_write(int fd, const void *from, size_t length) {
  if (fd == FILE_BEGUN) {
    int way = world.flags & DISK_IS_BAD ? decide() : 0;
    if (way >= 128) return refuse_call(way >= 192 ? EINTR : ENOSPC);
    size_t count = length > 1 && way > 0 ? length / 2 : length;
    grow(&world.file, from, count);
    world.is_synced = false;
    return (ssize_t)count;
  }
  require(fd == STDOUT_FILENO && length <= PIPE_BUF, "it prints pieces that do not block");
  if (world.flags & STDOUT_IS_CLOSED) return world.was_stdout_lost = true, refuse_call(EPIPE);
  ssize_t count = transfer(length, EIO);
  if (count > 0) grow(&world.printed, from, (size_t)count);
  world.was_stdout_lost |= count < 0 && errno == EIO;
  return count;
}

// A descriptor without anything to say is only ready when the schedule lets time pass.
static int world_poll(struct pollfd *entry, nfds_t count, int ms) {
  require(count == 1 && ms > 0, "it waits for one thing, and not for ever");
  bool is_stdin = entry->fd == STDIN_FILENO && world.flags & STDIN_STAYS_OPEN;
  bool is_daemon = entry->fd == DAEMON && entry->events == POLLIN && world.flags & DAEMON_IS_SILENT;
  bool is_over = (is_stdin && world.given_read == world.given.length) ||
                 (is_daemon && world.answer_read == world.answer.length);
  int way = decide();
  if (way >= 250 || is_over) return world.ms += ms, world.was_stdout_lost |= entry->fd == 1, 0;
  if (way >= 240) return world.ms += 500, 1;
  if (way >= 230) return (int)refuse_call(EINTR);
  if (way == 229) return world.was_stdout_lost |= entry->fd == 1, (int)refuse_call(ENOMEM);
  return 1;
}

static int world_connect(int fd, const struct sockaddr *to, socklen_t length) {
  const struct sockaddr_un *address = (const struct sockaddr_un *)to;
  require(fd == DAEMON && length == sizeof *address, "it connects its socket");
  require(memchr(address->sun_path, 0, sizeof address->sun_path), "the socket's path has an end");
  int way = decide();
  if (way >= 250) return (int)refuse_call(EAGAIN);
  if (way >= 240) return (int)refuse_call(EINTR);
  return world.flags & DAEMON_IS_DEAD ? (int)refuse_call(ENOENT) : 0;
}

static int world_socket(int family, int type, int protocol) {
  require(family == AF_UNIX && type & SOCK_STREAM && protocol == 0, "it opens a unix socket");
  return decide() >= 250 ? (int)refuse_call(EMFILE) : DAEMON;
}

static int world_clock_gettime(clockid_t clock, struct timespec *now) {
  (void)clock;
  *now = (struct timespec){world.ms / 1000, world.ms % 1000 * 1000000};
  return 0;
}

static int world_open(const char *path, int flags) {
  if (flags == O_PATH) return decide();
  require(flags == (O_RDONLY | O_DIRECTORY | O_CLOEXEC), "it opens the directory of kept DELs");
  if (does_disk_fail()) return (int)refuse_call(ENOENT);
  snprintf(world.opened_directory, PATH_MAX, "%s", path);
  return DIRECTORY;
}

static int world_openat(int directory, const char *name, int flags, mode_t mode) {
  bool is_new = flags & O_TRUNC && flags & O_CREAT && mode == 0600;
  require(directory == DIRECTORY && is_new && strlen(name) <= NAME_MAX, "it begins a file there");
  require(!strchr(name, '/') && name[0] == '.', "nobody reads the file before it is whole");
  if (does_disk_fail()) return (int)refuse_call(EDQUOT);
  world.file.length = 0;
  strcpy(world.file_name, name);
  return FILE_BEGUN;
}

static int world_renameat(int from, const char *old, int to, const char *name) {
  require(from == DIRECTORY && to == DIRECTORY, "a kept DEL stays in its directory");
  require(!strcmp(old, world.file_name) && world.is_synced, "what is renamed is on the disk");
  require(!strchr(name, '/') && name[0] != '.', "the daemon sees the kept DEL");
  if (does_disk_fail()) return (int)refuse_call(EISDIR);
  world.file_name[0] = 0;
  strcpy(world.kept_name, name);
  strcpy(world.kept_in, world.opened_directory);
  return 0;
}

static int world_fsync(int fd) {
  require(fd == DIRECTORY || fd == FILE_BEGUN, "it saves what it opened");
  if (does_disk_fail()) return (int)refuse_call(EIO);
  if (fd == FILE_BEGUN) world.is_synced = true;
  else world.is_directory_synced = world.kept_name[0] != 0;
  return 0;
}

static int world_unlinkat(int directory, const char *name, int flags) {
  require(directory == DIRECTORY && name[0] == '.' && flags == 0, "it removes its own file only");
  if (!strcmp(name, world.file_name)) world.file_name[0] = 0;
  return 0;
}

static int world_close(int fd) {
  require(fd == FILE_BEGUN, "it closes the file");
  return does_disk_fail() ? (int)refuse_call(EIO) : 0;
}

static int world_mkdir(const char *path, mode_t mode) {
  require(mode == 0755 || mode == 0700, "the directory is not for everybody");
  return path[0] && !does_disk_fail() ? 0 : (int)refuse_call(EEXIST);
}

static int world_fcntl(int fd, int what) {
  require(fd >= 0 && fd <= 2 && what == F_GETFD, "it looks at its first descriptors");
  return decide() >= 250 ? (int)refuse_call(EBADF) : 0;
}

static ssize_t world_readlink(const char *path, char *to, size_t room) {
  require(!strcmp(path, "/proc/self/exe"), "it asks for its own name");
  int way = decide();
  if (way >= 250) return refuse_call(ENOENT);
  size_t length = way >= 128 ? room : (size_t)way + 1;
  memset(to, 'x', length);
  to[0] = '/';
  if (way % 2) to[length - 1] = '/';
  return (ssize_t)length;
}

static int world_execv(const char *path, char **arguments) {
  require(path[0] == '/' && arguments[0], "it runs a command with an absolute path");
  return (int)refuse_call(ENOENT);
}

static int world_isatty(int fd) { return fd == STDIN_FILENO && decide() >= 250; }

// Formats for real, so that a wrong argument is seen.
__attribute__((format(printf, 2, 3))) static int world_dprintf(int fd, const char *format, ...) {
  char text[2 * PATH_MAX];
  va_list arguments;
  require(fd == STDERR_FILENO, "only stderr gets plain words");
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return length;
}
