/* The thread that gives core/work.h its time. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "fs/memory.h"
#include "fs/owner_internal.h"
#include "fs/thread.h"

#define LOOK_MS 10   /* between steps of looking for rows that break their schema, so that they take no more than a part of the time */
#define LOOK_AGAIN_MS 1000
#define TIDY_MS 5000 /* how often superseded states that nobody reads any more are given up, and memory that was freed */

struct sw_committer {
	struct sw_owner *owner;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_due; /* sooner than it was; under lock */
	bool stop;   /* under lock */
	char said[512]; /* the failure that was logged last */
	uint64_t look_ms; /* rows are not looked at before: it failed */
};

static void on_due(void *arg)
{
	struct sw_committer *c = arg;

	pthread_mutex_lock(&c->lock);
	c->is_due = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
}

/* false: stop. */
static bool wait_ms(struct sw_committer *c, uint32_t ms)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&c->lock);
	while (!c->stop && !c->is_due)
		if (pthread_cond_timedwait(&c->wake, &c->lock, &until) == ETIMEDOUT)
			break;
	c->is_due = false;
	go_on = !c->stop;
	pthread_mutex_unlock(&c->lock);
	return go_on;
}

/* Each failure once; status shows the current one. */
static void say(struct sw_committer *c, int rc)
{
	if (rc < 0 && strcmp(c->said, sw_fail_message(rc)) != 0)
		sw_log(SW_LOG_ERROR, "rows could not be committed, and stay in the journal: %s",
		       sw_fail_message(rc));
	snprintf(c->said, sizeof(c->said), "%s", rc < 0 ? sw_fail_message(rc) : "");
}

static bool may_look(const struct sw_committer *c)
{
	return sw_env_mono_ms(sw_db_env(c->owner->db)) >= c->look_ms && sw_breaches_is_due(c->owner->breaches);
}

static uint32_t due_ms(const struct sw_committer *c)
{
	uint32_t work = sw_work_due_ms(c->owner->work), copies = sw_copies_due_ms(c->owner->copies);

	work = work < copies ? work : copies;
	return work > LOOK_MS && may_look(c) ? LOOK_MS : work;
}

static void on_breach(void *arg, const struct sw_breach *breach, bool is_broken)
{
	const struct sw_owner_hook *hook = &((struct sw_owner *)arg)->hook;

	if (hook->breach)
		hook->breach(hook->arg, breach, is_broken);
}

static void look(struct sw_committer *c)
{
	if (!may_look(c) || sw_breaches_run(c->owner->breaches, on_breach, c->owner) == 0)
		return;
	sw_log(SW_LOG_DEBUG, "rows could not be looked at by their schemas; trying again later");
	c->look_ms = sw_env_mono_ms(sw_db_env(c->owner->db)) + LOOK_AGAIN_MS;
}

static int run(const struct sw_committer *c)
{
	int work = sw_work_run(c->owner->work), copies = sw_copies_run(c->owner->copies);

	return work < 0 ? work : copies;
}

static void *committer_main(void *arg)
{
	struct sw_committer *c = arg;

	const struct sw_env *env = sw_db_env(c->owner->db);
	uint64_t tidy_at = sw_env_mono_ms(env) + TIDY_MS;
	struct sw_memory memory = {0};

	for (;;) {
		uint64_t now = sw_env_mono_ms(env), until_tidy = tidy_at > now ? tidy_at - now : 0;
		uint32_t ms = due_ms(c);

		if (!wait_ms(c, ms < until_tidy ? ms : (uint32_t)until_tidy))
			return NULL;
		if (ms <= until_tidy)
			say(c, run(c));
		look(c);
		if (sw_env_mono_ms(env) < tidy_at)
			continue;
		if (sw_db_tidy(c->owner->db) < 0)
			sw_log(SW_LOG_DEBUG, "old states could not be given up; trying again later");
		sw_memory_tidy(&memory);
		tidy_at = sw_env_mono_ms(env) + TIDY_MS;
	}
}

int sw_committer_start(struct sw_owner *o, struct sw_committer **out)
{
	struct sw_committer *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	int rc;

	if (!c)
		return SW_ENOMEM;
	c->owner = o;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sw_work_on_due(o->work, on_due, c);
	sw_copies_on_due(o->copies, on_due, c);
	sw_breaches_on_due(o->breaches, on_due, c);
	rc = sw_thread_start(&c->thread, committer_main, c);
	if (rc < 0) {
		sw_work_on_due(o->work, NULL, NULL);
		sw_copies_on_due(o->copies, NULL, NULL);
		sw_breaches_on_due(o->breaches, NULL, NULL);
		free(c);
		return rc;
	}
	*out = c;
	return 0;
}

void sw_committer_stop(struct sw_committer *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->wake);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	sw_work_on_due(c->owner->work, NULL, NULL);
	sw_copies_on_due(c->owner->copies, NULL, NULL);
	sw_breaches_on_due(c->owner->breaches, NULL, NULL);
	pthread_cond_destroy(&c->wake);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
