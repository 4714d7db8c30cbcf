/*
 * The store on LMDB, the only file that knows it. Every commit is synchronous; the map is huge once and
 * never resized; read transactions are pooled, since beginning one anew takes a lock.
 */
#include "core/store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/log.h"

#define MAP_SIZE	((size_t)1 << 40)
#define MAP_SIZE_MIN	((size_t)1 << 26)
#define READERS_MAX	1024
#define READERS_POOLED	32
#define RESERVE_SIZE	((off_t)1 << 20)
#define RESERVE_ROOM	(4 * RESERVE_SIZE) /* the room that there must be to keep it */

struct sw_txn {
	struct sw_store *store;
	MDB_txn *mdb;
	bool write;
	MDB_cursor *cursors[SW_N_SPACES];
};

struct sw_store {
	char *dir;
	const struct sw_env *env;
	MDB_env *mdb;
	MDB_dbi dbi[SW_N_SPACES];
	int lock_fd;
	atomic_bool has_reserve; /* of those that write */
	pthread_mutex_t pool_lock;
	struct sw_txn *pool[READERS_POOLED]; /* reset read transactions; under pool_lock */
	size_t n_pool;
};

static const char *const space_name[SW_N_SPACES] = {
#define X(name, text) text,
    SW_SPACES(X)
#undef X
};

static int from_mdb(int mrc)
{
	switch (mrc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return SW_ENOTFOUND;
	case MDB_KEYEXIST:
		return SW_EEXIST;
	case MDB_MAP_FULL:
	case ENOSPC:
	case EDQUOT:
		return SW_ENOSPC;
	case ENOMEM:
		return SW_ENOMEM;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
		return SW_ECORRUPT;
	case MDB_VERSION_MISMATCH:
		return SW_EVERSION;
	case MDB_READERS_FULL:
		return SW_EAGAIN;
	default:
		return mrc > 0 ? sw_err_from_errno(mrc) : SW_EIO;
	}
}

/* One sentence: what could not be done in dir, and LMDB's or the system's reason. */
static int fail_mdb(int mrc, const char *dir, const char *what)
{
	if (mrc <= 0)
		return sw_fail(from_mdb(mrc), "%s: cannot %s: %s", dir, what, mdb_strerror(mrc));
	errno = mrc;
	return sw_fail_errno("%s: cannot %s", dir, what);
}

static MDB_val to_val(struct sw_view v)
{
	/* LMDB takes a plain pointer but does not write through it. */
	union {
		const void *from;
		void *to;
	} cast = {v.p};

	return (MDB_val){v.n, cast.to};
}

static struct sw_view from_val(MDB_val v)
{
	return sw_view(v.mv_data, v.mv_size);
}

/* Network file systems break both mmap coherence and locks; they are refused by name. */
static int check_file_system(const char *dir)
{
	struct statfs fs;

	if (statfs(dir, &fs) < 0)
		return sw_fail_errno("%s", dir);
	switch ((unsigned long)fs.f_type) {
	case 0x6969UL:	   /* NFS */
	case 0xff534d42UL: /* CIFS */
	case 0xfe534d42UL: /* SMB2 */
	case 0x01021997UL: /* 9P */
	case 0x65735546UL: /* FUSE */
		return sw_fail(SW_EINVAL,
			       "%s is on a network or FUSE file system, which cannot hold a store; "
			       "choose a local directory with --store",
			       dir);
	default:
		return 0;
	}
}

static int take_lock(struct sw_store *s)
{
	char path[4096], pid[32] = "";
	int n;

	snprintf(path, sizeof(path), "%s/lock", s->dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return sw_fail_errno("%s", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		ssize_t got = read(s->lock_fd, pid, sizeof(pid) - 1);

		pid[got > 0 ? got : 0] = '\0';
		return sw_fail(SW_EBUSY,
			       "the store %s is in use by process %d; stop it, or name its mount "
			       "point instead",
			       s->dir, (int)strtol(pid, NULL, 10));
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(s->lock_fd, 0) < 0 || pwrite(s->lock_fd, pid, (size_t)n, 0) != n)
		return sw_fail_errno("%s", path);
	return 0;
}

static void reserve_path(const struct sw_store *s, char *path, size_t size)
{
	snprintf(path, size, "%s/reserve", s->dir);
}

/* Whether the disk has less room for us than that. */
static bool has_less_room(const struct sw_store *s, off_t size)
{
	struct statfs fs;

	return statfs(s->dir, &fs) == 0 && (off_t)(fs.f_bavail * (uint64_t)fs.f_bsize) < size;
}

/*
 * A little space that is kept while there is enough, and given back when the disk is full: deleting rows to make room
 * takes some itself, and so does committing what is in the journal. Only by whoever may write.
 */
void sw_store_keep_reserve(struct sw_store *s)
{
	char path[4096];
	int fd;

	if (s->has_reserve || has_less_room(s, RESERVE_ROOM))
		return;
	reserve_path(s, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	s->has_reserve = posix_fallocate(fd, 0, RESERVE_SIZE) == 0;
	close(fd);
	if (!s->has_reserve)
		unlink(path);
}

/* One that is there already counts, however little room there is now. */
static void find_reserve(struct sw_store *s)
{
	char path[4096];

	reserve_path(s, path, sizeof(path));
	s->has_reserve = access(path, F_OK) == 0;
}

static void give_reserve(struct sw_store *s)
{
	char path[4096];

	reserve_path(s, path, sizeof(path));
	if (s->has_reserve && unlink(path) == 0)
		sw_log(SW_LOG_WARN, "%s: the disk is full; gave back %d KiB kept for that, make room soon", s->dir,
		       (int)(RESERVE_SIZE >> 10));
	s->has_reserve = false;
}

static int open_env(struct sw_store *s)
{
	size_t size = s->env->map_size ? s->env->map_size : MAP_SIZE;
	char path[4096];
	int rc, dead;

	snprintf(path, sizeof(path), "%s/data.mdb", s->dir);
	do {
		rc = mdb_env_create(&s->mdb);
		if (rc)
			return from_mdb(rc);
		mdb_env_set_maxdbs(s->mdb, SW_N_SPACES);
		mdb_env_set_maxreaders(s->mdb, READERS_MAX);
		mdb_env_set_mapsize(s->mdb, size);
		rc = mdb_env_open(s->mdb, path, MDB_NOTLS | MDB_NOSUBDIR | MDB_NORDAHEAD, 0600);
		if (rc) {
			mdb_env_close(s->mdb);
			s->mdb = NULL;
		}
		size /= 2; /* a limit on address space (ulimit -v) makes a huge map fail */
	} while (rc == ENOMEM && size >= MAP_SIZE_MIN);
	if (from_mdb(rc) == SW_ECORRUPT)
		return sw_fail(SW_ECORRUPT,
			       "%s is damaged, or none of swarmfs (%s); restore the store from a backup, or "
			       "clone the database again from a peer",
			       path, mdb_strerror(rc));
	if (rc)
		return fail_mdb(rc, s->dir, "open data.mdb");
	mdb_reader_check(s->mdb, &dead);
	return 0;
}

static int open_spaces(struct sw_store *s)
{
	MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(s->mdb, NULL, 0, &txn);

	for (int i = 0; rc == 0 && i < SW_N_SPACES; i++)
		rc = mdb_dbi_open(txn, space_name[i], MDB_CREATE, &s->dbi[i]);
	if (rc == 0)
		rc = mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	if (rc)
		return fail_mdb(rc, s->dir, "open data.mdb");
	return 0;
}

/* Make dir and its parents. */
static int make_dirs(const char *dir)
{
	char path[4096];
	size_t n = strlen(dir);

	if (n >= sizeof(path))
		return sw_fail(SW_ETOOLONG, "%.64s...: path too long", dir);
	memcpy(path, dir, n + 1);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return sw_fail_errno("cannot make %s", path);
		*p = '/';
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return sw_fail_errno("cannot make %s", path);
	return 0;
}

/* What an attempt to make a store may have left, and what a file system of its own has. */
static bool may_be_there(const char *name)
{
	static const char *const names[] = {".",   "..",      "lock",	   "data.mdb-lock",
					    "key", "reserve", "lost+found"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* A new store must not spread its files among somebody else's. */
static int check_room(const char *dir)
{
	const struct dirent *e;
	DIR *d = opendir(dir);
	int rc = 0;

	if (!d && errno == ENOENT)
		return 0;
	if (!d && errno == ENOTDIR)
		return sw_fail(SW_ENOTDIR, "%s is not a directory; choose one for the store", dir);
	if (!d)
		return sw_fail_errno("%s", dir);
	while (rc == 0 && (e = readdir(d)))
		if (!may_be_there(e->d_name))
			rc = sw_fail(SW_EEXIST,
				     "%s holds files that are no store (%s, for one); choose an empty or a new "
				     "directory for the store",
				     dir, e->d_name);
	closedir(d);
	return rc;
}

static int check_presence(const char *dir, unsigned flags)
{
	char path[4096];
	struct stat st;
	bool there;
	int rc;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	there = stat(path, &st) == 0;
	if (!there && errno != ENOENT && errno != ENOTDIR)
		return sw_fail_errno("%s", path);
	if (there && (flags & SW_STORE_CREATE))
		return sw_fail(SW_EEXIST, "%s holds a store already; mount or serve it, or choose another directory", dir);
	if (!there && !(flags & SW_STORE_CREATE)) {
		if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
			return sw_fail(SW_ENOTFOUND,
				       "%s is not a swarmfs store; make one with 'swarmfs init %s'",
				       dir, dir);
		return sw_fail(SW_ENOTFOUND, "%s: there is no store; make one with 'swarmfs init %s'",
			       dir, dir);
	}
	if (!(flags & SW_STORE_CREATE))
		return 0;
	rc = check_room(dir);
	return rc < 0 ? rc : make_dirs(dir);
}

int sw_store_open(const char *dir, unsigned flags, const struct sw_env *env, struct sw_store **out)
{
	struct sw_store *s;
	int rc = check_presence(dir, flags);

	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return SW_ENOMEM;
	s->lock_fd = -1;
	s->env = env;
	pthread_mutex_init(&s->pool_lock, NULL);
	s->dir = strdup(dir);
	rc = s->dir ? check_file_system(dir) : SW_ENOMEM;
	if (rc == 0)
		rc = take_lock(s);
	if (rc == 0)
		rc = open_env(s);
	if (rc == 0)
		rc = open_spaces(s);
	if (rc < 0) {
		sw_store_close(s);
		return rc;
	}
	find_reserve(s);
	sw_store_keep_reserve(s);
	*out = s;
	return 0;
}

static void txn_free(struct sw_txn *txn)
{
	for (int i = 0; i < SW_N_SPACES; i++)
		if (txn->cursors[i] && !txn->write)
			mdb_cursor_close(txn->cursors[i]);
	if (txn->mdb)
		mdb_txn_abort(txn->mdb);
	free(txn);
}

void sw_store_close(struct sw_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n_pool; i++)
		txn_free(s->pool[i]);
	if (s->mdb)
		mdb_env_close(s->mdb);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->pool_lock);
	free(s->dir);
	free(s);
}

const char *sw_store_dir(const struct sw_store *s)
{
	return s->dir;
}

int sw_store_size(struct sw_store *s, uint64_t *used, uint64_t *file)
{
	char path[4096];
	MDB_envinfo info;
	MDB_stat stat_;
	struct stat st;

	mdb_env_info(s->mdb, &info);
	mdb_env_stat(s->mdb, &stat_);
	snprintf(path, sizeof(path), "%s/data.mdb", s->dir);
	if (stat(path, &st) < 0)
		return sw_fail_errno("%s", path);
	*used = (uint64_t)(info.me_last_pgno + 1) * stat_.ms_psize;
	*file = (uint64_t)st.st_size;
	return 0;
}

/* LMDB keeps its free pages in its first table, a list for each transaction that freed some: a count, then the pages. */
int sw_store_free_bytes(struct sw_store *s, uint64_t *out)
{
	MDB_val key, list;
	MDB_cursor *cursor = NULL;
	uint64_t n_pages = 0;
	MDB_txn *txn;
	MDB_stat st;
	int mrc = mdb_txn_begin(s->mdb, NULL, MDB_RDONLY, &txn);

	if (mrc != 0)
		return fail_mdb(mrc, s->dir, "begin a transaction");
	mrc = mdb_cursor_open(txn, 0, &cursor);
	while (mrc == 0 && (mrc = mdb_cursor_get(cursor, &key, &list, MDB_NEXT)) == 0) {
		size_t n = 0;

		if (list.mv_size >= sizeof(n))
			memcpy(&n, list.mv_data, sizeof(n));
		n_pages += n;
	}
	mdb_env_stat(s->mdb, &st);
	if (cursor)
		mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	if (mrc != 0 && mrc != MDB_NOTFOUND)
		return fail_mdb(mrc, s->dir, "read the list of free pages");
	*out = n_pages * st.ms_psize;
	return 0;
}

static struct sw_txn *pool_take(struct sw_store *s)
{
	struct sw_txn *txn = NULL;

	pthread_mutex_lock(&s->pool_lock);
	if (s->n_pool)
		txn = s->pool[--s->n_pool];
	pthread_mutex_unlock(&s->pool_lock);
	return txn;
}

void sw_store_will_read(const uint8_t *from, size_t n)
{
	size_t into = (uintptr_t)from & ((size_t)sysconf(_SC_PAGESIZE) - 1);
	/* It takes a plain pointer but does not write through it. */
	union {
		const void *from;
		void *to;
	} cast = {from - into};

	(void)madvise(cast.to, n + into, MADV_WILLNEED);
}

int sw_txn_begin(struct sw_store *s, bool write, struct sw_txn **out)
{
	struct sw_txn *txn = write ? NULL : pool_take(s);
	int rc;

	if (txn) {
		rc = mdb_txn_renew(txn->mdb);
		if (rc) {
			txn_free(txn);
			return from_mdb(rc);
		}
		*out = txn;
		return 0;
	}
	txn = calloc(1, sizeof(*txn));
	if (!txn)
		return SW_ENOMEM;
	txn->store = s;
	txn->write = write;
	rc = mdb_txn_begin(s->mdb, NULL, write ? 0 : MDB_RDONLY, &txn->mdb);
	if (rc) {
		free(txn);
		return fail_mdb(rc, s->dir, write ? "write" : "read");
	}
	*out = txn;
	return 0;
}

int sw_txn_commit(struct sw_txn *txn)
{
	struct sw_store *s = txn->store;
	int rc;

	assert(txn->write);
	rc = sw_env_fault(s->env, "store.commit");
	if (rc < 0) {
		sw_txn_abort(txn);
		return rc;
	}
	rc = mdb_txn_commit(txn->mdb);
	txn->mdb = NULL;
	free(txn);
	/* The disk took a part of it, which LMDB calls EIO. */
	if (rc == EIO && has_less_room(s, RESERVE_SIZE))
		rc = ENOSPC;
	if (rc == ENOSPC)
		give_reserve(s);
	if (rc)
		return fail_mdb(rc, s->dir, "commit");
	sw_store_keep_reserve(s);
	return 0;
}

void sw_txn_abort(struct sw_txn *txn)
{
	struct sw_store *s;
	bool pooled = false;

	if (!txn)
		return;
	s = txn->store;
	if (!txn->write) {
		mdb_txn_reset(txn->mdb);
		pthread_mutex_lock(&s->pool_lock);
		if (s->n_pool < READERS_POOLED) {
			s->pool[s->n_pool++] = txn;
			pooled = true;
		}
		pthread_mutex_unlock(&s->pool_lock);
	}
	if (!pooled)
		txn_free(txn);
}

int sw_txn_get(struct sw_txn *txn, enum sw_space space, struct sw_view key, struct sw_view *value)
{
	MDB_val k = to_val(key), v;
	int rc = mdb_get(txn->mdb, txn->store->dbi[space], &k, &v);

	if (rc)
		return from_mdb(rc);
	*value = from_val(v);
	return 0;
}

static int put(struct sw_txn *txn, enum sw_space space, struct sw_view key, struct sw_view value,
	       unsigned flags)
{
	MDB_val k = to_val(key), v = to_val(value);
	int rc;

	assert(txn->write);
	assert(key.n > 0 && key.n <= SW_STORE_KEY_MAX);
	rc = mdb_put(txn->mdb, txn->store->dbi[space], &k, &v, flags);
	if (rc == MDB_KEYEXIST) /* of MDB_APPEND: not above all others */
		rc = mdb_put(txn->mdb, txn->store->dbi[space], &k, &v, 0);
	if (rc)
		return fail_mdb(rc, txn->store->dir, "write");
	return 0;
}

int sw_txn_put(struct sw_txn *txn, enum sw_space space, struct sw_view key, struct sw_view value)
{
	return put(txn, space, key, value, 0);
}

int sw_txn_append(struct sw_txn *txn, enum sw_space space, struct sw_view key,
		  struct sw_view value)
{
	return put(txn, space, key, value, MDB_APPEND);
}

int sw_txn_del(struct sw_txn *txn, enum sw_space space, struct sw_view key)
{
	MDB_val k = to_val(key);
	int rc;

	assert(txn->write);
	rc = mdb_del(txn->mdb, txn->store->dbi[space], &k, NULL);
	if (rc == 0 || rc == MDB_NOTFOUND)
		return 0;
	return fail_mdb(rc, txn->store->dir, "delete");
}

/* Cursors are kept for the life of the transaction: opening one per seek costs more than the seek. */
static int cursor(struct sw_txn *txn, enum sw_space space, MDB_cursor **out)
{
	int rc = 0;

	if (!txn->cursors[space])
		rc = mdb_cursor_open(txn->mdb, txn->store->dbi[space], &txn->cursors[space]);
	else if (!txn->write)
		rc = mdb_cursor_renew(txn->mdb, txn->cursors[space]);
	*out = txn->cursors[space];
	return from_mdb(rc);
}

static int seek_result(int mrc, MDB_val k, MDB_val v, struct sw_view *found, struct sw_view *value)
{
	if (mrc == MDB_NOTFOUND)
		return 0;
	if (mrc)
		return from_mdb(mrc);
	*found = from_val(k);
	*value = from_val(v);
	return 1;
}

int sw_txn_ceil(struct sw_txn *txn, enum sw_space space, struct sw_view key, struct sw_view *found,
		struct sw_view *value)
{
	MDB_val k = to_val(key), v;
	MDB_cursor *c;
	int rc = cursor(txn, space, &c);

	if (rc < 0)
		return rc;
	rc = mdb_cursor_get(c, &k, &v, key.n ? MDB_SET_RANGE : MDB_FIRST);
	return seek_result(rc, k, v, found, value);
}

int sw_txn_floor(struct sw_txn *txn, enum sw_space space, struct sw_view key,
		 struct sw_view *found, struct sw_view *value)
{
	MDB_val k = to_val(key), v;
	MDB_cursor *c;
	int rc = cursor(txn, space, &c);

	if (rc < 0)
		return rc;
	rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
	if (rc == 0 && sw_view_eq(from_val(k), key))
		return seek_result(rc, k, v, found, value);
	rc = mdb_cursor_get(c, &k, &v, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
	return seek_result(rc, k, v, found, value);
}

uint64_t sw_txn_count(struct sw_txn *txn, enum sw_space space)
{
	MDB_stat st;

	if (mdb_stat(txn->mdb, txn->store->dbi[space], &st))
		return 0;
	return st.ms_entries;
}

uint64_t sw_txn_id(const struct sw_txn *txn)
{
	return mdb_txn_id(txn->mdb);
}
