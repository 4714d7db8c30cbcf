/* `swarmfs conflicts`: what was lost, and what is to become of it. */
#include <stdlib.h>
#include <string.h>

#include "fs/cmd.h"
#include "fs/conflict_text.h"

#define BATCH 256               /* records listed in one transaction */
#define PIECE ((size_t)1 << 20) /* bytes of a row read in one transaction */

static const struct sw_verb verbs[] = {
    {"list", false}, {"show", false}, {"reapply", true}, {"discard", true}, {0}};

static bool is_verb(const struct sw_args *args, const char *verb)
{
	return strcmp(args->verb->name, verb) == 0;
}

/* TABLE, TABLE/ROW or TABLE/ROW/DIGITS taken apart; false when it is more. */
struct place {
	struct sw_view table, key, digits;
};

static bool parse_place(const char *text, struct place *out)
{
	struct sw_view *parts[] = {&out->table, &out->key, &out->digits};

	*out = (struct place){0};
	for (size_t i = 0; i < 3; i++) {
		size_t n = strcspn(text, "/");

		*parts[i] = sw_view(text, n);
		text += n;
		if (*text == '\0')
			return true;
		text++;
	}
	return false;
}

static int find(const struct sw_reader *r, const char *text, struct sw_conflict *out)
{
	struct place p;
	struct sw_hash root;
	int rc;

	if (!parse_place(text, &p)) /* seen by check() */
		return SW_EINVAL;
	rc = sw_conflicts_root(r->nodes, &r->head.state, &root);
	return rc < 0 ? rc : sw_conflict_find(r->nodes, &root, p.table, p.key, p.digits, out);
}

/* list */

struct list {
	struct sw_ctx *ctx;
	bool is_json;
	bool has_scope; /* of one table, or one row */
	enum sw_conflict_scope scope;
	struct sw_conflict of;
	struct sw_buf from; /* where to go on */
	struct sw_buf out;
};

/* 1: there may be more. */
static int list_batch(struct list *l)
{
	struct sw_conflict c;
	struct sw_reader r;
	struct sw_hash root;
	int n = 0, rc = sw_reader_begin(l->ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = sw_conflicts_root(r.nodes, &r.head.state, &root);
	while (rc == 0 && n++ < BATCH &&
	       (rc = sw_conflicts_seek(r.nodes, &root, sw_buf_view(&l->from), &c)) > 0) {
		if (l->has_scope && !sw_conflict_is_in(&c, &l->of, l->scope)) {
			rc = 0;
			n = 0;
			break;
		}
		rc = l->is_json ? sw_conflict_line_json(&r, &c, &l->out)
				: sw_conflict_line(&r, &c, &l->out);
		sw_conflict_behind(&c, SW_SCOPE_RECORD, &l->from);
		if (rc == 0)
			rc = l->from.rc;
	}
	sw_reader_end(&r);
	return rc < 0 ? rc : n > BATCH;
}

static int list(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct list l = {.ctx = ctx, .is_json = sw_args_has(args, "json")};
	struct place p;
	int rc = 0;

	if (args->n_operands > 1 && parse_place(args->operands[1], &p)) {
		if (p.table.n > SW_NAME_MAX || p.key.n > SW_NAME_MAX)
			return 0; /* no row has such a name */
		l.has_scope = true;
		l.scope = p.key.n > 0 ? SW_SCOPE_ROW : SW_SCOPE_TABLE;
		sw_conflict_set(&l.of, p.table, p.key, NULL);
		sw_conflict_before(&l.of, l.scope, &l.from);
		rc = l.from.rc;
	}
	if (rc == 0) {
		do {
			rc = list_batch(&l);
			if (l.out.n > 0)
				fwrite(l.out.p, 1, l.out.n, ctx->out);
			sw_buf_reset(&l.out);
		} while (rc > 0 && !sw_ctx_is_gone(ctx));
	}
	sw_buf_fini(&l.from);
	sw_buf_fini(&l.out);
	return rc;
}

/* show */

static int show_text(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_conflict c;
	struct sw_reader r;
	SW_BUF text = {0};
	int rc = sw_reader_begin(ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = find(&r, args->operands[1], &c);
	if (rc == 0)
		rc = sw_args_has(args, "json") ? sw_conflict_json(ctx->owner->db, &r, &c, &text)
					       : sw_conflict_text(ctx->owner->db, &r, &c, &text);
	sw_reader_end(&r);
	if (rc == 0)
		fwrite(text.p, 1, text.n, ctx->out);
	return rc;
}

static bool parse_side(const char *name, enum sw_conflict_side *out)
{
	static const char *const names[] = {
	    [SW_SIDE_BASE] = "base", [SW_SIDE_WON] = "won", [SW_SIDE_LOST] = "lost"};

	for (size_t i = 0; i < 3; i++) {
		*out = (enum sw_conflict_side)i;
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static int check_side(const struct sw_side *s, const char *name, const char *place)
{
	if (s->state == SW_SIDE_ABSENT)
		return sw_fail(SW_ENOTFOUND, "%s has no '%s': the row was not there", place, name);
	if (s->state == SW_SIDE_UNKNOWN)
		return sw_fail(
		    SW_ENOTFOUND,
		    "'%s' of %s is not known: nothing in the history has the value that the "
		    "commit names, or gc has freed it",
		    name, place);
	return 0;
}

/* The bytes of one side, in pieces, so that no transaction waits for whoever reads them. */
static int write_side(struct sw_ctx *ctx, const struct sw_side *s)
{
	uint8_t *piece = malloc(PIECE);
	uint64_t offset = 0;
	size_t got = 1;
	int rc = piece ? 0 : SW_ENOMEM;

	while (rc == 0 && got > 0 && !sw_ctx_is_gone(ctx)) {
		struct sw_reader r;

		rc = sw_reader_begin(ctx->owner->db, &r);
		if (rc < 0)
			break;
		rc = sw_side_read(r.nodes, s, offset, piece, PIECE, &got);
		sw_reader_end(&r);
		if (rc == 0)
			fwrite(piece, 1, got, ctx->out);
		offset += got;
	}
	free(piece);
	return rc;
}

static int show_side(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *name = sw_args_get(args, "side");
	enum sw_conflict_side which;
	struct sw_side side = {0};
	struct sw_conflict c;
	struct sw_hash pinned;
	struct sw_reader r;
	int rc = sw_db_pin_head(ctx->owner->db, &pinned); /* the row may change while it is read */

	if (rc < 0)
		return rc;
	rc = sw_reader_begin(ctx->owner->db, &r);
	if (rc == 0) {
		r.head.state = pinned;
		rc = find(&r, args->operands[1], &c);
		if (rc == 0 && parse_side(name, &which))
			rc = sw_conflict_side(ctx->owner->db, &r, &c, which, &side);
		sw_reader_end(&r);
	}
	if (rc == 0)
		rc = check_side(&side, name, args->operands[1]);
	if (rc == 0)
		rc = write_side(ctx, &side);
	sw_side_fini(&side);
	sw_db_unpin(ctx->owner->db, &pinned);
	return rc;
}

/* reapply and discard */

static int find_now(struct sw_ctx *ctx, const char *text, struct sw_conflict *out)
{
	struct sw_reader r;
	int rc = sw_reader_begin(ctx->owner->db, &r);

	if (rc < 0)
		return rc;
	rc = find(&r, text, out);
	sw_reader_end(&r);
	return rc;
}

/* --message, or what the commit does. */
static int make_message(const struct sw_args *args, const char *what, const struct sw_conflict *c,
			size_t n, struct sw_buf *out)
{
	const char *message = sw_args_get(args, "message");

	if (!message && n == 1)
		return sw_conflict_message(what, c, out);
	if (message)
		sw_buf_put_view(out, sw_view_str(message));
	else
		sw_buf_printf(out, "%s %zu conflicts", what, n);
	return out->rc;
}

static void print_id(struct sw_ctx *ctx, const struct sw_hash *id)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(id->b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", hex);
}

static int reapply(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_conflict c;
	struct sw_hash id;
	SW_BUF message = {0};
	int rc = find_now(ctx, args->operands[1], &c);

	if (rc == 0)
		rc = make_message(args, "reapplied", &c, 1, &message);
	if (rc == 0)
		rc = sw_conflict_reapply(ctx->owner->db, ctx->owner->work, &c,
					 sw_buf_view(&message), &id);
	if (rc == 0)
		print_id(ctx, &id);
	return rc;
}

/* Several go in one commit; one that was named twice, once. */
static int discard(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_conflict *v = calloc(args->n_operands, sizeof(*v));
	struct sw_hash id;
	SW_BUF message = {0};
	size_t n = 0;
	int rc = v ? 0 : SW_ENOMEM;

	for (size_t i = 1; rc == 0 && i < args->n_operands; i++) {
		bool is_new = true;

		rc = find_now(ctx, args->operands[i], &v[n]);
		for (size_t k = 0; rc == 0 && k < n; k++)
			is_new &= !sw_conflict_is_in(&v[k], &v[n], SW_SCOPE_RECORD);
		n += rc == 0 && is_new;
	}
	if (rc == 0)
		rc = make_message(args, "discarded", v, n, &message);
	if (rc == 0)
		rc = sw_conflict_discard(ctx->owner->db, v, n, sw_buf_view(&message), &id);
	if (rc == 0)
		print_id(ctx, &id);
	free(v);
	return rc;
}

/* All of them */

static int check_operands(struct sw_ctx *ctx, const struct sw_args *args)
{
	bool is_list = is_verb(args, "list");
	struct place p;

	if (!is_list && args->n_operands < 2)
		return sw_ctx_usage(ctx, args, "%s needs a conflict, TABLE/ROW or TABLE/ROW/COMMIT",
				    args->verb->name);
	for (size_t i = 1; i < args->n_operands; i++) {
		bool is_place = parse_place(args->operands[i], &p) && p.table.n > 0;

		if (is_list && (!is_place || p.digits.n > 0))
			return sw_ctx_usage(ctx, args, "list takes TABLE or TABLE/ROW, not '%s'",
					    args->operands[i]);
		if (!is_list && (!is_place || p.key.n == 0))
			return sw_ctx_usage(
			    ctx, args,
			    "a conflict is named TABLE/ROW or TABLE/ROW/COMMIT, not '%s'",
			    args->operands[i]);
	}
	if (args->n_operands > 2 && !is_verb(args, "discard"))
		return sw_ctx_usage(ctx, args, "'%s' is one too many", args->operands[2]);
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *side = sw_args_get(args, "side"), *message = sw_args_get(args, "message");
	bool is_reading = is_verb(args, "list") || is_verb(args, "show");
	enum sw_conflict_side which;

	if (message && is_reading)
		return sw_ctx_usage(ctx, args, "--message goes with reapply and discard");
	if (message && strlen(message) > SW_MESSAGE_MAX)
		return sw_ctx_usage(ctx, args, "a message has at most %d bytes", SW_MESSAGE_MAX);
	if (sw_args_has(args, "json") && !is_reading)
		return sw_ctx_usage(ctx, args, "--json goes with list and show");
	if (side && !is_verb(args, "show"))
		return sw_ctx_usage(ctx, args, "--side goes with show");
	if (side && sw_args_has(args, "json"))
		return sw_ctx_usage(ctx, args, "--side and --json do not go together");
	if (side && !parse_side(side, &which))
		return sw_ctx_usage(ctx, args, "--side is 'base', 'won' or 'lost', not '%s'", side);
	return check_operands(ctx, args);
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	int rc;

	if (is_verb(args, "list"))
		rc = list(ctx, args);
	else if (is_verb(args, "reapply"))
		rc = reapply(ctx, args);
	else if (is_verb(args, "discard"))
		rc = discard(ctx, args);
	else
		rc = sw_args_has(args, "side") ? show_side(ctx, args) : show_text(ctx, args);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option options[] = {
    {"json", 0, NULL, "list: one JSON object a line; show: one object"},
    {"side", 0, "base|won|lost", "show: the bytes of that version of the row"},
    {"message", 'm', "TEXT", "reapply and discard: what the commit says"},
    {0},
};

const struct sw_cmd sw_cmd_conflicts = {
    .name = "conflicts",
    .synopsis = "[list|show|reapply|discard] TARGET [TABLE[/ROW[/COMMIT]]]...",
    .summary = "list what was overwritten by somebody who had not seen it, and resolve it",
    .details = "A conflict is a row and the commit that lost there, and is named TABLE/ROW/COMMIT. "
	       "COMMIT is the beginning of\n"
	       "that commit's id, and may be left out when the row has one conflict.\n"
	       "  list TARGET [TABLE[/ROW]]     one line for each: its name, when the commit was "
	       "made, by whom, its outcome\n"
	       "  show TARGET CONFLICT          what was lost, and to what. --side prints one "
	       "version of the row: base, which\n"
	       "                                the losing commit replaced; lost, which it wrote; "
	       "won, the row as it is now\n"
	       "  reapply TARGET CONFLICT       write again what was lost, on the row as it is "
	       "now: the columns, if columns were\n"
	       "                                lost, else the row or its deletion; and resolve "
	       "the conflict\n"
	       "  discard TARGET CONFLICT...    resolve them: they are not shown any more, "
	       "whatever arrives later\n"
	       "What resolves is a commit that every peer sees; its id is printed. In a mount the "
	       "conflicts are in .conflicts:\n"
	       "'rm -r .conflicts/TABLE/ROW/COMMIT' discards, 'mv .conflicts/TABLE/ROW/COMMIT/lost "
	       "TABLE/ROW' reapplies.\n",
    .options = options,
    .verbs = verbs,
    .min_operands = 1,
    .max_operands = SW_ARGS_MAX,
    .where = SW_CMD_STORE,
    .check = check,
    .run = run,
};
