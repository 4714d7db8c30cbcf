/*
 * Rows that a schema refused when a program here wrote them: what was written, and why it was not
 * taken. Shells do not look at what close() says, so this is all that is left of it.
 *
 * The texts are files, STORE/refused/TABLE/ROW, one for each row: the newest. They stay until the
 * row is written well, somebody removes them, or newer ones need the room. Why is known as long as
 * the process lives.
 *
 * Any thread may call anything here.
 */
#ifndef SW_CORE_REFUSED_H
#define SW_CORE_REFUSED_H

#include "core/env.h"
#include "core/buf.h"

#define SW_REFUSED_DIR      "refused"
#define SW_REFUSED_ROWS_MAX 100
#define SW_REFUSED_BYTES_MAX                                                                       \
	((size_t)1                                                                                 \
	 << 20) /* kept of one row: what is larger has no columns, and keeps its beginning */

struct sw_refused;

/* Of the store in dir. What is there from before is taken up; what cannot be read is left alone.
 * env is borrowed. */
int sw_refused_open(const char *dir, const struct sw_env *env,
		    struct sw_refused **out) SW_MUST_CHECK;
void sw_refused_close(struct sw_refused *r); /* NULL is fine */

/* A row was refused. If its text cannot be kept the reason says so. */
void sw_refused_keep(struct sw_refused *r, struct sw_view table, struct sw_view key,
		     struct sw_view text, const char *reason);
/* The row was written well: what was refused before is done with. */
void sw_refused_forget(struct sw_refused *r, struct sw_view table, struct sw_view key);

struct sw_refusal {
	struct sw_view table, key;
	uint64_t when_ms;
	const char *reason; /* "": it was before this process */
	const char *path;   /* of the text; NULL: it could not be kept */
};
/* Each of them that is still there, the oldest first; fn must not call back. */
void sw_refused_each(struct sw_refused *r, void (*fn)(void *arg, const struct sw_refusal *refusal),
		     void *arg);

#endif
