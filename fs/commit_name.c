#include "fs/commit_name.h"

#include <stdio.h>
#include <time.h>

#include "core/hlc.h"

#define ID_BYTES (SW_COMMIT_ID_DIGITS / 2)

static void name_of(uint64_t stamp, const uint8_t *id, char out[static SW_COMMIT_NAME_SIZE])
{
	uint64_t ms = sw_hlc_ms(stamp);
	time_t seconds = (time_t)(ms / 1000);
	char hex[SW_COMMIT_ID_DIGITS + 1];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	sw_hex(id, ID_BYTES, hex);
	snprintf(out, SW_COMMIT_NAME_SIZE, "%04ld%02u%02uT%02u%02u%02u.%03uZ.%04x-%s",
		 (long)tm.tm_year + 1900, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100, (unsigned)(ms % 1000), sw_hlc_counter(stamp), hex);
}

void sw_commit_name(const struct sw_order *order, char out[static SW_COMMIT_NAME_SIZE])
{
	struct sw_hash id;

	sw_order_id(order, &id);
	name_of(sw_order_stamp(order), id.b, out);
}

/* n decimal digits. */
static bool digits(const char **p, int n, int *out)
{
	*out = 0;
	for (int i = 0; i < n; i++, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return true;
}

/* Milliseconds since 1970; the caller checks that the fields were in range by writing them again. */
static bool to_ms(const struct tm *fields, int ms, uint64_t *out)
{
	struct tm tm = *fields;
	time_t seconds;

	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	seconds = timegm(&tm);
	if (seconds < 0)
		return false;
	*out = (uint64_t)seconds * 1000 + (uint64_t)ms;
	return true;
}

bool sw_commit_name_parse(struct sw_view name, uint64_t *stamp,
			  uint8_t id[static SW_COMMIT_ID_DIGITS / 2])
{
	char text[SW_COMMIT_NAME_SIZE], again[SW_COMMIT_NAME_SIZE];
	const char *p = text;
	struct tm tm = {0};
	uint8_t counter[2];
	uint64_t at;
	int ms;

	if (name.n != strlen("20261121T013325.123Z.0000-") + SW_COMMIT_ID_DIGITS)
		return false;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	if (!digits(&p, 4, &tm.tm_year) || !digits(&p, 2, &tm.tm_mon) || !digits(&p, 2, &tm.tm_mday) ||
	    *p++ != 'T' || !digits(&p, 2, &tm.tm_hour) || !digits(&p, 2, &tm.tm_min) ||
	    !digits(&p, 2, &tm.tm_sec) || *p++ != '.' || !digits(&p, 3, &ms) || !to_ms(&tm, ms, &at))
		return false;
	if (sw_unhex(sw_view(text + 21, 4), counter, 2) < 0 ||
	    sw_unhex(sw_view(text + 26, SW_COMMIT_ID_DIGITS), id, ID_BYTES) < 0)
		return false;
	*stamp = at << 16 | (uint64_t)counter[0] << 8 | counter[1];
	name_of(*stamp, id, again);
	return strcmp(text, again) == 0;
}

static int find_snapshot(const struct sw_reader *r, uint64_t stamp, const uint8_t *id,
			 struct sw_order *out)
{
	struct sw_cursor c = {0};
	uint8_t from[8];
	int rc;

	sw_set_u64(from, stamp);
	rc = sw_cursor_seek(&c, r->nodes, &r->head.line, sw_view(from, sizeof(from)));
	for (; rc > 0; rc = sw_cursor_next(&c)) {
		struct sw_hash found;

		memcpy(out->b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
		sw_order_id(out, &found);
		if (sw_order_stamp(out) != stamp)
			rc = 0;
		if (rc == 0 || memcmp(found.b, id, ID_BYTES) == 0)
			break;
	}
	sw_cursor_fini(&c);
	return rc > 0 ? 0 : rc == 0 ? SW_ENOTFOUND : rc;
}

/* Nothing or "Z": UTC; else "+01:00" or "-05:30", in minutes. */
static bool parse_zone(const char **p, int *minutes)
{
	int sign = **p == '-' ? -1 : 1, hours, rest;

	*minutes = 0;
	if (**p == 'Z')
		++*p;
	else if (**p == '+' || **p == '-') {
		++*p;
		if (!digits(p, 2, &hours) || *(*p)++ != ':' || !digits(p, 2, &rest) || hours > 23 || rest > 59)
			return false;
		*minutes = sign * (60 * hours + rest);
	}
	return **p == '\0';
}

bool sw_commit_time_parse(const char *p, uint64_t *begin_ms, uint64_t *end_ms)
{
	struct tm tm = {0}, again;
	int ms = 0, zone = 0;
	uint64_t step = 86400000, at;
	time_t seconds;

	if (!digits(&p, 4, &tm.tm_year) || *p++ != '-' || !digits(&p, 2, &tm.tm_mon) || *p++ != '-' ||
	    !digits(&p, 2, &tm.tm_mday))
		return false;
	if (*p == 'T') {
		p++;
		step = 60000;
		if (!digits(&p, 2, &tm.tm_hour) || *p++ != ':' || !digits(&p, 2, &tm.tm_min))
			return false;
	}
	if (step == 60000 && *p == ':') {
		p++;
		step = 1000;
		if (!digits(&p, 2, &tm.tm_sec))
			return false;
	}
	if (step == 1000 && *p == '.') {
		p++;
		step = 1;
		if (!digits(&p, 3, &ms))
			return false;
	}
	if (!parse_zone(&p, &zone) || !to_ms(&tm, ms, &at))
		return false;
	seconds = (time_t)(at / 1000);
	gmtime_r(&seconds, &again);
	if (again.tm_mon + 1 != tm.tm_mon || again.tm_mday != tm.tm_mday || again.tm_hour != tm.tm_hour ||
	    again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
		return false;
	if (zone > 0 && at < (uint64_t)zone * 60000)
		return false;
	*begin_ms = at - (uint64_t)((int64_t)zone * 60000);
	*end_ms = *begin_ms + step;
	return *end_ms < (uint64_t)1 << 48;
}

/* The newest commit stamped before end_ms. */
static int find_before(const struct sw_reader *r, uint64_t end_ms, struct sw_order *out)
{
	struct sw_cursor c = {0};
	uint8_t from[8];
	uint64_t rank;
	int rc;

	sw_set_u64(from, end_ms << 16);
	rc = sw_tree_rank(r->nodes, &r->head.line, sw_view(from, sizeof(from)), &rank);
	if (rc < 0)
		return rc;
	if (rank == 0)
		return SW_ENOTFOUND;
	rc = sw_cursor_seek_rank(&c, r->nodes, &r->head.line, rank - 1);
	if (rc > 0)
		memcpy(out->b, sw_cursor_entry(&c)->key.p, SW_ORDER_SIZE);
	sw_cursor_fini(&c);
	return rc > 0 ? 0 : rc == 0 ? SW_ENOTFOUND : rc;
}

static int find_time(const struct sw_reader *r, struct sw_view name, struct sw_order *out)
{
	char text[SW_COMMIT_NAME_SIZE];
	uint64_t begin_ms, end_ms;
	int rc;

	if (name.n >= sizeof(text))
		return sw_fail(SW_EINVAL, "a time has less than %zu characters; write it like @2026-11-21T01:33 (UTC)",
			       sizeof(text));
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	if (!sw_commit_time_parse(text + 1, &begin_ms, &end_ms))
		return sw_fail(SW_EINVAL, "'%s' is no time; write it like @2026-11-21T01:33 (UTC)", text);
	rc = find_before(r, end_ms, out);
	if (rc == SW_ENOTFOUND)
		return sw_fail(rc, "there is no commit as early as %s; 'swarmfs log' lists them", text + 1);
	return rc;
}

int sw_commit_find(const struct sw_reader *r, struct sw_view name, struct sw_order *out)
{
	uint8_t id[ID_BYTES];
	uint64_t stamp;

	if (sw_commit_name_parse(name, &stamp, id)) {
		int rc = find_snapshot(r, stamp, id, out);

		if (rc == SW_ENOTFOUND)
			return sw_fail(rc, "there is no commit '%.*s'; 'swarmfs log' lists them",
				       (int)name.n, (const char *)name.p);
		return rc;
	}
	if (name.n > 0 && name.p[0] == '@')
		return find_time(r, name, out);
	return sw_db_resolve(r, name, out);
}

int sw_commit_find_all(struct sw_db *db, const char *const *names, size_t n, struct sw_order *out)
{
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = sw_commit_find(&r, sw_view_str(names[i]), &out[i]);
	sw_reader_end(&r);
	return rc;
}

int sw_snap_open_named(struct sw_db *db, const char *name, struct sw_snap **out)
{
	struct sw_order order;
	struct sw_hash id;
	int rc;

	if (!name)
		name = "HEAD";
	rc = sw_commit_find_all(db, &name, 1, &order);
	if (rc < 0)
		return rc;
	sw_order_id(&order, &id);
	return sw_snap_open(db, &id, out);
}
