/*
 * A mount while its database has a new state that it has not heard of yet: programs that come in
 * between wait until it has, and get the new version whole, never the bytes of one with the size of
 * the other.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "core/copies.h"
#include "fs/mount.h"
#include "fs/unmount.h"
#include "tests/lib/set.h"

#define LONG 70000 /* more than the kernel reads ahead of a program that asks for little */

/* What a program did meanwhile, and found. */
struct found {
	off_t size, again;
	char text[LONG + 1];
	ssize_t n;
};

struct scene {
	struct set s;
	struct sw_copies *copies;
	struct sw_mount *mount;
	char point[160], row[192], moved[192];
	bool holds; /* the mount hears nothing until it is let go */
	sem_t held, let_go, done;
	pthread_t script;
	int (*meanwhile)(struct scene *s); /* returns a descriptor of the row, or -1 */
	const char *text;                  /* that the row then has */
	struct found found;
	bool has_run;
};

static void on_changed(void *arg, const struct sw_changes *changes, const struct sw_head *head,
		       bool by_others)
{
	struct scene *s = arg;

	if (s->holds) {
		sem_post(&s->held);
		sem_wait(&s->let_go);
	}
	sw_mount_changed(s->mount, changes, head, by_others);
}

static void *commit_main(void *arg)
{
	struct scene *s = arg;

	test_put(&s->s.t, "t", "r", s->text);
	return NULL;
}

/* Reads like a program that trusts stat. */
static void find(int fd, struct found *f)
{
	struct stat st = {0};
	ssize_t n;

	*f = (struct found){.size = -1};
	if (fd < 0 || fstat(fd, &st) < 0)
		return;
	f->size = st.st_size;
	while ((n = pread(fd, f->text + f->n, 5000, f->n)) > 0)
		f->n += n;
	f->again = fstat(fd, &st) == 0 ? st.st_size : -1;
	close(fd);
}

static void *program_main(void *arg)
{
	struct scene *s = arg;

	find(s->meanwhile(s), &s->found);
	sem_post(&s->done);
	return NULL;
}

static int just_open(struct scene *s)
{
	return open(s->row, O_RDONLY);
}

static int rename_it(struct scene *s)
{
	return rename(s->row, s->moved) == 0 ? open(s->moved, O_RDONLY) : -1;
}

static int change_mode(struct scene *s)
{
	return chmod(s->row, 0600) == 0 ? open(s->row, O_RDONLY) : -1;
}

static int create_it(struct scene *s)
{
	return open(s->row, O_RDONLY | O_CREAT, 0644);
}

/* Whether it was done before the mount heard is told by a wait that is long enough, or the test
 * sees less than it could. */
static void change_meanwhile(struct scene *s)
{
	pthread_t committer, program;
	struct timespec until;

	s->holds = true;
	assert_int_equal(pthread_create(&committer, NULL, commit_main, s), 0);
	sem_wait(&s->held);
	assert_int_equal(pthread_create(&program, NULL, program_main, s), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	if (sem_timedwait(&s->done, &until) == 0)
		sem_post(&s->done);
	s->holds = false;
	sem_post(&s->let_go);
	sem_wait(&s->done);
	pthread_join(program, NULL);
	pthread_join(committer, NULL);
}

/* The kernel has the first pages of the long version, and its size. */
static void look_first(struct scene *s)
{
	char some[100];
	struct stat st;
	int fd = open(s->row, O_RDONLY);

	assert_int_equal(pread(fd, some, sizeof(some), 0), sizeof(some));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, LONG);
	close(fd);
}

static void *script_main(void *arg)
{
	struct scene *s = arg;

	look_first(s);
	change_meanwhile(s);
	s->has_run = true;
	TEST_OK(sw_unmount(s->point, false));
	return NULL;
}

static void on_ready(void *arg)
{
	struct scene *s = arg;

	assert_int_equal(pthread_create(&s->script, NULL, script_main, s), 0);
}

static void on_ending(void *arg)
{
	(void)arg;
}

static void begin_scene(struct scene *s)
{
	struct sw_mount_options options = {.mountpoint = s->point, .fuse_options = ""};
	char text[LONG + 1] = {0};

	begin(&s->s);
	memset(text, 'o', LONG);
	test_put(&s->s.t, "t", "r", text);
	TEST_OK(sw_copies_open(s->s.t.db, s->s.w, &s->copies));
	snprintf(s->point, sizeof(s->point), "%s/mnt", s->s.t.dir);
	snprintf(s->row, sizeof(s->row), "%s/t/r", s->point);
	snprintf(s->moved, sizeof(s->moved), "%s/t/moved", s->point);
	assert_int_equal(mkdir(s->point, 0755), 0);
	sem_init(&s->held, 0, 0);
	sem_init(&s->let_go, 0, 0);
	sem_init(&s->done, 0, 0);
	TEST_OK(sw_mount_new(s->s.t.db, s->s.w, s->copies, &options, &s->mount));
	sw_db_listen(s->s.t.db, &(struct sw_listener){.arg = s, .changed = on_changed});
}

/* What one program finds that comes while the row has become text already, and the mount has not
 * heard. */
static struct found play(int (*meanwhile)(struct scene *s), const char *text)
{
	static struct scene s;
	const struct sw_mount_hooks hooks = {.arg = &s, .ready = on_ready, .ending = on_ending};

	s = (struct scene){.meanwhile = meanwhile, .text = text};
	begin_scene(&s);
	TEST_OK(sw_mount_run(s.mount, &hooks));
	pthread_join(s.script, NULL);
	assert_true(s.has_run);
	sw_db_listen(s.s.t.db, &(struct sw_listener){0});
	sw_mount_free(s.mount);
	sw_copies_close(s.copies);
	rmdir(s.point);
	end(&s.s);
	return s.found;
}

static void assert_found(struct found f, const char *text)
{
	assert_int_equal(f.size, strlen(text));
	assert_int_equal(f.again, strlen(text));
	assert_int_equal(f.n, strlen(text));
	assert_memory_equal(f.text, text, strlen(text));
}

static void test_open(void **state)
{
	(void)state;
	assert_found(play(just_open, "short"), "short");
}

/* By size and mtime the kernel cannot tell it from the one before. */
static void test_twins(void **state)
{
	static char text[LONG + 1];

	(void)state;
	memset(text, 'n', LONG);
	assert_found(play(just_open, text), text);
	assert_found(play(change_mode, text), text);
}

static void test_create(void **state)
{
	(void)state;
	assert_found(play(create_it, "short"), "short");
}

static void test_rename(void **state)
{
	(void)state;
	assert_found(play(rename_it, "short"), "short");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_open),
	    cmocka_unit_test(test_twins),
	    cmocka_unit_test(test_create),
	    cmocka_unit_test(test_rename),
	};

	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		printf("skipped: /dev/fuse cannot be used\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
