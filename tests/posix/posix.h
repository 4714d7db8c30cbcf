/*
 * One sequence of system calls in two directories: a mount of swarmfs, and a file system to compare
 * it with. Each case makes its calls and notes what came of each; the notes must be the same, but
 * for the exceptions in exceptions.c.
 */
#ifndef SW_TESTS_POSIX_H
#define SW_TESTS_POSIX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A case gets a directory that holds the empty directories t and u, and must not assume more. */
struct posix_case {
	const char *name;
	void (*run)(int dir);
};

extern const struct posix_case posix_name_cases[], posix_data_cases[], posix_attr_cases[],
    posix_open_cases[];

/* What the mount answers otherwise, and why that is meant. */
struct posix_exception {
	const char *test;  /* the case */
	const char *call;  /* the beginning of the note */
	const char *mount; /* the result there; NULL: any */
	const char *why;
};

extern const struct posix_exception posix_exceptions[];

/* Note a result of the case that runs: "WHAT = RESULT". */
void posix_note(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for the result of a system call: a number, or the name of errno. Returns it. */
long posix_note_call(const char *what, long result);
/* The same for what may be any number but a negative one, as a descriptor. */
int posix_note_fd(const char *what, int fd);
/* Whether something that the case expects of both is so. */
void posix_note_true(const char *what, bool is_so);

#define CALL(x)  posix_note_call(#x, (long)(x))
#define FD(x)    posix_note_fd(#x, (x))
#define TRUE(x)  posix_note_true(#x, (x))
#define TEXT(fd) posix_note_text(#fd, (fd))

/* Note all bytes of a file, from its beginning, whatever its position. */
void posix_note_text(const char *what, int fd);
/* A row with these bytes, made or overwritten; not noted. */
void posix_put(int dir, const char *path, const char *text);
/* Note all bytes of what a path leads to. */
void posix_note_file(int dir, const char *path);
/* Note the names in a directory, sorted. */
void posix_note_names(int dir, const char *path);

#endif
