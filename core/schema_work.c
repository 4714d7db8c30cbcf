/*
 * What a check of a row may cost.
 *
 * SQLite cannot be stopped in the middle of one: its progress handler runs where a program jumps
 * back, and what a CHECK compiles to goes straight on to its end. So it is known before how much
 * there is to do. Each instruction runs once; most do next to nothing, and each of the others looks
 * at some values as a whole, which are no longer than SQLITE_LIMIT_LENGTH. Both numbers together
 * say how many bytes there are to look at, at most. The few functions whose work does not grow with
 * the length alone are our own here, and count what they do.
 */
#include "core/schema_internal.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What a byte costs that is searched for another text, and one that is held against a byte of a
 * pattern or a set, in bytes that are looked at once: measured, at the worst. */
#define SEARCH_COST 2
#define MATCH_COST  4

/*
 * What a hostile text could do by them ends soon, needs little memory, and gives the same tomorrow.
 * Those for JSON are not among them: SQLite 3.40 takes them for unsafe.
 */
static const char *const functions[] = {
    "abs",    "ceil",  "ceiling", "char",   "coalesce", "date",      "datetime", "floor",
    "glob",   "hex",   "ifnull",  "iif",    "instr",    "julianday", "length",   "like",
    "likely", "lower", "ltrim",   "max",    "min",      "mod",       "nullif",   "pow",
    "power",  "round", "rtrim",   "sign",   "sqrt",     "strftime",  "substr",   "substring",
    "time",   "trim",  "trunc",   "typeof", "unicode",  "unixepoch", "unlikely", "upper"};

/* They are quick, and a DEFAULT is there for what is new. */
static const char *const of_defaults[] = {"current_date", "current_time", "current_timestamp",
					  "random", "randomblob"};

static bool is_in(const char *const *list, size_t n_list, const char *name)
{
	size_t n = strcspn(name, "(");

	for (size_t i = 0; i < n_list; i++)
		if (strlen(list[i]) == n && sqlite3_strnicmp(list[i], name, (int)n) == 0)
			return true;
	return false;
}

bool sw_schema_may_call(const char *name)
{
	return is_in(functions, sizeof(functions) / sizeof(functions[0]), name);
}

bool sw_schema_may_default(const char *name)
{
	return sw_schema_may_call(name) ||
	       is_in(of_defaults, sizeof(of_defaults) / sizeof(of_defaults[0]), name);
}

/* Functions */

static bool spend(sqlite3_context *c, size_t n)
{
	size_t *left = sqlite3_user_data(c);

	if (n > *left) {
		sqlite3_result_error_toobig(c);
		return false;
	}
	*left -= n;
	return true;
}

static bool is_continued(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

/* A text, and how long it is. NULL: it is NULL, or there is no memory. */
static const char *text_of(sqlite3_value *v, size_t *n)
{
	const char *p = (const char *)sqlite3_value_text(v);

	*n = p ? (size_t)sqlite3_value_bytes(v) : 0;
	return p;
}

static bool is_blob(sqlite3_value *v)
{
	return sqlite3_value_type(v) == SQLITE_BLOB;
}

static void call_instr(sqlite3_context *c, int n_args, sqlite3_value **v)
{
	bool in_bytes = is_blob(v[0]) && is_blob(v[1]);
	const char *in = in_bytes ? sqlite3_value_blob(v[0]) : NULL, *what, *at;
	size_t n_in, n_what;
	sqlite3_int64 place = 1;

	(void)n_args;
	if (sqlite3_value_type(v[0]) == SQLITE_NULL || sqlite3_value_type(v[1]) == SQLITE_NULL)
		return;
	if (in_bytes) {
		n_in = (size_t)sqlite3_value_bytes(v[0]);
		what = sqlite3_value_blob(v[1]);
		n_what = (size_t)sqlite3_value_bytes(v[1]);
	} else {
		in = text_of(v[0], &n_in);
		what = text_of(v[1], &n_what);
	}
	if (!spend(c, (n_in + n_what) * SEARCH_COST))
		return;
	at = n_what == 0 ? in : n_in == 0 ? NULL : memmem(in, n_in, what, n_what);
	for (const char *p = in; at && p < at; p++)
		place += in_bytes || !is_continued(p[1]);
	sqlite3_result_int64(c, n_what == 0 || at ? place : 0);
}

/* SQLite tries what stands between two wildcards that stand for any text, at most, at each place.
 */
static size_t longest_piece(const char *pattern, char any)
{
	size_t longest = 1;

	for (const char *p = pattern; *p; p++) {
		size_t n = 0;

		while (p[n] && p[n] != any)
			n++;
		longest = n > longest ? n : longest;
		p += n;
		if (!*p)
			break;
	}
	return longest;
}

static void match(sqlite3_context *c, sqlite3_value **v, char any, unsigned escape)
{
	size_t n_pattern, n;
	const char *pattern = text_of(v[0], &n_pattern), *text = text_of(v[1], &n);

	if (!pattern || !text)
		return;
	if (n_pattern > SW_SCHEMA_PATTERN_MAX) {
		sqlite3_result_error(c, "LIKE or GLOB pattern too complex", -1);
		return;
	}
	if (!spend(c, (n + 1) * longest_piece(pattern, any) * MATCH_COST))
		return;
	sqlite3_result_int(c, any == '%' ? sqlite3_strlike(pattern, text, escape) == 0
					 : sqlite3_strglob(pattern, text) == 0);
}

static void call_glob(sqlite3_context *c, int n_args, sqlite3_value **v)
{
	(void)n_args;
	match(c, v, '*', 0);
}

static void call_like(sqlite3_context *c, int n_args, sqlite3_value **v)
{
	size_t n = 0;
	const char *escape = n_args == 3 ? text_of(v[2], &n) : "";

	if (!escape)
		return;
	if (n_args == 3 && (n != 1 || strchr("%_", escape[0]) || escape[0] & 0x80)) {
		sqlite3_result_error(c, "ESCAPE must be one ASCII character, and not % or _", -1);
		return;
	}
	match(c, v, '%', (unsigned char)escape[0]);
}

/* The bytes of the character of the set that the text begins with, or ends with; 0: of none. */
static size_t trimmed(const char *text, size_t n, const char *set, size_t n_set, bool at_end)
{
	for (size_t i = 0; i < n_set;) {
		size_t len = 1;

		while (i + len < n_set && is_continued(set[i + len]))
			len++;
		if (len <= n && memcmp(at_end ? text + n - len : text, set + i, len) == 0)
			return len;
		i += len;
	}
	return 0;
}

static void trim(sqlite3_context *c, sqlite3_value **v, bool at_start, bool at_end)
{
	size_t n, n_set, len;
	const char *text = text_of(v[0], &n), *set = text_of(v[1], &n_set);

	if (!text || !set || !spend(c, (n + 1) * (n_set + 1) * MATCH_COST))
		return;
	while (at_start && (len = trimmed(text, n, set, n_set, false)) > 0) {
		text += len;
		n -= len;
	}
	while (at_end && (len = trimmed(text, n, set, n_set, true)) > 0)
		n -= len;
	sqlite3_result_text(c, text, (int)n, SQLITE_TRANSIENT);
}

static void call_trim(sqlite3_context *c, int n_args, sqlite3_value **v)
{
	(void)n_args;
	trim(c, v, true, true);
}

static void call_ltrim(sqlite3_context *c, int n_args, sqlite3_value **v)
{
	(void)n_args;
	trim(c, v, true, false);
}

static void call_rtrim(sqlite3_context *c, int n_args, sqlite3_value **v)
{
	(void)n_args;
	trim(c, v, false, true);
}

int sw_schema_put_functions(sqlite3 *db, size_t *left)
{
	static const struct {
		const char *name;
		int n_args;
		void (*call)(sqlite3_context *c, int n_args, sqlite3_value **v);
	} own[] = {{"instr", 2, call_instr}, {"glob", 2, call_glob}, {"like", 2, call_like},
		   {"like", 3, call_like},   {"trim", 2, call_trim}, {"ltrim", 2, call_ltrim},
		   {"rtrim", 2, call_rtrim}};
	const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
	int rc = SQLITE_OK;

	for (size_t i = 0; rc == SQLITE_OK && i < sizeof(own) / sizeof(own[0]); i++)
		rc = sqlite3_create_function_v2(db, own[i].name, own[i].n_args, flags, left,
						own[i].call, NULL, NULL, NULL);
	return rc;
}

/* Programs */

/* Instructions that look at no value as a whole, or, all those of a program together, at the row
 * once or twice. Ascending. */
static const char *const light[] = {
    "CollSeq",       "Column",    "FkCheck",   "FkIfZero",    "Goto",      "Halt",
    "HaltIfNull",    "Init",      "Insert",    "Int64",       "Integer",   "IsNull",
    "NewRowid",      "Noop",      "NotExists", "NotNull",     "Null",      "Once",
    "OpenEphemeral", "OpenWrite", "Real",      "ResultRow",   "Rewind",    "SCopy",
    "SoftNull",      "String",    "String8",   "Transaction", "TypeCheck", "Variable"};

/* Those that go back; one Next is there to give the row that was stored. */
static const char *const repeats[] = {"Gosub",      "Next",  "Prev", "Program",
				      "SorterNext", "VNext", "Yield"};

static int name_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_one_of(const char *const *ascending, size_t n, const char *name)
{
	return bsearch(&name, ascending, n, sizeof(*ascending), name_cmp) != NULL;
}

/* By its name, with how many values it takes: -1 are any number. */
static size_t looks_of(const char *function)
{
	return function && strstr(function, "(-1)") ? SW_SCHEMA_ARGS_MAX : 1;
}

static bool is_call(const char *op)
{
	return strcmp(op, "Function") == 0 || strcmp(op, "PureFunc") == 0;
}

static void weigh_op(const char *op, const char *p4, size_t *n_repeats,
		     struct sw_schema_program *out)
{
	if (is_one_of(repeats, sizeof(repeats) / sizeof(repeats[0]), op))
		++*n_repeats;
	else if (!is_one_of(light, sizeof(light) / sizeof(light[0]), op))
		out->n_looks += is_call(op) ? looks_of(p4) : 1;
	if (is_call(op) && p4 && !sw_schema_may_default(p4) && !out->function[0])
		sqlite3_snprintf(sizeof(out->function), out->function, "%.*s",
				 (int)strcspn(p4, "("), p4);
}

int sw_schema_weigh(sqlite3 *db, const char *sql, struct sw_schema_program *out)
{
	char *explain = sqlite3_mprintf("EXPLAIN %s", sql);
	sqlite3_stmt *stmt = NULL;
	size_t n_repeats = 0;
	int rc = explain ? sqlite3_prepare_v2(db, explain, -1, &stmt, NULL) : SQLITE_NOMEM;

	*out = (struct sw_schema_program){0};
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		weigh_op((const char *)sqlite3_column_text(stmt, 1),
			 (const char *)sqlite3_column_text(stmt, 5), &n_repeats, out);
		rc = SQLITE_OK;
	}
	if (n_repeats > 1)
		out->n_looks = SIZE_MAX;
	sqlite3_finalize(stmt);
	sqlite3_free(explain);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}
