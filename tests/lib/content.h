/* Random contents of rows: JSON objects in many styles that share columns with what they replace,
 * texts, large rows. */
#ifndef TESTS_LIB_CONTENT_H
#define TESTS_LIB_CONTENT_H

#include "core/buf.h"
#include "tests/lib/rng.h"

/* What a program writes to the row `key` when it stands as `base` (empty: nothing), appended to
 * out. */
void content_make(struct rng *r, struct sw_view key, struct sw_view base, struct sw_buf *out);

#endif
