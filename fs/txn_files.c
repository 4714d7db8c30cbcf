/*
 * .txn: working copies as directories. mkdir makes one, rmdir discards it, and a rename to .txn/commit applies it.
 * Their tables and rows are handled as those of the live tree; here are the directory of them all, and the two files that each
 * has: .check takes the rows that must not move on although they are only read, .message what the commit will say.
 */
#include "fs/mount_internal.h"

#include <fcntl.h>
#include <stdio.h>

#include "core/log.h"

#define COMMIT	       "commit" /* what a working copy is renamed to */
#define CHECK_TEXT_MAX ((size_t)1 << 20)

int sw_txn_lookup(struct sw_mount *m, struct sw_view name, struct sw_inode **out)
{
	struct sw_copy *y;
	int rc = sw_copy_find(m->copies, name, &y);

	if (rc < 0)
		return rc;
	rc = sw_inode_get_in(&m->inodes, SW_NODE_COPY, y, sw_view(NULL, 0), sw_view(NULL, 0), 0, out);
	sw_copy_unref(y);
	return rc;
}

int sw_txn_entry(struct sw_mount *m, uint64_t from, char name[static SW_NAME_MAX + 1], uint64_t *next)
{
	struct sw_copy *y = sw_copy_next(m->copies, from);
	struct sw_view text;

	if (!y)
		return 0;
	text = sw_copy_name(y);
	memcpy(name, text.p, text.n);
	name[text.n] = '\0';
	*next = sw_copy_number(y);
	sw_copy_unref(y);
	return 1;
}

int sw_txn_mkdir(struct sw_mount *m, struct sw_view name)
{
	struct sw_copy *y;
	int rc;

	if (sw_view_eq(name, sw_view_str(COMMIT)))
		return SW_EPERM;
	rc = sw_copy_make(m->copies, name, &y);
	if (rc == 0)
		sw_copy_unref(y);
	return rc;
}

int sw_txn_rmdir(struct sw_mount *m, struct sw_view name)
{
	struct sw_copy *y;
	int rc = sw_copy_find(m->copies, name, &y);

	if (rc < 0)
		return rc;
	rc = sw_copy_discard(y);
	sw_copy_unref(y);
	return rc;
}

int sw_txn_rename(struct sw_mount *m, struct sw_view name, const struct sw_inode *new_dir, struct sw_view new_name,
		  unsigned flags)
{
	struct sw_copy *y;
	struct sw_hash id;
	int rc;

	if (new_dir->type != SW_NODE_TXNS || !sw_view_eq(new_name, sw_view_str(COMMIT)))
		return SW_EPERM;
	if (flags & RENAME_EXCHANGE)
		return SW_EINVAL;
	rc = sw_copy_find(m->copies, name, &y);
	if (rc < 0)
		return rc;
	rc = sw_copy_apply(y, &id);
	if (rc < 0)
		sw_log(SW_LOG_INFO, "transaction %.*s was not applied: %s", (int)name.n, (const char *)name.p,
		       sw_fail_message(rc));
	sw_copy_unref(y);
	return rc;
}

/* Files */

static bool is_the_message(struct sw_mount *m, const struct sw_open *o)
{
	struct sw_inode_name name;

	sw_inode_name(&m->inodes, o->inode, &name);
	return sw_view_eq(name.key, sw_view_str(".message"));
}

/* One line for each. */
static int text_checks(struct sw_work *work, struct sw_buf *out)
{
	SW_BUF names = {0};
	int rc = sw_work_checks(work, &names);
	struct sw_rd r = sw_rd(sw_buf_view(&names));

	while (rc == 0 && sw_rd_left(&r) > 0) {
		sw_buf_put_view(out, sw_rd_bytes(&r, SW_NAME_MAX));
		sw_buf_put_u8(out, '/');
		sw_buf_put_view(out, sw_rd_bytes(&r, SW_NAME_MAX));
		sw_buf_put_u8(out, '\n');
	}
	return rc < 0 ? rc : out->rc;
}

int sw_copy_file_open(struct sw_mount *m, struct sw_open *o, int flags)
{
	int rc;

	if ((flags & O_ACCMODE) != O_RDONLY)
		return 0;
	if (!is_the_message(m, o))
		return text_checks(sw_copy_work(o->inode->copy), &o->text);
	rc = sw_copy_message(o->inode->copy, &o->text);
	if (rc == 0 && o->text.n > 0)
		sw_buf_put_u8(&o->text, '\n');
	return rc < 0 ? rc : o->text.rc;
}

/* A line TABLE/ROW. */
static int check_line(struct sw_work *work, struct sw_view line)
{
	const uint8_t *slash = line.n ? memchr(line.p, '/', line.n) : NULL;
	size_t n = slash ? (size_t)(slash - line.p) : 0;

	if (line.n == 0)
		return 0;
	return slash ? sw_work_check(work, sw_view(line.p, n), sw_view(slash + 1, line.n - n - 1)) : SW_EINVAL;
}

static int check_lines(struct sw_work *work, struct sw_view text)
{
	int rc = 0;

	while (rc == 0 && text.n > 0) {
		const uint8_t *end = memchr(text.p, '\n', text.n);
		size_t n = end ? (size_t)(end - text.p) : text.n;

		rc = check_line(work, sw_view(text.p, n));
		n += end != NULL;
		text = sw_view(text.p + n, text.n - n);
	}
	return rc;
}

/* The lines that are whole are checked at once: a shell looks at what write() answers, and not at what close() does. */
static int check_whole_lines(struct sw_open *o)
{
	const uint8_t *end = o->text.n ? memrchr(o->text.p, '\n', o->text.n) : NULL;
	size_t n = end ? (size_t)(end - o->text.p) + 1 : 0;
	int rc = check_lines(sw_copy_work(o->inode->copy), sw_view(o->text.p, n));

	if (rc < 0) {
		sw_buf_reset(&o->text);
		return rc;
	}
	memmove(o->text.p, o->text.p + n, o->text.n - n);
	o->text.n -= n;
	return 0;
}

int sw_copy_file_write(struct sw_mount *m, struct sw_open *o, struct sw_view bytes)
{
	if (o->text.n + bytes.n > CHECK_TEXT_MAX)
		return SW_ELIMIT;
	sw_buf_put_view(&o->text, bytes);
	if (o->text.rc < 0)
		return o->text.rc;
	o->is_message = true;
	return is_the_message(m, o) ? 0 : check_whole_lines(o);
}

int sw_copy_file_flush(struct sw_mount *m, struct sw_open *o)
{
	struct sw_view text = sw_buf_view(&o->text);
	int rc;

	if (!o->is_message)
		return 0;
	o->is_message = false;
	if (!is_the_message(m, o)) {
		rc = check_lines(sw_copy_work(o->inode->copy), text);
		sw_buf_reset(&o->text);
		return rc;
	}
	while (text.n > 0 && text.p[text.n - 1] == '\n')
		text.n--;
	return sw_copy_set_message(o->inode->copy, text);
}
