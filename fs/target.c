#include "fs/target.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/mountinfo.h"

#define LINKS_MAX 16

void sw_target_fini(struct sw_target *t)
{
	free(t->store);
	free(t->mount);
	*t = (struct sw_target){0};
}

/* What the list of mounts says about a path. */
struct look {
	const char *path;
	char *source; /* of the swarmfs that is on top there, or above it */
	char *point;
};

static bool is_at_or_below(const char *path, const char *point)
{
	size_t n = strlen(point);

	return strncmp(path, point, n) == 0 && (path[n] == '\0' || path[n] == '/' || n == 1);
}

static int look_at(void *arg, const struct sw_mount_entry *m)
{
	struct look *l = arg;

	if (!is_at_or_below(l->path, m->point))
		return 0;
	/* The longest point wins, and of equal ones the last. */
	if (l->point && strlen(m->point) < strlen(l->point))
		return 0;
	free(l->source);
	free(l->point);
	l->source = strcmp(m->type, SW_MOUNT_TYPE) == 0 ? strdup(m->source) : NULL;
	l->point = strdup(m->point);
	return l->point ? 0 : SW_ENOMEM;
}

/* 1: path is a mount point of swarmfs, or inside one (out->mount tells which); 0: neither. */
static int find_mount(const char *path, struct sw_target *out)
{
	struct look l = {.path = path};
	int rc = sw_mountinfo_walk(look_at, &l);

	if (rc < 0 || !l.source) {
		free(l.source);
		free(l.point);
		return rc;
	}
	out->store = l.source;
	out->mount = l.point;
	return 1;
}

/* An absolute path without "//", "/./" and a trailing slash; ".." stays. In place. */
static void tidy(char *path)
{
	char *to = path, *from = path;

	while (*from) {
		if (from[0] == '/' && (from[1] == '/' || from[1] == '\0')) {
			from++;
		} else if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == '\0')) {
			from += 2;
		} else {
			*to++ = *from++;
		}
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

static int join(const char *dir, const char *name, char **out)
{
	if (asprintf(out, "%s/%s", dir, name) < 0)
		return SW_ENOMEM;
	tidy(*out);
	return 0;
}

static int absolute(const char *arg, char **out)
{
	char cwd[PATH_MAX];

	if (*arg == '/')
		return join("", arg, out);
	if (!getcwd(cwd, sizeof(cwd)))
		return sw_fail_errno("the current directory has no path");
	return join(cwd, arg, out);
}

/* Follow the links of the directory above, and leave the last part alone. */
static int resolve_parent(char **path)
{
	char *slash = strrchr(*path, '/');
	char dir[PATH_MAX], *next;
	const char *name = slash + 1;
	int rc;

	if (strcmp(name, "..") == 0 || *name == '\0') {
		if (!realpath(*path, dir))
			return sw_fail_errno("%s", *path);
		next = strdup(dir);
		rc = next ? 0 : SW_ENOMEM;
	} else {
		*slash = '\0';
		if (!realpath(slash == *path ? "/" : *path, dir)) {
			*slash = '/';
			/* A store may be made there, with the directories above it. */
			return errno == ENOENT ? 0 : sw_fail_errno("%s", *path);
		}
		rc = join(dir, name, &next);
	}
	if (rc < 0)
		return rc;
	free(*path);
	*path = next;
	return 0;
}

/* If the last part is a link, go where it points. 1: it was. */
static int follow(char **path)
{
	char to[PATH_MAX], *next;
	ssize_t n = readlink(*path, to, sizeof(to) - 1);
	int rc;

	if (n < 0)
		return 0;
	to[n] = '\0';
	if (*to == '/') {
		rc = join("", to, &next);
	} else {
		*strrchr(*path, '/') = '\0';
		rc = join(*path, to, &next);
	}
	if (rc < 0)
		return rc;
	free(*path);
	*path = next;
	return 1;
}

/* Walk to where arg leads, stopping at mounts of swarmfs: 1 and *out, or 0 and the path. */
static int walk(const char *arg, char **path, struct sw_target *out)
{
	int rc = *arg ? absolute(arg, path) : sw_fail(SW_EINVAL, "an empty path names nothing");

	for (int i = 0; rc == 0 && i < LINKS_MAX; i++) {
		rc = find_mount(*path, out);
		if (rc == 0)
			rc = resolve_parent(path);
		if (rc == 0)
			rc = find_mount(*path, out);
		if (rc != 0)
			return rc;
		rc = follow(path);
		if (rc == 0)
			return 0;
		if (rc > 0)
			rc = 0;
	}
	return rc < 0 ? rc : sw_fail(SW_EINVAL, "%s: too many symbolic links", arg);
}

int sw_path_absolute(const char *arg, char **out)
{
	struct sw_target t = {0};
	char *path = NULL;
	int rc = walk(arg, &path, &t);

	sw_target_fini(&t);
	if (rc < 0) {
		free(path);
		return rc;
	}
	*out = path;
	return 0;
}

static int check_directory(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return sw_fail(SW_ENOTFOUND,
				       "%s does not exist; name a mount point or a store, or make a "
				       "store with 'swarmfs init %s'",
				       path, path);
		return sw_fail_errno("%s", path);
	}
	if (!S_ISDIR(st.st_mode))
		return sw_fail(SW_EINVAL, "%s is not a directory; name a mount point or a store", path);
	return 0;
}

static int check_store(const char *path)
{
	char *data;
	struct stat st;
	int rc = check_directory(path);

	if (rc < 0)
		return rc;
	if (asprintf(&data, "%s/data.mdb", path) < 0)
		return SW_ENOMEM;
	if (stat(data, &st) < 0 && errno == ENOENT)
		rc = sw_fail(SW_ENOTFOUND,
			     "%s is neither mounted nor a store; mount it with 'swarmfs mount', or make a "
			     "store with 'swarmfs init'",
			     path);
	else if (stat(data, &st) < 0)
		rc = sw_fail_errno("cannot look into the store %s", path);
	free(data);
	return rc;
}

int sw_target_find(const char *arg, struct sw_target *out)
{
	struct sw_target t = {0};
	char *path = NULL;
	int rc = walk(arg, &path, &t);

	if (rc > 0) {
		rc = 0;
		if (strcmp(path, t.mount) != 0)
			rc = sw_fail(SW_EINVAL, "%s is inside the mount %s; name the mount point itself",
				     path, t.mount);
	} else if (rc == 0) {
		rc = check_store(path);
		if (rc == 0)
			t.store = SW_TAKE(path);
	}
	free(path);
	if (rc < 0) {
		sw_target_fini(&t);
		return rc;
	}
	*out = t;
	return 0;
}

struct of_store {
	const char *store;
	char *point;
};

static int match_source(void *arg, const struct sw_mount_entry *m)
{
	struct of_store *s = arg;

	if (strcmp(m->type, SW_MOUNT_TYPE) != 0 || strcmp(m->source, s->store) != 0)
		return 0;
	free(s->point);
	s->point = strdup(m->point);
	return s->point ? 0 : SW_ENOMEM;
}

int sw_target_mount_of(const char *store, char **out)
{
	struct of_store s = {.store = store};
	int rc = sw_mountinfo_walk(match_source, &s);

	if (rc < 0) {
		free(s.point);
		return rc;
	}
	*out = s.point;
	return 0;
}
