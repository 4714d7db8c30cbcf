#include "fs/text.h"

#include <time.h>

#include "core/json.h"
#include "core/plain.h"

/* Bytes to show escaped at v.p: 1, 2 (the C1 controls are two bytes in UTF-8), 3 (what turns the text), or 0. */
static size_t unsafe_at(struct sw_view v, size_t i, bool is_utf8)
{
	uint8_t c = v.p[i];

	if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
		return 1;
	if (c == 0xc2 && v.p[i + 1] < 0xa0)
		return 2;
	return is_utf8 && sw_plain_turns(v.p + i) ? 3 : 0;
}

/* Cut within max bytes, but not within a character. */
static struct sw_view cut(struct sw_view v, size_t max)
{
	while (max > 0 && (v.p[max] & 0xc0) == 0x80)
		max--;
	return sw_view(v.p, max);
}

/* The n bytes at p as an escape. */
static void put_escape(struct sw_buf *out, const uint8_t *p, size_t n)
{
	if (*p == '\n')
		sw_buf_printf(out, "\\n");
	else if (*p == '\t')
		sw_buf_printf(out, "\\t");
	else
		for (size_t i = 0; i < n; i++)
			sw_buf_printf(out, "\\x%02x", p[i]);
}

void sw_text_put(struct sw_buf *out, struct sw_view v, size_t max)
{
	bool is_cut = v.n > max;
	bool is_utf8;

	if (is_cut)
		v = cut(v, max);
	is_utf8 = sw_json_is_utf8(v);
	for (size_t i = 0; i < v.n; i++) {
		size_t n = unsafe_at(v, i, is_utf8);

		if (n == 0)
			sw_buf_put_u8(out, v.p[i]);
		else
			put_escape(out, v.p + i, n);
		i += n > 0 ? n - 1 : 0;
	}
	if (is_cut)
		sw_buf_printf(out, "...");
}

static bool needs_quotes(struct sw_view name)
{
	bool is_utf8 = sw_json_is_utf8(name);

	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] == '"' || name.p[i] == '\\' || unsafe_at(name, i, is_utf8) > 0)
			return true;
	return false;
}

static void put_quoted(struct sw_buf *out, struct sw_view name)
{
	bool is_utf8 = sw_json_is_utf8(name);

	for (size_t i = 0; i < name.n; i++) {
		size_t n = unsafe_at(name, i, is_utf8);

		if (name.p[i] == '"' || name.p[i] == '\\')
			sw_buf_put_u8(out, '\\');
		if (n == 0)
			sw_buf_put_u8(out, name.p[i]);
		else
			put_escape(out, name.p + i, n);
		i += n > 0 ? n - 1 : 0;
	}
}

void sw_text_put_name(struct sw_buf *out, struct sw_view name)
{
	const char *quote = needs_quotes(name) ? "\"" : "";

	sw_buf_printf(out, "%s", quote);
	if (*quote)
		put_quoted(out, name);
	else
		sw_buf_put_view(out, name);
	sw_buf_printf(out, "%s", quote);
}

void sw_text_put_path(struct sw_buf *out, struct sw_view table, struct sw_view key)
{
	const char *quote = needs_quotes(table) || needs_quotes(key) ? "\"" : "";
	void (*put)(struct sw_buf *, struct sw_view) = *quote ? put_quoted : sw_buf_put_view;

	sw_buf_printf(out, "%s", quote);
	put(out, table);
	sw_buf_put_u8(out, '/');
	put(out, key);
	sw_buf_printf(out, "%s", quote);
}

void sw_text_print(FILE *out, struct sw_view v)
{
	SW_BUF b = {0};

	sw_text_put(&b, v, SIZE_MAX);
	if (b.n > 0)
		fwrite(b.p, 1, b.n, out);
}

void sw_text_time(uint64_t wall_ms, char out[static SW_TEXT_TIME_SIZE])
{
	time_t seconds = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&seconds, &tm);
	snprintf(out, SW_TEXT_TIME_SIZE, "%04ld-%02u-%02uT%02u:%02u:%02u.%03uZ",
		 (long)tm.tm_year + 1900, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100, (unsigned)(wall_ms % 1000));
}

void sw_text_size(uint64_t bytes, char out[static SW_TEXT_SIZE_SIZE])
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(out, SW_TEXT_SIZE_SIZE, "%u B", (unsigned)bytes);
		return;
	}
	for (; v >= 1023.95 && i + 1 < sizeof(units) / sizeof(units[0]); i++)
		v /= 1024;
	snprintf(out, SW_TEXT_SIZE_SIZE, "%.1f %s", v, units[i]);
}

const char *sw_text_role(int role)
{
	switch (role) {
	case SW_ROLE_READER:
		return "reader";
	case SW_ROLE_WRITER:
		return "writer";
	case SW_ROLE_ADMIN:
		return "admin";
	default:
		return "none";
	}
}

int sw_text_parse_role(const char *text, enum sw_role *out)
{
	for (enum sw_role role = SW_ROLE_READER; role <= SW_ROLE_ADMIN; role++) {
		if (strcmp(text, sw_text_role((int)role)) != 0)
			continue;
		*out = role;
		return 0;
	}
	return sw_fail(SW_EINVAL, "a role is reader, writer or admin, not '%.80s'", text);
}

const char *sw_text_mode(enum sw_mode mode)
{
	switch (mode) {
	case SW_MODE_MERGE:
		return "merge";
	case SW_MODE_STRICT:
		return "strict";
	default:
		return "control";
	}
}

const char *sw_text_conflict_mode(enum sw_conflict_mode mode)
{
	return mode == SW_CONFLICT_DROP ? "drop" : "merge";
}

int sw_text_parse_conflict_mode(const char *text, enum sw_conflict_mode *out)
{
	*out = strcmp(text, "drop") == 0 ? SW_CONFLICT_DROP : SW_CONFLICT_MERGE;
	return strcmp(text, sw_text_conflict_mode(*out)) == 0 ? 0 : SW_EINVAL;
}

int sw_text_parse_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return SW_EINVAL;
	for (; *text; text++) {
		unsigned digit = (unsigned)(*text - '0');

		if (*text < '0' || *text > '9' || v > (UINT64_MAX - digit) / 10)
			return SW_EINVAL;
		v = v * 10 + digit;
	}
	if (v > max)
		return SW_EINVAL;
	*out = v;
	return 0;
}

int sw_text_parse_span(const char *text, uint64_t *ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {{"ms", 1},        {"s", 1000},	{"m", 60 * 1000}, {"h", 3600 * 1000},
		     {"d", 86400000},  {"w", 604800000}, {"", 1000}};
	char digits[16];
	size_t n = strspn(text, "0123456789");
	uint64_t v;

	if (n == 0 || n >= sizeof(digits))
		return SW_EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + n, units[i].unit) != 0)
			continue;
		if (sw_text_parse_number(digits, UINT64_MAX / units[i].ms, &v) < 0)
			return SW_EINVAL;
		*ms = v * units[i].ms;
		return 0;
	}
	return SW_EINVAL;
}
