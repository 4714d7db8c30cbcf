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

static void escape_name(struct sw_buf *out, struct sw_view name)
{
	sw_buf_put_u8(out, '/');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] > 0x20 && name.p[i] < 0x7f && name.p[i] != '%')
			sw_buf_put_u8(out, name.p[i]);
		else
			sw_buf_printf(out, "%%%02X", name.p[i]);
	}
}

json_t *sw_json_name(struct sw_view name)
{
	SW_BUF escaped = {0};

	if (sw_json_is_utf8(name))
		return sw_json_text(name);
	escape_name(&escaped, name);
	return escaped.rc < 0 ? NULL : sw_json_text(sw_buf_view(&escaped));
}

json_t *sw_json_hex(const uint8_t *p, size_t n)
{
	char hex[2 * SW_SIG_SIZE + 1];

	sw_hex(p, n, hex);
	return json_string(hex);
}

int sw_json_put_text(struct sw_buf *out, struct sw_view v)
{
	SW_BUF escaped = {0};

	if (sw_json_is_utf8(v))
		return sw_json_put_string(out, v);
	sw_text_put(&escaped, v, SIZE_MAX);
	return escaped.rc < 0 ? escaped.rc : sw_json_put_string(out, sw_buf_view(&escaped));
}

int sw_json_put_name(struct sw_buf *out, struct sw_view name)
{
	SW_BUF escaped = {0};

	if (sw_json_is_utf8(name))
		return sw_json_put_string(out, name);
	escape_name(&escaped, name);
	return escaped.rc < 0 ? escaped.rc : sw_json_put_string(out, sw_buf_view(&escaped));
}

void sw_json_put_value(struct sw_buf *out, struct sw_view value)
{
	for (size_t i = 0; i < value.n; i++)
		sw_buf_put_u8(out, value.p[i] < 0x20 ? ' ' : value.p[i]);
}
