// The few keys of the network configuration that the executable needs, scanned without parsing the
// rest: what is accepted here and is no JSON all the same, the daemon refuses.

#pragma once

#include <ctype.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "text.h"

#define DEFAULT_SOCKET "/run/eniway/cni.sock"
#define OUR_TYPE "eniway" // as `type` and `ipam.type` name us

enum { TIMEOUT_SECONDS_DEFAULT = 60, TIMEOUT_SECONDS_MAX = 600 };

// The few keys of the network configuration we need; a text is empty when it is not usable.
struct config {
  char version[32], type[32], socket[sizeof((struct sockaddr_un *)0)->sun_path];
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

static bool take_members(struct config *config, struct config *ipam);

static bool take_ipam(struct config *ipam) {
  *ipam = (struct config){.timeout_seconds = TIMEOUT_SECONDS_DEFAULT};
  return *at == '{' ? take_members(ipam, NULL) : skip_value();
}

// Of equal keys the last one counts, as in the daemon's parser. Inside `ipam` there is no other.
static bool take_member(struct config *config, struct config *ipam) {
  char key[32];
  if (*at != '"' || !take_text(key, sizeof key)) return false;
  skip_space();
  if (!take(':')) return false;
  skip_space();
  config->has_socket |= !strcmp(key, "socket");
  if (!strcmp(key, "socket")) return take_text(config->socket, sizeof config->socket);
  if (!strcmp(key, "type")) return take_text(config->type, sizeof config->type);
  if (!strcmp(key, "cniVersion")) return take_text(config->version, sizeof config->version);
  if (!strcmp(key, "timeoutSeconds")) return take_timeout(config);
  return ipam && !strcmp(key, "ipam") ? take_ipam(ipam) : skip_value();
}

static bool take_members(struct config *config, struct config *ipam) {
  if (!take('{')) return false;
  for (skip_space(); *at != '}'; skip_space()) {
    if (!take_member(config, ipam)) return false;
    skip_space();
    // A comma before the closing brace is let through; the daemon refuses it.
    if (!take(',') && *at != '}') return false;
  }
  return take('}');
}

// When another plugin calls us for addresses, our keys are in `ipam` (plugin/delegator.ts).
static void take_own_keys(struct config *config, const struct config *ipam) {
  if (!strcmp(config->type, OUR_TYPE) || strcmp(ipam->type, OUR_TYPE)) return;
  memcpy(config->socket, ipam->socket, sizeof config->socket);
  config->has_socket = ipam->has_socket;
  config->timeout_seconds = ipam->timeout_seconds;
}

// Scans a text that has a zero behind its end; what came before a mistake in it counts.
static struct config scan_config(const char *text, size_t length) {
  struct config config = {.timeout_seconds = TIMEOUT_SECONDS_DEFAULT}, ipam = config;
  at = text;
  skip_space();
  config.is_object = take_members(&config, &ipam);
  skip_space();
  config.is_object &= at == text + length;
  take_own_keys(&config, &ipam);
  if (!config.has_socket) strcpy(config.socket, DEFAULT_SOCKET);
  return config;
}
