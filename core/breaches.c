#include "core/breaches.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/schemas.h"

#define STEP_MS       5 /* and one row, or one schema, more */
#define STEP_ROWS     256
#define STEP_TABLES   256
#define QUEUE_MAX     10000 /* names that wait: with more, whole tables are looked at */
#define REFERRING_MAX 256   /* tables that rows came to or went from */

/* A row that breaks its schema. */
struct item {
	struct sw_buf table, key;
	char reason[512];
};

/* A table that has a schema, or had one when it was looked at last. */
struct table {
	struct table *next;
	struct sw_buf name;
	bool is_wanted;       /* its rows are to be looked at, from `from` on; */
	bool is_wanted_again; /* and then once more */
	struct sw_buf from;
	/* Tables that its schema refers to, each with its length. Who does not know them is to look
	 * at all its rows from the first on, whatever comes to those tables or goes from them. */
	struct sw_buf refers_to;
	bool knows_refs;
	bool is_too_much; /* a row was found whose check is more work than one may be */
};

/* Names, each with its length. */
struct queue {
	struct sw_buf text;
	size_t n;
};

struct sw_breaches {
	struct sw_db *db;
	struct sw_schemas *schemas; /* of the thread that runs */
	atomic_bool has_none;       /* no table has a schema: changes of other rows are no news */
	pthread_mutex_t inbox_lock; /* taken alone, or under lock; a writer of the database waits
				       for no more than this one */
	struct queue inbox;         /* changes: how, table and name; under inbox_lock */
	bool is_overflown;          /* and there were more; under inbox_lock */
	bool has_more;              /* to look at, apart from them; under inbox_lock */
	void (*on_due)(void *arg);  /* under inbox_lock, as is */
	void *on_due_arg;
	/* Of the thread that runs: */
	bool is_started;    /* all tables that there were at first are known */
	struct sw_buf next; /* the key in the state of the next one to look for */
	struct table *tables;
	struct queue rows; /* to be looked at: table and name of each */
	struct queue lost,
	    won; /* tables that rows went from, or came to: others may refer to them */
	pthread_mutex_t lock; /* never held while a row is looked at */
	/* Written by the thread that runs, under lock: */
	struct item *items[SW_BREACHES_MAX];
	size_t n;
	bool is_more;
};

/* What became of a row that changed. */
enum { CHANGED, LOST, WON };

/* One step of looking. */
struct step {
	struct sw_breaches *b;
	struct sw_reader r;
	sw_breach_fn fn;
	void *arg;
	struct sw_view table; /* whose rows are walked over */
	uint64_t until_ms;    /* the step ends then, after one thing or more */
};

int sw_breaches_new(struct sw_db *db, struct sw_breaches **out)
{
	struct sw_breaches *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return SW_ENOMEM;
	b->db = db;
	b->has_more = true;
	atomic_init(&b->has_none, false);
	pthread_mutex_init(&b->inbox_lock, NULL);
	pthread_mutex_init(&b->lock, NULL);
	rc = sw_schemas_new(&b->schemas);
	if (rc < 0) {
		sw_breaches_free(b);
		return rc;
	}
	*out = b;
	return 0;
}

static void table_free(struct table *t)
{
	sw_buf_fini(&t->name);
	sw_buf_fini(&t->from);
	sw_buf_fini(&t->refers_to);
	free(t);
}

static void item_free(struct item *i)
{
	sw_buf_fini(&i->table);
	sw_buf_fini(&i->key);
	free(i);
}

void sw_breaches_free(struct sw_breaches *b)
{
	struct table *next;

	if (!b)
		return;
	for (struct table *t = b->tables; t; t = next) {
		next = t->next;
		table_free(t);
	}
	for (size_t i = 0; i < b->n; i++)
		item_free(b->items[i]);
	sw_buf_fini(&b->next);
	sw_buf_fini(&b->inbox.text);
	sw_buf_fini(&b->rows.text);
	sw_buf_fini(&b->lost.text);
	sw_buf_fini(&b->won.text);
	sw_schemas_free(b->schemas);
	pthread_mutex_destroy(&b->inbox_lock);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

/* What is to be looked at. Without memory for it a breach is not told of, until the next start. */

static struct table *find_table(const struct sw_breaches *b, struct sw_view name)
{
	struct table *t = b->tables;

	while (t && !sw_view_eq(sw_buf_view(&t->name), name))
		t = t->next;
	return t;
}

static void want(struct table *t)
{
	if (t->is_wanted && t->from.n > 0)
		t->is_wanted_again = true;
	t->is_wanted = true;
}

static void want_table(struct sw_breaches *b, struct sw_view name)
{
	struct table *t = find_table(b, name);

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t)
			return;
		sw_buf_put_view(&t->name, name);
		if (t->name.rc < 0) {
			table_free(t);
			return;
		}
		t->next = b->tables;
		b->tables = t;
	}
	want(t);
}

static void drop_table(struct sw_breaches *b, struct table *t)
{
	struct table **p = &b->tables;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	table_free(t);
}

static void want_row(struct sw_breaches *b, struct sw_view table, struct sw_view key)
{
	struct table *t = find_table(b, table);

	if (!t)
		return;
	if (b->rows.n == QUEUE_MAX) {
		want(t);
		return;
	}
	sw_buf_put_bytes(&b->rows.text, table);
	sw_buf_put_bytes(&b->rows.text, key);
	b->rows.n++;
}

static void want_all(struct sw_breaches *b)
{
	for (struct table *t = b->tables; t; t = t->next)
		want(t);
}

/* Changes come table by table. */
static void want_referring(struct sw_breaches *b, struct queue *q, struct sw_view table)
{
	struct sw_rd r = sw_rd(sw_buf_view(&q->text));

	if (!b->tables)
		return;
	while (sw_rd_left(&r) > 0)
		if (sw_view_eq(sw_rd_bytes(&r, SW_NAME_MAX), table))
			return;
	if (q->n == REFERRING_MAX) {
		want_all(b);
		return;
	}
	sw_buf_put_bytes(&q->text, table);
	q->n++;
}

/* It is looked at again as if nothing was known of it. */
static void forget_schema(struct sw_breaches *b, struct sw_view table)
{
	struct table *t = find_table(b, table);

	if (!t)
		return;
	t->knows_refs = t->is_too_much = false;
	sw_buf_reset(&t->refers_to);
}

static void take_change(struct sw_breaches *b, int how, struct sw_view table, struct sw_view key)
{
	if (sw_view_eq(key, sw_view_str(SW_SCHEMA_NAME))) {
		want_table(b, table);
		forget_schema(b, table);
		return;
	}
	want_row(b, table, key);
	if (how != CHANGED)
		want_referring(b, how == WON ? &b->won : &b->lost, table);
}

static void take_inbox(struct sw_breaches *b)
{
	struct queue in;
	struct sw_rd r;
	bool is_overflown;

	pthread_mutex_lock(&b->inbox_lock);
	in = b->inbox;
	is_overflown = b->is_overflown;
	b->inbox = (struct queue){0};
	b->is_overflown = false;
	pthread_mutex_unlock(&b->inbox_lock);
	r = sw_rd(sw_buf_view(&in.text));
	while (sw_rd_left(&r) > 0) {
		int how = sw_rd_u8(&r);
		struct sw_view table = sw_rd_bytes(&r, SW_NAME_MAX);

		take_change(b, how, table, sw_rd_bytes(&r, SW_NAME_MAX));
	}
	sw_buf_fini(&in.text);
	if (!is_overflown)
		return;
	/* A schema may have been among them. */
	for (struct table *t = b->tables; t; t = t->next)
		forget_schema(b, sw_buf_view(&t->name));
	want_all(b);
	b->is_started = false;
}

static bool has_work(const struct sw_breaches *b)
{
	if (!b->is_started || b->rows.n > 0 || b->lost.n > 0 || b->won.n > 0)
		return true;
	for (const struct table *t = b->tables; t; t = t->next)
		if (t->is_wanted)
			return true;
	return false;
}

static void put_change(struct sw_breaches *b, const struct sw_change *c)
{
	bool is_schema = sw_view_eq(c->key, sw_view_str(SW_SCHEMA_NAME));

	if (is_schema)
		atomic_store(&b->has_none, false);
	else if (!sw_schema_concerns(c->key) || atomic_load(&b->has_none))
		return;
	if (b->inbox.n == QUEUE_MAX || b->inbox.text.rc < 0) {
		b->is_overflown = true;
		return;
	}
	sw_buf_put_u8(&b->inbox.text, c->existed == c->exists ? CHANGED : c->exists ? WON : LOST);
	sw_buf_put_bytes(&b->inbox.text, c->table);
	sw_buf_put_bytes(&b->inbox.text, c->key);
	b->inbox.n++;
}

void sw_breaches_note(struct sw_breaches *b, const struct sw_changes *changes)
{
	pthread_mutex_lock(&b->inbox_lock);
	for (size_t i = 0; i < changes->n; i++)
		if (changes->v[i].kind == SW_CHANGE_ROW)
			put_change(b, &changes->v[i]);
	if (b->inbox.n > 0 && b->on_due)
		b->on_due(b->on_due_arg);
	pthread_mutex_unlock(&b->inbox_lock);
}

void sw_breaches_on_due(struct sw_breaches *b, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&b->inbox_lock);
	b->on_due = fn;
	b->on_due_arg = arg;
	pthread_mutex_unlock(&b->inbox_lock);
}

bool sw_breaches_is_due(struct sw_breaches *b)
{
	bool due;

	pthread_mutex_lock(&b->inbox_lock);
	due = b->inbox.n > 0 || b->is_overflown || b->has_more;
	pthread_mutex_unlock(&b->inbox_lock);
	return due;
}

/* What was found */

static size_t find_item(const struct sw_breaches *b, struct sw_view table, struct sw_view key)
{
	size_t i = 0;

	while (i < b->n && !(sw_view_eq(sw_buf_view(&b->items[i]->key), key) &&
			     sw_view_eq(sw_buf_view(&b->items[i]->table), table)))
		i++;
	return i;
}

/* The lock is held. */
static void tell(const struct step *s, const struct item *i, bool is_broken)
{
	struct sw_breach breach = {
	    .table = sw_buf_view(&i->table), .key = sw_buf_view(&i->key), .reason = i->reason};

	if (s->fn)
		s->fn(s->arg, &breach, is_broken);
}

static void mend(const struct step *s, size_t at)
{
	struct sw_breaches *b = s->b;
	struct item *i = b->items[at];
	bool has_room;

	pthread_mutex_lock(&b->lock);
	b->items[at] = b->items[--b->n];
	tell(s, i, false);
	has_room = b->is_more && b->n <= SW_BREACHES_MAX / 2;
	if (has_room)
		b->is_more = false;
	pthread_mutex_unlock(&b->lock);
	item_free(i);
	/* There is room for those that were not remembered: for many, since all rows are looked at
	 * for them. */
	if (has_room)
		want_all(b);
}

static int add_item(const struct step *s, struct sw_view table, struct sw_view key)
{
	struct sw_breaches *b = s->b;
	struct item *i;

	if (b->n == SW_BREACHES_MAX) {
		pthread_mutex_lock(&b->lock);
		b->is_more = true;
		pthread_mutex_unlock(&b->lock);
		return 0;
	}
	i = calloc(1, sizeof(*i));
	if (!i)
		return SW_ENOMEM;
	sw_buf_put_view(&i->table, table);
	sw_buf_put_view(&i->key, key);
	if (i->table.rc < 0 || i->key.rc < 0) {
		item_free(i);
		return SW_ENOMEM;
	}
	snprintf(i->reason, sizeof(i->reason), "%s", sw_fail_message(SW_EINVAL));
	pthread_mutex_lock(&b->lock);
	b->items[b->n++] = i;
	tell(s, i, true);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

static void set_reason(struct sw_breaches *b, struct item *i)
{
	pthread_mutex_lock(&b->lock);
	snprintf(i->reason, sizeof(i->reason), "%s", sw_fail_message(SW_EINVAL));
	pthread_mutex_unlock(&b->lock);
}

/* rc: 0, or SW_EINVAL with a sentence. */
static int set_state(const struct step *s, struct sw_view table, struct sw_view key, int rc)
{
	struct sw_breaches *b = s->b;
	size_t at = find_item(b, table, key);

	if (rc == 0 && at < b->n)
		mend(s, at);
	else if (rc == SW_EINVAL && at == b->n)
		return add_item(s, table, key);
	else if (rc == SW_EINVAL)
		set_reason(b, b->items[at]);
	return 0;
}

/* Told of once, at the schema: it may be so for all its rows. */
static int set_too_much(const struct step *s, struct sw_view table, struct sw_view key)
{
	struct table *t = find_table(s->b, table);

	if (!t || t->is_too_much)
		return 0;
	t->is_too_much = true;
	sw_log(SW_LOG_WARN,
	       "the schema of the table %.*s makes more work of a row than a check may be; such rows "
	       "are not checked",
	       (int)table.n, (const char *)table.p);
	return set_state(s, table, sw_view_str(SW_SCHEMA_NAME),
			 sw_fail(SW_EINVAL,
				 "a check of the row %.*s is more work than one may be; such rows "
				 "are not checked",
				 (int)key.n, (const char *)key.p));
}

/* rc: what sw_schema_rows_check() says. */
static int set_row(const struct step *s, struct sw_view table, struct sw_view key, int rc)
{
	int told = rc > 0 ? set_too_much(s, table, key) : 0;

	return told < 0 ? told : set_state(s, table, key, rc > 0 ? 0 : rc);
}

/* Nothing can be said of its rows any more. */
static void mend_rows(const struct step *s, struct sw_view table)
{
	for (size_t i = s->b->n; i-- > 0;)
		if (sw_view_eq(sw_buf_view(&s->b->items[i]->table), table) &&
		    sw_schema_concerns(sw_buf_view(&s->b->items[i]->key)))
			mend(s, i);
}

/* The steps: a few ms each */

static bool is_over(const struct step *s)
{
	return sw_env_mono_ms(sw_db_env(s->b->db)) >= s->until_ms;
}

static int keep_refs(struct table *t, const struct sw_schema *schema)
{
	struct sw_view to;

	if (t->knows_refs)
		return 0;
	for (size_t i = 0; sw_schema_refers_to(schema, i, &to); i++)
		sw_buf_put_bytes(&t->refers_to, to.n > 0 ? to : sw_buf_view(&t->name));
	if (t->refers_to.rc < 0) {
		sw_buf_fini(&t->refers_to);
		return SW_ENOMEM;
	}
	t->knows_refs = true;
	return 0;
}

/* 1: the table has a schema; 0: it has none, or one that is none here, which is then told of. */
static int schema_of(const struct step *s, struct sw_view table, struct sw_schema **out)
{
	struct table *t = find_table(s->b, table);
	int rc = sw_schemas_of_state(s->b->schemas, table, s->r.nodes, &s->r.head.state, out);

	if (rc < 0 && rc != SW_EINVAL)
		return rc;
	if (rc < 0 || !t || !t->is_too_much)
		rc = set_state(s, table, sw_view_str(SW_SCHEMA_NAME), rc);
	if (rc == 0 && *out && t)
		rc = keep_refs(t, *out);
	return rc < 0 ? rc : *out != NULL;
}

static struct sw_schema_rows rows_of(const struct step *s, struct sw_view table,
				     struct sw_schema *schema)
{
	return (struct sw_schema_rows){.schema = schema,
				       .table = table,
				       .nodes = s->r.nodes,
				       .state = s->r.head.state,
				       .env = sw_db_env(s->b->db),
				       .until_ms = s->until_ms};
}

static int look_at_row(const struct step *s, struct sw_view table, struct sw_view key)
{
	struct sw_schema *schema;
	struct sw_schema_rows rows;
	struct sw_row row;
	int rc = schema_of(s, table, &schema);

	if (rc <= 0)
		return rc;
	rows = rows_of(s, table, schema);
	rc = sw_state_row(s->r.nodes, &s->r.head.state, table, key, &row);
	if (rc == 0)
		rc = sw_schema_rows_check_row(&rows, key, &row);
	else if (rc == SW_ENOTFOUND)
		rc = 0;
	return rc >= 0 || rc == SW_EINVAL ? set_row(s, table, key, rc) : rc;
}

static int look_at_queue(const struct step *s)
{
	struct sw_breaches *b = s->b;
	struct sw_rd r = sw_rd(sw_buf_view(&b->rows.text));
	size_t n = 0;
	int rc = 0;

	while (rc == 0 && n < STEP_ROWS && sw_rd_left(&r) > 0) {
		struct sw_view table = sw_rd_bytes(&r, SW_NAME_MAX),
			       key = sw_rd_bytes(&r, SW_NAME_MAX);

		rc = look_at_row(s, table, key);
		n++;
		if (is_over(s))
			break;
	}
	b->rows.n -= n;
	memmove(b->rows.text.p, r.p, sw_rd_left(&r));
	b->rows.text.n = sw_rd_left(&r);
	return rc;
}

static void requeue_items(struct sw_breaches *b, struct sw_view table)
{
	for (size_t i = 0; i < b->n; i++)
		if (sw_view_eq(sw_buf_view(&b->items[i]->table), table))
			want_row(b, table, sw_buf_view(&b->items[i]->key));
}

static bool has_name(const struct sw_buf *names, struct sw_view name)
{
	struct sw_rd r = sw_rd(sw_buf_view(names));

	while (sw_rd_left(&r) > 0)
		if (sw_view_eq(sw_rd_bytes(&r, SW_NAME_MAX), name))
			return true;
	return false;
}

/* Rows went from a table: who refers to it may refer to one of them. Rows came to it: who broke his
 * schema may do so no more. */
static void look_at_referring(struct sw_breaches *b, struct queue *q, bool is_lost)
{
	struct sw_rd r = sw_rd(sw_buf_view(&q->text));

	while (sw_rd_left(&r) > 0) {
		struct sw_view table = sw_rd_bytes(&r, SW_NAME_MAX);

		for (struct table *t = b->tables; t; t = t->next) {
			if (!has_name(&t->refers_to, table))
				continue;
			if (is_lost)
				want(t);
			else
				requeue_items(b, sw_buf_view(&t->name));
		}
	}
	sw_buf_reset(&q->text);
	q->n = 0;
}

static int on_row(void *arg, struct sw_view key, int rc)
{
	const struct step *s = arg;

	return set_row(s, s->table, key, rc);
}

static int look_at_table(struct step *s, struct table *t)
{
	struct sw_schema *schema;
	struct sw_schema_rows rows;
	struct sw_row row;
	int rc;

	s->table = sw_buf_view(&t->name);
	rc = schema_of(s, s->table, &schema);
	if (rc < 0)
		return rc;
	if (rc == 0) {
		rc = sw_state_row(s->r.nodes, &s->r.head.state, s->table,
				  sw_view_str(SW_SCHEMA_NAME), &row);
		t->is_wanted = t->is_wanted_again = false;
		sw_buf_reset(&t->from);
		mend_rows(s, s->table);
		if (rc != SW_ENOTFOUND)
			return rc;
		drop_table(s->b, t);
		return 0;
	}
	rows = rows_of(s, s->table, schema);
	rc = sw_schema_rows_walk(&rows, &t->from, STEP_ROWS, on_row, s);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	t->is_wanted = t->is_wanted_again;
	t->is_wanted_again = false;
	sw_buf_reset(&t->from);
	return 0;
}

/* The next of the tables that there were in the beginning. */
static int look_for_tables(const struct step *s)
{
	struct sw_breaches *b = s->b;
	const uint8_t first = SW_CLASS_USER;
	struct sw_cursor c = {0};
	int rc;

	if (b->next.n == 0)
		sw_buf_put_u8(&b->next, first);
	rc = b->next.rc < 0
		 ? b->next.rc
		 : sw_cursor_seek(&c, s->r.nodes, &s->r.head.state, sw_buf_view(&b->next));
	for (int i = 0; rc > 0 && i < STEP_TABLES; i++) {
		struct sw_view key = sw_cursor_entry(&c)->key, name = sw_view(key.p + 1, key.n - 1);
		struct sw_row row;

		if (key.p[0] != SW_CLASS_USER)
			break;
		if (sw_state_row(s->r.nodes, &s->r.head.state, name, sw_view_str(SW_SCHEMA_NAME),
				 &row) == 0)
			want_table(b, name);
		rc = sw_cursor_next(&c);
		if (is_over(s))
			break;
	}
	sw_buf_reset(&b->next);
	if (rc > 0)
		sw_buf_put_view(&b->next, sw_cursor_entry(&c)->key);
	b->is_started = rc <= 0;
	sw_cursor_fini(&c);
	return rc < 0 ? rc : 0;
}

static int look(struct step *s)
{
	struct sw_breaches *b = s->b;

	if (!b->is_started)
		return look_for_tables(s);
	look_at_referring(b, &b->lost, true);
	look_at_referring(b, &b->won, false);
	if (b->rows.n > 0)
		return look_at_queue(s);
	for (struct table *t = b->tables; t; t = t->next)
		if (t->is_wanted)
			return look_at_table(s, t);
	return 0;
}

static void set_more(struct sw_breaches *b)
{
	pthread_mutex_lock(&b->inbox_lock);
	b->has_more = has_work(b);
	pthread_mutex_unlock(&b->inbox_lock);
}

int sw_breaches_run(struct sw_breaches *b, sw_breach_fn fn, void *arg)
{
	struct step s = {.b = b, .fn = fn, .arg = arg};
	int rc;

	s.until_ms = sw_env_mono_ms(sw_db_env(b->db)) + STEP_MS;
	take_inbox(b); /* before the state is read that has what it tells of */
	rc = sw_reader_begin(b->db, &s.r);
	if (rc == 0) {
		rc = look(&s);
		sw_reader_end(&s.r);
		/* A schema that was noted meanwhile is in the inbox, and its table will be looked
		 * at as a whole. */
		atomic_store(&b->has_none, b->is_started && !b->tables);
	}
	set_more(b);
	return rc;
}

size_t sw_breaches_each(struct sw_breaches *b, sw_breach_fn fn, void *arg, bool *is_more)
{
	struct step s = {.b = b, .fn = fn, .arg = arg};
	size_t n;

	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < b->n; i++)
		tell(&s, b->items[i], true);
	n = b->n;
	*is_more = b->is_more;
	pthread_mutex_unlock(&b->lock);
	return n;
}
