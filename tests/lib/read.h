/* Reading a row through a handle into memory of the test's own. */
#ifndef TESTS_LIB_READ_H
#define TESTS_LIB_READ_H

#include "core/work.h"
#include "tests/lib/dbs.h"

/* Up to n bytes from offset on; how many there were. */
static inline size_t test_read(struct sw_work *w, const struct sw_handle *h, uint64_t offset,
			       void *out, size_t n)
{
	struct sw_pieces p;
	size_t got;

	sw_pieces_init(&p);
	TEST_OK(sw_handle_read(w, h, offset, n, &p));
	got = p.n_bytes;
	assert_true(got <= n);
	sw_pieces_copy(&p, out);
	sw_pieces_fini(&p);
	return got;
}

#endif
