#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"

/* The first byte is the exit code, the rest is for people. The end without a byte: the child died.
 */
static void wait_for_child(int fd, pid_t pid)
{
	char message[2048];
	unsigned char code = 1;
	size_t n = 0;
	ssize_t got;
	int status;

	do
		got = read(fd, &code, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1) {
		if (waitpid(pid, &status, 0) == pid && WIFSIGNALED(status))
			fprintf(stderr,
				"swarmfs: the process was ended by signal %d while it started\n",
				WTERMSIG(status));
		else
			fprintf(stderr, "swarmfs: the process ended while it started\n");
		_exit(1);
	}
	while (n < sizeof(message) - 1 &&
	       (got = read(fd, message + n, sizeof(message) - 1 - n)) > 0)
		n += (size_t)got;
	message[n] = '\0';
	if (n > 0)
		fprintf(stderr, "swarmfs: %s\n", message);
	_exit(code);
}

/* A daemon must not keep locks, pipes or directories of whoever started it. */
static void close_others(int keep)
{
	if (keep > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, (unsigned)keep - 1, 0);
	close_range((unsigned)keep + 1, ~0U, 0);
}

int sw_daemon_fork(struct sw_daemon *d)
{
	pid_t pid, parent = getpid();
	int fds[2];

	d->fd = -1;
	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return sw_fail_errno("pipe");
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return sw_fail_errno("fork");
	}
	if (pid > 0) {
		close(fds[1]);
		wait_for_child(fds[0], pid);
	}
	close(fds[0]);
	d->fd = fds[1];
	close_others(d->fd);
	/* Who interrupts the command that waits means this process. */
	prctl(PR_SET_PDEATHSIG, (unsigned long)SIGTERM);
	if (getppid() != parent)
		raise(SIGTERM); /* it was interrupted already, before anybody would have said so
				   here */
	if (setsid() < 0)
		return sw_fail_errno("setsid");
	return 0;
}

void sw_daemon_survive(const struct sw_daemon *d)
{
	if (d->fd >= 0)
		prctl(PR_SET_PDEATHSIG, 0UL);
}

void sw_daemon_tell(struct sw_daemon *d, int code, const char *message)
{
	unsigned char byte = (unsigned char)code;

	if (d->fd < 0)
		return;
	/* A parent that is gone has nobody to tell. */
	if (write(d->fd, &byte, 1) == 1 && message && write(d->fd, message, strlen(message)) < 0)
		errno = 0;
	close(d->fd);
	d->fd = -1;
}

static void log_line(enum sw_log_level level, const char *line)
{
	char when[32];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(stderr, "%s.%03ldZ %s: %s\n", when, now.tv_nsec / 1000000, sw_log_level_name(level),
		line);
}

void sw_daemon_ready(struct sw_daemon *d, const char *log_path)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (d->fd < 0) {
		/* In the foreground: the log stays on the terminal. */
		if (null >= 0)
			close(null);
		if (file >= 0)
			close(file);
		return;
	}
	sw_log_set_sink(log_line);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	dup2(file >= 0 ? file : null, STDERR_FILENO);
	if (null >= 0)
		close(null);
	if (file >= 0)
		close(file);
	if (chdir("/") < 0)
		sw_log(SW_LOG_WARN, "chdir /: %s", strerror(errno));
	sw_daemon_tell(d, 0, NULL);
}
