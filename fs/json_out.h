/* Values of JSON output that may hold anything: paths and what peers say need not be text. */
#ifndef SW_FS_JSON_OUT_H
#define SW_FS_JSON_OUT_H

#include <jansson.h>

#include "core/buf.h"

/* A string: as it is if it is UTF-8, else escaped as sw_text_put() does. NULL only without memory. */
json_t *sw_json_text(struct sw_view v);
/*
 * The name of a table or row. UTF-8 is as it is. Anything else begins with '/', which no name has,
 * and then has each byte that is not a printable ASCII character, and '%', as %XX: so no two names
 * are told alike, and none is lost.
 */
json_t *sw_json_name(struct sw_view name);
/* n bytes (64 at most) in hexadecimal. */
json_t *sw_json_hex(const uint8_t *p, size_t n);

/* For output that is put together by hand, since values must stay as they were written. */
/* A quoted string, as sw_json_text() has it. */
int sw_json_put_text(struct sw_buf *out, struct sw_view v) SW_MUST_CHECK;
/* A quoted name, as sw_json_name() has it. */
int sw_json_put_name(struct sw_buf *out, struct sw_view name) SW_MUST_CHECK;
/* A JSON value on one line: line ends stand only between its tokens. */
void sw_json_put_value(struct sw_buf *out, struct sw_view value);

#endif
