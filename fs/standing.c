#include "fs/standing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/conflicts.h"
#include "core/gc.h"
#include "fs/memory.h"
#include "net/known.h"

static int count_conflicts(const struct sw_reader *r, uint64_t *out)
{
	struct sw_hash root;
	int rc = sw_conflicts_root(r->nodes, &r->head.state, &root);

	return rc < 0 ? rc : sw_tree_count(r->nodes, &root, out);
}

static bool has_peer(const struct sw_swarm_status *s, const char *address)
{
	for (size_t i = 0; i < s->n_peers; i++)
		if (strcmp(s->peers[i].address, address) == 0)
			return true;
	return false;
}

/* Where nobody dials them the peers that the store remembers are shown, too. */
static int add_known(struct sw_owner *o, struct sw_swarm_status *s)
{
	SW_BUF list = {0};
	int rc = o->swarm && o->options.dials_known ? 0 : sw_known_list(o->db, &list);
	struct sw_rd r = sw_rd(sw_buf_view(&list));

	while (rc == 0 && sw_rd_left(&r) > 0) {
		struct sw_view address = sw_rd_bytes(&r, SW_SWARM_ADDRESS_SIZE - 1);
		struct sw_peer_status known = {.state = SW_PEER_REMEMBERED}, *v;

		snprintf(known.address, sizeof(known.address), "%.*s", (int)address.n,
			 (const char *)address.p);
		if (has_peer(s, known.address))
			continue;
		v = realloc(s->peers, (s->n_peers + 1) * sizeof(*v));
		if (!v)
			return SW_ENOMEM;
		s->peers = v;
		s->peers[s->n_peers++] = known;
	}
	return rc;
}

int sw_standing_look(struct sw_owner *o, struct sw_standing *s)
{
	struct sw_reader r;
	int rc = sw_reader_begin(o->db, &r);

	*s = (struct sw_standing){0};
	if (rc < 0)
		return rc;
	s->head = r.head;
	rc = sw_db_role(&r, sw_db_key(o->db), &s->role);
	if (rc == 0)
		rc = count_conflicts(&r, &s->n_conflicts);
	if (rc == 0)
		rc = sw_settled_look(o->db, &r, &s->settled);
	if (rc == 0) {
		rc = sw_db_horizon(&r, &s->horizon);
		s->has_horizon = rc > 0;
		rc = rc < 0 ? rc : 0;
	}
	sw_reader_end(&r);
	if (rc == 0)
		rc = sw_store_size(sw_db_store(o->db), &s->used, &s->file);
	s->resident = sw_memory_resident();
	if (rc == 0 && o->work)
		sw_work_status(o->work, &s->work);
	if (rc == 0 && o->swarm) {
		s->n_listen = sw_swarm_addresses(o->swarm, &s->listen);
		rc = sw_swarm_status(o->swarm, &s->swarm);
	}
	return rc < 0 ? rc : add_known(o, &s->swarm);
}

void sw_standing_fini(struct sw_standing *s)
{
	sw_swarm_status_fini(&s->swarm);
	sw_settled_fini(&s->settled);
}
