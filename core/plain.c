#include "core/plain.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

bool sw_plain_turns(const uint8_t *p)
{
	return p[0] == 0xe2 && ((p[1] == 0x80 && p[2] >= 0xaa && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9));
}

/* Bytes of the printable character that p begins with; 0: it begins with none. The text ends with a NUL. */
static size_t printable_at(const uint8_t *p)
{
	uint32_t c = *p, least;
	size_t n;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c >= 0xc2 && c < 0xe0) {
		n = 2;
		c &= 0x1f;
		least = 0xa0; /* the control characters before are no text */
	} else if (c >= 0xe0 && c < 0xf0) {
		n = 3;
		c &= 0x0f;
		least = 0x800;
	} else if (c >= 0xf0 && c < 0xf5) {
		n = 4;
		c &= 0x07;
		least = 0x10000;
	} else {
		return 0;
	}
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c >= least && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff) && !sw_plain_turns(p) ? n : 0;
}

/* What is shown for a byte that is not part of a printable character. */
static size_t escape(uint8_t byte, char out[static 5])
{
	if (byte == '\n' || byte == '\t')
		return (size_t)snprintf(out, 5, "\\%c", byte == '\n' ? 'n' : 't');
	return (size_t)snprintf(out, 5, "\\x%02x", byte);
}

void sw_plain(char *text, size_t size)
{
	char out[SW_PLAIN_SIZE], escaped[5];
	size_t to = 0;

	assert(size <= sizeof(out));
	for (const char *from = text; *from;) {
		size_t n = printable_at((const uint8_t *)from);
		size_t n_out = n > 0 ? n : escape((uint8_t)*from, escaped);

		if (to + n_out >= size)
			break;
		memcpy(out + to, n > 0 ? from : escaped, n_out);
		to += n_out;
		from += n > 0 ? n : 1;
	}
	memcpy(text, out, to);
	text[to] = '\0';
}
