#include "fs/json_out.h"

#include "core/json.h"
#include "core/sign.h"
#include "fs/text.h"

json_t *sw_json_text(struct sw_view v)
{
	SW_BUF b = {0};

	if (v.n == 0)
		return json_string("");
	if (sw_json_is_utf8(v))
		return json_stringn((const char *)v.p, v.n);
	sw_text_put(&b, v, SIZE_MAX);
	return b.rc < 0 ? NULL : json_stringn((const char *)b.p, b.n);
}

json_t *sw_json_hex(const uint8_t *p, size_t n)
{
	char hex[2 * SW_SIG_SIZE + 1];

	sw_hex(p, n, hex);
	return json_string(hex);
}
