#include "fs/csv_out.h"

#include <csv.h>

static bool needs_quotes(struct sw_view field, bool is_alone)
{
	/* Import takes an empty line for none. */
	if (field.n == 0)
		return is_alone;
	for (size_t i = 0; i < field.n; i++)
		if (memchr(",\"\r\n", field.p[i], 4))
			return true;
	/* A byte order mark at the beginning would be taken off. */
	return field.p[0] == 0xef;
}

int sw_csv_put(struct sw_buf *out, struct sw_view field, bool is_alone)
{
	size_t room = 2 * field.n + 2;
	uint8_t *to;

	if (!needs_quotes(field, is_alone)) {
		sw_buf_put_view(out, field);
		return out->rc;
	}
	to = sw_buf_reserve(out, room);
	if (!to)
		return SW_ENOMEM;
	out->n += csv_write(to, room, field.p, field.n);
	return 0;
}
