/* The table of those who ask to be let in: it is bounded, it forgets, and those who flood it do not put out the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "net/requests.h"
#include "net/transport.h"

static struct sw_requests r;

static struct sw_key key_of(unsigned n)
{
	struct sw_key key = {{0}};

	memcpy(key.b, &n, sizeof(n));
	return key;
}

static enum sw_asked ask_at(unsigned n, const char *address, uint64_t now_ms)
{
	struct sw_key key = key_of(n);
	bool is_new;

	return sw_requests_ask(&r, &key, address, sw_view_str("let me in"), 1000 + now_ms, now_ms, &is_new);
}

/* Of a machine with that number; each connection has another port. */
static enum sw_asked ask(unsigned n, unsigned machine)
{
	char address[64];

	snprintf(address, sizeof(address), "tcp://10.0.%u.%u:%u", machine / 256, machine % 256, 1024 + n);
	return ask_at(n, address, 0);
}

static bool is_in(unsigned n)
{
	struct sw_key key = key_of(n);

	for (size_t i = 0; i < r.n; i++)
		if (sw_key_eq(&r.v[i].key, &key))
			return true;
	return false;
}

static int empty(void **state)
{
	(void)state;
	memset(&r, 0, sizeof(r));
	return 0;
}

static void a_key_has_one_place(void **state)
{
	struct sw_key key = key_of(1);
	char text[2 * SW_REQUEST_TEXT_MAX];
	bool is_new;

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(ask_at(1, "tcp://1.2.3.4:5", 10), SW_ASKED_PENDING);
	assert_int_equal(sw_requests_ask(&r, &key, "tcp://4.3.2.1:5", sw_view((const uint8_t *)text, sizeof(text)), 2000, 20, &is_new),
			 SW_ASKED_PENDING);
	assert_false(is_new);
	assert_int_equal(r.n, 1);
	/* When it began, and what it says now. */
	assert_int_equal(r.v[0].asked_ms, 1010);
	assert_string_equal(r.v[0].address, "tcp://4.3.2.1:5");
	assert_int_equal(r.v[0].n_text, SW_REQUEST_TEXT_MAX);
	assert_int_equal(sw_requests_ask(&r, &key, "", sw_view(NULL, 0), 0, 30, &is_new), SW_ASKED_PENDING);
	assert_int_equal(r.v[0].n_text, 0);
}

static void one_that_is_not_heard_of_is_forgotten(void **state)
{
	(void)state;
	assert_int_equal(ask_at(1, "ipc://a", 10), SW_ASKED_PENDING);
	assert_int_equal(ask_at(2, "ipc://a", 10), SW_ASKED_PENDING);
	assert_int_equal(ask_at(2, "ipc://a", 500), SW_ASKED_PENDING);
	sw_requests_expire(&r, SW_REQUEST_MS + 9);
	assert_int_equal(r.n, 2);
	sw_requests_expire(&r, SW_REQUEST_MS + 10);
	assert_false(is_in(1));
	assert_true(is_in(2));
	/* Also when nobody looks but who asks. */
	assert_int_equal(ask_at(3, "ipc://a", SW_REQUEST_MS + 500), SW_ASKED_PENDING);
	assert_int_equal(r.n, 1);
}

static void a_no_holds_for_its_time(void **state)
{
	struct sw_key key = key_of(1);

	(void)state;
	assert_int_equal(sw_requests_reject(&r, &key, 0), SW_ENOTFOUND);
	assert_int_equal(ask_at(1, "ipc://a", 0), SW_ASKED_PENDING);
	assert_int_equal(sw_requests_reject(&r, &key, 100), 0);
	assert_int_equal(sw_requests_reject(&r, &key, 100), SW_ENOTFOUND);
	/* Asking again does not make it longer. */
	assert_int_equal(ask_at(1, "ipc://a", SW_REQUEST_MS), SW_ASKED_REJECTED);
	assert_int_equal(ask_at(1, "ipc://a", SW_REQUEST_MS + 100), SW_ASKED_PENDING);
	sw_requests_remove(&r, &key);
	sw_requests_remove(&r, &key);
	assert_int_equal(r.n, 0);
}

static void one_source_has_few_places(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 100; n++)
		assert_int_equal(ask(n, 1), n < SW_REQUESTS_SOURCE_MAX ? SW_ASKED_PENDING : SW_ASKED_NO_ROOM);
	assert_int_equal(ask(100, 2), SW_ASKED_PENDING);
	/* Those that are there may go on asking. */
	assert_int_equal(ask(0, 1), SW_ASKED_PENDING);
	assert_int_equal(r.n, SW_REQUESTS_SOURCE_MAX + 1);
}

/* Few sources that take all places give them to others, one by one, their last first, and nobody else loses one. */
static void who_has_most_makes_room(void **state)
{
	unsigned n = 0;

	(void)state;
	assert_int_equal(ask(1000, 999), SW_ASKED_PENDING);
	assert_int_equal(ask(1001, 998), SW_ASKED_PENDING);
	for (unsigned machine = 0; r.n < SW_REQUESTS_MAX; machine++)
		for (unsigned i = 0; i < SW_REQUESTS_SOURCE_MAX && r.n < SW_REQUESTS_MAX; i++)
			assert_int_equal(ask(n++, machine), SW_ASKED_PENDING);
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(ask(2000 + i, 500 + i), SW_ASKED_PENDING);
		assert_int_equal(r.n, SW_REQUESTS_MAX);
	}
	for (unsigned i = 0; i < 40; i++)
		assert_true(is_in(2000 + i));
	assert_true(is_in(1000) && is_in(1001));
	assert_true(is_in(0)); /* the first of a source that had most */
	/* A source that had to give some does not get them back. */
	assert_int_equal(ask(3000, 0), SW_ASKED_NO_ROOM);
}

static void nobody_is_put_out_for_a_newcomer_who_has_no_less(void **state)
{
	(void)state;
	for (unsigned n = 0; n < SW_REQUESTS_MAX; n++)
		assert_int_equal(ask(n, n / 2), SW_ASKED_PENDING);
	/* Two of each source: each gives one to a new source, and then all have as many as one more would have. */
	for (unsigned n = 0; n < SW_REQUESTS_MAX / 2; n++)
		assert_int_equal(ask(100 + n, 100 + n), SW_ASKED_PENDING);
	for (unsigned n = 0; n < 50; n++)
		assert_int_equal(ask(200 + n, 200 + n), SW_ASKED_NO_ROOM);
	for (unsigned n = 0; n < SW_REQUESTS_MAX; n += 2)
		assert_true(is_in(n));
}

static void those_that_were_rejected_make_room_first(void **state)
{
	struct sw_key key = key_of(40);

	(void)state;
	for (unsigned n = 0; n < SW_REQUESTS_MAX; n++)
		assert_int_equal(ask(n, n), SW_ASKED_PENDING);
	assert_int_equal(ask(100, 100), SW_ASKED_NO_ROOM);
	assert_int_equal(sw_requests_reject(&r, &key, 0), 0);
	assert_int_equal(ask(100, 100), SW_ASKED_PENDING);
	assert_false(is_in(40));
}

static void the_first_digits_of_a_key_may_be_those_of_another(void **state)
{
	struct sw_key key;

	(void)state;
	ask(0x01020304, 1);
	ask(0x11020304, 1); /* the least byte comes first */
	ask(0x01020305, 1);
	assert_int_equal(sw_requests_match(r.v, r.n, "05030201", &key), 1);
	assert_true(sw_key_eq(&key, &r.v[2].key));
	assert_int_equal(sw_requests_match(r.v, r.n, "040302", &key), 2);
	assert_int_equal(sw_requests_match(r.v, r.n, "04030211", &key), 1);
	assert_true(sw_key_eq(&key, &r.v[1].key));
	assert_int_equal(sw_requests_match(r.v, r.n, "99", &key), 0);
	assert_int_equal(sw_requests_match(r.v, r.n, "0503020100000000000000000000000000000000000000000000000000000000ab", &key), 0);
}

static void a_source_is_what_who_connects_cannot_choose(void **state)
{
	static const char *const cases[][2] = {
	    {"tcp://10.0.0.1:1234", "tcp://10.0.0.1"},
	    {"tcp://host.example:1", "tcp://host.example"},
	    {"tcp://[2001:db8:1:2:3:4:5:6]:99", "tcp://[2001:db8:1:2::/64]"},
	    {"tcp://[2001:db8:1:2:ffff::1]:7", "tcp://[2001:db8:1:2::/64]"},
	    {"tcp://[2001:db8:1:3::1]:7", "tcp://[2001:db8:1:3::/64]"},
	    {"tcp://[::ffff:10.0.0.1]:1234", "tcp://[::ffff:10.0.0.1]"},
	    {"tcp://[nonsense", "tcp://[nonsense"},
	    {"ipc:///some/where", "ipc"},
	    {"", ""},
	};
	char source[SW_TRANSPORT_SOURCE_SIZE], address[400];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sw_transport_source(cases[i][0], source);
		assert_string_equal(source, cases[i][1]);
	}
	memset(address, 'a', sizeof(address) - 1);
	address[sizeof(address) - 1] = '\0';
	memcpy(address, "tcp://", 6);
	sw_transport_source(address, source);
	assert_int_equal(strlen(source), sizeof(source) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_key_has_one_place, empty),
	    cmocka_unit_test_setup(one_that_is_not_heard_of_is_forgotten, empty),
	    cmocka_unit_test_setup(a_no_holds_for_its_time, empty),
	    cmocka_unit_test_setup(one_source_has_few_places, empty),
	    cmocka_unit_test_setup(who_has_most_makes_room, empty),
	    cmocka_unit_test_setup(nobody_is_put_out_for_a_newcomer_who_has_no_less, empty),
	    cmocka_unit_test_setup(those_that_were_rejected_make_room_first, empty),
	    cmocka_unit_test_setup(the_first_digits_of_a_key_may_be_those_of_another, empty),
	    cmocka_unit_test_setup(a_source_is_what_who_connects_cannot_choose, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
