#include "tests/lib/net_swarm.h"

size_t net_log_lines;
char net_last_log[1024];

void net_log_sink(enum sw_log_level level, const char *line)
{
	if (level > SW_LOG_WARN)
		return;
	net_log_lines++;
	snprintf(net_last_log, sizeof(net_last_log), "%s", line);
}

void net_put(struct net *net, size_t at, const char *key, const char *text)
{
	test_put(&net->nodes[at].t, "t", key, text);
}

void net_assert_row(struct net *net, size_t at, const char *key, const char *text)
{
	char got[256];

	assert_true(test_get(&net->nodes[at].t, "t", key, got, sizeof(got)));
	assert_string_equal(got, text);
}

void net_verify_all(struct net *net)
{
	for (size_t i = 0; i < net->n_nodes; i++)
		if (net->nodes[i].sync)
			test_verify(&net->nodes[i].t);
}

struct sw_ticket net_tickets[NET_NODES_MAX];

void net_make_swarm(struct net *net, size_t n, uint64_t seed)
{
	net_init(net, seed);
	net_add_creator(net);
	for (size_t i = 1; i < n; i++) {
		net_add_clone(net);
		net_ticket(net, 0, 100000, &net_tickets[i]);
		net_connect(net, i, 0, &net_tickets[i])->manual = true;
	}
	net_converge(net, 60000);
	for (size_t i = 0; i < n - 1; i++)
		net_cut(net, &net->links[i]);
	net->n_links = 0;
}

void net_make_chain(struct net *net, size_t n, uint64_t seed)
{
	net_make_swarm(net, n, seed);
	for (size_t i = 1; i < n; i++)
		net_connect(net, i, i - 1, NULL);
	net_run(net, 100);
}

void net_make_mesh(struct net *net, size_t n, uint64_t seed)
{
	net_make_swarm(net, n, seed);
	for (size_t i = 1; i < n; i++)
		for (size_t k = 0; k < i; k++)
			net_connect(net, i, k, NULL);
	net_run(net, 100);
}

void net_put_large(struct net *net, size_t at, const char *key, size_t size)
{
	uint8_t *bytes = malloc(size);
	struct sw_write_op op = {.op = {.kind = SW_OP_PUT,
					.table = sw_view_str("t"),
					.key = sw_view_str(key),
					.old = test_current(&net->nodes[at].t, "t", key),
					.row = {.mode = 0644}},
				 .content = sw_view(bytes, size)};

	assert_non_null(bytes);
	test_env_random(&net->nodes[at].t.env, bytes, size);
	test_write(&net->nodes[at].t, &op);
	free(bytes);
}

void net_govern_key(struct net *net, size_t by, enum sw_op_kind kind, const struct sw_key *key, enum sw_role role)
{
	struct sw_write_op op = {.op = {.kind = kind, .member = *key, .role = role}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = &op, .n = 1};
	struct sw_hash id;

	TEST_OK(sw_db_commit(net->nodes[by].t.db, &w, &id));
}

void net_govern(struct net *net, size_t by, enum sw_op_kind kind, size_t whom, enum sw_role role)
{
	net_govern_key(net, by, kind, sw_db_key(net->nodes[whom].t.db), role);
}

void net_make_reader(struct net *net, size_t by, size_t member)
{
	struct sw_key key = *sw_db_key(net->nodes[member].t.db);
	struct sw_write_op ops[2] = {{.op = {.kind = SW_OP_REVOKE, .member = key}},
				     {.op = {.kind = SW_OP_GRANT, .member = key, .role = SW_ROLE_READER}}};
	struct sw_write w = {.mode = SW_MODE_CONTROL, .ops = ops, .n = 2};
	struct sw_hash id;

	TEST_OK(sw_db_commit(net->nodes[by].t.db, &w, &id));
}
