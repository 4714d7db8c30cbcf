/* What stands after -o, taken apart without a mount: who gets which word, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/mount_options.h"

/* `mount /m --settle 7 -o OPTIONS` */
static int parse(const char *options, struct sw_args *args, struct sw_mount_line *line)
{
	static char name[] = "mount", point[] = "/m", settle[] = "--settle", seven[] = "7",
		    o[] = "-o";
	char *argv[] = {name, point, settle, seven, o, (char *)(uintptr_t)options, NULL};

	assert_int_equal(sw_args_parse(&sw_cmd_mount, 6, argv, args), 0);
	return sw_mount_line_parse(args, line);
}

static void words_go_to_whom_they_are_for(void **state)
{
	struct sw_mount_line line;
	struct sw_args args;
	const char *urls[3];

	(void)state;
	assert_int_equal(
	    parse(",ro,,listen=tcp://h:1,x-a=b,uid=7,settle=9,noexec,listen=ipc:///s,show_control,",
		  &args, &line),
	    0);
	assert_string_equal((char *)line.fuse.p, "ro,noexec");
	assert_true(line.show_control);
	assert_int_equal(line.uid, 7);
	assert_int_equal(line.gid, getgid());
	assert_int_equal(sw_args_all(&line.args, "listen", urls, 3), 2);
	assert_string_equal(urls[0], "tcp://h:1");
	assert_string_equal(urls[1], "ipc:///s");
	assert_string_equal(sw_args_get(&line.args, "settle"), "9");
	assert_string_equal(line.args.operands[0], "/m");
	sw_mount_line_fini(&line);
	assert_int_equal(parse("", &args, &line), 0);
	assert_string_equal((char *)line.fuse.p, "");
	sw_mount_line_fini(&line);
}

/* What a line of fstab may have: every option of the command but those that are for a shell alone.
 */
static void each_option_of_the_command_may_stand_there(void **state)
{
	struct sw_mount_line line;
	struct sw_args args;
	char word[64];

	(void)state;
	for (const struct sw_option *o = sw_cmd_mount.options; o->name; o++) {
		bool may = strcmp(o->name, "options") != 0 && strcmp(o->name, "foreground") != 0;

		for (int with_value = 0; with_value < 2; with_value++) {
			bool fits = may && !o->value == !with_value;

			snprintf(word, sizeof(word), "%s%s", o->name, with_value ? "=10" : "");
			assert_int_equal(parse(word, &args, &line), fits ? 0 : SW_EINVAL);
			if (!fits)
				continue;
			assert_true(sw_args_has(&line.args, o->name));
			if (o->value)
				assert_string_equal(
				    line.args.options[line.args.n_options - 1].value, "10");
			sw_mount_line_fini(&line);
		}
	}
}

static void what_is_not_understood_is_refused(void **state)
{
	static const char *const wrong[] = {
	    "nosuch",  "listen",       "ro=1",           "options=ro", "foreground=", "uid=",
	    "uid=-1",  "uid=x",        "gid=4294967295", "=",          "ro,=x",       "x",
	    "remount", "auto_unmount", "fsname=a",       "subtype=b"};
	struct sw_mount_line line;
	struct sw_args args;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse(wrong[i], &args, &line), SW_EINVAL);
		assert_non_null(strstr(sw_fail_message(SW_EINVAL), "mount option"));
	}
}

static void there_may_be_too_many(void **state)
{
	struct sw_mount_line line;
	struct sw_args args;
	SW_BUF text = {0};

	(void)state;
	for (int i = 0; i < SW_ARGS_MAX; i++)
		sw_buf_printf(&text, "peer=%d,", i);
	sw_buf_put_u8(&text, 0);
	assert_int_equal(parse((char *)text.p, &args, &line), SW_EINVAL);
	assert_string_equal(sw_fail_message(SW_EINVAL), "too many options");
}

static void calls_of_mount_fuse3_are_recognised(void **state)
{
	static char sf[] = "swarmfs", store[] = "/srv/db", none[] = "none", mount[] = "mount",
		    point[] = "/m", o[] = "-o", rw[] = "rw", relative[] = "m";
	char *calls[][6] = {{sf, store, point, o, rw, NULL}, {sf, none, point, o, rw, NULL}};
	char *others[][6] = {{sf, mount, point, o, rw, NULL},
			     {sf, store, relative, o, rw, NULL},
			     {sf, store, point, rw, o, NULL}};
	char *words[6];

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_true(sw_mount_is_helper_call(5, calls[i]));
	for (size_t i = 0; i < 3; i++)
		assert_false(sw_mount_is_helper_call(5, others[i]));
	assert_false(sw_mount_is_helper_call(4, calls[0]));
	assert_int_equal(sw_mount_helper_words(calls[0], words), 6);
	assert_string_equal(words[1], "--store");
	assert_string_equal(words[2], "/srv/db");
	assert_string_equal(words[3], "/m");
	assert_int_equal(sw_mount_helper_words(calls[1], words), 4);
	assert_string_equal(words[1], "/m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(words_go_to_whom_they_are_for),
	    cmocka_unit_test(each_option_of_the_command_may_stand_there),
	    cmocka_unit_test(what_is_not_understood_is_refused),
	    cmocka_unit_test(there_may_be_too_many),
	    cmocka_unit_test(calls_of_mount_fuse3_are_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
