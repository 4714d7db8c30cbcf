/*
 * Rows of anybody, asked in SQL and exported. The input is a list of rows, and a statement. Every row comes back byte for byte, by a
 * scan and by its name; what is JSON output is JSON, whatever the rows are; the statement, whatever it is, ends and changes nothing;
 * exports of every form go through; and where the statement may write, what it sees afterwards is what the commit has.
 */
#include "core/json.h"
#include "fs/export.h"
#include "fs/sql.h"
#include "fs/sql_out.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/dbs.h"

#define ROWS_MAX 32
#define LOOKS	 200 /* at whether somebody waits, until nobody does */

struct rows {
	struct sw_view keys[ROWS_MAX], contents[ROWS_MAX];
	struct sw_write_op ops[ROWS_MAX]; /* whose order and content are the commit's */
	size_t n;
	size_t n_seen;
	size_t n_columns; /* of the statement */
};

static bool is_there(const struct rows *rows, struct sw_view key)
{
	for (size_t i = 0; i < rows->n; i++)
		if (sw_view_eq(rows->keys[i], key))
			return true;
	return false;
}

/* row = key:bytes content:bytes; a row that could not be one is left out. */
static void read_rows(struct sw_rd *in, struct rows *rows)
{
	size_t n = sw_rd_u8(in) % ROWS_MAX;

	while (n-- > 0 && !in->bad) {
		struct sw_view key = sw_rd_bytes(in, SW_NAME_MAX), content = sw_rd_bytes(in, sw_rd_left(in));

		if (in->bad || sw_name_check(key) < 0 || is_there(rows, key))
			continue;
		rows->keys[rows->n] = key;
		rows->contents[rows->n] = content;
		rows->ops[rows->n++] = (struct sw_write_op){
		    .op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = key, .row = {.mode = 0644, .mtime_ns = 1}}, .content = content};
	}
}

static bool is_gone(void *arg)
{
	return ++*(unsigned *)arg > LOOKS;
}

static int begin(void *arg, const struct sw_view *names, size_t n)
{
	struct rows *rows = arg;

	(void)names;
	rows->n_columns = n;
	return 0;
}

/* SELECT _key, _bytes, _size: one of the rows that were written. */
static int check_row(void *arg, const struct sw_sql_value *values, size_t n)
{
	struct rows *rows = arg;

	must(n == 3 && n == rows->n_columns && values[0].kind == SW_SQL_TEXT && values[2].kind == SW_SQL_INTEGER);
	for (size_t i = 0; i < rows->n; i++) {
		if (!sw_view_eq(rows->keys[i], values[0].bytes))
			continue;
		must(sw_view_eq(rows->contents[i], values[1].bytes));
		must((size_t)values[2].integer == values[1].bytes.n);
		rows->n_seen++;
		return 0;
	}
	must(false);
	return 0;
}

static int end(void *arg)
{
	(void)arg;
	return 0;
}

/* Rows that are asked for, and come back. */
static void check_rows(struct sw_sql *sql, struct rows *rows)
{
	struct sw_sql_sink sink = {.arg = rows, .begin = begin, .row = check_row, .end = end};
	size_t n = rows->n - is_there(rows, sw_view_str(".schema"));

	if (rows->n == 0)
		return;
	must(sw_sql_run(sql, sw_view_str("SELECT _key, _bytes, _size FROM t"), &sink) == 0);
	must(rows->n_seen == n);
	rows->n_seen = 0;
	must(sw_sql_run(sql, sw_view_str("SELECT b._key, b._bytes, b._size FROM t a JOIN t b ON a._key = b._key"), &sink) == 0);
	must(rows->n_seen == n);
}

static int run(struct sw_sql *sql, struct sw_view text, enum sw_sql_form form, struct sw_buf *said)
{
	struct sw_sql_out *out = NULL;
	struct sw_sql_sink sink;
	char *bytes = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&bytes, &n);
	int rc;

	must(f && sw_sql_out_new(f, form, &out) == 0);
	sink = sw_sql_out_sink(out);
	rc = sw_sql_run(sql, text, &sink);
	sw_sql_out_free(out);
	fclose(f);
	sw_buf_put(said, bytes, n);
	free(bytes);
	return rc;
}

static void check_lines(struct sw_view text)
{
	while (text.n > 0) {
		const uint8_t *line_end = memchr(text.p, '\n', text.n);
		size_t n = line_end ? (size_t)(line_end - text.p) : 0;

		must(line_end && sw_json_validate(sw_view(text.p, n)) == 0);
		text = sw_view(text.p + n + 1, text.n - n - 1);
	}
}

static void check_output(struct sw_sql *sql, const struct rows *rows)
{
	SW_BUF said = {0};

	if (rows->n == 0)
		return;
	must(run(sql, sw_view_str("SELECT *, _bytes, _mode FROM t"), SW_SQL_JSON, &said) == 0);
	check_lines(sw_buf_view(&said));
	for (int form = SW_SQL_TABLE; form <= SW_SQL_CSV; form++)
		must(run(sql, sw_view_str("SELECT * FROM t"), (enum sw_sql_form)form, &said) == 0);
}

static void check_export(struct sw_snap *snap)
{
	unsigned looks = 0;

	for (int format = SW_EXPORT_LINES; format <= SW_EXPORT_TAR; format++) {
		char *bytes = NULL;
		size_t n = 0;
		struct sw_export x = {.snap = snap, .out = open_memstream(&bytes, &n), .skip = true, .is_gone = is_gone, .arg = &looks};
		int rc = format == SW_EXPORT_TAR ? sw_export_tar(&x, NULL, 0)
						 : sw_export_table(&x, sw_view_str("t"), (enum sw_export_format)format);

		fclose(x.out);
		must(rc == 0);
		if (format == SW_EXPORT_LINES)
			check_lines(sw_view(bytes, n));
		must(format != SW_EXPORT_JSON || sw_json_validate(sw_view(bytes, n)) == 0);
		must(format != SW_EXPORT_TAR || n % 512 == 0);
		sw_buf_fini(&x.notes);
		free(bytes);
	}
}

static void ask(struct sw_snap *snap, struct rows *rows, struct sw_view text)
{
	struct sw_sql *sql;
	unsigned looks = 0;
	SW_BUF said = {0};

	must(sw_sql_new(snap, is_gone, &looks, &sql) == 0);
	check_rows(sql, rows);
	check_output(sql, rows);
	if (run(sql, text, SW_SQL_JSON, &said) == 0)
		check_lines(sw_buf_view(&said));
	sw_sql_free(sql);
}

static void see(struct sw_sql *sql, struct sw_buf *out)
{
	must(run(sql, sw_view_str("SELECT _key, _bytes, _size, _mode FROM t"), SW_SQL_JSON, out) == 0);
}

static void check_committed(struct sw_db *db, const struct sw_hash *commit, struct sw_view seen)
{
	struct sw_snap *snap;
	struct sw_sql *sql;
	unsigned looks = 0;
	SW_BUF now = {0};

	must(sw_snap_open(db, commit, &snap) == 0);
	must(sw_sql_new(snap, is_gone, &looks, &sql) == 0);
	see(sql, &now);
	must(sw_view_eq(sw_buf_view(&now), seen));
	sw_sql_free(sql);
	sw_snap_unref(snap);
}

static void change(struct sw_db *db, const struct sw_hash *commit, struct sw_snap *snap, struct sw_view text)
{
	struct sw_sql_written done;
	struct sw_sql *sql;
	unsigned looks = 0;
	SW_BUF said = {0};
	SW_BUF seen = {0};

	must(sw_sql_new(snap, is_gone, &looks, &sql) == 0);
	sw_sql_allow_writing(sql);
	if (run(sql, text, SW_SQL_JSON, &said) == 0) {
		looks = 0;
		see(sql, &seen);
		if (sw_sql_commit(sql, db, NULL, sw_view("", 0), &done) == 0)
			check_committed(db, sw_hash_is_zero(&done.commit) ? commit : &done.commit, sw_buf_view(&seen));
	}
	sw_sql_free(sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_rd in = sw_rd(sw_view(data, size));
	struct sw_head before, after;
	struct sw_snap *snap;
	struct sw_view text;
	struct sw_hash id;
	struct rows rows = {0};
	struct test_db t;
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = rows.ops};

	read_rows(&in, &rows);
	test_db_create(&t, 1);
	w.n = rows.n;
	must(rows.n == 0 || sw_db_commit(t.db, &w, &id) == 0);
	if (rows.n == 0)
		id = *sw_db_id(t.db);
	sw_db_head(t.db, &before);
	must(sw_snap_open(t.db, &id, &snap) == 0);
	text = sw_rd_take(&in, sw_rd_left(&in));
	ask(snap, &rows, text);
	if (rows.n > 0)
		check_export(snap);
	sw_db_head(t.db, &after);
	must(sw_head_eq(&before, &after));
	if (rows.n > 0)
		change(t.db, &id, snap, text);
	sw_snap_unref(snap);
	test_db_close(&t);
	return 0;
}
