/*
 * The simulator's command: runs seeds, each in a process of its own, so that a crash is a failure
 * like others. A seed that fails is run again with ever fewer actions, until each that is left is
 * needed for it to fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/lib/toysign.h"
#include "tests/sim/scenario.h"
#include "tests/sim/sim.h"

#define MINIMIZE_S 90 /* for so long a failing plan is made shorter */

struct options {
	uint64_t seed;
	bool has_seed;
	size_t peers;   /* 0: as the seed says */
	uint64_t steps; /* go on with further seeds until that many were made; 0: one seed */
	bool trace, twice, keep_plan;
	const char *only; /* actions of the plan, "3,17,18" */
	const char *scenario;
};

static struct sim_stats *stats; /* of the run under way; in memory that its process shares */
static char base[64];

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t steps_of(const struct sim_stats *s)
{
	return s->n_messages + s->n_ticks + s->n_actions;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	return ftw->level > 0 ? remove(path) : 0;
}

/* Stores that a run left behind when it failed. */
static void clean(void)
{
	if (nftw(base, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		perror(base);
}

static void make_base(void)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(base, sizeof(base), "%s/swarmfs-sim-XXXXXX", tmp ? tmp : "/dev/shm");

	if (n < 0 || (size_t)n >= sizeof(base) || !mkdtemp(base) || setenv("TMPDIR", base, 1) < 0) {
		fprintf(stderr, "sim: cannot make a directory in %s: %s\n", tmp ? tmp : "/dev/shm",
			strerror(errno));
		exit(1);
	}
}

/* Every store needs a few descriptors. */
static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* A run in a process of its own; true: nothing broke. */
static bool run(const struct sim_plan *plan, const bool *skip, const char *scenario, bool trace,
		bool quiet)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	memset(stats, 0, sizeof(*stats));
	pid = fork();
	if (pid == 0) {
		int null = quiet ? open("/dev/null", O_WRONLY) : -1;

		if (null >= 0)
			dup2(null, STDERR_FILENO);
		if (scenario)
			sim_scenario(scenario, plan, trace, stats);
		else
			sim_run(plan, skip, trace, stats);
		exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0) {
		perror("sim");
		exit(1);
	}
	if (status == 0)
		return true;
	if (!stats->broken[0])
		snprintf(stats->broken, sizeof(stats->broken), "%s %d",
			 WIFSIGNALED(status) ? "signal" : "exit",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	clean();
	return false;
}

/* Delta debugging: leave out ever smaller parts of what is left, as long as the same thing breaks.
 */
static void minimize(const struct sim_plan *plan, bool *skip)
{
	double end = seconds() + MINIMIZE_S;
	bool *attempt = calloc(plan->n, sizeof(*attempt));
	char broken[sizeof(stats->broken)];

	assert_non_null(attempt);
	memcpy(broken, stats->broken, sizeof(broken));
	for (size_t chunk = plan->n; chunk > 0 && seconds() < end; chunk /= 2) {
		bool found = false;

		for (size_t at = 0; at < plan->n && seconds() < end; at += chunk) {
			bool differs = false;

			memcpy(attempt, skip, plan->n * sizeof(*skip));
			for (size_t i = at; i < at + chunk && i < plan->n; i++) {
				differs |= !attempt[i];
				attempt[i] = true;
			}
			if (!differs || run(plan, attempt, NULL, false, true) ||
			    strcmp(broken, stats->broken) != 0)
				continue;
			memcpy(skip, attempt, plan->n * sizeof(*skip));
			found = true;
		}
		if (found && chunk == 1)
			chunk = 2; /* once more, one by one: what was needed may be so no longer */
	}
	free(attempt);
}

static void print_plan(const struct sim_plan *plan, const bool *skip, size_t peers)
{
	const char *comma = "";

	fprintf(stderr, "what is left of the plan:\n");
	for (size_t i = 0; i < plan->n; i++)
		if (!skip[i])
			fprintf(stderr, "  %4zu: at %6llu ms %s at node %zu\n", i,
				(unsigned long long)plan->v[i].at_ms,
				sim_kind_name(plan->v[i].kind), plan->v[i].node);
	fprintf(stderr, "again: sim --seed %llu ", (unsigned long long)plan->seed);
	if (peers)
		fprintf(stderr, "--peers %zu ", peers);
	fprintf(stderr, "--trace --only ");
	for (size_t i = 0; i < plan->n; i++) {
		if (skip[i])
			continue;
		fprintf(stderr, "%s%zu", comma, i);
		comma = ",";
	}
	fprintf(stderr, "%s\n", *comma ? "" : "none");
}

static void skip_all_but(const struct sim_plan *plan, const char *only, bool *skip)
{
	memset(skip, true, plan->n * sizeof(*skip));
	while (only && *only >= '0' && *only <= '9') {
		char *end;
		size_t i = strtoul(only, &end, 10);

		if (i < plan->n)
			skip[i] = false;
		only = *end == ',' ? end + 1 : end;
	}
}

static bool run_seed(const struct options *o, uint64_t seed, uint64_t *hash)
{
	struct sim_plan plan;
	bool *skip, is_good;

	sim_plan_make(&plan, seed, o->peers);
	skip = calloc(plan.n, sizeof(*skip));
	assert_non_null(skip);
	if (o->only)
		skip_all_but(&plan, o->only, skip);
	is_good = run(&plan, skip, o->scenario, o->trace, false);
	*hash = stats->hash;
	if (!is_good) {
		struct sim_stats first = *stats;

		fprintf(stderr, "seed %llu fails: %s\n", (unsigned long long)seed, stats->broken);
		if (!o->only && !o->scenario && !o->keep_plan) {
			minimize(&plan, skip);
			print_plan(&plan, skip, o->peers);
		}
		*stats = first;
	}
	free(skip);
	sim_plan_fini(&plan);
	return is_good;
}

static void add(struct sim_stats *sum, const struct sim_stats *s)
{
	sum->n_messages += s->n_messages;
	sum->n_ticks += s->n_ticks;
	sum->n_actions += s->n_actions;
	sum->n_commits += s->n_commits;
	sum->n_crashes += s->n_crashes;
	sum->n_torn += s->n_torn;
	sum->n_drop += s->n_drop;
	sum->n_held += s->n_held;
	sum->n_resigned += s->n_resigned;
	sum->n_sets += s->n_sets;
	sum->n_oracles += s->n_oracles;
	sum->n_settled += s->n_settled;
	sum->n_removed += s->n_removed;
	sum->n_twins += s->n_twins;
	sum->n_applied += s->n_applied;
	sum->n_freed += s->n_freed;
	sum->virtual_ms += s->virtual_ms;
}

static void print_sum(const struct sim_stats *sum, size_t n_seeds, double took)
{
	printf("%zu seeds, %llu steps (%llu messages, %llu ticks, %llu actions) in %.1f s: %.0f "
	       "steps/s\n",
	       n_seeds, (unsigned long long)steps_of(sum), (unsigned long long)sum->n_messages,
	       (unsigned long long)sum->n_ticks, (unsigned long long)sum->n_actions, took,
	       (double)steps_of(sum) / took);
	printf("%llu commits, %llu different sets of them, %llu ends compared with the oracle, "
	       "%llu crashes, %llu with "
	       "commits held back to the end, %llu signed again, %llu that were the last settled one somewhere, "
	       "%llu databases of drop mode, %llu members removed, %llu stores copied, %llu working copies applied, "
	       "%llu commits freed, %.0f virtual seconds\n",
	       (unsigned long long)sum->n_commits, (unsigned long long)sum->n_sets,
	       (unsigned long long)sum->n_oracles, (unsigned long long)sum->n_crashes,
	       (unsigned long long)sum->n_held, (unsigned long long)sum->n_resigned, (unsigned long long)sum->n_settled,
	       (unsigned long long)sum->n_drop, (unsigned long long)sum->n_removed, (unsigned long long)sum->n_twins,
	       (unsigned long long)sum->n_applied, (unsigned long long)sum->n_freed, (double)sum->virtual_ms / 1000);
}

static bool run_all(const struct options *o)
{
	struct sim_stats sum = {0};
	double begin = seconds();
	bool is_good = true;
	size_t n = 0;

	do {
		uint64_t seed = o->seed + n, hash, again;

		is_good = run_seed(o, seed, &hash);
		add(&sum, stats);
		if (!o->steps || o->trace)
			printf("seed %llu: %llu steps, trace %016llx\n", (unsigned long long)seed,
			       (unsigned long long)steps_of(stats), (unsigned long long)hash);
		if (is_good && o->twice) {
			is_good = run_seed(o, seed, &again);
			if (is_good && again != hash) {
				fprintf(stderr, "seed %llu goes another way the second time\n",
					(unsigned long long)seed);
				is_good = false;
			}
		}
		n++;
	} while (is_good && steps_of(&sum) < o->steps);
	print_sum(&sum, n, seconds() - begin);
	return is_good;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: sim [--seed N] [--steps N] [--peers N] [--trace] [--twice] [--only "
		"A,B,...] [--keep-plan]\n"
		"           [--scenario NAME]\n"
		"  --seed N         the world to run; without it, one that nobody has seen\n"
		"  --steps N        go on with the seeds after it until so many steps were made\n"
		"  --peers N        so many in the beginning, instead of what the seed says\n"
		"  --trace          tell every action and message\n"
		"  --twice          run each seed twice: it must go the same way\n"
		"  --only A,B,...   only these actions of the plan; 'none'\n"
		"  --keep-plan      do not make the plan of a failing seed shorter\n"
		"  --scenario NAME  %s\n",
		SIM_SCENARIOS);
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
	    {"seed", required_argument, NULL, 's'},  {"steps", required_argument, NULL, 'n'},
	    {"peers", required_argument, NULL, 'p'}, {"trace", no_argument, NULL, 't'},
	    {"twice", no_argument, NULL, '2'},       {"only", required_argument, NULL, 'o'},
	    {"keep-plan", no_argument, NULL, 'k'},   {"scenario", required_argument, NULL, 'c'},
	    {"help", no_argument, NULL, 'h'},        {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			o->seed = strtoull(optarg, NULL, 0);
			o->has_seed = true;
			break;
		case 'n':
			o->steps = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			o->peers = strtoul(optarg, NULL, 0);
			break;
		case 't':
			o->trace = true;
			break;
		case '2':
			o->twice = true;
			break;
		case 'o':
			o->only = optarg;
			break;
		case 'k':
			o->keep_plan = true;
			break;
		case 'c':
			o->scenario = optarg;
			break;
		default:
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	}
	if (optind < argc) {
		usage(stderr);
		exit(2);
	}
	if (!o->has_seed)
		o->seed = (uint64_t)time(NULL) * 1000;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	bool is_good;

	toysign_use();
	parse(argc, argv, &o);
	printf("seed %llu\n", (unsigned long long)o.seed);
	stats =
	    mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (stats == MAP_FAILED) {
		perror("sim");
		return 1;
	}
	raise_limits();
	make_base();
	is_good = run_all(&o);
	clean();
	rmdir(base);
	return is_good ? 0 : 1;
}
