/*
 * The reference file system of the FUSE benchmarks: names and bytes in memory, nothing behind them.
 *
 * What it costs is what the kernel, libfuse and two context switches cost, so the distance
 * from here to swarmfs is what swarmfs itself costs. For that it has the same shape (tables below
 * the root, rows in tables, EPERM for everything else) and the same mount flags: multithreaded
 * loop, long timeouts, keep_cache, explicit invalidation, no write-back cache. It uses no code
 * of swarmfs, on purpose.
 *
 * One read-write lock guards all names and bytes. A node lives until it has neither a name nor a
 * lookup count; the node number is its address, which nobody holds any more by then.
 */
#define FUSE_USE_VERSION 312

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A fixed table: short chains up to about a million names, and no pause for growing. */
#define BUCKETS       (1u << 18)
#define NAME_LEN_MAX  255
#define FIRST_COOKIE  3 /* 1 follows ".", 2 follows "..", slot i has i + FIRST_COOKIE */
#define PREFILL_BYTES 100
#define FILE_SIZE_MAX (INT64_C(1) << 40)

struct node {
	_Atomic uint64_t nlookup; /* up under either mode of fs.lock, down under the write mode */
	struct node *parent;      /* NULL: no name any more; the root is its own parent */
	struct node *next_in_bucket;
	uint32_t hash;
	size_t slot; /* in parent->slots */
	char *name;
	struct stat st;

	uint8_t *data; /* files */
	size_t cap;

	/*
	 * Directories: children in order of arrival, NULL where one has left, so that the
	 * cookies of an open listing stay true while rm empties the directory behind it.
	 */
	struct node **slots;
	size_t n_slots, cap_slots, n_children, n_open;
};

static struct {
	pthread_rwlock_t lock;
	struct node *buckets[BUCKETS];
	struct node root;
	ino_t last_ino;
	int ready_fd; /* the parent waits here for the news that we are mounted */
	bool foreground;
	/* options */
	double entry_timeout, attr_timeout, negative_timeout;
	int no_readdirplus, cache_readdir;
	unsigned prefill, prefill_list;
} fs = {
    .lock = PTHREAD_RWLOCK_INITIALIZER,
    .ready_fd = -1,
    .entry_timeout = 3600,
    .attr_timeout = 3600,
};

static const struct fuse_opt option_spec[] = {
    {"entry_timeout=%lf", offsetof(__typeof__(fs), entry_timeout), 0},
    {"attr_timeout=%lf", offsetof(__typeof__(fs), attr_timeout), 0},
    {"negative_timeout=%lf", offsetof(__typeof__(fs), negative_timeout), 0},
    {"no_readdirplus", offsetof(__typeof__(fs), no_readdirplus), 1},
    {"cache_readdir", offsetof(__typeof__(fs), cache_readdir), 1},
    {"prefill=%u", offsetof(__typeof__(fs), prefill), 0},
    {"prefill_list=%u", offsetof(__typeof__(fs), prefill_list), 0},
    FUSE_OPT_END,
};

static struct node *node_of(fuse_ino_t ino)
{
	/* NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel hands our own pointers back. */
	return ino == FUSE_ROOT_ID ? &fs.root : (struct node *)(uintptr_t)ino;
}

static fuse_ino_t ino_of(const struct node *n)
{
	return n == &fs.root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)n;
}

static struct timespec now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts;
}

/* ---- names: everything here wants fs.lock, for writing where it changes something ---- */

/* FNV-1a over the parent's address and the name: nobody attacks a benchmark. */
static uint32_t name_hash(const struct node *parent, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uintptr_t)parent;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (uint32_t)(h ^ h >> 32);
}

static struct node *name_find(const struct node *parent, const char *name)
{
	uint32_t hash = name_hash(parent, name);
	struct node *n = fs.buckets[hash % BUCKETS];

	while (n && (n->hash != hash || n->parent != parent || strcmp(n->name, name) != 0))
		n = n->next_in_bucket;
	return n;
}

/* Move the children together, once half the slots are empty and no listing holds a cookie. */
static void dir_compact(struct node *dir)
{
	size_t to = 0;

	if (dir->n_open || dir->n_children > dir->n_slots / 2)
		return;
	for (size_t i = 0; i < dir->n_slots; i++) {
		if (!dir->slots[i])
			continue;
		dir->slots[to] = dir->slots[i];
		dir->slots[to]->slot = to;
		to++;
	}
	assert(to == dir->n_children);
	dir->n_slots = to;
}

/* Room for two more names, as an exchange needs, so that the linking that follows cannot fail. */
static int dir_reserve(struct node *dir)
{
	size_t cap = dir->cap_slots ? 2 * dir->cap_slots : 16;
	struct node **slots;

	if (dir->n_slots + 2 <= dir->cap_slots)
		return 0;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers. */
	slots = realloc(dir->slots, cap * sizeof(*slots));
	if (!slots)
		return ENOMEM;
	dir->slots = slots;
	dir->cap_slots = cap;
	return 0;
}

/* Gives n the name in a directory with room for it; takes ownership of the string. */
static void name_link(struct node *n, struct node *parent, char *name)
{
	assert(parent->n_slots < parent->cap_slots);
	n->parent = parent;
	n->name = name;
	n->hash = name_hash(parent, name);
	n->next_in_bucket = fs.buckets[n->hash % BUCKETS];
	fs.buckets[n->hash % BUCKETS] = n;
	n->slot = parent->n_slots;
	parent->slots[parent->n_slots++] = n;
	parent->n_children++;
	if (S_ISDIR(n->st.st_mode))
		parent->st.st_nlink++;
	parent->st.st_mtim = parent->st.st_ctim = now();
}

static void name_unlink(struct node *n)
{
	struct node *parent = n->parent;
	struct node **p = &fs.buckets[n->hash % BUCKETS];

	while (*p != n)
		p = &(*p)->next_in_bucket;
	*p = n->next_in_bucket;
	assert(parent->slots[n->slot] == n);
	parent->slots[n->slot] = NULL;
	parent->n_children--;
	if (S_ISDIR(n->st.st_mode))
		parent->st.st_nlink--;
	dir_compact(parent);
	free(n->name);
	n->name = NULL;
	n->parent = NULL;
	parent->st.st_mtim = parent->st.st_ctim = now();
}

/* ---- nodes ---- */

static struct node *node_new(mode_t mode, uid_t uid, gid_t gid)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->st.st_ino = ++fs.last_ino;
	n->st.st_mode = mode;
	n->st.st_nlink = S_ISDIR(mode) ? 2 : 1;
	n->st.st_uid = uid;
	n->st.st_gid = gid;
	n->st.st_blksize = 4096;
	n->st.st_atim = n->st.st_mtim = n->st.st_ctim = now();
	return n;
}

/* Frees n unless a name or the kernel still refers to it. */
static void node_drop(struct node *n)
{
	if (n->parent || atomic_load(&n->nlookup))
		return;
	free(n->data);
	free(n->slots);
	free(n);
}

/* A new node below parent with that name, or NULL; *out_err says why. */
static struct node *node_create(struct node *parent, const char *name, mode_t mode, uid_t uid,
				gid_t gid, int *out_err)
{
	struct node *n;
	char *copy;

	*out_err = strlen(name) > NAME_LEN_MAX ? ENAMETOOLONG : 0;
	if (!*out_err && name_find(parent, name))
		*out_err = EEXIST;
	/* A directory that was removed while somebody has it open takes nothing in. */
	if (!*out_err && !parent->parent)
		*out_err = ENOENT;
	if (*out_err)
		return NULL;
	n = node_new(mode, uid, gid);
	copy = strdup(name);
	if (!n || !copy || dir_reserve(parent) != 0) {
		free(copy);
		free(n);
		*out_err = ENOMEM;
		return NULL;
	}
	name_link(n, parent, copy);
	return n;
}

static int node_resize(struct node *n, size_t size)
{
	if (size > n->cap) {
		size_t cap = n->cap * 2 > size ? n->cap * 2 : size;
		uint8_t *data = realloc(n->data, cap);

		if (!data)
			return ENOSPC;
		n->data = data;
		n->cap = cap;
	}
	if (size > (size_t)n->st.st_size)
		memset(n->data + n->st.st_size, 0, size - (size_t)n->st.st_size);
	n->st.st_size = (off_t)size;
	n->st.st_blocks = (blkcnt_t)((size + 4095) / 4096 * 8);
	n->st.st_mtim = n->st.st_ctim = now();
	return 0;
}

/* Fills e and counts the reference that the kernel gets with it. */
static void entry_of(struct node *n, struct fuse_entry_param *e)
{
	memset(e, 0, sizeof(*e));
	atomic_fetch_add(&n->nlookup, 1);
	e->ino = ino_of(n);
	e->attr = n->st;
	e->attr_timeout = fs.attr_timeout;
	e->entry_timeout = fs.entry_timeout;
}

static void forget_one(fuse_ino_t ino, uint64_t nlookup)
{
	struct node *n = node_of(ino);

	if (n == &fs.root)
		return;
	pthread_rwlock_wrlock(&fs.lock);
	assert(atomic_load(&n->nlookup) >= nlookup);
	atomic_fetch_sub(&n->nlookup, nlookup);
	node_drop(n);
	pthread_rwlock_unlock(&fs.lock);
}

static void reply_entry(fuse_req_t req, const struct fuse_entry_param *e)
{
	if (fuse_reply_entry(req, e) == -ENOENT && e->ino)
		forget_one(e->ino, 1); /* interrupted: the kernel never saw it */
}

/* ---- handlers ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->want &= ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_WRITEBACK_CACHE);
	conn->want |= conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
	if (fs.no_readdirplus)
		conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	if (fs.ready_fd < 0)
		return;
	/* The kernel has spoken to us: the mount is usable from here on. */
	if (write(fs.ready_fd, "", 1) != 1)
		perror("bench_minfs: telling the parent");
	close(fs.ready_fd);
	fs.ready_fd = -1;
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.entry_timeout = fs.negative_timeout};
	struct node *n;

	if (strlen(name) > NAME_LEN_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	pthread_rwlock_rdlock(&fs.lock);
	n = name_find(node_of(parent), name);
	if (n)
		entry_of(n, &e);
	pthread_rwlock_unlock(&fs.lock);
	if (!n && fs.negative_timeout <= 0)
		fuse_reply_err(req, ENOENT);
	else
		reply_entry(req, &e); /* node number 0: a name that may be cached as missing */
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget_one(ino, nlookup);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_one(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	pthread_rwlock_rdlock(&fs.lock);
	st = node_of(ino)->st;
	pthread_rwlock_unlock(&fs.lock);
	fuse_reply_attr(req, &st, fs.attr_timeout);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);
	struct stat st;
	int err = 0;

	(void)fi;
	pthread_rwlock_wrlock(&fs.lock);
	if (to_set & FUSE_SET_ATTR_SIZE)
		err = attr->st_size > FILE_SIZE_MAX ? EFBIG : node_resize(n, (size_t)attr->st_size);
	if (!err) {
		if (to_set & FUSE_SET_ATTR_MODE)
			n->st.st_mode = (n->st.st_mode & S_IFMT) | (attr->st_mode & 0777);
		if (to_set & FUSE_SET_ATTR_UID)
			n->st.st_uid = attr->st_uid;
		if (to_set & FUSE_SET_ATTR_GID)
			n->st.st_gid = attr->st_gid;
		if (to_set & FUSE_SET_ATTR_ATIME)
			n->st.st_atim = to_set & FUSE_SET_ATTR_ATIME_NOW ? now() : attr->st_atim;
		if (to_set & FUSE_SET_ATTR_MTIME)
			n->st.st_mtim = to_set & FUSE_SET_ATTR_MTIME_NOW ? now() : attr->st_mtim;
		n->st.st_ctim = now();
	}
	st = n->st;
	pthread_rwlock_unlock(&fs.lock);
	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_attr(req, &st, fs.attr_timeout);
}

/* mkdir and create: what they share, with the reference counted for the reply. */
static int make_node(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		     struct fuse_entry_param *e)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct node *n;
	int err;

	/* Tables in the root, rows in tables: the shape that is being compared. */
	if (S_ISDIR(mode) != (parent == FUSE_ROOT_ID))
		return EPERM;
	pthread_rwlock_wrlock(&fs.lock);
	n = node_create(node_of(parent), name, mode, ctx->uid, ctx->gid, &err);
	if (n)
		entry_of(n, e);
	pthread_rwlock_unlock(&fs.lock);
	return err;
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fuse_entry_param e;
	int err = make_node(req, parent, name, S_IFDIR | (mode & 0777), &e);

	if (err)
		fuse_reply_err(req, err);
	else
		reply_entry(req, &e);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct fuse_entry_param e;
	int err = make_node(req, parent, name, S_IFREG | (mode & 0777), &e);

	if (err) {
		fuse_reply_err(req, err);
		return;
	}
	fi->keep_cache = 1;
	if (fuse_reply_create(req, &e, fi) == -ENOENT)
		forget_one(e.ino, 1);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	fuse_reply_err(req, EPERM);
}

static void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	(void)link;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	(void)ino;
	(void)newparent;
	(void)newname;
	fuse_reply_err(req, EPERM);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *n;
	int err = 0;

	pthread_rwlock_wrlock(&fs.lock);
	n = name_find(node_of(parent), name);
	if (!n) {
		err = ENOENT;
	} else if (n->n_children) {
		err = ENOTEMPTY;
	} else {
		name_unlink(n);
		n->st.st_nlink = 0;
		n->st.st_ctim = now();
		node_drop(n);
	}
	pthread_rwlock_unlock(&fs.lock);
	fuse_reply_err(req, err);
}

/* Under the write lock. Every check comes before the first change. */
static int rename_locked(struct node *from, const char *name, struct node *to, const char *newname,
			 unsigned flags)
{
	struct node *n = name_find(from, name);
	struct node *old = name_find(to, newname);
	char *copy, *back;

	if (!n || !to->parent || (flags == RENAME_EXCHANGE && !old))
		return ENOENT;
	if (strlen(newname) > NAME_LEN_MAX)
		return ENAMETOOLONG;
	if (S_ISDIR(n->st.st_mode) != (to == &fs.root))
		return EPERM;
	if (old && flags == RENAME_NOREPLACE)
		return EEXIST;
	if (old == n)
		return 0;
	if (old && !flags && old->n_children)
		return ENOTEMPTY;
	copy = strdup(newname);
	back = flags == RENAME_EXCHANGE ? strdup(name) : NULL;
	if (!copy || (flags == RENAME_EXCHANGE && !back) || dir_reserve(to) || dir_reserve(from)) {
		free(copy);
		free(back);
		return ENOMEM;
	}
	name_unlink(n);
	n->st.st_ctim = now();
	if (old)
		name_unlink(old);
	name_link(n, to, copy);
	if (back) {
		name_link(old, from, back);
	} else if (old) {
		old->st.st_nlink = 0;
		node_drop(old);
	}
	return 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		      const char *newname, unsigned int flags)
{
	int err;

	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	pthread_rwlock_wrlock(&fs.lock);
	err = rename_locked(node_of(parent), name, node_of(newparent), newname, flags);
	pthread_rwlock_unlock(&fs.lock);
	fuse_reply_err(req, err);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	/* O_TRUNC comes here, not as SETATTR: atomic_o_trunc is on by default in libfuse. */
	if (fi->flags & O_TRUNC) {
		pthread_rwlock_wrlock(&fs.lock);
		node_resize(node_of(ino), 0);
		pthread_rwlock_unlock(&fs.lock);
	}
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	const struct node *n = node_of(ino);
	size_t len = 0;

	(void)fi;
	/* The reply is sent under the read lock: no copy, and readers do not exclude each other. */
	pthread_rwlock_rdlock(&fs.lock);
	if (off < n->st.st_size)
		len = (size_t)(n->st.st_size - off) < size ? (size_t)(n->st.st_size - off) : size;
	fuse_reply_buf(req, len ? (const char *)n->data + off : NULL, len);
	pthread_rwlock_unlock(&fs.lock);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	struct node *n = node_of(ino);
	size_t old_size, end;
	int err = 0;

	pthread_rwlock_wrlock(&fs.lock);
	if (fi->flags & O_APPEND)
		off = n->st.st_size;
	old_size = (size_t)n->st.st_size;
	end = (size_t)off + size;
	if (off > FILE_SIZE_MAX)
		err = EFBIG;
	else
		err = node_resize(n, end > old_size ? end : old_size);
	if (!err)
		memcpy(n->data + off, buf, size);
	pthread_rwlock_unlock(&fs.lock);
	if (err)
		fuse_reply_err(req, err);
	else
		fuse_reply_write(req, size);
}

/* flush, release: answered, because swarmfs has to answer them too. */
static void op_file_ok(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	op_file_ok(req, ino, fi);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *dir = node_of(ino);

	pthread_rwlock_wrlock(&fs.lock);
	dir->n_open++;
	pthread_rwlock_unlock(&fs.lock);
	fi->cache_readdir = fs.cache_readdir ? 1 : 0;
	fi->keep_cache = fi->cache_readdir;
	if (fuse_reply_open(req, fi) == -ENOENT) {
		pthread_rwlock_wrlock(&fs.lock);
		dir->n_open--;
		pthread_rwlock_unlock(&fs.lock);
	}
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *dir = node_of(ino);

	(void)fi;
	pthread_rwlock_wrlock(&fs.lock);
	dir->n_open--;
	dir_compact(dir);
	pthread_rwlock_unlock(&fs.lock);
	fuse_reply_err(req, 0);
}

static size_t add_entry(fuse_req_t req, char *buf, size_t room, bool plus, struct node *n,
			const char *name, off_t next)
{
	struct fuse_entry_param e = {.attr = n->st};
	bool dots = name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
	size_t need;

	if (!plus)
		return fuse_add_direntry(req, buf, room, name, &n->st, next);
	/* Count the reference only for an entry that fits; "." and ".." carry none. */
	need = fuse_add_direntry_plus(req, NULL, 0, name, NULL, 0);
	if (need <= room && !dots)
		entry_of(n, &e);
	return fuse_add_direntry_plus(req, buf, room, name, &e, next);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct node *dir = node_of(ino);
	size_t pos = 0, len;
	char *buf = malloc(size);

	if (!buf) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	pthread_rwlock_rdlock(&fs.lock);
	for (;;) {
		struct node *n = dir;
		const char *name = ".";

		if (off == 1) {
			name = "..";
			n = dir->parent ? dir->parent : dir;
		} else if (off > 1) {
			size_t i = (size_t)off + 1 - FIRST_COOKIE;

			while (i < dir->n_slots && !dir->slots[i])
				i++;
			if (i >= dir->n_slots)
				break;
			n = dir->slots[i];
			name = n->name;
			off = (off_t)i + FIRST_COOKIE - 1;
		}
		len = add_entry(req, buf + pos, size - pos, plus, n, name, off + 1);
		if (len > size - pos)
			break;
		pos += len;
		off++;
	}
	pthread_rwlock_unlock(&fs.lock);
	/* If this fails the mount is going away, and the counts with it. */
	fuse_reply_buf(req, buf, pos);
	free(buf);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

static const struct fuse_lowlevel_ops ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = remove_name,
    .rmdir = remove_name,
    .symlink = op_symlink,
    .link = op_link,
    .rename = op_rename,
    .open = op_open,
    .create = op_create,
    .read = op_read,
    .write = op_write,
    .flush = op_file_ok,
    .release = op_file_ok,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsync,
};

/* ---- starting ---- */

/*
 * Tables "cold" and "cold-list" of rows r000000.json and so on, before the kernel has seen any of
 * them: the only way to measure a first lookup as a plain user, since creating a row caches it.
 */
static int prefill(void)
{
	static const char *const tables[] = {"cold", "cold-list"};
	char name[32];
	int err = 0;

	for (size_t t = 0; fs.prefill && t < 2; t++) {
		unsigned n_rows = t == 1 && fs.prefill_list ? fs.prefill_list : fs.prefill;
		struct node *dir =
		    node_create(&fs.root, tables[t], S_IFDIR | 0755, getuid(), getgid(), &err);

		for (unsigned i = 0; dir && !err && i < n_rows; i++) {
			struct node *n;

			snprintf(name, sizeof(name), "r%06u.json", i);
			n = node_create(dir, name, S_IFREG | 0644, getuid(), getgid(), &err);
			if (n)
				err = node_resize(n, PREFILL_BYTES);
			if (n && !err)
				memset(n->data, 'x', PREFILL_BYTES);
		}
		if (err)
			return err;
	}
	return 0;
}

static void usage(FILE *f)
{
	fprintf(
	    f, "usage: bench_minfs [-f] [-o OPTIONS] MOUNTPOINT\n"
	       "A minimal in-memory FUSE file system, the reference of the benchmarks.\n"
	       "  -f                      stay in the foreground\n"
	       "  -o entry_timeout=S      lifetime of cached names in seconds (3600)\n"
	       "  -o attr_timeout=S       lifetime of cached attributes (3600)\n"
	       "  -o negative_timeout=S   lifetime of cached misses (0: not cached)\n"
	       "  -o no_readdirplus       list names only\n"
	       "  -o cache_readdir        let the kernel keep listings\n"
	       "  -o prefill=N            begin with tables 'cold' and 'cold-list' of N rows each\n"
	       "  -o prefill_list=N       'cold-list' has that many instead\n"
	       "Other -o options go to the mount. Ends on SIGTERM or umount.\n");
}

/*
 * The parent waits for one byte, which the child writes when the kernel has said hello; end
 * of file before that means failure, and the child has already said why.
 */
static int wait_for_child(pid_t pid, int fd)
{
	ssize_t n;
	char c;
	int status;

	do {
		n = read(fd, &c, 1);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		return 0;
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status))
		return WEXITSTATUS(status);
	return 1;
}

static void detach_output(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int serve(struct fuse_args *args, const char *mountpoint)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *se = fuse_session_new(args, &ops, sizeof(ops), NULL);
	int rc = 1;

	if (!config || !se)
		goto out;
	if (fuse_set_signal_handlers(se) != 0)
		goto out;
	if (fuse_session_mount(se, mountpoint) != 0)
		goto out_signals;
	if (!fs.foreground)
		detach_output();
	rc = fuse_session_loop_mt(se, config);
	/* A positive value is the signal that ended the loop: an ordinary end. */
	rc = rc < 0 ? 1 : 0;
	fuse_session_unmount(se);
out_signals:
	fuse_remove_signal_handlers(se);
out:
	if (se)
		fuse_session_destroy(se);
	if (config)
		fuse_loop_cfg_destroy(config);
	return rc;
}

int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts opts = {0};
	char *mountpoint = NULL;
	int fds[2], rc = 2;
	pid_t pid;

	if (fuse_opt_parse(&args, &fs, option_spec, NULL) != 0 ||
	    fuse_parse_cmdline(&args, &opts) != 0 ||
	    fuse_opt_add_arg(&args, "-ofsname=bench_minfs,subtype=bench_minfs,"
				    "default_permissions") != 0)
		goto out;
	if (opts.show_help || !opts.mountpoint) {
		usage(opts.show_help ? stdout : stderr);
		rc = opts.show_help ? 0 : 2;
		goto out;
	}
	rc = 1;
	mountpoint = realpath(opts.mountpoint, NULL);
	if (!mountpoint) {
		fprintf(stderr, "bench_minfs: %s: %s\n", opts.mountpoint, strerror(errno));
		goto out;
	}
	fs.foreground = opts.foreground;
	fs.root.parent = &fs.root;
	fs.root.st.st_ino = fs.last_ino = FUSE_ROOT_ID;
	fs.root.st.st_mode = S_IFDIR | 0755;
	fs.root.st.st_nlink = 2;
	fs.root.st.st_uid = getuid();
	fs.root.st.st_gid = getgid();
	fs.root.st.st_atim = fs.root.st.st_mtim = fs.root.st.st_ctim = now();
	if (prefill() != 0) {
		fprintf(stderr, "bench_minfs: no memory for %u rows\n", fs.prefill);
		goto out;
	}
	if (!fs.foreground) {
		if (pipe2(fds, O_CLOEXEC) != 0) {
			perror("bench_minfs: pipe");
			goto out;
		}
		pid = fork();
		if (pid < 0) {
			perror("bench_minfs: fork");
			goto out;
		}
		if (pid > 0) {
			close(fds[1]);
			rc = wait_for_child(pid, fds[0]);
			goto out;
		}
		close(fds[0]);
		fs.ready_fd = fds[1];
		setsid();
		if (chdir("/") != 0)
			perror("bench_minfs: chdir");
	}
	rc = serve(&args, mountpoint);
out:
	free(mountpoint);
	free(opts.mountpoint);
	fuse_opt_free_args(&args);
	return rc;
}
