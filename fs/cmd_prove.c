/* `swarmfs prove`: a row's proof, made from a store, or checked without one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/hlc.h"
#include "core/json.h"
#include "core/proof.h"
#include "fs/cmd.h"
#include "fs/commit_name.h"
#include "fs/commit_text.h"
#include "fs/json_out.h"
#include "fs/text.h"

#define SHOWN 200 /* bytes of a row in the text form */

static int make(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *at = sw_args_get(args, "at");
	struct sw_commit_filter row;
	struct sw_order order;
	SW_BUF proof = {0};
	int rc;

	if (!at)
		at = "HEAD";
	sw_commit_filter_parse(args->operands[1], &row);
	rc = sw_commit_find_all(ctx->owner->db, &at, 1, &order);
	if (rc == 0)
		rc = sw_proof_make(ctx->owner->db, &order, row.table, row.row, &proof);
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	fwrite(proof.p, 1, proof.n, ctx->out);
	return SW_EXIT_OK;
}

/* Checking */

/* A file, or standard input; one byte more than a proof may have shows that it has too many. */
static int read_proof(const char *path, struct sw_buf *out)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return sw_fail_errno("cannot open %s", path);
	if (!sw_buf_reserve(out, SW_PROOF_SIZE_MAX + 1))
		n = 0;
	while (n > 0 && out->n <= SW_PROOF_SIZE_MAX) {
		n = read(fd, out->p + out->n, SW_PROOF_SIZE_MAX + 1 - out->n);
		out->n += n > 0 ? (size_t)n : 0;
	}
	if (n < 0)
		out->rc = sw_fail_errno("cannot read %s", path);
	if (!is_stdin)
		close(fd);
	return out->rc;
}

static int read_piece(void *arg, uint64_t offset, void *out, size_t n, size_t *got)
{
	ssize_t k = 1;

	for (*got = 0; *got < n && k > 0; *got += k > 0 ? (size_t)k : 0)
		k = pread(*(int *)arg, (uint8_t *)out + *got, n - *got, (off_t)(offset + *got));
	if (k < 0 && errno == ESPIPE)
		return sw_fail(SW_EINVAL, "the content is read twice, which a pipe does not allow; give a file to --content");
	return k < 0 ? sw_fail_errno("cannot read the content") : 0;
}

static int check_content(const struct sw_proof *p, const char *path)
{
	int fd, rc;

	if (!p->has_row)
		return sw_fail(SW_EINVAL, "the proof says that there is no such row; leave --content out");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return sw_fail_errno("cannot open %s", path);
	rc = sw_proof_has_content(p, read_piece, &fd);
	close(fd);
	if (rc == 0)
		return sw_fail(SW_EINVAL, "%s is not what the row holds by the proof", path);
	return rc < 0 ? rc : 0;
}

/* What whoever checks expects of the proof. */
static int check_expected(const struct sw_proof *p, const struct sw_args *args)
{
	const char *database = sw_args_get(args, "database"), *content = sw_args_get(args, "content");
	struct sw_commit_filter row;
	char id[SW_HASH_HEX_SIZE];

	sw_hex(p->database.b, SW_HASH_SIZE, id);
	if (database && strcmp(database, id) != 0)
		return sw_fail(SW_EINVAL, "the proof is of the database %s, not of %s", id, database);
	if (args->n_operands > 0) {
		sw_commit_filter_parse(args->operands[0], &row);
		if (!sw_view_eq(row.table, p->table) || !sw_view_eq(row.row, p->key))
			return sw_fail(SW_EINVAL, "the proof is about another row than %s", args->operands[0]);
	}
	return content ? check_content(p, content) : 0;
}

static json_t *content_json(const struct sw_proof *p, bool *is_text)
{
	SW_BUF base64 = {0};

	*is_text = p->row.bytes.n == 0 || sw_json_is_utf8(p->row.bytes);
	if (*is_text)
		return sw_json_text(p->row.bytes);
	return sw_base64(p->row.bytes, &base64) < 0 ? NULL : sw_json_text(sw_buf_view(&base64));
}

static int put_row_json(const struct sw_proof *p, json_t *o)
{
	bool is_text = true;
	char mode[8];
	json_t *content = p->row.is_blob ? NULL : content_json(p, &is_text);

	if (!p->row.is_blob && !content)
		return SW_ENOMEM;
	snprintf(mode, sizeof(mode), "%04o", p->row.mode);
	json_object_set_new(o, "size", json_integer((json_int_t)p->row.size));
	json_object_set_new(o, "hash", sw_json_hex(p->value.b, SW_HASH_SIZE));
	json_object_set_new(o, "mode", json_string(mode));
	json_object_set_new(o, "mtime_ns", json_integer((json_int_t)p->row.mtime_ns));
	if (content)
		json_object_set_new(o, is_text ? "text" : "base64", content);
	return 0;
}

static int print_json(const struct sw_proof *p, FILE *out)
{
	char time[SW_TEXT_TIME_SIZE];
	json_t *o;
	int rc = 0;

	sw_text_time(sw_hlc_ms(p->stamp), time);
	o = json_pack("{s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:s, s:I, s:s, s:o}", "table", sw_json_name(p->table), "row",
		      sw_json_name(p->key), "exists", p->has_row, "table_exists", p->has_table, "database",
		      sw_json_hex(p->database.b, SW_HASH_SIZE), "creator", sw_json_hex(p->creator.b, SW_KEY_SIZE), "author",
		      sw_json_hex(p->author.b, SW_KEY_SIZE), "role", sw_text_role(p->role), "grants", (json_int_t)p->n_grants,
		      "time", time, "state", sw_json_hex(p->state.b, SW_HASH_SIZE));
	if (!o)
		return SW_ENOMEM;
	if (p->is_watermark) {
		json_object_set_new(o, "commits", json_integer((json_int_t)p->count));
		json_object_set_new(o, "line", sw_json_hex(p->line.b, SW_HASH_SIZE));
	} else {
		json_object_set_new(o, "commit", sw_json_hex(p->commit.b, SW_HASH_SIZE));
		json_object_set_new(o, "message", sw_json_text(p->message));
	}
	if (p->has_row)
		rc = put_row_json(p, o);
	if (rc == 0 && json_dumpf(o, out, JSON_PRESERVE_ORDER) != 0)
		rc = SW_ENOMEM;
	json_decref(o);
	fputc('\n', out);
	return rc;
}

static void put_hex(struct sw_buf *out, const char *name, const uint8_t *p)
{
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(p, SW_HASH_SIZE, hex);
	sw_buf_printf(out, "%-9s %s\n", name, hex);
}

static void put_row_text(const struct sw_proof *p, struct sw_buf *out)
{
	sw_buf_printf(out, "%-9s %llu\n", "size", (unsigned long long)p->row.size);
	put_hex(out, "hash", p->value.b);
	sw_buf_printf(out, "%-9s %04o\n", "mode", p->row.mode);
	if (p->row.is_blob)
		return;
	sw_buf_printf(out, "%-9s ", "content");
	sw_text_put(out, p->row.bytes, SHOWN);
	sw_buf_printf(out, "\n");
}

static int print_text(const struct sw_proof *p, FILE *to)
{
	char time[SW_TEXT_TIME_SIZE];
	SW_BUF out = {0};

	sw_text_time(sw_hlc_ms(p->stamp), time);
	sw_buf_printf(&out, "proved: ");
	sw_text_put_path(&out, p->table, p->key);
	sw_buf_printf(&out, "%s\n", p->has_row	   ? " is there, with this content"
				    : p->has_table ? " is not there; its table is"
						   : " is not there, nor is its table");
	put_hex(&out, "database", p->database.b);
	put_hex(&out, "creator", p->creator.b);
	if (p->is_watermark) {
		sw_buf_printf(&out, "%-9s %llu\n", "commits", (unsigned long long)p->count);
		put_hex(&out, "line", p->line.b);
	} else {
		put_hex(&out, "commit", p->commit.b);
	}
	put_hex(&out, "author", p->author.b);
	sw_buf_printf(&out, "%-9s %s, by %zu grant%s from the creator on\n%-9s %s\n", "role", sw_text_role(p->role), p->n_grants,
		      p->n_grants == 1 ? "" : "s", "time", time);
	put_hex(&out, "state", p->state.b);
	if (p->has_row)
		put_row_text(p, &out);
	sw_commit_put_message(&out, p->message);
	fwrite(out.p, 1, out.n, to);
	return out.rc;
}

static int check_file(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_proof p;
	SW_BUF bytes = {0};
	int rc = sw_crypto_init();

	if (rc == 0)
		rc = read_proof(sw_args_get(args, "check"), &bytes);
	if (rc == 0)
		rc = sw_proof_check(sw_buf_view(&bytes), &p);
	if (rc == 0)
		rc = check_expected(&p, args);
	if (rc == 0)
		rc = sw_args_has(args, "json") ? print_json(&p, ctx->out) : print_text(&p, ctx->out);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static int run(struct sw_ctx *ctx, const struct sw_args *args)
{
	return sw_args_has(args, "check") ? check_file(ctx, args) : make(ctx, args);
}

static int check_making(struct sw_ctx *ctx, const struct sw_args *args)
{
	if (args->n_operands < 2)
		return sw_ctx_usage(ctx, args, "needs 2 arguments, got %zu; or a proof to --check", args->n_operands);
	if (sw_args_has(args, "database") || sw_args_has(args, "content") || sw_args_has(args, "json"))
		return sw_ctx_usage(ctx, args, "--database, --content and --json go with --check");
	if (!sw_args_output(args) && isatty(fileno(ctx->out)))
		return sw_ctx_usage(ctx, args, "a proof is not text; name a file for it with --output");
	return 0;
}

static int check(struct sw_ctx *ctx, const struct sw_args *args)
{
	const char *row = args->n_operands > 0 ? args->operands[args->n_operands - 1] : NULL;
	struct sw_commit_filter filter = {.has_row = true};
	int rc = 0;

	if (!sw_args_has(args, "check"))
		rc = check_making(ctx, args);
	else if (args->n_operands > 1)
		return sw_ctx_usage(ctx, args, "--check needs no target, only the row, if at all");
	else if (sw_args_has(args, "at") || sw_args_has(args, "output"))
		return sw_ctx_usage(ctx, args, "--at and --output do not go with --check");
	if (rc == 0 && row)
		sw_commit_filter_parse(row, &filter);
	return rc != 0 || filter.has_row ? rc : sw_ctx_usage(ctx, args, "a row is named TABLE/ROW, not '%s'", row);
}

static const struct sw_option options[] = {
    {"at", 0, "COMMIT", "the row as of this commit; default: HEAD"},
    {"output", 'o', "FILE", "where the proof goes; default, and '-': standard output"},
    {"check", 0, "FILE", "check a proof ('-': standard input); this needs no store"},
    {"database", 0, "ID", "with --check: fail if it is of another database"},
    {"content", 0, "FILE", "with --check: fail if the row's content is not that of this file"},
    {"json", 0, NULL, "with --check: one JSON object"},
    {0},
};

const struct sw_cmd sw_cmd_prove = {
    .name = "prove",
    .synopsis = "TARGET TABLE/ROW [--at COMMIT] [-o FILE], or --check FILE [TABLE/ROW] [--database ID] [--content FILE] [--json]",
    .summary = "write a proof of what a row is, or check one",
    .details = "A proof is a small file that says, as a member has signed it, that a row has these bytes as of a commit, or that\n"
	       "there is no such row. Of a large row it has only a hash, with which --content compares a file.\n"
	       "It proves that who signed was let in, not that nobody has taken the right away since. It shows names and bytes of\n"
	       "rows that stand beside this one.\n"
	       "With --json: table, row, exists, table_exists, database, creator, author, role, grants, time, state; commit and message,\n"
	       "or commits and line; size, hash, mode, mtime_ns, text or base64.\n",
    .options = options,
    .min_operands = 0,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .here_option = "check",
    .check = check,
    .run = run,
};
