#include "tests/lib/pair.h"

#include "core/db_internal.h"

static void diverged(void *arg, const struct sw_divergence *d)
{
	struct pair *p = arg;

	p->n_diverged++;
	p->diverged_at = d->commit;
	p->diverged_author = d->who;
}

void pair_open(struct pair *p)
{
	struct sw_listener listener = {.arg = p, .diverged = diverged};

	*p = (struct pair){0};
	test_db_create(&p->a, 1);
	test_db_clone(&p->b, &p->a, 2);
	sw_db_listen(p->a.db, &listener);
	test_grant(&p->a, &p->b);
	for (size_t i = 0; i < 5; i++) {
		uint8_t secret[SW_KEY_SEED_SIZE] = {(uint8_t)(i + 1)};
		struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .role = SW_ROLE_WRITER}};
		struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};

		TEST_OK(sw_identity_from_seed(secret, &p->authors[i]));
		op.op.member = *sw_identity_key(p->authors[i]);
		TEST_OK(sw_db_commit(p->a.db, &w, &p->grant));
	}
	test_sync(&p->a, &p->b);
	p->a.env.now_ms += 1000;
	p->b.env.now_ms += 1000;
}

void pair_close(struct pair *p)
{
	test_verify(&p->a);
	test_verify(&p->b);
	test_db_close(&p->a);
	test_db_close(&p->b);
	for (size_t i = 0; i < 5; i++)
		sw_identity_free(p->authors[i]);
}

bool pair_same_head(struct pair *p)
{
	struct sw_head x, y;

	sw_db_head(p->a.db, &x);
	sw_db_head(p->b.db, &y);
	return sw_head_eq(&x, &y);
}

void pair_sync(struct pair *p)
{
	test_sync(&p->a, &p->b);
	assert_true(pair_same_head(p));
}

void test_assert_text(struct test_db *t, const char *table, const char *key, const char *want)
{
	char text[4096];

	assert_int_equal(test_get(t, table, key, text, sizeof(text)), want != NULL);
	if (want)
		assert_string_equal(text, want);
}

enum sw_outcome test_outcome(struct test_db *t, const struct sw_hash *id)
{
	enum sw_outcome outcome;
	struct sw_order order;
	struct sw_reader r;
	uint64_t seq;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_history_seq(r.txn, id, &seq));
	TEST_OK(sw_history_order(r.txn, seq, &order));
	TEST_OK(sw_db_outcome(&r, &order, &outcome));
	sw_reader_end(&r);
	return outcome;
}

static struct sw_hash value_hash(const char *text)
{
	struct sw_hash h = sw_hash_zero;

	if (text)
		sw_hash_compute(SW_DOMAIN_VALUE, sw_view_str(text), &h);
	return h;
}

struct sw_op test_row_op(const char *key, const char *old, const char *new)
{
	struct sw_op op = {.kind = new ? SW_OP_PUT : SW_OP_DELETE,
			   .table = sw_view_str("t"),
			   .key = sw_view_str(key),
			   .old = value_hash(old)};

	if (new)
		op.row = (struct sw_row){
		    .mode = 0644, .mtime_ns = 1000, .bytes = sw_view_str(new), .size = strlen(new)};
	return op;
}

void made_fini(struct made *m)
{
	sw_buf_fini(&m->raw);
	sw_buf_fini(&m->changeset);
}

void pair_seal_by(struct pair *p, const struct sw_identity *author, uint64_t stamp,
		  const struct sw_hash *parent, struct made *m)
{
	struct sw_commit c = {.rule = SW_RULE_VERSION,
			      .database = *sw_db_id(p->a.db),
			      .n_parents = 1,
			      .parents = {*parent},
			      .stamp = stamp};

	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&m->changeset), &c.changeset);
	sw_commit_seal(&c, author, &m->raw);
	m->id = c.id;
}

void pair_seal(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
	       struct made *m)
{
	pair_seal_by(p, p->authors[i], stamp, parent, m);
}

void pair_make(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
	       enum sw_mode mode, const struct sw_op *ops, size_t n, struct made *m)
{
	*m = (struct made){0};
	sw_changeset_encode(mode, ops, n, &m->changeset, NULL);
	pair_seal(p, i, stamp, parent, m);
}

struct sw_incoming test_give(struct test_db *t, const struct made *m)
{
	struct sw_incoming in = {.commit = sw_buf_view(&m->raw),
				 .changeset = sw_buf_view(&m->changeset)};
	size_t n_taken;

	TEST_OK(sw_db_receive(t->db, &in, 1, 0, NULL, NULL, NULL, &n_taken));
	assert_int_equal(n_taken, in.taken == SW_TAKEN);
	return in;
}

struct sw_hash pair_add(struct pair *p, size_t i, uint64_t stamp, const struct sw_hash *parent,
			enum sw_mode mode, struct sw_op op)
{
	struct made m;

	pair_make(p, i, stamp, parent, mode, &op, 1, &m);
	assert_int_equal(test_give(&p->a, &m).taken, SW_TAKEN);
	made_fini(&m);
	return m.id;
}

struct sw_hash pair_govern(struct pair *p, const struct sw_op *ops, size_t n)
{
	struct sw_write_op write_ops[4] = {0};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = write_ops, .n = n};
	struct sw_hash id;

	assert_true(n <= 4);
	for (size_t i = 0; i < n; i++)
		write_ops[i].op = ops[i];
	TEST_OK(sw_db_commit(p->a.db, &w, &id));
	return id;
}

struct sw_op pair_grant_op(const struct pair *p, size_t i, enum sw_role role)
{
	return (struct sw_op){
	    .kind = SW_OP_GRANT, .member = *sw_identity_key(p->authors[i]), .role = role};
}

struct sw_op pair_revoke_op(const struct pair *p, size_t i)
{
	return (struct sw_op){.kind = SW_OP_REVOKE, .member = *sw_identity_key(p->authors[i])};
}

void test_read_side(const struct sw_reader *r, const struct sw_side *s, struct sw_buf *out)
{
	uint8_t piece[777];
	size_t got;

	sw_buf_reset(out);
	do {
		TEST_OK(sw_side_read(r->nodes, s, out->n, piece, sizeof(piece), &got));
		sw_buf_put(out, piece, got);
	} while (got == sizeof(piece));
	assert_int_equal(out->n, s->row.size);
}
