/*
 * The control socket: commands run in the owner, over frames that may be anything. A client is a socket pair, so
 * that the test can send whatever it likes.
 */
#include "fs/control.h"
#include "tests/lib/dbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>

#include "fs/frame.h"
#include "fs/target.h"

struct served {
	struct test_db t;
	struct sw_owner *owner;
	int fd; /* the client's end */
	int owner_fd;
	pthread_t thread;
};

static void owner_begin(struct served *s)
{
	struct sw_owner_options options = {.has_work = true};

	test_db_create(&s->t, 1);
	TEST_OK(sw_owner_open_db(s->t.db, &options, &s->owner));
}

/* Closes the database, too. */
static void owner_end(struct served *s)
{
	char dir[sizeof(s->t.dir)], command[256];

	memcpy(dir, s->t.dir, sizeof(dir));
	sw_owner_close(s->owner);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

static void *serve_main(void *arg)
{
	struct served *s = arg;

	sw_control_serve(s->owner, s->owner_fd);
	return NULL;
}

static void client_begin(struct served *s)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	s->fd = fds[0];
	s->owner_fd = fds[1];
	assert_int_equal(pthread_create(&s->thread, NULL, serve_main, s), 0);
}

static void client_end(struct served *s)
{
	if (s->fd >= 0)
		close(s->fd);
	pthread_join(s->thread, NULL);
}

static void send_call(struct served *s, char **words)
{
	struct sw_frame_call call = {.words = words};
	SW_BUF b = {0};

	while (words[call.n])
		call.n++;
	TEST_OK(sw_frame_call_encode(&call, &b));
	TEST_OK(sw_frame_send(s->fd, SW_FRAME_CALL, sw_buf_view(&b)));
}

/* Read until EXIT: its code, and what was written to both streams. */
static int receive(struct served *s, struct sw_buf *out, struct sw_buf *err)
{
	enum sw_frame_type type;
	SW_BUF b = {0};

	while (sw_frame_receive(s->fd, &type, &b) > 0) {
		if (type == SW_FRAME_EXIT) {
			assert_int_equal(b.n, 1);
			sw_buf_put_u8(out, 0);
			sw_buf_put_u8(err, 0);
			return b.p[0];
		}
		assert_true(type == SW_FRAME_OUT || type == SW_FRAME_ERR);
		sw_buf_put_view(type == SW_FRAME_OUT ? out : err, sw_buf_view(&b));
	}
	fail_msg("no exit code came");
	return -1;
}

/* Run a command; its output has to contain a text. */
static int call(struct served *s, char **words, const char *want_out, const char *want_err)
{
	SW_BUF out = {0};
	SW_BUF err = {0};
	int code;

	client_begin(s);
	send_call(s, words);
	code = receive(s, &out, &err);
	client_end(s);
	if (!strstr((char *)out.p, want_out) || !strstr((char *)err.p, want_err))
		fail_msg("%s: got '%s' and '%s'", words[0], (char *)out.p, (char *)err.p);
	return code;
}

#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

static char w_log[] = "log", w_target[] = "/x", w_json[] = "--json", w_bad[] = "--no-such", w_status[] = "status",
	    w_init[] = "init", w_other[] = "frobnicate", w_import[] = "import", w_dash[] = "-", w_help[] = "--help",
	    w_n[] = "-n", w_many[] = "many";

static void commands_run_in_the_owner(void **state)
{
	struct served s = {0};

	(void)state;
	owner_begin(&s);
	test_put(&s.t, "t", "a", "1");
	assert_int_equal(call(&s, WORDS(w_log, w_target), "1 row ", ""), 0);
	assert_int_equal(call(&s, WORDS(w_status, w_target, w_json), "\"count\":2", ""), 0);
	assert_int_equal(call(&s, WORDS(w_log, w_target, w_bad), "", "unknown option"), 2);
	assert_int_equal(call(&s, WORDS(w_log, w_target, w_n, w_many), "", "-n needs a number"), 2);
	assert_int_equal(call(&s, WORDS(w_log), "", "Usage"), 2);
	assert_int_equal(call(&s, WORDS(w_log, w_help), "", "Usage"), 2);
	assert_int_equal(call(&s, WORDS(w_other), "", "does not know the command"), 1);
	/* What is about no open store is not for the owner, whatever a client says. */
	assert_int_equal(call(&s, WORDS(w_init, w_target), "", "does not know the command"), 1);
	owner_end(&s);
}

static void put_row(struct sw_buf *b, const char *key, const char *text)
{
	sw_buf_put_u8(b, SW_FRAME_ROW_ROW);
	sw_buf_put_bytes(b, sw_view_str(key));
	sw_buf_put_u8(b, 0);
	sw_buf_put_u16(b, 0);
	sw_buf_put_u64(b, 0);
	sw_buf_put_bytes(b, sw_view_str(text));
}

static void put_table(struct sw_buf *b, const char *table)
{
	sw_buf_put_u8(b, SW_FRAME_ROW_TABLE);
	sw_buf_put_bytes(b, sw_view_str(table));
}

/* Import a stream of rows in pieces of n bytes, ended by a frame. */
static int import(struct served *s, struct sw_view rows, size_t n, enum sw_frame_type end, struct sw_view reason,
		  const char *want_out, const char *want_err)
{
	SW_BUF out = {0};
	SW_BUF err = {0};
	int code;

	client_begin(s);
	send_call(s, WORDS(w_import, w_target, w_dash));
	while (rows.n > 0) {
		size_t k = rows.n < n ? rows.n : n;

		if (sw_frame_send(s->fd, SW_FRAME_ROWS, sw_view(rows.p, k)) < 0)
			break;
		rows = sw_view(rows.p + k, rows.n - k);
	}
	if (sw_frame_send(s->fd, end, reason) < 0) {
		/* The owner may have had enough. */
	}
	code = receive(s, &out, &err);
	client_end(s);
	if (!strstr((char *)out.p, want_out) || !strstr((char *)err.p, want_err))
		fail_msg("got '%s' and '%s'", (char *)out.p, (char *)err.p);
	return code;
}

static void rows_may_be_cut_anywhere(void **state)
{
	struct served s = {0};
	struct sw_view none = {0};
	SW_BUF rows = {0};
	char got[64];

	(void)state;
	owner_begin(&s);
	put_table(&rows, "t");
	put_row(&rows, "a.json", "{\"x\":1}");
	put_row(&rows, "b.json", "{\"x\":2}");
	put_table(&rows, "empty");
	assert_int_equal(import(&s, sw_buf_view(&rows), 1000, SW_FRAME_ROWS_END, none,
				"imported 2 rows into t (0 unchanged)", ""), 0);
	assert_true(test_get(&s.t, "t", "b.json", got, sizeof(got)));
	assert_string_equal(got, "{\"x\":2}");
	for (size_t n = 1; n < rows.n; n++)
		assert_int_equal(import(&s, sw_buf_view(&rows), n, SW_FRAME_ROWS_END, none,
					"imported 0 rows into t (2 unchanged)", ""), 0);
	test_verify(&s.t);
	owner_end(&s);
}

static void a_stream_that_fails_says_why(void **state)
{
	static const uint8_t reason[] = "\x04line 7 is bad";
	struct served s = {0};
	struct sw_view none = {0};
	SW_BUF rows = {0};
	char got[64];

	(void)state;
	owner_begin(&s);
	put_table(&rows, "t");
	put_row(&rows, "a.json", "{}");
	assert_int_equal(import(&s, sw_buf_view(&rows), 1000, SW_FRAME_ROWS_FAILED,
				sw_view(reason, sizeof(reason) - 1), "", "swarmfs: line 7 is bad\n"), 1);
	/* The batch that was not full is not written. */
	assert_false(test_get(&s.t, "t", "a.json", got, sizeof(got)));
	/* Cut short within a row. */
	for (size_t n = 1; n < rows.n; n++)
		if (n != 3) /* the table alone is a whole stream */
			assert_int_equal(import(&s, sw_view(rows.p, n), 1000, SW_FRAME_ROWS_END, none, "", "swarmfs: "),
					 1);
	/* Names that no row or table may have, and rows of no table. */
	for (int i = 0; i < 4; i++) {
		static const char *const bad[] = {"..", "a/b", "", "."};

		sw_buf_reset(&rows);
		put_table(&rows, bad[i]);
		assert_int_equal(import(&s, sw_buf_view(&rows), 1000, SW_FRAME_ROWS_END, none, "", "swarmfs: "), 1);
		sw_buf_reset(&rows);
		put_table(&rows, "t");
		put_row(&rows, bad[i], "x");
		assert_int_equal(import(&s, sw_buf_view(&rows), 1000, SW_FRAME_ROWS_END, none, "", "swarmfs: "), 1);
	}
	sw_buf_reset(&rows);
	put_row(&rows, "a", "x");
	assert_int_equal(import(&s, sw_buf_view(&rows), 1000, SW_FRAME_ROWS_END, none, "", "swarmfs: "), 1);
	/* A row that claims to be larger than the limit is refused before it comes. */
	sw_buf_reset(&rows);
	put_table(&rows, "t");
	put_row(&rows, "a", "");
	rows.n--;
	sw_buf_put_varint(&rows, SW_CONTROL_ROW_MAX + 1);
	assert_int_equal(import(&s, sw_buf_view(&rows), 1000, SW_FRAME_ROWS_END, none, "", "larger than"), 1);
	test_verify(&s.t);
	owner_end(&s);
}

/* Whatever comes, the owner answers or closes, and lives on. */
static void garbage_harms_nobody(void **state)
{
	struct rng rng = {test_seed()};
	struct served s = {0};

	(void)state;
	owner_begin(&s);
	for (int i = 0; i < 500; i++) {
		uint8_t bytes[64];
		size_t n = rng_below(&rng, sizeof(bytes));

		for (size_t k = 0; k < n; k++)
			bytes[k] = (uint8_t)rng_next(&rng);
		/* Often a frame that looks right from outside. */
		if (n > 5 && rng_below(&rng, 2)) {
			bytes[0] = (uint8_t)(1 + rng_below(&rng, 7));
			bytes[1] = bytes[2] = bytes[3] = 0;
			bytes[4] = (uint8_t)(n - 5);
			if (n > 8 && rng_below(&rng, 2)) {
				bytes[5] = SW_FRAME_VERSION;
				bytes[6] = 0;
				bytes[7] = (uint8_t)rng_below(&rng, 4);
			}
		}
		client_begin(&s);
		assert_int_equal(send(s.fd, bytes, n, MSG_NOSIGNAL), n);
		shutdown(s.fd, SHUT_WR);
		client_end(&s);
	}
	assert_int_equal(call(&s, WORDS(w_log, w_target), "applied", ""), 0);
	owner_end(&s);
}

static void a_client_that_goes_away_ends_its_command(void **state)
{
	struct served s = {0};
	char text[16];

	(void)state;
	owner_begin(&s);
	/* More than a socket holds. */
	for (int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "%d", i);
		test_put(&s.t, "t", "a", text);
	}
	client_begin(&s);
	send_call(&s, WORDS(w_log, w_target, w_json));
	assert_int_equal(recv(s.fd, text, 1, 0), 1);
	client_end(&s); /* would hang */
	client_begin(&s);
	send_call(&s, WORDS(w_import, w_target, w_dash));
	client_end(&s);
	owner_end(&s);
}

static void calls_are_bounded(void **state)
{
	char *words[SW_ARGS_MAX + 2], big[] = "x";
	struct sw_frame_call c = {.words = words, .n = SW_ARGS_MAX + 1}, out;
	SW_BUF b = {0};

	(void)state;
	for (size_t i = 0; i <= SW_ARGS_MAX; i++)
		words[i] = big;
	words[SW_ARGS_MAX + 1] = NULL;
	assert_int_equal(sw_frame_call_encode(&c, &b), SW_ELIMIT);
	assert_int_equal(sw_frame_call_decode(sw_buf_view(&b), &out), SW_EFORMAT);
	c.n = SW_ARGS_MAX;
	sw_buf_reset(&b);
	TEST_OK(sw_frame_call_encode(&c, &b));
	TEST_OK(sw_frame_call_decode(sw_buf_view(&b), &out));
	assert_int_equal(out.n, SW_ARGS_MAX);
	assert_string_equal(out.words[SW_ARGS_MAX - 1], "x");
	free(out.words);
	for (size_t n = 0; n < b.n; n++)
		assert_true(sw_frame_call_decode(sw_view(b.p, n), &out) < 0);
	b.p[0] = SW_FRAME_VERSION + 1;
	assert_int_equal(sw_frame_call_decode(sw_buf_view(&b), &out), SW_EVERSION);
}

/* The socket itself: found under a path longer than a socket's name, private, and gone afterwards. */
static void the_socket_is_private_and_may_be_deep(void **state)
{
	struct sw_owner_options options = {.has_work = true};
	char root[] = "/tmp/swarmfs-test-XXXXXX", dir[PATH_MAX], path[PATH_MAX + 16], command[64];
	struct test_env env;
	struct sw_owner *owner;
	struct sw_db *db;
	struct stat st;
	int fds[3], pid;

	(void)state;
	test_env_init(&env, 1);
	assert_non_null(mkdtemp(root));
	snprintf(dir, sizeof(dir), "%s/%0100d/%0100d", root, 1, 2);
	assert_int_equal(sw_control_connect(dir, &fds[0], NULL) < 0, true);
	TEST_OK(sw_db_create(dir, &env.env, SW_CONFLICT_MERGE, &db));
	TEST_OK(sw_owner_open_db(db, &options, &owner));
	assert_int_equal(sw_control_connect(dir, &fds[0], NULL), SW_ENOTFOUND);
	TEST_OK(sw_owner_start(owner));
	snprintf(path, sizeof(path), "%s/control", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* Several at once, one of which says nothing. */
	for (int i = 0; i < 3; i++) {
		TEST_OK(sw_control_connect(dir, &fds[i], &pid));
		assert_int_equal(pid, getpid());
	}
	for (int i = 1; i < 3; i++) {
		struct served s = {.fd = fds[i]};
		SW_BUF out = {0};
		SW_BUF err = {0};

		send_call(&s, WORDS(w_log, w_target));
		assert_int_equal(receive(&s, &out, &err), 0);
	}
	sw_owner_close(owner); /* although one is still connected */
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	assert_int_equal(stat(path, &st), -1);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(commands_run_in_the_owner), cmocka_unit_test(rows_may_be_cut_anywhere),
	    cmocka_unit_test(a_stream_that_fails_says_why), cmocka_unit_test(garbage_harms_nobody),
	    cmocka_unit_test(a_client_that_goes_away_ends_its_command), cmocka_unit_test(calls_are_bounded),
	    cmocka_unit_test(the_socket_is_private_and_may_be_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
