/* Swarms over real loopback connections: joining, converging, being refused. Each has its own store
 * and thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/log.h"
#include "fs/env_system.h"
#include "net/known.h"
#include "net/swarm.h"
#include "net/ticket.h"
#include "tests/lib/dbs.h"

#define DEADLINE_MS 10000

struct node {
	struct test_db db;
	_Atomic(struct sw_swarm *) swarm;
	const char *url; /* that it listens on */
};

static void on_changed(void *arg, const struct sw_changes *c, const struct sw_head *h,
		       bool by_others)
{
	(void)c;
	(void)h;
	(void)by_others;
	sw_swarm_kick(((struct node *)arg)->swarm);
}

static void real_clock(struct node *n)
{
	struct sw_listener l = {.arg = n, .changed = on_changed};

	n->db.env.env.wall_ms = sw_env_system.wall_ms;
	n->db.env.env.mono_ms = sw_env_system.mono_ms;
	n->db.env.env.random = sw_env_system.random;
	sw_db_listen(n->db.db, &l);
}

/* Short timers: what is tested is that things happen, not how long the product waits. */
static void start(struct node *n, const char *const *peers, size_t n_peers)
{
	static const char *const loopback[] = {"tcp://127.0.0.1:0"};
	struct sw_swarm_options o = {
	    .listen = loopback,
	    .n_listen = 1,
	    .peers = peers,
	    .n_peers = n_peers,
	    .timers = {.advert_ms = 50, .backoff_min_ms = 20, .backoff_max_ms = 200}};
	struct sw_swarm *s;
	const char *const *urls;

	TEST_OK(sw_swarm_start(n->db.db, &o, &s));
	n->swarm = s;
	assert_int_equal(sw_swarm_addresses(n->swarm, &urls), 1);
	n->url = urls[0];
}

static void stop(struct node *n)
{
	struct sw_swarm *s = n->swarm;

	n->swarm = NULL;
	sw_swarm_stop(s);
}

static void end(struct node *n)
{
	stop(n);
	test_db_close(&n->db);
}

static void create(struct node *n, uint64_t seed)
{
	test_db_create(&n->db, seed);
	real_clock(n);
	start(n, NULL, 0);
}

static char *invite(struct node *n, uint64_t expiry_ms)
{
	struct sw_buf t = {0};

	TEST_OK(sw_swarm_invite(n->swarm, expiry_ms, SW_ROLE_WRITER, &t));
	sw_buf_put_u8(&t, 0);
	assert_int_equal(t.rc, 0);
	return (char *)t.p;
}

static void join(struct node *n, struct node *inviter, uint64_t seed)
{
	char *ticket = invite(inviter, 60000);
	const char *peers[] = {ticket};

	test_db_clone(&n->db, &inviter->db, seed);
	real_clock(n);
	start(n, peers, 1);
	TEST_OK(sw_swarm_wait_synced(n->swarm, DEADLINE_MS));
	free(ticket);
}

static bool same_head(struct node *a, struct node *b)
{
	struct sw_head x, y;

	sw_db_head(a->db.db, &x);
	sw_db_head(b->db.db, &y);
	return sw_head_eq(&x, &y);
}

static void nap(void)
{
	struct timespec t = {0, 2000000};

	nanosleep(&t, NULL);
}

static void until_same(struct node *a, struct node *b)
{
	for (int ms = 0; ms < DEADLINE_MS && !same_head(a, b); ms += 2)
		nap();
	assert_true(same_head(a, b));
}

static void a_newcomer_gets_everything_and_may_write(void **state)
{
	struct node a = {0}, b = {0};
	char big[30001], text[30002];

	(void)state;
	create(&a, 1);
	for (size_t i = 0; i < sizeof(big) - 1; i++)
		big[i] = (char)('a' + (i * i >> 4) % 26);
	big[sizeof(big) - 1] = '\0';
	test_put(&a.db, "t", "small", "hello");
	test_put(&a.db, "t", "big", big);
	join(&b, &a, 2);
	assert_true(test_get(&b.db, "t", "big", text, sizeof(text)));
	assert_string_equal(text, big);
	test_put(&b.db, "t", "small", "from b");
	until_same(&a, &b);
	assert_true(test_get(&a.db, "t", "small", text, sizeof(text)));
	assert_string_equal(text, "from b");
	test_verify(&b.db);
	end(&b);
	end(&a);
}

static void a_chain_of_three_converges_and_heals(void **state)
{
	struct node a = {0}, b = {0}, c = {0};
	const char *peers[1];
	char key[16];

	(void)state;
	create(&b, 1); /* in the middle: it invites both */
	join(&a, &b, 2);
	join(&c, &b, 3);
	for (int i = 0; i < 50; i++) {
		snprintf(key, sizeof(key), "r%d", i % 10);
		test_put(&a.db, "t", key, i % 2 ? "x" : "y");
		test_put(&c.db, "t", key, i % 3 ? "u" : "v");
	}
	until_same(&a, &c);
	/* The middle goes; both ends write; it comes back at another address and dials them. */
	stop(&b);
	test_put(&a.db, "t", "alone", "a");
	test_put(&c.db, "t", "alone", "c");
	assert_false(same_head(&a, &c));
	peers[0] = a.url;
	start(&b, peers, 1);
	TEST_OK(sw_swarm_add_peer(b.swarm, c.url));
	until_same(&a, &c);
	until_same(&a, &b);
	test_verify(&b.db);
	end(&a);
	end(&b);
	end(&c);
}

/* Whoever is not let in gets nothing, and the other side lives on. */
static void refused(struct node *inviter, const char *ticket, const char *why)
{
	struct node n = {0};
	const char *peers[] = {ticket};
	struct sw_head head;
	int rc;

	test_db_clone(&n.db, &inviter->db, 77);
	real_clock(&n);
	start(&n, peers, 1);
	rc = sw_swarm_wait_synced(n.swarm, DEADLINE_MS);
	assert_int_equal(rc, SW_EDENIED);
	assert_non_null(strstr(sw_fail_message(rc), why));
	sw_db_head(n.db.db, &head);
	assert_int_equal(head.count, 0);
	end(&n);
}

/* Whoever has joined and ends at once finds the way again. */
static void where_a_ticket_led_is_remembered_at_once(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 3; i++) {
		struct node a = {0}, b = {0};
		SW_BUF known = {0};
		struct sw_rd r;

		create(&a, 1);
		join(&b, &a, 2 + i);
		stop(&b);
		TEST_OK(sw_known_list(b.db.db, &known));
		r = sw_rd(sw_buf_view(&known));
		assert_true(sw_view_eq(sw_rd_bytes(&r, SW_SWARM_ADDRESS_SIZE), sw_view_str(a.url)));
		assert_int_equal(sw_rd_done(&r), 0);
		test_db_close(&b.db);
		end(&a);
	}
}

static void used_expired_and_unknown_tickets_are_refused(void **state)
{
	struct sw_swarm *none;
	struct node a = {0}, b = {0}, other = {0};
	struct sw_ticket t;
	struct sw_buf forged = {0};
	char *used, *expired;
	const char *peers[1];

	(void)state;
	create(&a, 1);
	used = invite(&a, 60000);
	test_db_clone(&b.db, &a.db, 2);
	real_clock(&b);
	peers[0] = used;
	start(&b, peers, 1);
	TEST_OK(sw_swarm_wait_synced(b.swarm, DEADLINE_MS));
	refused(&a, used, "used already");
	expired = invite(&a, 0);
	nap();
	refused(&a, expired, "expired");
	TEST_OK(sw_ticket_decode(expired, &t));
	t.secret[0] ^= 1;
	sw_ticket_encode(&t, &forged);
	sw_buf_put_u8(&forged, 0);
	refused(&a, (const char *)forged.p, "not one of ours");
	/* A ticket of another database is refused before anything is dialled. */
	test_db_create(&other.db, 9);
	assert_int_equal(sw_swarm_start(other.db.db,
					&(struct sw_swarm_options){.peers = peers, .n_peers = 1},
					&none),
			 SW_EINVAL);
	test_put(&a.db, "t", "r", "still alive");
	until_same(&a, &b);
	test_db_close(&other.db);
	sw_buf_fini(&forged);
	free(used);
	free(expired);
	end(&b);
	end(&a);
}

static void a_stranger_who_knows_the_database_is_dropped(void **state)
{
	struct node a = {0}, s = {0};
	const char *peers[1];
	struct sw_head head;

	(void)state;
	create(&a, 1);
	test_put(&a.db, "t", "secret", "text");
	test_db_clone(&s.db, &a.db, 5);
	real_clock(&s);
	peers[0] = a.url; /* an address, no ticket */
	start(&s, peers, 1);
	assert_true(sw_swarm_wait_synced(s.swarm, 300) < 0);
	sw_db_head(s.db.db, &head);
	assert_int_equal(head.count, 0);
	end(&s);
	end(&a);
}

static int knock(const struct node *at)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)strtoul(strrchr(at->url, ':') + 1, NULL, 10));
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* More lines held by strangers than there is room for: the oldest go, and a newcomer gets in. */
static void who_only_holds_the_line_keeps_nobody_out(void **state)
{
	struct node a = {0}, b = {0};
	int lines[300];
	char c;

	(void)state;
	create(&a, 1);
	for (size_t i = 0; i < 300; i++)
		lines[i] = knock(&a);
	join(&b, &a, 2);
	test_put(&b.db, "t", "r", "here");
	until_same(&a, &b);
	assert_int_equal(recv(lines[299], &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(recv(lines[0], &c, 1, 0) <= 0);
	for (size_t i = 0; i < 300; i++)
		close(lines[i]);
	end(&b);
	end(&a);
}

static _Atomic unsigned n_refused;

static void count_refused(enum sw_log_level level, const char *text)
{
	(void)level;
	n_refused += strstr(text, "refused") != NULL;
}

/* Garbage at the port: a few lines in the log, however often it comes. */
static void who_knocks_all_the_time_does_not_fill_the_log(void **state)
{
	struct node a = {0};

	(void)state;
	create(&a, 1);
	sw_log_set_level(SW_LOG_WARN);
	sw_log_set_sink(count_refused);
	for (int i = 0; i < 40; i++) {
		int fd = knock(&a);
		char end;

		assert_int_equal(send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
		while (recv(fd, &end, 1, 0) >
		       0) /* until it is closed, so that each was dealt with */
			;
		close(fd);
	}
	end(&a);
	sw_log_set_sink(NULL);
	assert_in_range(n_refused, 1, 10);
	sw_log_set_level(SW_LOG_ERROR);
}

static void the_same_peer_twice_is_once(void **state)
{
	struct node a = {0}, b = {0};
	struct sw_swarm_status st;
	const char *peers[3];
	char *ticket;

	(void)state;
	create(&a, 1);
	ticket = invite(&a, 60000);
	peers[0] = peers[2] = ticket;
	peers[1] = a.url;
	test_db_clone(&b.db, &a.db, 2);
	real_clock(&b);
	start(&b, peers, 3);
	TEST_OK(sw_swarm_add_peer(b.swarm, a.url));
	TEST_OK(sw_swarm_wait_synced(b.swarm, DEADLINE_MS));
	until_same(&a, &b);
	TEST_OK(sw_swarm_status(b.swarm, &st));
	assert_in_range(st.n_peers, 1, 2); /* a ticket and an address */
	sw_swarm_status_fini(&st);
	/* What cannot be dialled is not kept. */
	assert_int_equal(sw_swarm_add_peer(b.swarm, "gopher://127.0.0.1:1"), SW_EINVAL);
	TEST_OK(sw_swarm_status(b.swarm, &st));
	assert_in_range(st.n_peers, 1, 2);
	sw_swarm_status_fini(&st);
	free(ticket);
	end(&b);
	end(&a);
}

static void every_ticket_with_one_letter_changed_is_refused(void **state)
{
	struct node a = {0};
	struct sw_ticket t;
	char *text;

	(void)state;
	create(&a, 1);
	text = invite(&a, 1000);
	TEST_OK(sw_ticket_decode(text, &t));
	assert_memory_equal(t.database.b, sw_db_id(a.db.db)->b, SW_HASH_SIZE);
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		assert_true(sw_ticket_decode(text, &t) < 0);
		text[i] = '\0';
		assert_true(sw_ticket_decode(text, &t) < 0);
		text[i] = was;
	}
	free(text);
	end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_newcomer_gets_everything_and_may_write),
	    cmocka_unit_test(a_chain_of_three_converges_and_heals),
	    cmocka_unit_test(where_a_ticket_led_is_remembered_at_once),
	    cmocka_unit_test(used_expired_and_unknown_tickets_are_refused),
	    cmocka_unit_test(a_stranger_who_knows_the_database_is_dropped),
	    cmocka_unit_test(who_only_holds_the_line_keeps_nobody_out),
	    cmocka_unit_test(who_knocks_all_the_time_does_not_fill_the_log),
	    cmocka_unit_test(the_same_peer_twice_is_once),
	    cmocka_unit_test(every_ticket_with_one_letter_changed_is_refused),
	};

	sw_log_set_level(SW_LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
