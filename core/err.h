/*
 * Error codes: one short list of the failures that a caller acts on.
 *
 * Functions that can fail return 0 (or a count) on success and one of the negative SW_E* codes
 * on failure. The lowest layer that knows the path, hash or peer says so once with sw_fail(),
 * which keeps the sentence for the thread; layers above pass the code on unchanged.
 */
#ifndef SW_CORE_ERR_H
#define SW_CORE_ERR_H

#include <stddef.h>

#define SW_MUST_CHECK __attribute__((warn_unused_result))
#define SW_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* X(name, number, errno, text). The numbers are internal: they are neither stored nor sent. */
#define SW_ERRORS(X)                                                                               \
	X(ENOTFOUND, 1, ENOENT, "not found")                                                       \
	X(EEXIST, 2, EEXIST, "exists already")                                                     \
	X(ECORRUPT, 3, EIO, "stored data is damaged")                                              \
	X(EFORMAT, 4, EINVAL, "malformed")                                                         \
	X(ESIG, 5, EACCES, "bad signature")                                                        \
	X(EBUSY, 6, EBUSY, "in use")                                                               \
	X(EDENIED, 7, EACCES, "not allowed")                                                       \
	X(ENOSPC, 8, ENOSPC, "no space left")                                                      \
	X(ENOMEM, 9, ENOMEM, "out of memory")                                                      \
	X(EIO, 10, EIO, "input/output error")                                                      \
	X(ECONFLICT, 11, ECANCELED, "conflict")                                                    \
	X(EINVAL, 12, EINVAL, "invalid")                                                           \
	X(ENOTEMPTY, 13, ENOTEMPTY, "not empty")                                                   \
	X(ETOOLONG, 14, ENAMETOOLONG, "name too long")                                             \
	X(ELIMIT, 15, EFBIG, "limit exceeded")                                                     \
	X(EVERSION, 16, EPROTO, "made by a newer version")                                         \
	X(EAGAIN, 17, EAGAIN, "not yet")                                                           \
	X(ECLOSED, 18, EPIPE, "closed")                                                            \
	X(EISDIR, 19, EISDIR, "is a table")                                                        \
	X(ENOTDIR, 20, ENOTDIR, "is not a table")                                                  \
	X(EPERM, 21, EPERM, "operation not permitted")                                             \
	X(EROFS, 22, EROFS, "read-only")                                                           \
	X(EXDEV, 23, EXDEV, "in another tree")                                                     \
	X(EFREED, 24, ENOENT, "its content was freed by gc")

enum sw_error {
#define X(name, number, sys, text) SW_##name = -(number),
	SW_ERRORS(X)
#undef X
};

/* The short text of a code, never NULL; static storage. */
const char *sw_err_text(int rc);

/* The errno of a code, for fs/ only. Unknown codes give EIO. */
int sw_err_to_errno(int rc);

/* The code that fits an errno; never 0. */
int sw_err_from_errno(int sys);

/*
 * Remember, for this thread, one clear sentence about a failure (cause, then remedy), and return
 * rc. sw_fail_message() gives the last one, or the text of rc when none was kept for it. Valid
 * until the thread's next sw_fail().
 */
int sw_fail(int rc, const char *format, ...) SW_PRINTF(2, 3);
const char *sw_fail_message(int rc);
/* The same with ": ", the text of errno and, where there is only one, the remedy added; returns the code that fits it. */
int sw_fail_errno(const char *format, ...) SW_PRINTF(1, 2);

#endif
