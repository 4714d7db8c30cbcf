/* What a TARGET means: lines of mountinfo, paths, and spans and names as text. */
#include "fs/target.h"
#include "tests/lib/dbs.h"

#include <limits.h>

#include "core/row.h"
#include "fs/json_out.h"
#include "fs/mountinfo.h"
#include "fs/text.h"

static void mountinfo_is_taken_apart(void **state)
{
	char line[] = "40 25 0:36 / /mnt/a\\040b\\134c rw,nosuid shared:7 master:1 - fuse.swarmfs "
		      "/var/lib/s\\011t rw,user_id=0\n";
	char plain[] = "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
	char stray[] = "40 25 0:36 / /mnt/x\\04 rw - fuse.swarmfs \\777 rw";
	char *bad[] = {(char[]){""}, (char[]){"1 2 3"}, (char[]){"40 25 0:36 / /mnt rw shared:7"},
		       (char[]){"40 25 0:36 / /mnt rw - ext4"}, (char[]){"40 - ext4 /dev/sda rw"}};
	struct sw_mount_entry m;

	(void)state;
	assert_true(sw_mountinfo_parse(line, &m));
	assert_string_equal(m.point, "/mnt/a b\\c");
	assert_string_equal(m.type, SW_MOUNT_TYPE);
	assert_string_equal(m.source, "/var/lib/s\tt");
	assert_true(sw_mountinfo_parse(plain, &m));
	assert_string_equal(m.point, "/");
	assert_true(sw_mountinfo_parse(stray, &m));
	assert_string_equal(m.point, "/mnt/x\\04");
	assert_string_equal(m.source, "\\777");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(sw_mountinfo_parse(bad[i], &m));
}

static void assert_path(const char *arg, const char *want)
{
	char *got = NULL;

	TEST_OK(sw_path_absolute(arg, &got));
	assert_string_equal(got, want);
	free(got);
}

static void paths_become_absolute_and_follow_links(void **state)
{
	char root[] = "/tmp/swarmfs-test-XXXXXX", arg[PATH_MAX], want[PATH_MAX], cwd[PATH_MAX];
	char *got = NULL;

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(chdir(root), 0);
	assert_int_equal(mkdir("real", 0700), 0);
	assert_int_equal(symlink("real", "link"), 0);
	assert_int_equal(symlink("link/", "chain"), 0);
	assert_int_equal(symlink("loop", "loop"), 0);
	snprintf(want, sizeof(want), "%s/real", root);
	assert_path("real", want);
	assert_path("./real/.", want);
	assert_path("real//", want);
	assert_path("link", want);
	assert_path("chain", want);
	assert_path("real/../link", want);
	snprintf(arg, sizeof(arg), "%s/chain", root);
	assert_path(arg, want);
	snprintf(want, sizeof(want), "%s/real/new", root);
	assert_path("chain/new", want);
	/* What does not exist yet keeps its name. */
	snprintf(want, sizeof(want), "%s/no/such", root);
	assert_path("no/such", want);
	assert_path(".", root);
	assert_path("/", "/");
	assert_path("//", "/");
	assert_int_equal(sw_path_absolute("loop", &got), SW_EINVAL);
	assert_int_equal(sw_path_absolute("", &got), SW_EINVAL);
	unlink("loop");
	unlink("chain");
	unlink("link");
	rmdir("real");
	assert_int_equal(chdir(cwd), 0);
	rmdir(root);
}

static void spans_and_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"250ms", 250}, {"30s", 30000},	{"15m", 900000}, {"24h", 86400000},
		    {"7d", 604800000}, {"2w", 1209600000}, {"5", 5000}, {"0", 0}};
	static const char *const bad[] = {"", "h", "1x", "-1h", "1.5h", "1 h", "99999999999999999999d", "1hh"};
	char size[SW_TEXT_SIZE_SIZE];
	uint64_t ms;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		TEST_OK(sw_text_parse_span(good[i].text, &ms));
		assert_true(ms == good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(sw_text_parse_span(bad[i], &ms), SW_EINVAL);
	sw_text_size(1023, size);
	assert_string_equal(size, "1023 B");
	sw_text_size(1536, size);
	assert_string_equal(size, "1.5 KiB");
	sw_text_size((1 << 20) - 1, size);
	assert_string_equal(size, "1.0 MiB");
	sw_text_size(UINT64_MAX, size);
	assert_string_equal(size, "16.0 EiB");
}

static void assert_shown(const char *bytes, size_t n, size_t max, const char *want)
{
	SW_BUF b = {0};

	sw_text_put(&b, sw_view(bytes, n), max);
	sw_buf_put_u8(&b, 0);
	assert_string_equal((char *)b.p, want);
}

static void a_terminal_is_given_no_orders(void **state)
{
	(void)state;
	assert_shown("plain \xc3\xa4", 8, 100, "plain \xc3\xa4");
	assert_shown("a\033[31m\nb\t\x7f\0", 11, 100, "a\\x1b[31m\\nb\\t\\x7f\\x00");
	assert_shown("\xc2\x9b" "31m", 5, 100, "\\xc2\\x9b31m"); /* a control sequence in one character */
	assert_shown("a\xe2\x80\xae" "b\xe2\x81\xa9", 8, 100, "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa9"); /* what turns the text */
	assert_shown("\xe2\x80\xaf\xe2\x81\xa5", 6, 100, "\xe2\x80\xaf\xe2\x81\xa5");
	assert_shown("\xc2\xa0", 2, 100, "\xc2\xa0");
	assert_shown("\xff\xfe", 2, 100, "\\xff\\xfe");
	assert_shown("abcdef", 6, 3, "abc...");
	assert_shown("ab\xe2\x82\xac", 5, 4, "ab..."); /* never half a character */
	assert_shown("\x80\x80\x80", 3, 2, "...");
}

static void assert_path_shown(struct sw_view table, struct sw_view key, const char *text,
			      const char *json)
{
	SW_BUF b = {0};
	SW_BUF j = {0};

	sw_text_put_path(&b, table, key);
	sw_buf_put_u8(&b, 0);
	assert_string_equal((char *)b.p, text);
	TEST_OK(sw_json_put_name(&j, key));
	sw_buf_put_u8(&j, 0);
	assert_string_equal((char *)j.p, json);
}

/* What differs in bytes differs in text, and JSON is UTF-8 whatever the name is. */
static void names_are_told_apart(void **state)
{
	const struct sw_view t = sw_view_str("t");

	(void)state;
	assert_path_shown(t, sw_view_str("r.json"), "t/r.json", "\"r.json\"");
	assert_path_shown(t, sw_view_str("a b"), "t/a b", "\"a b\"");
	assert_path_shown(t, sw_view_str("caf\xc3\xa9"), "t/caf\xc3\xa9", "\"caf\xc3\xa9\"");
	assert_path_shown(t, sw_view_str("caf\xe9"), "\"t/caf\\xe9\"", "\"/caf%E9\"");
	assert_path_shown(t, sw_view_str("caf\\xe9"), "\"t/caf\\\\xe9\"", "\"caf\\\\xe9\"");
	assert_path_shown(t, sw_view_str("caf%E9"), "t/caf%E9", "\"caf%E9\"");
	assert_path_shown(t, sw_view_str("%\n\xff\x7f"), "\"t/%\\n\\xff\\x7f\"",
			  "\"/%25%0A%FF%7F\"");
	assert_path_shown(t, sw_view_str("a\nb"), "\"t/a\\nb\"", "\"a\\nb\"");
	assert_path_shown(t, sw_view_str("\""), "\"t/\\\"\"", "\"\\\"\"");
	assert_path_shown(sw_view_str("\xff"), sw_view_str("r"), "\"\\xff/r\"", "\"r\"");
	assert_path_shown(sw_view_str("\xff"), sw_view_str(""), "\"\\xff/\"", "\"\"");
}

/* Every byte but NUL and '/', at every length that a name may have. */
static void names_are_bytes(void **state)
{
	uint8_t name[SW_NAME_MAX + 1];

	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		memset(name, (int)byte, sizeof(name));
		for (size_t n = 0; n <= sizeof(name); n++) {
			int want = 0;

			if (n > SW_NAME_MAX)
				want = SW_ETOOLONG;
			else if (n == 0 || byte == 0 || byte == '/' || (byte == '.' && n <= 2))
				want = SW_EINVAL;
			assert_int_equal(sw_name_check(sw_view(name, n)), want);
		}
	}
	assert_int_equal(sw_name_check(sw_view("a\0b", 3)), SW_EINVAL);
	assert_int_equal(sw_name_check(sw_view_str("\xe9/")), SW_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mountinfo_is_taken_apart),
	    cmocka_unit_test(paths_become_absolute_and_follow_links),
	    cmocka_unit_test(spans_and_sizes),
	    cmocka_unit_test(a_terminal_is_given_no_orders),
	    cmocka_unit_test(names_are_told_apart),
	    cmocka_unit_test(names_are_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
