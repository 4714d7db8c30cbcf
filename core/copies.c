#include "core/copies.h"
#include "core/log.h"
#include "core/spill.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define JOURNAL_PREFIX "copy-"

struct sw_copy {
	struct sw_copies *set;
	struct sw_copy *next; /* by number; under set->lock */
	atomic_size_t n_refs;
	uint64_t number, count, made_ms;
	struct sw_buf name;
	struct sw_work *work;
	bool is_damaged; /* then error stays, and nothing can be changed */
	/* Under set->lock: */
	bool is_gone;
	struct sw_buf message;
	char error[1024];
	struct sw_buf moved;
};

struct sw_copies {
	struct sw_db *db;
	struct sw_work *live;
	pthread_mutex_t lock;
	struct sw_copy *first;
	uint64_t last_number; /* given */
	void (*on_due)(void *arg);
	void *on_due_arg;
};

static void journal_name(uint64_t number, char out[static 64])
{
	snprintf(out, 64, JOURNAL_PREFIX "%llu", (unsigned long long)number);
}

struct sw_copy *sw_copy_ref(struct sw_copy *y)
{
	atomic_fetch_add(&y->n_refs, 1);
	return y;
}

void sw_copy_unref(struct sw_copy *y)
{
	if (!y || atomic_fetch_sub(&y->n_refs, 1) > 1)
		return;
	sw_work_close(y->work);
	sw_buf_fini(&y->name);
	sw_buf_fini(&y->message);
	sw_buf_fini(&y->moved);
	free(y);
}

static int copy_new(struct sw_copies *c, const struct sw_copy_record *record, struct sw_copy **out)
{
	struct sw_copy *y = calloc(1, sizeof(*y));

	if (!y)
		return SW_ENOMEM;
	atomic_init(&y->n_refs, 1);
	y->set = c;
	y->number = record->number;
	y->count = record->count;
	y->made_ms = record->made_ms;
	sw_buf_put_view(&y->name, record->name);
	sw_buf_put_view(&y->message, record->message);
	if (y->name.rc < 0 || y->message.rc < 0) {
		sw_copy_unref(y);
		return SW_ENOMEM;
	}
	*out = y;
	return 0;
}

static int open_rows(struct sw_copy *y, const struct sw_hash *state)
{
	struct sw_work_status status;
	char journal[64];
	int rc;

	journal_name(y->number, journal);
	rc = sw_work_open_copy(y->set->db, y->set->live, state, journal, &y->work);
	if (rc < 0)
		return rc;
	sw_work_on_due(y->work, y->set->on_due, y->set->on_due_arg);
	sw_work_status(y->work, &status);
	y->is_damaged = status.damage[0] != '\0';
	snprintf(y->error, sizeof(y->error), "%s", status.damage);
	return 0;
}

/* The lock is held. The list takes the reference over. */
static void link_copy(struct sw_copies *c, struct sw_copy *y)
{
	struct sw_copy **p = &c->first;

	while (*p)
		p = &(*p)->next;
	*p = y;
}

static bool is_wanted(void *arg, uint64_t number)
{
	(void)arg;
	(void)number;
	return false;
}

/* The large rows that were edited in it. */
static void remove_spills(const struct sw_copies *c, const char *journal)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s" SW_SPILL_SUFFIX, sw_db_dir(c->db), journal) < (int)sizeof(path) &&
	    sw_spills_clear(path, NULL, is_wanted, NULL) < 0) {
		/* They stay until the next open. */
	}
}

/* It is in the store no longer. */
static void unlink_copy(struct sw_copy *y)
{
	struct sw_copies *c = y->set;
	char journal[64], path[4096];
	struct sw_copy **p;

	pthread_mutex_lock(&c->lock);
	for (p = &c->first; *p && *p != y; p = &(*p)->next)
		;
	if (*p)
		*p = y->next;
	y->is_gone = true;
	pthread_mutex_unlock(&c->lock);
	journal_name(y->number, journal);
	/* What stays is removed at the next open. */
	if (snprintf(path, sizeof(path), "%s/%s", sw_db_dir(c->db), journal) < (int)sizeof(path))
		(void)unlink(path);
	remove_spills(c, journal);
	sw_copy_unref(y);
}

/* Opening */

static struct sw_copy *find_number(const struct sw_copies *c, uint64_t number)
{
	struct sw_copy *y = c->first;

	while (y && y->number != number)
		y = y->next;
	return y;
}

/* Journals whose copies are gone: the process ended in between. */
static int remove_strays(struct sw_copies *c)
{
	DIR *dir = opendir(sw_db_dir(c->db));
	struct dirent *e;
	int rc = 0;

	if (!dir)
		return sw_fail_errno("%s", sw_db_dir(c->db));
	while ((e = readdir(dir))) {
		unsigned long long number;
		char again[64];

		if (sscanf(e->d_name, JOURNAL_PREFIX "%llu", &number) != 1)
			continue;
		journal_name(number, again);
		if (!find_number(c, number))
			remove_spills(c, again);
		if (strcmp(again, e->d_name) == 0 && !find_number(c, number) && unlinkat(dirfd(dir), again, 0) < 0)
			rc = sw_fail_errno("%s/%s", sw_db_dir(c->db), again);
	}
	closedir(dir);
	return rc;
}

/* The next record, as a copy whose rows are not open yet: 1, or 0. */
static int load_next(struct sw_copies *c, struct sw_copy **out, struct sw_hash *state)
{
	struct sw_copy_record record = {.number = c->last_number};
	struct sw_txn *txn;
	int rc = sw_txn_begin(sw_db_store(c->db), false, &txn);

	if (rc < 0)
		return rc;
	do {
		rc = sw_db_copy_next(txn, record.number, &record);
		c->last_number = record.number; /* none is given twice, not that of a spent one either */
	} while (rc > 0 && record.is_spent);
	if (rc > 0) {
		*state = record.state;
		rc = copy_new(c, &record, out);
		rc = rc < 0 ? rc : 1;
	}
	sw_txn_abort(txn);
	return rc;
}

/* One whose rows cannot be read: it is shown, and stays as it is. */
static int open_damaged(struct sw_copy *y, const struct sw_hash *state, int why)
{
	if (why == SW_ENOMEM)
		return why;
	snprintf(y->error, sizeof(y->error),
		 "its rows cannot be read: %s; until it is discarded its files in the store stay as they are", sw_fail_message(why));
	y->is_damaged = true;
	return sw_work_open_damaged(y->set->db, state, &y->work);
}

static int load(struct sw_copies *c)
{
	struct sw_hash state;
	struct sw_copy *y;
	int rc;

	while ((rc = load_next(c, &y, &state)) > 0) {
		rc = open_rows(y, &state);
		if (rc < 0)
			rc = open_damaged(y, &state, rc);
		if (rc < 0) {
			sw_copy_unref(y);
			return rc;
		}
		if (y->is_damaged)
			sw_log(SW_LOG_WARN, "transaction %.*s: %s", (int)y->name.n, (const char *)y->name.p, y->error);
		link_copy(c, y);
	}
	return rc < 0 ? rc : remove_strays(c);
}

int sw_copies_open(struct sw_db *db, struct sw_work *live, struct sw_copies **out)
{
	struct sw_copies *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return SW_ENOMEM;
	c->db = db;
	c->live = live;
	pthread_mutex_init(&c->lock, NULL);
	rc = load(c);
	if (rc < 0) {
		sw_copies_close(c);
		return rc;
	}
	*out = c;
	return 0;
}

void sw_copies_close(struct sw_copies *c)
{
	struct sw_copy *next;

	if (!c)
		return;
	for (struct sw_copy *y = c->first; y; y = next) {
		next = y->next;
		sw_copy_unref(y);
	}
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* Time */

uint32_t sw_copies_due_ms(struct sw_copies *c)
{
	uint32_t due = UINT32_MAX;

	pthread_mutex_lock(&c->lock);
	for (struct sw_copy *y = c->first; y; y = y->next) {
		uint32_t ms = sw_work_due_ms(y->work);

		due = ms < due ? ms : due;
	}
	pthread_mutex_unlock(&c->lock);
	return due;
}

int sw_copies_run(struct sw_copies *c)
{
	struct sw_copy *y, *next;
	int rc = 0;

	for (y = sw_copy_next(c, 0); y; y = next) {
		int flushed = sw_work_run(y->work);

		rc = rc < 0 ? rc : flushed;
		next = sw_copy_next(c, y->number);
		sw_copy_unref(y);
	}
	return rc;
}

void sw_copies_on_due(struct sw_copies *c, void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&c->lock);
	c->on_due = fn;
	c->on_due_arg = arg;
	for (struct sw_copy *y = c->first; y; y = y->next)
		sw_work_on_due(y->work, fn, arg);
	pthread_mutex_unlock(&c->lock);
}

/* Names */

static struct sw_copy *find_name(const struct sw_copies *c, struct sw_view name)
{
	struct sw_copy *y = c->first;

	while (y && !sw_view_eq(sw_buf_view(&y->name), name))
		y = y->next;
	return y;
}

/* The lock is held: nobody takes the name meanwhile. */
static int make(struct sw_copies *c, struct sw_view name, struct sw_copy **out)
{
	struct sw_copy_record record = {.number = c->last_number + 1, .name = name};
	struct sw_copy *y = NULL;
	int rc;

	if (find_name(c, name))
		return SW_EEXIST;
	rc = sw_db_copy_make(c->db, &record);
	if (rc < 0)
		return rc;
	c->last_number = record.number;
	rc = copy_new(c, &record, &y);
	if (rc == 0)
		rc = open_rows(y, &record.state);
	if (rc == 0) {
		link_copy(c, y);
		*out = sw_copy_ref(y);
		return 0;
	}
	sw_copy_unref(y);
	if (sw_db_copy_remove(c->db, record.number) < 0) {
		/* It shows at the next open. */
	}
	return rc;
}

int sw_copy_make(struct sw_copies *c, struct sw_view name, struct sw_copy **out)
{
	struct sw_hash id;
	int rc = sw_name_check(name);

	/* What has been written shows in the copy. */
	if (rc == 0)
		rc = sw_work_commit(c->live, sw_view("", 0), &id);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	rc = make(c, name, out);
	pthread_mutex_unlock(&c->lock);
	return rc;
}

int sw_copy_find(struct sw_copies *c, struct sw_view name, struct sw_copy **out)
{
	struct sw_copy *y;

	pthread_mutex_lock(&c->lock);
	y = find_name(c, name);
	if (y)
		*out = sw_copy_ref(y);
	pthread_mutex_unlock(&c->lock);
	return y ? 0 : SW_ENOTFOUND;
}

struct sw_copy *sw_copy_next(struct sw_copies *c, uint64_t number)
{
	struct sw_copy *y;

	pthread_mutex_lock(&c->lock);
	for (y = c->first; y && y->number <= number; y = y->next)
		;
	if (y)
		sw_copy_ref(y);
	pthread_mutex_unlock(&c->lock);
	return y;
}

/* One of them */

struct sw_work *sw_copy_work(const struct sw_copy *y)
{
	return y->work;
}

uint64_t sw_copy_number(const struct sw_copy *y)
{
	return y->number;
}

struct sw_view sw_copy_name(const struct sw_copy *y)
{
	return sw_buf_view(&y->name);
}

uint64_t sw_copy_made_ms(const struct sw_copy *y)
{
	return y->made_ms;
}

bool sw_copy_is_gone(struct sw_copy *y)
{
	bool is_gone;

	pthread_mutex_lock(&y->set->lock);
	is_gone = y->is_gone;
	pthread_mutex_unlock(&y->set->lock);
	return is_gone;
}

int sw_copy_set_message(struct sw_copy *y, struct sw_view message)
{
	struct sw_buf copy = {0};
	int rc;

	if (message.n > SW_MESSAGE_MAX)
		return SW_ELIMIT;
	sw_buf_put_view(&copy, message);
	rc = copy.rc < 0 ? copy.rc : sw_db_copy_set_message(y->set->db, y->number, message);
	if (rc < 0) {
		sw_buf_fini(&copy);
		return rc;
	}
	pthread_mutex_lock(&y->set->lock);
	sw_buf_fini(&y->message);
	y->message = copy;
	pthread_mutex_unlock(&y->set->lock);
	return 0;
}

int sw_copy_message(struct sw_copy *y, struct sw_buf *out)
{
	pthread_mutex_lock(&y->set->lock);
	sw_buf_put_view(out, sw_buf_view(&y->message));
	pthread_mutex_unlock(&y->set->lock);
	return out->rc;
}

/* Why it could not be applied: for whoever looks at the status. Takes `moved` over. */
static void keep_failure(struct sw_copy *y, int rc, struct sw_buf *moved)
{
	pthread_mutex_lock(&y->set->lock);
	snprintf(y->error, sizeof(y->error), "%s", sw_fail_message(rc));
	sw_buf_fini(&y->moved);
	y->moved = *moved;
	*moved = (struct sw_buf){0};
	pthread_mutex_unlock(&y->set->lock);
}

int sw_copy_apply(struct sw_copy *y, struct sw_hash *id)
{
	SW_BUF message = {0};
	struct sw_buf moved = {0};
	int rc;

	if (y->is_damaged)
		return sw_fail(SW_ECORRUPT, "%s", y->error);
	rc = sw_copy_message(y, &message);
	if (rc == 0 && message.n == 0) {
		sw_buf_printf(&message, "transaction ");
		sw_buf_put_view(&message, sw_buf_view(&y->name));
		rc = message.rc;
	}
	/* What was written in the live tree comes before it in history, too. */
	if (rc == 0)
		rc = sw_work_commit(y->set->live, sw_view("", 0), id);
	if (rc == 0)
		rc = sw_work_apply(y->work, y->number, sw_buf_view(&message), id, &moved);
	if (rc == 0)
		unlink_copy(y);
	else
		keep_failure(y, rc, &moved);
	sw_buf_fini(&moved);
	return rc;
}

int sw_copy_discard(struct sw_copy *y)
{
	int rc = sw_db_copy_remove(y->set->db, y->number);

	if (rc == 0)
		unlink_copy(y);
	return rc;
}

int sw_copy_status(struct sw_copy *y, struct sw_copy_status *out)
{
	struct sw_work_status work;

	sw_work_status(y->work, &work);
	*out = (struct sw_copy_status){
	    .made_ms = y->made_ms, .count = y->count, .n_edits = work.n_edits, .n_checks = work.n_checks, .is_damaged = y->is_damaged};
	pthread_mutex_lock(&y->set->lock);
	snprintf(out->error, sizeof(out->error), "%s", y->error);
	sw_buf_put_view(&out->moved, sw_buf_view(&y->moved));
	pthread_mutex_unlock(&y->set->lock);
	return out->moved.rc;
}

void sw_copy_status_fini(struct sw_copy_status *s)
{
	sw_buf_fini(&s->moved);
}
