/*
 * Import, the common part: finding out what the input is, naming rows, reading, and complaining.
 * The formats are in import_json.c, import_csv.c and import_dir.c.
 */
#include "fs/import_parse.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "fs/import_internal.h"

int sw_import_fail(const struct sw_import *im, int rc, uint64_t where, const char *format, ...)
{
	char sentence[768];
	va_list ap;

	va_start(ap, format);
	vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	if (where == 0)
		return sw_fail(rc, "%s: %s", im->path, sentence);
	return sw_fail(rc, "%s, %s %" PRIu64 ": %s", im->path, im->unit, where, sentence);
}

void sw_import_note(struct sw_import *im, const char *format, ...)
{
	char sentence[sizeof(im->report->note)];
	char *note = im->report->note;
	size_t used = strlen(note);
	size_t room = sizeof(im->report->note) - used;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(sentence, sizeof(sentence), format, ap);
	va_end(ap);
	if (n > 0 && (size_t)n + 2 <= room)
		snprintf(note + used, room, "%s%s", used ? " " : "", sentence);
}

const char *sw_import_show(struct sw_view v, char out[static SW_IMPORT_SHOW_SIZE])
{
	bool utf8 = sw_json_is_utf8(v);
	size_t n = v.n;

	if (n > SW_IMPORT_SHOW_SIZE - 4) {
		n = SW_IMPORT_SHOW_SIZE - 4;
		while (utf8 && n > 0 && (v.p[n] & 0xc0) == 0x80)
			n--;
	}
	for (size_t i = 0; i < n; i++) {
		bool plain = v.p[i] >= 0x20 && v.p[i] != 0x7f && (utf8 || v.p[i] < 0x80);

		out[i] = (char)(plain ? v.p[i] : '?');
	}
	snprintf(out + n, SW_IMPORT_SHOW_SIZE - n, "%s", n < v.n ? "..." : "");
	return out;
}

int sw_import_check_name(const struct sw_import *im, uint64_t where, const char *what,
			 struct sw_view name)
{
	char shown[SW_IMPORT_SHOW_SIZE];
	const char *cause = "is '.' or '..'";
	int rc = sw_name_check(name);

	if (rc == 0)
		return 0;
	if (rc == SW_ETOOLONG)
		cause = "is longer than 255 bytes";
	else if (name.n == 0)
		cause = "is empty";
	else if (memchr(name.p, '/', name.n))
		cause = "contains '/'";
	else if (memchr(name.p, 0, name.n))
		cause = "contains a NUL byte";
	return sw_import_fail(im, SW_EFORMAT, where, "the %s \"%s\" %s; give it another", what,
			      sw_import_show(name, shown), cause);
}

int sw_import_begin_table(struct sw_import *im, struct sw_view table)
{
	char shown[SW_IMPORT_SHOW_SIZE];
	int rc = sw_import_check_name(im, 0, "table name", table);

	if (rc < 0)
		return rc;
	if (sw_name_is_control(table))
		return sw_import_fail(im, SW_EPERM, 0, "no table can be named \"%s\": a mount has that name for itself; give it "
						       "another", sw_import_show(table, shown));
	im->table = table;
	im->report->n_tables++;
	return im->sink->table ? im->sink->table(im->sink->arg, table) : 0;
}

int sw_import_emit(struct sw_import *im, struct sw_view key, struct sw_view bytes,
		   const struct sw_import_meta *meta)
{
	int rc = im->sink->row(im->sink->arg, im->table, key, bytes, meta);

	if (rc < 0)
		return rc;
	im->report->n_rows++;
	return 0;
}

/* Keys seen */

static struct sw_import_seen_key *seen_slot(const struct sw_import_seen *seen, uint64_t hash,
					    uint32_t more)
{
	size_t i = hash & (seen->cap - 1);

	while (seen->v[i].where != 0 && (seen->v[i].hash != hash || seen->v[i].more != more))
		i = (i + 1) & (seen->cap - 1);
	return &seen->v[i];
}

static int seen_grow(struct sw_import_seen *seen)
{
	struct sw_import_seen bigger = *seen;

	bigger.cap = seen->cap ? 2 * seen->cap : 1024;
	bigger.v = calloc(bigger.cap, sizeof(*bigger.v));
	if (!bigger.v)
		return SW_ENOMEM;
	for (size_t i = 0; i < seen->cap; i++) {
		if (seen->v[i].where != 0)
			*seen_slot(&bigger, seen->v[i].hash, seen->v[i].more) = seen->v[i];
	}
	free(seen->v);
	*seen = bigger;
	return 0;
}

/* Remember that key stands at where; *before is where it stood already, or 0. */
static int seen_add(struct sw_import_seen *seen, struct sw_view key, uint64_t where,
		    uint64_t *before)
{
	uint64_t hash = sw_sip(&seen->sip[0], key);
	uint32_t more = (uint32_t)sw_sip(&seen->sip[1], key);
	struct sw_import_seen_key *slot;

	assert(where > 0);
	if (seen->n >= seen->cap / 4 * 3) {
		int rc = seen_grow(seen);

		if (rc < 0)
			return rc;
	}
	slot = seen_slot(seen, hash, more);
	*before = slot->where;
	if (slot->where == 0) {
		slot->hash = hash;
		slot->more = more;
		slot->where = where < UINT32_MAX ? (uint32_t)where : UINT32_MAX;
		seen->n++;
	}
	return 0;
}

/* Naming rows */

/* Which key column a member is, or n_keys. */
static int key_index(struct sw_import *im, struct sw_view raw, size_t *out)
{
	struct sw_view name = raw;

	if (memchr(raw.p, '\\', raw.n)) {
		int rc;

		sw_buf_reset(&im->name);
		rc = sw_json_unescape(raw, &im->name);
		if (rc < 0)
			return rc;
		name = sw_buf_view(&im->name);
	}
	for (*out = 0; *out < im->n_keys; ++*out) {
		if (sw_view_eq(name, sw_view_str(im->keys[*out])))
			break;
	}
	return 0;
}

/* Check all of the object and find its key columns, whose values stay empty when absent. */
static int find_keys(struct sw_import *im, uint64_t where, struct sw_view text,
		     struct sw_view *values)
{
	struct sw_json_iter it;
	struct sw_json_member m;
	int rc;

	if (text.n == 0 || text.p[0] != '{')
		return sw_import_fail(im, SW_EFORMAT, where,
				      "is not a JSON object; every row must be one, {...}");
	sw_json_iter_init(&it, text);
	while ((rc = sw_json_next_member(&it, &m)) > 0) {
		size_t i;

		rc = key_index(im, m.key, &i);
		if (rc < 0)
			return rc;
		if (i == im->n_keys)
			continue;
		if (values[i].n > 0)
			return sw_import_fail(im, SW_EFORMAT, where,
					      "has the key column \"%s\" twice; remove one",
					      im->keys[i]);
		values[i] = m.value;
	}
	if (rc == 0)
		return 0;
	return sw_import_fail(
	    im, rc, where,
	    "is not one valid JSON object, byte %zu of it is wrong; correct it, or "
	    "use --format json if one document spans many lines",
	    it.at + 1);
}

static int put_key_value(struct sw_import *im, uint64_t where, const char *column,
			 struct sw_view value)
{
	const char *kind = "null";
	uint8_t first;

	if (value.n == 0)
		return sw_import_fail(
		    im, SW_EFORMAT, where,
		    "has no column \"%s\", which the key is taken from; add it, or name "
		    "another with --key",
		    column);
	first = value.p[0];
	if (first == '"')
		return sw_json_unescape(sw_view(value.p + 1, value.n - 2), &im->key);
	if (first == '-' || (first >= '0' && first <= '9')) {
		sw_buf_put_view(&im->key, value);
		return im->key.rc;
	}
	if (first == '{')
		kind = "an object";
	else if (first == '[')
		kind = "an array";
	else if (first != 'n')
		kind = "true or false";
	return sw_import_fail(im, SW_EFORMAT, where,
			      "the key column \"%s\" is %s; a key must be a string or a number, so "
			      "name another column with --key",
			      column, kind);
}

static int make_key(struct sw_import *im, uint64_t where, const struct sw_view *values)
{
	char shown[SW_IMPORT_SHOW_SIZE];
	uint64_t before;
	int rc;

	for (size_t i = 0; i < im->n_keys; i++) {
		if (i > 0)
			sw_buf_put_u8(&im->key, '-');
		rc = put_key_value(im, where, im->keys[i], values[i]);
		if (rc < 0)
			return rc;
	}
	if (im->key.n == 0)
		return sw_import_fail(im, SW_EFORMAT, where,
				      "the key column \"%s\" is empty; fill it in, or name another "
				      "with --key",
				      im->keys[0]);
	rc = seen_add(&im->seen, sw_buf_view(&im->key), where, &before);
	if (rc < 0)
		return rc;
	if (before != 0)
		return sw_import_fail(im, SW_EFORMAT, where,
				      "has the key \"%s\", as %s %" PRIu64
				      " has; make them differ, or name more columns with --key",
				      sw_import_show(sw_buf_view(&im->key), shown), im->unit,
				      before);
	return 0;
}

int sw_import_object(struct sw_import *im, uint64_t where, struct sw_view text)
{
	struct sw_view values[SW_IMPORT_KEYS_MAX] = {{NULL, 0}};
	int rc = find_keys(im, where, text, values);

	if (rc < 0)
		return rc;
	if (text.n > SW_IMPORT_ROW_MAX)
		return sw_import_fail(im, SW_ELIMIT, where, "is longer than 64 MiB; split it");
	if (im->naming == SW_IMPORT_UNDECIDED) {
		im->naming = values[0].n > 0 ? SW_IMPORT_BY_COLUMN : SW_IMPORT_BY_NUMBER;
		if (im->naming == SW_IMPORT_BY_NUMBER)
			im->n_keys = 0;
	}
	sw_buf_reset(&im->key);
	if (im->naming == SW_IMPORT_BY_NUMBER)
		sw_buf_printf(&im->key, "%08" PRIu64, im->report->n_rows + 1);
	else if ((rc = make_key(im, where, values)) < 0)
		return rc;
	sw_buf_put(&im->key, ".json", 5);
	sw_buf_reset(&im->row);
	sw_buf_put_view(&im->row, text);
	sw_buf_put_u8(&im->row, '\n');
	if (im->key.rc < 0 || im->row.rc < 0)
		return SW_ENOMEM;
	rc = sw_import_check_name(im, where, "row name", sw_buf_view(&im->key));
	if (rc < 0)
		return rc;
	return sw_import_emit(im, sw_buf_view(&im->key), sw_buf_view(&im->row), NULL);
}

/* Reading */

int sw_import_fill(struct sw_import *im, struct sw_import_source *s)
{
	ssize_t n;

	if (s->eof)
		return 0;
	if (!sw_buf_reserve(&s->buf, SW_IMPORT_READ_SIZE))
		return SW_ENOMEM;
	do {
		n = read(s->fd, s->buf.p + s->buf.n, s->buf.cap - s->buf.n);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		int sys = errno;

		return sw_import_fail(im, sw_err_from_errno(sys), 0, "reading failed: %s",
				      strerror(sys));
	}
	s->buf.n += (size_t)n;
	s->eof = n == 0;
	return n > 0;
}

int sw_import_read_all(struct sw_import *im, struct sw_import_source *s)
{
	int rc;

	while ((rc = sw_import_fill(im, s)) > 0) {
		if (s->buf.n > SW_IMPORT_FILE_MAX)
			return sw_import_fail(
			    im, SW_ELIMIT, 0,
			    "is larger than 4 GiB; split it, or convert it to JSON "
			    "Lines, which has no limit");
	}
	return rc;
}

int sw_import_next_line(struct sw_import *im, struct sw_import_source *s, uint64_t where,
			struct sw_view *out)
{
	size_t searched = 0;

	for (;;) {
		size_t n = s->buf.n - s->at;
		const uint8_t *end = NULL;
		int rc;

		if (n > searched)
			end = memchr(s->buf.p + s->at + searched, '\n', n - searched);
		if (end)
			n = (size_t)(end - (s->buf.p + s->at)) + 1;
		if (n > SW_IMPORT_ROW_MAX + 2)
			return sw_import_fail(im, SW_ELIMIT, where,
					      "is longer than 64 MiB; split it");
		if (end || (s->eof && n > 0)) {
			*out = sw_view(s->buf.p + s->at, n);
			s->at += n;
			return 1;
		}
		/* Only a part of a line is left: make room behind it by moving it to the front. */
		searched = n;
		if (s->at > 0)
			memmove(s->buf.p, s->buf.p + s->at, n);
		s->buf.n = n;
		s->at = 0;
		if (s->eof)
			return 0;
		rc = sw_import_fill(im, s);
		if (rc < 0)
			return rc;
	}
}

/* What the input is */

int sw_import_format_parse(const char *name, enum sw_import_format *out)
{
	static const struct {
		const char *name;
		enum sw_import_format format;
	} names[] = {
	    {"json", SW_IMPORT_JSON},           {"lines", SW_IMPORT_LINES},
	    {"jsonl", SW_IMPORT_LINES},         {"csv", SW_IMPORT_CSV},
	    {"directory", SW_IMPORT_DIRECTORY},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(name, names[i].name) == 0) {
			*out = names[i].format;
			return 0;
		}
	}
	return sw_fail(SW_EINVAL, "\"%s\" is no import format; use json, lines, csv or directory",
		       name);
}

static bool ends_in(const char *path, const char *suffix)
{
	size_t n = strlen(path);
	size_t m = strlen(suffix);

	return n >= m && strcmp(path + n - m, suffix) == 0;
}

static enum sw_import_format format_of_name(const char *path)
{
	if (ends_in(path, ".json"))
		return SW_IMPORT_JSON;
	if (ends_in(path, ".jsonl") || ends_in(path, ".ndjson"))
		return SW_IMPORT_LINES;
	if (ends_in(path, ".csv"))
		return SW_IMPORT_CSV;
	return SW_IMPORT_GUESS;
}

static int skip_byte_order_mark(struct sw_import *im, struct sw_import_source *s)
{
	int rc = 1;

	while (rc > 0 && s->buf.n < 3)
		rc = sw_import_fill(im, s);
	if (rc >= 0 && s->buf.n >= 3 && memcmp(s->buf.p, "\xef\xbb\xbf", 3) == 0)
		s->at = 3;
	return rc < 0 ? rc : 0;
}

/* Look at the first byte that is not whitespace, without consuming anything. */
static int guess_format(struct sw_import *im, struct sw_import_source *s,
			enum sw_import_format *out)
{
	size_t at = s->at;

	for (;;) {
		int rc;

		while (at < s->buf.n && sw_import_is_space(s->buf.p[at]))
			at++;
		if (at < s->buf.n)
			break;
		if (at > SW_IMPORT_ROW_MAX)
			return sw_import_fail(
			    im, SW_EFORMAT, 0,
			    "begins with 64 MiB of whitespace; say what it is with "
			    "--format");
		rc = sw_import_fill(im, s);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return sw_import_fail(
			    im, SW_EFORMAT, 0,
			    "is empty; give a file that has rows, or say what it is "
			    "with --format");
	}
	*out = s->buf.p[at] == '['   ? SW_IMPORT_JSON
	       : s->buf.p[at] == '{' ? SW_IMPORT_LINES
				     : SW_IMPORT_CSV;
	return 0;
}

/* The last component of path, without its suffix if it has one; *out is a view of path. */
static struct sw_view stem(const char *path, bool strip)
{
	const char *end = path + strlen(path);
	const char *from;

	while (end > path && end[-1] == '/')
		end--;
	from = end;
	while (from > path && from[-1] != '/')
		from--;
	if (strip) {
		const char *dot = memrchr(from, '.', (size_t)(end - from));

		if (dot && dot > from)
			end = dot;
	}
	return sw_view(from, (size_t)(end - from));
}

static int read_stream(struct sw_import *im, int fd, struct sw_view table,
		       enum sw_import_format format)
{
	struct sw_import_source s = {.fd = fd};
	int rc = skip_byte_order_mark(im, &s);

	if (rc == 0 && format == SW_IMPORT_GUESS)
		rc = guess_format(im, &s, &format);
	if (rc == 0)
		rc = sw_import_begin_table(im, table);
	im->report->format = format;
	if (rc == 0 && format == SW_IMPORT_JSON)
		rc = sw_import_json(im, &s);
	else if (rc == 0 && format == SW_IMPORT_LINES)
		rc = sw_import_lines(im, &s);
	else if (rc == 0)
		rc = sw_import_csv(im, &s);
	sw_buf_fini(&s.buf);
	return rc;
}

static int read_directory(struct sw_import *im, int fd)
{
	const struct sw_import_options *o = im->options;
	char *real = NULL;
	int rc;

	if (o->n_keys > 0 || o->number)
		return sw_import_fail(
		    im, SW_EINVAL, 0,
		    "is a directory, whose files have names already; leave out --key");
	im->report->format = SW_IMPORT_DIRECTORY;
	if (o->table) {
		im->table = sw_view_str(o->table);
	} else {
		/* "." and "x/.." have names, too. */
		real = realpath(im->path, NULL);
		im->table = stem(real ? real : im->path, false);
	}
	rc = sw_import_directory(im, fd);
	free(real);
	return rc;
}

static int read_path(struct sw_import *im, int fd, bool is_directory)
{
	const struct sw_import_options *o = im->options;
	enum sw_import_format format = o->format;
	struct sw_view table;

	if (format != SW_IMPORT_GUESS && is_directory != (format == SW_IMPORT_DIRECTORY))
		return sw_import_fail(im, SW_EINVAL, 0,
				      is_directory ? "is a directory; leave out --format"
						   : "is not a directory; leave out --format");
	if (is_directory)
		return read_directory(im, fd);
	if (format == SW_IMPORT_GUESS)
		format = format_of_name(im->path);
	table = o->table ? sw_view_str(o->table) : stem(im->path, true);
	return read_stream(im, fd, table, format);
}

static int check_options(const struct sw_import *im, const char *path)
{
	const struct sw_import_options *o = im->options;

	if (o->n_keys > SW_IMPORT_KEYS_MAX)
		return sw_import_fail(im, SW_EINVAL, 0, "a key has at most %d columns; name fewer",
				      SW_IMPORT_KEYS_MAX);
	if (o->n_keys > 0 && o->number)
		return sw_import_fail(im, SW_EINVAL, 0,
				      "rows are named by key columns or by numbers; choose one");
	if (strcmp(path, "-") == 0 && !o->table)
		return sw_import_fail(im, SW_EINVAL, 0, "has no name; name the table with --table");
	return 0;
}

static int open_and_read(struct sw_import *im, const char *path)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int sys = errno;

		rc = sw_import_fail(im, sw_err_from_errno(sys), 0, "cannot be opened: %s",
				    strerror(sys));
	} else {
		rc = read_path(im, fd, S_ISDIR(st.st_mode));
	}
	if (fd >= 0 && !is_stdin)
		close(fd);
	return rc;
}

int sw_import_read(const char *path, const struct sw_import_options *options,
		   const struct sw_import_sink *sink, struct sw_import_report *report)
{
	static const char *const id[] = {"id"};
	struct sw_import im = {
	    .path = strcmp(path, "-") == 0 ? "standard input" : path,
	    .options = options,
	    .sink = sink,
	    .report = report,
	    .unit = "line",
	    .naming = SW_IMPORT_UNDECIDED,
	    .keys = id,
	    .n_keys = 1,
	};
	int rc;

	*report = (struct sw_import_report){0};
	if (options->number) {
		im.naming = SW_IMPORT_BY_NUMBER;
		im.n_keys = 0;
	} else if (options->n_keys > 0) {
		im.naming = SW_IMPORT_BY_COLUMN;
		im.keys = options->keys;
		im.n_keys = options->n_keys;
	}
	/* The keys are not secret: input that makes them collide is only refused. */
	sw_sip_derive(&sw_hash_zero, 'I', 0, &im.seen.sip[0]);
	sw_sip_derive(&sw_hash_zero, 'I', 1, &im.seen.sip[1]);
	rc = check_options(&im, path);
	if (rc == 0)
		rc = open_and_read(&im, path);
	free(im.seen.v);
	sw_buf_fini(&im.key);
	sw_buf_fini(&im.name);
	sw_buf_fini(&im.row);
	return rc;
}
