#include "core/spill.h"

#include "core/dir.h"
#include "core/hash.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct sw_spill {
	atomic_size_t n_refs;
	const struct sw_env *env;
	char *dir, *path;
	uint64_t number;
	uint64_t size;
	size_t n_fixers;
	uint64_t fixed;		 /* bytes that must not change, while there are fixers */
	uint64_t *checks; /* of blocks, as they were written; 0: it is to be read for it */
	uint64_t n_checks;
	atomic_bool is_kept;
	atomic_bool is_broken;
	pthread_mutex_t sync_lock;	 /* one flush at a time */
	atomic_uint_least64_t n_changes; /* what was there already counts as one: nobody knows whether it was flushed */
	atomic_uint_least64_t n_flushed; /* so many of them are on the disk */
	/* Under opened.lock: */
	int fd;			      /* -1: not open */
	size_t n_users;		      /* of fd, which stays open for them */
	struct sw_spill *next, *prev; /* in opened, while it is open */
};

#define BLOCK_SIZE ((uint64_t)SW_SPILL_PIECE)

/*
 * Rows above the limit of memory may be many, and descriptors are few: only those that were used last are open, of all journals
 * of the process together. One that somebody uses is never closed, so there may be more of them for a moment.
 */
#define OPEN_MAX 64

static struct {
	pthread_mutex_t lock;
	struct sw_spill *first, *last; /* the first was used last */
	size_t n;
} opened = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* opened.lock is held for these. */

static void link_first(struct sw_spill *s)
{
	s->prev = NULL;
	s->next = opened.first;
	*(s->next ? &s->next->prev : &opened.last) = s;
	opened.first = s;
	opened.n++;
}

static void unlink_opened(struct sw_spill *s)
{
	*(s->prev ? &s->prev->next : &opened.first) = s->next;
	*(s->next ? &s->next->prev : &opened.last) = s->prev;
	opened.n--;
}

static void close_fd(struct sw_spill *s)
{
	unlink_opened(s);
	close(s->fd);
	s->fd = -1;
}

static void close_idle(void)
{
	struct sw_spill *prev;

	for (struct sw_spill *s = opened.last; s && opened.n > OPEN_MAX; s = prev) {
		prev = s->prev;
		if (s->n_users == 0)
			close_fd(s);
	}
}

static int open_fd(struct sw_spill *s, int flags)
{
	s->fd = open(s->path, O_RDWR | O_CLOEXEC | flags, 0600);
	if (s->fd < 0)
		return errno == ENOENT ? SW_ENOTFOUND : sw_fail_errno("cannot open %s", s->path);
	link_first(s);
	return 0;
}

/* Its descriptor, to be given back with let_go(). flags: for open(2), if it comes to that. */
static int use(struct sw_spill *s, int flags, int *out)
{
	int rc = 0;

	pthread_mutex_lock(&opened.lock);
	if (s->fd >= 0) {
		unlink_opened(s);
		link_first(s);
	} else {
		rc = open_fd(s, flags);
	}
	if (rc == 0) {
		s->n_users++;
		*out = s->fd;
		close_idle();
	}
	pthread_mutex_unlock(&opened.lock);
	return rc;
}

static void let_go(struct sw_spill *s)
{
	pthread_mutex_lock(&opened.lock);
	s->n_users--;
	close_idle();
	pthread_mutex_unlock(&opened.lock);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int make_path(const char *dir, struct sw_spill *s)
{
	s->dir = strdup(dir);
	if (asprintf(&s->path, "%s/%llu", dir, (unsigned long long)s->number) < 0)
		s->path = NULL;
	return s->dir && s->path ? 0 : SW_ENOMEM;
}

static int spill_open(const char *dir, uint64_t number, const struct sw_env *env, int flags, struct sw_spill **out)
{
	struct sw_spill *s = calloc(1, sizeof(*s));
	struct stat st;
	int rc, fd;

	if (!s)
		return SW_ENOMEM;
	atomic_init(&s->n_refs, 1);
	atomic_init(&s->n_changes, 1);
	atomic_init(&s->n_flushed, 0);
	pthread_mutex_init(&s->sync_lock, NULL);
	s->env = env;
	s->number = number;
	s->fd = -1;
	atomic_init(&s->is_kept, true); /* until it is ours */
	rc = make_path(dir, s);
	if (rc == 0)
		rc = use(s, flags, &fd);
	if (rc == 0) {
		if (fstat(fd, &st) < 0)
			rc = sw_fail_errno("cannot open %s", s->path);
		else
			s->size = (uint64_t)st.st_size;
		let_go(s);
	}
	if (rc < 0) {
		sw_spill_unref(s);
		return rc;
	}
	s->is_kept = false;
	*out = s;
	return 0;
}

int sw_spill_new(const char *dir, uint64_t number, const struct sw_env *env, struct sw_spill **out)
{
	int rc = sw_env_fault(env, "spill.new");

	if (rc < 0)
		return rc;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return sw_fail_errno("cannot make %s", dir);
	return spill_open(dir, number, env, O_CREAT | O_EXCL, out);
}

int sw_spill_open(const char *dir, uint64_t number, uint64_t size, const struct sw_env *env, struct sw_spill **out)
{
	struct sw_spill *s;
	int rc = spill_open(dir, number, env, 0, &s);

	if (rc < 0)
		return rc;
	if (s->size < size) {
		sw_spill_keep(s);
		sw_spill_unref(s);
		return SW_ENOTFOUND;
	}
	s->size = size;
	*out = s;
	return 0;
}

struct sw_spill *sw_spill_ref(struct sw_spill *s)
{
	atomic_fetch_add(&s->n_refs, 1);
	return s;
}

void sw_spill_unref(struct sw_spill *s)
{
	if (!s || atomic_fetch_sub(&s->n_refs, 1) > 1)
		return;
	if (!s->is_kept)
		unlink(s->path);
	pthread_mutex_lock(&opened.lock);
	if (s->fd >= 0)
		close_fd(s);
	pthread_mutex_unlock(&opened.lock);
	pthread_mutex_destroy(&s->sync_lock);
	free(s->checks);
	free(s->dir);
	free(s->path);
	free(s);
}

void sw_spill_keep(struct sw_spill *s)
{
	s->is_kept = true;
}

struct sw_spill *sw_spill_fix(struct sw_spill *s)
{
	s->n_fixers++;
	s->fixed = s->size;
	return sw_spill_ref(s);
}

void sw_spill_fix_more(struct sw_spill *s)
{
	assert(s->n_fixers > 0 && s->size >= s->fixed);
	s->fixed = s->size;
}

void sw_spill_free(struct sw_spill *s)
{
	if (!s)
		return;
	assert(s->n_fixers > 0);
	if (--s->n_fixers == 0)
		s->fixed = 0;
	sw_spill_unref(s);
}

uint64_t sw_spill_fixed(const struct sw_spill *s)
{
	return s->fixed;
}

/* Into another directory, which is made for it. */
static int move_aside(const char *dir, const char *aside, const char *name)
{
	char from[4096], to[4096];

	if (mkdir(aside, 0700) < 0 && errno != EEXIST)
		return sw_fail_errno("cannot make %s", aside);
	if (snprintf(from, sizeof(from), "%s/%s", dir, name) >= (int)sizeof(from) ||
	    snprintf(to, sizeof(to), "%s/%s", aside, name) >= (int)sizeof(to))
		return sw_fail(SW_ETOOLONG, "%s: path too long", aside);
	return rename(from, to) < 0 ? sw_fail_errno("cannot move %s to %s", from, to) : 0;
}

int sw_spills_clear(const char *dir, const char *aside, bool (*keep)(void *arg, uint64_t number), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return errno == ENOENT ? 0 : sw_fail_errno("cannot read %s", dir);
	while (rc == 0 && (e = readdir(d))) {
		char *end;
		uint64_t number = strtoull(e->d_name, &end, 10);

		if (end == e->d_name || *end)
			continue;
		if (keep(arg, number))
			continue;
		if (aside)
			rc = move_aside(dir, aside, e->d_name);
		else
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	(void)rmdir(dir); /* unless something is left in it */
	return rc;
}

uint64_t sw_spill_number(const struct sw_spill *s)
{
	return s->number;
}

uint64_t sw_spill_size(const struct sw_spill *s)
{
	return s->size;
}

static int read_all(const struct sw_spill *s, int fd, uint64_t offset, void *out, size_t n, size_t *got)
{
	while (*got < n) {
		ssize_t k = pread(fd, (uint8_t *)out + *got, n - *got, (off_t)(offset + *got));

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return sw_fail_errno("cannot read %s", s->path);
		if (k == 0)
			break;
		*got += (size_t)k;
	}
	return 0;
}

/* All of these bytes, whatever size it is said to have. */
static int read_there(struct sw_spill *s, uint64_t offset, void *out, size_t n)
{
	size_t got = 0;
	int fd, rc = use(s, 0, &fd);

	if (rc < 0)
		return rc;
	rc = read_all(s, fd, offset, out, n, &got);
	let_go(s);
	return rc == 0 && got < n ? sw_fail(SW_EIO, "%s has lost its end", s->path) : rc;
}

int sw_spill_read(struct sw_spill *s, uint64_t offset, void *out, size_t n, size_t *got)
{
	int rc;

	*got = 0;
	if (offset >= s->size)
		return 0;
	n = (size_t)least(n, s->size - offset);
	rc = read_there(s, offset, out, n);
	if (rc == 0)
		*got = n;
	return rc;
}

/* Checks. The last block ends where the file does; the bytes of a hole are zero, and need not be read. */

static uint64_t check_of(struct sw_view block)
{
	static const struct sw_sip_key key = {{'s', 'p', 'i', 'l', 'l'}};
	uint64_t check = sw_sip(&key, block);

	return check ? check : 1;
}

static uint64_t n_blocks(uint64_t size)
{
	return size / BLOCK_SIZE + (size % BLOCK_SIZE > 0);
}

static int reserve_checks(struct sw_spill *s, uint64_t size)
{
	uint64_t n = n_blocks(size), cap = s->n_checks * 2 > n ? s->n_checks * 2 : n, *v;

	if (n <= s->n_checks)
		return 0;
	v = realloc(s->checks, cap * sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	memset(v + s->n_checks, 0, (cap - s->n_checks) * sizeof(*v));
	s->checks = v;
	s->n_checks = cap;
	return 0;
}

/* Of the blocks with these bytes something else is to be known. */
static void forget_checks(struct sw_spill *s, uint64_t from, uint64_t end)
{
	for (uint64_t b = from / BLOCK_SIZE; b < least(n_blocks(end), s->n_checks); b++)
		s->checks[b] = 0;
}

/* It ends elsewhere now; what is new is a hole. */
static void move_end(struct sw_spill *s, uint64_t size)
{
	static const uint8_t zeros[BLOCK_SIZE];
	uint64_t hole = n_blocks(s->size) < size / BLOCK_SIZE ? check_of(sw_view(zeros, BLOCK_SIZE)) : 0;

	forget_checks(s, least(s->size, size), s->size > size ? s->size : size);
	for (uint64_t b = n_blocks(s->size); b < size / BLOCK_SIZE; b++)
		s->checks[b] = hole;
	s->size = size;
}

/* The check of that block of the first `size` bytes. It is kept if that is the block as it is with the size that the file has. */
static int check_block(struct sw_spill *s, uint64_t b, uint64_t size, uint64_t *out)
{
	uint64_t from = b * BLOCK_SIZE, n = least(BLOCK_SIZE, size - from);
	bool is_kept = from + n == least(from + BLOCK_SIZE, s->size);
	uint8_t block[BLOCK_SIZE];
	int rc;

	if (is_kept && s->checks[b] > 0) {
		*out = s->checks[b];
		return 0;
	}
	rc = read_there(s, from, block, (size_t)n);
	if (rc < 0)
		return rc;
	*out = check_of(sw_view(block, (size_t)n));
	if (is_kept)
		s->checks[b] = *out;
	return 0;
}

int sw_spill_check(struct sw_spill *s, uint64_t size, uint64_t *out)
{
	struct sw_spill_sum sum = {0};
	int rc = reserve_checks(s, size), ended;

	for (uint64_t b = 0; rc == 0 && b < n_blocks(size); b++) {
		uint64_t check;

		rc = check_block(s, b, size, &check);
		if (rc == 0)
			sw_buf_put_u64(&sum.checks, check);
	}
	ended = sw_spill_sum_end(&sum, out);
	return rc < 0 ? rc : ended;
}

void sw_spill_sum_add(struct sw_spill_sum *sum, struct sw_view bytes)
{
	for (size_t at = 0; at < bytes.n; at += BLOCK_SIZE)
		sw_buf_put_u64(&sum->checks, check_of(sw_view(bytes.p + at, (size_t)least(BLOCK_SIZE, bytes.n - at))));
}

int sw_spill_sum_end(struct sw_spill_sum *sum, uint64_t *out)
{
	int rc = sum->checks.rc;

	*out = check_of(sw_buf_view(&sum->checks));
	sw_buf_fini(&sum->checks);
	return rc;
}

/*
 * These bytes are there now. A block that they fill is known; one that they bring to its end is likely done with, and read while it
 * is at hand. Others wait until somebody asks.
 */
static void note_written(struct sw_spill *s, uint64_t offset, struct sw_view bytes)
{
	uint64_t end = offset + bytes.n, check;

	if (offset > s->size)
		move_end(s, offset);
	if (end > s->size)
		s->size = end;
	for (uint64_t b = offset / BLOCK_SIZE; b * BLOCK_SIZE < end; b++) {
		uint64_t from = b * BLOCK_SIZE, to = least(from + BLOCK_SIZE, s->size);

		s->checks[b] = from >= offset && to <= end ? check_of(sw_view(bytes.p + (from - offset), (size_t)(to - from))) : 0;
		if (s->checks[b] == 0 && from + BLOCK_SIZE <= end && check_block(s, b, s->size, &check) < 0)
			s->checks[b] = 0;
	}
}

static int write_all(const struct sw_spill *s, int fd, uint64_t offset, struct sw_view bytes)
{
	while (bytes.n > 0) {
		ssize_t k = pwrite(fd, bytes.p, bytes.n, (off_t)offset);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return sw_fail_errno("cannot write %s", s->path);
		offset += (uint64_t)k;
		bytes = sw_view(bytes.p + k, bytes.n - (size_t)k);
	}
	return 0;
}

int sw_spill_write(struct sw_spill *s, uint64_t offset, struct sw_view bytes)
{
	int fd, rc = use(s, 0, &fd);

	assert(offset >= s->fixed);
	if (rc < 0)
		return rc;
	rc = reserve_checks(s, offset + bytes.n);
	if (rc == 0)
		rc = sw_env_fault(s->env, "spill.write");
	if (rc == 0)
		rc = write_all(s, fd, offset, bytes);
	atomic_fetch_add(&s->n_changes, 1);
	if (rc == 0)
		note_written(s, offset, bytes);
	else
		forget_checks(s, offset, offset + bytes.n);
	if (rc < 0 && ftruncate(fd, (off_t)s->size) < 0)
		rc = sw_fail_errno("cannot write %s", s->path);
	let_go(s);
	return rc;
}

int sw_spill_truncate(struct sw_spill *s, uint64_t size)
{
	int fd, rc = sw_env_fault(s->env, "spill.write");

	assert(size >= s->fixed);
	if (rc == 0)
		rc = reserve_checks(s, size);
	if (rc == 0)
		rc = use(s, 0, &fd);
	if (rc < 0)
		return rc;
	if (ftruncate(fd, (off_t)size) < 0)
		rc = sw_fail_errno("cannot write %s", s->path);
	let_go(s);
	if (rc < 0)
		return rc;
	move_end(s, size);
	atomic_fetch_add(&s->n_changes, 1);
	return 0;
}

void sw_spill_set_size(struct sw_spill *s, uint64_t size)
{
	forget_checks(s, least(s->size, size), s->size > size ? s->size : size);
	s->size = size;
}

/* With the first flush, its name and that of its directory. */
static int flush(struct sw_spill *s)
{
	uint64_t n = s->n_changes;
	int fd, rc;

	if (n == s->n_flushed)
		return 0;
	rc = use(s, 0, &fd);
	if (rc < 0)
		return rc;
	rc = sw_env_fault(s->env, "spill.sync");
	if (rc == 0 && fdatasync(fd) < 0)
		rc = sw_fail_errno("cannot flush %s", s->path);
	let_go(s);
	if (rc == 0 && s->n_flushed == 0)
		rc = sw_dir_sync_of(s->path, s->env);
	if (rc == 0 && s->n_flushed == 0)
		rc = sw_dir_sync_of(s->dir, s->env);
	s->is_broken = rc < 0;
	if (rc == 0)
		s->n_flushed = n;
	return rc;
}

int sw_spill_sync(struct sw_spill *s)
{
	int rc;

	/* Whoever finds nothing to do must not return before the flush that did it has ended. */
	pthread_mutex_lock(&s->sync_lock);
	rc = s->is_broken ? sw_fail(SW_EIO, "%s could not be flushed, and what was written may be lost", s->path) : flush(s);
	pthread_mutex_unlock(&s->sync_lock);
	return rc;
}

bool sw_spill_is_broken(const struct sw_spill *s)
{
	return s->is_broken;
}

bool sw_spill_needs_sync(const struct sw_spill *s)
{
	return s->n_changes != s->n_flushed;
}
