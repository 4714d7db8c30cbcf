#include "core/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_SIZE (2 * SW_KEY_SEED_SIZE + 1)

int sw_keyfile_create(const char *path, const struct sw_env *env, struct sw_identity **out)
{
	uint8_t seed[SW_KEY_SEED_SIZE];
	char line[LINE_SIZE + 1];
	struct sw_identity *id = NULL;
	int fd, rc;

	env->random(env->arg, seed, sizeof(seed));
	rc = sw_identity_from_seed(seed, &id);
	sw_hex(seed, sizeof(seed), line);
	sodium_memzero(seed, sizeof(seed));
	line[LINE_SIZE - 1] = '\n';
	fd = rc < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (rc == 0 && (fd < 0 || write(fd, line, LINE_SIZE) != LINE_SIZE || fsync(fd) < 0))
		rc = sw_fail_errno("cannot write the key file %s", path);
	sodium_memzero(line, sizeof(line));
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		sw_identity_free(id);
		return rc;
	}
	*out = id;
	return 0;
}

static int check_mode(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return sw_fail_errno("%s", path);
	if (st.st_mode & 077)
		return sw_fail(SW_EDENIED,
			       "the key file %s can be read by others; make it private with "
			       "'chmod 600 %s'",
			       path, path);
	return 0;
}

int sw_keyfile_read(const char *path, struct sw_identity **out)
{
	uint8_t seed[SW_KEY_SEED_SIZE];
	char line[LINE_SIZE + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int rc;

	if (fd < 0 && errno == ENOENT)
		return sw_fail(SW_ECORRUPT,
			       "the key file %s is missing; restore it from a backup, or clone the database "
			       "again from a peer",
			       path);
	if (fd < 0)
		return sw_fail_errno("only its owner can use the store; cannot read the key file %s", path);
	rc = check_mode(fd, path);
	n = rc < 0 ? 0 : read(fd, line, sizeof(line));
	close(fd);
	if (rc < 0)
		return rc;
	if (n != LINE_SIZE || line[LINE_SIZE - 1] != '\n' ||
	    sw_unhex(sw_view(line, LINE_SIZE - 1), seed, sizeof(seed)) < 0)
		rc = sw_fail(SW_EFORMAT,
			     "the key file %s does not hold a key; restore it from a backup", path);
	if (rc == 0)
		rc = sw_identity_from_seed(seed, out);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(line, sizeof(line));
	return rc;
}
