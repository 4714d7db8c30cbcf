#include "core/err.h"

#include "core/plain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local struct {
	int rc;
	char text[SW_PLAIN_SIZE];
} last;

const char *sw_err_text(int rc)
{
	switch (rc) {
	case 0:
		return "success";
#define X(name, number, sys, text)                                                                 \
	case SW_##name:                                                                            \
		return text;
		SW_ERRORS(X)
#undef X
	default:
		return "unknown error";
	}
}

int sw_err_to_errno(int rc)
{
	switch (rc) {
	case 0:
		return 0;
#define X(name, number, sys, text)                                                                 \
	case SW_##name:                                                                            \
		return sys;
		SW_ERRORS(X)
#undef X
	default:
		return EIO;
	}
}

int sw_err_from_errno(int sys)
{
	switch (sys) {
	case ENOENT:
		return SW_ENOTFOUND;
	case EEXIST:
		return SW_EEXIST;
	case EACCES:
	case EPERM:
		return SW_EDENIED;
	case ENOSPC:
	case EDQUOT:
		return SW_ENOSPC;
	case ENOMEM:
		return SW_ENOMEM;
	case EBUSY:
		return SW_EBUSY;
	case EINVAL:
		return SW_EINVAL;
	case ENAMETOOLONG:
		return SW_ETOOLONG;
	case ENOTDIR:
		return SW_ENOTDIR;
	case EISDIR:
		return SW_EISDIR;
	case EROFS:
		return SW_EROFS;
	case EAGAIN:
		return SW_EAGAIN;
	default:
		return SW_EIO;
	}
}

int sw_fail(int rc, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(last.text, sizeof(last.text), format, ap);
	va_end(ap);
	sw_plain(last.text, sizeof(last.text));
	last.rc = rc;
	return rc;
}

/* What the user can do about it, where that is always the same. */
static const char *remedy_for(int sys)
{
	switch (sys) {
	case ENOSPC:
	case EDQUOT:
		return "; make room and try again";
	case EACCES:
	case EPERM:
		return "; use an account that may do that";
	default:
		return "";
	}
}

int sw_fail_errno(const char *format, ...)
{
	int sys = errno;
	size_t n;
	va_list ap;

	va_start(ap, format);
	vsnprintf(last.text, sizeof(last.text), format, ap);
	va_end(ap);
	sw_plain(last.text, sizeof(last.text));
	n = strlen(last.text);
	snprintf(last.text + n, sizeof(last.text) - n, ": %s%s", strerror(sys), remedy_for(sys));
	last.rc = sw_err_from_errno(sys);
	return last.rc;
}

const char *sw_fail_message(int rc)
{
	return last.rc == rc && last.text[0] ? last.text : sw_err_text(rc);
}
