#include "tests/lib/oracle_columns.h"

#include <assert.h>
#include <stdlib.h>

#define DEPTH_MAX   64
#define TEXT_MAX    1048576
#define MEMBERS_MAX 4096
#define NAME_MAX    1024

/* The text, as a grammar: each function eats what it is named after, or says false. */

struct text {
	struct sw_view all;
	size_t at;
};

static int peek(const struct text *t)
{
	return t->at < t->all.n ? t->all.p[t->at] : -1;
}

static bool eat(struct text *t, int c)
{
	if (peek(t) != c)
		return false;
	t->at++;
	return true;
}

static struct sw_view since(const struct text *t, size_t begin)
{
	return sw_view(t->all.p + begin, t->at - begin);
}

static struct sw_view space(struct text *t)
{
	size_t begin = t->at;

	while (peek(t) == ' ' || peek(t) == '\t' || peek(t) == '\n' || peek(t) == '\r')
		t->at++;
	return since(t, begin);
}

static bool digits(struct text *t)
{
	size_t begin = t->at;

	while (peek(t) >= '0' && peek(t) <= '9')
		t->at++;
	return t->at > begin;
}

static bool number(struct text *t)
{
	eat(t, '-');
	if (!eat(t, '0') && !digits(t))
		return false;
	if (eat(t, '.') && !digits(t))
		return false;
	if (!eat(t, 'e') && !eat(t, 'E'))
		return true;
	if (!eat(t, '+'))
		eat(t, '-');
	return digits(t);
}

static bool hex4(struct text *t, uint32_t *out)
{
	*out = 0;
	for (int i = 0; i < 4; i++) {
		int c = peek(t);

		if (c >= '0' && c <= '9')
			c -= '0';
		else if (c >= 'a' && c <= 'f')
			c -= 'a' - 10;
		else if (c >= 'A' && c <= 'F')
			c -= 'A' - 10;
		else
			return false;
		*out = *out * 16 + (uint32_t)c;
		t->at++;
	}
	return true;
}

static void put_utf8(struct sw_buf *out, uint32_t c)
{
	static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};
	int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

	sw_buf_put_u8(out, (uint8_t)(marks[more] | c >> (6 * more)));
	while (more-- > 0)
		sw_buf_put_u8(out, (uint8_t)(0x80 | (c >> (6 * more) & 0x3f)));
}

/* Behind the backslash. */
static bool escape(struct text *t, struct sw_buf *out)
{
	static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	uint32_t c, low;

	for (size_t i = 0; letters[i]; i++) {
		if (eat(t, letters[i])) {
			sw_buf_put_u8(out, (uint8_t)meant[i]);
			return true;
		}
	}
	if (!eat(t, 'u') || !hex4(t, &c) || (c >= 0xdc00 && c <= 0xdfff))
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (!eat(t, '\\') || !eat(t, 'u') || !hex4(t, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	put_utf8(out, c);
	return true;
}

/* One character in several bytes: decoded, it must encode to the same. */
static bool utf8(struct text *t, struct sw_buf *out)
{
	int first = peek(t), more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
	uint32_t c = (uint32_t)first & (0x3fu >> more);
	size_t begin = t->at, was = out->n;

	if (first < 0xc0 || first > 0xf7)
		return false;
	t->at++;
	for (int i = 0; i < more; i++, t->at++) {
		if (peek(t) < 0x80 || peek(t) > 0xbf)
			return false;
		c = c << 6 | ((uint32_t)peek(t) & 0x3f);
	}
	if ((c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
		return false;
	put_utf8(out, c);
	return sw_view_eq(sw_view(out->p + was, out->n - was), since(t, begin));
}

/* With its quotes; *name: decoded. */
static bool string(struct text *t, struct sw_buf *name)
{
	if (!eat(t, '"'))
		return false;
	while (!eat(t, '"')) {
		if (eat(t, '\\')) {
			if (!escape(t, name))
				return false;
		} else if (peek(t) < 0x20) {
			return false;
		} else if (peek(t) < 0x80) {
			sw_buf_put_u8(name, t->all.p[t->at++]);
		} else if (!utf8(t, name)) {
			return false;
		}
	}
	return true;
}

static bool word(struct text *t, const char *w)
{
	while (*w)
		if (!eat(t, *w++))
			return false;
	return true;
}

static bool value(struct text *t, int depth);

static bool list(struct text *t, int depth, char end)
{
	if (depth == DEPTH_MAX)
		return false;
	t->at++;
	space(t);
	if (eat(t, end))
		return true;
	do {
		SW_BUF name = {0};

		space(t);
		if (end == '}') {
			if (!string(t, &name))
				return false;
			space(t);
			if (!eat(t, ':'))
				return false;
			space(t);
		}
		if (!value(t, depth + 1))
			return false;
		space(t);
	} while (eat(t, ','));
	return eat(t, end);
}

static bool value(struct text *t, int depth)
{
	SW_BUF ignored = {0};

	switch (peek(t)) {
	case '{':
		return list(t, depth, '}');
	case '[':
		return list(t, depth, ']');
	case '"':
		return string(t, &ignored);
	case 't':
		return word(t, "true");
	case 'f':
		return word(t, "false");
	case 'n':
		return word(t, "null");
	default:
		return number(t);
	}
}

static bool member(struct text *t, struct oracle_member *m)
{
	size_t begin;

	m->pre = space(t);
	begin = t->at + 1;
	if (!string(t, &m->name) || m->name.n > NAME_MAX)
		return false;
	m->key = sw_view(t->all.p + begin, t->at - 1 - begin);
	begin = t->at;
	space(t);
	if (!eat(t, ':'))
		return false;
	space(t);
	m->mid = since(t, begin);
	begin = t->at;
	if (!value(t, 1))
		return false;
	m->value = since(t, begin);
	m->post = space(t);
	return true;
}

static bool object(struct text *t, struct oracle_members *out)
{
	size_t begin;

	out->lead = space(t);
	if (!eat(t, '{'))
		return false;
	begin = t->at;
	out->space = space(t);
	if (peek(t) == '}') {
		t->at++;
		out->trail = space(t);
		return t->at == t->all.n;
	}
	t->at = begin;
	do {
		struct oracle_member m = {.name = {0}};
		bool good = member(t, &m);

		good =
		    good && !oracle_columns_find(out, sw_buf_view(&m.name)) && out->n < MEMBERS_MAX;
		out->v = realloc(out->v, (out->n + 1) * sizeof(*out->v));
		assert(out->v);
		out->v[out->n++] = m;
		if (!good)
			return false;
	} while (eat(t, ','));
	if (!eat(t, '}'))
		return false;
	out->trail = space(t);
	return t->at == t->all.n;
}

bool oracle_columns_parse(struct sw_view file_name, struct sw_view text, struct oracle_members *out)
{
	struct text t = {.all = text};

	*out = (struct oracle_members){0};
	if (file_name.n < 5 || memcmp(file_name.p + file_name.n - 5, ".json", 5) != 0 ||
	    text.n > TEXT_MAX)
		return false;
	if (object(&t, out))
		return true;
	oracle_columns_fini(out);
	return false;
}

void oracle_columns_fini(struct oracle_members *m)
{
	for (size_t i = 0; i < m->n; i++)
		sw_buf_fini(&m->v[i].name);
	free(m->v);
	*m = (struct oracle_members){0};
}

const struct oracle_member *oracle_columns_find(const struct oracle_members *m, struct sw_view name)
{
	for (size_t i = 0; i < m->n; i++)
		if (sw_view_eq(sw_buf_view(&m->v[i].name), name))
			return &m->v[i];
	return NULL;
}

struct sw_hash oracle_columns_hash(const struct oracle_members *m, struct sw_view name)
{
	const struct oracle_member *found = oracle_columns_find(m, name);
	struct sw_hash h = sw_hash_zero;

	if (found)
		sw_hash_compute(SW_DOMAIN_COLUMN, found->value, &h);
	return h;
}

/* Merging, by the numbers of the rules */

static bool is_among(const struct sw_view *names, size_t n, struct sw_view name)
{
	for (size_t i = 0; i < n; i++)
		if (sw_view_eq(names[i], name))
			return true;
	return false;
}

struct choice {
	const struct oracle_member *m;
	bool is_kept;
	struct sw_view value;
};

/* Rules 1 and 2; of the added ones, mid is the model's. */
static size_t choose(const struct oracle_members *mine, const struct oracle_members *met,
		     const struct sw_view *changed, size_t n_changed, struct choice *out)
{
	size_t n = 0;

	for (size_t i = 0; i < mine->n; i++) {
		struct sw_view name = sw_buf_view(&mine->v[i].name);
		const struct oracle_member *other = oracle_columns_find(met, name);

		if (is_among(changed, n_changed, name))
			out[n++] = (struct choice){&mine->v[i], true, mine->v[i].value};
		else if (other)
			out[n++] = (struct choice){&mine->v[i], true, other->value};
	}
	for (size_t i = 0; i < met->n; i++) {
		struct sw_view name = sw_buf_view(&met->v[i].name);

		if (!oracle_columns_find(mine, name) && !is_among(changed, n_changed, name))
			out[n++] = (struct choice){&met->v[i], false, met->v[i].value};
	}
	return n;
}

static struct sw_view after_colon(struct sw_view mid)
{
	const uint8_t *colon = memchr(mid.p, ':', mid.n);

	assert(colon);
	return sw_view(colon + 1, mid.n - (size_t)(colon + 1 - mid.p));
}

/* Rule 4. */
static struct sw_view before(const struct oracle_members *model, const struct choice *c,
			     bool is_first)
{
	const struct oracle_member *last = &model->v[model->n - 1];

	if (is_first)
		return model->v[0].pre;
	if (c->is_kept)
		return c->m->pre;
	return model->n == 1 && last->pre.n == 0 ? after_colon(last->mid) : last->pre;
}

/* Rule 5. */
static struct sw_view after(const struct oracle_members *mine, const struct oracle_members *model,
			    const struct choice *c, bool is_last)
{
	if (is_last)
		return model->v[model->n - 1].post;
	if (c->is_kept && c->m != &mine->v[mine->n - 1])
		return c->m->post;
	return model->n >= 2 ? model->v[model->n - 2].post : sw_view("", 0);
}

bool oracle_columns_merge(const struct oracle_members *mine, const struct oracle_members *met,
			  const struct sw_view *changed, size_t n_changed, struct sw_buf *out)
{
	const struct oracle_members *model = mine->n > 0 ? mine : met; /* rule 3 */
	struct choice *v = calloc(mine->n + met->n + 1, sizeof(*v));
	size_t n;

	assert(v);
	n = choose(mine, met, changed, n_changed, v);
	sw_buf_put_view(out, mine->lead);
	sw_buf_put_u8(out, '{');
	if (n == 0 && mine->n == 0) /* rule 6 */
		sw_buf_put_view(out, mine->space);
	for (size_t i = 0; i < n; i++) {
		sw_buf_put_view(out, before(model, &v[i], i == 0));
		sw_buf_put_u8(out, '"');
		sw_buf_put_view(out, v[i].m->key);
		sw_buf_put_u8(out, '"');
		sw_buf_put_view(out, v[i].is_kept ? v[i].m->mid : model->v[model->n - 1].mid);
		sw_buf_put_view(out, v[i].value);
		sw_buf_put_view(out, after(mine, model, &v[i], i + 1 == n));
		if (i + 1 < n)
			sw_buf_put_u8(out, ',');
	}
	sw_buf_put_u8(out, '}');
	sw_buf_put_view(out, mine->trail);
	free(v);
	return out->n <= TEXT_MAX && n <= MEMBERS_MAX; /* rule 7 */
}
