/* .commits: snapshots as directories, and the other names of commits as symbolic links to them. */
#include "fs/mount_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/gc.h"
#include "core/settled.h"
#include "core/tags.h"
#include "fs/commit_name.h"

/* The directory of a commit: the line up to it is part of what it is. */
static int snap_inode(struct sw_mount *m, const struct sw_reader *r, const struct sw_order *order,
		      struct sw_inode **out)
{
	/* Before anything is opened: what is opened later is as new as that, or newer. */
	uint64_t rank, version = sw_snap_version(m->db, order);
	struct sw_snapdir *d;
	int rc = sw_tree_rank(r->nodes, &r->head.line, sw_order_view(order), &rank);

	if (rc == 0)
		rc = sw_snapdir_new(order, rank, version, &d);
	if (rc < 0)
		return rc;
	rc = sw_inode_get(&m->inodes, SW_NODE_SNAP, d, sw_view(NULL, 0), sw_view(NULL, 0), 0, out);
	sw_snapdir_put(&m->inodes, d);
	return rc;
}

/* SW_ENOTFOUND also when gc has freed it. */
static int find_shown(const struct sw_reader *r, struct sw_view name, struct sw_order *out)
{
	bool is_freed = false;
	int rc = sw_commit_find(r, name, out);

	if (rc == 0)
		rc = sw_db_is_before_horizon(r, out, &is_freed);
	return is_freed ? SW_ENOTFOUND : rc;
}

int sw_commits_lookup(struct sw_mount *m, struct sw_view name, struct sw_inode **out)
{
	uint8_t id[SW_COMMIT_ID_DIGITS / 2];
	struct sw_order order;
	struct sw_reader r;
	uint64_t stamp;
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	rc = find_shown(&r, name, &order);
	if (rc == 0 && sw_commit_name_parse(name, &stamp, id))
		rc = snap_inode(m, &r, &order, out);
	else if (rc == 0)
		rc = sw_inode_get(&m->inodes, SW_NODE_ALIAS, NULL, sw_view(NULL, 0), name, 0, out);
	else if (rc == SW_EINVAL) /* an ambiguous prefix is no name */
		rc = SW_ENOTFOUND;
	sw_reader_end(&r);
	return rc;
}

bool sw_commits_may_keep(struct sw_mount *m, const struct sw_inode *i)
{
	const struct sw_order *order = &i->snap->order;
	struct sw_settled settled = {0};
	struct sw_reader r;

	if (sw_reader_begin(m->db, &r) < 0)
		return false;
	if (sw_db_settled(m->db, &r, &settled) < 0)
		settled.has_last = false;
	sw_reader_end(&r);
	if (!sw_settled_covers(&settled, order))
		return false;
	pthread_mutex_lock(&m->kept_lock);
	if (sw_order_cmp(order, &m->kept_upto) > 0)
		m->kept_upto = *order;
	pthread_mutex_unlock(&m->kept_lock);
	/* What changes it from here on finds it among those that are kept. */
	return sw_snap_version(m->db, order) == i->snap->version;
}

/* The kernel forgets the names of those that are not what they were, or of all. */
static void forget_names(struct sw_mount *m, bool all)
{
	uint64_t dir = atomic_load(&m->commits_id);
	struct sw_snap_known known;
	SW_BUF list = {0};

	if (dir == 0 || sw_inodes_snaps(&m->inodes, &list) < 0)
		return;
	for (size_t at = 0; at < list.n; at += sizeof(known)) {
		char name[64];

		memcpy(&known, list.p + at, sizeof(known));
		if (!all && sw_snap_version(m->db, &known.order) == known.version)
			continue;
		sw_commit_name(&known.order, name);
		sw_notify_entry(m, dir, sw_view_str(name));
	}
}

void sw_commits_changed(struct sw_mount *m)
{
	struct sw_order last;
	uint64_t version;
	bool has_changed;

	pthread_mutex_lock(&m->kept_lock);
	last = m->kept_upto;
	pthread_mutex_unlock(&m->kept_lock);
	version = sw_snap_version(m->db, &last);
	pthread_mutex_lock(&m->kept_lock);
	has_changed = version != m->kept_version;
	m->kept_version = version;
	pthread_mutex_unlock(&m->kept_lock);
	if (has_changed)
		forget_names(m, false);
}

void sw_mount_freed(struct sw_mount *m)
{
	forget_names(m, true);
}

int sw_commits_links(struct sw_mount *m, struct sw_buf *out)
{
	struct sw_hash commit;
	struct sw_reader r;
	SW_BUF tag = {0};
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	sw_buf_put_bytes(out, sw_view_str("latest"));
	while (rc == 0 && (rc = sw_tag_next(&r, &tag, &commit)) > 0) {
		struct sw_order order;

		rc = find_shown(&r, sw_buf_view(&tag), &order);
		if (rc == 0)
			sw_buf_put_bytes(out, sw_buf_view(&tag));
		rc = rc == SW_ENOTFOUND || rc == SW_EINVAL ? 0 : rc;
		rc = rc < 0 ? rc : out->rc;
	}
	sw_reader_end(&r);
	return rc;
}

int sw_commits_target(struct sw_mount *m, struct sw_view alias, char *out)
{
	struct sw_order order;
	struct sw_reader r;
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_commit_find(&r, alias, &order);
	if (rc == 0)
		sw_commit_name(&order, out);
	sw_reader_end(&r);
	return rc;
}

/* A reader on the snapshot that an inode is in. */
static int read_snap(struct sw_mount *m, const struct sw_inode *i, struct sw_reader *r)
{
	struct sw_snap *snap;
	int rc = sw_snapdir_open(m->db, i->snap, &snap);

	return rc < 0 ? rc : sw_snap_read(snap, r);
}

int sw_snap_lookup(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	const struct sw_view none = sw_view(NULL, 0);
	struct sw_inode_name table;
	struct sw_reader r;
	struct sw_table t;
	struct sw_row row;
	int rc;

	if (dir->type == SW_NODE_SNAP &&
	    (sw_view_eq(name, sw_view_str(".commit")) || sw_view_eq(name, sw_view_str(".diff"))))
		return sw_inode_get(&m->inodes, SW_NODE_SNAP_FILE, dir->snap, none, name, 0, out);
	rc = read_snap(m, dir, &r);
	if (rc < 0)
		return rc;
	sw_inode_name(&m->inodes, dir, &table);
	if (dir->type == SW_NODE_SNAP) {
		rc = sw_name_is_control(name) ? SW_ENOTFOUND
					      : sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, name, &t);
		if (rc == 0)
			rc = sw_inode_get(&m->inodes, SW_NODE_SNAP_TABLE, dir->snap, name, none, 0, out);
	} else {
		rc = sw_state_row(r.nodes, &r.head.state, table.table, name, &row);
		if (rc == 0)
			rc = sw_inode_get(&m->inodes, SW_NODE_SNAP_ROW, dir->snap, table.table, name, 0, out);
	}
	sw_reader_end(&r);
	return rc;
}

int sw_snap_stat(struct sw_mount *m, struct sw_inode *i, struct stat *st)
{
	int64_t made_ns = (int64_t)((sw_order_stamp(&i->snap->order) >> 16) * 1000000);
	struct sw_attr attr = {.mode = 0555, .mtime_ns = made_ns, .is_table = true};
	struct sw_inode_name name;
	struct sw_reader r;
	struct sw_table t;
	struct sw_row row;
	int rc = 0;

	if (i->type == SW_NODE_SNAP_FILE) {
		attr.is_table = false;
		/* The first may say what is in rows that others may not read. */
		sw_inode_name(&m->inodes, i, &name);
		attr.mode = sw_view_eq(name.key, sw_view_str(".diff")) ? 0400 : 0444;
	} else if (i->type != SW_NODE_SNAP) {
		rc = read_snap(m, i, &r);
		if (rc < 0)
			return rc;
		sw_inode_name(&m->inodes, i, &name);
		if (i->type == SW_NODE_SNAP_TABLE) {
			rc = sw_state_table(r.nodes, &r.head.state, SW_CLASS_USER, name.table, &t);
			if (rc == 0)
				attr = (struct sw_attr){.is_table = true, .mode = t.mode, .mtime_ns = t.mtime_ns};
		} else {
			rc = sw_state_row(r.nodes, &r.head.state, name.table, name.key, &row);
			if (rc == 0)
				attr = (struct sw_attr){.mode = row.mode, .mtime_ns = row.mtime_ns, .size = row.size};
		}
		sw_reader_end(&r);
	}
	if (rc < 0)
		return rc;
	attr.ctime_ns = attr.mtime_ns;
	sw_fill_row_stat(m, &attr, st);
	if (i->type == SW_NODE_SNAP)
		st->st_nlink = 1; /* not counted: says nothing about subdirectories */
	return 0;
}
