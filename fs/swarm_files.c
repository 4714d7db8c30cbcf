/* The files of .swarm, and the texts in a snapshot. Made when they are opened; events, a stream, are in fs/events.c. */
#include "fs/mount_internal.h"

#include <fcntl.h>

#include "fs/members_text.h"
#include "fs/settled_text.h"

const char *const sw_swarm_files[] = {"status", "head", "peers", "members", "commit", "events", "settled", "metrics", NULL};

static int text_head(struct sw_mount *m, struct sw_buf *out)
{
	char line[SW_HASH_HEX_SIZE], state[SW_HASH_HEX_SIZE];
	struct sw_head head;

	sw_db_head(m->db, &head);
	sw_hex(head.line.b, SW_HASH_SIZE, line);
	sw_hex(head.state.b, SW_HASH_SIZE, state);
	sw_buf_printf(out, "%llu %s %s\n", (unsigned long long)head.count, line, state);
	return out->rc;
}

static int text_commit(struct sw_mount *m, struct sw_buf *out)
{
	char hex[SW_HASH_HEX_SIZE];
	struct sw_order order;
	struct sw_reader r;
	struct sw_hash id;
	int rc = sw_reader_begin(m->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_resolve(&r, sw_view_str("HEAD"), &order);
	if (rc == 0) {
		sw_order_id(&order, &id);
		sw_hex(id.b, SW_HASH_SIZE, hex);
		sw_buf_printf(out, "%s\n", hex);
	}
	sw_reader_end(&r);
	return rc < 0 ? rc : out->rc;
}

static int text_of_snap(struct sw_mount *m, const struct sw_inode *i, struct sw_view name, struct sw_buf *out)
{
	const struct sw_mount_texts *t = &m->options.texts;
	struct sw_reader r;
	int rc;

	if (sw_view_eq(name, sw_view_str(".diff")))
		return t->diff ? t->diff(t->arg, m->db, &i->snap->order, out) : 0;
	if (!t->commit)
		return 0;
	rc = sw_reader_begin(m->db, &r);
	if (rc < 0)
		return rc;
	rc = t->commit(t->arg, &r, &i->snap->order, out);
	sw_reader_end(&r);
	return rc;
}

int sw_control_open(struct sw_mount *m, struct sw_open *o, int flags)
{
	const struct sw_mount_texts *t = &m->options.texts;
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct sw_inode_name name;

	sw_inode_name(&m->inodes, o->inode, &name);
	if (o->inode->type == SW_NODE_SNAP_FILE)
		return text_of_snap(m, o->inode, name.key, &o->text);
	if (writes && !sw_view_eq(name.key, sw_view_str("commit")))
		return SW_EPERM;
	if (writes)
		return 0;
	if (sw_view_eq(name.key, sw_view_str("head")))
		return text_head(m, &o->text);
	if (sw_view_eq(name.key, sw_view_str("commit")))
		return text_commit(m, &o->text);
	if (sw_view_eq(name.key, sw_view_str("members")))
		return sw_members_put(m->db, false, &o->text);
	if (sw_view_eq(name.key, sw_view_str("settled")))
		return sw_settled_file(m->db, &o->text);
	if (sw_view_eq(name.key, sw_view_str("events")))
		return sw_events_open(m, o, flags);
	if (sw_view_eq(name.key, sw_view_str("peers")))
		return t->peers ? t->peers(t->arg, &o->text) : 0;
	if (sw_view_eq(name.key, sw_view_str("metrics")))
		return t->metrics ? t->metrics(t->arg, &o->text) : 0;
	return t->status ? t->status(t->arg, &o->text) : 0;
}

void sw_control_read(struct sw_mount *m, fuse_req_t req, struct sw_open *o, size_t size, off_t offset)
{
	size_t at = (size_t)offset, n;
	SW_BUF copy = {0};

	if (o->events) {
		sw_events_read(m, req, o->events, size, (uint64_t)offset);
		return;
	}
	n = at < o->text.n ? o->text.n - at : 0;
	n = n < size ? n : size;
	/* A copy: once the kernel has the answer the file may be closed, and its text freed, by another thread. */
	if (n > 0) {
		sw_buf_put(&copy, o->text.p + at, n);
		n = copy.n;
	}
	fuse_reply_buf(req, (const char *)copy.p, n);
}

/* .swarm/commit: what is written is the message; closing commits. */
int sw_control_write(struct sw_mount *m, struct sw_open *o, struct sw_view bytes)
{
	(void)m;
	if (o->text.n + bytes.n > SW_MESSAGE_MAX)
		return SW_ELIMIT;
	sw_buf_put_view(&o->text, bytes);
	o->is_message = true;
	return o->text.rc;
}

int sw_control_flush(struct sw_mount *m, struct sw_open *o)
{
	struct sw_view message = sw_buf_view(&o->text);
	struct sw_hash id;

	if (!o->is_message)
		return 0;
	o->is_message = false;
	while (message.n > 0 && message.p[message.n - 1] == '\n')
		message.n--;
	return sw_work_commit(m->work, message, &id);
}

void sw_control_release(struct sw_mount *m, struct sw_open *o)
{
	if (o->events)
		sw_events_release(m, o->events);
}
