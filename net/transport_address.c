/*
 * Addresses as people write them. nng would take more forms (a user's name, a path, a query,
 * schemes without our limits), and say less about what is wrong with them.
 */
#include "net/transport_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/stat.h>

#define SCHEME_SIZE 6 /* of tcp:// and of ipc:// */

bool sw_address_is_ipc(const char *url)
{
	return strncmp(url, "ipc://", SCHEME_SIZE) == 0;
}

static int check_tcp(const char *url)
{
	const char *host = url + SCHEME_SIZE;
	const char *port = strrchr(host, ':');
	size_t n_digits;

	if (!port || port == host || strpbrk(host, "/?#@ "))
		return sw_fail(SW_EINVAL, "%s: write tcp://HOST:PORT", url);
	n_digits = strspn(++port, "0123456789");
	if (n_digits == 0 || n_digits > 5 || port[n_digits] != '\0')
		return sw_fail(SW_EINVAL, "%s: the port is not a number", url);
	return 0;
}

static int check_ipc(const char *url)
{
	size_t n = strlen(url + SCHEME_SIZE);

	if (n == 0)
		return sw_fail(SW_EINVAL, "%s: write ipc://PATH", url);
	if (n > SW_TRANSPORT_IPC_PATH_MAX)
		return sw_fail(SW_ETOOLONG,
			       "%s: the path of a unix socket has at most %d bytes, this one %zu; "
			       "use a shorter one",
			       url, SW_TRANSPORT_IPC_PATH_MAX, n);
	return 0;
}

int sw_address_check(const char *url)
{
	/* When the real port replaces 0, up to four bytes more. */
	if (strlen(url) + 4 >= SW_TRANSPORT_URL_MAX)
		return sw_fail(SW_ETOOLONG, "an address of %zu bytes is too long", strlen(url));
	if (strncmp(url, "tcp://", SCHEME_SIZE) == 0)
		return check_tcp(url);
	if (sw_address_is_ipc(url))
		return check_ipc(url);
	return sw_fail(SW_EINVAL, "%s: addresses are tcp://HOST:PORT or ipc://PATH", url);
}

/* nng takes any file that refuses a connection for a dead socket, and would remove it. */
int sw_address_check_path(const char *url)
{
	const char *path = url + SCHEME_SIZE;
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return sw_fail(SW_EEXIST, "%s exists and is not a socket; choose another path",
			       path);
	return 0;
}

/* A machine with IPv6 has as many addresses as it likes in its network, whose half of the 128 bits it cannot choose. */
static bool put_network(const char *host, char out[static SW_TRANSPORT_SOURCE_SIZE])
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr a;

	snprintf(text, sizeof(text), "%.*s", (int)strcspn(host, "]"), host);
	if (inet_pton(AF_INET6, text, &a) != 1 || IN6_IS_ADDR_V4MAPPED(&a))
		return false;
	memset(&a.s6_addr[8], 0, 8);
	inet_ntop(AF_INET6, &a, text, sizeof(text));
	snprintf(out, SW_TRANSPORT_SOURCE_SIZE, "tcp://[%s/64]", text);
	return true;
}

void sw_transport_source(const char *address, char out[static SW_TRANSPORT_SOURCE_SIZE])
{
	const char *host = address + SCHEME_SIZE, *port;

	if (strncmp(address, "tcp://", SCHEME_SIZE) != 0) {
		snprintf(out, SW_TRANSPORT_SOURCE_SIZE, "%s", sw_address_is_ipc(address) ? "ipc" : address);
		return;
	}
	if (*host == '[' && put_network(host + 1, out))
		return;
	port = strrchr(host, ':');
	snprintf(out, SW_TRANSPORT_SOURCE_SIZE, "%.*s", port ? (int)(port - address) : SW_TRANSPORT_SOURCE_SIZE, address);
}
