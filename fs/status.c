#include "fs/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hlc.h"
#include "fs/json_out.h"
#include "fs/schema_text.h"
#include "fs/standing.h"
#include "fs/text.h"

#define CLOCK_MS 5000 /* a difference of clocks that is shown */

static json_t *peer_json(const struct sw_peer_status *p)
{
	return json_pack("{s:o, s:o, s:b, s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "key",
			 p->has_key ? sw_json_hex(p->key.b, SW_KEY_SIZE) : json_null(), "address",
			 sw_json_text(sw_view_str(p->address)), "inbound", p->is_inbound, "state", sw_peer_state_name(p->state), "has_freed",
			 p->has_freed, "lag_commits",
			 (json_int_t)p->lag_commits, "lag_ms", (json_int_t)p->lag_ms, "clock_ms",
			 (json_int_t)p->clock_ms, "rtt_us",
			 (json_int_t)p->rtt_us, "bytes_in", (json_int_t)p->bytes_in, "bytes_out",
			 (json_int_t)p->bytes_out, "commits_in", (json_int_t)p->commits_in, "commits_out",
			 (json_int_t)p->commits_out, "errors", (json_int_t)p->errors, "reconnects",
			 (json_int_t)p->reconnects, "software", sw_json_text(sw_view_str(p->software)), "error",
			 sw_json_text(sw_view_str(p->last_error)));
}

static int put_json(json_t *j, struct sw_buf *out)
{
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	if (!text)
		return SW_ENOMEM;
	sw_buf_put_view(out, sw_view_str(text));
	sw_buf_put_u8(out, '\n');
	free(text);
	return out->rc;
}

/* Names of rows, as sw_copy_status() has them. */
static json_t *moved_json(const struct sw_buf *moved)
{
	struct sw_rd r = sw_rd(sw_buf_view(moved));
	json_t *list = json_array();

	while (sw_rd_left(&r) > 0) {
		struct sw_view table = sw_rd_bytes(&r, SW_NAME_MAX), key = sw_rd_bytes(&r, SW_NAME_MAX);

		json_array_append_new(
		    list, json_pack("{s:o, s:o}", "table", sw_json_name(table), "row", sw_json_name(key)));
	}
	return list;
}

static json_t *copy_json(struct sw_copy *y)
{
	char made[SW_TEXT_TIME_SIZE];
	struct sw_copy_status s;
	json_t *out = NULL;

	if (sw_copy_status(y, &s) == 0) {
		sw_text_time(s.made_ms, made);
		out = json_pack("{s:o, s:s, s:I, s:I, s:I, s:b, s:o, s:o}", "name", sw_json_name(sw_copy_name(y)), "made",
				made, "commits", (json_int_t)s.count, "changed", (json_int_t)s.n_edits, "checked",
				(json_int_t)s.n_checks, "damaged", s.is_damaged, "error", sw_json_text(sw_view_str(s.error)), "moved",
				moved_json(&s.moved));
	}
	sw_copy_status_fini(&s);
	return out;
}

static json_t *copies_json(struct sw_owner *o)
{
	json_t *list = json_array();
	uint64_t number = 0;
	struct sw_copy *y;

	while (o->copies && (y = sw_copy_next(o->copies, number))) {
		number = sw_copy_number(y);
		json_array_append_new(list, copy_json(y));
		sw_copy_unref(y);
	}
	return list;
}

static void put_horizon(const struct sw_standing *s, char out[static SW_TEXT_TIME_SIZE])
{
	sw_text_time(sw_hlc_ms(sw_order_stamp(&s->horizon)), out);
}

static json_t *horizon_json(const struct sw_standing *s)
{
	char time[SW_TEXT_TIME_SIZE];

	if (!s->has_horizon)
		return json_null();
	put_horizon(s, time);
	return json_string(time);
}

static json_t *standing_json(struct sw_owner *o, const struct sw_standing *s)
{
	json_t *peers = json_array(), *listen = json_array();
	SW_BUF divergence = {0};

	sw_owner_divergence(o, &divergence);
	for (size_t i = 0; i < s->swarm.n_peers; i++)
		json_array_append_new(peers, peer_json(&s->swarm.peers[i]));
	for (size_t i = 0; i < s->n_listen; i++)
		json_array_append_new(listen, sw_json_text(sw_view_str(s->listen[i])));
	return json_pack(
	    "{s:o, s:o, s:o, s:s, s:b, s:o, s:o, s:{s:I, s:o, s:o}, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "pid", o->is_serving ? json_integer(getpid()) : json_null(), "database",
	    sw_json_hex(sw_db_id(o->db)->b, SW_HASH_SIZE), "key",
	    sw_json_hex(sw_db_key(o->db)->b, SW_KEY_SIZE), "role", sw_text_role(s->role), "writable", s->role >= SW_ROLE_WRITER, "store",
	    sw_json_text(sw_view_str(sw_db_dir(o->db))), "mount",
	    sw_json_text(sw_view_str(o->mount_point ? o->mount_point : "")), "head", "count",
	    (json_int_t)s->head.count, "line",
	    sw_json_hex(s->head.line.b, SW_HASH_SIZE), "root", sw_json_hex(s->head.state.b, SW_HASH_SIZE), "pending",
	    (json_int_t)s->work.n_edits, "scratch", (json_int_t)s->work.n_scratch, "held",
	    (json_int_t)s->swarm.n_held, "refused", (json_int_t)s->swarm.n_refused, "requests", (json_int_t)s->swarm.n_requests, "batches",
	    (json_int_t)s->swarm.n_batches, "diverged", (json_int_t)o->n_diverged, "clock_ms",
	    (json_int_t)s->swarm.clock_ms, "conflicts",
	    (json_int_t)s->n_conflicts, "conflicts_added", (json_int_t)o->n_conflicts, "conflicts_resolved",
	    (json_int_t)o->n_resolved, "store_bytes", (json_int_t)s->file,
	    "journal_bytes", (json_int_t)s->work.journal_bytes, "conflict_mode",
	    sw_text_conflict_mode(sw_db_conflict_mode(o->db)), "error",
	    sw_json_text(sw_view_str(s->work.error)), "damage", sw_json_text(sw_view_str(s->work.damage)), "divergence",
	    sw_json_text(sw_buf_view(&divergence)), "settled", sw_settled_json(&s->settled), "freed_up_to", horizon_json(s), "reaches_down",
	    s->swarm.reaches_down ? sw_json_hex(s->swarm.down.b, SW_HASH_SIZE) : json_null(), "transactions", copies_json(o), "schema", sw_schema_json(o), "listen", listen, "peers", peers);
}

/* Of a command without a process it is its own, and says little. */
static json_t *with_memory(json_t *j, const struct sw_standing *s)
{
	json_object_set_new(j, "memory",
			    json_pack("{s:I, s:I}", "resident_bytes", (json_int_t)s->resident, "rows",
				      (json_int_t)s->work.n_held));
	return j;
}

int sw_status_json(struct sw_owner *o, struct sw_buf *out)
{
	struct sw_standing s;
	int rc = sw_standing_look(o, &s);

	if (rc == 0)
		rc = put_json(with_memory(standing_json(o, &s), &s), out);
	sw_standing_fini(&s);
	return rc;
}

int sw_peers_json(struct sw_owner *o, struct sw_buf *out)
{
	struct sw_standing s;
	int rc = sw_standing_look(o, &s);

	for (size_t i = 0; rc == 0 && i < s.swarm.n_peers; i++)
		rc = put_json(peer_json(&s.swarm.peers[i]), out);
	sw_standing_fini(&s);
	return rc;
}

static void put_peer(const struct sw_peer_status *p, struct sw_buf *out)
{
	char key[SW_HASH_HEX_SIZE] = "?";

	if (p->state == SW_PEER_REMEMBERED) {
		sw_buf_printf(out, "%-12s  %-10s  not dialled now  %s\n", key, sw_peer_state_name(p->state), p->address);
		return;
	}
	if (p->has_key)
		sw_hex(p->key.b, SW_TEXT_KEY_DIGITS / 2, key);
	sw_buf_printf(out, "%-12s  %-10s  lag %llu commits, %llu ms  in %llu B, out %llu B  %s%s", key,
		      sw_peer_state_name(p->state), (unsigned long long)p->lag_commits,
		      (unsigned long long)p->lag_ms, (unsigned long long)p->bytes_in,
		      (unsigned long long)p->bytes_out, p->address, p->is_inbound ? " (it dialled us)" : "");
	if (p->has_freed)
		sw_buf_printf(out, "  gc there has freed what is missing here: waiting for a peer that keeps all history");
	if (p->last_error[0]) {
		sw_buf_printf(out, "  ");
		sw_text_put(out, sw_view_str(p->last_error), sizeof(p->last_error));
	}
	sw_buf_printf(out, "\n");
}

int sw_peers_text(struct sw_owner *o, struct sw_buf *out)
{
	struct sw_standing s;
	int rc = sw_standing_look(o, &s);

	for (size_t i = 0; rc == 0 && i < s.swarm.n_peers; i++)
		put_peer(&s.swarm.peers[i], out);
	if (rc == 0 && s.swarm.n_peers == 0)
		sw_buf_printf(out, "no peers\n");
	sw_standing_fini(&s);
	return rc < 0 ? rc : out->rc;
}

static void put_copy(struct sw_copy *y, struct sw_buf *out)
{
	char made[SW_TEXT_TIME_SIZE];
	struct sw_copy_status s;
	struct sw_rd r;

	if (sw_copy_status(y, &s) < 0)
		out->rc = SW_ENOMEM;
	r = sw_rd(sw_buf_view(&s.moved));
	sw_text_time(s.made_ms, made);
	sw_buf_printf(out, "txn       ");
	sw_text_put_name(out, sw_copy_name(y));
	sw_buf_printf(out, ", made %s: %zu changed, %zu checked", made, s.n_edits, s.n_checks);
	if (s.error[0])
		sw_buf_printf(out, "; %s: %s", s.is_damaged ? "damaged" : "not applied", s.error);
	for (const char *before = ": "; sw_rd_left(&r) > 0; before = ", ") {
		struct sw_view table = sw_rd_bytes(&r, SW_NAME_MAX), key = sw_rd_bytes(&r, SW_NAME_MAX);

		sw_buf_printf(out, "%s", before);
		sw_text_put_path(out, table, key);
	}
	sw_buf_printf(out, "\n");
	sw_copy_status_fini(&s);
}

static void put_copies(struct sw_owner *o, struct sw_buf *out)
{
	uint64_t number = 0;
	struct sw_copy *y;

	while (o->copies && (y = sw_copy_next(o->copies, number))) {
		number = sw_copy_number(y);
		put_copy(y, out);
		sw_copy_unref(y);
	}
}

static void put_standing(struct sw_owner *o, const struct sw_standing *s, struct sw_buf *out)
{
	char hex[SW_HASH_HEX_SIZE], size[SW_TEXT_SIZE_SIZE], journal[SW_TEXT_SIZE_SIZE], memory[SW_TEXT_SIZE_SIZE];
	char time[SW_TEXT_TIME_SIZE];

	sw_hex(sw_db_id(o->db)->b, SW_HASH_SIZE, hex);
	sw_buf_printf(out, "database  %s\n", hex);
	sw_buf_printf(out, "store     %s\n", sw_db_dir(o->db));
	if (o->mount_point)
		sw_buf_printf(out, "mount     %s\n", o->mount_point);
	sw_hex(sw_db_key(o->db)->b, SW_KEY_SIZE, hex);
	sw_buf_printf(out, "key       %s (%s)\n", hex, sw_text_role(s->role));
	if (s->head.count > 0 && s->role == 0)
		sw_buf_printf(out, "REMOVED   the key of this store is no member of the database any more: nothing can be written, and no "
				   "peer sends what is new; an admin can let it in again\n");
	else if (s->role == SW_ROLE_READER)
		sw_buf_printf(out, "READ ONLY the key of this store is a reader's; an admin can make it a writer\n");
	sw_hex(s->head.line.b, SW_HASH_SIZE, hex);
	sw_buf_printf(out, "commits   %llu\nline      %s\n", (unsigned long long)s->head.count, hex);
	sw_hex(s->head.state.b, SW_HASH_SIZE, hex);
	sw_buf_printf(out, "root      %s\n", hex);
	sw_settled_put(&s->settled, s->head.count, out);
	sw_text_size(s->file, size);
	sw_text_size(s->work.journal_bytes, journal);
	sw_buf_printf(out, "size      %s, journal %s\n", size, journal);
	sw_text_size(s->resident, memory);
	sw_buf_printf(out, "memory    %s, with %zu rows that are open or not committed yet\n", memory, s->work.n_held);
	sw_buf_printf(out, "pending   %zu rows written and not committed yet, %zu of editors\n", s->work.n_edits,
		      s->work.n_scratch);
	if (s->work.damage[0])
		sw_buf_printf(out, "DAMAGED   %s\n", s->work.damage);
	if (s->work.error[0])
		sw_buf_printf(out, "error     %s; tried again every second\n", s->work.error);
	put_copies(o, out);
	sw_schema_put(o, out);
	if (s->swarm.n_held)
		sw_buf_printf(out, "held      %llu commits, stamped too far ahead of this clock\n",
			      (unsigned long long)s->swarm.n_held);
	if (s->has_horizon) {
		put_horizon(s, time);
		sw_buf_printf(out, "freed     old content up to %s, by gc\n", time);
	}
	if (s->swarm.reaches_down) {
		sw_hex(s->swarm.down.b, SW_HASH_SIZE, hex);
		sw_buf_printf(out, "WAITING   commit %.12s changes history whose content gc has freed here, so neither it nor what stands "
				   "on it can be taken; clone the database again from a peer that keeps all history\n", hex);
	}
	if (s->n_conflicts)
		sw_buf_printf(out, "conflicts %llu; 'swarmfs conflicts' lists them\n", (unsigned long long)s->n_conflicts);
	if (llabs(s->swarm.clock_ms) > CLOCK_MS)
		sw_buf_printf(out, "clock     this machine's is %lld s %s those of its peers; set it\n",
			      llabs(s->swarm.clock_ms) / 1000, s->swarm.clock_ms > 0 ? "behind" : "ahead of");
	if (s->swarm.n_requests)
		sw_buf_printf(out, "requests  %llu ask to be let in; 'swarmfs approve' lists them\n", (unsigned long long)s->swarm.n_requests);
	if (o->n_diverged) {
		sw_buf_printf(out, "DIVERGED  ");
		sw_owner_divergence(o, out);
		sw_buf_printf(out, "\n");
	}
	for (size_t i = 0; i < s->n_listen; i++)
		sw_buf_printf(out, "listens   %s\n", s->listen[i]);
	for (size_t i = 0; i < s->swarm.n_peers; i++) {
		sw_buf_printf(out, "peer      ");
		put_peer(&s->swarm.peers[i], out);
	}
}

int sw_status_text(struct sw_owner *o, struct sw_buf *out)
{
	struct sw_standing s;
	int rc = sw_standing_look(o, &s);

	if (rc == 0)
		put_standing(o, &s, out);
	sw_standing_fini(&s);
	return rc < 0 ? rc : out->rc;
}
