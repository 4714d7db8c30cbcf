/*
 * Proofs: what is made checks, and says what the store says; a changed byte is noticed; what nobody signed is refused. Proofs are
 * put together wrongly on purpose, too, with a check that fits.
 */
#include "core/proof.h"
#include "core/watermarks.h"
#include "tests/lib/dbs.h"

static int prove_at(struct test_db *t, const char *commit, const char *table, const char *key, struct sw_buf *out)
{
	struct sw_order order;
	struct sw_reader r;
	int rc;

	TEST_OK(sw_reader_begin(t->db, &r));
	TEST_OK(sw_db_resolve(&r, sw_view_str(commit), &order));
	sw_reader_end(&r);
	sw_buf_reset(out);
	rc = sw_proof_make(t->db, &order, sw_view_str(table), sw_view_str(key), out);
	if (rc == 0)
		assert_true(out->n <= SW_PROOF_SIZE_MAX);
	return rc;
}

static void prove(struct test_db *t, const char *table, const char *key, struct sw_buf *out, struct sw_proof *p)
{
	TEST_OK(prove_at(t, "HEAD", table, key, out));
	TEST_OK(sw_proof_check(sw_buf_view(out), p));
	assert_true(sw_hash_eq(&p->database, sw_db_id(t->db)));
	assert_true(sw_view_eq(p->table, sw_view_str(table)) && sw_view_eq(p->key, sw_view_str(key)));
}

static void assert_row(struct test_db *t, const char *table, const char *key, const char *text)
{
	struct sw_hash current = test_current(t, table, key);
	struct sw_proof p;
	SW_BUF bytes = {0};

	prove(t, table, key, &bytes, &p);
	assert_true(p.has_table && p.has_row && !p.row.is_blob);
	assert_true(sw_view_eq(p.row.bytes, sw_view_str(text)));
	assert_true(sw_hash_eq(&p.value, &current));
	assert_int_equal(p.row.mode, 0644);
}

static void assert_absent(struct test_db *t, const char *table, const char *key, bool has_table)
{
	struct sw_proof p;
	SW_BUF bytes = {0};

	prove(t, table, key, &bytes, &p);
	assert_true(!p.has_row && p.has_table == has_table);
}

static void mkdir_in(struct test_db *t, const char *table)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_MKTABLE, .table = sw_view_str(table), .row = {.mode = 0755}}};

	test_write(t, &op);
}

/* Enough for a tree of three levels. */
#define MANY 4000

static void put_many(struct test_db *t)
{
	static char keys[MANY][16];
	struct sw_write_op *ops = calloc(MANY, sizeof(*ops));
	struct sw_write w = {.mode = SW_MODE_MERGE, .ops = ops, .n = MANY};
	struct sw_hash id;

	assert_non_null(ops);
	for (int i = 0; i < MANY; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%05d", 2 * i + 1);
		ops[i] = (struct sw_write_op){.op = {.kind = SW_OP_PUT,
						     .table = sw_view_str("many"),
						     .key = sw_view_str(keys[i]),
						     .row = {.mode = 0644}},
					      .content = sw_view_str(keys[i])};
	}
	TEST_OK(sw_db_commit(t->db, &w, &id));
	free(ops);
}

static void a_row_is_proved_wherever_it_stands(void **state)
{
	struct test_db t;
	char key[16];

	(void)state;
	test_db_create(&t, 1);
	put_many(&t);
	for (int i = 0; i < MANY; i = i < 9 || i > MANY - 10 ? i + 1 : i + 97) {
		snprintf(key, sizeof(key), "k%05d", 2 * i + 1);
		assert_row(&t, "many", key, key);
	}
	snprintf(key, sizeof(key), "k%05d", 2 * MANY - 1);
	assert_row(&t, "many", key, key);
	test_db_close(&t);
}

static void that_there_is_none_is_proved_too(void **state)
{
	struct test_db t;
	char key[16];

	(void)state;
	test_db_create(&t, 1);
	assert_absent(&t, "t", "r", false);
	mkdir_in(&t, "t");
	assert_absent(&t, "t", "r", true);
	assert_absent(&t, "s", "r", false);
	assert_absent(&t, "u", "r", false);
	put_many(&t);
	for (int i = 0; i <= MANY; i = i < 9 || i > MANY - 10 ? i + 1 : i + 97) {
		snprintf(key, sizeof(key), "k%05d", 2 * i);
		assert_absent(&t, "many", key, true);
	}
	assert_absent(&t, "many", "a", true);
	assert_absent(&t, "many", "z", true);
	test_db_close(&t);
}

static void it_is_as_of_a_commit(void **state)
{
	struct sw_proof p;
	struct sw_hash one;
	struct test_db t;
	SW_BUF bytes = {0};

	(void)state;
	test_db_create(&t, 1);
	one = test_put(&t, "t", "r", "one");
	test_put(&t, "t", "r", "two");
	assert_row(&t, "t", "r", "two");
	TEST_OK(prove_at(&t, "HEAD~1", "t", "r", &bytes));
	TEST_OK(sw_proof_check(sw_buf_view(&bytes), &p));
	assert_true(sw_view_eq(p.row.bytes, sw_view_str("one")));
	assert_true(!p.is_watermark && sw_hash_eq(&p.commit, &one));
	assert_true(sw_key_eq(&p.author, sw_db_key(t.db)) && sw_key_eq(&p.creator, &p.author));
	assert_true(p.role == SW_ROLE_ADMIN && p.n_grants == 1);
	TEST_OK(prove_at(&t, "HEAD~2", "t", "r", &bytes));
	TEST_OK(sw_proof_check(sw_buf_view(&bytes), &p));
	assert_false(p.has_row);
	test_db_close(&t);
}

/* Also of the check itself; each also in a copy of just that size. */
static void no_byte_can_be_changed(void **state)
{
	struct sw_proof p;
	struct test_db a, b;
	SW_BUF bytes = {0};

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_put(&a, "t", "q", "zero");
	test_grant(&a, &b);
	test_sync(&a, &b);
	b.env.now_ms += 10;
	test_put(&b, "t", "r", "one");
	prove(&b, "t", "r", &bytes, &p);
	assert_int_equal(p.n_grants, 2);
	for (size_t i = 0; i < bytes.n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			bytes.p[i] ^= (uint8_t)(1 << bit);
			assert_true(sw_proof_check(sw_buf_view(&bytes), &p) < 0);
			bytes.p[i] ^= (uint8_t)(1 << bit);
		}
	}
	for (size_t n = 0; n < bytes.n; n++)
		assert_true(sw_proof_check(sw_view(bytes.p, n), &p) < 0);
	TEST_OK(sw_proof_check(sw_buf_view(&bytes), &p));
	sw_buf_put_u8(&bytes, 0);
	assert_int_equal(sw_proof_check(sw_buf_view(&bytes), &p), SW_EFORMAT);
	test_db_close(&a);
	test_db_close(&b);
}

static void put_check(struct sw_buf *bytes)
{
	struct sw_hash check;

	bytes->n -= SW_HASH_SIZE;
	sw_hash_compute(SW_DOMAIN_PROOF, sw_buf_view(bytes), &check);
	sw_buf_put_hash(bytes, &check);
	assert_int_equal(bytes->rc, 0);
}

/*
 * Who forges has a check that fits. A changed byte of the name may give another true proof; whatever else is changed is refused, and
 * nothing that is taken says of that row what is not so.
 */
static void no_byte_can_be_forged(void **state)
{
	size_t name_at = strlen(SW_PROOF_MAGIC SW_PROOF_VERSION_LINE), name_n = 2 + 1 + 1;
	struct sw_proof p;
	struct test_db a, b;
	SW_BUF bytes = {0};

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_put(&a, "t", "q", "zero");
	test_put(&a, "u", "r", "other");
	test_grant(&a, &b);
	test_sync(&a, &b);
	b.env.now_ms += 10;
	test_put(&b, "t", "r", "one");
	prove(&b, "t", "r", &bytes, &p);
	for (size_t i = 0; i + SW_HASH_SIZE < bytes.n; i++) {
		uint8_t was = bytes.p[i];

		for (int d = 1; d < 256; d = d < 8 ? d + 1 : 2 * d - 1) {
			int rc;

			bytes.p[i] = (uint8_t)(was + d);
			put_check(&bytes);
			rc = sw_proof_check(sw_buf_view(&bytes), &p);
			if (rc == 0) {
				assert_true(i >= name_at && i < name_at + name_n);
				if (p.has_row)
					assert_true(sw_view_eq(p.row.bytes, sw_view_str(p.key.p[0] == 'q' ? "zero" : "other")));
			}
		}
		bytes.p[i] = was;
	}
	put_check(&bytes);
	TEST_OK(sw_proof_check(sw_buf_view(&bytes), &p));
	test_db_close(&a);
	test_db_close(&b);
}

struct content {
	struct sw_view bytes;
	int rc;
};

static int read_content(void *arg, uint64_t offset, void *out, size_t n, size_t *got)
{
	const struct content *c = arg;

	*got = offset < c->bytes.n ? c->bytes.n - (size_t)offset : 0;
	*got = *got < n ? *got : n;
	if (*got > 0)
		memcpy(out, c->bytes.p + offset, *got);
	return c->rc;
}

static int has_content(const struct sw_proof *p, struct sw_view bytes)
{
	struct content c = {bytes, 0};

	return sw_proof_has_content(p, read_content, &c);
}

/* The bytes are not in the proof, but nothing else has that root. */
static void a_large_row_is_proved_by_its_root(void **state)
{
	size_t n = (3u << 20) + 17;
	uint8_t *content = malloc(n + 1);
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT, .table = sw_view_str("t"), .key = sw_view_str("big"), .row = {.mode = 0644}}};
	struct content broken = {{NULL, 0}, SW_EIO};
	struct rng rng = {7};
	struct test_db t;
	struct sw_proof p;
	SW_BUF bytes = {0};

	(void)state;
	assert_non_null(content);
	for (size_t i = 0; i <= n; i++)
		content[i] = (uint8_t)rng_next(&rng);
	test_db_create(&t, 1);
	op.content = sw_view(content, n);
	test_write(&t, &op);
	prove(&t, "t", "big", &bytes, &p);
	assert_true(bytes.n < 4096);
	assert_true(p.has_row && p.row.is_blob && p.row.size == n);
	assert_int_equal(has_content(&p, sw_view(content, n)), 1);
	assert_int_equal(has_content(&p, sw_view(content, n - 1)), 0);
	assert_int_equal(has_content(&p, sw_view(content, n + 1)), 0);
	assert_int_equal(has_content(&p, sw_view("", 0)), 0);
	p.row.size++; /* as a member may sign it */
	assert_int_equal(has_content(&p, sw_view(content, n)), 0);
	p.row.size--;
	content[n / 2] ^= 1;
	assert_int_equal(has_content(&p, sw_view(content, n)), 0);
	assert_int_equal(sw_proof_has_content(&p, read_content, &broken), SW_EIO);
	test_put(&t, "t", "small", "abc");
	sw_buf_reset(&bytes);
	prove(&t, "t", "small", &bytes, &p);
	assert_int_equal(has_content(&p, sw_view_str("abc")), 1);
	assert_int_equal(has_content(&p, sw_view_str("abd")), 0);
	assert_int_equal(has_content(&p, sw_view_str("abcd")), 0);
	free(content);
	test_db_close(&t);
}

/* The parts of a proof, to be put together in other ways. */
struct parts {
	struct sw_view names, links[4], signed_part, records;
	size_t n;
};

static struct sw_view between(const uint8_t *from, const struct sw_rd *r)
{
	return sw_view(from, (size_t)(r->p - from));
}

static void take_apart(struct sw_view bytes, struct parts *out)
{
	struct sw_rd r = sw_rd(sw_view(bytes.p, bytes.n - SW_HASH_SIZE));
	const uint8_t *from = r.p;

	sw_rd_take(&r, strlen(SW_PROOF_MAGIC SW_PROOF_VERSION_LINE));
	sw_rd_bytes(&r, SW_NAME_MAX);
	sw_rd_bytes(&r, SW_NAME_MAX);
	out->names = between(from, &r);
	out->n = (size_t)sw_rd_varint(&r);
	assert_true(out->n <= 4);
	for (size_t i = 0; i < out->n; i++) {
		from = r.p;
		sw_rd_bytes(&r, bytes.n);
		sw_rd_bytes(&r, bytes.n);
		out->links[i] = between(from, &r);
	}
	from = r.p;
	sw_rd_u8(&r);
	sw_rd_bytes(&r, bytes.n);
	out->signed_part = between(from, &r);
	assert_false(r.bad);
	out->records = sw_view(r.p, sw_rd_left(&r));
}

static int check_parts(const struct parts *p)
{
	static const struct sw_hash room;
	struct sw_proof got;
	SW_BUF bytes = {0};

	sw_buf_put_view(&bytes, p->names);
	sw_buf_put_varint(&bytes, p->n);
	for (size_t i = 0; i < p->n; i++)
		sw_buf_put_view(&bytes, p->links[i]);
	sw_buf_put_view(&bytes, p->signed_part);
	sw_buf_put_view(&bytes, p->records);
	sw_buf_put_hash(&bytes, &room);
	put_check(&bytes);
	return sw_proof_check(sw_buf_view(&bytes), &got);
}

/* It stands at the end of what was signed. */
static void check_signature(struct sw_view proof)
{
	struct parts p;
	SW_BUF forged = {0};

	take_apart(proof, &p);
	sw_buf_put_view(&forged, p.signed_part);
	p.signed_part = sw_buf_view(&forged);
	assert_int_equal(check_parts(&p), 0);
	forged.p[forged.n - 1] ^= 1;
	assert_int_equal(check_parts(&p), SW_ESIG);
}

/* A commit signs what its author had seen. Where two crossed, the later one does not tell what the line says. */
static void what_crossed_is_proved_by_a_watermark_or_not_at_all(void **state)
{
	struct test_db a, b;
	struct sw_proof p;
	SW_BUF bytes = {0};

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_grant(&a, &b);
	test_sync(&a, &b);
	test_put(&a, "t", "x", "of a");
	b.env.now_ms = a.env.now_ms += 10;
	test_put(&b, "t", "y", "of b");
	TEST_OK(sw_db_release(a.db, UINT64_MAX));
	TEST_OK(sw_db_release(b.db, UINT64_MAX));
	test_sync(&a, &b);
	/* What stood before the last one it had seen; what it has not is told of by nobody, until one of them says so. */
	a.env.is_dead = true;
	assert_true(prove_at(&a, "HEAD", "t", "x", &bytes) < 0);
	a.env.is_dead = false;
	prove(&a, "t", "x", &bytes, &p);
	assert_true(p.is_watermark && p.has_row && sw_view_eq(p.row.bytes, sw_view_str("of a")));
	assert_true(sw_key_eq(&p.author, sw_db_key(a.db)) && p.count == 4);
	check_signature(sw_buf_view(&bytes));
	/* Once more it is the same word. */
	prove(&a, "t", "y", &bytes, &p);
	assert_true(p.is_watermark && p.has_row && sw_view_eq(p.row.bytes, sw_view_str("of b")));
	TEST_OK(prove_at(&a, "HEAD~1", "t", "x", &bytes));
	TEST_OK(sw_proof_check(sw_buf_view(&bytes), &p));
	assert_true(!p.is_watermark && p.has_row);
	/* Nobody has said what the line was at a commit that crossed others, once there is more. */
	test_put(&a, "t", "z", "on top");
	TEST_OK(sw_db_sign_watermark(a.db));
	assert_int_equal(prove_at(&a, "HEAD~1", "t", "y", &bytes), SW_ENOTFOUND);
	prove(&a, "t", "y", &bytes, &p);
	assert_true(!p.is_watermark && p.has_row);
	test_db_close(&a);
	test_db_close(&b);
}

static void grant(struct test_db *a, const struct test_db *b, enum sw_role role)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_GRANT, .member = *sw_db_key(b->db), .role = role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(a->db, &w, &id));
}

/* Creator, admin, writer; and the key that the writer takes after its own. */
static void who_signs_was_let_in_step_by_step(void **state)
{
	struct test_db a, b, c;
	struct sw_proof p;
	SW_BUF bytes = {0};

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_db_clone(&c, &a, 3);
	grant(&a, &b, SW_ROLE_ADMIN);
	test_sync(&a, &b);
	grant(&b, &c, SW_ROLE_WRITER);
	test_pull(&c, &b, 10);
	test_put(&c, "t", "r", "one");
	prove(&c, "t", "r", &bytes, &p);
	assert_true(p.n_grants == 3 && p.role == SW_ROLE_WRITER && p.has_row);
	assert_true(sw_key_eq(&p.author, sw_db_key(c.db)) && sw_key_eq(&p.creator, sw_db_key(a.db)));
	TEST_OK(sw_db_renew_key(c.db));
	test_put(&c, "t", "r", "two");
	prove(&c, "t", "r", &bytes, &p);
	assert_true(p.n_grants == 4 && p.role == SW_ROLE_WRITER);
	assert_true(sw_key_eq(&p.author, sw_db_key(c.db)));
	test_db_close(&a);
	test_db_close(&b);
	test_db_close(&c);
}

/* Each part is genuine, and together they prove nothing. */
static void parts_of_several_proofs_do_not_fit(void **state)
{
	struct test_db a, b, x;
	struct parts of_a, of_b, of_x, mix;
	struct sw_proof p;
	SW_BUF bytes_a = {0};
	SW_BUF bytes_b = {0};
	SW_BUF bytes_x = {0};

	(void)state;
	test_db_create(&a, 1);
	test_db_create(&x, 4);
	test_db_clone(&b, &a, 2);
	grant(&a, &b, SW_ROLE_READER);
	test_grant(&a, &b);
	test_sync(&a, &b);
	test_put(&b, "t", "r", "one");
	test_pull(&a, &b, 10);
	test_put(&a, "t", "r", "two");
	test_put(&x, "t", "r", "one");
	prove(&a, "t", "r", &bytes_a, &p);
	prove(&b, "t", "r", &bytes_b, &p);
	prove(&x, "t", "r", &bytes_x, &p);
	take_apart(sw_buf_view(&bytes_a), &of_a);
	take_apart(sw_buf_view(&bytes_b), &of_b);
	take_apart(sw_buf_view(&bytes_x), &of_x);
	assert_int_equal(check_parts(&of_a), 0);
	assert_int_equal(check_parts(&of_b), 0);
	assert_int_equal(of_a.n, 1);
	assert_int_equal(of_b.n, 2);
	mix = of_b; /* nobody let it in */
	mix.n = 1;
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix.n = 0;
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix = of_b; /* begins in the middle */
	mix.links[0] = of_b.links[1];
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix = of_b; /* another database */
	mix.links[0] = of_x.links[0];
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix = of_x;
	mix.signed_part = of_a.signed_part;
	mix.records = of_a.records;
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix = of_a; /* the path of another state, of none, and of more */
	mix.records = of_b.records;
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix.records = sw_view("", 0);
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	mix = of_b; /* its author's grant twice: the second is not newer */
	mix.links[2] = mix.links[1];
	mix.n = 3;
	assert_int_equal(check_parts(&mix), SW_EFORMAT);
	test_db_close(&a);
	test_db_close(&b);
	test_db_close(&x);
}

/* What members could sign, whatever it is worth. */
struct forge {
	const struct sw_identity *by;
	struct sw_hash database;
	uint64_t stamp;
	bool is_first;
};

static struct sw_hash forge(const struct forge *f, const struct sw_hash *changeset, const struct sw_hash *state, struct sw_buf *out)
{
	struct sw_commit c = {.rule = SW_RULE_VERSION,
			      .database = f->database,
			      .n_parents = !f->is_first,
			      .parents = {{{1}}},
			      .stamp = f->stamp,
			      .state = *state,
			      .changeset = *changeset};
	SW_BUF raw = {0};

	sw_commit_seal(&c, f->by, &raw);
	sw_buf_put_bytes(out, sw_buf_view(&raw));
	return c.id;
}

static struct sw_hash forge_link(const struct forge *f, const struct sw_op *ops, size_t n, struct sw_buf *out)
{
	struct sw_hash hash, id;
	SW_BUF changeset = {0};

	sw_changeset_encode(SW_MODE_CONTROL, ops, n, &changeset, NULL);
	sw_hash_compute(SW_DOMAIN_CHANGESET, sw_buf_view(&changeset), &hash);
	id = forge(f, &hash, &sw_hash_zero, out);
	sw_buf_put_bytes(out, sw_buf_view(&changeset));
	return id;
}

/* The creator lets in b, b lets in c, and c signs the state of a proof that is good. */
struct chained {
	struct forge a, b, c;
	struct sw_op of_a, of_b[2];
	size_t n_of_b;
};

static int check_chain(const struct chained *w, const struct sw_proof *p, const struct parts *good, const char *rest)
{
	struct parts mix = *good;
	SW_BUF first = {0};
	SW_BUF second = {0};
	SW_BUF signed_part = {0};
	SW_BUF records = {0};

	forge_link(&w->a, &w->of_a, 1, &first);
	forge_link(&w->b, w->of_b, w->n_of_b, &second);
	sw_buf_put_u8(&signed_part, SW_PROOF_COMMIT);
	forge(&w->c, &sw_hash_zero, &p->state, &signed_part);
	sw_buf_put_view(&records, good->records);
	sw_buf_put(&records, rest, strlen(rest));
	mix.links[1] = sw_buf_view(&first);
	mix.links[2] = sw_buf_view(&second);
	mix.n = 3;
	mix.signed_part = sw_buf_view(&signed_part);
	mix.records = sw_buf_view(&records);
	return check_parts(&mix);
}

/* Everything is signed by whom it says; what does not follow the rules proves nothing. */
static void a_chain_of_grants_follows_the_rules(void **state)
{
	struct test_db a, b, c;
	struct chained good, w;
	struct parts parts;
	struct sw_proof p;
	SW_BUF bytes = {0};

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_db_clone(&c, &a, 3);
	test_put(&a, "t", "r", "one");
	prove(&a, "t", "r", &bytes, &p);
	take_apart(sw_buf_view(&bytes), &parts);
	good = (struct chained){
	    .a = {sw_db_identity(a.db), p.database, p.stamp + 1, false},
	    .b = {sw_db_identity(b.db), p.database, p.stamp + 2, false},
	    .c = {sw_db_identity(c.db), p.database, p.stamp + 3, false},
	    .of_a = {.kind = SW_OP_GRANT, .member = *sw_db_key(b.db), .role = SW_ROLE_WRITER},
	    .of_b = {{.kind = SW_OP_GRANT, .member = *sw_db_key(c.db), .role = SW_ROLE_WRITER}},
	    .n_of_b = 1,
	};
	assert_int_equal(check_chain(&good, &p, &parts, ""), 0);
	assert_int_equal(check_chain(&good, &p, &parts, "x"), SW_EFORMAT);
	w = good; /* a writer makes no admin, and its successor comes alone */
	w.of_b[0].role = SW_ROLE_ADMIN;
	assert_int_equal(check_chain(&w, &p, &parts, ""), SW_EFORMAT);
	w = good;
	w.of_b[1] = (struct sw_op){.kind = SW_OP_FLOOR};
	w.n_of_b = 2;
	assert_int_equal(check_chain(&w, &p, &parts, ""), SW_EFORMAT);
	w.of_a.role = SW_ROLE_ADMIN;
	assert_int_equal(check_chain(&w, &p, &parts, ""), 0);
	w = good; /* of another database */
	w.a.database.b[0] ^= 1;
	assert_int_equal(check_chain(&w, &p, &parts, ""), SW_EFORMAT);
	w = good;
	w.c.database.b[0] ^= 1;
	assert_int_equal(check_chain(&w, &p, &parts, ""), SW_EFORMAT);
	w = good; /* before it was let in */
	w.b.stamp = w.a.stamp;
	assert_int_equal(check_chain(&w, &p, &parts, ""), SW_EFORMAT);
	w = good;
	w.c.stamp = w.b.stamp;
	assert_int_equal(check_chain(&w, &p, &parts, ""), SW_EFORMAT);
	test_db_close(&a);
	test_db_close(&b);
	test_db_close(&c);
}

/* Its id would pass for that of a database. */
static void what_says_genesis_later_is_no_first_commit(void **state)
{
	struct sw_op ops[2] = {{.kind = SW_OP_GENESIS}, {.kind = SW_OP_GRANT, .role = SW_ROLE_ADMIN}};
	struct parts parts;
	struct forge f;
	struct sw_proof p;
	struct test_db t;
	SW_BUF bytes = {0};
	SW_BUF link = {0};
	SW_BUF signed_part = {0};

	(void)state;
	test_db_create(&t, 1);
	prove(&t, "t", "r", &bytes, &p);
	take_apart(sw_buf_view(&bytes), &parts);
	for (int is_first = 1; is_first >= 0; is_first--) {
		sw_buf_reset(&link);
		sw_buf_reset(&signed_part);
		f = (struct forge){sw_db_identity(t.db), is_first ? sw_hash_zero : p.database, 1, is_first};
		ops[1].member = *sw_db_key(t.db);
		f.database = forge_link(&f, ops, 2, &link);
		f.stamp = 2;
		f.is_first = false;
		sw_buf_put_u8(&signed_part, SW_PROOF_COMMIT);
		forge(&f, &sw_hash_zero, &p.state, &signed_part);
		parts.links[0] = sw_buf_view(&link);
		parts.signed_part = sw_buf_view(&signed_part);
		assert_int_equal(check_parts(&parts), is_first ? 0 : SW_EFORMAT);
	}
	test_db_close(&t);
}

/* A key that was let in to read signs nothing that counts, nor lets it others in, whatever it puts together. */
static void a_reader_proves_nothing(void **state)
{
	struct sw_commit forged = {.rule = SW_RULE_VERSION, .n_parents = 1};
	struct parts of_b;
	struct test_db a, b;
	struct sw_proof p;
	SW_BUF bytes = {0};
	SW_BUF raw = {0};
	SW_BUF part = {0};
	struct sw_order grant_at;
	struct sw_reader r;

	(void)state;
	test_db_create(&a, 1);
	test_db_clone(&b, &a, 2);
	test_put(&a, "t", "r", "one");
	grant(&a, &b, SW_ROLE_READER);
	TEST_OK(sw_reader_begin(a.db, &r));
	TEST_OK(sw_db_resolve(&r, sw_view_str("HEAD"), &grant_at));
	sw_order_id(&grant_at, &forged.parents[0]);
	sw_reader_end(&r);
	test_pull(&b, &a, 10);
	prove(&b, "t", "r", &bytes, &p);
	assert_int_equal(p.n_grants, 1);
	take_apart(sw_buf_view(&bytes), &of_b);
	/* The state that is there, signed by the reader, with its grant. */
	forged.database = p.database;
	forged.stamp = p.stamp + 1000;
	forged.state = p.state;
	sw_commit_seal(&forged, sw_db_identity(b.db), &raw);
	sw_buf_put_u8(&part, SW_PROOF_COMMIT);
	sw_buf_put_bytes(&part, sw_buf_view(&raw));
	{
		struct sw_view granting, changeset;
		struct sw_commit c;
		struct parts mix = of_b;
		SW_BUF link = {0};

		TEST_OK(sw_reader_begin(a.db, &r));
		TEST_OK(sw_db_get_commit(&r, &forged.parents[0], &c, &granting, &changeset));
		sw_buf_put_bytes(&link, granting);
		sw_buf_put_bytes(&link, changeset);
		sw_reader_end(&r);
		mix.links[1] = sw_buf_view(&link);
		mix.n = 2;
		mix.signed_part = sw_buf_view(&part);
		assert_int_equal(check_parts(&mix), SW_EFORMAT);
		assert_non_null(strstr(sw_fail_message(SW_EFORMAT), "only to read"));
	}
	test_db_close(&a);
	test_db_close(&b);
}

/* Nodes that somebody made by hand, and signed. */
struct by_hand {
	struct sw_buf root, leaf;
	size_t n_asked;
};

static int next_by_hand(void *arg, const struct sw_hash *hash, struct sw_view *bytes)
{
	struct by_hand *t = arg;

	(void)hash;
	*bytes = sw_buf_view(t->n_asked++ == 0 ? &t->root : &t->leaf);
	return 0;
}

static struct sw_entry entry(const char *key, struct sw_view value)
{
	return (struct sw_entry){sw_view_str(key), value};
}

/* Two leaves below c and m; the second has `leaf`, and `n_told` rows by what the root says. */
static int walk_by_hand(enum sw_purpose purpose, const char *const *leaf, size_t n, uint64_t n_told, uint64_t n_rows, const char *key)
{
	static const struct sw_hash some = {{1}};
	struct sw_child first = {some, 2}, second = {some, n_told};
	struct sw_entry above[2], below[4];
	struct sw_view value;
	struct by_hand t = {0};
	SW_BUF a = {0};
	SW_BUF b = {0};
	int rc;

	sw_child_encode(&first, &a);
	sw_child_encode(&second, &b);
	above[0] = entry("c", sw_buf_view(&a));
	above[1] = entry("m", sw_buf_view(&b));
	sw_node_encode(SW_PURPOSE_ROWS, 1, above, 2, &t.root);
	for (size_t i = 0; i < n; i++)
		below[i] = entry(leaf[i], sw_view_str("v"));
	sw_node_encode(purpose, 0, below, n, &t.leaf);
	rc = sw_proof_walk(SW_PURPOSE_ROWS, &some, n_rows, sw_view_str(key), next_by_hand, &t, &value);
	sw_buf_fini(&t.root);
	sw_buf_fini(&t.leaf);
	return rc;
}

/* A member can sign the root of what is no tree; a row that hides where nobody looks for it is neither there nor absent. */
static void what_is_no_tree_proves_nothing(void **state)
{
	static const char *const good[] = {"d", "f", "m"}, *const hides[] = {"b", "f", "m"}, *const ends[] = {"d", "f", "n"};

	(void)state;
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 3, 3, 5, "f"), 1);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 3, 3, UINT64_MAX, "m"), 1);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 3, 3, 5, "e"), 0);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 3, 3, 5, "n"), 0);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, hides, 3, 3, 5, "f"), SW_EFORMAT);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, ends, 3, 3, 5, "f"), SW_EFORMAT);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 2, 2, 4, "e"), SW_EFORMAT);
	assert_int_equal(walk_by_hand(SW_PURPOSE_STATE, good, 3, 3, 5, "f"), SW_EFORMAT);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 3, 4, 6, "f"), SW_EFORMAT);
	assert_int_equal(walk_by_hand(SW_PURPOSE_ROWS, good, 3, 3, 6, "f"), SW_EFORMAT);
}

static void read_data(const char *name, struct sw_buf *out)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/proof/%s", SW_TEST_DATA, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	assert_non_null(sw_buf_reserve(out, 4096));
	out->n = fread(out->p, 1, 4096, f);
	fclose(f);
}

/* tests/data/proof: of a store that is gone, with the row t/r = hello. */
static void a_proof_is_good_for_later_builds(void **state)
{
	struct sw_proof p;
	SW_BUF row = {0};
	SW_BUF none = {0};

	(void)state;
	TEST_OK(sw_crypto_init());
	read_data("row", &row);
	TEST_OK(sw_proof_check(sw_buf_view(&row), &p));
	assert_true(sw_view_eq(p.table, sw_view_str("t")) && sw_view_eq(p.key, sw_view_str("r")));
	assert_true(p.has_row && sw_view_eq(p.row.bytes, sw_view_str("hello")));
	assert_true(sw_view_eq(p.message, sw_view_str("golden")));
	read_data("none", &none);
	TEST_OK(sw_proof_check(sw_buf_view(&none), &p));
	assert_true(p.has_table && !p.has_row && sw_view_eq(p.key, sw_view_str("s")));
}

static void what_is_larger_or_newer_is_refused(void **state)
{
	uint8_t *big = calloc(1, SW_PROOF_SIZE_MAX + 1);
	struct test_db t;
	struct sw_proof p;
	SW_BUF bytes = {0};

	(void)state;
	assert_non_null(big);
	assert_int_equal(sw_proof_check(sw_view(big, SW_PROOF_SIZE_MAX + 1), &p), SW_ELIMIT);
	assert_int_equal(sw_proof_check(sw_view(big, SW_PROOF_SIZE_MAX), &p), SW_EFORMAT);
	assert_int_equal(sw_proof_check(sw_view(big, 0), &p), SW_EFORMAT);
	free(big);
	test_db_create(&t, 1);
	prove(&t, "t", "r", &bytes, &p);
	bytes.p[strlen(SW_PROOF_MAGIC)] = '2';
	assert_int_equal(sw_proof_check(sw_buf_view(&bytes), &p), SW_EVERSION);
	test_db_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_is_proved_wherever_it_stands),
	    cmocka_unit_test(that_there_is_none_is_proved_too),
	    cmocka_unit_test(it_is_as_of_a_commit),
	    cmocka_unit_test(no_byte_can_be_changed),
	    cmocka_unit_test(no_byte_can_be_forged),
	    cmocka_unit_test(a_large_row_is_proved_by_its_root),
	    cmocka_unit_test(what_crossed_is_proved_by_a_watermark_or_not_at_all),
	    cmocka_unit_test(who_signs_was_let_in_step_by_step),
	    cmocka_unit_test(parts_of_several_proofs_do_not_fit),
	    cmocka_unit_test(a_chain_of_grants_follows_the_rules),
	    cmocka_unit_test(what_says_genesis_later_is_no_first_commit),
	    cmocka_unit_test(a_reader_proves_nothing),
	    cmocka_unit_test(what_is_no_tree_proves_nothing),
	    cmocka_unit_test(a_proof_is_good_for_later_builds),
	    cmocka_unit_test(what_is_larger_or_newer_is_refused),
	};

	cmocka_set_test_filter(getenv("SW_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
