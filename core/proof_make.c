/* Proofs out of a store: who has signed the state, by which right, and the nodes down to the row. */
#include "core/proof.h"

#include <stdlib.h>

#include "core/history.h"
#include "core/watermarks.h"

#define MARKS_SIZE ((size_t)1 << 20) /* bytes of watermarks looked at in one step */

/* What was signed */

/* The state's root as it was signed, and who did. */
struct signing {
	struct sw_hash state; /* wanted */
	struct sw_key author;
	struct sw_buf bytes; /* `signed`, as the proof has it */
};

static void put_signed(struct signing *s, int kind, const struct sw_key *author, struct sw_view bytes)
{
	s->author = *author;
	sw_buf_put_u8(&s->bytes, (uint8_t)kind);
	sw_buf_put_bytes(&s->bytes, bytes);
}

/* The commit itself, if its author had seen all that stands before it: 1, or 0. */
static int find_commit(const struct sw_reader *r, const struct sw_order *at, struct signing *s)
{
	struct sw_view raw, changeset;
	struct sw_commit c;
	struct sw_hash id;
	int rc;

	sw_order_id(at, &id);
	rc = sw_db_get_commit(r, &id, &c, &raw, &changeset);
	/* Its own signature must do: one that is only vouched for cannot be shown by itself. */
	if (rc < 0 || !sw_hash_eq(&c.state, &s->state) || sw_commit_verify(raw, &c) < 0)
		return rc;
	put_signed(s, SW_PROOF_COMMIT, &c.author, raw);
	return 1;
}

/* A member's word that some commits give that state: 1, or 0. */
static int find_watermark(struct sw_db *db, struct signing *s)
{
	SW_BUF marks = {0};
	uint64_t after = 0;
	int rc;

	while ((rc = sw_db_watermarks_after(db, UINT64_MAX, MARKS_SIZE, &after, &marks)) > 0) {
		struct sw_rd r = sw_rd(sw_buf_view(&marks));

		while (sw_rd_left(&r) > 0) {
			struct sw_view bytes = sw_rd_bytes(&r, SW_WATERMARK_SIZE_MAX);
			struct sw_watermark m;

			if (sw_watermark_decode(bytes, &m) < 0)
				return sw_fail(SW_ECORRUPT, "a watermark in the store is damaged");
			if (!sw_hash_eq(&m.head.state, &s->state))
				continue;
			put_signed(s, SW_PROOF_WATERMARK, &m.author, bytes);
			return 1;
		}
		sw_buf_reset(&marks);
	}
	return rc;
}

static int find_signed(struct sw_db *db, const struct sw_reader *r, const struct sw_order *at, struct signing *s)
{
	int rc = find_commit(r, at, s);

	return rc == 0 ? find_watermark(db, s) : rc;
}

/* What nobody has signed yet we may sign, if it is the newest. 0: we did not. */
static int sign_newest(struct sw_db *db, const struct signing *s)
{
	struct sw_hash newest;
	int rc;

	sw_db_newest_state(db, &newest);
	if (!sw_hash_eq(&newest, &s->state))
		return 0;
	rc = sw_db_sign_watermark(db);
	return rc == SW_EAGAIN ? 0 : rc;
}

static int fail_unsigned(const struct sw_order *at)
{
	char hex[SW_HASH_HEX_SIZE];
	struct sw_hash id;

	sw_order_id(at, &id);
	sw_hex(id.b, SW_HASH_SIZE, hex);
	return sw_fail(SW_ENOTFOUND,
		       "nobody has signed the state as of commit %.12s: its author had not seen all that stands before it; "
		       "name a later commit, or an earlier one", hex);
}

/* Grants */

struct links {
	uint64_t seq[SW_PROOF_GRANTS_MAX]; /* of commits with a grant, the newest first */
	size_t n;
};

/* One operation on a member: 1 if it is a grant that let the key do this, and that stands, and what its author had to be. */
static int is_grant(const struct sw_reader *r, const struct sw_op_ref *ref, const struct sw_key *key, enum sw_role least,
		    enum sw_role *of_author)
{
	struct sw_view changeset;
	struct sw_changeset walk;
	enum sw_outcome outcome;
	enum sw_mode mode;
	struct sw_op op;
	int rc = sw_history_changeset(r->txn, ref->seq, &changeset);

	if (rc == 0)
		rc = sw_history_outcome(r->txn, ref->seq, &outcome);
	if (rc < 0)
		return rc;
	if (sw_changeset_begin(&walk, changeset) < 0 || sw_changeset_at(changeset, ref->offset, &mode, &op) < 0)
		return sw_fail(SW_ECORRUPT, "the operation index is damaged; run 'swarmfs verify'");
	if (op.kind != SW_OP_GRANT || !sw_key_eq(&op.member, key) || op.role < least || outcome != SW_APPLIED)
		return 0;
	*of_author = walk.n == 1 && op.role <= SW_ROLE_WRITER ? SW_ROLE_WRITER : SW_ROLE_ADMIN;
	return 1;
}

/* The first grant of a key that stands: whoever signs had it in its past, if it had any. */
static int find_grant(const struct sw_reader *r, const struct sw_key *key, enum sw_role *least, uint64_t *seq)
{
	struct sw_op probe = {.kind = SW_OP_GRANT, .member = *key};
	struct sw_op_refs refs = {0};
	struct sw_cell cell;
	int rc;

	sw_op_cell(&probe, &cell);
	rc = sw_history_refs(r->txn, &cell, 0, &refs);
	for (size_t i = 0; rc == 0 && i < refs.n; i++) {
		enum sw_role of_author = *least;

		rc = is_grant(r, &refs.v[i], key, *least, &of_author);
		*seq = refs.v[i].seq;
		if (rc > 0)
			*least = of_author;
	}
	free(refs.v);
	if (rc == 0)
		return sw_fail(SW_ENOTFOUND, "who signed the state is not let in by a grant that stands; name another commit");
	return rc < 0 ? rc : 0;
}

/* From who signed up to the creator. A grant stands behind that of its author, so this ends. */
static int find_links(const struct sw_reader *r, const struct sw_key *author, struct links *out)
{
	enum sw_role least = SW_ROLE_WRITER;
	struct sw_key key = *author;
	uint64_t seq = 0;
	int rc = 0;

	while (rc == 0 && seq != 1) {
		struct sw_order order;

		if (out->n == SW_PROOF_GRANTS_MAX)
			return sw_fail(SW_ELIMIT, "who signed the state is more than %d grants away from the creator",
				       SW_PROOF_GRANTS_MAX);
		rc = find_grant(r, &key, &least, &seq);
		if (rc == 0)
			rc = sw_history_order(r->txn, seq, &order);
		if (rc < 0)
			return rc;
		sw_order_author(&order, &key);
		out->seq[out->n++] = seq;
	}
	return rc;
}

static int put_link(const struct sw_reader *r, uint64_t seq, struct sw_buf *out)
{
	struct sw_view raw, changeset;
	struct sw_commit c;
	int rc = sw_history_get(r->txn, seq, &raw);

	if (rc == 0)
		rc = sw_history_changeset(r->txn, seq, &changeset);
	if (rc < 0)
		return rc;
	if (sw_commit_decode(raw, &c) < 0)
		return sw_fail(SW_ECORRUPT, "a commit in the store is damaged; run 'swarmfs verify'");
	if (changeset.n > SW_PROOF_CHANGESET_MAX)
		return sw_fail(SW_ELIMIT, "who signed the state was let in by a commit of more than %zu bytes, which no proof takes",
			       SW_PROOF_CHANGESET_MAX);
	sw_buf_put_bytes(out, raw);
	sw_buf_put_bytes(out, changeset);
	return 0;
}

static int put_chain(const struct sw_reader *r, const struct sw_key *author, struct sw_buf *out)
{
	struct links links = {0};
	int rc = find_links(r, author, &links);

	sw_buf_put_varint(out, links.n);
	for (size_t i = links.n; rc == 0 && i-- > 0;)
		rc = put_link(r, links.seq[i], out);
	return rc;
}

/* The path */

struct recording {
	const struct sw_nodes *nodes;
	struct sw_buf *out;
};

static int record(void *arg, const struct sw_hash *hash, struct sw_view *bytes)
{
	struct recording *rec = arg;
	int rc = sw_nodes_get(rec->nodes, hash, bytes);

	if (rc == 0)
		sw_buf_put_bytes(rec->out, *bytes);
	return rc;
}

static int put_path(const struct sw_reader *r, const struct sw_hash *state, struct sw_view table, struct sw_view key,
		    struct sw_buf *out)
{
	struct recording rec = {r->nodes, out};
	struct sw_proof p = {.table = table, .key = key, .state = *state};
	int rc = sw_proof_find(&p, record, &rec);

	return rc == SW_EFORMAT ? sw_fail(SW_ECORRUPT, "a tree of the store is damaged; run 'swarmfs verify'") : rc;
}

/* The whole */

static int put_proof(struct sw_snap *snap, struct signing *s, struct sw_view table, struct sw_view key, struct sw_buf *out)
{
	size_t begin = out->n;
	struct sw_hash check;
	struct sw_reader r;
	int rc = sw_snap_read(snap, &r);

	if (rc < 0)
		return rc;
	sw_buf_put_view(out, sw_view_str(SW_PROOF_MAGIC SW_PROOF_VERSION_LINE));
	sw_buf_put_bytes(out, table);
	sw_buf_put_bytes(out, key);
	rc = put_chain(&r, &s->author, out);
	sw_buf_put_view(out, sw_buf_view(&s->bytes));
	if (rc == 0)
		rc = put_path(&r, &s->state, table, key, out);
	sw_reader_end(&r);
	if (rc == 0)
		rc = s->bytes.rc < 0 ? s->bytes.rc : out->rc;
	if (rc < 0)
		return rc;
	sw_hash_compute(SW_DOMAIN_PROOF, sw_view(out->p + begin, out->n - begin), &check);
	sw_buf_put_hash(out, &check);
	return out->rc;
}

static int find_or_sign(struct sw_db *db, struct sw_snap *snap, const struct sw_order *at, struct signing *s)
{
	struct sw_reader r;
	int rc = sw_snap_read(snap, &r);

	if (rc < 0)
		return rc;
	s->state = *sw_snap_state(snap);
	rc = find_signed(db, &r, at, s);
	sw_reader_end(&r);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = sign_newest(db, s);
	if (rc > 0)
		rc = find_watermark(db, s);
	if (rc == 0)
		return fail_unsigned(at);
	return rc < 0 ? rc : 0;
}

int sw_proof_make(struct sw_db *db, const struct sw_order *at, struct sw_view table, struct sw_view key, struct sw_buf *out)
{
	struct signing s = {0};
	struct sw_snap *snap = NULL;
	struct sw_hash id;
	int rc = sw_name_check(table);

	if (rc == 0)
		rc = sw_name_check(key);
	if (rc < 0)
		return sw_fail(rc, "no row can have that name");
	sw_order_id(at, &id);
	rc = sw_snap_open(db, &id, &snap);
	if (rc == 0)
		rc = find_or_sign(db, snap, at, &s);
	if (rc == 0)
		rc = put_proof(snap, &s, table, key, out);
	sw_snap_unref(snap);
	sw_buf_fini(&s.bytes);
	return rc;
}
