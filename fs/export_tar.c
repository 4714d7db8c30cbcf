/*
 * Export as a tar archive: POSIX ustar, with a pax header before an entry that has a name, a size or a time beyond it. Headers of 512
 * bytes need no library, and libarchive would bring a dozen others into the process that holds the key.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "fs/export_internal.h"
#include "fs/time_ns.h"

#define BLOCK	   512
#define PIECE	   ((size_t)1 << 20) /* of a large row */
#define PATH_LEN   (SW_NAME_MAX + 1 + SW_NAME_MAX)
#define OCTAL11    ((uint64_t)1 << 33) /* the first number that eleven digits cannot say */
#define NUMBER_MAX 20

struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char linkname[100];
	char magic[8];
	char uname[32];
	char gname[32];
	char devmajor[8];
	char devminor[8];
	char prefix[155];
	char padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

struct entry {
	struct sw_view path;
	bool is_directory;
	uint16_t mode;
	int64_t mtime_ns;
	uint64_t size;
};

static void put_octal(char *out, size_t n, uint64_t v)
{
	out[n - 1] = '\0';
	for (size_t i = n - 1; i-- > 0; v >>= 3)
		out[i] = (char)('0' + (v & 7));
}

static void put_header(FILE *out, struct header *h, char type, uint16_t mode, uint64_t size, uint64_t mtime)
{
	const uint8_t *p = (const uint8_t *)h;
	uint64_t sum = 0;

	put_octal(h->mode, sizeof(h->mode), mode);
	put_octal(h->uid, sizeof(h->uid), 0);
	put_octal(h->gid, sizeof(h->gid), 0);
	put_octal(h->size, sizeof(h->size), size);
	put_octal(h->mtime, sizeof(h->mtime), mtime);
	h->type = type;
	memcpy(h->magic, "ustar\00000", sizeof(h->magic));
	put_octal(h->devmajor, sizeof(h->devmajor), 0);
	put_octal(h->devminor, sizeof(h->devminor), 0);
	memset(h->checksum, ' ', sizeof(h->checksum));
	for (size_t i = 0; i < sizeof(*h); i++)
		sum += p[i];
	put_octal(h->checksum, sizeof(h->checksum) - 1, sum);
	fwrite(h, 1, sizeof(*h), out);
}

static void pad(FILE *out, uint64_t size)
{
	static const char zeros[BLOCK];

	fwrite(zeros, 1, (size_t)(-size & (BLOCK - 1)), out);
}

/* Put the path into name and prefix, cut at a slash: false if it does not fit. */
static bool put_path(struct header *h, struct sw_view path)
{
	if (path.n <= sizeof(h->name)) {
		memcpy(h->name, path.p, path.n);
		return true;
	}
	for (size_t i = path.n - 1; i > 0; i--) {
		if (path.p[i] != '/' || i > sizeof(h->prefix) || path.n - i - 1 > sizeof(h->name) || i == path.n - 1)
			continue;
		memcpy(h->prefix, path.p, i);
		memcpy(h->name, path.p + i + 1, path.n - i - 1);
		return true;
	}
	memcpy(h->name, path.p, sizeof(h->name));
	return false;
}

/* A record "LENGTH KEY=VALUE\n", whose length counts its own digits. */
static void put_record(struct sw_buf *out, const char *key, struct sw_view value)
{
	size_t rest = strlen(key) + value.n + 3, n = rest, before;
	char digits[NUMBER_MAX + 1];

	do {
		before = n;
		n = rest + (size_t)snprintf(digits, sizeof(digits), "%zu", before);
	} while (n != before);
	sw_buf_printf(out, "%zu %s=", n, key);
	sw_buf_put_view(out, value);
	sw_buf_put_u8(out, '\n');
}

static void put_time(struct sw_buf *out, int64_t ns)
{
	uint64_t size = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char text[2 * NUMBER_MAX];

	snprintf(text, sizeof(text), "%s%" PRIu64 ".%09" PRIu64, ns < 0 ? "-" : "", size / 1000000000, size % 1000000000);
	put_record(out, "mtime", sw_view_str(text));
}

static void put_size(struct sw_buf *out, uint64_t size)
{
	char text[NUMBER_MAX + 1];

	snprintf(text, sizeof(text), "%" PRIu64, size);
	put_record(out, "size", sw_view_str(text));
}

static int put_pax(FILE *out, const struct sw_buf *records)
{
	struct header h = {.name = "pax"};

	if (records->rc < 0)
		return records->rc;
	if (records->n == 0)
		return 0;
	put_header(out, &h, 'x', 0644, records->n, 0);
	fwrite(records->p, 1, records->n, out);
	pad(out, records->n);
	return 0;
}

static int put_entry(FILE *out, const struct entry *e)
{
	struct timespec mtime = sw_time_of_ns(e->mtime_ns);
	bool is_plain_time = mtime.tv_nsec == 0 && mtime.tv_sec >= 0 && (uint64_t)mtime.tv_sec < OCTAL11;
	struct header h = {0};
	SW_BUF records = {0};
	int rc;

	if (!put_path(&h, e->path))
		put_record(&records, "path", e->path);
	if (e->size >= OCTAL11)
		put_size(&records, e->size);
	if (!is_plain_time)
		put_time(&records, e->mtime_ns);
	rc = put_pax(out, &records);
	put_header(out, &h, e->is_directory ? '5' : '0', e->mode, e->size < OCTAL11 ? e->size : 0,
		   mtime.tv_sec >= 0 && (uint64_t)mtime.tv_sec < OCTAL11 ? (uint64_t)mtime.tv_sec : 0);
	return rc;
}

static int put_bytes(struct sw_export *x, struct sw_scan *scan, const struct sw_row *row)
{
	SW_BUF piece = {0};
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < row->size; at += piece.n) {
		sw_buf_reset(&piece);
		rc = sw_scan_read(scan, row, at, PIECE, &piece);
		if (rc == 0 && piece.n == 0)
			rc = SW_ECORRUPT;
		if (rc == 0 && (ferror(x->out) || x->is_gone(x->arg)))
			rc = SW_ECLOSED;
		if (rc == 0)
			fwrite(piece.p, 1, piece.n, x->out);
	}
	pad(x->out, row->size);
	return rc;
}

static int put_rows(struct sw_export *x, const struct sw_scan_table *t, struct sw_scan *scan)
{
	const struct sw_scan_row *row;
	SW_BUF path = {0};
	int rc;

	while ((rc = sw_scan_next(scan, &row)) > 0) {
		struct entry e = {.mode = row->row.mode, .mtime_ns = row->row.mtime_ns, .size = row->row.size};

		sw_buf_reset(&path);
		sw_buf_put_view(&path, t->name);
		sw_buf_put_u8(&path, '/');
		sw_buf_put_view(&path, row->key);
		e.path = sw_buf_view(&path);
		rc = path.rc < 0 ? path.rc : put_entry(x->out, &e);
		if (rc == 0)
			rc = put_bytes(x, scan, &row->row);
		if (rc == 0 && (ferror(x->out) || x->is_gone(x->arg)))
			rc = SW_ECLOSED;
		if (rc < 0)
			return rc;
	}
	return rc;
}

static int put_table(struct sw_export *x, const struct sw_scan_table *t)
{
	struct entry e = {.is_directory = true, .mode = t->table.mode, .mtime_ns = t->table.mtime_ns};
	struct sw_scan *scan = NULL;
	SW_BUF path = {0};
	int rc;

	sw_buf_put_view(&path, t->name);
	sw_buf_put_u8(&path, '/');
	e.path = sw_buf_view(&path);
	rc = path.rc < 0 ? path.rc : put_entry(x->out, &e);
	if (rc == 0)
		rc = sw_scan_new(x->snap, &t->table.root, &scan);
	if (rc == 0)
		rc = put_rows(x, t, scan);
	sw_scan_free(scan);
	return rc;
}

static int put_named(struct sw_export *x, const struct sw_scan_tables *tables, const char *const *names, size_t n)
{
	const struct sw_scan_table *t;
	int rc = 0;

	/* Nothing is written when one of them is not there. */
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = sw_export_find(tables, sw_view_str(names[i]), &t);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = sw_export_find(tables, sw_view_str(names[i]), &t);
		if (rc == 0)
			rc = put_table(x, t);
	}
	return rc;
}

int sw_export_tar(struct sw_export *x, const char *const *names, size_t n)
{
	SW_CLEANUP(sw_scan_tables_fini) struct sw_scan_tables tables = {0};
	static const char end[2 * BLOCK];
	int rc = sw_scan_tables_load(x->snap, &tables);

	if (rc == 0 && n > 0)
		rc = put_named(x, &tables, names, n);
	for (size_t i = 0; n == 0 && rc == 0 && i < tables.n; i++)
		rc = put_table(x, &tables.v[i]);
	if (rc == 0)
		fwrite(end, 1, sizeof(end), x->out);
	return rc;
}
