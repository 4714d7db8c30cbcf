/*
 * Fetching the records of large rows before their commits are handed to the database.
 *
 * Commits are looked at in windows: as many as need WINDOW_BYTES of large rows together, but at least one. A
 * stack of wanted hashes begins with the roots of their rows; each index record that comes puts its
 * children on it. The database checks all of it again when it takes the commits.
 */
#include "net/sync_internal.h"

#include <stdlib.h>

#include "core/blob.h"

#define WINDOW_BYTES ((uint64_t)32 << 20)
/* What records need beyond the bytes of their row: indexes, kinds, and one that is larger than average. */
#define RECORD_SLACK (2 * (uint64_t)SW_RECORD_SIZE_MAX)

struct scan {
	struct pulling *pull;
	const struct sw_nodes *here;
};

static int want(void *arg, const struct sw_hash *hash)
{
	const struct scan *scan = arg;
	struct pulling *pull = scan->pull;

	if (sw_nodes_has(scan->here, hash) || sw_nodes_has(pull->records, hash) || sw_nodes_has(pull->data, hash))
		return 0;
	if (pull->n_wants == pull->cap_wants) {
		size_t cap = pull->cap_wants ? pull->cap_wants * 2 : 64;
		struct sw_hash *v = realloc(pull->wants, cap * sizeof(*v));

		if (!v)
			return SW_ENOMEM;
		pull->wants = v;
		pull->cap_wants = cap;
	}
	pull->wants[pull->n_wants++] = *hash;
	return 0;
}

/* The large rows of one changeset that are not here; *bytes grows by their sizes. */
static int scan_changeset(struct scan *scan, struct sw_view bytes, uint64_t *size)
{
	struct sw_changeset c;
	struct sw_op op;
	int rc = sw_changeset_begin(&c, bytes);

	while (rc == 0 && (rc = sw_changeset_next(&c, &op)) > 0) {
		size_t before = scan->pull->n_wants;

		rc = 0;
		if (op.kind != SW_OP_PUT || !op.row.is_blob)
			continue;
		rc = want(scan, &op.row.blob);
		if (scan->pull->n_wants > before)
			*size += op.row.size + op.row.size / 64 + RECORD_SLACK;
	}
	return rc;
}

int sw_records_scan(struct sw_sync *s, struct pulling *pull)
{
	struct scan scan = {.pull = pull};
	struct sw_reader r;
	uint64_t size = 0;
	int rc = 0;

	sw_records_fini(pull);
	rc = sw_nodes_new(NULL, &pull->records);
	if (rc == 0)
		rc = sw_nodes_new(NULL, &pull->data);
	if (rc == 0)
		rc = sw_reader_begin(s->db, &r);
	if (rc < 0)
		return rc;
	scan.here = r.nodes;
	while (rc == 0 && pull->end < pull->n && (size < WINDOW_BYTES || pull->whole))
		rc = scan_changeset(&scan, pull->v[pull->end++].changeset, &size);
	sw_reader_end(&r);
	pull->allowed = size;
	return rc;
}

bool sw_records_ask(struct sw_sync *s, struct peer *p)
{
	struct pulling *pull = &p->pull;
	SW_BUF out = {0};

	pull->n_requested = 0;
	while (pull->n_requested < SW_MESSAGE_WANT_MAX && pull->n_wants > 0) {
		const struct sw_hash *hash = &pull->wants[--pull->n_wants];

		/* Two rows may have a part in common. */
		if (!sw_nodes_has(pull->records, hash) && !sw_nodes_has(pull->data, hash))
			pull->requested[pull->n_requested++] = *hash;
	}
	if (pull->n_requested == 0)
		return false;
	sw_message_want(pull->requested, pull->n_requested, &out);
	if (sw_sync_send(s, p, &out) == SW_EAGAIN)
		sw_sync_drop(s, p, "it does not read", true);
	return true;
}

/* Put the records that came away. They stand in the order in which they were asked for; some may be left out. */
static int keep(struct pulling *pull, struct scan *scan, struct sw_view body, size_t *n_kept)
{
	struct sw_rd r = sw_rd(body);
	struct sw_view record;
	size_t at = 0;
	int rc;

	*n_kept = 0;
	while ((rc = sw_body_next_record(&r, &record)) > 0) {
		struct sw_hash hash;

		sw_hash_compute(SW_DOMAIN_NODE, record, &hash);
		/* What was passed over is wanted again. */
		for (; at < pull->n_requested && !sw_hash_eq(&pull->requested[at], &hash); at++) {
			rc = want(scan, &pull->requested[at]);
			if (rc < 0)
				return rc;
		}
		if (at++ == pull->n_requested || record.n > pull->allowed)
			return SW_EFORMAT;
		pull->allowed -= record.n;
		++*n_kept;
		rc = sw_nodes_put(record.p[0] == SW_NODE_INDEX ? pull->records : pull->data, record, &hash);
		if (rc == 0 && record.p[0] == SW_NODE_INDEX)
			rc = sw_record_refs(record, want, scan);
		if (rc < 0)
			return rc;
	}
	for (; rc == 0 && at < pull->n_requested; at++)
		rc = want(scan, &pull->requested[at]);
	pull->n_requested = 0;
	return rc;
}

void sw_records_take(struct sw_sync *s, struct peer *p, const struct sw_message *m, uint64_t now_ms)
{
	struct pulling *pull = &p->pull;
	struct scan scan = {.pull = pull};
	struct sw_reader r;
	size_t n_kept = 0;
	int rc;

	if (pull->n_requested == 0) {
		sw_sync_distrust(s, p, "it answers what nobody asked");
		return;
	}
	if (s->bulk == p)
		s->bulk_ms = now_ms;
	rc = sw_reader_begin(s->db, &r);
	if (rc == 0) {
		scan.here = r.nodes;
		rc = keep(pull, &scan, m->body, &n_kept);
		sw_reader_end(&r);
	}
	if (rc == SW_EFORMAT)
		sw_sync_distrust(s, p, "it sent records that nobody asked for");
	else if (rc < 0)
		sw_sync_drop(s, p, sw_fail_message(rc), true);
	else if (sw_nodes_bytes(pull->records) > SW_SYNC_MEMORY_MAX)
		sw_sync_drop(s, p, "it has a row too large to be received", true);
	else if (n_kept == 0)
		sw_sync_drop(s, p, "it lacks the large rows of its own commits", true);
	else
		sw_pull_records_came(s, p, now_ms);
}

int sw_records_stage(struct sw_sync *s, struct pulling *pull, uint64_t now_ms)
{
	int rc = 0;

	if (!pull->data || sw_nodes_bytes(pull->data) == 0)
		return 0;
	if (!s->stage)
		rc = sw_stage_new(s->db, &s->stage);
	if (rc == 0)
		rc = sw_stage_data(s->stage, pull->data);
	sw_nodes_free(SW_TAKE(pull->data));
	s->staged_until_ms = now_ms + SW_SYNC_STAGED_MS;
	return rc < 0 ? rc : sw_nodes_new(NULL, &pull->data);
}

void sw_records_tick(struct sw_sync *s, uint64_t now_ms)
{
	if (!s->stage || now_ms < s->staged_until_ms)
		return;
	for (const struct peer *p = s->peers; p; p = p->next)
		if (p->pull.n > 0)
			return;
	sw_stage_free(SW_TAKE(s->stage));
}

void sw_records_fini(struct pulling *pull)
{
	sw_nodes_free(pull->records);
	pull->records = NULL;
	sw_nodes_free(pull->data);
	pull->data = NULL;
	free(pull->wants);
	pull->wants = NULL;
	pull->n_wants = pull->cap_wants = pull->n_requested = 0;
	pull->allowed = 0;
}
