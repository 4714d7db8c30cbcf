#include "core/journal.h"

#include "core/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	    "swarmfsj"
#define HEADER_SIZE 20
#define FRAME_SIZE  12 /* size and check */
#define NAMES_MAX   1000000

enum { FLAG_EXISTS = 1, FLAG_EXISTED = 2, FLAG_LARGE = 4, FLAG_CHECKED = 8, FLAG_SPILL = 16, FLAG_FOLLOWS = 32, FLAG_TAIL = 64 };

struct sw_journal {
	char *path;
	const struct sw_env *env;
	int fd;
	uint64_t next;
	uint64_t size;
	bool dirty;
	bool is_broken;	 /* a flush has failed: what it was about may be nowhere, and the next one would not know */
	bool is_unnamed; /* the directory is to be flushed, too: until then a power loss may bring back the one before */
};

static void check_of(struct sw_view bytes, uint8_t out[static 8])
{
	struct sw_hash h;

	sw_hash_compute(SW_DOMAIN_JOURNAL, bytes, &h);
	memcpy(out, h.b, 8);
}

/* write(2) all of it at an offset. */
static int write_at(int fd, struct sw_view v, uint64_t offset)
{
	while (v.n > 0) {
		ssize_t n = pwrite(fd, v.p, v.n, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? sw_fail_errno("cannot write the journal")
				     : sw_fail(SW_EIO, "cannot write the journal");
		v = sw_view(v.p + n, v.n - (size_t)n);
		offset += (uint64_t)n;
	}
	return 0;
}

static int write_header(int fd, uint64_t first)
{
	SW_BUF b = {0};

	sw_buf_put(&b, MAGIC, 8);
	sw_buf_put_u32(&b, SW_JOURNAL_VERSION);
	sw_buf_put_u64(&b, first);
	return b.rc < 0 ? b.rc : write_at(fd, sw_buf_view(&b), 0);
}

static int read_file(int fd, struct sw_buf *out)
{
	struct stat st;
	uint8_t *to;

	if (fstat(fd, &st) < 0)
		return sw_fail_errno("cannot read the journal");
	to = sw_buf_reserve(out, (size_t)st.st_size);
	if (!to)
		return SW_ENOMEM;
	while (out->n < (size_t)st.st_size) {
		ssize_t n = pread(fd, out->p + out->n, (size_t)st.st_size - out->n, (off_t)out->n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sw_fail_errno("cannot read the journal");
		if (n == 0)
			break;
		out->n += (size_t)n;
	}
	return 0;
}

static int decode_name(struct sw_rd *r, struct sw_journal_name *out)
{
	uint8_t flags;

	*out = (struct sw_journal_name){0};
	out->table = sw_rd_bytes(r, SW_NAME_MAX);
	out->key = sw_rd_bytes(r, SW_NAME_MAX);
	flags = sw_rd_u8(r);
	sw_rd_hash(r, &out->old);
	out->row.mode = sw_rd_u16(r);
	out->row.mtime_ns = (int64_t)sw_rd_u64(r);
	out->exists = flags & FLAG_EXISTS;
	out->existed = flags & FLAG_EXISTED;
	out->row.is_blob = flags & FLAG_LARGE;
	out->is_checked = flags & FLAG_CHECKED;
	if (flags & FLAG_FOLLOWS)
		out->follows = sw_rd_u64(r);
	if (!out->exists || out->key.n == 0)
		return r->bad ? SW_EFORMAT : 0;
	if (flags & FLAG_SPILL) {
		out->row.size = sw_rd_varint_max(r, SW_ROW_SIZE_MAX);
		out->spill = sw_rd_u64(r);
	} else if (out->row.is_blob) {
		out->row.size = sw_rd_varint_max(r, SW_ROW_SIZE_MAX);
		sw_rd_hash(r, &out->row.blob);
	} else {
		uint64_t kept = flags & FLAG_TAIL ? sw_rd_varint_max(r, SW_JOURNAL_ROW_MAX) : 0;

		out->is_tail = flags & FLAG_TAIL;
		out->row.bytes = sw_rd_bytes(r, SW_JOURNAL_ROW_MAX);
		out->row.size = kept + out->row.bytes.n;
	}
	return r->bad ? SW_EFORMAT : 0;
}

/* One record's names, handed over together. */
static int replay_record(struct sw_view body, uint64_t *seq, sw_journal_fn fn, void *arg)
{
	struct sw_rd r = sw_rd(body);
	struct sw_journal_name *names;
	uint64_t n;
	int rc = 0;

	*seq = sw_rd_u64(&r);
	n = sw_rd_varint_max(&r, NAMES_MAX);
	if (r.bad || n > body.n)
		return SW_EFORMAT;
	names = calloc((size_t)n + 1, sizeof(*names));
	if (!names)
		return SW_ENOMEM;
	for (uint64_t i = 0; rc == 0 && i < n; i++)
		rc = decode_name(&r, &names[i]);
	if (rc == 0)
		rc = sw_rd_done(&r);
	if (rc == 0)
		rc = fn(arg, *seq, names, (size_t)n);
	free(names);
	return rc;
}

/* Replay whole records; the first that is not ends the journal and is cut off. */
static int replay(struct sw_journal *j, struct sw_view file, sw_journal_fn fn, void *arg)
{
	uint64_t at = HEADER_SIZE;

	while (at + FRAME_SIZE <= file.n) {
		struct sw_rd r = sw_rd(sw_view(file.p + at, file.n - (size_t)at));
		uint32_t size = sw_rd_u32(&r);
		struct sw_view check = sw_rd_take(&r, 8), body = sw_rd_take(&r, size);
		uint8_t again[8];
		uint64_t seq;
		int rc;

		if (r.bad)
			break;
		check_of(body, again);
		if (memcmp(again, check.p, 8) != 0)
			break;
		rc = replay_record(body, &seq, fn, arg);
		if (rc < 0)
			return rc == SW_EFORMAT ? sw_fail(SW_ECORRUPT, "%s: a record is malformed", j->path)
						: rc;
		j->next = seq + 1;
		at += FRAME_SIZE + size;
	}
	j->size = at;
	if (ftruncate(j->fd, (off_t)at) < 0)
		return sw_fail_errno("%s", j->path);
	return 0;
}

static int load(struct sw_journal *j, sw_journal_fn fn, void *arg)
{
	SW_BUF file = {0};
	struct sw_rd r;
	uint32_t version;
	int rc = read_file(j->fd, &file);

	if (rc < 0)
		return rc;
	/* A crash between making the file and its header leaves a short one. */
	if (file.n < HEADER_SIZE) {
		j->next = 1;
		j->size = HEADER_SIZE;
		rc = write_header(j->fd, 1);
		if (rc == 0 && fsync(j->fd) < 0)
			rc = sw_fail_errno("%s", j->path);
		return rc < 0 ? rc : sw_dir_sync_of(j->path, j->env);
	}
	r = sw_rd(sw_buf_view(&file));
	if (memcmp(sw_rd_take(&r, 8).p, MAGIC, 8) != 0)
		return sw_fail(SW_ECORRUPT, "%s is not a journal; restore it, or move it away to give "
					    "up what was not committed", j->path);
	version = sw_rd_u32(&r);
	if (version != SW_JOURNAL_VERSION)
		return sw_fail(SW_EVERSION, "%s has version %u, this swarmfs knows %d; use a newer swarmfs",
			       j->path, version, SW_JOURNAL_VERSION);
	j->next = sw_rd_u64(&r);
	return replay(j, sw_buf_view(&file), fn, arg);
}

int sw_journal_open(const char *path, const struct sw_env *env, sw_journal_fn fn, void *arg,
		    struct sw_journal **out)
{
	struct sw_journal *j = calloc(1, sizeof(*j));
	int rc = 0;

	if (!j)
		return SW_ENOMEM;
	j->env = env;
	j->path = strdup(path);
	j->fd = j->path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (!j->path)
		rc = SW_ENOMEM;
	else if (j->fd < 0)
		rc = sw_fail_errno("cannot open the journal %s", path);
	if (rc == 0)
		rc = load(j, fn, arg);
	if (rc < 0) {
		sw_journal_close(j);
		return rc;
	}
	*out = j;
	return 0;
}

void sw_journal_close(struct sw_journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->path);
	free(j);
}

static void encode_name(const struct sw_journal_name *n, struct sw_buf *out)
{
	sw_buf_put_bytes(out, n->table);
	sw_buf_put_bytes(out, n->key);
	sw_buf_put_u8(out, (uint8_t)((n->exists ? FLAG_EXISTS : 0) | (n->existed ? FLAG_EXISTED : 0) |
				     (n->row.is_blob ? FLAG_LARGE : 0) | (n->spill ? FLAG_SPILL : 0) |
				     (n->is_checked ? FLAG_CHECKED : 0) | (n->follows ? FLAG_FOLLOWS : 0) |
				     (n->is_tail ? FLAG_TAIL : 0)));
	sw_buf_put_hash(out, &n->old);
	sw_buf_put_u16(out, n->row.mode);
	sw_buf_put_u64(out, (uint64_t)n->row.mtime_ns);
	if (n->follows)
		sw_buf_put_u64(out, n->follows);
	if (!n->exists || n->key.n == 0)
		return;
	if (n->spill) {
		sw_buf_put_varint(out, n->row.size);
		sw_buf_put_u64(out, n->spill);
	} else if (n->row.is_blob) {
		sw_buf_put_varint(out, n->row.size);
		sw_buf_put_hash(out, &n->row.blob);
	} else {
		if (n->is_tail)
			sw_buf_put_varint(out, n->row.size - n->row.bytes.n);
		sw_buf_put_bytes(out, n->row.bytes);
	}
}

int sw_journal_append(struct sw_journal *j, const struct sw_journal_name *names, size_t n,
		      uint64_t *seq)
{
	SW_BUF b = {0};
	uint8_t *frame;
	int rc = sw_env_fault(j->env, "journal.append");

	if (rc < 0)
		return rc;
	if (!sw_buf_reserve(&b, FRAME_SIZE))
		return SW_ENOMEM;
	b.n = FRAME_SIZE;
	sw_buf_put_u64(&b, j->next);
	sw_buf_put_varint(&b, n);
	for (size_t i = 0; i < n; i++)
		encode_name(&names[i], &b);
	if (b.rc < 0)
		return b.rc;
	if (b.n > UINT32_MAX)
		return sw_fail(SW_ELIMIT, "a row of more than 4 GiB cannot be journalled");
	frame = b.p;
	for (int i = 0; i < 4; i++)
		frame[i] = (uint8_t)((b.n - FRAME_SIZE) >> (24 - 8 * i));
	check_of(sw_view(b.p + FRAME_SIZE, b.n - FRAME_SIZE), frame + 4);
	rc = write_at(j->fd, sw_buf_view(&b), j->size);
	if (rc < 0) {
		/* What was written of it is beyond the end: the next record goes over it. */
		if (ftruncate(j->fd, (off_t)j->size) < 0)
			return sw_fail_errno("%s", j->path);
		return rc;
	}
	j->size += b.n;
	j->dirty = true;
	*seq = j->next++;
	return 0;
}

static int sync_name(struct sw_journal *j)
{
	int rc = j->is_unnamed ? sw_dir_sync_of(j->path, j->env) : 0;

	if (rc == 0)
		j->is_unnamed = false;
	return rc;
}

int sw_journal_sync(struct sw_journal *j)
{
	int rc = sync_name(j);

	if (rc < 0)
		return rc;
	if (j->is_broken)
		return sw_fail(SW_EIO, "the journal %s could not be flushed, and is to be written anew", j->path);
	rc = sw_env_fault(j->env, "journal.sync");
	if (rc == 0 && j->dirty && fdatasync(j->fd) < 0)
		rc = sw_fail_errno("cannot flush the journal %s", j->path);
	if (rc < 0)
		j->is_broken = true;
	else
		j->dirty = false;
	return rc;
}

bool sw_journal_is_broken(const struct sw_journal *j)
{
	return j->is_broken;
}

uint64_t sw_journal_size(const struct sw_journal *j)
{
	return j->size;
}

uint64_t sw_journal_next(const struct sw_journal *j)
{
	return j->next;
}

void sw_journal_skip(struct sw_journal *j, uint64_t upto)
{
	if (j->next <= upto)
		j->next = upto + 1;
}

int sw_journal_fork(const struct sw_journal *j, struct sw_journal **out)
{
	struct sw_journal *fork = NULL;
	int rc = sw_env_fault(j->env, "journal.reset");

	if (rc < 0)
		return rc;
	fork = calloc(1, sizeof(*fork));
	if (!fork)
		return SW_ENOMEM;
	*fork = (struct sw_journal){.env = j->env, .next = j->next, .size = HEADER_SIZE, .dirty = true, .fd = -1};
	if (asprintf(&fork->path, "%s.new", j->path) < 0) {
		fork->path = NULL;
		rc = SW_ENOMEM;
	}
	if (rc == 0) {
		fork->fd = open(fork->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		rc = fork->fd < 0 ? sw_fail_errno("cannot make %s", fork->path) : write_header(fork->fd, j->next);
	}
	if (rc < 0)
		sw_journal_close(fork);
	else
		*out = fork;
	return rc;
}

void sw_journal_discard(struct sw_journal *j)
{
	(void)unlink(j->path);
	sw_journal_close(j);
}

/* A new file under another name, then a rename: a crash leaves the old one or the new one. */
int sw_journal_replace(struct sw_journal *j, struct sw_journal *by)
{
	int old = j->fd, rc = sw_env_fault(j->env, "journal.replace");

	if (rc == 0 && (fsync(by->fd) < 0 || rename(by->path, j->path) < 0))
		rc = sw_fail_errno("cannot replace the journal %s", j->path);
	if (rc < 0) {
		sw_journal_discard(by);
		return rc;
	}
	j->fd = by->fd;
	j->next = by->next;
	j->size = by->size;
	j->dirty = j->is_broken = false;
	by->fd = old;
	sw_journal_close(by);
	j->is_unnamed = true;
	return sync_name(j);
}

int sw_journal_reset(struct sw_journal *j)
{
	struct sw_journal *fresh;
	int rc = sw_journal_fork(j, &fresh);

	return rc < 0 ? rc : sw_journal_replace(j, fresh);
}
