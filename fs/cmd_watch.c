/* `swarmfs watch`: commits as they come, by their local numbers, which are those of arrival. */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "core/history.h"
#include "fs/cmd.h"
#include "fs/commit_text.h"

#define BATCH 256 /* commits looked at in one transaction */

struct watching {
	struct sw_ctx *ctx;
	struct sw_commit_filter filter;
	bool is_json;
	uint64_t next; /* the first number not shown yet */
	struct sw_buf out;
};

static int put(struct watching *w, const struct sw_reader *r, uint64_t seq)
{
	struct sw_commit_info info;
	struct sw_order order;
	bool is_wanted;
	int rc = sw_history_order(r->txn, seq, &order);

	if (rc == 0)
		rc = sw_commit_info(r, &order, &info);
	if (rc == 0)
		rc = sw_commit_concerns(&info, &w->filter, &is_wanted);
	if (rc < 0 || !is_wanted)
		return rc;
	return w->is_json ? sw_commit_json(&info, &w->out) : sw_commit_line(&info, &w->out);
}

/* 1: there may be more. */
static int show_batch(struct watching *w)
{
	struct sw_reader r;
	uint64_t end;
	int rc = sw_reader_begin(w->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_history_next_seq(r.txn, &end);
	for (int i = 0; rc == 0 && w->next < end && i < BATCH; i++)
		rc = put(w, &r, w->next++);
	sw_reader_end(&r);
	if (rc == 0 && w->out.n > 0) {
		fwrite(w->out.p, 1, w->out.n, w->ctx->out);
		fflush(w->ctx->out);
	}
	sw_buf_reset(&w->out);
	return rc < 0 ? rc : w->next < end;
}

/* 1: something came; 0: nobody listens any more, or the process is about to end. */
static int wait_for_more(const struct watching *w, const struct sw_watch *watch)
{
	struct pollfd fds[2] = {{.fd = watch->fd, .events = POLLIN}, {.fd = w->ctx->client, .events = POLLIN | POLLRDHUP}};
	eventfd_t n;
	int rc;

	do
		rc = poll(fds, 2, -1);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return sw_fail_errno("cannot wait for commits");
	if (fds[1].revents)
		return 0;
	/* Before looking: what comes from now on wakes again. */
	return eventfd_read(watch->fd, &n) < 0 && errno != EAGAIN ? sw_fail_errno("cannot wait for commits") : 1;
}

static int begin(struct watching *w)
{
	struct sw_reader r;
	int rc = sw_reader_begin(w->ctx->owner->db, &r);

	if (rc == 0) {
		rc = sw_history_next_seq(r.txn, &w->next);
		sw_reader_end(&r);
	}
	return rc;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_watches *all = &ctx->owner->watches;
	struct watching w = {.ctx = ctx, .is_json = sw_args_has(args, "json")};
	struct sw_watch watch;
	int rc;

	if (args->n_operands > 1)
		sw_commit_filter_parse(args->operands[1], &w.filter);
	rc = sw_watch_add(all, &watch);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	rc = begin(&w);
	while (rc >= 0 && !sw_ctx_is_gone(ctx)) {
		rc = show_batch(&w);
		if (rc == 0)
			rc = wait_for_more(&w, &watch);
		if (rc == 0)
			break;
	}
	sw_watch_remove(all, &watch);
	sw_buf_fini(&w.out);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "one JSON object a line, as 'log --json' has it"},
    {0},
};

const struct sw_cmd sw_cmd_watch = {
    .name = "watch",
    .synopsis = "TARGET [TABLE[/ROW]] [--json]",
    .summary = "show commits as they come, until the mount ends",
    .details = "One line a commit, as 'log' has them, in the order in which they came here: one from elsewhere may be\n"
	       "older than those before it. Only those that touch the table or row, if one is named.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 2,
    .where = SW_CMD_LIVE,
    .run = run,
};
