/*
 * Divergence: a peer that has the same commits as we, and another line or state. That must not be,
 * so it is told of at once. Then the nodes of its tree that are not ours are asked for, one by one,
 * down to the first entry that differs. If its head or ours moves on meanwhile, that is all.
 */
#include "net/sync_internal.h"

#include <stdlib.h>

#define ASKED_MAX 64    /* nodes, of one peer: two trees are less deep */
#define LOOKS_MAX 1024  /* that one peer may ask for in a connection */
#define LOOK_MS   10000 /* then it is given up */

void sw_diverged_fini(struct peer *p)
{
	sw_nodes_free(p->looking.nodes);
	p->looking.nodes = NULL;
	p->looking.is_active = false;
}

void sw_diverged_tick(struct peer *p, uint64_t now_ms)
{
	if (p->looking.is_active && now_ms - p->looking.since_ms > LOOK_MS)
		sw_diverged_fini(p);
}

/* The first entry that differs. */
struct place {
	uint8_t key[SW_TREE_KEY_MAX];
	size_t n;
	bool is_table; /* on both sides: these */
	struct sw_table ours, theirs;
};

static int note_place(void *arg, struct sw_view key, const struct sw_view *a,
		      const struct sw_view *b)
{
	struct place *p = arg;

	p->n = key.n;
	memcpy(p->key, key.p, key.n);
	p->is_table =
	    a && b && sw_table_decode(*a, &p->ours) == 0 && sw_table_decode(*b, &p->theirs) == 0;
	return 1;
}

/*
 * In the line, or among the tables of the state and then the rows of the first one that differs. 1,
 * or 0: nowhere. The names are those of the places.
 */
static int find_place(const struct sw_nodes *nodes, struct sw_divergence *d, struct place *first,
		      struct place *row)
{
	int rc = sw_tree_diff(nodes, &d->ours, &d->theirs, note_place, first);

	if (rc <= 0)
		return rc;
	d->is_found = true;
	d->key = sw_view(first->key, first->n);
	if (d->is_line)
		return 1;
	d->is_system = first->key[0] == SW_CLASS_SYSTEM;
	d->table = sw_view(first->key + 1, first->n - 1);
	d->key = sw_view(NULL, 0);
	if (!first->is_table || sw_hash_eq(&first->ours.root, &first->theirs.root))
		return 1;
	rc = sw_tree_diff(nodes, &first->ours.root, &first->theirs.root, note_place, row);
	d->key = sw_view(row->key, row->n);
	return rc;
}

static void ask(struct sw_sync *s, struct peer *p)
{
	SW_BUF out = {0};

	sw_message_look(&p->looking.wanted, &out);
	if (++p->looking.n_asked > ASKED_MAX || sw_sync_send(s, p, &out) < 0)
		sw_diverged_fini(p);
}

/* As far as its nodes are here. */
static void go_on(struct sw_sync *s, struct peer *p)
{
	struct looking *l = &p->looking;
	struct sw_divergence d = l->found;
	struct place first, row;
	struct sw_reader r;
	int rc = sw_reader_begin(s->db, &r);

	if (rc < 0) {
		sw_diverged_fini(p);
		return;
	}
	l->wanted = sw_hash_zero;
	sw_nodes_stack(r.nodes, l->nodes);
	sw_nodes_note_missing(r.nodes, &l->wanted);
	rc = sw_head_eq(&r.head, &l->ours) ? find_place(r.nodes, &d, &first, &row) : 0;
	if (rc > 0)
		sw_db_tell_diverged(s->db, &d);
	sw_reader_end(&r);
	if (rc < 0 && !sw_hash_is_zero(&l->wanted))
		ask(s, p);
	else
		sw_diverged_fini(p);
}

/* Whether it holds the commits that the reader shows: below the same tips are the same commits. */
static int has_same(const struct sw_reader *r, const struct peer *p, bool *out)
{
	struct sw_hash *tips;
	size_t n;
	int rc;

	*out = false;
	if (p->head.count != r->head.count || p->n_tips == SW_MESSAGE_TIPS_MAX)
		return 0; /* there may be more tips than it told */
	rc = sw_db_tips(r, &tips, &n);
	if (rc < 0)
		return rc;
	*out = n == p->n_tips && memcmp(tips, p->tips, n * sizeof(*tips)) == 0;
	free(tips);
	return 0;
}

void sw_diverged_compare(struct sw_sync *s, struct peer *p, uint64_t now_ms)
{
	struct looking *l = &p->looking;
	struct sw_reader r;
	bool is_same = false;

	if (l->has_begun || p->head.count == 0 || sw_reader_begin(s->db, &r) < 0)
		return;
	if (!sw_head_eq(&r.head, &p->head) && has_same(&r, p, &is_same) < 0)
		is_same = false; /* the next HEAD is looked at again */
	l->ours = r.head;
	sw_reader_end(&r);
	if (!is_same)
		return;
	l->has_begun = true;
	l->theirs = p->head;
	l->since_ms = now_ms;
	sw_divergence_of(&p->key, &l->ours, &l->theirs, &l->found);
	sw_db_tell_diverged(s->db, &l->found);
	if (sw_nodes_new(NULL, &l->nodes) < 0)
		return;
	l->is_active = true;
	go_on(s, p);
}

void sw_diverged_take(struct sw_sync *s, struct peer *p, const struct sw_message *m)
{
	struct looking *l = &p->looking;
	struct sw_hash hash;

	if (!l->has_begun) {
		sw_sync_distrust(s, p, "it answers what nobody asked");
		return;
	}
	if (!l->is_active || !sw_hash_eq(&m->hashes[0], &l->wanted))
		return; /* it was given up */
	if (m->body.n == 0 || sw_nodes_put(l->nodes, m->body, &hash) < 0) {
		sw_diverged_fini(p); /* its head has moved on */
		return;
	}
	if (!sw_hash_eq(&hash, &l->wanted)) {
		sw_diverged_fini(p);
		sw_sync_distrust(s, p, "it sent another node than was wanted");
		return;
	}
	go_on(s, p);
}

/* Trees hold no more than every member has. */
void sw_diverged_serve(struct sw_sync *s, struct peer *p, const struct sw_hash *node)
{
	struct sw_view record = {0};
	struct sw_reader r;
	SW_BUF out = {0};

	if (++p->n_looks > LOOKS_MAX) {
		sw_sync_drop(s, p, "it asks for more nodes than a tree is deep", true);
		return;
	}
	if (sw_reader_begin(s->db, &r) < 0)
		return;
	if (sw_nodes_has(r.nodes, node) && sw_nodes_get(r.nodes, node, &record) == 0 &&
	    record.p[0] != SW_NODE_LEAF && record.p[0] != SW_NODE_INNER)
		record = sw_view(NULL, 0);
	sw_message_node(node, record, &out);
	sw_reader_end(&r);
	if (sw_sync_send(s, p, &out) == SW_EAGAIN)
		return; /* it gives up after a while */
}
