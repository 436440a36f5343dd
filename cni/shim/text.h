// Bytes that grow up to a limit, and text as JSON. Whatever is appended as JSON comes out as valid
// JSON, because runtimes read our errors with strict parsers.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

// A buffer of fixed size; what does not fit is dropped and remembered in is_cut.
struct text {
  char *bytes;
  size_t length, limit;
  bool is_cut;
};

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

// How many bytes the UTF-8 character at this place has; 0 when there is none. It may look at one
// byte behind the last complete character, where our texts have a zero.
static size_t utf8_length(const char *place) {
  const unsigned char *byte = (const unsigned char *)place;
  if (byte[0] < 0x80) return 1;
  size_t length = byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; i++)
    if ((byte[i] & 0xc0) != 0x80) return 0;
  bool is_overlong = byte[0] < 0xc2 || (byte[0] == 0xe0 && byte[1] < 0xa0) ||
                     (byte[0] == 0xf0 && byte[1] < 0x90);
  bool is_surrogate = byte[0] == 0xed && byte[1] > 0x9f;
  bool is_beyond = byte[0] > 0xf4 || (byte[0] == 0xf4 && byte[1] > 0x8f);
  return is_overlong || is_surrogate || is_beyond ? 0 : length;
}

// A byte that belongs to no UTF-8 character becomes U+FFFD, as in the daemon's own decoder.
static void append_json(struct text *text, const char *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  append(text, "\"", 1);
  for (size_t i = 0, size; i < length; i += size ? size : 1) {
    unsigned char byte = (unsigned char)bytes[i];
    char escaped[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
    size = utf8_length(bytes + i);
    if (byte == '"' || byte == '\\') append(text, (char[]){'\\', (char)byte}, 2);
    else if (byte < 0x20) append(text, escaped, sizeof escaped);
    else if (size == 0) append(text, "\xef\xbf\xbd", 3);
    else append(text, bytes + i, size);
  }
  append(text, "\"", 1);
}
