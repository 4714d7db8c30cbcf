#include "fs/grant.h"

#include "fs/text.h"

/* Who knows better may say less: what an admin of lower rank number took back stays so. */
static int check_outcome(struct sw_db *db, const struct sw_key *key, enum sw_role role)
{
	struct sw_reader r;
	int now = 0, rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_role(&r, key, &now);
	sw_reader_end(&r);
	if (rc < 0 || now == (int)role)
		return rc;
	return sw_fail(SW_EDENIED, "the grant is signed, but the role stays '%s': only an admin of a lower rank than the key "
				   "once had can make it an admin again", sw_text_role(now));
}

int sw_grant_role(struct sw_db *db, const struct sw_key *key, enum sw_role role, bool lowers)
{
	struct sw_write_op ops[2];
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = ops};
	struct sw_hash id;
	int rc;

	if (lowers)
		ops[w.n++] = (struct sw_write_op){.op = {.kind = SW_OP_REVOKE, .member = *key}};
	ops[w.n++] = (struct sw_write_op){.op = {.kind = SW_OP_GRANT, .member = *key, .role = role}};
	rc = sw_db_commit(db, &w, &id);
	return rc < 0 ? rc : check_outcome(db, key, role);
}
