// The few keys of the network configuration that the executable needs, scanned without parsing the
// rest: what is accepted here and is no JSON all the same, the daemon refuses.

#pragma once

#include <ctype.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "text.h"

#define DEFAULT_SOCKET "/run/eniway/cni.sock"

enum { TIMEOUT_SECONDS_DEFAULT = 60, TIMEOUT_SECONDS_MAX = 600 };

// The few keys of the network configuration we need; a text is empty when it is not usable.
struct config {
  char version[32], socket[sizeof((struct sockaddr_un *)0)->sun_path];
  long timeout_seconds;
  bool is_object, has_socket;
};

// The scanner's place. The text ends in a zero, which is never part of valid JSON.
static const char *at = "";

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

static bool take_timeout(struct config *config) {
  char *end;
  long value = isdigit((unsigned char)*at) ? strtol(at, &end, 10) : 0;
  bool is_whole = value >= 1 && value <= TIMEOUT_SECONDS_MAX && strchr(",} \t\r\n", *end);
  config->timeout_seconds = is_whole ? value : TIMEOUT_SECONDS_DEFAULT;
  return skip_value();
}

// Of equal keys the last one counts, as in the daemon's parser.
static bool take_member(struct config *config) {
  char key[32];
  if (*at != '"' || !take_text(key, sizeof key)) return false;
  skip_space();
  if (!take(':')) return false;
  skip_space();
  config->has_socket |= !strcmp(key, "socket");
  if (!strcmp(key, "socket")) return take_text(config->socket, sizeof config->socket);
  if (!strcmp(key, "cniVersion")) return take_text(config->version, sizeof config->version);
  if (!strcmp(key, "timeoutSeconds")) return take_timeout(config);
  return skip_value();
}

static bool take_members(struct config *config) {
  skip_space();
  if (!take('{')) return false;
  for (skip_space(); *at != '}'; skip_space()) {
    if (!take_member(config)) return false;
    skip_space();
    // A comma before the closing brace is let through; the daemon refuses it.
    if (!take(',') && *at != '}') return false;
  }
  at++;
  skip_space();
  return true;
}

// Scans a text that has a zero behind its end; what came before a mistake in it counts.
static struct config scan_config(const char *text, size_t length) {
  struct config config = {.timeout_seconds = TIMEOUT_SECONDS_DEFAULT};
  at = text;
  config.is_object = take_members(&config) && at == text + length;
  if (!config.has_socket) strcpy(config.socket, DEFAULT_SOCKET);
  return config;
}
