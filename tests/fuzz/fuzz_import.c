/*
 * Files to import: the first byte of the input chooses format and naming, the rest is the file.
 * Every row that comes out is a JSON object on a line of its own, under a name of its own that may
 * be a row's; and read again as JSON Lines, the rows are the same.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/columns.h"
#include "core/json.h"
#include "core/row.h"
#include "core/sign.h"
#include "fs/import_parse.h"
#include "tests/fuzz/fuzz.h"

static int fd;
static char path[64];

struct seen {
	struct sw_buf rows;
	struct sw_buf names; /* each ends with a NUL */
	uint64_t n;
};

static bool has_name(const struct sw_buf *names, struct sw_view key)
{
	size_t at = 0;

	while (at < names->n) {
		struct sw_view name = sw_view_str((const char *)names->p + at);

		if (sw_view_eq(name, key))
			return true;
		at += name.n + 1;
	}
	return false;
}

static int see(void *arg, struct sw_view table, struct sw_view key, struct sw_view bytes,
	       const struct sw_import_meta *meta)
{
	struct seen *s = arg;

	must(sw_view_eq(table, sw_view_str("t")) && !meta);
	must(sw_name_check(key) == 0 && !has_name(&s->names, key));
	must(bytes.n > 2 && bytes.p[0] == '{' && bytes.p[bytes.n - 1] == '\n');
	must(sw_json_validate(bytes) == 0);
	sw_buf_put_view(&s->names, key);
	sw_buf_put_u8(&s->names, 0);
	sw_buf_put_view(&s->rows, bytes);
	must(s->rows.rc == 0 && s->names.rc == 0);
	s->n++;
	return 0;
}

static int import(struct sw_view file, const struct sw_import_options *options, struct seen *s)
{
	struct sw_import_sink sink = {.row = see, .arg = s};
	struct sw_import_report report;
	int rc;

	must(ftruncate(fd, 0) == 0 && pwrite(fd, file.p, file.n, 0) == (ssize_t)file.n);
	rc = sw_import_read(path, options, &sink, &report);
	must(report.n_rows == s->n && memchr(report.note, 0, sizeof(report.note)));
	must(rc == 0 || rc == SW_EFORMAT || rc == SW_EINVAL || rc == SW_ELIMIT ||
	     rc == SW_ETOOLONG);
	return rc;
}

static void seen_fini(struct seen *s)
{
	sw_buf_fini(&s->rows);
	sw_buf_fini(&s->names);
}
#define SEEN SW_CLEANUP(seen_fini) struct seen

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum sw_import_format formats[] = {SW_IMPORT_GUESS, SW_IMPORT_JSON,
							SW_IMPORT_LINES, SW_IMPORT_CSV};
	static const char *const keys[] = {"id", "k"};
	struct sw_import_options options = {.table = "t"};
	SEEN first = {0};
	SEEN again = {0};

	if (size == 0)
		return 0;
	if (!path[0]) {
		must(sw_crypto_init() == 0);
		fd = memfd_create("import", MFD_CLOEXEC);
		must(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	options.format = formats[data[0] % 4];
	options.number = data[0] & 4;
	if (data[0] & 8 && !options.number) {
		options.keys = keys;
		options.n_keys = 1 + (data[0] >> 4) % 2;
	}
	if (import(sw_view(data + 1, size - 1), &options, &first) < 0)
		return 0;
	/* JSON may hold rows over several lines; those are not JSON Lines. */
	for (size_t i = 0, depth = 0; i < first.rows.n; i++) {
		depth += first.rows.p[i] == '\n';
		if (i + 1 == first.rows.n && depth != first.n)
			return 0;
	}
	options.format = SW_IMPORT_LINES;
	must(import(sw_buf_view(&first.rows), &options, &again) == 0);
	must(sw_view_eq(sw_buf_view(&first.rows), sw_buf_view(&again.rows)));
	must(sw_view_eq(sw_buf_view(&first.names), sw_buf_view(&again.names)));
	return 0;
}
