/* Proofs from anybody, checked from the first byte to the last. */
#include "core/proof.h"

#include <stdlib.h>

#include "core/blob.h"
#include "core/watermark.h"

#define PIECE ((size_t)1 << 20) /* bytes of a content read at once */

static int malformed(const char *what)
{
	return sw_fail(SW_EFORMAT, "this is no proof: %s", what);
}

/* Paths */

/* What is known of a node before it is seen. */
struct place {
	enum sw_purpose purpose;
	struct sw_hash hash;
	uint64_t n_rows; /* below it; UINT64_MAX: not known */
	bool is_root;	 /* else what follows is known, too */
	uint8_t level;
	size_t low_n, high_n;
	uint8_t low[SW_TREE_KEY_MAX];  /* its keys are greater; none if low_n is 0 */
	uint8_t high[SW_TREE_KEY_MAX]; /* its last key */
};

static bool fits(const struct sw_node *node, const struct place *at)
{
	struct sw_view first = node->entries[0].key, last = node->entries[node->n - 1].key;

	if (node->purpose != at->purpose || (at->n_rows != UINT64_MAX && node->n_rows != at->n_rows))
		return false;
	return at->is_root || (node->level == at->level && sw_view_eq(last, sw_view(at->high, at->high_n)) &&
			       sw_view_cmp(first, sw_view(at->low, at->low_n)) > 0);
}

static int go_down(struct place *at, const struct sw_node *node, size_t i)
{
	struct sw_view high = node->entries[i].key;
	struct sw_child child;
	int rc = sw_child_decode(node->entries[i].value, &child);

	if (rc < 0)
		return rc;
	if (i > 0) {
		at->low_n = node->entries[i - 1].key.n;
		memcpy(at->low, node->entries[i - 1].key.p, at->low_n);
	}
	at->high_n = high.n;
	memcpy(at->high, high.p, high.n);
	at->hash = child.hash;
	at->n_rows = child.n_rows;
	at->level = node->level - 1;
	at->is_root = false;
	return 0;
}

/* One node: 2 go on below it, 1 found, 0 not there. */
static int step(struct place *at, struct sw_view bytes, struct sw_view key, struct sw_view *value)
{
	struct sw_node node;
	int rc = sw_node_decode(bytes, &node);
	size_t i;

	if (rc < 0)
		return rc;
	i = sw_node_lower_bound(&node, key);
	if (!fits(&node, at)) {
		rc = SW_EFORMAT;
	} else if (i == node.n) {
		rc = 0; /* of the root alone: below it the last key is known not to be smaller */
	} else if (node.level > 0) {
		rc = go_down(at, &node, i);
		rc = rc < 0 ? rc : 2;
	} else {
		rc = sw_view_eq(node.entries[i].key, key);
		*value = node.entries[i].value;
	}
	sw_node_fini(&node);
	return rc;
}

int sw_proof_walk(enum sw_purpose purpose, const struct sw_hash *root, uint64_t n_rows, struct sw_view key,
		  sw_proof_next_fn next, void *arg, struct sw_view *value)
{
	struct place at = {.purpose = purpose, .hash = *root, .n_rows = n_rows, .is_root = true};
	struct sw_view bytes;
	int rc;

	if (sw_hash_is_zero(root))
		return 0;
	do {
		rc = next(arg, &at.hash, &bytes);
		if (rc == 0)
			rc = step(&at, bytes, key, value);
	} while (rc == 2);
	return rc;
}

int sw_proof_find(struct sw_proof *p, sw_proof_next_fn next, void *arg)
{
	uint8_t buf[1 + SW_NAME_MAX];
	struct sw_table table;
	struct sw_view value;
	int rc = sw_proof_walk(SW_PURPOSE_STATE, &p->state, UINT64_MAX,
			       sw_state_key(SW_CLASS_USER, p->table, buf), next, arg, &value);

	p->has_table = rc > 0;
	if (rc > 0)
		rc = sw_table_decode(value, &table);
	else
		return rc;
	if (rc == 0)
		rc = sw_proof_walk(SW_PURPOSE_ROWS, &table.root, table.n_rows, p->key, next, arg, &value);
	p->has_row = rc > 0;
	if (rc > 0)
		rc = sw_row_decode(value, &p->row);
	if (rc == 0 && p->has_row)
		sw_row_hash(&p->row, &p->value);
	return rc;
}

static int next_record(void *arg, const struct sw_hash *hash, struct sw_view *bytes)
{
	struct sw_rd *r = arg;
	struct sw_hash is;

	*bytes = sw_rd_bytes(r, SW_NODE_BYTES_MAX);
	if (r->bad)
		return SW_EFORMAT;
	sw_hash_compute(SW_DOMAIN_NODE, *bytes, &is);
	return sw_hash_eq(&is, hash) ? 0 : SW_EFORMAT;
}

/* Grants */

/* Who is let in so far, and by what. */
struct chain {
	struct sw_hash database, last; /* the first and the last commit of it */
	struct sw_key key;
	enum sw_role role;
	uint64_t stamp; /* of the last */
	struct sw_view changeset;
};

/* The last commit of the chain lets in who comes next. A writer may let in a successor, in a commit of its own. */
static int let_in(struct chain *c, const struct sw_key *key)
{
	struct sw_changeset walk;
	struct sw_op op;
	int rc = sw_changeset_begin(&walk, c->changeset);

	while (rc >= 0 && (rc = sw_changeset_next(&walk, &op)) > 0) {
		bool is_succession = walk.n == 1 && op.role <= SW_ROLE_WRITER && c->role >= SW_ROLE_WRITER;

		if (op.kind != SW_OP_GRANT || !sw_key_eq(&op.member, key))
			continue;
		if (c->role < SW_ROLE_ADMIN && !is_succession)
			break;
		c->key = *key;
		c->role = op.role;
		return 0;
	}
	return malformed("a grant in it does not let in who comes next");
}

/* A commit with a grant: decoded, genuine by itself, and with its changeset. */
static int read_grant(struct sw_rd *r, struct sw_commit *out, struct sw_view *changeset)
{
	struct sw_view raw = sw_rd_bytes(r, SW_COMMIT_SIZE_MAX);
	struct sw_hash hash;

	*changeset = sw_rd_bytes(r, SW_PROOF_CHANGESET_MAX);
	if (r->bad || sw_commit_decode(raw, out) < 0 || out->rule != SW_RULE_VERSION)
		return malformed("a commit with a grant is damaged");
	if (sw_commit_verify(raw, out) < 0)
		return sw_fail(SW_ESIG, "the signature of a grant is wrong");
	sw_hash_compute(SW_DOMAIN_CHANGESET, *changeset, &hash);
	return sw_hash_eq(&hash, &out->changeset) ? 0 : malformed("a grant is not the one that was signed");
}

static int read_first(struct sw_rd *r, struct sw_proof *p, struct chain *c)
{
	struct sw_changeset walk;
	struct sw_commit first;
	struct sw_op op;
	int rc = read_grant(r, &first, &c->changeset);

	if (rc < 0)
		return rc;
	if (first.n_parents > 0 || sw_changeset_begin(&walk, c->changeset) < 0 ||
	    sw_changeset_next(&walk, &op) <= 0 || op.kind != SW_OP_GENESIS)
		return malformed("it does not begin with the first commit of a database");
	p->database = c->database = c->last = first.id;
	p->creator = first.author;
	p->salt = op.salt;
	c->stamp = first.stamp;
	c->role = SW_ROLE_ADMIN;
	rc = let_in(c, &first.author);
	return rc == 0 && c->role != SW_ROLE_ADMIN ? malformed("its first commit has no admin") : rc;
}

static int read_next(struct sw_rd *r, struct chain *c)
{
	struct sw_view changeset;
	struct sw_commit next;
	int rc = read_grant(r, &next, &changeset);

	if (rc == 0)
		rc = let_in(c, &next.author);
	if (rc < 0)
		return rc;
	if (!sw_hash_eq(&next.database, &c->database) || next.stamp <= c->stamp)
		return malformed("a grant is older than the one before, or of another database");
	c->changeset = changeset;
	c->stamp = next.stamp;
	c->last = next.id;
	return 0;
}

static int read_chain(struct sw_rd *r, struct sw_proof *p, struct chain *c)
{
	size_t n = (size_t)sw_rd_varint_max(r, SW_PROOF_GRANTS_MAX);
	int rc;

	if (n == 0)
		return malformed("it names nobody who may sign");
	rc = read_first(r, p, c);
	for (size_t i = 1; rc == 0 && i < n; i++)
		rc = read_next(r, c);
	p->n_grants = n;
	return rc;
}

/* What was signed */

static int read_commit(struct sw_view raw, struct chain *c, struct sw_proof *p)
{
	struct sw_commit commit;
	bool is_first;

	if (sw_commit_decode(raw, &commit) < 0 || commit.rule != SW_RULE_VERSION)
		return malformed("its commit is damaged");
	is_first = sw_hash_eq(&commit.id, &c->database);
	if (!is_first && !sw_hash_eq(&commit.database, &c->database))
		return malformed("its commit is of another database than its grants");
	if (sw_commit_verify(raw, &commit) < 0)
		return sw_fail(SW_ESIG, "the signature of its commit is wrong");
	if (commit.stamp <= c->stamp && !sw_hash_eq(&commit.id, &c->last))
		return malformed("its commit is older than its author's grant");
	p->author = commit.author;
	p->stamp = commit.stamp;
	p->commit = commit.id;
	p->message = commit.message;
	p->state = commit.state;
	return 0;
}

static int read_watermark(struct sw_view bytes, const struct chain *c, struct sw_proof *p)
{
	struct sw_watermark m;
	int rc;

	if (sw_watermark_decode(bytes, &m) < 0)
		return malformed("its watermark is damaged");
	rc = sw_watermark_verify(bytes, &m, &c->database);
	if (rc < 0)
		return rc == SW_ESIG ? sw_fail(rc, "the signature of its watermark is wrong") : rc;
	p->is_watermark = true;
	p->author = m.author;
	p->stamp = m.stamp;
	p->count = m.head.count;
	p->line = m.head.line;
	p->state = m.head.state;
	return 0;
}

static int read_signed(struct sw_rd *r, struct chain *c, struct sw_proof *p)
{
	uint8_t kind = sw_rd_u8(r);
	struct sw_view bytes = sw_rd_bytes(r, SW_WATERMARK_SIZE_MAX);
	int rc;

	if (r->bad || (kind != SW_PROOF_COMMIT && kind != SW_PROOF_WATERMARK))
		return malformed("it has nothing that was signed");
	rc = kind == SW_PROOF_COMMIT ? read_commit(bytes, c, p) : read_watermark(bytes, c, p);
	if (rc == 0)
		rc = let_in(c, &p->author);
	if (rc < 0)
		return rc;
	p->role = c->role;
	return p->role >= SW_ROLE_WRITER ? 0 : malformed("who signed was let in only to read");
}

/* The whole */

static int read_begin(struct sw_view bytes, struct sw_rd *out)
{
	struct sw_view magic = sw_view_str(SW_PROOF_MAGIC), version = sw_view_str(SW_PROOF_VERSION_LINE);
	struct sw_hash check, is;

	if (bytes.n > SW_PROOF_SIZE_MAX)
		return sw_fail(SW_ELIMIT, "this is no proof: it has more than %zu bytes", SW_PROOF_SIZE_MAX);
	if (bytes.n < magic.n + version.n + SW_HASH_SIZE || !sw_view_eq(sw_view(bytes.p, magic.n), magic))
		return malformed("it does not begin like one");
	if (!sw_view_eq(sw_view(bytes.p + magic.n, version.n), version))
		return sw_fail(SW_EVERSION, "the proof is of a version that this program does not know");
	bytes.n -= SW_HASH_SIZE;
	memcpy(check.b, bytes.p + bytes.n, SW_HASH_SIZE);
	sw_hash_compute(SW_DOMAIN_PROOF, bytes, &is);
	if (!sw_hash_eq(&is, &check))
		return sw_fail(SW_EFORMAT, "the proof is damaged: its bytes are not those that were written");
	*out = sw_rd(sw_view(bytes.p + magic.n + version.n, bytes.n - magic.n - version.n));
	return 0;
}

int sw_proof_check(struct sw_view bytes, struct sw_proof *out)
{
	struct sw_proof p = {0};
	struct chain chain = {0};
	struct sw_rd r;
	int rc = read_begin(bytes, &r);

	if (rc < 0)
		return rc;
	p.table = sw_rd_bytes(&r, SW_NAME_MAX);
	p.key = sw_rd_bytes(&r, SW_NAME_MAX);
	if (r.bad || sw_name_check(p.table) < 0 || sw_name_check(p.key) < 0)
		return malformed("it names no row");
	rc = read_chain(&r, &p, &chain);
	if (rc == 0)
		rc = read_signed(&r, &chain, &p);
	if (rc < 0)
		return rc;
	rc = sw_proof_find(&p, next_record, &r);
	if (rc == 0)
		rc = sw_rd_done(&r);
	if (rc == SW_EFORMAT)
		return malformed("its path does not lead from what was signed to the row");
	if (rc == 0)
		*out = p;
	return rc;
}

/* Content */

static int add_content(struct sw_blob_writer *w, sw_read_fn read, void *arg, uint64_t size, uint8_t *piece)
{
	size_t got = PIECE;
	int rc = 0;

	/* One piece more than there ought to be shows that there is more. */
	for (uint64_t at = 0; rc == 0 && got == PIECE && at <= size; at += got) {
		rc = read(arg, at, piece, PIECE, &got);
		if (rc == 0 && got > 0)
			rc = sw_blob_writer_add(w, sw_view(piece, got));
	}
	return rc;
}

static int has_large(const struct sw_proof *p, sw_read_fn read, void *arg, uint8_t *piece)
{
	struct sw_shape *shape = malloc(sizeof(*shape));
	struct sw_blob_writer *w = NULL;
	struct sw_hash root;
	uint64_t size;
	int rc = shape ? 0 : SW_ENOMEM;

	if (rc == 0) {
		sw_shape_init(shape, &p->salt);
		rc = sw_blob_writer_new(NULL, shape, &w);
	}
	if (rc == 0)
		rc = add_content(w, read, arg, p->row.size, piece);
	if (rc == 0)
		rc = sw_blob_writer_finish(w, &root, &size);
	sw_blob_writer_free(w);
	free(shape);
	return rc < 0 ? rc : size == p->row.size && sw_hash_eq(&root, &p->row.blob);
}

int sw_proof_has_content(const struct sw_proof *p, sw_read_fn read, void *arg)
{
	uint8_t *piece = malloc(PIECE);
	size_t got;
	int rc = piece ? read(arg, 0, piece, PIECE, &got) : SW_ENOMEM;

	if (rc == 0 && !p->row.is_blob)
		rc = sw_view_eq(p->row.bytes, sw_view(piece, got));
	else if (rc == 0 && got > 0)
		rc = has_large(p, read, arg, piece);
	free(piece);
	return rc;
}
