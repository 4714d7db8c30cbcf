/*
 * Import: what each format yields, how rows are named, what is refused and how that is said. Input
 * is written to a scratch directory; a sink collects rows as text. SW_SEED=n replays random runs.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/json.h"
#include "fs/import_parse.h"
#include "tests/lib/rng.h"

static char scratch[] = "/tmp/test_import_XXXXXX";
static struct rng rng;

static unsigned below(unsigned n)
{
	return rng_below(&rng, n);
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(scratch) && chdir(scratch) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", scratch);
	return chdir("/") == 0 ? system(command) : -1;
}

static void put_file(const char *name, struct sw_view content)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content.p, content.n), content.n);
	assert_int_equal(close(fd), 0);
}

/* What a sink saw: "TABLE/KEY BYTES" per row and "TABLE:" per table, a newline after tables. */
struct seen {
	struct sw_buf text;
	struct sw_import_report report;
	uint64_t stop_after; /* fail on the row after so many; 0: never */
	uint64_t n;
	bool with_meta;
};

static int on_table(void *arg, struct sw_view table)
{
	struct seen *s = arg;

	sw_buf_put_view(&s->text, table);
	sw_buf_put(&s->text, ":\n", 2);
	return 0;
}

static int on_row(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
		  const struct sw_import_meta *meta)
{
	struct seen *s = arg;

	if (s->stop_after != 0 && s->n == s->stop_after)
		return SW_ENOSPC;
	s->n++;
	sw_buf_put_view(&s->text, table);
	sw_buf_put_u8(&s->text, '/');
	sw_buf_put_view(&s->text, key);
	if (s->with_meta && meta)
		sw_buf_printf(&s->text, " %o %" PRId64, meta->mode, meta->mtime_ns);
	sw_buf_put_u8(&s->text, ' ');
	sw_buf_put_view(&s->text, bytes);
	return 0;
}

static void seen_fini(struct seen *s)
{
	sw_buf_fini(&s->text);
}

#define SEEN SW_CLEANUP(seen_fini) struct seen

static int import(const char *path, const struct sw_import_options *options, struct seen *s)
{
	const struct sw_import_sink sink = {.table = on_table, .row = on_row, .arg = s};

	return sw_import_read(path, options, &sink, &s->report);
}

/* The import succeeds and the sink sees exactly want. */
static void assert_import(const char *path, const struct sw_import_options *options,
			  const char *want)
{
	SEEN s = {.with_meta = false};
	int rc = import(path, options, &s);

	if (rc != 0)
		fail_msg("%s", sw_fail_message(rc));
	if (!sw_view_eq(sw_buf_view(&s.text), sw_view_str(want)))
		fail_msg("got:\n%.*s\nwant:\n%s", (int)s.text.n, (const char *)s.text.p, want);
}

/* The import fails with rc and a sentence that has both parts in it. */
static void assert_refused(const char *path, const struct sw_import_options *options, int want_rc,
			   const char *part, const char *other)
{
	SEEN s = {.with_meta = false};
	int rc = import(path, options, &s);
	const char *message = sw_fail_message(rc);

	if (rc != want_rc || !strstr(message, part) || !strstr(message, other))
		fail_msg("%s: %d, %s\nwant %d, %s, %s", path, rc, message, want_rc, part, other);
	assert_true(strncmp(message, path, strlen(path)) == 0 || path[0] == '-');
}

static const struct sw_import_options defaults;

static void array_elements_are_rows_verbatim(void **state)
{
	(void)state;
	put_file("users.json",
		 sw_view_str(" [ {\"id\": 1.0 , \"x\":[ ]}\n,\n{\n \"id\":\"b\"}\t] "));
	assert_import(
	    "users.json", &defaults,
	    "users:\nusers/1.0.json {\"id\": 1.0 , \"x\":[ ]}\nusers/b.json {\n \"id\":\"b\"}\n");
	put_file("none.json", sw_view_str("[]"));
	assert_import("none.json", &defaults, "none:\n");
	put_file("mark.json", sw_view_str("\xef\xbb\xbf[{\"id\":1}]"));
	assert_import("mark.json", &defaults, "mark:\nmark/1.json {\"id\":1}\n");
}

static void the_single_array_of_an_object_holds_the_rows(void **state)
{
	SEEN s = {.with_meta = false};

	(void)state;
	put_file("iso_3166-1.json",
		 sw_view_str("{\"source\": \"iso\",\n \"3166-1\": [\n {\"alpha_2\": \"AW\"} ]}\n"));
	assert_int_equal(import("iso_3166-1.json", &defaults, &s), 0);
	assert_string_equal(s.report.note,
			    "The rows are the elements of \"3166-1\". 1 other member "
			    "beside it was not imported.");
	assert_int_equal(s.report.format, SW_IMPORT_JSON);
	assert_int_equal(s.report.n_rows, 1);
	assert_true(
	    sw_view_eq(sw_buf_view(&s.text), sw_view_str("iso_3166-1:\niso_3166-1/00000001.json "
							 "{\"alpha_2\": \"AW\"}\n")));
	put_file("two.json", sw_view_str("{\"a\":[],\"b\":[]}"));
	assert_refused("two.json", &defaults, SW_EFORMAT, "2 arrays", "--format lines");
	put_file("zero.json", sw_view_str("{\"a\":1}"));
	assert_refused("zero.json", &defaults, SW_EFORMAT, "0 arrays", "[{...}]");
}

static void lines_are_rows_verbatim(void **state)
{
	(void)state;
	put_file("l.jsonl",
		 sw_view_str("\xef\xbb\xbf{\"id\" : 1}\r\n\n  \t\n {\"id\":2} \n{\"id\":3}"));
	assert_import("l.jsonl", &defaults,
		      "l:\nl/1.json {\"id\" : 1}\nl/2.json {\"id\":2}\nl/3.json {\"id\":3}\n");
	put_file("empty.ndjson", sw_view_str(""));
	assert_import("empty.ndjson", &defaults, "empty:\n");
}

static void records_become_objects(void **state)
{
	(void)state;
	put_file("c.csv", sw_view_str("id,full name,\"a\"\"b\"\r\n"
				      "1,  Ann ,\r\n"
				      "\r\n"
				      "2,\"x, \"\"y\"\"\nz\",\\\n"
				      "3,\xc3\xa9\t\x01\x7f/,\"\""));
	assert_import(
	    "c.csv", &defaults,
	    "c:\n"
	    "c/1.json {\"id\":\"1\",\"full name\":\"  Ann \",\"a\\\"b\":\"\"}\n"
	    "c/2.json {\"id\":\"2\",\"full name\":\"x, \\\"y\\\"\\nz\",\"a\\\"b\":\"\\\\\"}\n"
	    "c/3.json {\"id\":\"3\",\"full name\":\"\xc3\xa9\\t\\u0001\x7f/\",\"a\\\"b\":\"\"}\n");
	put_file("h.csv", sw_view_str("\xef\xbb\xbf"
				      "a,b\n"));
	assert_import("h.csv", &defaults, "h:\n");
	put_file("m.csv", sw_view_str("\xef\xbb\xbfid\r5\r6\r"));
	assert_import("m.csv", &defaults, "m:\nm/5.json {\"id\":\"5\"}\nm/6.json {\"id\":\"6\"}\n");
}

static void read_stdin(const char *content, const char *want)
{
	const struct sw_import_options options = {.table = "t"};
	int saved = dup(STDIN_FILENO);
	int fd;

	put_file("stdin", sw_view_str(content));
	fd = open("stdin", O_RDONLY | O_CLOEXEC);
	assert_true(saved >= 0 && fd >= 0);
	assert_true(dup2(fd, STDIN_FILENO) >= 0);
	assert_import("-", &options, want);
	assert_true(dup2(saved, STDIN_FILENO) >= 0);
	close(fd);
	close(saved);
}

static void format_is_guessed_from_the_first_byte(void **state)
{
	SW_BUF spaces = {0};

	(void)state;
	read_stdin("\n [{\"id\":1}]", "t:\nt/1.json {\"id\":1}\n");
	read_stdin("\xef\xbb\xbf {\"id\":1}\n{\"id\":2}\n",
		   "t:\nt/1.json {\"id\":1}\nt/2.json {\"id\":2}\n");
	read_stdin("id,x\n1,2\n", "t:\nt/1.json {\"id\":\"1\",\"x\":\"2\"}\n");
	put_file("plain.d", sw_view_str("{\"id\":1}"));
	assert_import("plain.d", &defaults, "plain:\nplain/1.json {\"id\":1}\n");
	for (int i = 0; i < 1 << 20; i++)
		sw_buf_put_u8(&spaces, ' ');
	sw_buf_put(&spaces, "[]", 2);
	put_file("spaces", sw_buf_view(&spaces));
	assert_import("spaces", &defaults, "spaces:\n");
	put_file("nothing", sw_view_str(" \n"));
	assert_refused("nothing", &defaults, SW_EFORMAT, "is empty", "--format");
	assert_refused("-", &defaults, SW_EINVAL, "standard input", "--table");
}

static void format_and_table_can_be_given(void **state)
{
	const struct sw_import_options lines = {.format = SW_IMPORT_LINES, .table = "other"};
	const struct sw_import_options dir = {.format = SW_IMPORT_DIRECTORY};
	const struct sw_import_options bad = {.table = "a/b"};
	enum sw_import_format format = SW_IMPORT_GUESS;

	(void)state;
	put_file("f.json", sw_view_str("{\"id\":1}\n{\"id\":2}\n"));
	assert_import("f.json", &lines,
		      "other:\nother/1.json {\"id\":1}\nother/2.json {\"id\":2}\n");
	assert_refused("f.json", &defaults, SW_EFORMAT, "line 2: ", "--format lines");
	assert_refused("f.json", &dir, SW_EINVAL, "not a directory", "leave out --format");
	assert_refused("f.json", &bad, SW_EFORMAT, "table name", "contains '/'");
	assert_int_equal(sw_import_format_parse("csv", &format), 0);
	assert_int_equal(format, SW_IMPORT_CSV);
	assert_int_equal(sw_import_format_parse("jsonl", &format), 0);
	assert_int_equal(format, SW_IMPORT_LINES);
	assert_int_equal(sw_import_format_parse("xml", &format), SW_EINVAL);
	assert_non_null(strstr(sw_fail_message(SW_EINVAL), "xml"));
}

static void keys_come_from_columns_or_numbers(void **state)
{
	static const char *const ab[] = {"a", "b\n"};
	static const char *const e[] = {"\xc3\xa9"};
	const struct sw_import_options by_ab = {.keys = ab, .n_keys = 2};
	const struct sw_import_options by_e = {.keys = e, .n_keys = 1};
	const struct sw_import_options numbered = {.number = true};

	(void)state;
	put_file("k.jsonl", sw_view_str("{\"id\":7,\"b\\n\":1e3,\"a\":\"x\\u0041\"}\n"
					"{\"a\":\"x\",\"b\\u000a\":-0,\"id\":8}\n"));
	assert_import("k.jsonl", &by_ab,
		      "k:\nk/xA-1e3.json {\"id\":7,\"b\\n\":1e3,\"a\":\"x\\u0041\"}\n"
		      "k/x--0.json {\"a\":\"x\",\"b\\u000a\":-0,\"id\":8}\n");
	put_file("u.jsonl", sw_view_str("{\"\\u00e9\":\"\\ud83d\\ude00\"}\n"));
	assert_import("u.jsonl", &by_e,
		      "u:\nu/\xf0\x9f\x98\x80.json {\"\\u00e9\":\"\\ud83d\\ude00\"}\n");
	put_file("n.jsonl", sw_view_str("{\"id\":7}\n{\"id\":7}\n"));
	assert_import("n.jsonl", &numbered,
		      "n:\nn/00000001.json {\"id\":7}\nn/00000002.json {\"id\":7}\n");
	/* The first row decides: it has no id. */
	put_file("o.jsonl", sw_view_str("{\"x\":7}\n\n{\"id\":7}\n{}\n"));
	assert_import(
	    "o.jsonl", &defaults,
	    "o:\no/00000001.json {\"x\":7}\no/00000002.json {\"id\":7}\no/00000003.json {}\n");
}

static void bad_rows_are_refused_by_line_with_a_remedy(void **state)
{
	static const struct {
		const char *file;
		const char *content;
		const char *part;
		const char *other;
	} cases[] = {
	    {"a.jsonl", "{\"id\":1}\n\n{\"id\":1,}\n", "line 3: ", "byte 9"},
	    {"a.jsonl", "{\n\"id\":1}\n", "line 1: ", "--format json"},
	    {"a.jsonl", "{\"id\":1}\n[]\n", "line 2: ", "not a JSON object"},
	    {"a.jsonl", "{\"id\":1} {\"id\":2}\n", "line 1: ", "byte 10"},
	    {"a.jsonl", "{\"id\":1}\n{\"x\":1}\n", "line 2: ", "no column \"id\""},
	    {"a.jsonl", "{\"id\":null}\n", "line 1: ", "is null"},
	    {"a.jsonl", "{\"id\":[1]}\n", "line 1: ", "an array"},
	    {"a.jsonl", "{\"id\":{}}\n", "line 1: ", "an object"},
	    {"a.jsonl", "{\"id\":true}\n", "line 1: ", "true or false"},
	    {"a.jsonl", "{\"id\":\"\"}\n", "line 1: ", "is empty"},
	    {"a.jsonl", "{\"id\":\"a/b\"}\n", "line 1: ", "contains '/'"},
	    {"a.jsonl", "{\"id\":\"a\\u0000\"}\n", "line 1: ", "NUL"},
	    {"a.jsonl", "{\"id\":1,\"id\":2}\n", "line 1: ", "twice"},
	    {"a.jsonl", "{\"id\":1}\n{\"id\":2}\n\n{\"id\":\"1\"}\n", "line 4: has the key \"1\"",
	     "line 1 "},
	    {"a.jsonl", "{\"id\":1}\n{\"id\":\"\xff\"}\n", "line 2: ", "byte 8"},
	    {"a.json", "[{\"id\":1},\n2]", "element 2: ", "not a JSON object"},
	    {"a.json", "[{\"id\":1},{\"id\":1}]", "element 2: has the key", "element 1 "},
	    {"a.json", "[{\"id\":1},\n{\"id\":2}\n{\"id\":3}]", "line 3: ", "wrong here"},
	    {"a.json", "[{\"id\":1},\n", "before it is complete", "whole?"},
	    {"a.json", "{\"a\":[{\"id\":1}\n,2],\n}", "line 3: ", "wrong here"},
	    {"a.json", "7", "neither a JSON array nor", "--format"},
	    {"a.json", "", "neither a JSON array nor", "--format"},
	    {"a.csv", "", "is empty", "column names"},
	    {"a.csv", "id,x\n1,2\n3\n", "line 3: ", "1 fields, but the first line names 2"},
	    {"a.csv", "id,x\n1,2,3\n", "line 2: ", "3 fields"},
	    {"a.csv", "id,x,id\n", "line 1: ", "fields 1 and 3"},
	    {"a.csv", "id,x\n1,\"a\nb\nc\"\n2,a\"b\n", "line 5: ", "double quote"},
	    {"a.csv", "id,x\n1,\"a\"b\n", "line 2: ", "double quote"},
	    {"a.csv", "id,x\n1,\"a\n\nb\n", "line 2: ", "never ends"},
	    {"a.csv", "id,x\n1,2\n\n\n2,\xe9\n", "line 5: ", "field 2 is not UTF-8"},
	    {"a.csv", "\xff,x\n", "line 1: ", "iconv"},
	    {"a.csv", "id,x\n1,\"a\n\"\n2,2\n1,3\n", "line 5: has the key", "line 2 "},
	    {"a.csv", "id\na/b\n", "line 2: ", "contains '/'"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put_file(cases[i].file, sw_view_str(cases[i].content));
		assert_refused(cases[i].file, &defaults, SW_EFORMAT, cases[i].part, cases[i].other);
		assert_non_null(strpbrk(sw_fail_message(SW_EFORMAT), ";?"));
	}
	assert_refused("missing.json", &defaults, SW_ENOTFOUND, "cannot be opened", "No such file");
}

static void keys_fill_a_file_name_and_no_more(void **state)
{
	(void)state;
	for (int n = 250; n <= 251; n++) {
		SW_BUF text = {0};
		SEEN s = {.with_meta = false};

		sw_buf_printf(&text, "{\"id\":\"%0*d\"}\n", n, 1);
		put_file("w.jsonl", sw_buf_view(&text));
		assert_int_equal(import("w.jsonl", &defaults, &s), n == 250 ? 0 : SW_EFORMAT);
	}
	assert_non_null(strstr(sw_fail_message(SW_EFORMAT), "longer than 255 bytes"));
}

static void a_sink_can_stop(void **state)
{
	SEEN s = {.stop_after = 1};

	(void)state;
	put_file("s.jsonl", sw_view_str("{\"id\":1}\n{\"id\":2}\n{\"id\":3}\n"));
	assert_int_equal(import("s.jsonl", &defaults, &s), SW_ENOSPC);
	assert_int_equal(s.report.n_rows, 1);
	s.n = 0;
	put_file("s.csv", sw_view_str("id\n1\n2\n3\n"));
	assert_int_equal(import("s.csv", &defaults, &s), SW_ENOSPC);
	assert_int_equal(s.report.n_rows, 1);
}

static void a_directory_of_files_is_a_table(void **state)
{
	static const struct timespec times[2] = {{1, 2}, {1700000000, 123456789}};
	static const char *const files[] = {"tab/b.json", "tab/A", "tab/.schema"};
	static const char want[] = "tab:\ntab/.schema 644 1700000000123456789 "
				   "tab/A 644 1700000000123456789 \0\xff"
				   "tab/b.json 640 1700000000123456789 {}";
	SEEN s = {.with_meta = true};

	(void)state;
	assert_int_equal(mkdir("tab", 0755), 0);
	put_file("tab/b.json", sw_view_str("{}"));
	put_file("tab/A", sw_view("\0\xff", 2));
	put_file("tab/.schema", sw_view_str(""));
	assert_int_equal(chmod("tab/b.json", 04640), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(utimensat(AT_FDCWD, files[i], times, 0), 0);
	assert_int_equal(symlink("A", "tab/link"), 0);
	assert_int_equal(mkfifo("tab/pipe", 0644), 0);
	assert_int_equal(import("tab/", &defaults, &s), 0);
	assert_true(sw_view_eq(sw_buf_view(&s.text), sw_view(want, sizeof(want) - 1)));
	assert_int_equal(s.report.n_skipped, 2);
	assert_string_equal(s.report.note, "2 entries were left out, being no regular file of a "
					   "table; the first is link.");
}

static void a_directory_of_directories_is_tables(void **state)
{
	const struct sw_import_options named = {.table = "t"};
	const struct sw_import_options keyed = {.number = true};

	(void)state;
	assert_int_equal(mkdir("db", 0755), 0);
	assert_int_equal(mkdir("db/two", 0755), 0);
	assert_int_equal(mkdir("db/one", 0755), 0);
	assert_int_equal(mkdir("db/three", 0755), 0);
	assert_int_equal(mkdir("db/one/deep", 0755), 0);
	put_file("db/one/x", sw_view_str("1\n"));
	put_file("db/two/x", sw_view_str("2\n"));
	assert_import("db", &defaults, "one:\none/x 1\nthree:\ntwo:\ntwo/x 2\n");
	assert_refused("db", &named, SW_EFORMAT, "only directories", "leave out --table");
	assert_refused("db", &keyed, SW_EINVAL, "is a directory", "leave out --key");
	put_file("db/README", sw_view_str("r\n"));
	assert_refused("db", &defaults, SW_EFORMAT, "1 files and 3 directories", "--table");
	assert_import("db", &named, "t:\nt/README r\n");
	put_file("db/one/\xff", sw_view_str("3\n"));
	assert_import("db", &named, "t:\nt/README r\n");
	assert_int_equal(unlink("db/README"), 0);
	/* Names of files are bytes, and so are names of rows. */
	assert_import("db", &defaults, "one:\none/x 1\none/\xff 3\nthree:\ntwo:\ntwo/x 2\n");
}

/* The same rows as an array and as lines, of all sizes around those of the reads. */
static void lines_and_array_agree(void **state)
{
	SW_BUF lines = {0};
	SW_BUF array = {0};
	SEEN a = {.with_meta = false};
	SEEN b = {.with_meta = false};
	const struct sw_import_options options = {.table = "t"};

	(void)state;
	rng.s = test_seed();
	sw_buf_put_u8(&array, '[');
	for (unsigned i = 0; i < 400; i++) {
		SW_BUF row = {0};
		int pad = (int)below(below(8) ? 100 : 300000);

		sw_buf_printf(&row, "{\"id\":%u,\"pad\":\"%0*u\"}", i, pad, 1u);
		sw_buf_put_view(&lines, sw_buf_view(&row));
		sw_buf_put(&lines, "\r\n", i % 2 ? 2 : 1);
		if (i % 2 == 0)
			lines.p[lines.n - 1] = '\n';
		sw_buf_put(&array, ",\n", i ? 2 : 0);
		sw_buf_put_view(&array, sw_buf_view(&row));
	}
	sw_buf_put_u8(&array, ']');
	put_file("agree.jsonl", sw_buf_view(&lines));
	put_file("agree.json", sw_buf_view(&array));
	assert_int_equal(import("agree.jsonl", &options, &a), 0);
	assert_int_equal(import("agree.json", &options, &b), 0);
	assert_int_equal(a.report.n_rows, 400);
	assert_true(sw_view_eq(sw_buf_view(&a.text), sw_buf_view(&b.text)));
}

/* Reads are of 256 KiB at first: the newline of a line may be the last or first byte of one. */
static void lines_may_end_where_a_read_ends(void **state)
{
	(void)state;
	for (size_t n = (256 << 10) - 3; n <= (256 << 10) + 3; n++) {
		SW_BUF lines = {0};
		SEEN s = {.with_meta = false};

		sw_buf_put(&lines, "{\"id\":1}", 8);
		while (lines.n < n)
			sw_buf_put_u8(&lines, ' ');
		sw_buf_put(&lines, "\n{\"id\":2}\n", 10);
		put_file("edge.jsonl", sw_buf_view(&lines));
		assert_int_equal(import("edge.jsonl", &defaults, &s), 0);
		assert_true(
		    sw_view_eq(sw_buf_view(&s.text), sw_view_str("edge:\nedge/1.json {\"id\":1}\n"
								 "edge/2.json {\"id\":2}\n")));
	}
}

static void equal_keys_are_found_far_apart(void **state)
{
	SW_BUF lines = {0};

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		sw_buf_printf(&lines, "{\"id\":%u}\n", i);
	sw_buf_put_view(&lines, sw_view_str("{\"id\":\"17\"}\n"));
	put_file("far.jsonl", sw_buf_view(&lines));
	assert_refused("far.jsonl", &defaults, SW_EFORMAT, "line 5001: has the key \"17\"",
		       "line 18 ");
}

static void put_cell(struct sw_buf *out)
{
	static const char *const pieces[] = {"a", " ",        "\n", "\r\n", "\"",
					     ",", "\xc3\xa9", "\t", "\\"};

	for (unsigned n = below(5); n > 0; n--)
		sw_buf_put_view(out, sw_view_str(pieces[below(9)]));
}

/* As RFC 4180 writes it; quotes where they are needed, and at times where they are not. */
static void put_csv(struct sw_buf *out, struct sw_view cell)
{
	bool quoted = below(4) == 0 || cell.n == 0;

	for (size_t i = 0; i < cell.n; i++)
		quoted |= memchr("\r\n\",", cell.p[i], 4) != NULL;
	if (quoted)
		sw_buf_put_u8(out, '"');
	for (size_t i = 0; i < cell.n; i++) {
		if (cell.p[i] == '"')
			sw_buf_put_u8(out, '"');
		sw_buf_put_u8(out, cell.p[i]);
	}
	if (quoted)
		sw_buf_put_u8(out, '"');
}

/* Whatever cells a CSV file is written from, the rows that come out hold the same text. */
static void csv_survives_the_round_trip(void **state)
{
	const struct sw_import_options options = {.table = "t", .number = true};

	(void)state;
	rng.s = test_seed();
	for (int run = 0; run < 300; run++) {
		SW_BUF csv = {0};
		SW_BUF want = {0};
		SW_BUF cell = {0};
		SEEN s = {.with_meta = false};
		unsigned n = 1 + below(4);
		unsigned rows = below(20);

		for (unsigned j = 0; j < n; j++)
			sw_buf_printf(&csv, "%sc%u", j ? "," : "", j);
		sw_buf_put(&want, "t:\n", 3);
		for (unsigned i = 0; i < rows; i++) {
			sw_buf_put(&csv, "\r\n", 2);
			sw_buf_printf(&want, "t/%08u.json {", i + 1);
			for (unsigned j = 0; j < n; j++) {
				sw_buf_reset(&cell);
				put_cell(&cell);
				sw_buf_put(&csv, ",", j > 0);
				put_csv(&csv, sw_buf_view(&cell));
				sw_buf_printf(&want, "%s\"c%u\":", j ? "," : "", j);
				assert_int_equal(sw_json_put_string(&want, sw_buf_view(&cell)), 0);
			}
			sw_buf_put(&want, "}\n", 2);
		}
		put_file("round.csv", sw_buf_view(&csv));
		assert_int_equal(import("round.csv", &options, &s), 0);
		assert_true(sw_view_eq(sw_buf_view(&s.text), sw_buf_view(&want)));
	}
}

static int count_row(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
		     const struct sw_import_meta *meta)
{
	uint64_t *total = arg;

	(void)table;
	(void)key;
	(void)meta;
	*total += bytes.n;
	return 0;
}

static void a_hundred_thousand_rows_are_quick(void **state)
{
	SW_BUF lines = {0};
	uint64_t total = 0;
	const struct sw_import_sink sink = {.row = count_row, .arg = &total};
	struct sw_import_report report;
	struct timespec from;
	struct timespec to;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		sw_buf_printf(&lines, "{\"id\":%u,\"name\":\"%0*u\",\"x\":[1,2.5]}\n", i + 100000,
			      65, i);
	put_file("many.jsonl", sw_buf_view(&lines));
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(sw_import_read("many.jsonl", &defaults, &sink, &report), 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(report.n_rows, 100000);
	assert_int_equal(total, lines.n);
	print_message("%zu bytes in %.1f ms\n", lines.n,
		      (double)(to.tv_sec - from.tv_sec) * 1e3 +
			  (double)(to.tv_nsec - from.tv_nsec) / 1e6);
}

static void rows_have_a_limit(void **state)
{
	SW_BUF text = {0};
	uint8_t *room = sw_buf_reserve(&text, SW_IMPORT_ROW_MAX + 64);
	uint64_t total = 0;
	const struct sw_import_sink sink = {.row = count_row, .arg = &total};
	struct sw_import_report report;

	(void)state;
	assert_non_null(room);
	sw_buf_put(&text, "{\"id\":\"1\",\"x\":\"", 15);
	memset(text.p + text.n, 'x', SW_IMPORT_ROW_MAX - text.n - 2);
	text.n = SW_IMPORT_ROW_MAX - 2;
	sw_buf_put(&text, "\"}\n", 3);
	put_file("big.jsonl", sw_buf_view(&text));
	assert_int_equal(sw_import_read("big.jsonl", &defaults, &sink, &report), 0);
	assert_int_equal(total, SW_IMPORT_ROW_MAX + 1);
	text.n -= 3;
	sw_buf_put(&text, "x\"}\n", 4);
	put_file("big.jsonl", sw_buf_view(&text));
	assert_refused("big.jsonl", &defaults, SW_ELIMIT, "line 1: ", "64 MiB");
	/* So has a line of nothing: it is never all in memory. */
	memset(text.p, ' ', text.n);
	put_file("big.jsonl", sw_buf_view(&text));
	assert_int_equal(sw_import_read("big.jsonl", &defaults, &sink, &report), 0);
	sw_buf_put(&text, "  ", 2);
	put_file("big.jsonl", sw_buf_view(&text));
	assert_refused("big.jsonl", &defaults, SW_ELIMIT, "line 1: ", "64 MiB");
	text.n -= 2;
	/* A quote that is never closed swallows line after line. */
	memset(text.p, 'x', text.n);
	memcpy(text.p, "id,x\n1,\"", 8);
	for (size_t i = 100; i < text.n; i += 100)
		text.p[i] = '\n';
	put_file("big.csv", sw_buf_view(&text));
	assert_refused("big.csv", &defaults, SW_EFORMAT, "line 2: ", "never ends");
	for (int i = 0; i < 1000; i++)
		sw_buf_put(&text, "yyyy", 4);
	put_file("big.csv", sw_buf_view(&text));
	assert_refused("big.csv", &defaults, SW_ELIMIT, "line 2: ", "quote not closed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(array_elements_are_rows_verbatim),
	    cmocka_unit_test(the_single_array_of_an_object_holds_the_rows),
	    cmocka_unit_test(lines_are_rows_verbatim),
	    cmocka_unit_test(records_become_objects),
	    cmocka_unit_test(format_is_guessed_from_the_first_byte),
	    cmocka_unit_test(format_and_table_can_be_given),
	    cmocka_unit_test(keys_come_from_columns_or_numbers),
	    cmocka_unit_test(bad_rows_are_refused_by_line_with_a_remedy),
	    cmocka_unit_test(keys_fill_a_file_name_and_no_more),
	    cmocka_unit_test(a_sink_can_stop),
	    cmocka_unit_test(a_directory_of_files_is_a_table),
	    cmocka_unit_test(a_directory_of_directories_is_tables),
	    cmocka_unit_test(lines_and_array_agree),
	    cmocka_unit_test(lines_may_end_where_a_read_ends),
	    cmocka_unit_test(equal_keys_are_found_far_apart),
	    cmocka_unit_test(csv_survives_the_round_trip),
	    cmocka_unit_test(a_hundred_thousand_rows_are_quick),
	    cmocka_unit_test(rows_have_a_limit),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
