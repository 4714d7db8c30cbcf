/*
 * A main for fuzz targets without libFuzzer, so that every test run is also a short fuzz run: it
 * replays the corpus, then mutations of it that follow from a seed. The input under way lies in a
 * file in the working directory, which whatever kills the process leaves behind; given as the only
 * argument it is replayed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/rng.h"

#define INPUT_MAX  16384
#define CORPUS_MAX 256

static struct sw_buf corpus[CORPUS_MAX];
static size_t n_corpus;

static void read_input(const char *path)
{
	struct sw_buf *b = &corpus[n_corpus];
	FILE *f = fopen(path, "rb");

	must(f && n_corpus < CORPUS_MAX && sw_buf_reserve(b, INPUT_MAX));
	b->n = fread(b->p, 1, INPUT_MAX, f);
	must(!ferror(f));
	fclose(f);
	n_corpus++;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Files in the order of their names: readdir's would make runs differ. */
static void read_corpus(const char *dir)
{
	char *paths[CORPUS_MAX];
	size_t n = 0;
	DIR *d = opendir(dir);
	struct dirent *e;

	must(d != NULL);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		must(n < CORPUS_MAX && asprintf(&paths[n], "%s/%s", dir, e->d_name) > 0);
		n++;
	}
	closedir(d);
	qsort(paths, n, sizeof(*paths), by_name);
	for (size_t i = 0; i < n; i++) {
		read_input(paths[i]);
		free(paths[i]);
	}
}

/* Make room for, or close the gap of, some bytes; what comes in is old or random. */
static size_t insert(struct rng *r, uint8_t *p, size_t n)
{
	size_t at = rng_below(r, (uint32_t)n + 1), k = 1 + rng_below(r, 16);

	if (n + k > INPUT_MAX)
		return n;
	memmove(p + at + k, p + at, n - at);
	for (size_t i = 0; i < k; i++)
		p[at + i] = (uint8_t)rng_next(r);
	return n + k;
}

static size_t cut(struct rng *r, uint8_t *p, size_t n)
{
	size_t at = rng_below(r, (uint32_t)n), k = 1 + rng_below(r, (uint32_t)(n - at));

	if (rng_below(r, 4))
		k = k < 8 ? k : 8;
	memmove(p + at, p + at + k, n - at - k);
	return n - k;
}

static size_t overwrite(struct rng *r, uint8_t *p, size_t n)
{
	const struct sw_buf *other = &corpus[rng_below(r, (uint32_t)n_corpus)];
	size_t from = rng_below(r, (uint32_t)other->n + 1), at = rng_below(r, (uint32_t)n + 1);
	size_t k = rng_below(r, (uint32_t)(other->n - from) + 1);

	if (k > INPUT_MAX - at)
		k = INPUT_MAX - at;
	if (k > 0)
		memcpy(p + at, other->p + from, k);
	return at + k > n ? at + k : n;
}

static size_t mutate(struct rng *r, uint8_t *p, size_t n)
{
	static const uint8_t edges[] = {0, 1, 0x20, 0x7f, 0x80, 0xff};

	if (n == 0)
		return insert(r, p, n);
	switch (rng_below(r, 6)) {
	case 0:
		p[rng_below(r, (uint32_t)n)] ^= (uint8_t)(1 << rng_below(r, 8));
		return n;
	case 1:
		p[rng_below(r, (uint32_t)n)] = edges[rng_below(r, sizeof(edges))];
		return n;
	case 2:
		p[rng_below(r, (uint32_t)n)] += (uint8_t)(1 + rng_below(r, 4) * 84);
		return n;
	case 3:
		return insert(r, p, n);
	case 4:
		return cut(r, p, n);
	default:
		return overwrite(r, p, n);
	}
}

/* From memory of exactly its size, so that sanitizers see the first byte that is read beyond it. */
static void run(int left, struct sw_view input)
{
	uint8_t *copy = malloc(input.n ? input.n : 1);

	must(copy && pwrite(left, input.p, input.n, 0) == (ssize_t)input.n);
	must(ftruncate(left, (off_t)input.n) == 0);
	if (input.n > 0)
		memcpy(copy, input.p, input.n);
	must(LLVMFuzzerTestOneInput(copy, input.n) == 0);
	free(copy);
}

int main(int argc, char **argv)
{
	static uint8_t input[INPUT_MAX];
	const char *text = getenv("SW_SEED");
	struct rng rng = {text ? strtoull(text, NULL, 0) : 1};
	unsigned long n_runs = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	const char *name = strrchr(argv[0], '/');
	char path[256];
	int left;

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: %s FILE, or %s CORPUS-DIRECTORY MUTATIONS\n", argv[0],
			argv[0]);
		return 2;
	}
	snprintf(path, sizeof(path), "%s.input", name ? name + 1 : argv[0]);
	if (argc == 2)
		read_input(argv[1]);
	else
		read_corpus(argv[1]);
	left = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(n_corpus > 0 && left >= 0);
	printf(
	    "%zu files, then %lu mutations from seed %llu (SW_SEED); %s is the input under way\n",
	    n_corpus, n_runs, (unsigned long long)rng.s, path);
	fflush(stdout);
	for (size_t i = 0; i < n_corpus; i++)
		run(left, sw_buf_view(&corpus[i]));
	for (unsigned long i = 0; i < n_runs; i++) {
		const struct sw_buf *from = &corpus[rng_below(&rng, (uint32_t)n_corpus)];
		size_t n = from->n;

		if (n > 0)
			memcpy(input, from->p, n);
		for (uint32_t k = 1 + rng_below(&rng, 6); k > 0; k--)
			n = mutate(&rng, input, n);
		run(left, sw_view(input, n));
	}
	for (size_t i = 0; i < n_corpus; i++)
		sw_buf_fini(&corpus[i]);
	close(left);
	unlink(path);
	return 0;
}
