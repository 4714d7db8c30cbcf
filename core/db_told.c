/*
 * What the listener has been told of. A new head shows to readers the moment its transaction is committed, and only then is the
 * listener told what has changed: whoever keeps something about rows, as the kernel does for a mount, is behind until it has heard
 * all of it. Here it learns whether that is so, without waiting for commits that do not show yet.
 */
#include "core/db_internal.h"

void sw_telling_init(struct sw_telling *t)
{
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->done, NULL);
}

void sw_telling_fini(struct sw_telling *t)
{
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->done);
}

void sw_db_tell_begin(struct sw_db *db)
{
	pthread_mutex_lock(&db->telling.lock);
	db->telling.is_on = true;
	pthread_mutex_unlock(&db->telling.lock);
}

void sw_db_tell_end(struct sw_db *db)
{
	pthread_mutex_lock(&db->telling.lock);
	db->telling.is_on = false;
	db->telling.number++;
	db->telling.state = db->head.state;
	pthread_cond_broadcast(&db->telling.done);
	pthread_mutex_unlock(&db->telling.lock);
}

void sw_db_tell_changed(struct sw_db *db, const struct sw_changes *changes, bool by_others)
{
	struct sw_head head = db->head;

	if (db->listener.changed)
		db->listener.changed(db->listener.arg, changes, &head, by_others);
	sw_db_tell_end(db);
}

/* Whether a state shows that the listener was not told of yet. What cannot be read shows nothing. */
static bool is_behind(struct sw_db *db)
{
	struct sw_hash told;
	struct sw_reader r;
	bool is_on, behind;

	pthread_mutex_lock(&db->telling.lock);
	is_on = db->telling.is_on;
	told = db->telling.state;
	pthread_mutex_unlock(&db->telling.lock);
	if (!is_on || sw_reader_begin(db, &r) < 0)
		return false;
	behind = !sw_hash_eq(&r.head.state, &told);
	sw_reader_end(&r);
	return behind;
}

static uint64_t number_of(struct sw_db *db)
{
	uint64_t number;

	pthread_mutex_lock(&db->telling.lock);
	number = db->telling.number;
	pthread_mutex_unlock(&db->telling.lock);
	return number;
}

uint64_t sw_db_told(struct sw_db *db)
{
	uint64_t number = number_of(db);

	if (!is_behind(db))
		return number;
	pthread_mutex_lock(&db->telling.lock);
	while (db->telling.is_on && db->telling.number == number)
		pthread_cond_wait(&db->telling.done, &db->telling.lock);
	number = db->telling.number;
	pthread_mutex_unlock(&db->telling.lock);
	return number;
}

bool sw_db_has_moved(struct sw_db *db, uint64_t told)
{
	return number_of(db) != told || is_behind(db);
}
