#include "core/refused.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/row.h"

struct item {
	struct sw_buf table, key;
	uint64_t when_ms;
	char reason[512];
	char *path; /* NULL: there is no text */
};

struct sw_refused {
	const struct sw_env *env;
	char *dir;
	pthread_mutex_t lock;
	struct item *items[SW_REFUSED_ROWS_MAX]; /* the oldest first */
	size_t n;
};

static void item_free(struct item *i)
{
	sw_buf_fini(&i->table);
	sw_buf_fini(&i->key);
	free(i->path);
	free(i);
}

static struct item *item_new(const struct sw_refused *r, struct sw_view table, struct sw_view key,
			     uint64_t when_ms)
{
	struct item *i = calloc(1, sizeof(*i));

	if (!i)
		return NULL;
	sw_buf_put_view(&i->table, table);
	sw_buf_put_view(&i->key, key);
	i->when_ms = when_ms;
	if (asprintf(&i->path, "%s/%.*s/%.*s", r->dir, (int)table.n, (const char *)table.p,
		     (int)key.n, (const char *)key.p) < 0)
		i->path = NULL;
	if (i->path && i->table.rc == 0 && i->key.rc == 0)
		return i;
	item_free(i);
	return NULL;
}

/* The directory of its table goes with the last. */
static void remove_text(struct item *i)
{
	char *slash;

	if (!i->path)
		return;
	(void)unlink(i->path);
	slash = strrchr(i->path, '/');
	*slash = '\0';
	(void)rmdir(i->path);
	*slash = '/';
}

static void take_out(struct sw_refused *r, size_t at)
{
	r->n--;
	memmove(&r->items[at], &r->items[at + 1], (r->n - at) * sizeof(struct item *));
}

static void add(struct sw_refused *r, struct item *i)
{
	if (r->n == SW_REFUSED_ROWS_MAX) {
		remove_text(r->items[0]);
		item_free(r->items[0]);
		take_out(r, 0);
	}
	r->items[r->n++] = i;
}

static size_t find(const struct sw_refused *r, struct sw_view table, struct sw_view key)
{
	size_t i = 0;

	while (i < r->n && !(sw_view_eq(sw_buf_view(&r->items[i]->key), key) &&
			     sw_view_eq(sw_buf_view(&r->items[i]->table), table)))
		i++;
	return i;
}

/* Those of one table, from before. */
static void take_up(struct sw_refused *r, const char *table)
{
	char path[4096];
	struct dirent *e;
	DIR *dir;

	if (snprintf(path, sizeof(path), "%s/%s", r->dir, table) >= (int)sizeof(path) ||
	    !(dir = opendir(path)))
		return;
	while ((e = readdir(dir))) {
		struct stat st;
		struct item *i;

		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode))
			continue;
		i = item_new(r, sw_view_str(table), sw_view_str(e->d_name),
			     (uint64_t)st.st_mtime * 1000);
		if (i)
			add(r, i);
	}
	closedir(dir);
}

int sw_refused_open(const char *dir, const struct sw_env *env, struct sw_refused **out)
{
	struct sw_refused *r = calloc(1, sizeof(*r));
	struct dirent *e;
	DIR *tables;

	if (!r)
		return SW_ENOMEM;
	r->env = env;
	pthread_mutex_init(&r->lock, NULL);
	if (asprintf(&r->dir, "%s/" SW_REFUSED_DIR, dir) < 0) {
		r->dir = NULL;
		sw_refused_close(r);
		return SW_ENOMEM;
	}
	tables = opendir(r->dir);
	while (tables && (e = readdir(tables)))
		if (sw_name_check(sw_view_str(e->d_name)) == 0)
			take_up(r, e->d_name);
	if (tables)
		closedir(tables);
	*out = r;
	return 0;
}

void sw_refused_close(struct sw_refused *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		item_free(r->items[i]);
	pthread_mutex_destroy(&r->lock);
	free(r->dir);
	free(r);
}

static int write_all(int fd, struct sw_view text)
{
	while (text.n > 0) {
		ssize_t n = write(fd, text.p, text.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text = sw_view(text.p + n, text.n - (size_t)n);
	}
	return 0;
}

static int write_text(struct sw_refused *r, struct item *i, struct sw_view text)
{
	char *slash = strrchr(i->path, '/');
	int rc = sw_env_fault(r->env, "refused.keep"), fd;

	if (rc < 0)
		return rc;
	*slash = '\0';
	if ((mkdir(r->dir, 0700) < 0 && errno != EEXIST) ||
	    (mkdir(i->path, 0700) < 0 && errno != EEXIST))
		rc = sw_fail_errno("cannot make %s", i->path);
	*slash = '/';
	if (rc < 0)
		return rc;
	fd = open(i->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write_all(fd, text) < 0)
		rc = sw_fail_errno("cannot write %s", i->path);
	if (fd >= 0)
		close(fd);
	return rc;
}

void sw_refused_keep(struct sw_refused *r, struct sw_view table, struct sw_view key,
		     struct sw_view text, const char *reason)
{
	struct item *i = item_new(r, table, key, sw_env_wall_ms(r->env));
	size_t at;
	int rc;

	if (!i)
		return; /* the caller is told that it was refused, at least */
	snprintf(i->reason, sizeof(i->reason), "%s", reason);
	pthread_mutex_lock(&r->lock);
	at = find(r, table, key);
	if (at < r->n) {
		item_free(r->items[at]);
		take_out(r, at);
	}
	rc = write_text(r, i, text);
	if (rc < 0) {
		size_t n = strlen(i->reason);

		snprintf(i->reason + n, sizeof(i->reason) - n, "; the text is lost: %s",
			 sw_fail_message(rc));
		remove_text(i);
		free(SW_TAKE(i->path));
	}
	add(r, i);
	pthread_mutex_unlock(&r->lock);
}

void sw_refused_forget(struct sw_refused *r, struct sw_view table, struct sw_view key)
{
	size_t at;

	pthread_mutex_lock(&r->lock);
	at = find(r, table, key);
	if (at < r->n) {
		remove_text(r->items[at]);
		item_free(r->items[at]);
		take_out(r, at);
	}
	pthread_mutex_unlock(&r->lock);
}

/* Who has seen enough of a text removes its file. */
static void drop_removed(struct sw_refused *r)
{
	for (size_t i = r->n; i-- > 0;) {
		if (!r->items[i]->path || access(r->items[i]->path, F_OK) == 0)
			continue;
		remove_text(r->items[i]); /* the directory, if it was the last in it */
		item_free(r->items[i]);
		take_out(r, i);
	}
}

void sw_refused_each(struct sw_refused *r, void (*fn)(void *arg, const struct sw_refusal *refusal),
		     void *arg)
{
	pthread_mutex_lock(&r->lock);
	drop_removed(r);
	for (size_t i = 0; i < r->n; i++) {
		const struct item *item = r->items[i];
		struct sw_refusal refusal = {.table = sw_buf_view(&item->table),
					     .key = sw_buf_view(&item->key),
					     .when_ms = item->when_ms,
					     .reason = item->reason,
					     .path = item->path};

		fn(arg, &refusal);
	}
	pthread_mutex_unlock(&r->lock);
}
