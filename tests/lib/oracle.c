#include "tests/lib/oracle.h"

#include "core/blob.h"
#include "core/state.h"
#include "tests/lib/oracle_columns.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Tests have memory. */
static void *more(void *p, size_t n, size_t size)
{
	void *q = p;

	if ((n & (n - 1)) == 0) { /* grow at powers of two */
		q = realloc(p, (n ? 2 * n : 1) * size);
		assert(q);
	}
	return q;
}

void oracle_init(struct oracle *o, const struct sw_hash *salt)
{
	*o = (struct oracle){.salt = *salt};
	o->shape = calloc(1, sizeof(*o->shape));
	assert(o->shape);
	sw_shape_init(o->shape, salt);
}

static void entries_free(struct oracle_entries *e)
{
	for (size_t i = 0; i < e->n; i++) {
		sw_buf_fini(&e->v[i].key);
		sw_buf_fini(&e->v[i].value);
	}
	free(e->v);
	*e = (struct oracle_entries){0};
}

static void forget(struct oracle *o)
{
	for (size_t i = 0; i < o->n_rows; i++) {
		sw_buf_fini(&o->rows[i].bytes);
		free(o->rows[i].columns);
		free(o->rows[i].losers);
	}
	free(o->rows);
	free(o->tables);
	o->rows = NULL;
	o->tables = NULL;
	o->n_rows = o->n_tables = 0;
	entries_free(&o->conflicts);
	entries_free(&o->members);
	entries_free(&o->resolved);
	entries_free(&o->tags);
}

void oracle_fini(struct oracle *o)
{
	forget(o);
	for (size_t i = 0; i < o->n; i++) {
		sw_buf_fini(&o->commits[i].raw);
		sw_buf_fini(&o->commits[i].changeset);
	}
	for (size_t i = 0; i < o->n_contents; i++)
		sw_buf_fini(&o->contents[i].bytes);
	free(o->commits);
	free(o->contents);
	free(o->shape);
	*o = (struct oracle){0};
}

bool oracle_has(const struct oracle *o, const struct sw_hash *id)
{
	for (size_t i = 0; i < o->n; i++)
		if (sw_hash_eq(&o->commits[i].commit.id, id))
			return true;
	return false;
}

/* (stamp, author, id), as bytes. */
static void make_order(const struct sw_commit *c, struct sw_order *out)
{
	for (size_t i = 0; i < 8; i++)
		out->b[i] = (uint8_t)(c->stamp >> (56 - 8 * i));
	memcpy(out->b + 8, c->author.b, SW_KEY_SIZE);
	memcpy(out->b + 8 + SW_KEY_SIZE, c->id.b, SW_HASH_SIZE);
}

void oracle_add(struct oracle *o, struct sw_view raw, struct sw_view changeset)
{
	struct oracle_commit c = {0};
	struct sw_changeset walk;
	size_t at;

	forget(o);
	sw_buf_put_view(&c.raw, raw);
	sw_buf_put_view(&c.changeset, changeset);
	assert(sw_commit_decode(sw_buf_view(&c.raw), &c.commit) == 0);
	assert(sw_changeset_begin(&walk, sw_buf_view(&c.changeset)) == 0);
	c.mode = walk.mode;
	make_order(&c.commit, &c.order);
	if (oracle_has(o, &c.commit.id)) {
		sw_buf_fini(&c.raw);
		sw_buf_fini(&c.changeset);
		return;
	}
	o->commits = more(o->commits, o->n, sizeof(*o->commits));
	for (at = o->n; at > 0 && memcmp(o->commits[at - 1].order.b, c.order.b, SW_ORDER_SIZE) > 0; at--)
		o->commits[at] = o->commits[at - 1];
	o->commits[at] = c;
	o->n++;
}

/* Contents */

const struct sw_buf *oracle_content(const struct oracle *o, const struct sw_hash *root)
{
	for (size_t i = 0; i < o->n_contents; i++)
		if (sw_hash_eq(&o->contents[i].root, root))
			return &o->contents[i].bytes;
	return NULL;
}

static struct sw_hash value_hash(const struct oracle *o, struct sw_view bytes)
{
	struct sw_row row = {0};
	struct sw_nodes *nodes;
	struct sw_hash h;

	if (bytes.n <= 1024) {
		sw_hash_compute(SW_DOMAIN_VALUE, bytes, &h);
		return h;
	}
	assert(sw_nodes_new(NULL, &nodes) == 0);
	assert(sw_row_make(nodes, o->shape, bytes, &row) == 0);
	sw_nodes_free(nodes);
	return row.blob;
}

struct sw_hash oracle_learn(struct oracle *o, struct sw_view bytes)
{
	struct oracle_content c = {.root = value_hash(o, bytes)};

	if (bytes.n <= 1024 || oracle_content(o, &c.root))
		return c.root;
	sw_buf_put_view(&c.bytes, bytes);
	o->contents = more(o->contents, o->n_contents, sizeof(*o->contents));
	o->contents[o->n_contents++] = c;
	return c.root;
}

/* The bytes that a PUT writes. */
static struct sw_view written(const struct oracle *o, const struct sw_op *op)
{
	const struct sw_buf *b;

	if (!op->row.is_blob)
		return op->row.bytes;
	b = oracle_content(o, &op->row.blob);
	assert(b);
	return sw_buf_view(b);
}

/* The fold, row by row (FORMAT.md, section 12) */

static struct oracle_row *row_of(struct oracle *o, struct sw_view table, struct sw_view key)
{
	for (size_t i = 0; i < o->n_rows; i++)
		if (sw_view_eq(o->rows[i].table, table) && sw_view_eq(o->rows[i].key, key))
			return &o->rows[i];
	o->rows = more(o->rows, o->n_rows, sizeof(*o->rows));
	o->rows[o->n_rows] = (struct oracle_row){
	    .table = table, .key = key, .whole = ORACLE_NOBODY, .last = ORACLE_NOBODY};
	return &o->rows[o->n_rows++];
}

static struct oracle_table *table_of(struct oracle *o, struct sw_view name)
{
	for (size_t i = 0; i < o->n_tables; i++)
		if (sw_view_eq(o->tables[i].name, name))
			return &o->tables[i];
	o->tables = more(o->tables, o->n_tables, sizeof(*o->tables));
	o->tables[o->n_tables] = (struct oracle_table){.name = name, .mode = 0755};
	return &o->tables[o->n_tables++];
}

static bool is_clean(const struct oracle_row *r, const struct sw_op *op, enum sw_mode mode)
{
	struct sw_hash n;

	if (op->kind != SW_OP_PUT && op->kind != SW_OP_DELETE && op->kind != SW_OP_CHECK)
		return true;
	if (sw_hash_eq(&r->hash, &op->old))
		return true;
	sw_op_new_hash(op, &n);
	return mode == SW_MODE_MERGE && sw_hash_eq(&r->hash, &n);
}

static void lose(struct oracle_row *r, size_t commit, const struct sw_view *column, struct sw_hash value,
		 struct sw_hash row)
{
	if (commit == ORACLE_NOBODY)
		return;
	r->losers = more(r->losers, r->n_losers, sizeof(*r->losers));
	r->losers[r->n_losers++] = (struct oracle_loser){.commit = commit,
							 .is_column = column != NULL,
							 .name = column ? *column : sw_view("", 0),
							 .value = value,
							 .row = row};
}

/* Which losers a write has seen: those of a column, or of the whole row. */
struct gone {
	bool column;
	struct sw_view name;
	struct sw_hash r, n;
};

static bool is_gone(const struct oracle_loser *l, const struct gone *g)
{
	if (g->column)
		return l->is_column && sw_view_eq(l->name, g->name) &&
		       (sw_hash_eq(&l->value, &g->r) || sw_hash_eq(&l->value, &g->n));
	if (l->is_column)
		return sw_hash_eq(&l->row, &g->r);
	return sw_hash_eq(&l->value, &g->r) || sw_hash_eq(&l->value, &g->n);
}

static void cover(struct oracle_row *r, const struct gone *g)
{
	struct oracle_loser *kept = NULL;
	size_t n = 0;

	for (size_t i = 0; i < r->n_losers; i++) {
		if (is_gone(&r->losers[i], g))
			continue;
		kept = more(kept, n, sizeof(*kept));
		kept[n++] = r->losers[i];
	}
	free(r->losers);
	r->losers = kept;
	r->n_losers = n;
}

static void write_row(struct oracle *o, struct oracle_row *r, const struct sw_op *op, size_t x)
{
	struct gone g = {.r = op->old};

	sw_op_new_hash(op, &g.n);
	cover(r, &g);
	free(r->columns);
	r->columns = NULL;
	r->n_columns = 0;
	r->whole = r->last = x;
	r->whole_row = g.n;
	r->hash = g.n;
	r->is_there = op->kind == SW_OP_PUT;
	r->bytes.n = 0;
	r->mode = 0;
	r->mtime_ns = 0;
	if (r->is_there) {
		sw_buf_put_view(&r->bytes, written(o, op));
		r->mode = op->row.mode;
		r->mtime_ns = op->row.mtime_ns;
	}
}

static struct oracle_column *writer_of(struct oracle_row *r, struct sw_view name)
{
	for (size_t i = 0; i < r->n_columns; i++)
		if (sw_view_eq(r->columns[i].name, name))
			return &r->columns[i];
	return NULL;
}

/* Floor division, so that dates before 1970 keep their second. */
static int64_t merged_mtime(int64_t a, int64_t b, struct sw_hash hash)
{
	int64_t later = a > b ? a : b;
	int64_t whole = later / 1000000000;

	if (later % 1000000000 < 0)
		whole--;
	return (int64_t)((uint64_t)whole * 1000000000u + sw_get_u64(hash.b) % 1000000000u);
}

/* Column by column; false when there is no result. */
static bool merge(struct oracle *o, struct oracle_row *r, const struct sw_op *op, size_t x,
		  const struct oracle_members *mine, const struct oracle_members *met)
{
	struct sw_view changed[256];
	struct sw_hash mine_row, hash;
	struct sw_buf text = {0};
	struct sw_op_column c;
	struct sw_rd rd = sw_rd(op->columns);
	size_t n = 0;

	while (sw_op_column_next(&rd, &c)) {
		assert(n < 256);
		changed[n++] = c.name;
	}
	if (!oracle_columns_merge(mine, met, changed, n, &text)) {
		sw_buf_fini(&text);
		return false;
	}
	sw_op_new_hash(op, &mine_row);
	rd = sw_rd(op->columns);
	while (sw_op_column_next(&rd, &c)) {
		struct sw_hash now = oracle_columns_hash(met, c.name), w = oracle_columns_hash(mine, c.name);
		struct oracle_column *writer = writer_of(r, c.name);
		struct gone g = {.column = true, .name = c.name, .r = c.old, .n = w};

		if (!sw_hash_eq(&now, &c.old) && !sw_hash_eq(&now, &w)) {
			if (writer)
				lose(r, writer->commit, &c.name, now, writer->row);
			else
				lose(r, r->whole, &c.name, now, r->whole_row);
		}
		cover(r, &g);
		if (!writer) {
			r->columns = more(r->columns, r->n_columns, sizeof(*r->columns));
			writer = &r->columns[r->n_columns++];
			writer->name = c.name;
		}
		writer->commit = x;
		writer->row = mine_row;
	}
	r->last = x;
	hash = oracle_learn(o, sw_buf_view(&text));
	if (sw_hash_eq(&hash, &mine_row))
		r->mtime_ns = op->row.mtime_ns;
	else
		r->mtime_ns = merged_mtime(r->mtime_ns, op->row.mtime_ns, hash);
	r->mode = op->row.mode;
	r->hash = hash;
	sw_buf_fini(&r->bytes);
	r->bytes = text;
	return true;
}

static void lose_whole(struct oracle_row *r, const struct oracle_members *met)
{
	if (r->n_columns == 0) {
		lose(r, r->whole, NULL, r->hash, r->whole_row);
		return;
	}
	lose(r, r->last, NULL, r->hash, r->hash);
	if (r->whole != r->last)
		lose(r, r->whole, NULL, r->whole_row, r->whole_row);
	for (size_t i = 0; i < r->n_columns; i++)
		if (r->columns[i].commit != r->last)
			lose(r, r->columns[i].commit, &r->columns[i].name,
			     oracle_columns_hash(met, r->columns[i].name), r->columns[i].row);
}

static void unclean(struct oracle *o, struct oracle_row *r, const struct sw_op *op, size_t x)
{
	struct oracle_members mine = {0}, met = {0};
	bool has_met, has_mine, merged = false;

	has_met = r->is_there && oracle_columns_parse(op->key, sw_buf_view(&r->bytes), &met);
	has_mine = op->kind == SW_OP_PUT && op->has_columns &&
		   oracle_columns_parse(op->key, written(o, op), &mine);
	o->commits[x].was_unclean = true;
	if (has_met && has_mine) {
		/* The merge replaces the text that `met` looks into. */
		struct sw_buf keep = {0};
		struct oracle_members again;

		sw_buf_put_view(&keep, sw_buf_view(&r->bytes));
		assert(oracle_columns_parse(op->key, sw_buf_view(&keep), &again));
		merged = merge(o, r, op, x, &mine, &again);
		o->commits[x].was_merged |= merged;
		oracle_columns_fini(&again);
		sw_buf_fini(&keep);
	}
	if (!merged) {
		lose_whole(r, &met);
		write_row(o, r, op, x);
	}
	oracle_columns_fini(&mine);
	oracle_columns_fini(&met);
}

static void clean(struct oracle *o, struct oracle_row *r, const struct sw_op *op, size_t x)
{
	struct oracle_members mine = {0};
	struct sw_rd rd = sw_rd(op->columns);
	struct sw_op_column c;

	if (op->kind == SW_OP_PUT && op->has_columns &&
	    oracle_columns_parse(op->key, written(o, op), &mine)) {
		while (sw_op_column_next(&rd, &c)) {
			struct gone g = {
			    .column = true, .name = c.name, .r = c.old, .n = oracle_columns_hash(&mine, c.name)};

			cover(r, &g);
		}
	}
	oracle_columns_fini(&mine);
	write_row(o, r, op, x);
}

static struct oracle_entry *entry_of(struct oracle_entries *e, struct sw_view key)
{
	size_t at;

	for (size_t i = 0; i < e->n; i++)
		if (sw_view_eq(sw_buf_view(&e->v[i].key), key))
			return &e->v[i];
	e->v = more(e->v, e->n, sizeof(*e->v));
	for (at = e->n; at > 0 && sw_view_cmp(sw_buf_view(&e->v[at - 1].key), key) > 0; at--)
		e->v[at] = e->v[at - 1];
	e->n++;
	e->v[at] = (struct oracle_entry){0};
	sw_buf_put_view(&e->v[at].key, key);
	return &e->v[at];
}

static void record_key(struct sw_view table, struct sw_view key, const struct sw_hash *commit,
		       struct sw_buf *out)
{
	sw_buf_put_view(out, table);
	sw_buf_put_u8(out, 0);
	sw_buf_put_view(out, key);
	sw_buf_put_u8(out, 0);
	sw_buf_put_hash(out, commit);
}

static void apply_op(struct oracle *o, const struct sw_op *op, size_t x)
{
	struct oracle_entry *e;
	struct oracle_table *t;
	struct oracle_row *r;
	SW_BUF key = {0};

	switch (op->kind) {
	case SW_OP_MKTABLE:
	case SW_OP_RMTABLE:
		t = table_of(o, op->table);
		if (op->kind == SW_OP_RMTABLE) {
			t->rmdir = x + 1;
			break;
		}
		t->mkdir = x + 1;
		t->mode = op->row.mode;
		t->mtime_ns = op->row.mtime_ns;
		break;
	case SW_OP_CHMETA:
		if (op->key.n == 0) {
			t = table_of(o, op->table);
			t->mode = op->row.mode;
			t->mtime_ns = op->row.mtime_ns;
			break;
		}
		r = row_of(o, op->table, op->key);
		if (r->is_there) {
			r->mode = op->row.mode;
			r->mtime_ns = op->row.mtime_ns;
		}
		break;
	case SW_OP_PUT:
	case SW_OP_DELETE:
		if (op->kind == SW_OP_PUT)
			table_of(o, op->table)->put = x + 1;
		r = row_of(o, op->table, op->key);
		if (is_clean(r, op, o->commits[x].mode))
			clean(o, r, op, x);
		else
			unclean(o, r, op, x);
		break;
	case SW_OP_TAG:
		e = entry_of(&o->tags, op->table);
		sw_buf_reset(&e->value);
		sw_buf_put_hash(&e->value, &op->commit);
		break;
	case SW_OP_RESOLVE:
		record_key(op->table, op->key, &op->commit, &key);
		entry_of(&o->resolved, sw_buf_view(&key));
		break;
	default:
		break;
	}
}

static void drop_op(struct oracle *o, const struct sw_op *op, size_t x)
{
	struct sw_hash n;

	if (op->kind != SW_OP_PUT && op->kind != SW_OP_DELETE)
		return;
	sw_op_new_hash(op, &n);
	lose(row_of(o, op->table, op->key), x, NULL, n, n);
}

static void fold_commit(struct oracle *o, size_t x)
{
	struct oracle_commit *c = &o->commits[x];
	struct sw_changeset walk;
	struct sw_op op;

	c->was_unclean = c->was_merged = false;
	if (c->outcome >= SW_VOID)
		return;
	c->outcome = SW_APPLIED;
	assert(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)) == 0);
	while (c->mode == SW_MODE_STRICT && sw_changeset_next(&walk, &op) > 0)
		if (op.kind == SW_OP_PUT || op.kind == SW_OP_DELETE || op.kind == SW_OP_CHECK)
			if (!is_clean(row_of(o, op.table, op.key), &op, SW_MODE_STRICT))
				c->outcome = SW_DROPPED;
	assert(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)) == 0);
	while (sw_changeset_next(&walk, &op) > 0) {
		if (c->outcome == SW_APPLIED)
			apply_op(o, &op, x);
		else
			drop_op(o, &op, x);
	}
}

/* Records: one for each row and losing commit, unless it is resolved. */

static const struct sw_hash *id_of(const struct oracle *o, size_t commit)
{
	return &o->commits[commit].commit.id;
}

static int loser_cmp(const struct oracle_loser *a, const struct oracle_loser *b)
{
	int c = (int)a->is_column - (int)b->is_column;

	if (c == 0)
		c = sw_view_cmp(a->name, b->name);
	return c ? c : sw_hash_cmp(&a->value, &b->value);
}

static void make_record(struct oracle *o, const struct oracle_row *r, size_t commit)
{
	const struct oracle_loser *last = NULL;
	struct oracle_entry *e;
	struct sw_hash digest;
	SW_BUF key = {0};
	SW_BUF text = {0};

	record_key(r->table, r->key, id_of(o, commit), &key);
	for (size_t i = 0; i < o->resolved.n; i++)
		if (sw_view_eq(sw_buf_view(&o->resolved.v[i].key), sw_buf_view(&key)))
			return;
	/* Ascending, each once: again and again the smallest above the last. */
	for (;;) {
		const struct oracle_loser *next = NULL;

		for (size_t i = 0; i < r->n_losers; i++) {
			const struct oracle_loser *l = &r->losers[i];

			if (l->commit != commit || (last && loser_cmp(l, last) <= 0))
				continue;
			if (!next || loser_cmp(l, next) < 0)
				next = l;
		}
		if (!next)
			break;
		sw_buf_put_u8(&text, next->is_column);
		sw_buf_put_bytes(&text, next->name);
		sw_buf_put_hash(&text, &next->value);
		last = next;
	}
	sw_hash_compute(SW_DOMAIN_VALUE, sw_buf_view(&text), &digest);
	e = entry_of(&o->conflicts, sw_buf_view(&key));
	sw_buf_reset(&e->value);
	sw_buf_put_hash(&e->value, &digest);
}

static size_t rows_in(const struct oracle *o, struct sw_view table)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_rows; i++)
		n += o->rows[i].is_there && sw_view_eq(o->rows[i].table, table);
	return n;
}

/* Void commits, and who is a member as of the first n. */
static void judge(struct oracle *o, size_t n)
{
	struct oracle_verdict all, first;

	oracle_judge(o, o->n, NULL, &all);
	oracle_judge(o, n, n < o->n ? all.in_line : NULL, &first);
	for (size_t x = 0; x < o->n; x++)
		o->commits[x].outcome = all.valid[x] ? SW_APPLIED : all.in_line[x] ? SW_VOID : SW_OUT;
	for (size_t i = 0; i < first.n_roles; i++) {
		struct oracle_entry *e = entry_of(&o->members, sw_view(first.roles[i].key.b, SW_KEY_SIZE));

		sw_buf_put_u8(&e->value, (uint8_t)first.roles[i].role);
	}
	oracle_verdict_fini(&all);
	oracle_verdict_fini(&first);
}

void oracle_fold(struct oracle *o, size_t n)
{
	forget(o);
	assert(n <= o->n);
	judge(o, n);
	for (size_t x = 0; x < n; x++)
		fold_commit(o, x);
	for (size_t i = 0; i < o->n_rows; i++)
		for (size_t j = 0; j < o->rows[i].n_losers; j++)
			make_record(o, &o->rows[i], o->rows[i].losers[j].commit);
	for (size_t i = 0; i < o->n_tables; i++) {
		struct oracle_table *t = &o->tables[i];

		t->is_there = rows_in(o, t->name) > 0 || t->mkdir > t->rmdir || t->put > t->rmdir;
	}
}

/* Trees, from scratch (FORMAT.md, section 4) */

struct item {
	struct sw_buf key, value;
	uint64_t n_rows;
};

struct items {
	struct item *v;
	size_t n;
};

static void items_free(struct items *l)
{
	for (size_t i = 0; i < l->n; i++) {
		sw_buf_fini(&l->v[i].key);
		sw_buf_fini(&l->v[i].value);
	}
	free(l->v);
	*l = (struct items){0};
}

static void items_add(struct items *l, struct sw_view key, struct sw_view value, uint64_t n_rows)
{
	l->v = more(l->v, l->n, sizeof(*l->v));
	l->v[l->n] = (struct item){.n_rows = n_rows};
	sw_buf_put_view(&l->v[l->n].key, key);
	sw_buf_put_view(&l->v[l->n].value, value);
	l->n++;
}

static int item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return sw_view_cmp(sw_buf_view(&x->key), sw_buf_view(&y->key));
}

struct builder {
	const struct oracle *o;
	uint8_t purpose, level;
	const struct items *in;
	struct items *out;
};

static uint64_t sip(const struct builder *b, unsigned level, size_t i)
{
	struct sw_sip_key key;

	sw_sip_derive(&b->o->salt, b->purpose, (uint8_t)level, &key);
	return sw_sip(&key, sw_buf_view(&b->in->v[i].key));
}

static void make_node(struct builder *b, size_t from, size_t to)
{
	struct sw_view prev = sw_view("", 0);
	struct sw_hash hash;
	uint64_t n_rows = 0;
	SW_BUF node = {0};
	SW_BUF child = {0};

	sw_buf_put_u8(&node, b->level ? 2 : 1);
	sw_buf_put_u8(&node, b->purpose);
	if (b->level)
		sw_buf_put_u8(&node, b->level);
	sw_buf_put_varint(&node, to - from);
	for (size_t i = from; i < to; i++) {
		struct sw_view key = sw_buf_view(&b->in->v[i].key);
		size_t shared = 0;

		while (shared < prev.n && shared < key.n && prev.p[shared] == key.p[shared])
			shared++;
		sw_buf_put_varint(&node, shared);
		sw_buf_put_bytes(&node, sw_view(key.p + shared, key.n - shared));
		sw_buf_put_bytes(&node, sw_buf_view(&b->in->v[i].value));
		n_rows += b->in->v[i].n_rows;
		prev = key;
	}
	sw_hash_compute(SW_DOMAIN_NODE, sw_buf_view(&node), &hash);
	sw_buf_put_hash(&child, &hash);
	sw_buf_put_varint(&child, n_rows);
	items_add(b->out, prev, sw_buf_view(&child), n_rows);
}

static size_t nominal(const struct builder *b, size_t i)
{
	return b->in->v[i].key.n + b->in->v[i].value.n + 6;
}

/* Rule 2. */
static void make_run(struct builder *b, size_t from, size_t to)
{
	size_t total = 0, end = 0, at = to;
	uint64_t best = 0;

	for (size_t i = from; i < to; i++)
		total += nominal(b, i);
	if (total <= 4064 || to - from == 1) {
		make_node(b, from, to);
		return;
	}
	for (size_t i = from; i + 1 < to; i++) {
		end += nominal(b, i);
		if (end < total / 4 || end > total - total / 4)
			continue;
		if (at == to || sip(b, b->level + 128u, i) < best) {
			at = i;
			best = sip(b, b->level + 128u, i);
		}
	}
	end = 0;
	for (size_t i = from; at == to && i + 1 < to; i++) {
		end += nominal(b, i);
		if (end >= total / 4)
			at = i;
	}
	if (at == to)
		at = to - 2;
	make_run(b, from, at + 1);
	make_run(b, at + 1, to);
}

static struct sw_hash build(const struct oracle *o, uint8_t purpose, struct items *in)
{
	struct sw_hash root = sw_hash_zero;

	if (in->n == 0)
		return root;
	qsort(in->v, in->n, sizeof(*in->v), item_cmp);
	for (uint8_t level = 0;; level++) {
		struct items out = {0};
		struct builder b = {o, purpose, level, in, &out};
		size_t from = 0;

		for (size_t i = 0; i < in->n; i++) {
			if (sip(&b, level, i) >= UINT64_MAX / 64 && i + 1 < in->n)
				continue;
			make_run(&b, from, i + 1);
			from = i + 1;
		}
		items_free(in);
		*in = out;
		if (in->n == 1)
			break;
	}
	memcpy(root.b, in->v[0].value.p, SW_HASH_SIZE);
	items_free(in);
	return root;
}

struct sw_hash oracle_line(struct oracle *o, size_t n)
{
	struct items items = {0};

	for (size_t i = 0; i < n; i++) {
		uint8_t outcome = (uint8_t)o->commits[i].outcome;

		if (outcome != SW_OUT)
			items_add(&items, sw_order_view(&o->commits[i].order), sw_view(&outcome, 1), 1);
	}
	return build(o, 3, &items);
}

size_t oracle_count(const struct oracle *o)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += o->commits[i].outcome != SW_OUT;
	return n;
}

static void add_table(struct items *state, uint8_t class, struct sw_view name, uint16_t mode,
		      int64_t mtime_ns, struct sw_hash root, size_t n_rows)
{
	SW_BUF key = {0};
	SW_BUF value = {0};

	sw_buf_put_u8(&key, class);
	sw_buf_put_view(&key, name);
	sw_buf_put_u16(&value, mode);
	sw_buf_put_u64(&value, (uint64_t)mtime_ns);
	sw_buf_put_hash(&value, &root);
	sw_buf_put_varint(&value, n_rows);
	items_add(state, sw_buf_view(&key), sw_buf_view(&value), 1);
}

static void add_system(const struct oracle *o, struct items *state, const char *name, uint8_t purpose,
		       const struct oracle_entries *e)
{
	struct items items = {0};
	size_t n;

	for (size_t i = 0; i < e->n; i++) {
		/* A tag that names nothing is none. */
		if (purpose == 7 && memcmp(e->v[i].value.p, sw_hash_zero.b, SW_HASH_SIZE) == 0)
			continue;
		items_add(&items, sw_buf_view(&e->v[i].key), sw_buf_view(&e->v[i].value), 1);
	}
	n = items.n;
	if (n > 0)
		add_table(state, 1, sw_view_str(name), 0, 0, build(o, purpose, &items), n);
}

static void encode_row(const struct oracle_row *r, struct sw_buf *out)
{
	sw_buf_put_u8(out, r->bytes.n > 1024);
	sw_buf_put_u16(out, r->mode);
	sw_buf_put_u64(out, (uint64_t)r->mtime_ns);
	if (r->bytes.n > 1024) {
		sw_buf_put_varint(out, r->bytes.n);
		sw_buf_put_hash(out, &r->hash);
	} else {
		sw_buf_put_view(out, sw_buf_view(&r->bytes));
	}
}

struct sw_hash oracle_state(struct oracle *o)
{
	struct items state = {0};

	for (size_t t = 0; t < o->n_tables; t++) {
		struct items rows = {0};
		size_t n;

		if (!o->tables[t].is_there)
			continue;
		for (size_t i = 0; i < o->n_rows; i++) {
			const struct oracle_row *r = &o->rows[i];
			SW_BUF value = {0};

			if (!r->is_there || !sw_view_eq(r->table, o->tables[t].name))
				continue;
			encode_row(r, &value);
			items_add(&rows, r->key, sw_buf_view(&value), 1);
		}
		n = rows.n;
		add_table(&state, 2, o->tables[t].name, o->tables[t].mode, o->tables[t].mtime_ns,
			  build(o, 2, &rows), n);
	}
	add_system(o, &state, "conflicts", 5, &o->conflicts);
	add_system(o, &state, "members", 4, &o->members);
	add_system(o, &state, "resolved", 8, &o->resolved);
	add_system(o, &state, "tags", 7, &o->tags);
	return build(o, 1, &state);
}

/* Questions */

const struct oracle_row *oracle_row(const struct oracle *o, const char *table, const char *key)
{
	for (size_t i = 0; i < o->n_rows; i++)
		if (sw_view_eq(o->rows[i].table, sw_view_str(table)) &&
		    sw_view_eq(o->rows[i].key, sw_view_str(key)) && o->rows[i].is_there)
			return &o->rows[i];
	return NULL;
}

const struct oracle_table *oracle_table(const struct oracle *o, const char *name)
{
	for (size_t i = 0; i < o->n_tables; i++)
		if (sw_view_eq(o->tables[i].name, sw_view_str(name)) && o->tables[i].is_there)
			return &o->tables[i];
	return NULL;
}

int oracle_role_of(const struct oracle *o, const struct sw_key *key)
{
	for (size_t i = 0; i < o->members.n; i++)
		if (sw_view_eq(sw_buf_view(&o->members.v[i].key), sw_view(key->b, SW_KEY_SIZE)))
			return o->members.v[i].value.p[0];
	return 0;
}

size_t oracle_n_conflicts(const struct oracle *o, const char *table, const char *key)
{
	size_t n = 0;
	SW_BUF prefix = {0};

	record_key(sw_view_str(table), sw_view_str(key), &sw_hash_zero, &prefix);
	prefix.n -= SW_HASH_SIZE;
	for (size_t i = 0; i < o->conflicts.n; i++)
		n += o->conflicts.v[i].key.n > prefix.n &&
		     memcmp(o->conflicts.v[i].key.p, prefix.p, prefix.n) == 0;
	return n;
}

static void print_op(const struct sw_op *op)
{
	static const char *const kinds[] = {"?",      "GENESIS", "MKTABLE", "RMTABLE", "CHMETA", "PUT",
					    "DELETE", "CHECK",	 "RESOLVE", "TAG",     "GRANT",
					    "REVOKE", "FLOOR"};
	struct sw_rd rd = sw_rd(op->columns);
	struct sw_op_column c;
	struct sw_hash n;

	sw_op_new_hash(op, &n);
	fprintf(stderr, "    %s %.*s/%.*s old %02x%02x new %02x%02x size %llu '%.*s'", kinds[op->kind],
		(int)op->table.n, (const char *)op->table.p, (int)op->key.n, (const char *)op->key.p,
		op->old.b[0], op->old.b[1], n.b[0], n.b[1], (unsigned long long)op->row.size,
		(int)(op->row.bytes.n < 60 ? op->row.bytes.n : 60), (const char *)op->row.bytes.p);
	if (op->has_columns)
		fprintf(stderr, " columns:");
	while (sw_op_column_next(&rd, &c))
		fprintf(stderr, " %.*s", (int)c.name.n, (const char *)c.name.p);
	if (op->kind == SW_OP_GRANT || op->kind == SW_OP_REVOKE)
		fprintf(stderr, " key %02x role %d%s", op->member.b[0], (int)op->role, op->names_stand ? " stand:" : "");
	for (size_t i = 0; i < op->stand.n / SW_HASH_SIZE; i++)
		fprintf(stderr, " %02x%02x", op->stand.p[i * SW_HASH_SIZE], op->stand.p[i * SW_HASH_SIZE + 1]);
	if (op->kind == SW_OP_RESOLVE || op->kind == SW_OP_TAG)
		fprintf(stderr, " %02x%02x", op->commit.b[0], op->commit.b[1]);
	fprintf(stderr, "\n");
}

void oracle_print(const struct oracle *o)
{
	for (size_t x = 0; x < o->n; x++) {
		const struct oracle_commit *c = &o->commits[x];
		struct sw_changeset walk;
		struct sw_op op;

		fprintf(stderr, "%zu %02x%02x stamp %llx author %02x mode %d %s\n", x, c->commit.id.b[0],
			c->commit.id.b[1], (unsigned long long)c->commit.stamp, c->commit.author.b[0],
			(int)c->mode, c->outcome == SW_OUT ? "out" : sw_outcome_name(c->outcome));
		fprintf(stderr, "    on");
		for (size_t p = 0; p < c->commit.n_parents; p++)
			fprintf(stderr, " %02x%02x", c->commit.parents[p].b[0], c->commit.parents[p].b[1]);
		fprintf(stderr, "\n");
		assert(sw_changeset_begin(&walk, sw_buf_view(&c->changeset)) == 0);
		while (sw_changeset_next(&walk, &op) > 0)
			print_op(&op);
	}
	for (size_t i = 0; i < o->n_tables; i++)
		fprintf(stderr, "table %.*s %s %o %lld\n", (int)o->tables[i].name.n,
			(const char *)o->tables[i].name.p, o->tables[i].is_there ? "there" : "gone",
			o->tables[i].mode, (long long)o->tables[i].mtime_ns);
	for (size_t i = 0; i < o->n_rows; i++) {
		const struct oracle_row *r = &o->rows[i];

		fprintf(stderr, "row %.*s/%.*s %s %o %lld %02x%02x size %zu '%.*s'\n", (int)r->table.n,
			(const char *)r->table.p, (int)r->key.n, (const char *)r->key.p,
			r->is_there ? "there" : "gone", r->mode, (long long)r->mtime_ns, r->hash.b[0],
			r->hash.b[1], r->bytes.n, (int)(r->bytes.n < 60 ? r->bytes.n : 60),
			(const char *)r->bytes.p);
		for (size_t j = 0; j < r->n_losers; j++)
			fprintf(stderr, "    loser %zu %s '%.*s' %02x%02x\n", r->losers[j].commit,
				r->losers[j].is_column ? "column" : "row", (int)r->losers[j].name.n,
				(const char *)r->losers[j].name.p, r->losers[j].value.b[0],
				r->losers[j].value.b[1]);
	}
	fprintf(stderr, "%zu conflicts, %zu members, %zu resolved, %zu tags\n", o->conflicts.n,
		o->members.n, o->resolved.n, o->tags.n);
}
