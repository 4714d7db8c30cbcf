#include "net/ticket.h"

#include <sodium.h>
#include <stdlib.h>

#include "core/members.h"

#define TICKET_VERSION 1
#define CHECK_SIZE     4

/* What the inviter's store keeps under the hash of a secret: expiry:u64 role:u8 used:u8 key:32
 * revocations:u32 */
struct terms {
	uint64_t expiry_ms;
	uint8_t role;
	uint8_t used;
	struct sw_key key;      /* that used it */
	uint32_t n_revocations; /* of that key, by then */
};

bool sw_ticket_looks_like(const char *text)
{
	return strncmp(text, SW_TICKET_PREFIX, strlen(SW_TICKET_PREFIX)) == 0;
}

void sw_ticket_fini(struct sw_ticket *t)
{
	sodium_memzero(t, sizeof(*t));
}

static void check_of(struct sw_view body, uint8_t out[static CHECK_SIZE])
{
	struct sw_hash h;

	sw_hash_compute(SW_DOMAIN_TICKET, body, &h);
	memcpy(out, h.b, CHECK_SIZE);
}

static int bad_ticket(void)
{
	return sw_fail(
	    SW_EFORMAT,
	    "that is not a whole ticket; copy all of the last line that 'swarmfs invite' printed");
}

static int decode_body(struct sw_view body, struct sw_ticket *out)
{
	struct sw_rd r = sw_rd(body);
	uint8_t version = sw_rd_u8(&r);

	*out = (struct sw_ticket){0};
	if (version < TICKET_VERSION)
		return SW_EFORMAT;
	if (version > TICKET_VERSION)
		return sw_fail(SW_EVERSION, "the ticket is of a newer kind; use a newer swarmfs");
	sw_rd_hash(&r, &out->database);
	sw_rd_copy(&r, out->inviter.b, SW_KEY_SIZE);
	sw_rd_copy(&r, out->secret, SW_TICKET_SECRET_SIZE);
	out->expiry_ms = sw_rd_u64(&r);
	out->n_addresses = sw_rd_u8(&r);
	if (r.bad || out->n_addresses == 0 || out->n_addresses > SW_TICKET_ADDRESSES_MAX)
		return SW_EFORMAT;
	for (size_t i = 0; i < out->n_addresses; i++) {
		struct sw_view a = sw_rd_bytes(&r, SW_TICKET_ADDRESS_SIZE - 1);

		if (a.n == 0 || memchr(a.p, '\0', a.n))
			return SW_EFORMAT;
		memcpy(out->addresses[i], a.p, a.n);
	}
	return sw_rd_done(&r);
}

int sw_ticket_decode(const char *text, struct sw_ticket *out)
{
	uint8_t bytes[SW_TICKET_TEXT_MAX], check[CHECK_SIZE];
	const char *end;
	size_t n;
	int rc;

	if (!sw_ticket_looks_like(text) || strlen(text) > SW_TICKET_TEXT_MAX)
		return bad_ticket();
	text += strlen(SW_TICKET_PREFIX);
	if (sodium_base642bin(bytes, sizeof(bytes), text, strlen(text), NULL, &n, &end,
			      sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
	    *end || n < CHECK_SIZE)
		return bad_ticket();
	check_of(sw_view(bytes, n - CHECK_SIZE), check);
	rc = memcmp(check, bytes + n - CHECK_SIZE, CHECK_SIZE) == 0
		 ? decode_body(sw_view(bytes, n - CHECK_SIZE), out)
		 : SW_EFORMAT;
	sodium_memzero(bytes, sizeof(bytes));
	return rc == SW_EFORMAT ? bad_ticket() : rc;
}

void sw_ticket_encode(const struct sw_ticket *t, struct sw_buf *out)
{
	SW_BUF body = {0};
	uint8_t check[CHECK_SIZE];
	size_t size;
	char *to;

	sw_buf_put_u8(&body, TICKET_VERSION);
	sw_buf_put_hash(&body, &t->database);
	sw_buf_put(&body, t->inviter.b, SW_KEY_SIZE);
	sw_buf_put(&body, t->secret, SW_TICKET_SECRET_SIZE);
	sw_buf_put_u64(&body, t->expiry_ms);
	sw_buf_put_u8(&body, (uint8_t)t->n_addresses);
	for (size_t i = 0; i < t->n_addresses; i++)
		sw_buf_put_bytes(&body, sw_view_str(t->addresses[i]));
	check_of(sw_buf_view(&body), check);
	sw_buf_put(&body, check, CHECK_SIZE);
	sw_buf_put(out, SW_TICKET_PREFIX, strlen(SW_TICKET_PREFIX));
	size = sodium_base64_ENCODED_LEN(body.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	to = (char *)sw_buf_reserve(out, size);
	if (body.rc < 0)
		out->rc = body.rc;
	if (out->rc < 0 || !to)
		return;
	sodium_bin2base64(to, size, body.p, body.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	out->n += size - 1; /* without the NUL */
	sodium_memzero(body.p, body.n);
}

/* What stands behind the last '#', if it has the length and the dot of DATABASE.KEY; NULL. The path of an ipc address may have a '#'. */
static const char *join_mark(const char *text)
{
	const char *mark = strrchr(text, '#');

	return mark && strlen(mark) == 2 + 4 * SW_HASH_SIZE && mark[1 + 2 * SW_HASH_SIZE] == '.' ? mark + 1 : NULL;
}

bool sw_ticket_is_join_address(const char *text)
{
	return !sw_ticket_looks_like(text) && join_mark(text) != NULL;
}

int sw_ticket_from_join_address(const char *text, struct sw_ticket *out)
{
	const char *mark = join_mark(text);
	size_t n = mark ? (size_t)(mark - text) - 1 : 0, digits = 2 * SW_HASH_SIZE;

	*out = (struct sw_ticket){.asks = true, .n_addresses = 1};
	if (n == 0 || n >= SW_TICKET_ADDRESS_SIZE ||
	    sw_unhex(sw_view((const uint8_t *)mark, digits), out->database.b, SW_HASH_SIZE) < 0 ||
	    sw_unhex(sw_view((const uint8_t *)mark + digits + 1, digits), out->inviter.b, SW_KEY_SIZE) < 0)
		return sw_fail(SW_EFORMAT, "that is not a whole join address, ADDRESS#DATABASE.KEY; copy all that 'swarmfs approve' "
					   "prints there");
	memcpy(out->addresses[0], text, n);
	return 0;
}

void sw_ticket_put_join_address(const struct sw_db *db, const char *address, struct sw_buf *out)
{
	char database[SW_HASH_HEX_SIZE], key[SW_HASH_HEX_SIZE];

	sw_hex(sw_db_id(db)->b, SW_HASH_SIZE, database);
	sw_hex(sw_db_key(db)->b, SW_KEY_SIZE, key);
	sw_buf_printf(out, "%s#%s.%s", address, database, key);
}

int sw_ticket_read(const char *text, struct sw_ticket *out)
{
	return sw_ticket_is_join_address(text) ? sw_ticket_from_join_address(text, out) : sw_ticket_decode(text, out);
}

static void secret_hash(struct sw_view secret, struct sw_hash *out)
{
	sw_hash_compute(SW_DOMAIN_TICKET, secret, out);
}

static int put_terms(struct sw_txn *txn, const struct sw_hash *name, const struct terms *t)
{
	SW_BUF b = {0};

	sw_buf_put_u64(&b, t->expiry_ms);
	sw_buf_put_u8(&b, t->role);
	sw_buf_put_u8(&b, t->used);
	sw_buf_put(&b, t->key.b, SW_KEY_SIZE);
	sw_buf_put_u32(&b, t->n_revocations);
	return b.rc < 0 ? b.rc
			: sw_txn_put(txn, SW_SPACE_TICKETS, sw_hash_view(name), sw_buf_view(&b));
}

static int get_terms(struct sw_txn *txn, const struct sw_hash *name, struct terms *out)
{
	struct sw_view v;
	struct sw_rd r;
	int rc = sw_txn_get(txn, SW_SPACE_TICKETS, sw_hash_view(name), &v);

	if (rc < 0)
		return rc;
	r = sw_rd(v);
	out->expiry_ms = sw_rd_u64(&r);
	out->role = sw_rd_u8(&r);
	out->used = sw_rd_u8(&r);
	sw_rd_copy(&r, out->key.b, SW_KEY_SIZE);
	out->n_revocations = sw_rd_u32(&r);
	return sw_rd_done(&r) < 0 ? sw_fail(SW_ECORRUPT, "a ticket in the store is damaged") : 0;
}

static int store_terms(struct sw_db *db, const struct sw_ticket *t, enum sw_role role)
{
	struct terms terms = {.expiry_ms = t->expiry_ms, .role = (uint8_t)role};
	struct sw_txn *txn;
	struct sw_hash name;
	int rc = sw_txn_begin(sw_db_store(db), true, &txn);

	if (rc < 0)
		return rc;
	secret_hash(sw_view(t->secret, sizeof(t->secret)), &name);
	rc = put_terms(txn, &name, &terms);
	if (rc < 0) {
		sw_txn_abort(txn);
		return rc;
	}
	return sw_txn_commit(txn);
}

static bool is_admin(struct sw_db *db)
{
	struct sw_reader r;
	int role = 0;

	if (sw_reader_begin(db, &r) < 0)
		return false;
	if (sw_db_role(&r, sw_db_key(db), &role) < 0)
		role = 0;
	sw_reader_end(&r);
	return role >= SW_ROLE_ADMIN;
}

int sw_ticket_create(struct sw_db *db, const char *const *addresses, size_t n_addresses,
		     uint64_t expiry_ms, enum sw_role role, struct sw_buf *out)
{
	SW_CLEANUP(sw_ticket_fini)
	struct sw_ticket t = {.database = *sw_db_id(db), .inviter = *sw_db_key(db)};
	const struct sw_env *env = sw_db_env(db);
	int rc;

	if (!is_admin(db))
		return sw_fail(SW_EDENIED,
			       "only an admin of the database can let others in; ask its creator");
	if (n_addresses == 0)
		return sw_fail(SW_EINVAL,
			       "nobody could reach this peer, which does not listen; start it with "
			       "--listen");
	for (size_t i = 0; i < n_addresses && t.n_addresses < SW_TICKET_ADDRESSES_MAX; i++) {
		if (strlen(addresses[i]) >= SW_TICKET_ADDRESS_SIZE)
			return sw_fail(SW_EINVAL, "%.64s...: address too long for a ticket",
				       addresses[i]);
		memcpy(t.addresses[t.n_addresses++], addresses[i], strlen(addresses[i]) + 1);
	}
	env->random(env->arg, t.secret, sizeof(t.secret));
	t.expiry_ms = sw_env_wall_ms(env) + expiry_ms;
	rc = store_terms(db, &t, role);
	if (rc < 0)
		return rc;
	sw_ticket_encode(&t, out);
	return out->rc;
}

const char *sw_redeemed_text(enum sw_redeemed r)
{
	switch (r) {
	case SW_REDEEMED:
		return "welcome";
	case SW_REDEEMED_UNKNOWN:
		return "the ticket is not one of ours";
	case SW_REDEEMED_EXPIRED:
		return "the ticket has expired; ask for another";
	case SW_REDEEMED_USED:
		return "the ticket was used already; ask for another";
	default:
		return "the inviter cannot let anybody in now; look into its log";
	}
}

/* How often a key was removed, which whoever redeems a ticket again must not have been meanwhile.
 */
static int count_revocations(struct sw_db *db, const struct sw_key *key, uint32_t *out)
{
	struct sw_hash *v = NULL;
	struct sw_reader r;
	size_t n = 0;
	int rc = sw_reader_begin(db, &r);

	if (rc < 0)
		return rc;
	rc = sw_db_revocations(db, &r, key, &v, &n);
	sw_reader_end(&r);
	free(v);
	*out = (uint32_t)n;
	return rc;
}

/* In one transaction: look at the terms and note who used them. */
static int redeem(struct sw_txn *txn, const struct sw_hash *name, uint64_t now_ms,
		  const struct sw_key *key, uint32_t n_revocations, enum sw_redeemed *result,
		  enum sw_role *role)
{
	struct terms t;
	int rc = get_terms(txn, name, &t);

	*result = SW_REDEEMED_UNKNOWN;
	if (rc < 0)
		return rc == SW_ENOTFOUND ? 0 : rc;
	*role = (enum sw_role)t.role;
	*result = SW_REDEEMED_USED;
	if (t.used && (!sw_key_eq(&t.key, key) || t.n_revocations != n_revocations))
		return 0;
	*result = SW_REDEEMED;
	if (t.used)
		return 0;
	*result = SW_REDEEMED_EXPIRED;
	if (now_ms > t.expiry_ms)
		return 0;
	*result = SW_REDEEMED;
	t.used = 1;
	t.key = *key;
	t.n_revocations = n_revocations;
	rc = put_terms(txn, name, &t);
	return rc < 0 ? rc : 1;
}

int sw_ticket_redeem(struct sw_db *db, struct sw_view secret, const struct sw_key *key,
		     enum sw_redeemed *result, enum sw_role *role)
{
	uint32_t n_revocations = 0;
	struct sw_txn *txn;
	struct sw_hash name;
	int rc = count_revocations(db, key, &n_revocations);

	if (rc == 0)
		rc = sw_txn_begin(sw_db_store(db), true, &txn);
	if (rc < 0)
		return rc;
	secret_hash(secret, &name);
	rc = redeem(txn, &name, sw_env_wall_ms(sw_db_env(db)), key, n_revocations, result, role);
	if (rc > 0)
		return sw_txn_commit(txn);
	sw_txn_abort(txn);
	if (rc == 0 && *result == SW_REDEEMED && !is_admin(db))
		*result = SW_REDEEMED_NOT_NOW;
	return rc;
}
