#include "fs/service.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/log.h"

/* A path, or '@' and a name without a file. */
static bool address(const char *text, struct sockaddr_un *out, socklen_t *size)
{
	size_t n = strlen(text);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if ((*text != '/' && *text != '@') || n >= sizeof(out->sun_path))
		return false;
	memcpy(out->sun_path, text, n);
	if (*text == '@')
		out->sun_path[0] = '\0';
	*size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return true;
}

int sw_service_open(void)
{
	const char *text = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to;
	socklen_t size;
	int fd = -1;

	if (!text)
		return -1;
	if (address(text, &to, &size))
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, size) < 0) {
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		sw_log(SW_LOG_WARN, "the service manager cannot be reached at NOTIFY_SOCKET=%s",
		       text);
	unsetenv("NOTIFY_SOCKET");
	return fd;
}

void sw_service_tell(int fd, const char *format, ...)
{
	char text[2048];
	va_list ap;
	int n;

	if (fd < 0)
		return;
	va_start(ap, format);
	n = vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		n = (int)strlen(text);
	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) < 0)
		sw_log(SW_LOG_DEBUG, "the service manager does not listen any more");
}
