/*
 * What a query gives, as text.
 *
 *   table  for people: aligned columns, widths by the first rows; long values are cut, control characters shown as escapes
 *   TSV    for the shell: no header; a tab, line end, CR or backslash in a value is \t \n \r \\; NULL is empty
 *   CSV    with a header; NULL is empty
 *   JSON   an object a line; a BLOB is {"base64": ...}; of columns of one name the later ones are called NAME:1 and so on
 *
 * Outside JSON a BLOB is x'HEX'.
 */
#ifndef SW_FS_SQL_OUT_H
#define SW_FS_SQL_OUT_H

#include <stdio.h>

#include "fs/sql.h"

enum sw_sql_form { SW_SQL_TABLE, SW_SQL_TSV, SW_SQL_CSV, SW_SQL_JSON };

struct sw_sql_out;

/* Append a number as JSON has it, as short as it can be read back from; what is infinite becomes 9e999. */
void sw_sql_put_real(struct sw_buf *out, double v);

int sw_sql_out_new(FILE *out, enum sw_sql_form form, struct sw_sql_out **result) SW_MUST_CHECK;
void sw_sql_out_free(struct sw_sql_out *o); /* NULL is fine */
/* Where a query's rows go; SW_ECLOSED once the stream takes no more. Lives as long as o. */
struct sw_sql_sink sw_sql_out_sink(struct sw_sql_out *o);

#endif
