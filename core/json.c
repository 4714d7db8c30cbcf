/*
 * The JSON scanner. A cursor moves over the text by offsets; each skip_* function moves it past
 * one thing, or returns false and leaves it on the byte that is wrong.
 */
#include "core/json.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum iter_state {
	BEFORE, /* nothing looked at yet */
	INSIDE, /* past the opening bracket and at least one item */
	DONE,
	BAD,
};

struct cursor {
	const uint8_t *p;
	size_t n;
	size_t at;
};

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool at_digit(const struct cursor *c)
{
	return c->at < c->n && is_digit(c->p[c->at]);
}

static void skip_space(struct cursor *c)
{
	while (c->at < c->n && is_space(c->p[c->at]))
		c->at++;
}

/* Move past one byte if it is the one expected. */
static bool take(struct cursor *c, uint8_t expected)
{
	if (c->at == c->n || c->p[c->at] != expected)
		return false;
	c->at++;
	return true;
}

static bool in_range(const struct cursor *c, size_t offset, uint8_t low, uint8_t high)
{
	return offset < c->n - c->at && c->p[c->at + offset] >= low && c->p[c->at + offset] <= high;
}

/* Length of the well-formed UTF-8 sequence at the cursor, 0 if there is none (RFC 3629, 4). */
static size_t utf8_length(const struct cursor *c)
{
	uint8_t lead = c->p[c->at];
	uint8_t low = 0x80;
	uint8_t high = 0xbf;
	size_t n;

	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	n = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	/* The second byte is where overlong forms, surrogates and the upper limit show. */
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	if (!in_range(c, 1, low, high))
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (!in_range(c, i, 0x80, 0xbf))
			return 0;
	}
	return n;
}

static bool take_hex4(struct cursor *c, uint32_t *out)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t d = c->at < c->n ? c->p[c->at] : 0;

		if (is_digit(d))
			v = v << 4 | (uint32_t)(d - '0');
		else if ((d | 0x20) >= 'a' && (d | 0x20) <= 'f')
			v = v << 4 | (uint32_t)((d | 0x20) - 'a' + 10);
		else
			return false;
		c->at++;
	}
	*out = v;
	return true;
}

/* What follows "\u"; a pair of surrogates makes one code point. */
static bool take_unicode(struct cursor *c, uint32_t *out)
{
	uint32_t high;
	uint32_t low;

	if (!take_hex4(c, &high))
		return false;
	if (high < 0xd800 || high > 0xdfff) {
		*out = high;
		return true;
	}
	if (high > 0xdbff || !take(c, '\\') || !take(c, 'u') || !take_hex4(c, &low))
		return false;
	if (low < 0xdc00 || low > 0xdfff)
		return false;
	*out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	return true;
}

/* An escape, from its backslash on. */
static bool take_escape(struct cursor *c, uint32_t *out)
{
	static const char letters[] = "\"\\/bfnrt";
	static const char meanings[] = "\"\\/\b\f\n\r\t";
	const char *letter;

	c->at++;
	if (c->at == c->n)
		return false;
	if (take(c, 'u'))
		return take_unicode(c, out);
	letter = memchr(letters, c->p[c->at], sizeof(letters) - 1);
	if (!letter)
		return false;
	*out = (uint32_t)meanings[letter - letters];
	c->at++;
	return true;
}

/* Move past bytes that stand for themselves and need no look at their neighbours. */
static void skip_plain(struct cursor *c)
{
	while (c->at < c->n) {
		uint8_t b = c->p[c->at];

		if (b < 0x20 || b >= 0x80 || b == '"' || b == '\\')
			return;
		c->at++;
	}
}

static bool skip_string(struct cursor *c)
{
	if (!take(c, '"'))
		return false;
	for (;;) {
		uint32_t ignored;
		size_t n;

		skip_plain(c);
		if (c->at == c->n || c->p[c->at] < 0x20)
			return false;
		if (take(c, '"'))
			return true;
		if (c->p[c->at] == '\\') {
			if (!take_escape(c, &ignored))
				return false;
			continue;
		}
		n = utf8_length(c);
		if (n == 0)
			return false;
		c->at += n;
	}
}

static bool skip_digits(struct cursor *c)
{
	if (!at_digit(c))
		return false;
	while (at_digit(c))
		c->at++;
	return true;
}

static bool skip_number(struct cursor *c)
{
	take(c, '-');
	/* A leading zero stands alone; what follows it is for the caller to refuse. */
	if (!take(c, '0') && !skip_digits(c))
		return false;
	if (take(c, '.') && !skip_digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			take(c, '-');
		return skip_digits(c);
	}
	return true;
}

static bool skip_word(struct cursor *c, const char *word)
{
	for (; *word; word++) {
		if (!take(c, (uint8_t)*word))
			return false;
	}
	return true;
}

static bool skip_scalar(struct cursor *c)
{
	switch (c->p[c->at]) {
	case '"':
		return skip_string(c);
	case 't':
		return skip_word(c, "true");
	case 'f':
		return skip_word(c, "false");
	case 'n':
		return skip_word(c, "null");
	default:
		return skip_number(c);
	}
}

static bool skip_key(struct cursor *c)
{
	skip_space(c);
	if (!skip_string(c))
		return false;
	skip_space(c);
	return take(c, ':');
}

/*
 * A value, at most depth_max containers deep. The containers that are open are one bit each, 1
 * for an object, the innermost lowest: with 64 levels that is the whole stack.
 */
static bool skip_value(struct cursor *c, unsigned depth_max)
{
	uint64_t objects = 0;
	unsigned depth = 0;

	assert(depth_max <= 64);
	for (;;) {
		bool closed = false;

		skip_space(c);
		if (c->at == c->n)
			return false;
		if (c->p[c->at] == '{' || c->p[c->at] == '[') {
			if (depth == depth_max)
				return false;
			objects = objects << 1 | (c->p[c->at] == '{');
			depth++;
			c->at++;
			skip_space(c);
			closed = take(c, objects & 1 ? '}' : ']');
			if (!closed) {
				if ((objects & 1) && !skip_key(c))
					return false;
				continue;
			}
		} else if (!skip_scalar(c)) {
			return false;
		}

		/* A value has ended. Leave what ends with it, then go on to its next sibling. */
		for (;; closed = true) {
			if (closed) {
				objects >>= 1;
				depth--;
			}
			if (depth == 0)
				return true;
			skip_space(c);
			if (take(c, ','))
				break;
			if (!take(c, objects & 1 ? '}' : ']'))
				return false;
		}
		if ((objects & 1) && !skip_key(c))
			return false;
	}
}

int sw_json_validate(struct sw_view text)
{
	struct cursor c = {text.p, text.n, 0};

	if (!skip_value(&c, SW_JSON_DEPTH_MAX))
		return SW_EFORMAT;
	skip_space(&c);
	return c.at == c.n ? 0 : SW_EFORMAT;
}

void sw_json_iter_init(struct sw_json_iter *it, struct sw_view text)
{
	*it = (struct sw_json_iter){text, 0, BEFORE};
}

/* Move to the next item: 1 at its first byte, 0 past the end of the text, SW_EFORMAT. */
static int next_item(struct sw_json_iter *it, struct cursor *c, uint8_t open, uint8_t close)
{
	if (it->state == DONE)
		return 0;
	if (it->state == BAD)
		return SW_EFORMAT;
	skip_space(c);
	if (it->state == BEFORE) {
		if (!take(c, open))
			return SW_EFORMAT;
		skip_space(c);
		if (c->at == c->n || c->p[c->at] != close)
			return 1;
	} else if (take(c, ',')) {
		skip_space(c);
		return 1;
	}
	if (!take(c, close))
		return SW_EFORMAT;
	skip_space(c);
	return c->at == c->n ? 0 : SW_EFORMAT;
}

static int leave(struct sw_json_iter *it, const struct cursor *c, int rc)
{
	it->at = c->at;
	it->state = rc > 0 ? INSIDE : rc == 0 ? DONE : BAD;
	return rc;
}

int sw_json_next_member(struct sw_json_iter *it, struct sw_json_member *out)
{
	struct cursor c = {it->text.p, it->text.n, it->at};
	size_t key_at;
	size_t key_end;
	size_t value_at;
	int rc = next_item(it, &c, '{', '}');

	if (rc <= 0)
		return leave(it, &c, rc);
	key_at = c.at + 1;
	if (!skip_string(&c))
		return leave(it, &c, SW_EFORMAT);
	key_end = c.at - 1;
	skip_space(&c);
	if (!take(&c, ':'))
		return leave(it, &c, SW_EFORMAT);
	skip_space(&c);
	value_at = c.at;
	if (!skip_value(&c, SW_JSON_DEPTH_MAX - 1))
		return leave(it, &c, SW_EFORMAT);
	*out = (struct sw_json_member){
	    .key = sw_view(c.p + key_at, key_end - key_at),
	    .value = sw_view(c.p + value_at, c.at - value_at),
	    .key_at = key_at,
	    .value_at = value_at,
	};
	return leave(it, &c, 1);
}

int sw_json_next_element(struct sw_json_iter *it, struct sw_json_element *out)
{
	struct cursor c = {it->text.p, it->text.n, it->at};
	size_t value_at;
	int rc = next_item(it, &c, '[', ']');

	if (rc <= 0)
		return leave(it, &c, rc);
	value_at = c.at;
	if (!skip_value(&c, SW_JSON_DEPTH_MAX - 1))
		return leave(it, &c, SW_EFORMAT);
	*out = (struct sw_json_element){sw_view(c.p + value_at, c.at - value_at), value_at};
	return leave(it, &c, 1);
}

static void put_utf8(struct sw_buf *out, uint32_t cp)
{
	uint8_t b[4];
	size_t n = 0;

	if (cp < 0x80) {
		b[n++] = (uint8_t)cp;
	} else if (cp < 0x800) {
		b[n++] = (uint8_t)(0xc0 | cp >> 6);
		b[n++] = (uint8_t)(0x80 | (cp & 0x3f));
	} else if (cp < 0x10000) {
		b[n++] = (uint8_t)(0xe0 | cp >> 12);
		b[n++] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		b[n++] = (uint8_t)(0x80 | (cp & 0x3f));
	} else {
		b[n++] = (uint8_t)(0xf0 | cp >> 18);
		b[n++] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
		b[n++] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		b[n++] = (uint8_t)(0x80 | (cp & 0x3f));
	}
	sw_buf_put(out, b, n);
}

/* Decode raw into out; false when it is not the inside of a string. */
static bool unescape(struct cursor *c, struct sw_buf *out)
{
	while (c->at < c->n) {
		size_t from = c->at;
		uint32_t cp;
		size_t n;

		skip_plain(c);
		if (c->at > from)
			sw_buf_put(out, c->p + from, c->at - from);
		if (c->at == c->n)
			break;
		if (c->p[c->at] == '\\') {
			if (!take_escape(c, &cp))
				return false;
			put_utf8(out, cp);
			continue;
		}
		n = c->p[c->at] < 0x80 ? 0 : utf8_length(c);
		if (n == 0)
			return false;
		sw_buf_put(out, c->p + c->at, n);
		c->at += n;
	}
	return true;
}

int sw_json_unescape(struct sw_view raw, struct sw_buf *out)
{
	struct cursor c = {raw.p, raw.n, 0};
	size_t before = out->n;
	int rc = unescape(&c, out) ? out->rc : SW_EFORMAT;

	if (rc < 0)
		out->n = before;
	return rc;
}

static void put_escape(struct sw_buf *out, uint8_t b)
{
	static const char hex[] = "0123456789abcdef";
	static const char meanings[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const char *known = memchr(meanings, b, sizeof(meanings) - 1);

	sw_buf_put_u8(out, '\\');
	if (known) {
		sw_buf_put_u8(out, (uint8_t)letters[known - meanings]);
		return;
	}
	sw_buf_put(out, "u00", 3);
	sw_buf_put_u8(out, (uint8_t)hex[b >> 4]);
	sw_buf_put_u8(out, (uint8_t)hex[b & 15]);
}

int sw_json_put_string(struct sw_buf *out, struct sw_view text)
{
	struct cursor c = {text.p, text.n, 0};
	size_t before = out->n;

	if (!sw_json_is_utf8(text))
		return SW_EFORMAT;
	sw_buf_put_u8(out, '"');
	while (c.at < c.n) {
		size_t from = c.at;

		/* Known to be UTF-8, so bytes from 0x80 up can be copied without a look. */
		do {
			skip_plain(&c);
		} while (c.at < c.n && c.p[c.at] >= 0x80 && ++c.at < c.n);
		if (c.at > from)
			sw_buf_put(out, c.p + from, c.at - from);
		if (c.at < c.n)
			put_escape(out, c.p[c.at++]);
	}
	sw_buf_put_u8(out, '"');
	if (out->rc < 0)
		out->n = before;
	return out->rc;
}

bool sw_json_is_utf8(struct sw_view text)
{
	struct cursor c = {text.p, text.n, 0};

	while (c.at < c.n) {
		size_t n = utf8_length(&c);

		if (n == 0)
			return false;
		c.at += n;
	}
	return true;
}

int sw_json_number(struct sw_view value, struct sw_buf *scratch, struct sw_json_number *out)
{
	const char *text;
	char *end;

	sw_buf_reset(scratch);
	sw_buf_put_view(scratch, value);
	sw_buf_put_u8(scratch, 0);
	if (scratch->rc < 0)
		return scratch->rc;
	text = (const char *)scratch->p;
	errno = 0;
	out->whole = strtoll(text, &end, 10);
	out->is_whole = *end == '\0' && errno == 0;
	out->real = out->is_whole ? (double)out->whole : strtod(text, NULL);
	return 0;
}
