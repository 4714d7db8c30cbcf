/*
 * Round trips of a small message over a raw TCP connection on loopback: the floor of every
 * figure that has to cross from one peer to another. A child process echoes, the parent times.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure.h"

#define BYTES_MAX 65536
#define N_MAX     10000000

static void read_full(int fd, uint8_t *buf, size_t n)
{
	while (n) {
		ssize_t got = recv(fd, buf, n, 0);

		if (got <= 0)
			die("recv", "loopback");
		buf += got;
		n -= (size_t)got;
	}
}

static void write_full(int fd, const uint8_t *buf, size_t n)
{
	while (n) {
		ssize_t sent = send(fd, buf, n, MSG_NOSIGNAL);

		if (sent <= 0)
			die("send", "loopback");
		buf += sent;
		n -= (size_t)sent;
	}
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("socket", "tcp");
	return fd;
}

static void echo(const struct sockaddr_in *addr, uint8_t *buf, size_t bytes, size_t n)
{
	int fd = tcp_socket();

	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		die("connect", "loopback");
	for (size_t i = 0; i < n; i++) {
		read_full(fd, buf, bytes);
		write_full(fd, buf, bytes);
	}
}

static void run(struct report *report, size_t bytes, size_t n)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	int listener = tcp_socket(), fd, one = 1;
	static uint8_t buf[BYTES_MAX];
	struct samples s;
	char name[64];
	pid_t pid;

	if (bind(listener, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    listen(listener, 1) != 0 || getsockname(listener, (struct sockaddr *)&addr, &len) != 0)
		die("listen", "loopback");
	pid = fork();
	if (pid < 0)
		die("fork", "echo");
	if (pid == 0) {
		echo(&addr, buf, bytes, n);
		_exit(0);
	}
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0)
		die("accept", "loopback");
	samples_init(&s, n);
	for (size_t i = 0; i < n; i++) {
		int64_t t = now_ns();

		write_full(fd, buf, bytes);
		read_full(fd, buf, bytes);
		samples_add(&s, now_ns() - t);
	}
	waitpid(pid, NULL, 0);
	close(fd);
	close(listener);
	snprintf(name, sizeof(name), "tcp round trip %zu", bytes);
	report_samples(report, name, &s);
	samples_fini(&s);
}

static void usage(FILE *f)
{
	fprintf(f, "usage: bench_tcp [--bytes B] [--n N] [--json]\n"
		   "Round trips of B bytes (200) over TCP on loopback, in milliseconds.\n"
		   "  --n N    round trips (10000)\n"
		   "  --json   one object: figure -> {unit, n, min, p50, p90, p99, max}\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"bytes", required_argument, NULL, 'b'},
	    {"n", required_argument, NULL, 'n'},
	    {"json", no_argument, NULL, 'j'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	struct report report = {.unit_ns = 1000000, .unit = "ms"};
	size_t bytes = 200, n = 10000;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'b':
			bytes = parse_size("--bytes", optarg, 1, BYTES_MAX);
			break;
		case 'n':
			n = parse_size("--n", optarg, 1, N_MAX);
			break;
		case 'j':
			report.json = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	run(&report, bytes, n);
	report_end(&report);
	return 0;
}
