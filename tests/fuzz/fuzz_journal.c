/*
 * A journal after a crash. The first byte of the input says how its file comes about: any bytes at
 * all; whole records, with right checks, of any bytes; or records that were appended, of which one
 * byte is then damaged or the tail is cut. Opening gives the records that are whole, all of them
 * and no others, or refuses what is too new; opening again gives the same; and if nothing is damaged appending works.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/journal.h"
#include "core/sign.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/env.h"

#define RECORDS_MAX 64
#define HEADER_SIZE 28
#define CHECKED     20

static struct test_env env;
static char path[64];
static int fd;

/* What a replay has shown: every field of every name of whole records, where each of these ended, and how often damage. */
struct seen {
	struct sw_buf text;
	size_t n, n_damaged;
	size_t ends[RECORDS_MAX]; /* in text */
};

static int see(void *arg, uint64_t seq, const struct sw_journal_name *names, size_t n)
{
	struct seen *s = arg;

	must(n > 0);
	if (names[0].is_damaged) {
		for (size_t i = 0; i < n; i++)
			must(names[i].is_damaged && (names[i].table.n > 0 ? sw_name_check(names[i].table) == 0 : i + 1 == n));
		s->n_damaged++;
		return 0;
	}
	sw_buf_put_u64(&s->text, seq);
	sw_buf_put_varint(&s->text, n);
	for (size_t i = 0; i < n; i++) {
		sw_buf_put_bytes(&s->text, names[i].table);
		sw_buf_put_bytes(&s->text, names[i].key);
		sw_buf_put_u8(&s->text, names[i].exists);
		sw_buf_put_u8(&s->text, names[i].existed);
		sw_buf_put_u8(&s->text, names[i].row.is_blob);
		sw_buf_put_hash(&s->text, &names[i].old);
		sw_buf_put_u64(&s->text, names[i].follows);
		sw_buf_put_u16(&s->text, names[i].row.mode);
		sw_buf_put_u64(&s->text, (uint64_t)names[i].row.mtime_ns);
		if (!names[i].exists || names[i].key.n == 0)
			continue;
		sw_buf_put_u64(&s->text, names[i].row.size);
		sw_buf_put_u8(&s->text, names[i].is_tail);
		sw_buf_put_u64(&s->text, names[i].after);
		sw_buf_put_u64(&s->text, names[i].spill);
		sw_buf_put_u64(&s->text, names[i].spill_check);
		if (names[i].row.is_blob)
			sw_buf_put_hash(&s->text, &names[i].row.blob);
		else
			sw_buf_put_bytes(&s->text, names[i].row.bytes);
	}
	must(s->text.rc == 0);
	if (s->n < RECORDS_MAX)
		s->ends[s->n] = s->text.n;
	s->n++;
	return 0;
}

static void seen_fini(struct seen *s)
{
	sw_buf_fini(&s->text);
}
#define SEEN SW_CLEANUP(seen_fini) struct seen

static void put_file(struct sw_view bytes)
{
	must(ftruncate(fd, 0) == 0 && pwrite(fd, bytes.p, bytes.n, 0) == (ssize_t)bytes.n);
}

static void put_check(struct sw_buf *out, uint64_t at, struct sw_view bytes)
{
	struct sw_sip_key key = {"swarmfsj"};

	sw_set_u64(key.b + 8, at);
	sw_buf_put_u64(out, sw_sip13(&key, bytes));
}

static void put_header(struct sw_buf *out)
{
	sw_buf_put(out, "swarmfsj", 8);
	sw_buf_put_u32(out, SW_JOURNAL_VERSION);
	sw_buf_put_u64(out, 1);
	put_check(out, 0, sw_buf_view(out));
}

static void frame_bodies(struct sw_rd *in, struct sw_buf *out)
{
	put_header(out);
	for (uint64_t seq = 1; sw_rd_left(in) >= 2; seq++) {
		size_t n = sw_rd_u16(in), at = out->n;
		struct sw_view body = sw_rd_take(in, n < sw_rd_left(in) ? n : sw_rd_left(in));

		sw_buf_put_u32(out, (uint32_t)body.n);
		sw_buf_put_u64(out, seq);
		put_check(out, at + HEADER_SIZE, body); /* a frame is as long as the header */
		put_check(out, at, sw_view(out->p + at, CHECKED));
		sw_buf_put_view(out, body);
	}
}

/*
 * Not as the input has it: libFuzzer watches comparisons and copies what they want into its inputs, and so would forge a frame
 * within a row. Whoever means to can; a check finds accidents.
 */
static struct sw_view piece(struct sw_rd *in, size_t max)
{
	static uint8_t bytes[3 * RECORDS_MAX * 3 * 256];
	static size_t n_bytes;
	size_t n = sw_rd_u8(in) % (max + 1);
	struct sw_view v = sw_rd_take(in, n < sw_rd_left(in) ? n : sw_rd_left(in));
	uint8_t *out;

	if (v.n > sizeof(bytes) - n_bytes)
		n_bytes = 0; /* what an input has is less than half of it */
	out = bytes + n_bytes;
	for (size_t i = 0; i < v.n; i++)
		out[i] = v.p[i] ^ 0x15;
	n_bytes += v.n;
	return sw_view(out, v.n);
}

/* One that a table or row can have. */
static struct sw_view name(struct sw_rd *in, const char *otherwise)
{
	struct sw_view v = piece(in, 20);

	return sw_name_check(v) == 0 ? v : sw_view_str(otherwise);
}

/* Append records of up to three names each; where each ends in the file. */
static size_t append_records(struct sw_journal *j, struct sw_rd *in, struct seen *want,
			     uint64_t *ends)
{
	size_t n = 0;

	for (; sw_rd_left(in) > 0 && n < RECORDS_MAX; n++) {
		struct sw_journal_name names[3] = {0};
		uint8_t what = sw_rd_u8(in);
		size_t n_names = 1 + what % 3;
		uint64_t seq;

		for (size_t i = 0; i < n_names; i++) {
			names[i].table = name(in, "t");
			names[i].key = name(in, "");
			names[i].exists = what & 8;
			names[i].existed = what & 16;
			names[i].follows = what & 64;
			names[i].row.mode = what & 7;
			names[i].row.mtime_ns = what;
			names[i].row.is_blob = what & 32;
			if ((what & 160) == 160 && names[i].exists && names[i].key.n > 0) {
				names[i].row.is_blob = false;
				names[i].row.size = what;
				names[i].spill = what;
				names[i].spill_check = ~UINT64_C(0) / what;
			} else if (what & 32) {
				names[i].row.size = what;
				names[i].row.blob.b[3] = what;
			} else {
				names[i].row.bytes = piece(in, 255);
				names[i].is_tail = what & 128 && names[i].exists && names[i].key.n > 0;
				names[i].row.size = names[i].row.bytes.n + (names[i].is_tail ? what : 0);
				names[i].after = names[i].is_tail ? what : 0;
			}
		}
		must(sw_journal_append(j, names, n_names, &seq) == 0);
		must(see(want, seq, names, n_names) == 0);
		ends[n] = sw_journal_size(j);
	}
	return n;
}

/* All records but one. */
static void check_without(const struct seen *want, size_t n, size_t lost, const struct seen *got)
{
	size_t from = lost > 0 && lost <= n ? want->ends[lost - 1] : 0, to = lost < n ? want->ends[lost] : from;

	if (lost >= n)
		from = to = want->text.n;
	must(got->n == (lost < n ? n - 1 : n) && got->text.n == want->text.n - (to - from));
	must(from == 0 || memcmp(got->text.p, want->text.p, from) == 0);
	must(got->text.n == from || memcmp(got->text.p + from, want->text.p + to, got->text.n - from) == 0);
}

static void flip_byte(uint64_t at, uint8_t flip)
{
	uint8_t byte;

	must(pread(fd, &byte, 1, (off_t)at) == 1);
	byte ^= flip;
	must(pwrite(fd, &byte, 1, (off_t)at) == 1);
}

static void check_damaged(struct sw_rd *in)
{
	uint64_t ends[RECORDS_MAX], at, size;
	uint16_t where = sw_rd_u16(in);
	uint8_t flip = sw_rd_u8(in);
	struct sw_journal *j;
	SEEN want = {0};
	SEEN got = {0};
	size_t n, whole = 0;

	must(ftruncate(fd, 0) == 0);
	must(sw_journal_open(path, &env.env, see, &want, &j) == 0);
	n = append_records(j, in, &want, ends);
	size = sw_journal_size(j);
	sw_journal_close(j);
	if (flip == 0) { /* cut it, but not its header */
		at = HEADER_SIZE + where % (size - HEADER_SIZE + 1);
		must(ftruncate(fd, (off_t)at) == 0);
	} else {
		at = where % size;
		flip_byte(at, flip);
	}
	while (whole < n && ends[whole] <= at)
		whole++;
	must(sw_journal_open(path, &env.env, see, &got, &j) == 0);
	must((sw_journal_damage(j) > 0) == (flip != 0));
	must(got.n_damaged == (flip != 0 && at >= HEADER_SIZE));
	sw_journal_close(j);
	if (flip != 0) {
		check_without(&want, n, at < HEADER_SIZE ? n : whole, &got);
		return;
	}
	must(got.n == whole && got.text.n == (whole ? want.ends[whole - 1] : 0));
	must(got.text.n == 0 || memcmp(got.text.p, want.text.p, got.text.n) == 0);
}

/* Whatever the file is: refused, or opened the same way every time, and good for another record. */
static void check_any(void)
{
	struct sw_journal_name name = {
	    .table = sw_view_str("t"), .key = sw_view_str("r"), .exists = true};
	struct sw_journal *j;
	SEEN first = {0};
	SEEN second = {0};
	SEEN third = {0};
	uint64_t seq, next;
	bool is_damaged;
	int rc = sw_journal_open(path, &env.env, see, &first, &j);

	must(rc == 0 || rc == SW_EVERSION);
	if (rc < 0)
		return;
	next = sw_journal_next(j);
	is_damaged = sw_journal_damage(j) > 0;
	sw_journal_close(j);
		must(sw_journal_open(path, &env.env, see, &second, &j) == 0);
	must(sw_journal_next(j) == next);
	must(sw_view_eq(sw_buf_view(&first.text), sw_buf_view(&second.text)));
	must((sw_journal_damage(j) > 0) == is_damaged);
	if (is_damaged) {
		sw_journal_close(j);
		return;
	}
	must(sw_journal_append(j, &name, 1, &seq) == 0 && seq == next);
	sw_journal_close(j);
	must(see(&second, seq, &name, 1) == 0);
	must(sw_journal_open(path, &env.env, see, &third, &j) == 0);
	sw_journal_close(j);
	must(sw_view_eq(sw_buf_view(&second.text), sw_buf_view(&third.text)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sw_rd in = sw_rd(sw_view(data, size));
	uint8_t way = sw_rd_u8(&in);
	SW_BUF file = {0};

	if (!path[0]) {
		must(sw_crypto_init() == 0);
		test_env_init(&env, 1);
		fd = memfd_create("journal", MFD_CLOEXEC);
		must(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (way % 3 == 0) {
		check_damaged(&in);
		return 0;
	}
	if (way % 3 == 1)
		frame_bodies(&in, &file);
	else
		sw_buf_put_view(&file, sw_rd_take(&in, sw_rd_left(&in)));
	put_file(sw_buf_view(&file));
	check_any();
	return 0;
}
