/*
 * .conflicts/TABLE/ROW/COMMIT/{base,won,lost,about}: records as directories, to be looked at,
 * removed, and moved back.
 *
 * A version of a row is an inode of its own, so its bytes never change; names are looked up each
 * time, since records come and go. The kernel has to be told nothing.
 */
#include "fs/mount_internal.h"

#include <stdio.h>
#include <sys/stat.h>

#include "core/hlc.h"
#include "fs/commit_name.h"
#include "fs/conflict_text.h"

const char *const sw_conflict_files[SW_N_CONFLICT_FILES] = {"base", "won", "lost", "about"};

/* The side that a file shows. */
static enum sw_conflict_side side_of(enum sw_conflict_file file)
{
	return file == SW_FILE_BASE  ? SW_SIDE_BASE
	       : file == SW_FILE_WON ? SW_SIDE_WON
				     : SW_SIDE_LOST;
}

static int find_root(struct sw_mount *m, struct sw_reader *r, struct sw_hash *root)
{
	int rc = sw_reader_begin(m->db, r);

	if (rc < 0)
		return rc;
	rc = sw_conflicts_root(r->nodes, &r->head.state, root);
	if (rc < 0)
		sw_reader_end(r);
	return rc;
}

/* Whether there are records of that table, or row. */
static int has_records(const struct sw_reader *r, const struct sw_hash *root,
		       const struct sw_conflict *c, enum sw_conflict_scope scope)
{
	struct sw_conflict found;
	SW_BUF from = {0};
	int rc;

	sw_conflict_before(c, scope, &from);
	if (from.rc < 0)
		return from.rc;
	rc = sw_conflicts_seek(r->nodes, root, sw_buf_view(&from), &found);
	return rc > 0 ? sw_conflict_is_in(&found, c, scope) : rc;
}

/* The records that belong together in a directory, given its own and the name of an entry. */
static enum sw_conflict_scope entry_of(const struct sw_inode *dir, struct sw_view name,
				       struct sw_conflict *out)
{
	if (dir->type == SW_NODE_CONFLICTS) {
		sw_conflict_set(out, name, sw_view(NULL, 0), NULL);
		return SW_SCOPE_TABLE;
	}
	sw_conflict_set(out, sw_conflict_table(&dir->conflict->record), name, NULL);
	return SW_SCOPE_ROW;
}

static int lookup_group(struct sw_mount *m, const struct sw_reader *r, const struct sw_hash *root,
			const struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	struct sw_conflict_node node = {0};
	enum sw_conflict_scope scope = entry_of(dir, name, &node.record);
	int rc = has_records(r, root, &node.record, scope);

	if (rc <= 0)
		return rc < 0 ? rc : SW_ENOTFOUND;
	return sw_inode_get_conflict(
	    &m->inodes, scope == SW_SCOPE_TABLE ? SW_NODE_CONFLICT_TABLE : SW_NODE_CONFLICT_ROW,
	    &node, out);
}

/* A record by the name of its directory, which is one way to write the id, and no other. */
static int find_record(const struct sw_reader *r, const struct sw_hash *root,
		       const struct sw_inode *dir, struct sw_view name, struct sw_conflict *out)
{
	const struct sw_conflict *row = &dir->conflict->record;

	if (name.n != SW_COMMIT_ID_DIGITS)
		return SW_ENOTFOUND;
	return sw_conflict_find(r->nodes, root, sw_conflict_table(row), sw_conflict_key_of(row),
				name, out);
}

/* What a file of a record is now. SW_ENOTFOUND when it is not there, but for being hidden. */
static int file_node(struct sw_mount *m, const struct sw_reader *r, const struct sw_hash *root,
		     const struct sw_conflict *record, enum sw_conflict_file file,
		     struct sw_conflict_node *out)
{
	struct sw_commit commit;
	struct sw_side side = {0};
	struct sw_view raw;
	int rc = sw_conflict_check(r->nodes, root, record);

	*out = (struct sw_conflict_node){.record = *record, .file = file, .attr = {.mode = 0600}};
	if (rc == 0)
		rc = sw_db_get_commit(r, &record->commit, &commit, &raw, NULL);
	if (rc < 0)
		return rc;
	out->attr.mtime_ns = (int64_t)(sw_hlc_ms(commit.stamp) * 1000000);
	if (file != SW_FILE_ABOUT) {
		rc = sw_conflict_side(m->db, r, record, side_of(file), &side);
		if (rc == 0 && side.state != SW_SIDE_THERE)
			rc = SW_ENOTFOUND;
		out->value = side.hash;
		out->attr.size = side.row.size;
		out->attr.mode = side.row.mode | 0600; /* so that rm asks nothing */
		out->attr.mtime_ns = side.row.mtime_ns;
		sw_side_fini(&side);
	}
	out->attr.ctime_ns = out->attr.mtime_ns;
	return rc;
}

static int parse_file(struct sw_view name, enum sw_conflict_file *out)
{
	for (int i = 0; i < SW_N_CONFLICT_FILES; i++) {
		*out = (enum sw_conflict_file)i;
		if (sw_view_eq(name, sw_view_str(sw_conflict_files[i])))
			return 0;
	}
	return SW_ENOTFOUND;
}

static bool is_hidden(struct sw_mount *m, const struct sw_inode *dir, enum sw_conflict_file file)
{
	bool hidden;

	pthread_mutex_lock(&m->inodes.lock);
	hidden = dir->conflict->hidden & 1U << file;
	pthread_mutex_unlock(&m->inodes.lock);
	return hidden;
}

static int lookup_file(struct sw_mount *m, const struct sw_reader *r, const struct sw_hash *root,
		       const struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	struct sw_conflict_node node;
	enum sw_conflict_file file;
	int rc = parse_file(name, &file);

	if (rc == 0 && is_hidden(m, dir, file))
		rc = SW_ENOTFOUND;
	if (rc == 0)
		rc = file_node(m, r, root, &dir->conflict->record, file, &node);
	return rc < 0 ? rc : sw_inode_get_conflict(&m->inodes, SW_NODE_CONFLICT_FILE, &node, out);
}

static int lookup_record(struct sw_mount *m, const struct sw_reader *r, const struct sw_hash *root,
			 const struct sw_inode *dir, struct sw_view name, struct sw_inode **out)
{
	struct sw_conflict_node node = {0};
	struct sw_commit commit;
	struct sw_view raw;
	int rc = find_record(r, root, dir, name, &node.record);

	if (rc == 0)
		rc = sw_db_get_commit(r, &node.record.commit, &commit, &raw, NULL);
	if (rc < 0)
		return rc;
	node.attr.mtime_ns = (int64_t)(sw_hlc_ms(commit.stamp) * 1000000);
	return sw_inode_get_conflict(&m->inodes, SW_NODE_CONFLICT, &node, out);
}

int sw_conflicts_lookup(struct sw_mount *m, const struct sw_inode *dir, struct sw_view name,
			struct sw_inode **out)
{
	struct sw_reader r;
	struct sw_hash root;
	int rc = find_root(m, &r, &root);

	if (rc < 0)
		return rc;
	if (dir->type == SW_NODE_CONFLICT)
		rc = lookup_file(m, &r, &root, dir, name, out);
	else if (dir->type == SW_NODE_CONFLICT_ROW)
		rc = lookup_record(m, &r, &root, dir, name, out);
	else
		rc = lookup_group(m, &r, &root, dir, name, out);
	sw_reader_end(&r);
	return rc;
}

int sw_conflicts_lookup_emptied(struct sw_mount *m, const struct sw_inode *dir, struct sw_view name,
				pid_t pid, struct sw_inode **out)
{
	struct sw_conflict c;

	if ((dir->type != SW_NODE_CONFLICTS && dir->type != SW_NODE_CONFLICT_TABLE) ||
	    name.n > SW_NAME_MAX)
		return SW_ENOTFOUND;
	*out =
	    sw_inode_get_emptied(&m->inodes,
				 entry_of(dir, name, &c) == SW_SCOPE_TABLE ? SW_NODE_CONFLICT_TABLE
									   : SW_NODE_CONFLICT_ROW,
				 &c, pid);
	return *out ? 0 : SW_ENOTFOUND;
}

/* What was lost in a table is for those who may look into the table; the owner can always remove it. */
static uint16_t mode_in_table(struct sw_mount *m, const struct sw_conflict *record)
{
	struct sw_attr table = {0};

	if (sw_work_stat_table(m->work, sw_conflict_table(record), &table) < 0)
		return 0700;
	return table.mode | 0700;
}

void sw_conflicts_stat(struct sw_mount *m, const struct sw_inode *i, struct stat *st)
{
	struct sw_attr attr = {.is_table = true, .mode = 0755, .mtime_ns = m->started_ns};

	if (i->type == SW_NODE_CONFLICT_FILE) {
		attr = i->conflict->attr;
	} else if (i->type != SW_NODE_CONFLICTS) {
		attr.mode = mode_in_table(m, &i->conflict->record);
		if (i->type == SW_NODE_CONFLICT)
			attr.mtime_ns = i->conflict->attr.mtime_ns;
	}
	attr.ctime_ns = attr.mtime_ns;
	sw_fill_row_stat(m, &attr, st);
	st->st_nlink = 1; /* not counted: says nothing about subdirectories */
}

/* Open files */

static int open_about(struct sw_mount *m, struct sw_open *o)
{
	const struct sw_mount_texts *t = &m->options.texts;
	struct sw_reader r;
	struct sw_hash root;
	int rc = find_root(m, &r, &root);

	if (rc < 0)
		return rc;
	rc = sw_conflict_check(r.nodes, &root, &o->inode->conflict->record);
	if (rc == 0 && t->conflict)
		rc = t->conflict(t->arg, m->db, &r, &o->inode->conflict->record, &o->text);
	sw_reader_end(&r);
	return rc;
}

/* While it is read the row may change, the conflict be resolved, and gc free what it was about: a large row is kept. */
static int open_side(struct sw_mount *m, struct sw_open *o)
{
	const struct sw_conflict_node *node = o->inode->conflict;
	struct sw_reader r;
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_conflict_side(m->db, &r, &node->record, side_of(node->file), &o->side);
	sw_reader_end(&r);
	if (rc == 0 && o->side.row.is_blob) {
		o->pin = o->side.row.blob;
		rc = sw_db_pin_blob(m->db, &o->pin);
		o->is_pinned = rc == 0;
	}
	if (rc == SW_ENOTFOUND || (rc == 0 && !sw_hash_eq(&o->side.hash, &node->value)))
		rc = SW_EAGAIN; /* the name has another file by now, or none */
	return rc;
}

int sw_conflicts_open(struct sw_mount *m, struct sw_open *o)
{
	return o->inode->conflict->file == SW_FILE_ABOUT ? open_about(m, o) : open_side(m, o);
}

int sw_conflicts_read(struct sw_mount *m, const struct sw_open *o, uint64_t offset, size_t n,
		      struct sw_pieces *out)
{
	struct sw_row row = o->side.row;
	int rc;

	if (row.is_blob) {
		rc = sw_reader_begin(m->db, &out->reader);
	} else {
		/* A copy: once the kernel has the answer the file may be closed, and its bytes freed, by another thread. */
		sw_buf_put_view(&out->copy, row.bytes);
		row.bytes = sw_buf_view(&out->copy);
		rc = out->copy.rc;
	}
	return rc < 0 ? rc : sw_pieces_add_row(out, &row, offset, n);
}

void sw_conflicts_release(struct sw_mount *m, struct sw_open *o)
{
	sw_side_fini(&o->side);
	if (o->is_pinned)
		sw_db_unpin(m->db, &o->pin);
	o->is_pinned = false;
}

/* Directories */

int sw_conflicts_opendir(struct sw_mount *m, struct sw_open *o)
{
	struct sw_reader r;
	int rc = sw_db_pin_head(m->db, &o->pin);

	o->is_pinned = rc == 0;
	if (rc == 0)
		rc = sw_reader_begin(m->db, &r);
	if (rc < 0)
		return rc;
	rc = sw_conflicts_root(r.nodes, &o->pin, &o->table_root);
	sw_reader_end(&r);
	if (o->inode->type == SW_NODE_CONFLICT) {
		/* Whoever looks again sees what was removed only in part. */
		pthread_mutex_lock(&m->inodes.lock);
		o->inode->conflict->hidden = 0;
		pthread_mutex_unlock(&m->inodes.lock);
	}
	return rc;
}

static int file_entry(struct sw_mount *m, const struct sw_open *o, const struct sw_reader *r,
		      uint64_t from, char name[static SW_NAME_MAX + 1], uint64_t *next)
{
	struct sw_conflict_node node;
	int rc = SW_ENOTFOUND;

	for (; rc == SW_ENOTFOUND && from < SW_N_CONFLICT_FILES; from++) {
		if (is_hidden(m, o->inode, (enum sw_conflict_file)from))
			continue;
		rc = file_node(m, r, &o->table_root, &o->inode->conflict->record,
			       (enum sw_conflict_file)from, &node);
		if (rc == 0)
			snprintf(name, SW_NAME_MAX + 1, "%s", sw_conflict_files[from]);
	}
	*next = from;
	if (rc == SW_ENOTFOUND)
		return 0;
	return rc < 0 ? rc : 1;
}

/* The first record of each table, row or commit, counted from the first in the directory. */
static int group_entry(const struct sw_open *o, const struct sw_reader *r, uint64_t from,
		       char name[static SW_NAME_MAX + 1], uint64_t *next)
{
	const struct sw_inode *dir = o->inode;
	enum sw_conflict_scope own =
	    dir->type == SW_NODE_CONFLICT_ROW ? SW_SCOPE_ROW : SW_SCOPE_TABLE;
	enum sw_conflict_scope scope = dir->type == SW_NODE_CONFLICTS        ? SW_SCOPE_TABLE
				       : dir->type == SW_NODE_CONFLICT_TABLE ? SW_SCOPE_ROW
									     : SW_SCOPE_RECORD;
	char hex[SW_HASH_HEX_SIZE];
	struct sw_conflict c;
	struct sw_view text;
	uint64_t first = 0;
	SW_BUF key = {0};
	int rc = 0;

	if (dir->conflict) {
		sw_conflict_before(&dir->conflict->record, own, &key);
		rc = key.rc < 0 ? key.rc
				: sw_tree_rank(r->nodes, &o->table_root, sw_buf_view(&key), &first);
	}
	if (rc == 0)
		rc = sw_conflicts_seek_rank(r->nodes, &o->table_root, first + from, &c);
	if (rc <= 0 || (dir->conflict && !sw_conflict_is_in(&c, &dir->conflict->record, own)))
		return rc < 0 ? rc : 0;
	sw_conflict_behind(&c, scope, &key);
	rc = key.rc < 0 ? key.rc : sw_tree_rank(r->nodes, &o->table_root, sw_buf_view(&key), next);
	*next -= first;
	sw_hex(c.commit.b, SW_COMMIT_ID_DIGITS / 2, hex);
	text = scope == SW_SCOPE_TABLE ? sw_conflict_table(&c)
	       : scope == SW_SCOPE_ROW ? sw_conflict_key_of(&c)
				       : sw_view_str(hex);
	memcpy(name, text.p, text.n);
	name[text.n] = '\0';
	return rc < 0 ? rc : 1;
}

int sw_conflicts_entry(struct sw_mount *m, const struct sw_open *o, uint64_t from,
		       char name[static SW_NAME_MAX + 1], uint64_t *next)
{
	struct sw_reader r;
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	if (o->inode->type == SW_NODE_CONFLICT) {
		r.head.state = o->pin;
		rc = file_entry(m, o, &r, from, name, next);
	} else {
		rc = group_entry(o, &r, from, name, next);
	}
	sw_reader_end(&r);
	return rc;
}

/* Removing: 'rm -r' takes a record's files one by one, and at last the directory, which is what
 * counts. */

int sw_conflicts_unlink(struct sw_mount *m, struct sw_inode *dir, struct sw_view name)
{
	struct sw_conflict_node node;
	enum sw_conflict_file file;
	struct sw_reader r;
	struct sw_hash root;
	int rc;

	if (dir->type != SW_NODE_CONFLICT)
		return SW_EPERM;
	rc = parse_file(name, &file);
	if (rc == 0 && is_hidden(m, dir, file))
		rc = SW_ENOTFOUND;
	if (rc == 0)
		rc = find_root(m, &r, &root);
	if (rc < 0)
		return rc;
	rc = file_node(m, &r, &root, &dir->conflict->record, file, &node);
	sw_reader_end(&r);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&m->inodes.lock);
	dir->conflict->hidden |= 1U << file;
	pthread_mutex_unlock(&m->inodes.lock);
	return 0;
}

/* The last record of a row or table is gone: whoever removed it may go on with the directories. */
static void note_emptied(struct sw_mount *m, const struct sw_conflict *c, pid_t pid)
{
	struct sw_reader r;
	struct sw_hash root;

	if (find_root(m, &r, &root) < 0)
		return; /* then it cannot */
	if (has_records(&r, &root, c, SW_SCOPE_ROW) == 0)
		sw_inode_emptied(&m->inodes, SW_NODE_CONFLICT_ROW, c, pid);
	if (has_records(&r, &root, c, SW_SCOPE_TABLE) == 0)
		sw_inode_emptied(&m->inodes, SW_NODE_CONFLICT_TABLE, c, pid);
	sw_reader_end(&r);
}

static int discard(struct sw_mount *m, const struct sw_inode *dir, struct sw_view name, pid_t pid)
{
	struct sw_conflict c;
	struct sw_reader r;
	struct sw_hash root, id;
	SW_BUF message = {0};
	int rc = find_root(m, &r, &root);

	if (rc < 0)
		return rc;
	rc = find_record(&r, &root, dir, name, &c);
	sw_reader_end(&r);
	if (rc == 0)
		rc = sw_conflict_message("discarded", &c, &message);
	if (rc == 0)
		rc = sw_conflict_discard(m->db, &c, 1, sw_buf_view(&message), &id);
	if (rc == 0)
		note_emptied(m, &c, pid);
	return rc;
}

/* Whether all files of a record were removed, as far as the kernel knows its directory. */
static int is_emptied(struct sw_mount *m, const struct sw_inode *record)
{
	struct sw_conflict_node node;
	struct sw_reader r;
	struct sw_hash root;
	int rc = find_root(m, &r, &root);

	if (rc < 0)
		return rc;
	rc = SW_ENOTFOUND;
	for (int file = 0; rc == SW_ENOTFOUND && file < SW_N_CONFLICT_FILES; file++)
		if (!is_hidden(m, record, (enum sw_conflict_file)file))
			rc = file_node(m, &r, &root, &record->conflict->record,
				       (enum sw_conflict_file)file, &node);
	sw_reader_end(&r);
	if (rc == SW_ENOTFOUND)
		return 1;
	return rc < 0 ? rc : 0;
}

static int rmdir_record(struct sw_mount *m, const struct sw_inode *dir, struct sw_view name,
			pid_t pid)
{
	struct sw_inode *record;
	int rc = sw_conflicts_lookup(m, dir, name, &record);

	if (rc < 0)
		return rc;
	rc = is_emptied(m, record);
	if (rc > 0)
		rc = discard(m, dir, name, pid);
	else if (rc == 0)
		rc = SW_ENOTEMPTY;
	sw_inode_forget(&m->inodes, record->id, 1);
	return rc;
}

int sw_conflicts_rmdir(struct sw_mount *m, struct sw_inode *dir, struct sw_view name, pid_t pid)
{
	struct sw_inode *child;
	int rc;

	if (name.n > SW_NAME_MAX)
		return SW_ETOOLONG;
	if (dir->type == SW_NODE_CONFLICT_ROW)
		return rmdir_record(m, dir, name, pid);
	if (dir->type == SW_NODE_CONFLICT)
		return SW_ENOTDIR;
	rc = sw_conflicts_lookup(m, dir, name, &child);
	if (rc == 0) {
		sw_inode_forget(&m->inodes, child->id, 1);
		return SW_ENOTEMPTY;
	}
	if (rc == SW_ENOTFOUND)
		rc = sw_conflicts_lookup_emptied(m, dir, name, pid, &child);
	if (rc < 0)
		return rc;
	sw_inode_emptied(&m->inodes, child->type, &child->conflict->record, 0);
	sw_inode_forget(&m->inodes, child->id, 1);
	return 0;
}

/* Moving back */

static int reapply(struct sw_mount *m, const struct sw_conflict *c)
{
	SW_BUF message = {0};
	struct sw_hash id;
	int rc = sw_conflict_message("reapplied", c, &message);

	if (rc == 0)
		rc = sw_conflict_reapply(m->db, m->work, c, sw_buf_view(&message), &id);
	if (rc < 0)
		return rc;
	/* What the kernel has cached of the row must not show, not even until the notifier gets
	 * there. */
	sw_inode_orphan(&m->inodes, NULL, sw_conflict_table(c), sw_conflict_key_of(c));
	return 0;
}

int sw_conflicts_rename(struct sw_mount *m, struct sw_inode *dir, struct sw_view name,
			struct sw_inode *new_dir, struct sw_view new_name, unsigned flags)
{
	struct sw_inode_name table;
	struct sw_inode *file;
	struct sw_attr attr;
	int rc;

	if (flags & RENAME_EXCHANGE)
		return SW_EINVAL;
	if (dir->type != SW_NODE_CONFLICT || new_dir->type != SW_NODE_TABLE || new_dir->copy)
		return new_dir->type == SW_NODE_TABLE ? SW_EXDEV : SW_EPERM;
	sw_inode_name(&m->inodes, new_dir, &table);
	if (!sw_view_eq(name, sw_view_str(sw_conflict_files[SW_FILE_LOST])) ||
	    !sw_view_eq(table.table, sw_conflict_table(&dir->conflict->record)) ||
	    !sw_view_eq(new_name, sw_conflict_key_of(&dir->conflict->record)))
		return SW_EXDEV;
	rc = sw_conflicts_lookup(m, dir, name, &file);
	if (rc < 0)
		return rc;
	sw_inode_forget(&m->inodes, file->id, 1);
	if ((flags & RENAME_NOREPLACE) && sw_work_stat(m->work, table.table, new_name, &attr) == 0)
		return SW_EEXIST;
	return reapply(m, &dir->conflict->record);
}
