#include "core/journal.h"

#include "core/dir.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC	    "swarmfsj"
#define CHECK_SIZE  8
#define CHECKED     20		       /* bytes that the check of a header or a frame is about */
#define HEADER_SIZE (CHECKED + CHECK_SIZE)
#define FRAME_SIZE  (CHECKED + CHECK_SIZE) /* of a record: what stands before its body */
#define NAMES_MAX   1000000
#define ASIDE_MAX   99
#define RECORD_KEPT 65536 /* bytes of memory that stay for the next record */

enum { FLAG_EXISTS = 1, FLAG_EXISTED = 2, FLAG_LARGE = 4, FLAG_CHECKED = 8, FLAG_SPILL = 16, FLAG_FOLLOWS = 32, FLAG_TAIL = 64 };

struct sw_journal {
	char *path;
	const struct sw_env *env;
	int fd;
	uint64_t next;
	uint64_t size;
	uint64_t reserved; /* there is room on the disk up to here */
	uint64_t begin; /* where the first record is that was not forgotten */
	uint64_t n_damaged; /* bytes */
	bool dirty;
	bool is_broken;	 /* a flush has failed: what it was about may be nowhere, and the next one would not know */
	struct sw_buf record; /* the memory that the next one is encoded in */
	bool is_unnamed; /* the directory is to be flushed, too: until then a power loss may bring back the one before */
};

/* Of bytes that stand at that place. It is to notice accidents: who can write the file can write a check, too. */
static void check_of(uint64_t at, struct sw_view bytes, uint8_t out[static CHECK_SIZE])
{
	struct sw_sip_key key = {"swarmfsj"};

	sw_set_u64(key.b + 8, at);
	sw_set_u64(out, sw_sip13(&key, bytes));
}

static bool is_right(const uint8_t *check, uint64_t at, struct sw_view bytes)
{
	uint8_t again[CHECK_SIZE];

	check_of(at, bytes, again);
	return memcmp(again, check, CHECK_SIZE) == 0;
}

/* A header or a frame is followed by its check. */
static bool is_right_head(struct sw_view file, uint64_t at)
{
	return is_right(file.p + at + CHECKED, at, sw_view(file.p + at, CHECKED));
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
	uint8_t check[CHECK_SIZE];

	sw_buf_put(&b, MAGIC, 8);
	sw_buf_put_u32(&b, SW_JOURNAL_VERSION);
	sw_buf_put_u64(&b, first);
	check_of(0, sw_buf_view(&b), check);
	sw_buf_put(&b, check, CHECK_SIZE);
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

static bool is_named(const struct sw_journal_name *n)
{
	return sw_name_check(n->table) == 0 && (n->key.n == 0 || sw_name_check(n->key) == 0);
}

static int decode_name(struct sw_rd *r, struct sw_journal_name *out)
{
	uint8_t flags;

	*out = (struct sw_journal_name){0};
	out->table = sw_rd_bytes(r, SW_NAME_MAX);
	out->key = sw_rd_bytes(r, SW_NAME_MAX);
	if (!is_named(out))
		return SW_EFORMAT;
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
		out->spill_check = sw_rd_u64(r);
	} else if (out->row.is_blob) {
		out->row.size = sw_rd_varint_max(r, SW_ROW_SIZE_MAX);
		sw_rd_hash(r, &out->row.blob);
	} else {
		uint64_t kept;

		out->is_tail = flags & FLAG_TAIL;
		out->after = out->is_tail ? sw_rd_u64(r) : 0;
		kept = out->is_tail ? sw_rd_varint_max(r, SW_JOURNAL_ROW_MAX) : 0;
		out->row.bytes = sw_rd_bytes(r, SW_JOURNAL_ROW_MAX);
		out->row.size = kept + out->row.bytes.n;
	}
	return r->bad ? SW_EFORMAT : 0;
}

static const struct sw_journal_name unknown = {.is_damaged = true};

/* What a damaged record may be about: n names could be decoded, and of the next one perhaps what it is called. How many that makes. */
static size_t guess(struct sw_journal_name *names, size_t n, uint64_t want)
{
	n += n < want && is_named(&names[n]);
	for (size_t i = 0; i < n; i++)
		names[i] = (struct sw_journal_name){.table = names[i].table, .key = names[i].key, .is_damaged = true};
	if (n == 0 || n < want)
		names[n++] = unknown;
	return n;
}

/* The names of one record, handed over together: 1. Those of a damaged one are only guessed at: 0. */
static int replay_body(struct sw_view body, bool is_whole, uint64_t seq, sw_journal_fn fn, void *arg)
{
	struct sw_rd r = sw_rd(body);
	uint64_t want = sw_rd_varint_max(&r, body.n < NAMES_MAX ? body.n : NAMES_MAX);
	struct sw_journal_name *names = calloc((size_t)want + 1, sizeof(*names));
	size_t n = 0;
	int rc;

	if (!names)
		return SW_ENOMEM;
	while (n < want && decode_name(&r, &names[n]) == 0)
		n++;
	is_whole = is_whole && n > 0 && n == want && sw_rd_done(&r) == 0;
	if (!is_whole)
		n = guess(names, n, want);
	rc = fn(arg, seq, names, n);
	free(names);
	return rc < 0 ? rc : is_whole;
}

/* The frame of a record, as far as its end is in the file. */
static bool is_frame(const struct sw_journal *j, struct sw_view file, uint64_t at)
{
	return at + FRAME_SIZE <= file.n && sw_get_u64(file.p + at + 4) >= j->next && is_right_head(file, at);
}

static uint32_t size_of(struct sw_view file, uint64_t at)
{
	struct sw_rd r = sw_rd(sw_view(file.p + at, 4));

	return sw_rd_u32(&r);
}

/* Where the next record begins. What says more than is there is none; so most places need no hash. */
static uint64_t find_frame(const struct sw_journal *j, struct sw_view file, uint64_t at)
{
	while (at + FRAME_SIZE < file.n) {
		uint32_t size = size_of(file, at);

		if (size > 0 && size <= file.n - at - FRAME_SIZE && is_frame(j, file, at))
			return at;
		at++;
	}
	return file.n;
}

/* The record at that place, whose end is in the file. These return how many bytes they are done with. */
static int64_t replay_record(struct sw_journal *j, struct sw_view file, uint64_t at, sw_journal_fn fn, void *arg)
{
	struct sw_view body = sw_view(file.p + at + FRAME_SIZE, size_of(file, at));
	uint64_t seq = sw_get_u64(file.p + at + 4);
	int rc = replay_body(body, is_right(file.p + at + 12, at + FRAME_SIZE, body), seq, fn, arg);

	if (rc < 0)
		return rc;
	if (rc == 0)
		j->n_damaged += FRAME_SIZE + body.n;
	j->next = seq + 1;
	return (int64_t)(FRAME_SIZE + body.n);
}

/* What is no record: as far as the next. */
static int64_t skip_damage(struct sw_journal *j, struct sw_view file, uint64_t at, sw_journal_fn fn, void *arg)
{
	uint64_t next = find_frame(j, file, at + 1);
	int rc = fn(arg, j->next, &unknown, 1);

	j->n_damaged += next - at;
	return rc < 0 ? rc : (int64_t)(next - at);
}

/* Whether the first record is a hole, which is all in the file. */
static bool has_hole(struct sw_view file)
{
	return file.n >= HEADER_SIZE + FRAME_SIZE && sw_get_u64(file.p + HEADER_SIZE + 4) == 0 &&
	       is_right_head(file, HEADER_SIZE) && size_of(file, HEADER_SIZE) <= file.n - HEADER_SIZE - FRAME_SIZE;
}

static int replay(struct sw_journal *j, struct sw_view file, sw_journal_fn fn, void *arg)
{
	uint64_t at = HEADER_SIZE;

	if (has_hole(file)) {
		j->next = sw_get_u64(file.p + at + 12);
		at += FRAME_SIZE + size_of(file, at);
	}
	j->begin = at;
	while (at + FRAME_SIZE <= file.n) {
		bool is_record = is_frame(j, file, at);
		int64_t n;

		if (is_record && size_of(file, at) > file.n - at - FRAME_SIZE)
			break;
		n = is_record ? replay_record(j, file, at, fn, arg) : skip_damage(j, file, at, fn, arg);
		if (n < 0)
			return (int)n;
		at += (uint64_t)n;
	}
	j->size = at;
	if (j->n_damaged == 0 && ftruncate(j->fd, (off_t)at) < 0)
		return sw_fail_errno("%s", j->path);
	return 0;
}

/* All that it says can be found out otherwise: numbers begin behind those of the records, and of what the store notes as spent. */
static int read_header(struct sw_journal *j, struct sw_view file)
{
	struct sw_rd r = sw_rd(file);
	uint32_t version;

	j->next = 1;
	if (memcmp(sw_rd_take(&r, 8).p, MAGIC, 8) != 0 || !is_right_head(file, 0)) {
		j->n_damaged = HEADER_SIZE;
		return 0;
	}
	version = sw_rd_u32(&r);
	if (version != SW_JOURNAL_VERSION)
		return sw_fail(SW_EVERSION, "%s has version %u, this swarmfs knows %d; use a newer swarmfs",
			       j->path, version, SW_JOURNAL_VERSION);
	j->next = sw_rd_u64(&r);
	return 0;
}

static int load(struct sw_journal *j, sw_journal_fn fn, void *arg)
{
	SW_BUF file = {0};
	int rc = read_file(j->fd, &file);

	if (rc < 0)
		return rc;
	/* A crash between making the file and its header leaves a short one. */
	if (file.n < HEADER_SIZE) {
		j->next = 1;
		j->size = j->begin = HEADER_SIZE;
		rc = write_header(j->fd, 1);
		if (rc == 0 && fsync(j->fd) < 0)
			rc = sw_fail_errno("%s", j->path);
		return rc < 0 ? rc : sw_dir_sync_of(j->path, j->env);
	}
	rc = read_header(j, sw_buf_view(&file));
	return rc < 0 ? rc : replay(j, sw_buf_view(&file), fn, arg);
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
	sw_buf_fini(&j->record);
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
		sw_buf_put_u64(out, n->spill_check);
	} else if (n->row.is_blob) {
		sw_buf_put_varint(out, n->row.size);
		sw_buf_put_hash(out, &n->row.blob);
	} else {
		if (n->is_tail) {
			sw_buf_put_u64(out, n->after);
			sw_buf_put_varint(out, n->row.size - n->row.bytes.n);
		}
		sw_buf_put_bytes(out, n->row.bytes);
	}
}

/* What stands before and behind the body's check. */
static void end_frame(uint8_t *frame, uint64_t at, uint32_t size, uint64_t seq)
{
	for (int i = 0; i < 4; i++)
		frame[i] = (uint8_t)(size >> (24 - 8 * i));
	sw_set_u64(frame + 4, seq);
	check_of(at, sw_view(frame, CHECKED), frame + CHECKED);
}

/* Its frame, once the body stands behind the room for it. */
static void put_frame(struct sw_buf *b, uint64_t at, uint64_t seq)
{
	uint32_t size = (uint32_t)(b->n - FRAME_SIZE);
	uint8_t *frame = b->p;

	check_of(at + FRAME_SIZE, sw_view(frame + FRAME_SIZE, size), frame + 12);
	end_frame(frame, at, size, seq);
}

static int encode_record(struct sw_journal *j, const struct sw_journal_name *names, size_t n)
{
	struct sw_buf *b = &j->record;

	if (n > NAMES_MAX)
		return sw_fail(SW_ELIMIT, "more than %d names cannot be changed at once", NAMES_MAX);
	sw_buf_reset(b);
	if (!sw_buf_reserve(b, FRAME_SIZE))
		return SW_ENOMEM;
	b->n = FRAME_SIZE;
	sw_buf_put_varint(b, n);
	for (size_t i = 0; i < n; i++)
		encode_name(&names[i], b);
	if (b->rc < 0)
		return b->rc;
	if (b->n > UINT32_MAX)
		return sw_fail(SW_ELIMIT, "what is changed at once has more than 4 GiB, which is too much; change less of it at once");
	put_frame(b, j->size, j->next);
	return 0;
}

int sw_journal_append(struct sw_journal *j, const struct sw_journal_name *names, size_t n,
		      uint64_t *seq)
{
	int rc = sw_env_fault(j->env, "journal.append");

	assert(n > 0 && j->n_damaged == 0);
	if (rc == 0)
		rc = encode_record(j, names, n);
	if (rc < 0)
		return rc;
	rc = write_at(j->fd, sw_buf_view(&j->record), j->size);
	if (rc < 0) {
		/* What was written of it is beyond the end: the next record goes over it. */
		j->reserved = 0;
		if (ftruncate(j->fd, (off_t)j->size) < 0)
			return sw_fail_errno("%s", j->path);
		return rc;
	}
	j->size += j->record.n;
	j->dirty = true;
	*seq = j->next++;
	if (j->record.cap > RECORD_KEPT)
		sw_buf_fini(&j->record);
	return 0;
}

int sw_journal_reserve(struct sw_journal *j, uint64_t n)
{
	int rc;

	if (j->size + n <= j->reserved)
		return 0;
	rc = sw_env_fault(j->env, "journal.reserve");
	if (rc < 0)
		return rc;
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, (off_t)j->size, (off_t)n) == 0)
		j->reserved = j->size + n;
	else if (errno == ENOSPC || errno == EDQUOT)
		return sw_fail_errno("cannot write the journal");
	return 0;
}

uint64_t sw_journal_damage(const struct sw_journal *j)
{
	return j->n_damaged;
}

/* 1: the journal has that name, 0: another file. */
static int try_aside(const struct sw_journal *j, const char *path)
{
	struct stat mine, there;

	if (link(j->path, path) == 0)
		return 1;
	if (errno != EEXIST)
		return sw_fail_errno("cannot keep the damaged journal as %s", path);
	if (fstat(j->fd, &mine) < 0 || stat(path, &there) < 0)
		return sw_fail_errno("%s", path);
	return mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static char *aside_path(const struct sw_journal *j, int number)
{
	char *path;

	return asprintf(&path, "%s.damaged-%d", j->path, number) < 0 ? NULL : path;
}

int sw_journal_keep_aside(const struct sw_journal *j, char **out)
{
	for (int i = 1; i <= ASIDE_MAX; i++) {
		char *path = aside_path(j, i);
		int rc = path ? try_aside(j, path) : SW_ENOMEM;

		if (rc == 1) {
			*out = path;
			return 0;
		}
		free(path);
		if (rc < 0)
			return rc;
	}
	return sw_fail(SW_EEXIST, "%s is damaged, and so were %d others before it: remove %s.damaged-*", j->path, ASIDE_MAX, j->path);
}

int sw_journal_find_aside(const struct sw_journal *j, char **out)
{
	for (int i = ASIDE_MAX; i > 0; i--) {
		char *path = aside_path(j, i);

		if (!path)
			return SW_ENOMEM;
		if (access(path, F_OK) == 0) {
			*out = path;
			return 0;
		}
		free(path);
	}
	return SW_ENOTFOUND;
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

/* Where the first record is whose number is not below seq, or where the last one ends. */
static int find_record(const struct sw_journal *j, uint64_t seq, uint64_t *at)
{
	uint8_t frame[FRAME_SIZE];

	for (*at = j->begin; *at < j->size; *at += FRAME_SIZE + size_of(sw_view(frame, FRAME_SIZE), 0)) {
		ssize_t n = pread(j->fd, frame, FRAME_SIZE, (off_t)*at);

		if (n != FRAME_SIZE)
			return n < 0 ? sw_fail_errno("cannot read the journal %s", j->path)
				     : sw_fail(SW_EIO, "the journal %s is shorter than it was", j->path);
		if (sw_get_u64(frame + 4) >= seq)
			return 0;
	}
	return 0;
}

/* The first record is a hole up to there from now on. */
static int write_hole(struct sw_journal *j, uint64_t to, uint64_t seq)
{
	uint8_t frame[FRAME_SIZE] = {0};
	int rc;

	sw_set_u64(frame + 12, seq);
	end_frame(frame, HEADER_SIZE, (uint32_t)(to - HEADER_SIZE - FRAME_SIZE), 0);
	rc = write_at(j->fd, sw_view(frame, FRAME_SIZE), HEADER_SIZE);
	if (rc < 0)
		return rc;
	j->begin = to;
	j->dirty = true;
	return sw_journal_sync(j); /* before anything is gone that it stands for */
}

int sw_journal_forget(struct sw_journal *j, uint64_t seq, uint64_t *freed)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), from, to, at;
	int rc = find_record(j, seq, &at);

	*freed = 0;
	if (rc < 0)
		return rc;
	/* Of the first page the header stays; of another the rest was not given back before. */
	from = j->begin < page ? page : j->begin / page * page;
	to = at / page * page;
	if (to <= from || at > UINT32_MAX || j->n_damaged > 0)
		return 0;
	rc = sw_env_fault(j->env, "journal.forget");
	if (rc == 0)
		rc = sw_journal_sync(j); /* the hole may be on the disk at once: so must be what is said instead */
	if (rc == 0)
		rc = write_hole(j, at, seq);
	if (rc == 0 && fallocate(j->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) == 0)
		*freed = to - from;
	return rc;
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
	*fork = (struct sw_journal){.env = j->env, .next = j->next, .size = HEADER_SIZE, .begin = HEADER_SIZE, .dirty = true, .fd = -1};
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
	j->begin = by->begin;
	j->reserved = by->reserved;
	j->n_damaged = 0;
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
