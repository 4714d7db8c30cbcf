#include "fs/inode.h"

#include "fs/commit_name.h"

#include <assert.h>
#include <stdlib.h>

#define BUCKETS_MIN 1024

/* Numbers must be the same after a remount, so this is. */
static const struct sw_sip_key hash_key = {{'i', 'n', 'o', 'd', 'e', 's'}};

int sw_inodes_init(struct sw_inodes *t, struct sw_work *work)
{
	*t = (struct sw_inodes){.work = work, .n_buckets = BUCKETS_MIN, .next_id = 2};
	t->by_id = calloc(BUCKETS_MIN, sizeof(struct sw_inode *));
	t->by_ident = calloc(BUCKETS_MIN, sizeof(struct sw_inode *));
	if (!t->by_id || !t->by_ident) {
		free(t->by_id);
		free(t->by_ident);
		return SW_ENOMEM;
	}
	pthread_mutex_init(&t->lock, NULL);
	return 0;
}

static void snapdir_unref(struct sw_snapdir *d)
{
	if (!d || --d->n_refs > 0)
		return;
	sw_snap_unref(d->snap);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* The working set that an inode's rows are in. */
static struct sw_work *work_of(const struct sw_inodes *t, const struct sw_inode *i)
{
	return i->copy ? sw_copy_work(i->copy) : t->work;
}

static void inode_free(struct sw_inodes *t, struct sw_inode *i)
{
	if (i->handle.file)
		sw_handle_release(work_of(t, i), &i->handle);
	snapdir_unref(i->snap);
	sw_copy_unref(i->copy);
	sw_buf_fini(&i->ident);
	free(i->conflict);
	free(i);
}

void sw_inodes_fini(struct sw_inodes *t)
{
	for (size_t b = 0; b < t->n_buckets; b++) {
		struct sw_inode *next;

		for (struct sw_inode *i = t->by_id[b]; i; i = next) {
			next = i->next_by_id;
			inode_free(t, i);
		}
	}
	free(t->by_id);
	free(t->by_ident);
	pthread_mutex_destroy(&t->lock);
}

static void link_inode(struct sw_inodes *t, struct sw_inode *i)
{
	size_t b = i->id & (t->n_buckets - 1);

	i->next_by_id = t->by_id[b];
	t->by_id[b] = i;
}

static void link_ident(struct sw_inodes *t, struct sw_inode *i)
{
	size_t b = i->ident_hash & (t->n_buckets - 1);

	i->next_by_ident = t->by_ident[b];
	t->by_ident[b] = i;
}

static void unlink_ident(struct sw_inodes *t, struct sw_inode *i)
{
	struct sw_inode **p = &t->by_ident[i->ident_hash & (t->n_buckets - 1)];

	while (*p && *p != i)
		p = &(*p)->next_by_ident;
	if (*p)
		*p = i->next_by_ident;
}

/* Twice the buckets; without the memory for it the table is merely slower. */
static void grow(struct sw_inodes *t)
{
	size_t n = t->n_buckets * 2;
	struct sw_inode **by_id = calloc(n, sizeof(struct sw_inode *));
	struct sw_inode **by_ident = calloc(n, sizeof(struct sw_inode *)), **old = t->by_id;
	size_t n_old = t->n_buckets;

	if (!by_id || !by_ident) {
		free(by_id);
		free(by_ident);
		return;
	}
	free(t->by_ident);
	t->by_id = by_id;
	t->by_ident = by_ident;
	t->n_buckets = n;
	for (size_t b = 0; b < n_old; b++) {
		struct sw_inode *next;

		for (struct sw_inode *i = old[b]; i; i = next) {
			next = i->next_by_id;
			link_inode(t, i);
			link_ident(t, i);
		}
	}
	free(old);
}

/* What an inode stands for. */
struct wanted {
	enum sw_node_type type;
	struct sw_snapdir *snap;		 /* or NULL */
	struct sw_copy *copy;		 /* or NULL */
	const struct sw_conflict_node *conflict; /* or NULL */
	struct sw_view table, key;
	uint64_t generation;
};

static void put(struct sw_ident *id, const void *p, size_t n)
{
	assert(n <= sizeof(id->b) - id->n);
	if (n > 0)
		memcpy(id->b + id->n, p, n);
	id->n += n;
}

static void put_u8(struct sw_ident *id, uint8_t v)
{
	put(id, &v, 1);
}

static void put_u64(struct sw_ident *id, uint64_t v)
{
	uint8_t b[8];

	sw_set_u64(b, v);
	put(id, b, sizeof(b));
}

static void hash_ident(struct sw_ident *id)
{
	id->hash = sw_sip13(&hash_key, sw_view(id->b, id->n));
}

/* Without the hash, and without the key that is to follow. */
static void begin_ident(const struct wanted *w, struct sw_ident *out)
{
	out->n = 0;
	put_u8(out, (uint8_t)w->type);
	if (w->snap) {
		put(out, w->snap->order.b, SW_ORDER_SIZE);
		put_u64(out, w->snap->rank);
		put_u64(out, w->snap->version);
	}
	/* Its first byte is zero, as that of no table's name. */
	if (w->copy)
		put_u64(out, sw_copy_number(w->copy));
	if (w->conflict) {
		put(out, w->conflict->record.commit.b, SW_HASH_SIZE);
		put_u8(out, (uint8_t)w->conflict->file);
		put(out, w->conflict->value.b, SW_HASH_SIZE);
	}
	put(out, w->table.p, w->table.n);
	put_u8(out, 0);
}

static void make_ident(const struct wanted *w, struct sw_ident *out)
{
	begin_ident(w, out);
	put(out, w->key.p, w->key.n);
	hash_ident(out);
}

static bool has_ident(const struct sw_inode *i, const struct sw_ident *id)
{
	/* The text is elsewhere in memory: it is looked at when it is likely the one. */
	return i->ident_hash == id->hash && sw_view_eq(sw_buf_view(&i->ident), sw_view(id->b, id->n));
}

static struct sw_inode *find_ident(const struct sw_inodes *t, const struct sw_ident *id)
{
	struct sw_inode *i = t->by_ident[id->hash & (t->n_buckets - 1)];

	while (i && (i->is_orphan || !has_ident(i, id)))
		i = i->next_by_ident;
	return i;
}

/* 63 bits of a hash of what it stands for. While an orphan is open its name has another, so that 'tail -F' sees the change. */
static uint64_t number_of(enum sw_node_type type, uint64_t hash, uint64_t salt)
{
	uint8_t b[16];

	if (type == SW_NODE_ROOT_DIR)
		return SW_INODE_ROOT;
	if (salt) {
		sw_set_u64(b, hash);
		sw_set_u64(b + 8, salt);
		hash = sw_sip13(&hash_key, sw_view(b, sizeof(b)));
	}
	return (hash >> 1) | 2;
}

uint64_t sw_inode_number(struct sw_inodes *t, const struct sw_inode *i)
{
	uint64_t number;

	pthread_mutex_lock(&t->lock);
	number = number_of(i->type, i->ident_hash, i->salt);
	pthread_mutex_unlock(&t->lock);
	return number;
}

void sw_inode_numbers_begin(struct sw_inodes *t, enum sw_node_type type, struct sw_snapdir *snap, struct sw_copy *copy,
			    struct sw_view table, struct sw_inode_numbers *out)
{
	struct wanted w = {.type = type, .snap = snap, .copy = copy, .table = table};

	out->inodes = t;
	out->type = type;
	begin_ident(&w, &out->ident);
	hash_ident(&out->ident);
	out->same_n = out->ident.n;
	out->same_hash = out->ident.hash;
	pthread_mutex_lock(&t->lock);
	out->may_be_salted = t->n_salted > 0;
	pthread_mutex_unlock(&t->lock);
}

uint64_t sw_inode_numbers_get(struct sw_inode_numbers *n, struct sw_view key)
{
	const struct sw_inode *i;
	uint64_t salt = 0;

	n->ident.n = n->same_n;
	put(&n->ident, key.p, key.n);
	hash_ident(&n->ident);
	if (n->may_be_salted) {
		pthread_mutex_lock(&n->inodes->lock);
		i = find_ident(n->inodes, &n->ident);
		salt = i ? i->salt : 0;
		pthread_mutex_unlock(&n->inodes->lock);
	}
	return number_of(n->type, n->ident.hash, salt);
}

uint64_t sw_inode_number_of(struct sw_inodes *t, enum sw_node_type type, struct sw_snapdir *snap, struct sw_copy *copy,
			    struct sw_view table, struct sw_view key)
{
	struct sw_inode_numbers numbers;

	sw_inode_numbers_begin(t, type, snap, copy, table, &numbers);
	return sw_inode_numbers_get(&numbers, key);
}

/* Whether somebody has a row open that stood at that name before: its number is taken. */
static bool has_open_orphan(const struct sw_inodes *t, const struct sw_ident *id)
{
	const struct sw_inode *i = t->by_ident[id->hash & (t->n_buckets - 1)];

	while (i && !(i->is_orphan && i->n_open > 0 && has_ident(i, id)))
		i = i->next_by_ident;
	return i != NULL;
}

static void set_salt(struct sw_inodes *t, struct sw_inode *i, uint64_t salt)
{
	t->n_salted -= i->salt != 0;
	i->salt = salt;
	t->n_salted += i->salt != 0;
}

/* It is found by what it stands for from now on. SW_ENOMEM: it is as before. */
static int name_inode(struct sw_inodes *t, struct sw_inode *i, const struct wanted *w, const struct sw_ident *id)
{
	struct sw_buf text = {0};

	sw_buf_put(&text, id->b, id->n);
	if (text.rc < 0)
		return text.rc;
	if (i->ident.p)
		unlink_ident(t, i);
	sw_buf_fini(&i->ident);
	i->ident = text;
	i->ident_hash = id->hash;
	i->table_n = w->table.n;
	i->key_n = w->key.n;
	set_salt(t, i, has_open_orphan(t, id) ? i->id : 0);
	i->is_orphan = i->is_unlinked = false;
	link_ident(t, i);
	return 0;
}

static struct sw_inode *find_wanted(const struct sw_inodes *t, const struct wanted *w)
{
	struct sw_ident id;

	make_ident(w, &id);
	return find_ident(t, &id);
}

/* What the directory stands for that a directory is in; none: backing for one below .conflicts. Its names do not change. */
static void find_above(const struct sw_inode *dir, const struct sw_conflict_node *none, struct wanted *out)
{
	*out = (struct wanted){.type = SW_NODE_ROOT_DIR};
	switch (dir->type) {
	case SW_NODE_TABLE:
		if (dir->copy)
			*out = (struct wanted){.type = SW_NODE_COPY, .copy = dir->copy};
		break;
	case SW_NODE_COPY:
		out->type = SW_NODE_TXNS;
		break;
	case SW_NODE_SNAP:
		out->type = SW_NODE_COMMITS;
		break;
	case SW_NODE_SNAP_TABLE:
		*out = (struct wanted){.type = SW_NODE_SNAP, .snap = dir->snap};
		break;
	case SW_NODE_CONFLICT_TABLE:
		out->type = SW_NODE_CONFLICTS;
		break;
	case SW_NODE_CONFLICT_ROW:
	case SW_NODE_CONFLICT:
		*out = (struct wanted){.type = SW_NODE_CONFLICT_TABLE,
				       .conflict = none,
				       .table = sw_conflict_table(&dir->conflict->record)};
		if (dir->type == SW_NODE_CONFLICT) {
			out->type = SW_NODE_CONFLICT_ROW;
			out->key = sw_conflict_key_of(&dir->conflict->record);
		}
		break;
	default:
		break;
	}
}

uint64_t sw_inode_number_above(struct sw_inodes *t, const struct sw_inode *dir)
{
	static const struct sw_conflict_node none;
	struct wanted w;
	struct sw_ident id;
	const struct sw_inode *i;
	uint64_t salt;

	find_above(dir, &none, &w);
	make_ident(&w, &id);
	pthread_mutex_lock(&t->lock);
	i = find_ident(t, &id);
	salt = i ? i->salt : 0;
	pthread_mutex_unlock(&t->lock);
	return number_of(w.type, id.hash, salt);
}

/* A table or row of a tree, which is that of a working copy or the live one. */
static struct sw_inode *find_in(const struct sw_inodes *t, struct sw_copy *copy, struct sw_view table,
				struct sw_view key)
{
	struct wanted w = {
	    .type = key.n ? SW_NODE_ROW : SW_NODE_TABLE, .copy = copy, .table = table, .key = key};

	return find_wanted(t, &w);
}

struct sw_inode *sw_inode_by_id(struct sw_inodes *t, uint64_t id)
{
	struct sw_inode *i;

	pthread_mutex_lock(&t->lock);
	for (i = t->by_id[id & (t->n_buckets - 1)]; i && i->id != id; i = i->next_by_id)
		;
	pthread_mutex_unlock(&t->lock);
	return i;
}

static int inode_new(struct sw_inodes *t, const struct wanted *w, struct sw_inode **out)
{
	struct sw_inode *i = calloc(1, sizeof(*i));

	if (!i)
		return SW_ENOMEM;
	if (w->conflict) {
		i->conflict = malloc(sizeof(*i->conflict));
		if (!i->conflict) {
			free(i);
			return SW_ENOMEM;
		}
		*i->conflict = *w->conflict;
	}
	i->id = w->type == SW_NODE_ROOT_DIR ? SW_INODE_ROOT : t->next_id++;
	i->type = w->type;
	i->snap = w->snap;
	if (i->snap)
		i->snap->n_refs++;
	i->copy = w->copy ? sw_copy_ref(w->copy) : NULL;
	*out = i;
	return 0;
}

static int get_locked(struct sw_inodes *t, const struct wanted *w, struct sw_inode **out)
{
	struct sw_inode *i;
	struct sw_ident id;
	int rc;

	make_ident(w, &id);
	i = find_ident(t, &id);
	if (i && i->handle.file && sw_handle_generation(&i->handle) != w->generation) {
		i->is_orphan = true;
		i = NULL;
	}
	if (!i) {
		if (t->n >= t->n_buckets)
			grow(t);
		rc = inode_new(t, w, &i);
		if (rc < 0)
			return rc;
		rc = name_inode(t, i, w, &id);
		if (rc < 0) {
			inode_free(t, i);
			return rc;
		}
		link_inode(t, i);
		t->n++;
	}
	i->n_lookup++;
	*out = i;
	return 0;
}

int sw_inode_get(struct sw_inodes *t, enum sw_node_type type, struct sw_snapdir *snap, struct sw_view table,
		 struct sw_view key, uint64_t generation, struct sw_inode **out)
{
	struct wanted w = {.type = type, .snap = snap, .table = table, .key = key, .generation = generation};
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = get_locked(t, &w, out);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

int sw_inode_get_in(struct sw_inodes *t, enum sw_node_type type, struct sw_copy *copy, struct sw_view table,
		    struct sw_view key, uint64_t generation, struct sw_inode **out)
{
	struct wanted w = {.type = type, .copy = copy, .table = table, .key = key, .generation = generation};
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = get_locked(t, &w, out);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

int sw_inode_get_conflict(struct sw_inodes *t, enum sw_node_type type, const struct sw_conflict_node *node,
			  struct sw_inode **out)
{
	struct wanted w = {.type = type,
			   .conflict = node,
			   .table = sw_conflict_table(&node->record),
			   .key = sw_conflict_key_of(&node->record)};
	int rc;

	pthread_mutex_lock(&t->lock);
	rc = get_locked(t, &w, out);
	pthread_mutex_unlock(&t->lock);
	return rc;
}

/* A table or row in .conflicts that the kernel knows. */
static struct sw_inode *find_conflict(const struct sw_inodes *t, enum sw_node_type type,
				      const struct sw_conflict *record)
{
	struct sw_conflict_node none = {0};
	struct wanted w = {.type = type, .conflict = &none, .table = sw_conflict_table(record)};

	if (type == SW_NODE_CONFLICT_ROW)
		w.key = sw_conflict_key_of(record);
	return find_wanted(t, &w);
}

struct sw_inode *sw_inode_get_emptied(struct sw_inodes *t, enum sw_node_type type, const struct sw_conflict *record,
				      pid_t pid)
{
	struct sw_inode *i;

	pthread_mutex_lock(&t->lock);
	i = find_conflict(t, type, record);
	if (i && (pid == 0 || i->conflict->emptied_by != pid)) /* 0: the kernel does not tell */
		i = NULL;
	if (i)
		i->n_lookup++;
	pthread_mutex_unlock(&t->lock);
	return i;
}

void sw_inode_emptied(struct sw_inodes *t, enum sw_node_type type, const struct sw_conflict *record, pid_t pid)
{
	struct sw_inode *i;

	pthread_mutex_lock(&t->lock);
	i = find_conflict(t, type, record);
	if (i)
		i->conflict->emptied_by = pid;
	pthread_mutex_unlock(&t->lock);
}

void sw_inode_forget(struct sw_inodes *t, uint64_t id, uint64_t n)
{
	struct sw_inode **p, *i;

	pthread_mutex_lock(&t->lock);
	p = &t->by_id[id & (t->n_buckets - 1)];
	while (*p && (*p)->id != id)
		p = &(*p)->next_by_id;
	i = *p;
	if (i) {
		assert(i->n_lookup >= n);
		i->n_lookup -= n;
		if (i->n_lookup > 0) {
			i = NULL;
		} else {
			*p = i->next_by_id;
			unlink_ident(t, i);
			set_salt(t, i, 0);
			t->n--;
			inode_free(t, i);
		}
	}
	pthread_mutex_unlock(&t->lock);
}

static struct sw_view ident_table(const struct sw_inode *i)
{
	return sw_view(i->ident.p + i->ident.n - i->key_n - 1 - i->table_n, i->table_n);
}

static struct sw_view ident_key(const struct sw_inode *i)
{
	return sw_view(i->ident.p + i->ident.n - i->key_n, i->key_n);
}

void sw_inode_name(struct sw_inodes *t, const struct sw_inode *i, struct sw_inode_name *out)
{
	pthread_mutex_lock(&t->lock);
	memcpy(out->buf, ident_table(i).p, i->table_n);
	memcpy(out->buf + i->table_n, ident_key(i).p, i->key_n);
	out->table = sw_view(out->buf, i->table_n);
	out->key = sw_view(out->buf + i->table_n, i->key_n);
	out->is_orphan = i->is_orphan;
	out->is_unlinked = i->is_unlinked;
	out->has_file = i->handle.file != NULL;
	pthread_mutex_unlock(&t->lock);
}

uint64_t sw_inode_id_of(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key)
{
	const struct sw_inode *i;
	uint64_t id;

	pthread_mutex_lock(&t->lock);
	i = find_in(t, copy, table, key);
	id = i ? i->id : 0;
	pthread_mutex_unlock(&t->lock);
	return id;
}

uint64_t sw_inode_orphan(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key)
{
	struct sw_inode *i;
	uint64_t id = 0;

	pthread_mutex_lock(&t->lock);
	i = find_in(t, copy, table, key);
	if (i) {
		id = i->id;
		i->is_orphan = true;
	}
	pthread_mutex_unlock(&t->lock);
	return id;
}

void sw_inode_orphan_closed(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key)
{
	struct sw_inode *i;

	pthread_mutex_lock(&t->lock);
	i = find_in(t, copy, table, key);
	if (i && !i->handle.file)
		i->is_orphan = true;
	pthread_mutex_unlock(&t->lock);
}

static void unlink_inode(struct sw_inode *i)
{
	i->is_orphan = i->is_unlinked = true;
}

void sw_inode_unlink(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key)
{
	struct sw_inode *i;

	pthread_mutex_lock(&t->lock);
	i = find_in(t, copy, table, key);
	if (i)
		unlink_inode(i);
	pthread_mutex_unlock(&t->lock);
}

/* Give an inode another name. Without the memory for it, it is an orphan and found anew at the next lookup. */
static void rename_inode(struct sw_inodes *t, struct sw_inode *i, struct sw_view table, struct sw_view key)
{
	struct wanted w = {.table = table, .key = key};
	struct sw_ident id;

	if (!i)
		return;
	w.type = i->type;
	w.copy = i->copy;
	make_ident(&w, &id);
	if (name_inode(t, i, &w, &id) < 0)
		i->is_orphan = true;
}

void sw_inode_rename(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, struct sw_view key,
		     struct sw_view new_table, struct sw_view new_key, bool exchange)
{
	struct sw_inode *a, *b;

	pthread_mutex_lock(&t->lock);
	a = find_in(t, copy, table, key);
	b = find_in(t, copy, new_table, new_key);
	if (b && !exchange)
		unlink_inode(b);
	rename_inode(t, a, new_table, new_key);
	if (exchange)
		rename_inode(t, b, table, key);
	pthread_mutex_unlock(&t->lock);
}

void sw_inode_rename_table(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table,
			   struct sw_view new_table, bool exchange, struct sw_buf *moved)
{
	uint8_t key[SW_NAME_MAX];

	pthread_mutex_lock(&t->lock);
	for (size_t b = 0; b < t->n_buckets; b++)
		for (struct sw_inode *i = t->by_id[b]; i; i = i->next_by_id) {
			struct sw_view of = ident_table(i);
			bool moves = sw_view_eq(of, table);

			if ((i->type != SW_NODE_TABLE && i->type != SW_NODE_ROW) || i->is_orphan ||
			    i->copy != copy)
				continue;
			if (!moves && !sw_view_eq(of, new_table))
				continue;
			memcpy(key, ident_key(i).p, i->key_n);
			if (!moves && !exchange) {
				unlink_inode(i);
				continue;
			}
			rename_inode(t, i, moves ? new_table : table, sw_view(key, i->key_n));
			sw_buf_put(moved, &i->id, sizeof(i->id));
		}
	pthread_mutex_unlock(&t->lock);
}

int sw_inode_opened(struct sw_inodes *t, struct sw_inode *i, const struct sw_handle *h)
{
	int rc = 0;

	pthread_mutex_lock(&t->lock);
	if (!i->handle.file)
		sw_handle_dup(work_of(t, i), h, &i->handle);
	else if (sw_handle_generation(&i->handle) != sw_handle_generation(h))
		rc = SW_EAGAIN;
	if (rc == 0)
		i->n_open++;
	pthread_mutex_unlock(&t->lock);
	return rc;
}

void sw_inode_closed(struct sw_inodes *t, struct sw_inode *i)
{
	struct sw_handle h = {0};

	pthread_mutex_lock(&t->lock);
	assert(i->n_open > 0);
	if (--i->n_open == 0 && !i->is_orphan) {
		h = i->handle;
		i->handle = (struct sw_handle){0};
	}
	pthread_mutex_unlock(&t->lock);
	if (h.file)
		sw_handle_release(work_of(t, i), &h);
}

bool sw_inode_handle(struct sw_inodes *t, struct sw_inode *i, struct sw_handle *out)
{
	bool has_file;

	pthread_mutex_lock(&t->lock);
	has_file = i->handle.file != NULL;
	if (has_file)
		sw_handle_dup(work_of(t, i), &i->handle, out);
	pthread_mutex_unlock(&t->lock);
	return has_file;
}

void sw_inode_told_stale(struct sw_inodes *t, const struct sw_inode *i)
{
	pthread_mutex_lock(&t->lock);
	t->stale[i->ident_hash % SW_STALE_MAX] = i->ident_hash;
	pthread_mutex_unlock(&t->lock);
}

bool sw_inode_was_stale(struct sw_inodes *t, const struct sw_inode *i)
{
	bool was_stale;

	pthread_mutex_lock(&t->lock);
	was_stale = t->stale[i->ident_hash % SW_STALE_MAX] == i->ident_hash;
	pthread_mutex_unlock(&t->lock);
	return was_stale;
}

void sw_inode_hold(struct sw_inodes *t, struct sw_inode *i, const struct sw_handle *h)
{
	pthread_mutex_lock(&t->lock);
	if (!i->handle.file)
		sw_handle_dup(work_of(t, i), h, &i->handle);
	pthread_mutex_unlock(&t->lock);
}

void sw_inode_touch(struct sw_inodes *t, struct sw_copy *copy, struct sw_view table, int64_t now_ns)
{
	struct sw_inode *i;

	pthread_mutex_lock(&t->lock);
	i = find_in(t, copy, table, sw_view(NULL, 0));
	if (i)
		i->touched_ns = now_ns;
	pthread_mutex_unlock(&t->lock);
}

void sw_inode_touch_dir(struct sw_inodes *t, struct sw_inode *i, int64_t now_ns)
{
	pthread_mutex_lock(&t->lock);
	i->touched_ns = now_ns;
	pthread_mutex_unlock(&t->lock);
}

int64_t sw_inode_touched(struct sw_inodes *t, const struct sw_inode *i)
{
	int64_t touched_ns;

	pthread_mutex_lock(&t->lock);
	touched_ns = i->touched_ns;
	pthread_mutex_unlock(&t->lock);
	return touched_ns;
}

int sw_snapdir_new(const struct sw_order *order, uint64_t rank, uint64_t version, struct sw_snapdir **out)
{
	struct sw_snapdir *d = calloc(1, sizeof(*d));

	if (!d)
		return SW_ENOMEM;
	d->n_refs = 1;
	d->order = *order;
	d->rank = rank;
	d->version = version;
	pthread_mutex_init(&d->lock, NULL);
	*out = d;
	return 0;
}

void sw_snapdir_put(struct sw_inodes *t, struct sw_snapdir *d)
{
	pthread_mutex_lock(&t->lock);
	snapdir_unref(d);
	pthread_mutex_unlock(&t->lock);
}

/* One that is being opened counts as open, rather than be waited for. */
static bool has_snap(struct sw_snapdir *d)
{
	bool open = true;

	if (pthread_mutex_trylock(&d->lock) == 0) {
		open = d->snap != NULL;
		pthread_mutex_unlock(&d->lock);
	}
	return open;
}

/* The directory that an inode of a snapshot is in, and its name there. */
static uint64_t place_in_snap(const struct sw_inodes *t, const struct sw_inode *i, char buf[static SW_COMMIT_NAME_SIZE],
			      struct sw_view *name)
{
	struct wanted w = {.type = SW_NODE_SNAP, .snap = i->snap};
	const struct sw_inode *parent;

	if (i->type == SW_NODE_SNAP) {
		w = (struct wanted){.type = SW_NODE_COMMITS};
		sw_commit_name(&i->snap->order, buf);
		*name = sw_view_str(buf);
	} else if (i->type == SW_NODE_SNAP_ROW) {
		w.type = SW_NODE_SNAP_TABLE;
		w.table = ident_table(i);
		*name = ident_key(i);
	} else {
		*name = i->type == SW_NODE_SNAP_TABLE ? ident_table(i) : ident_key(i);
	}
	parent = find_wanted(t, &w);
	return parent ? parent->id : 0;
}

/* Of one type. inodes.lock is held. */
static size_t each_in_snaps(struct sw_inodes *t, enum sw_node_type type, uint64_t before, sw_snap_name_fn fn, void *arg)
{
	size_t found = 0;

	for (size_t n = 0; n < t->n_buckets; n++) {
		for (const struct sw_inode *i = t->by_id[n]; i; i = i->next_by_id) {
			char buf[SW_COMMIT_NAME_SIZE];
			struct sw_view name;
			uint64_t parent;

			if (i->type != type || sw_order_stamp(&i->snap->order) >= before || !has_snap(i->snap))
				continue;
			found++;
			parent = fn ? place_in_snap(t, i, buf, &name) : 0;
			if (parent)
				fn(arg, parent, name);
		}
	}
	return found;
}

size_t sw_inodes_in_snaps(struct sw_inodes *t, uint64_t before, sw_snap_name_fn fn, void *arg)
{
	static const enum sw_node_type types[] = {SW_NODE_SNAP_ROW, SW_NODE_SNAP_FILE, SW_NODE_SNAP_TABLE, SW_NODE_SNAP};
	size_t found = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		found += each_in_snaps(t, types[i], before, fn, arg);
	pthread_mutex_unlock(&t->lock);
	return found;
}

int sw_snapdir_open(struct sw_db *db, struct sw_snapdir *d, struct sw_snap **out)
{
	struct sw_hash id;
	int rc = 0;

	sw_order_id(&d->order, &id);
	pthread_mutex_lock(&d->lock);
	if (!d->snap)
		rc = sw_snap_open(db, &id, &d->snap);
	*out = d->snap;
	pthread_mutex_unlock(&d->lock);
	return rc;
}

int sw_inodes_snaps(struct sw_inodes *t, struct sw_buf *out)
{
	pthread_mutex_lock(&t->lock);
	for (size_t b = 0; b < t->n_buckets; b++) {
		for (const struct sw_inode *i = t->by_id[b]; i; i = i->next_by_id) {
			struct sw_snap_known known;

			if (i->type != SW_NODE_SNAP)
				continue;
			known = (struct sw_snap_known){.order = i->snap->order, .version = i->snap->version};
			sw_buf_put(out, &known, sizeof(known));
		}
	}
	pthread_mutex_unlock(&t->lock);
	return out->rc;
}
