/*
 * What is settled: the longest prefix of the line that lies in the causal past of the newest
 * watermark (core/watermark.h) of every key that may write; before its first one, of each grant
 * that lets it write. Of our own key it is all that is here, but for what was sent to nobody and
 * may yet be signed again (sw_db_resign()). No commit that is not here yet can come to stand in it,
 * unless an author breaks its word (it lost its store, say, and went on from a copy), and only an
 * admin's revocation reaches into it. It decides no outcome. The line of a database that has only
 * one member is settled as it stands.
 *
 * The end of the prefix only moves on. Finding it costs a step for each new commit, and one for
 * each commit and writer when the writer has seen it (core/seen.h).
 */
#ifndef SW_CORE_SETTLED_H
#define SW_CORE_SETTLED_H

#include "core/watermark.h"

struct sw_settled {
	uint64_t count; /* commits */
	bool has_last;
	struct sw_order last;
};

static inline bool sw_settled_covers(const struct sw_settled *s, const struct sw_order *at)
{
	return s->has_last && sw_order_cmp(at, &s->last) <= 0;
}

/* As far as is known to the reader. Any thread; waits for nobody but others who ask, and who store
 * watermarks. */
int sw_db_settled(struct sw_db *db, const struct sw_reader *r,
		  struct sw_settled *out) SW_MUST_CHECK;

/*
 * Whether another key that may write has said, by a watermark, that it has what is settled. That it has not freed it since is not
 * known.
 */
int sw_db_is_witnessed(struct sw_db *db, const struct sw_reader *r, bool *out) SW_MUST_CHECK;

/* Somebody whose watermark does not cover a commit. */
struct sw_holdup {
	struct sw_key key;
	uint64_t stamp; /* of its newest watermark; 0: it has none */
};

/*
 * Who holds up that the line is settled up to `upto`; NULL: that the first commit which is not
 * settled becomes so. None when it is. Free *out.
 */
int sw_db_holdups(struct sw_db *db, const struct sw_reader *r, const struct sw_order *upto,
		  struct sw_holdup **out, size_t *n) SW_MUST_CHECK;

#endif
