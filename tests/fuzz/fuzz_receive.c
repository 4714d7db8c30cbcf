/*
 * Whole histories from a member who means harm. The input is a list of changesets, each with a byte
 * for its parents and one for its stamp; what decodes is given hashes and keys that occur in this
 * history, signed, and received by one store in this order and by another in the opposite one. Both
 * take the same commits, end with the same head, and verify.
 */
#include "core/hlc.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/dbs.h"

#define COMMITS_MAX 12
#define OPS_MAX     32

struct crafted {
	struct sw_buf commit, changeset;
	struct sw_hash id;
	uint64_t stamp;
	uint16_t parents; /* a bit for each commit before it */
	enum sw_taken taken;
	bool is_given;
};

struct history {
	struct crafted v[COMMITS_MAX];
	size_t n;
	struct sw_hash hashes[16]; /* values that some operation wrote; the first is zero */
	size_t n_hashes;
};

static struct sw_identity *ghost;

/* Point at what is there: a first byte below 240 chooses among the values written before. */
static void patch(struct history *h, struct sw_op *op)
{
	if (op->kind == SW_OP_PUT || op->kind == SW_OP_DELETE || op->kind == SW_OP_CHECK)
		if (op->old.b[0] < 240 && !op->has_columns)
			op->old = h->hashes[op->old.b[0] % h->n_hashes];
	if ((op->kind == SW_OP_RESOLVE || op->kind == SW_OP_TAG) && op->commit.b[0] < 240 &&
	    h->n > 0)
		op->commit = h->v[op->commit.b[0] % h->n].id;
	if (op->kind == SW_OP_GRANT && op->member.b[0] < 240)
		op->member = *sw_identity_key(ghost);
	if (op->kind == SW_OP_PUT && !op->row.is_blob) {
		struct sw_hash hash;

		sw_op_new_hash(op, &hash);
		if (h->n_hashes < sizeof(h->hashes) / sizeof(h->hashes[0]))
			h->hashes[h->n_hashes++] = hash;
	}
}

/* The changeset as patched, or as it is when it is malformed. */
static void put_changeset(struct history *h, struct sw_view bytes, struct sw_buf *out)
{
	static struct sw_op ops[OPS_MAX];
	struct sw_changeset c;
	size_t n_blobs;
	int rc = sw_changeset_check(bytes, &n_blobs);

	if (rc == 0)
		rc = sw_changeset_begin(&c, bytes);
	if (rc < 0 || c.n > OPS_MAX) {
		sw_buf_put_view(out, bytes);
		return;
	}
	for (size_t i = 0; i < c.n; i++) {
		must(sw_changeset_next(&c, &ops[i]) == 1);
		patch(h, &ops[i]);
	}
	sw_changeset_encode(c.mode, ops, c.n, out, NULL);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, SW_HASH_SIZE);
}

static bool is_new(const struct history *h, const struct sw_hash *id)
{
	for (size_t i = 0; i < h->n; i++)
		if (sw_hash_eq(&h->v[i].id, id))
			return false;
	return true;
}

static void crafted_fini(struct crafted *c)
{
	sw_buf_fini(&c->commit);
	sw_buf_fini(&c->changeset);
}

/* The next commit of the history; false when it is one that is there already. */
static bool craft(struct history *h, const struct test_db *a, const struct sw_commit *root,
		  struct sw_rd *in)
{
	struct crafted *c = &h->v[h->n];
	uint8_t parents = sw_rd_u8(in), stamp = sw_rd_u8(in);
	size_t n = sw_rd_u8(in);
	struct sw_view bytes = sw_rd_take(in, n < sw_rd_left(in) ? n : sw_rd_left(in));
	struct sw_commit commit = {.rule = SW_RULE_VERSION, .database = *sw_db_id(a->db)};

	*c = (struct crafted){.stamp = root->stamp};
	for (size_t i = 0; i < h->n; i++) {
		if (i + 1 != h->n && !(parents >> (i % 7) & 1))
			continue;
		c->parents |= (uint16_t)(1 << i);
		commit.parents[commit.n_parents++] = h->v[i].id;
		if (h->v[i].stamp > c->stamp)
			c->stamp = h->v[i].stamp;
	}
	/* The byte says seldom "none", so that there are branches. */
	if (parents > 200 || commit.n_parents == 0) {
		c->parents = 0;
		c->stamp = root->stamp;
		commit.n_parents = 1;
		commit.parents[0] = root->id;
	}
	qsort(commit.parents, commit.n_parents, SW_HASH_SIZE, by_bytes);
	c->stamp += stamp == 255 ? 0 : 1 + stamp; /* 255: malformed, not after its parents */
	commit.stamp = c->stamp;
	put_changeset(h, bytes, &c->changeset);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&c->changeset), &commit.changeset);
	sw_commit_seal(&commit, parents & 128 ? ghost : sw_db_identity(a->db), &c->commit);
	c->id = commit.id;
	if (!is_new(h, &c->id)) {
		crafted_fini(c);
		return false;
	}
	h->n++;
	return true;
}

static enum sw_taken give(struct test_db *t, struct sw_view commit, struct sw_view changeset)
{
	struct sw_incoming in = {.commit = commit, .changeset = changeset};
	size_t n_taken;

	must(sw_db_receive(t->db, &in, 1, 0, NULL, NULL, NULL, &n_taken) == 0);
	must(n_taken == (in.taken == SW_TAKEN));
	return in.taken;
}

/* The newest first, as far as parents come before children. */
static void give_backwards(struct history *h, struct test_db *b)
{
	for (size_t given = 0; given < h->n;) {
		for (size_t i = h->n; i-- > 0;) {
			struct crafted *c = &h->v[i];
			bool is_ready = !c->is_given;

			for (size_t k = 0; k < i; k++)
				if (c->parents >> k & 1 && !h->v[k].is_given)
					is_ready = false;
			if (!is_ready)
				continue;
			must(give(b, sw_buf_view(&c->commit), sw_buf_view(&c->changeset)) ==
			     c->taken);
			c->is_given = true;
			given++;
		}
	}
}

static void check_equal(struct test_db *a, struct test_db *b)
{
	struct sw_verify_report report;
	struct sw_head x, y;

	sw_db_head(a->db, &x);
	sw_db_head(b->db, &y);
	must(sw_head_eq(&x, &y));
	must(sw_db_verify(a->db, &report) == 0);
	must(sw_db_verify(b->db, &report) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[SW_KEY_SEED_SIZE] = {9};
	static struct history h;
	struct sw_rd in = sw_rd(sw_view(data, size));
	struct sw_view raw, changeset;
	struct sw_commit root;
	struct sw_reader r;
	struct test_db a, b;

	must(sw_crypto_init() == 0);
	if (!ghost)
		must(sw_identity_from_seed(seed, &ghost) == 0);
	h = (struct history){.n_hashes = 1};
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	must(sw_reader_begin(a.db, &r) == 0);
	must(sw_db_get_commit(&r, sw_db_id(a.db), &root, &raw, &changeset) == 0);
	must(give(&b, raw, changeset) == SW_TAKEN);
	sw_reader_end(&r);
	while (sw_rd_left(&in) >= 3 && h.n < COMMITS_MAX) {
		struct crafted *c = &h.v[h.n];

		if (craft(&h, &a, &root, &in))
			c->taken = give(&a, sw_buf_view(&c->commit), sw_buf_view(&c->changeset));
	}
	give_backwards(&h, &b);
	check_equal(&a, &b);
	for (size_t i = 0; i < h.n; i++)
		crafted_fini(&h.v[i]);
	test_db_close(&a);
	test_db_close(&b);
	return 0;
}
