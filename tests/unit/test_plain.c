/* What a message may show: everything printable as it is, nothing that a terminal would obey. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/err.h"
#include "core/log.h"
#include "core/plain.h"

static void check(const char *text, const char *want)
{
	char line[SW_PLAIN_SIZE];

	snprintf(line, sizeof(line), "%s", text);
	sw_plain(line, sizeof(line));
	assert_string_equal(line, want);
}

static void what_is_printable_stays(void **state)
{
	(void)state;
	check("", "");
	check("a row's \"name\", C:\\path", "a row's \"name\", C:\\path");
	check("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9d \xc2\xa0", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x9d \xc2\xa0");
}

static void what_is_not_is_escaped(void **state)
{
	(void)state;
	check("\x1b]0;title\a\x1b[31m", "\\x1b]0;title\\x07\\x1b[31m");
	check("two\nlines\tor\r\x7f", "two\\nlines\\tor\\x0d\\x7f");
	check("\xc2\x9b" "31m", "\\xc2\\x9b31m"); /* a control character in two bytes */
	check("a\xe2\x80\xae" "b\xe2\x81\xa6" "c", "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c"); /* what turns the text */
	check("\xe2\x80\xaf\xe2\x81\xa5\xd7\x90", "\xe2\x80\xaf\xe2\x81\xa5\xd7\x90");
	check("caf\xe9!", "caf\\xe9!");
	check("\xc3", "\\xc3");
	check("\xc0\xaf\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80\xff",
	      "\\xc0\\xaf\\xe0\\x80\\xaf\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80\\xff");
}

static void it_ends_where_it_does_not_fit(void **state)
{
	char line[8] = "ab\x1b\x1b";

	(void)state;
	sw_plain(line, sizeof(line));
	assert_string_equal(line, "ab\\x1b");
	snprintf(line, sizeof(line), "\n\n\n\xc3\xa9");
	sw_plain(line, sizeof(line));
	assert_string_equal(line, "\\n\\n\\n");
}

static char logged[SW_PLAIN_SIZE];

static void note(enum sw_log_level level, const char *line)
{
	(void)level;
	snprintf(logged, sizeof(logged), "%s", line);
}

static void messages_and_the_log_are_plain(void **state)
{
	(void)state;
	assert_int_equal(sw_fail(SW_EBUSY, "%s is busy", "t/\x1b[31m\xc3\xa9"), SW_EBUSY);
	assert_string_equal(sw_fail_message(SW_EBUSY), "t/\\x1b[31m\xc3\xa9 is busy");
	assert_true(sw_fail_errno("cannot open %s", "\a") < 0);
	assert_int_equal(strncmp(sw_fail_message(sw_fail_errno("cannot open %s", "\a")), "cannot open \\x07: ", 18), 0);
	sw_log_set_sink(note);
	sw_log(SW_LOG_ERROR, "it said: %s", "\x1b]0;x\a");
	sw_log_set_sink(NULL);
	assert_string_equal(logged, "it said: \\x1b]0;x\\x07");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_printable_stays),
	    cmocka_unit_test(what_is_not_is_escaped),
	    cmocka_unit_test(it_ends_where_it_does_not_fit),
	    cmocka_unit_test(messages_and_the_log_are_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
