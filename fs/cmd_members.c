/* Who is a member: members lists them and changes roles, revoke takes them out, floor ends what nobody has seen. */
#include <stdlib.h>

#include "core/members.h"
#include "fs/cmd.h"
#include "fs/grant.h"
#include "fs/members_text.h"
#include "fs/text.h"

#define PREFIX_MIN 4 /* digits */

static int read_members(struct sw_db *db, struct sw_member **v, size_t *n)
{
	struct sw_reader r;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_members(db, &r, v, n);
	sw_reader_end(&r);
	return rc;
}

static const struct sw_member *find_member(const struct sw_member *v, size_t n, const struct sw_key *key)
{
	for (size_t i = 0; i < n; i++)
		if (sw_key_eq(&v[i].key, key))
			return &v[i];
	return NULL;
}

/* A whole key, or the first digits of a member's. */
static int parse_key(const char *text, const struct sw_member *v, size_t n, struct sw_key *out)
{
	struct sw_view digits = sw_view_str(text);
	size_t found = 0;

	if (digits.n == 2 * SW_KEY_SIZE && sw_unhex(digits, out->b, SW_KEY_SIZE) == 0)
		return 0;
	for (size_t i = 0; digits.n >= PREFIX_MIN && digits.n < 2 * SW_KEY_SIZE && i < n; i++) {
		char hex[SW_HASH_HEX_SIZE];

		sw_hex(v[i].key.b, SW_KEY_SIZE, hex);
		if (memcmp(hex, digits.p, digits.n) != 0)
			continue;
		*out = v[i].key;
		found++;
	}
	if (found == 1)
		return 0;
	if (found > 1)
		return sw_fail(SW_EINVAL, "the keys of %zu members begin with '%s'; give more digits", found, text);
	return sw_fail(SW_ENOTFOUND, "no member has the key '%.80s'; 'swarmfs members' lists them", text);
}

/* Sign a control commit, and say so. */
static int sign(struct sw_ctx *ctx, struct sw_write_op *ops, size_t n, struct sw_hash *id)
{
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = ops, .n = n};

	return sw_db_commit(ctx->owner->db, &w, id);
}

/* Only what is not above us can be taken back; a grant can always be made. */
static int check_rank(struct sw_ctx *ctx, const struct sw_member *v, size_t n, const struct sw_key *key)
{
	const struct sw_member *own = find_member(v, n, sw_db_key(ctx->owner->db)), *m = find_member(v, n, key);
	char hex[SW_HASH_HEX_SIZE];

	sw_hex(key->b, SW_TEXT_KEY_DIGITS / 2, hex);
	if (sw_key_eq(key, sw_db_key(ctx->owner->db)))
		return sw_fail(SW_EINVAL, "%s is the key of this store; another admin can take it out", hex);
	if (own && m && m->role == SW_ROLE_ADMIN && m->rank < own->rank)
		return sw_fail(SW_EDENIED, "%s is an admin of rank %u, and the key of this store has rank %u; an admin takes out "
					   "only equals and those below", hex, m->rank, own->rank);
	return 0;
}

static int list(struct sw_ctx *ctx, bool json)
{
	SW_BUF out = {0};
	int rc = sw_members_put(ctx->owner->db, json, &out);

	if (rc == 0 && out.n > 0)
		fwrite(out.p, 1, out.n, ctx->out);
	return rc;
}

/* Roles */

/* KEY=ROLE taken apart. */
static int parse_setting(const char *text, const struct sw_member *v, size_t n, struct sw_key *key, enum sw_role *role)
{
	const char *equals = strchr(text, '=');
	char digits[2 * SW_KEY_SIZE + 1];
	int rc;

	if (!equals || (size_t)(equals - text) >= sizeof(digits))
		return sw_fail(SW_EINVAL, "--set takes a key and a role, as in 1a2b3c4d=writer, not '%.80s'", text);
	snprintf(digits, sizeof(digits), "%.*s", (int)(equals - text), text);
	rc = sw_text_parse_role(equals + 1, role);
	return rc < 0 ? rc : parse_key(digits, v, n, key);
}

static int set_role(struct sw_ctx *ctx, const struct sw_args *args, const struct sw_member *v, size_t n)
{
	const struct sw_member *m;
	struct sw_key key;
	enum sw_role role;
	bool lowers;
	int rc = parse_setting(sw_args_get(args, "set"), v, n, &key, &role);

	if (rc < 0)
		return rc;
	m = find_member(v, n, &key);
	if (m && m->role == role)
		return 0;
	lowers = m && m->role > role;
	if (lowers)
		rc = check_rank(ctx, v, n, &key);
	return rc < 0 ? rc : sw_grant_role(ctx->owner->db, &key, role, lowers);
}

static int run_members(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_member *v = NULL;
	size_t n = 0;
	bool sets = sw_args_has(args, "set");
	int rc = sets ? read_members(ctx->owner->db, &v, &n) : list(ctx, sw_args_has(args, "json"));

	if (rc == 0 && sets)
		rc = set_role(ctx, args, v, n);
	free(v);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option members_options[] = {
    {"set", 0, "KEY=ROLE", "change a member's role, or let a key in: reader, writer, admin"},
    {"json", 0, NULL, "one JSON object a line"},
    {0},
};

const struct sw_cmd sw_cmd_members = {
    .name = "members",
    .synopsis = "TARGET [--set KEY=ROLE] [--json]",
    .summary = "list the members, or change the role of one",
    .details = "KEY is a whole key, or the first digits of a member's. Only an admin can change\n"
	       "roles; a lesser role holds for everything that the member has not signed yet, as far as this store knows.\n"
	       "The rank of an admin is its distance from the creator, who has rank 0.\n"
	       "With --json: key, role, rank, granted_by, grant, own.\n",
    .options = members_options,
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .run = run_members,
};

/* Revoking */

static int hash_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SW_HASH_SIZE);
}

/* The commits that --since names. */
static int find_stand(struct sw_ctx *ctx, const struct sw_args *args, struct sw_hash *ids, size_t *n)
{
	const char *names[SW_STAND_MAX];
	struct sw_reader r;
	int rc;

	*n = sw_args_all(args, "since", names, SW_STAND_MAX);
	if (*n > SW_STAND_MAX)
		return sw_fail(SW_ELIMIT, "at most %d commits can be named", SW_STAND_MAX);
	rc = sw_reader_begin(ctx->owner->db, &r);
	if (rc < 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < *n; i++) {
		struct sw_order order;

		rc = sw_db_resolve(&r, sw_view_str(names[i]), &order);
		if (rc == 0)
			sw_order_id(&order, &ids[i]);
	}
	sw_reader_end(&r);
	if (rc < 0)
		return rc;
	qsort(ids, *n, sizeof(*ids), hash_cmp);
	for (size_t i = 1; i < *n; i++)
		if (sw_hash_eq(&ids[i - 1], &ids[i]))
			return sw_fail(SW_EINVAL, "a commit is named twice");
	return 0;
}

/* Whoever it let in, and those whom they let in: marked. */
static void mark_let_in(const struct sw_member *v, size_t n, const struct sw_key *key, bool *marks)
{
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			const struct sw_member *by = find_member(v, n, &v[i].granter);

			if (marks[i] || sw_key_eq(&v[i].key, key))
				continue;
			marks[i] = sw_key_eq(&v[i].granter, key) || (by && marks[by - v]);
			more |= marks[i];
		}
	}
}

/* Grants that stand go on to count: who steals a key may have let others in with it. */
static int tell_let_in(struct sw_ctx *ctx, const struct sw_key *key)
{
	struct sw_member *v = NULL;
	bool *marks = NULL;
	size_t n = 0;
	int rc = read_members(ctx->owner->db, &v, &n);

	if (rc == 0 && !(marks = calloc(n + 1, sizeof(*marks))))
		rc = SW_ENOMEM;
	if (rc == 0)
		mark_let_in(v, n, key, marks);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		char let_in[SW_HASH_HEX_SIZE], by[SW_HASH_HEX_SIZE];

		if (!marks[i])
			continue;
		sw_hex(v[i].key.b, SW_TEXT_KEY_DIGITS / 2, let_in);
		sw_hex(v[i].granter.b, SW_TEXT_KEY_DIGITS / 2, by);
		fprintf(ctx->err, "swarmfs: %s, a %s whom %s let in, stays a member; if you do not know it, revoke it, too\n",
			let_in, sw_text_role((int)v[i].role), by);
	}
	free(marks);
	free(v);
	return rc;
}

static int revoke(struct sw_ctx *ctx, const struct sw_args *args, const struct sw_member *v, size_t n)
{
	struct sw_hash stand[SW_STAND_MAX], id;
	struct sw_write_op op;
	char hex[SW_HASH_HEX_SIZE];
	struct sw_key key;
	size_t n_stand = 0;
	int rc = parse_key(args->operands[1], v, n, &key);

	if (rc == 0)
		rc = check_rank(ctx, v, n, &key);
	if (rc == 0)
		rc = find_stand(ctx, args, stand, &n_stand);
	if (rc < 0)
		return rc;
	op = (struct sw_write_op){.op = {.kind = SW_OP_REVOKE, .member = key}};
	op.op.names_stand = n_stand > 0 || sw_args_has(args, "all");
	op.op.stand = sw_view((const uint8_t *)stand, n_stand * SW_HASH_SIZE);
	rc = sign(ctx, &op, 1, &id);
	if (rc < 0)
		return rc;
	sw_hex(id.b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", hex);
	return tell_let_in(ctx, &key);
}

static int check_revoke(struct sw_ctx *ctx, const struct sw_args *args)
{
	return sw_args_has(args, "all") && sw_args_has(args, "since")
		   ? sw_ctx_usage(ctx, args, "--all lets nothing stand, and --since something")
		   : 0;
}

static int run_revoke(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_member *v = NULL;
	size_t n = 0;
	int rc = read_members(ctx->owner->db, &v, &n);

	if (rc == 0)
		rc = revoke(ctx, args, v, n);
	free(v);
	return rc < 0 ? sw_ctx_fail(ctx, rc) : SW_EXIT_OK;
}

static const struct sw_option revoke_options[] = {
    {"since", 0, "COMMIT", "the last commit that stands; may be given several times. Default: all that this store has seen"},
    {"all", 0, NULL, "nothing that the member ever signed stands"},
    {0},
};

const struct sw_cmd sw_cmd_revoke = {
    .name = "revoke",
    .synopsis = "TARGET KEY [--since COMMIT]... [--all]",
    .summary = "take a member out, from its last good commit on",
    .details = "What it signed otherwise is void on every peer, whatever its stamp: as if it had not been written. Nothing is lost: a\n"
	       "later 'swarmfs members TARGET --set KEY=ROLE' lets it in again, and what it signs then counts. Prints the commit.\n"
	       "Whom it let in with a grant that stands stays a member, also a key that a copy of its store took: they are named.\n",
    .options = revoke_options,
    .min_operands = 2,
    .max_operands = 2,
    .where = SW_CMD_STORE,
    .check = check_revoke,
    .run = run_revoke,
};

/* Floors */

static int run_floor(struct sw_ctx *ctx, const struct sw_args *args)
{
	struct sw_write_op op = {.op = {.kind = SW_OP_FLOOR}};
	char hex[SW_HASH_HEX_SIZE];
	struct sw_hash id;
	int rc = sign(ctx, &op, 1, &id);

	(void)args;
	if (rc < 0)
		return sw_ctx_fail(ctx, rc);
	sw_hex(id.b, SW_HASH_SIZE, hex);
	fprintf(ctx->out, "%s\n", hex);
	return SW_EXIT_OK;
}

const struct sw_cmd sw_cmd_floor = {
    .name = "floor",
    .synopsis = "TARGET",
    .summary = "void what was written before now and is not here",
    .details = "What somebody wrote before this moment and this store has not seen will never count: a peer that was away for long\n"
	       "can then change nothing of the past any more. Only an admin can do that. Prints the commit.\n",
    .min_operands = 1,
    .max_operands = 1,
    .where = SW_CMD_STORE,
    .needs_work = true,
    .run = run_floor,
};
