// Runs whole invocations of the CNI executable inside a fuzzer, or over files: its real code with
// the system calls of world.h, under AddressSanitizer and UndefinedBehaviorSanitizer. Beyond memory
// it checks what callers rely on: see judge.

#include "world.h"
#include "json.h"

// Small, so that short inputs reach the limits.
#define BYTES_MAX 2048
#define main shim_main
#define read world_read
#define recv world_recv
#define send world_send
#define write world_write
#define poll(...) world_poll(__VA_ARGS__)
#define connect world_connect
#define socket(...) world_socket(__VA_ARGS__)
#define clock_gettime world_clock_gettime
#define open world_open
#define openat world_openat
#define renameat world_renameat
#define fsync world_fsync
#define unlinkat world_unlinkat
#define close world_close
#define mkdir world_mkdir
#define fcntl world_fcntl
#define readlink world_readlink
#define execv world_execv
#define isatty world_isatty
#define dprintf world_dprintf
#define signal(...) (void)0
#include "../../cni/shim/eniway.c"
#undef main

static bool is_utf8(const char *bytes, size_t length) {
  char *text = strndup(bytes, length);
  size_t at = 0;
  while (at < length && text[at] && utf8_length(text + at)) at += utf8_length(text + at);
  free(text);
  return at == length;
}

// What the scanner should find in a configuration, read with the strict reader.
struct expected {
  struct string socket, version;
  bool has_socket;
  long timeout_seconds;
};

static void expect_text(struct reader value, struct string *out, size_t size) {
  bool is_text = read_whole_string(value, out) && !out->has_odd_escape && out->length < size;
  if (!is_text) out->length = 0;
}

static void expect_member(void *context, const struct string *key, struct reader value) {
  struct expected *want = context;
  bool is_named[3] = {0};
  const char *names[] = {"socket", "cniVersion", "timeoutSeconds"};
  for (int i = 0; i < 3; i++)
    is_named[i] = key->length == strlen(names[i]) && !memcmp(key->bytes, names[i], key->length);
  want->has_socket |= is_named[0];
  if (is_named[0]) expect_text(value, &want->socket, sizeof config.socket);
  if (is_named[1]) expect_text(value, &want->version, sizeof config.version);
  if (!is_named[2]) return;
  while (value.at < value.end && strchr(" \t\r\n", *value.at)) value.at++;
  while (value.at < value.end && strchr(" \t\r\n", value.end[-1])) value.end--;
  size_t length = (size_t)(value.end - value.at);
  bool is_whole = length < 4 && strspn(value.at, "0123456789") >= length;
  long seconds = is_whole ? atol(value.at) : 0;
  want->timeout_seconds = seconds > 0 && seconds <= 600 ? seconds : 60;
}

// An object that a strict reader takes is taken, with the same keys.
static void judge_scanner(struct bytes text) {
  char *exact = malloc(text.length + 1);
  memcpy(exact, text.start, text.length);
  exact[text.length] = 0;
  struct expected want = {.timeout_seconds = 60};
  want.socket.bytes = malloc(text.length + 1);
  want.version.bytes = malloc(text.length + 1);
  struct config found = scan_config(exact, text.length);
  if (read_object(exact, text.length, expect_member, &want)) {
    require(found.is_object, "a JSON object counts as one");
    require(found.timeout_seconds == want.timeout_seconds, "timeoutSeconds is what it says");
    bool is_same = strlen(found.version) == want.version.length &&
                   !memcmp(found.version, want.version.bytes, want.version.length);
    require(is_same, "cniVersion is the last one");
    if (!want.has_socket) require(!strcmp(found.socket, DEFAULT_SOCKET), "the default socket");
    else
      require(strlen(found.socket) == want.socket.length &&
                  !memcmp(found.socket, want.socket.bytes, want.socket.length),
              "the socket is the last one");
  }
  free(exact), free(want.socket.bytes), free(want.version.bytes);
}

static void judge_variable(void *context, const struct string *key, struct reader value) {
  char *name = strndup(key->bytes, key->length), *real = getenv(name);
  struct string text = {malloc((size_t)(value.end - value.at) + 1), 0, false};
  require(read_whole_string(value, &text), "a variable is a string");
  // Of equal names the last one counts in JSON, and it is told last.
  if (real && is_utf8(real, strlen(real)) && !strcmp(name, "CNI_COMMAND"))
    *(bool *)context = text.length == strlen(real) && !memcmp(text.bytes, real, text.length);
  free(text.bytes), free(name);
}

static void judge_call(void *context, const struct string *key, struct reader value) {
  (void)context;
  bool is_environment = key->length == 11 && !memcmp(key->bytes, "environment", 11);
  size_t length = (size_t)(value.end - value.at);
  bool is_command_right = true;
  if (is_environment) {
    require(read_object(value.at, length, judge_variable, &is_command_right), "the environment");
    require(is_command_right, "the daemon is told the command that we go by");
    return;
  }
  struct string text = {malloc(length + 1), 0, false};
  require(read_whole_string(value, &text), "stdin travels as a string");
  if (is_utf8(world.given.start, world.given_read)) {
    bool is_whole = text.length == world.given_read;
    require(is_whole && !memcmp(text.bytes, world.given.start, text.length), "stdin is unchanged");
  }
  free(text.bytes);
}

static void judge_json_call(const char *bytes, size_t length) {
  require(is_utf8(bytes, length), "a call is UTF-8");
  require(read_object(bytes, length, judge_call, NULL), "a call is a JSON object");
}

static void judge_request(void) {
  static const char start[] = "POST /cni HTTP/1.1\r\n", key[] = "Content-Length: ";
  const char *blank = strstr(world.sent.start, "\r\n\r\n");
  if (!blank) return;
  require(!strncmp(world.sent.start, start, sizeof start - 1), "a request is POST /cni");
  size_t length = (size_t)atol(strstr(world.sent.start, key) + sizeof key - 1);
  size_t sent = world.sent.length - (size_t)(blank + 4 - world.sent.start);
  require(sent <= length, "no more is sent than announced");
  if (sent == length) judge_json_call(blank + 4, length);
}

static bool is_from_daemon(void) {
  struct bytes answer = world.answer, out = world.printed;
  const char *blank = memmem(answer.start, answer.length, "\r\n\r\n", 4);
  size_t length = blank ? (size_t)(answer.start + answer.length - blank - 4) : 0;
  return blank && out.length <= length && !memcmp(blank + 4, out.start, out.length);
}

static void judge_key(void *context, const struct string *key, struct reader value) {
  (void)value;
  static const char *const names[] = {"cniVersion", "code", "msg", "supportedVersions"};
  for (int i = 0; i < 4; i++)
    if (key->length == strlen(names[i]) && !memcmp(key->bytes, names[i], key->length))
      *(int *)context |= 1 << i;
}

// One JSON object: an error with exit code 1, or the answer to VERSION with 0.
static void judge_own_words(int exit_code) {
  int keys = 0;
  require(is_utf8(world.printed.start, world.printed.length), "what is printed is UTF-8");
  require(read_object(world.printed.start, world.printed.length, judge_key, &keys),
          "what is printed is one JSON object");
  require(exit_code == 1 ? keys == 7 : exit_code == 0 && keys == 9, "an error, or the versions");
}

static void judge_kept_del(void) {
  const char *container = variable("CNI_CONTAINERID"), *interface = variable("CNI_IFNAME");
  char name[NAME_MAX + 1], *colon = strchr(world.kept_name, ':');
  snprintf(name, sizeof name, "%s:%s.json", container, interface);
  require(colon && !strcmp(world.kept_name, name), "the kept DEL is named after its attachment");
  require(world.is_directory_synced, "a kept DEL survives a power cut");
  judge_json_call(world.file.start, world.file.length);
}

static void judge(int exit_code) {
  require(exit_code >= 0 && exit_code <= 255, "the exit code is one");
  judge_scanner(world.given);
  judge_request();
  long seconds_max = !strcmp(command, "VERSION") ? 1 : !strcmp(command, "STATUS") ? 5 : 600;
  require(world.ms <= (seconds_max + 10) * 1000 + 1000 + world.calls, "it ends in time");
  require(!world.file_name[0], "no half-written file stays");
  if (!*command) require(world.printed.length == 0, "without a command nothing is printed");
  else if (world.was_stdout_lost) require(exit_code == 1, "what cannot be printed is an error");
  else if (world.printed.length > 0 && !is_from_daemon()) judge_own_words(exit_code);
  if (world.kept_name[0] && exit_code == 0) judge_kept_del();
  bool is_silent = *command && exit_code == 0 && world.printed.length == 0;
  if (is_silent && !is_from_daemon()) require(world.kept_name[0], "a DEL without daemon is kept");
}

static struct bytes take_part(struct bytes *rest) {
  char *end = memmem(rest->start, rest->length, "\n%%\n", 4);
  struct bytes part = {rest->start, end ? (size_t)(end - rest->start) : rest->length};
  size_t used = end ? part.length + 4 : part.length;
  *rest = (struct bytes){rest->start + used, rest->length - used};
  return part;
}

static void open_world(struct bytes text) {
  world = (struct world){.calls_max = 1000 + 20 * (long)text.length};
  world.stdin_end = stdin_bytes + sizeof stdin_bytes;
  world.answer_end = answer_bytes + sizeof answer_bytes;
  grow(&world.printed, "", 0), grow(&world.sent, "", 0), grow(&world.file, "", 0);
  char *line = memchr(text.start, '\n', text.length);
  size_t length = line ? (size_t)(line - text.start) : text.length;
  world.flags = length > 0 ? (uint8_t)text.start[0] & 63 : 0;
  world.schedule = (const uint8_t *)text.start + (length > 0);
  world.schedule_end = (const uint8_t *)text.start + length;
  size_t used = line ? length + 1 : length;
  struct bytes rest = {text.start + used, text.length - used};
  struct bytes environment = take_part(&rest);
  world.given = take_part(&rest);
  world.answer = rest;
  char *all = strndup(environment.start, environment.length), *next = all;
  for (int i = 0; i < VARIABLES_MAX && next; i++) {
    char *entry = strsep(&next, "\n");
    world.environment[i] = strdup(entry);
  }
  free(all);
}

static void close_world(void) {
  for (int i = 0; i < VARIABLES_MAX; i++) free(world.environment[i]);
  free(world.printed.start), free(world.sent.start), free(world.file.start);
}

// A process starts with all of this as its file says.
static void reset_shim(void) {
  ASAN_UNPOISON_MEMORY_REGION(stdin_bytes, sizeof stdin_bytes);
  ASAN_UNPOISON_MEMORY_REGION(answer_bytes, sizeof answer_bytes);
  memset(stdin_bytes, 0, sizeof stdin_bytes);
  memset(answer_bytes, 0, sizeof answer_bytes);
  input.length = body.length = answer.length = 0;
  body.is_cut = false;
  config = (struct config){.timeout_seconds = TIMEOUT_SECONDS_DEFAULT};
  reason[0] = 0;
  ASAN_POISON_MEMORY_REGION(stdin_bytes + 1, sizeof stdin_bytes - 1);
  ASAN_POISON_MEMORY_REGION(answer_bytes + 1, sizeof answer_bytes - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
  char *copy = malloc(length + 1), **real_environment = environ;
  memcpy(copy, bytes, length);
  copy[length] = 0;
  open_world((struct bytes){copy, length});
  reset_shim();
  environ = world.environment;
  char name[] = "eniway", argument[] = "status", *arguments[] = {name, argument, NULL};
  bool has_argument = world.flags & HAS_ARGUMENT;
  if (!has_argument) arguments[1] = NULL;
  judge(shim_main(has_argument ? 2 : 1, arguments));
  environ = real_environment;
  close_world();
  free(copy);
  return 0;
}

#ifdef REPLAY
// Without a fuzzer: every file that is named, once.
int main(int count, char **names) {
  for (int i = 1; i < count; i++) {
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(names[i], "rb");
    require(file != NULL, names[i]);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    fprintf(stderr, "%s\n", names[i]);
    LLVMFuzzerTestOneInput(bytes, length);
  }
  printf("%d\n", count - 1);
  return 0;
}
#endif
