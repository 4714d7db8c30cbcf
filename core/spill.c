#include "core/spill.h"

#include "core/dir.h"

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
	int fd;
	uint64_t number;
	uint64_t size;
	size_t n_fixers;
	uint64_t fixed;		 /* bytes that must not change, while there are fixers */
	atomic_bool is_kept;
	pthread_mutex_t sync_lock;	 /* one flush at a time */
	atomic_uint_least64_t n_changes; /* what was there already counts as one: nobody knows whether it was flushed */
	atomic_uint_least64_t n_flushed; /* so many of them are on the disk */
};

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
	int rc;

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
	if (rc == 0) {
		s->fd = open(s->path, O_RDWR | O_CLOEXEC | flags, 0600);
		if (s->fd < 0 || fstat(s->fd, &st) < 0)
			rc = errno == ENOENT ? SW_ENOTFOUND : sw_fail_errno("cannot open %s", s->path);
		else
			s->size = (uint64_t)st.st_size;
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
	if (s->fd >= 0)
		close(s->fd);
	pthread_mutex_destroy(&s->sync_lock);
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

int sw_spills_clear(const char *dir, bool (*keep)(void *arg, uint64_t number), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : sw_fail_errno("cannot read %s", dir);
	while ((e = readdir(d))) {
		char *end;
		uint64_t number = strtoull(e->d_name, &end, 10);

		if (end == e->d_name || *end)
			continue;
		if (!keep(arg, number))
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	(void)rmdir(dir); /* unless something is left in it */
	return 0;
}

uint64_t sw_spill_number(const struct sw_spill *s)
{
	return s->number;
}

uint64_t sw_spill_size(const struct sw_spill *s)
{
	return s->size;
}

int sw_spill_read(const struct sw_spill *s, uint64_t offset, void *out, size_t n, size_t *got)
{
	*got = 0;
	while (*got < n) {
		ssize_t k = pread(s->fd, (uint8_t *)out + *got, n - *got, (off_t)(offset + *got));

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

static int write_all(const struct sw_spill *s, uint64_t offset, struct sw_view bytes)
{
	while (bytes.n > 0) {
		ssize_t k = pwrite(s->fd, bytes.p, bytes.n, (off_t)offset);

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
	int rc = sw_env_fault(s->env, "spill.write");

	assert(offset >= s->fixed);
	if (rc == 0)
		rc = write_all(s, offset, bytes);
	atomic_fetch_add(&s->n_changes, 1);
	if (rc == 0 && offset + bytes.n > s->size)
		s->size = offset + bytes.n;
	if (rc < 0 && ftruncate(s->fd, (off_t)s->size) < 0)
		return sw_fail_errno("cannot write %s", s->path);
	return rc;
}

int sw_spill_truncate(struct sw_spill *s, uint64_t size)
{
	int rc = sw_env_fault(s->env, "spill.write");

	assert(size >= s->fixed);
	if (rc < 0)
		return rc;
	if (ftruncate(s->fd, (off_t)size) < 0)
		return sw_fail_errno("cannot write %s", s->path);
	s->size = size;
	atomic_fetch_add(&s->n_changes, 1);
	return 0;
}

/* With the first flush, its name and that of its directory. */
static int flush(struct sw_spill *s)
{
	uint64_t n = s->n_changes;
	int rc = 0;

	if (n == s->n_flushed)
		return 0;
	if (fdatasync(s->fd) < 0)
		return sw_fail_errno("cannot flush %s", s->path);
	if (s->n_flushed == 0)
		rc = sw_dir_sync_of(s->path, s->env);
	if (rc == 0 && s->n_flushed == 0)
		rc = sw_dir_sync_of(s->dir, s->env);
	if (rc == 0)
		s->n_flushed = n;
	return rc;
}

int sw_spill_sync(struct sw_spill *s)
{
	int rc = sw_env_fault(s->env, "spill.sync");

	if (rc < 0)
		return rc;
	/* Whoever finds nothing to do must not return before the flush that did it has ended. */
	pthread_mutex_lock(&s->sync_lock);
	rc = flush(s);
	pthread_mutex_unlock(&s->sync_lock);
	return rc;
}

bool sw_spill_needs_sync(const struct sw_spill *s)
{
	return s->n_changes != s->n_flushed;
}
