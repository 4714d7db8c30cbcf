#include "fs/lines.h"

#include <stdlib.h>

#define EDITS_MAX 2000 /* the trace takes the square of it */

int sw_lines_split(struct sw_view text, struct sw_lines *out)
{
	size_t n = 0, at = 0;
	struct sw_view *v;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == '\n' || i + 1 == text.n;
	v = calloc(n + 1, sizeof(*v));
	if (!v)
		return SW_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *eol = memchr(text.p + at, '\n', text.n - at);
		size_t end = eol ? (size_t)(eol - text.p) + 1 : text.n;

		v[i] = sw_view(text.p + at, end - at);
		at = end;
	}
	*out = (struct sw_lines){v, n};
	return 0;
}

void sw_lines_fini(struct sw_lines *l)
{
	free(l->v);
	*l = (struct sw_lines){0};
}

/* What is between the lines that both begin and end with. */
struct middle {
	const struct sw_view *a, *b;
	int n, m;
	size_t skipped; /* lines before it */
	size_t *match;	/* of b's */
};

/* One step of the greedy algorithm: how far x gets on diagonal k with d edits. */
static int reach(const struct middle *w, const int *v, int d, int k)
{
	bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
	int x = down ? v[k + 1] : v[k - 1] + 1, y = x - k;

	while (x < w->n && y < w->m && sw_view_eq(w->a[x], w->b[y])) {
		x++;
		y++;
	}
	return x;
}

/* Back from the end, through what each number of edits had reached. */
static void trace_back(const struct middle *w, const int *trace, int edits)
{
	int x = w->n, y = w->m;

	for (int d = edits; d >= 0; d--) {
		const int *v = trace + d * (d + 2) + d + 1; /* rows of 2d + 3, diagonals -d-1 to d+1 */
		int k = x - y, px = 0, py = 0, sx = 0, sy = 0; /* before the edit, and after it */

		if (d > 0) {
			bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);

			px = down ? v[k + 1] : v[k - 1];
			py = px - (down ? k + 1 : k - 1);
			sx = px + !down;
			sy = py + down;
		}
		while (x > sx && y > sy) {
			x--;
			y--;
			w->match[y] = w->skipped + (size_t)x;
		}
		x = px;
		y = py;
	}
}

static int match_middle(const struct middle *w)
{
	int max = w->n + w->m < EDITS_MAX ? w->n + w->m : EDITS_MAX;
	int *trace = malloc(((size_t)max + 1) * ((size_t)max + 3) * sizeof(*trace));
	int *v = calloc(2 * (size_t)max + 5, sizeof(*v)), *mid = v ? v + max + 2 : NULL;
	int d, found = -1;

	for (d = 0; trace && v && found < 0 && d <= max; d++) {
		/* What d - 1 edits had reached, for the way back. */
		memcpy(trace + d * (d + 2), mid - d - 1, (2 * (size_t)d + 3) * sizeof(*v));
		for (int k = -d; found < 0 && k <= d; k += 2) {
			mid[k] = reach(w, mid, d, k);
			if (mid[k] >= w->n && mid[k] - k >= w->m)
				found = d;
		}
	}
	if (found >= 0)
		trace_back(w, trace, found);
	d = trace && v ? 0 : SW_ENOMEM;
	free(trace);
	free(v);
	return d;
}

int sw_lines_match(const struct sw_lines *a, const struct sw_lines *b, size_t *match)
{
	size_t least = a->n < b->n ? a->n : b->n, begin = 0, end = 0;
	struct middle w;

	while (begin < least && sw_view_eq(a->v[begin], b->v[begin])) {
		match[begin] = begin;
		begin++;
	}
	while (end < least - begin && sw_view_eq(a->v[a->n - 1 - end], b->v[b->n - 1 - end])) {
		match[b->n - 1 - end] = a->n - 1 - end;
		end++;
	}
	for (size_t i = begin; i < b->n - end; i++)
		match[i] = SIZE_MAX;
	w = (struct middle){a->v + begin, b->v + begin, (int)(a->n - begin - end), (int)(b->n - begin - end), begin,
			    match + begin};
	return w.n == 0 || w.m == 0 ? 0 : match_middle(&w);
}
