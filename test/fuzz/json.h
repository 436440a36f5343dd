// A strict reader of JSON (RFC 8259), written without looking at the executable's scanner, which it
// judges. Strings are decoded into a buffer of the caller's.

#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 500 };

struct reader {
  const char *at, *end;
  int depth;
};

// A decoded string. An escape beyond ASCII or of zero is remembered: the executable takes none.
struct string {
  char *bytes;
  size_t length;
  bool has_odd_escape;
};

static bool is_next(const struct reader *in, char wanted) {
  return in->at < in->end && *in->at == wanted;
}

static bool next(struct reader *in, char wanted) {
  if (!is_next(in, wanted)) return false;
  in->at++;
  return true;
}

static void pass_space(struct reader *in) {
  while (in->at < in->end && memchr(" \t\r\n", *in->at, 4)) in->at++;
}

static void put(struct string *out, unsigned value) {
  if (value < 0x80) out->bytes[out->length++] = (char)value;
  else if (value < 0x800) {
    out->bytes[out->length++] = (char)(0xc0 | value >> 6);
    out->bytes[out->length++] = (char)(0x80 | (value & 63));
  } else {
    out->bytes[out->length++] = (char)(0xe0 | value >> 12);
    out->bytes[out->length++] = (char)(0x80 | (value >> 6 & 63));
    out->bytes[out->length++] = (char)(0x80 | (value & 63));
  }
}

static bool read_escape(struct reader *in, struct string *out) {
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  if (in->at >= in->end) return false;
  char name = *in->at++;
  const char *known = name ? strchr(names, name) : NULL;
  if (known) return put(out, (unsigned char)values[known - names]), true;
  char digits[5] = "";
  if (name != 'u' || in->end - in->at < 4) return false;
  memcpy(digits, in->at, 4);
  if (strspn(digits, "0123456789abcdefABCDEF") != 4) return false;
  in->at += 4;
  unsigned value = (unsigned)strtoul(digits, NULL, 16);
  out->has_odd_escape |= value == 0 || value >= 0x80;
  put(out, value);
  return true;
}

// The bytes of the buffer must be at least those that are left to read.
static bool read_string(struct reader *in, struct string *out) {
  out->length = 0;
  out->has_odd_escape = false;
  if (!next(in, '"')) return false;
  while (in->at < in->end && *in->at != '"') {
    if ((unsigned char)*in->at < 0x20) return false;
    if (!next(in, '\\')) out->bytes[out->length++] = *in->at++;
    else if (!read_escape(in, out)) return false;
  }
  return next(in, '"');
}

static size_t pass_digits(struct reader *in) {
  const char *start = in->at;
  while (in->at < in->end && *in->at >= '0' && *in->at <= '9') in->at++;
  return (size_t)(in->at - start);
}

static bool read_number(struct reader *in) {
  next(in, '-');
  if (!next(in, '0') && pass_digits(in) == 0) return false;
  if (next(in, '.') && pass_digits(in) == 0) return false;
  if (!next(in, 'e') && !next(in, 'E')) return true;
  if (!next(in, '+')) next(in, '-');
  return pass_digits(in) > 0;
}

static bool read_word(struct reader *in, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) return false;
  in->at += length;
  return true;
}

// Told about each member of the outermost object, where its value begins and ends.
typedef void on_member(void *context, const struct string *key, struct reader value);

static bool read_value(struct reader *in, struct string *scratch);

static bool read_list(struct reader *in, struct string *scratch) {
  pass_space(in);
  if (next(in, ']')) return true;
  do {
    if (!read_value(in, scratch)) return false;
  } while (next(in, ','));
  return next(in, ']');
}

static bool read_members(struct reader *in, struct string *key, on_member *tell, void *context) {
  struct string scratch = {malloc((size_t)(in->end - in->at) + 1), 0, false};
  bool is_sound = true;
  pass_space(in);
  if (!is_next(in, '}'))
    do {
      pass_space(in);
      is_sound = read_string(in, key);
      pass_space(in);
      struct reader value = *in;
      is_sound = is_sound && next(in, ':') && read_value(in, &scratch);
      value.at++;
      value.end = in->at;
      if (is_sound && tell) tell(context, key, value);
    } while (is_sound && next(in, ','));
  free(scratch.bytes);
  return is_sound && next(in, '}');
}

// Any value with the white space around it.
static bool read_value(struct reader *in, struct string *scratch) {
  pass_space(in);
  if (++in->depth > DEPTH_MAX) return false;
  bool is_sound = is_next(in, '"')   ? read_string(in, scratch)
                  : next(in, '[')    ? read_list(in, scratch)
                  : next(in, '{')    ? read_members(in, scratch, NULL, NULL)
                  : is_next(in, 't') ? read_word(in, "true")
                  : is_next(in, 'f') ? read_word(in, "false")
                  : is_next(in, 'n') ? read_word(in, "null")
                                     : read_number(in);
  in->depth--;
  pass_space(in);
  return is_sound;
}

// Whether the bytes are one JSON object and nothing else.
static bool read_object(const char *bytes, size_t length, on_member *tell, void *context) {
  struct reader in = {bytes, bytes + length, 0};
  struct string key = {malloc(length + 1), 0, false};
  pass_space(&in);
  bool is_sound = next(&in, '{') && read_members(&in, &key, tell, context);
  pass_space(&in);
  free(key.bytes);
  return is_sound && in.at == in.end;
}

// The string that is the whole value; false when it is something else.
static bool read_whole_string(struct reader value, struct string *out) {
  pass_space(&value);
  if (!read_string(&value, out)) return false;
  pass_space(&value);
  return value.at == value.end;
}
