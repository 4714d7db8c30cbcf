/* What is settled, and who holds it up, as text and JSON: for `status`, `commit --settled` and .swarm/settled. */
#ifndef SW_FS_SETTLED_TEXT_H
#define SW_FS_SETTLED_TEXT_H

#include <jansson.h>

#include "core/settled.h"

/* Both at one moment. Zero-initialise; fini frees. */
struct sw_standing_settled {
	struct sw_settled settled;
	struct sw_holdup *holdups; /* of the first commit that is not settled */
	size_t n_holdups;
};

int sw_settled_look(struct sw_db *db, const struct sw_reader *r, struct sw_standing_settled *out) SW_MUST_CHECK;
void sw_settled_fini(struct sw_standing_settled *s);

/* {"count": ..., "commit": id or null, "waits_for": [{"key": ..., "seen": time or null}]}; NULL: no memory. */
json_t *sw_settled_json(const struct sw_standing_settled *s);
/* Of how many; and a line for each key that is waited for. */
void sw_settled_put(const struct sw_standing_settled *s, uint64_t n_commits, struct sw_buf *out);
/* The file: "COUNT ID", then a line "KEY TIME" or "KEY -" for each key that is waited for. */
int sw_settled_file(struct sw_db *db, struct sw_buf *out) SW_MUST_CHECK;
/* "KEY (last heard of TIME), KEY (never heard of)". */
void sw_holdups_put(const struct sw_holdup *v, size_t n, struct sw_buf *out);

#endif
