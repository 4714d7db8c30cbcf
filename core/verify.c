/*
 * Verify: everything in a store is read and compared with its definition. Hashes and signatures, the
 * order and the line, the tips, the outcomes and the state (folded again from nothing), each tree's
 * cuts, each large row, and the counts of references.
 */
#include "core/db_internal.h"

#include <stdlib.h>

struct verify {
	struct sw_db *db;
	struct sw_txn *txn;
	struct sw_nodes *nodes;
	struct sw_head head;
	struct sw_verify_report *report;
	struct sw_fold_commit *commits;
	struct sw_order *orders;
	size_t n;
	size_t n_out; /* that are not in the line */
	bool has_horizon; /* history is not whole up to here */
	struct sw_order horizon;
	struct sw_judgement judgement;
};

static int fault(const struct sw_hash *id, const char *what)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(id->b, SW_HASH_SIZE, hex);
	return sw_fail(SW_ECORRUPT, "commit %.12s: %s", hex, what);
}

static int verify_parents(struct verify *v, const struct sw_commit *c)
{
	for (size_t i = 0; i < c->n_parents; i++) {
		struct sw_order order;
		uint64_t seq;
		int rc = sw_history_seq(v->txn, &c->parents[i], &seq);

		if (rc == SW_ENOTFOUND)
			return fault(&c->id, "a parent is missing");
		if (rc == 0)
			rc = sw_history_order(v->txn, seq, &order);
		if (rc < 0)
			return rc;
		if (sw_order_stamp(&order) >= c->stamp)
			return fault(&c->id, "it is stamped before its parent");
	}
	return 0;
}

/* Whether a parent is marked. Parents have smaller numbers. */
static int is_below(struct verify *v, const struct sw_commit *c, const bool *marks, bool *out)
{
	*out = false;
	for (size_t i = 0; !*out && i < c->n_parents; i++) {
		uint64_t seq;
		int rc = sw_history_seq(v->txn, &c->parents[i], &seq);

		if (rc < 0)
			return rc == SW_ENOTFOUND ? fault(&c->id, "a parent is missing") : rc;
		*out = marks[seq];
	}
	return 0;
}

/* Of a commit whose own signature is wrong: whether a descendant by its author has a good one. */
static int is_vouched_for(struct verify *v, uint64_t seq, const struct sw_key *author, bool *out)
{
	size_t n = (size_t)sw_txn_count(v->txn, SW_SPACE_COMMITS);
	bool *marks = calloc(n + 1, sizeof(*marks));
	int rc = marks ? 0 : SW_ENOMEM;

	*out = false;
	if (marks)
		marks[seq] = true;
	while (rc == 0 && !*out && ++seq <= n) {
		struct sw_commit c;
		struct sw_view raw;

		rc = sw_history_get(v->txn, seq, &raw);
		if (rc == 0)
			rc = sw_commit_decode(raw, &c);
		if (rc == 0)
			rc = is_below(v, &c, marks, &marks[seq]);
		*out = rc == 0 && marks[seq] && sw_key_eq(&c.author, author) && sw_commit_verify(raw, &c) == 0;
	}
	free(marks);
	return rc;
}

static bool is_below_horizon(const struct verify *v, const struct sw_order *at)
{
	return v->has_horizon && sw_order_cmp(at, &v->horizon) <= 0;
}

static int verify_commit(struct verify *v, uint64_t seq, struct sw_view raw)
{
	struct sw_changeset changes;
	struct sw_view changeset;
	struct sw_commit c;
	struct sw_hash hash;
	uint64_t indexed;
	size_t n_blobs;
	bool vouched, is_freed;
	int rc;

	if (sw_commit_decode(raw, &c) < 0)
		return sw_fail(SW_ECORRUPT, "commit number %llu: its header is damaged",
			       (unsigned long long)seq);
	if (sw_commit_verify(raw, &c) < 0) {
		rc = is_vouched_for(v, seq, &c.author, &vouched);
		if (rc < 0)
			return rc;
		if (!vouched)
			return fault(&c.id, "its signature is wrong");
	}
	rc = sw_history_seq(v->txn, &c.id, &indexed);
	if (rc < 0 || indexed != seq)
		return fault(&c.id, "the index of ids does not know it");
	rc = sw_history_changeset(v->txn, seq, &changeset);
	if (rc < 0)
		return fault(&c.id, "its changeset is missing");
	sw_order_make(c.stamp, &c.author, &c.id, &v->orders[v->n]);
	rc = sw_history_is_freed(v->txn, seq, &is_freed);
	if (rc < 0)
		return rc;
	if (is_freed && !is_below_horizon(v, &v->orders[v->n]))
		return fault(&c.id, "its content was freed, and it is not where that is done");
	v->report->n_freed += is_freed;
	sw_hash_compute(SW_DOMAIN_CHANGESET, changeset, &hash);
	if ((!is_freed && !sw_hash_eq(&hash, &c.changeset)) || sw_changeset_check(changeset, &n_blobs) < 0 ||
	    sw_changeset_begin(&changes, changeset) < 0)
		return fault(&c.id, "its changeset is damaged");
	rc = verify_parents(v, &c);
	if (rc < 0)
		return rc;
	v->commits[v->n++] = (struct sw_fold_commit){
	    .seq = seq, .stamp = c.stamp, .mode = changes.mode, .changeset = changeset};
	return 0;
}

static int verify_history(struct verify *v)
{
	size_t n = (size_t)sw_txn_count(v->txn, SW_SPACE_COMMITS);
	int rc = sw_history_horizon(v->txn, &v->horizon);

	v->has_horizon = rc > 0;
	rc = rc < 0 ? rc : 0;
	v->commits = calloc(n + 1, sizeof(*v->commits));
	v->orders = calloc(n + 1, sizeof(*v->orders));
	if (!v->commits || !v->orders)
		return SW_ENOMEM;
	for (uint64_t seq = 1; rc == 0 && seq <= n; seq++) {
		struct sw_view raw;

		rc = sw_history_get(v->txn, seq, &raw);
		if (rc == SW_ENOTFOUND)
			return sw_fail(SW_ECORRUPT, "commit number %llu is missing",
				       (unsigned long long)seq);
		if (rc == 0)
			rc = verify_commit(v, seq, raw);
	}
	v->report->n_commits = v->n;
	return rc;
}

/* Who may do what, from nothing: sets which of the commits are void. */
static int verify_control(struct verify *v)
{
	struct sw_control *control = sw_control_new();
	int rc = control ? sw_control_judge_all(control, v->txn, v->commits, v->n, &v->judgement) : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < v->n; i++)
		v->n_out += v->commits[i].outcome == SW_OUT;
	sw_control_free(control);
	if (rc == 0 && v->n - v->n_out != v->head.count)
		return sw_fail(SW_ECORRUPT, "the head counts %llu commits, the store holds %zu",
			       (unsigned long long)v->head.count, v->n - v->n_out);
	return rc;
}

static int mark_parents(struct verify *v, uint64_t seq, bool *has_child)
{
	struct sw_commit c;
	struct sw_view raw;
	int rc = sw_history_get(v->txn, seq, &raw);

	if (rc == 0)
		rc = sw_commit_decode(raw, &c);
	for (size_t i = 0; rc == 0 && i < c.n_parents; i++) {
		uint64_t parent;

		rc = sw_history_seq(v->txn, &c.parents[i], &parent);
		if (rc == 0)
			has_child[parent] = true;
	}
	return rc;
}

/* Of those that are marked the tips are none; all others of the line, and nothing else, are. */
static int compare_tips(struct verify *v, const bool *has_child)
{
	uint64_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		struct sw_view value;
		struct sw_hash id;
		int rc;

		if (v->commits[i].outcome == SW_OUT || has_child[v->commits[i].seq])
			continue;
		n++;
		sw_order_id(&v->orders[i], &id);
		rc = sw_txn_get(v->txn, SW_SPACE_TIPS, sw_hash_view(&id), &value);
		if (rc < 0)
			return rc == SW_ENOTFOUND ? fault(&id, "nothing stands on it, and the list of tips lacks it") : rc;
	}
	if (n != sw_txn_count(v->txn, SW_SPACE_TIPS))
		return sw_fail(SW_ECORRUPT, "the list of tips has %llu commits, %llu are tips",
			       (unsigned long long)sw_txn_count(v->txn, SW_SPACE_TIPS), (unsigned long long)n);
	return 0;
}

static int verify_tips(struct verify *v)
{
	bool *has_child = calloc(v->n + 1, sizeof(*has_child));
	int rc = has_child ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < v->n; i++)
		if (v->commits[i].outcome != SW_OUT)
			rc = mark_parents(v, v->commits[i].seq, has_child);
	if (rc == 0)
		rc = compare_tips(v, has_child);
	free(has_child);
	return rc;
}

static int count_entry(void *arg, const struct sw_entry *e)
{
	(void)e;
	++*(uint64_t *)arg;
	return 0;
}

static int verify_line(struct verify *v)
{
	uint64_t n = 0;
	int rc = sw_tree_check(v->nodes, v->db->shape, SW_PURPOSE_LINE, &v->head.line, count_entry, &n);

	if (rc < 0)
		return rc;
	if (n != v->n - v->n_out)
		return sw_fail(SW_ECORRUPT, "the line has %llu entries for %zu commits",
			       (unsigned long long)n, v->n - v->n_out);
	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		struct sw_view value;
		enum sw_outcome outcome;
		struct sw_hash id;

		sw_order_id(&v->orders[i], &id);
		rc = sw_tree_get(v->nodes, &v->head.line, sw_order_view(&v->orders[i]), &value);
		if (rc == SW_ENOTFOUND && v->commits[i].outcome == SW_OUT) {
			rc = 0;
			continue;
		}
		if (rc == SW_ENOTFOUND)
			return fault(&id, "it is not in the line");
		if (rc == 0)
			rc = sw_history_outcome(v->txn, v->commits[i].seq, &outcome);
		if (rc == 0 && (value.n != 1 || value.p[0] != (uint8_t)outcome))
			return fault(&id, "its outcome in the line is not the one that was stored");
	}
	return rc;
}

struct place {
	struct sw_order order;
	struct sw_fold_commit commit;
};

static int place_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SW_ORDER_SIZE);
}

/* Whether what is not whole was applied does not follow from what is left of it: the line says so. */
static int take_outcomes(struct verify *v, const struct place *places)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		enum sw_outcome outcome;

		if (v->commits[i].outcome >= SW_VOID || !is_below_horizon(v, &places[i].order))
			continue;
		rc = sw_history_outcome(v->txn, v->commits[i].seq, &outcome);
		if (rc == 0 && outcome < SW_VOID)
			v->commits[i].outcome = outcome;
		v->commits[i].is_given = true;
	}
	return rc;
}

/* Fold the whole history again and compare outcomes and state. */
static int verify_fold(struct verify *v)
{
	struct place *places = calloc(v->n + 1, sizeof(*places));
	struct sw_fold_control control = {.roles = v->judgement.roles, .n_roles = v->judgement.n_roles};
	struct sw_fold_result fold = {0};
	int rc = places ? 0 : SW_ENOMEM;

	for (size_t i = 0; rc == 0 && i < v->n; i++)
		places[i] = (struct place){v->orders[i], v->commits[i]};
	if (rc == 0) {
		qsort(places, v->n, sizeof(*places), place_cmp);
		for (size_t i = 0; i < v->n; i++)
			v->commits[i] = places[i].commit;
		rc = take_outcomes(v, places);
	}
	if (rc == 0) {
		rc = sw_fold_run(v->txn, v->nodes, v->db->shape, &sw_hash_zero, &sw_hash_zero, v->commits,
				 v->n, &control, &fold);
	}
	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		enum sw_outcome outcome;
		struct sw_hash id;

		sw_order_id(&places[i].order, &id);
		rc = sw_history_outcome(v->txn, v->commits[i].seq, &outcome);
		if (rc == 0 && outcome != v->commits[i].outcome)
			rc = fault(&id, outcome >= SW_VOID || v->commits[i].outcome >= SW_VOID
						? "who may do what gives it another outcome"
						: "the fold gives it another outcome");
	}
	if (rc == 0 && !sw_hash_eq(&fold.state, &v->head.state))
		rc = sw_fail(SW_ECORRUPT, "the state is not the fold of the history");
	sw_fold_result_fini(&fold);
	free(places);
	return rc;
}

/* Each milestone, from the one behind it: all of history is folded once for all of them. */
static int verify_milestones(struct verify *v)
{
	struct sw_fold_state base = {.state = v->head.state}, c;
	struct sw_order below;
	struct sw_hash state;
	int rc = sw_line_ago(v->nodes, &v->head.line, 0, &base.at);

	below = base.at;
	while (rc >= 0 && (rc = sw_milestone_before(v->txn, &below, &c)) > 0) {
		struct sw_hash id;
		struct sw_view value;

		sw_order_id(&c.at, &id);
		if (sw_tree_get(v->nodes, &v->head.line, sw_order_view(&c.at), &value) < 0)
			return fault(&id, "there is a milestone of it, and it is not in the line");
		rc = sw_db_fold_at(v->db, v->txn, v->nodes, &v->head.line, &base, NULL, &c.at, &state);
		if (rc < 0)
			return rc;
		if (!sw_hash_eq(&state, &c.state))
			return fault(&id, "its milestone is not the fold of what is before it");
		base = c;
		below = c.at;
		for (int i = SW_ORDER_SIZE - 1; i >= 0 && below.b[i]-- == 0; i--)
			;
	}
	return rc;
}

static int verify_row(void *arg, const struct sw_entry *e)
{
	struct verify *v = arg;
	struct sw_row row;
	uint64_t n_missing;
	int rc = sw_row_decode(e->value, &row);

	v->report->n_rows++;
	if (rc < 0 || sw_name_check(e->key) < 0)
		return sw_fail(SW_ECORRUPT, "row '%.*s' is damaged", (int)e->key.n, (const char *)e->key.p);
	if (!row.is_blob)
		return 0;
	rc = sw_blob_check(v->nodes, v->db->shape, &row.blob, row.size, NULL, NULL, &n_missing);
	if (rc == SW_EFORMAT || (rc == 0 && n_missing > 0))
		return sw_fail(SW_ECORRUPT, "row '%.*s': its content is damaged or missing",
			       (int)e->key.n, (const char *)e->key.p);
	return rc;
}

static enum sw_purpose system_purpose(struct sw_view name)
{
	if (sw_view_eq(name, sw_view_str(SW_TABLE_MEMBERS)))
		return SW_PURPOSE_MEMBERS;
	if (sw_view_eq(name, sw_view_str(SW_TABLE_TAGS)))
		return SW_PURPOSE_TAGS;
	if (sw_view_eq(name, sw_view_str(SW_TABLE_RESOLVED)))
		return SW_PURPOSE_RESOLVED;
	return SW_PURPOSE_CONFLICTS;
}

static int verify_table(void *arg, const struct sw_entry *e)
{
	struct verify *v = arg;
	struct sw_view name = sw_view(e->key.p + 1, e->key.n - 1);
	bool is_user = e->key.p[0] == SW_CLASS_USER;
	struct sw_table t;
	uint64_t n;
	int rc = sw_table_decode(e->value, &t);

	if (rc < 0)
		return sw_fail(SW_ECORRUPT, "table '%.*s' is damaged", (int)name.n, (const char *)name.p);
	v->report->n_tables += is_user;
	rc = sw_tree_check(v->nodes, v->db->shape, is_user ? SW_PURPOSE_ROWS : system_purpose(name),
			   &t.root, is_user ? verify_row : NULL, v);
	if (rc == 0)
		rc = sw_tree_count(v->nodes, &t.root, &n);
	if (rc == 0 && n != t.n_rows)
		rc = sw_fail(SW_ECORRUPT, "table '%.*s' counts %llu rows, and has %llu", (int)name.n,
			     (const char *)name.p, (unsigned long long)t.n_rows, (unsigned long long)n);
	return rc;
}

/* References */

/* A counter per record, open addressing. */
struct counts {
	struct {
		struct sw_hash hash;
		uint64_t n;
		bool used;
	} *v;
	size_t cap, n;
};

static int count_ref(void *arg, const struct sw_hash *ref)
{
	struct counts *c = arg;
	size_t i = sw_get_u64(ref->b) & (c->cap - 1);

	while (c->v[i].used && !sw_hash_eq(&c->v[i].hash, ref))
		i = (i + 1) & (c->cap - 1);
	if (!c->v[i].used) {
		if (++c->n >= c->cap)
			return sw_fail(SW_ECORRUPT, "records refer to more records than there are");
		c->v[i].used = true;
		c->v[i].hash = *ref;
	}
	c->v[i].n++;
	return 0;
}

static int count_roots(struct verify *v, struct counts *c)
{
	struct sw_view found, value;
	struct sw_copy_record copy = {0};
	struct sw_hash at = sw_hash_zero;
	struct sw_head written;
	uint64_t seq;
	int rc = sw_written_load(v->txn, &written, &seq);

	if (rc == 0 && !sw_hash_is_zero(&written.line))
		rc = count_ref(c, &written.line);
	if (rc == 0 && !sw_hash_is_zero(&written.state))
		rc = count_ref(c, &written.state);
	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		struct sw_changeset changes;
		struct sw_op op;

		rc = sw_changeset_begin(&changes, v->commits[i].changeset);
		while (rc == 0 && (rc = sw_changeset_next(&changes, &op)) > 0)
			rc = op.kind == SW_OP_PUT && op.row.is_blob ? count_ref(c, &op.row.blob) : 0;
	}
	while (rc == 0 &&
	       (rc = sw_txn_ceil(v->txn, SW_SPACE_DROPS, sw_hash_view(&at), &found, &value)) > 0) {
		memcpy(at.b, found.p, SW_HASH_SIZE);
		rc = count_ref(c, &at);
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
	}
	while (rc == 0 && (rc = sw_db_copy_next(v->txn, copy.number, &copy)) > 0)
		rc = count_ref(c, &copy.state);
	return rc;
}

/* The states of milestones. */
static int count_milestones(struct verify *v, struct counts *c)
{
	struct sw_fold_state m;
	struct sw_order at = {{0}};
	int rc;

	while ((rc = sw_milestone_behind(v->txn, &at, &m)) > 0) {
		rc = count_ref(c, &m.state);
		if (rc < 0)
			return rc;
		at = m.at;
		for (int i = SW_ORDER_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
	}
	return rc;
}

/* What is on its way into the store (core/db_stage.c). */
static int count_staged(struct verify *v, struct counts *c)
{
	uint8_t at[SW_STORE_KEY_MAX] = {0};
	struct sw_view found, list;
	size_t n = 0;
	int rc;

	while ((rc = sw_txn_ceil(v->txn, SW_SPACE_STAGED, sw_view(at, n), &found, &list)) > 0) {
		for (size_t i = 0; i + SW_HASH_SIZE <= list.n; i += SW_HASH_SIZE) {
			struct sw_hash hash;

			memcpy(hash.b, list.p + i, SW_HASH_SIZE);
			rc = count_ref(c, &hash);
			if (rc < 0)
				return rc;
		}
		/* The next key is at least this one with a zero behind it. */
		memcpy(at, found.p, found.n);
		at[found.n] = 0;
		n = found.n + 1;
	}
	return rc;
}

static int stored_refs(struct sw_txn *txn, struct sw_view key, uint64_t *out)
{
	struct sw_view v;
	int rc = sw_txn_get(txn, SW_SPACE_REFS, key, &v);

	*out = rc == 0 && v.n == 8 ? sw_get_u64(v.p) : 1;
	return rc == SW_ENOTFOUND ? 0 : rc;
}

static int each_record(struct verify *v, int (*fn)(struct verify *v, struct counts *c, struct sw_view key,
						    struct sw_view bytes), struct counts *c)
{
	struct sw_hash at = sw_hash_zero;
	struct sw_view found, value;
	int rc;

	while ((rc = sw_txn_ceil(v->txn, SW_SPACE_NODES, sw_hash_view(&at), &found, &value)) > 0) {
		memcpy(at.b, found.p, SW_HASH_SIZE);
		rc = fn(v, c, sw_hash_view(&at), value);
		if (rc < 0)
			return rc;
		for (int i = SW_HASH_SIZE - 1; i >= 0 && ++at.b[i] == 0; i--)
			;
		if (sw_hash_is_zero(&at))
			return 0;
	}
	return rc;
}

static int count_record(struct verify *v, struct counts *c, struct sw_view key, struct sw_view bytes)
{
	struct sw_hash hash;

	(void)v;
	sw_hash_compute(SW_DOMAIN_NODE, bytes, &hash);
	if (!sw_view_eq(sw_hash_view(&hash), key)) {
		char hex[SW_HASH_HEX_SIZE];

		sw_hex(key.p, SW_HASH_SIZE, hex);
		return sw_fail(SW_ECORRUPT, "record %.12s: its bytes do not have this hash", hex);
	}
	return sw_record_refs(bytes, count_ref, c);
}

static int compare_record(struct verify *v, struct counts *c, struct sw_view key, struct sw_view bytes)
{
	size_t i = sw_get_u64(key.p) & (c->cap - 1);
	char hex[SW_HASH_HEX_SIZE];
	uint64_t stored;
	int rc = stored_refs(v->txn, key, &stored);

	(void)bytes;
	v->report->n_records++;
	while (c->v[i].used && !sw_view_eq(sw_hash_view(&c->v[i].hash), key))
		i = (i + 1) & (c->cap - 1);
	if (rc < 0 || (c->v[i].used && c->v[i].n == stored))
		return rc;
	sw_hex(key.p, SW_HASH_SIZE, hex);
	return sw_fail(SW_ECORRUPT, "record %.12s: %llu references are counted, there are %llu", hex,
		       (unsigned long long)stored, (unsigned long long)(c->v[i].used ? c->v[i].n : 0));
}

static int verify_references(struct verify *v)
{
	struct counts c = {.cap = 64};
	int rc;

	while (c.cap < 2 * sw_txn_count(v->txn, SW_SPACE_NODES))
		c.cap *= 2;
	c.v = calloc(c.cap, sizeof(*c.v));
	if (!c.v)
		return SW_ENOMEM;
	rc = count_roots(v, &c);
	if (rc == 0)
		rc = count_milestones(v, &c);
	if (rc == 0)
		rc = count_staged(v, &c);
	if (rc == 0)
		rc = each_record(v, count_record, &c);
	if (rc == 0)
		rc = each_record(v, compare_record, &c);
	free(c.v);
	return rc;
}

int sw_db_verify(struct sw_db *db, struct sw_verify_report *out)
{
	struct verify v = {.db = db, .report = out};
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	*out = (struct sw_verify_report){0};
	if (rc < 0)
		return rc;
	v.txn = r.txn;
	v.nodes = r.nodes;
	v.head = r.head;
	if (db->has_salt && v.head.count > 0) {
		rc = verify_history(&v);
		if (rc == 0)
			rc = verify_control(&v);
		if (rc == 0)
			rc = verify_line(&v);
		if (rc == 0)
			rc = verify_tips(&v);
		if (rc == 0)
			rc = sw_tree_check(v.nodes, db->shape, SW_PURPOSE_STATE, &v.head.state, verify_table,
					   &v);
		if (rc == 0)
			rc = verify_references(&v);
		if (rc == 0)
			rc = verify_fold(&v);
		if (rc == 0)
			rc = sw_footholds_verify(v.txn, v.nodes, db->shape);
		if (rc == 0)
			rc = verify_milestones(&v);
		if (rc == 0)
			rc = sw_watermarks_verify(v.txn, &db->id);
	}
	free(v.commits);
	free(v.orders);
	sw_judgement_fini(&v.judgement);
	sw_reader_end(&r);
	return rc;
}
