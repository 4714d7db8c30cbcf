/* Fields of CSV (RFC 4180), quoted only where they must be. */
#ifndef SW_FS_CSV_OUT_H
#define SW_FS_CSV_OUT_H

#include "core/buf.h"

/* Append a field; is_alone: it is the only one of its record, which must not be an empty line. */
int sw_csv_put(struct sw_buf *out, struct sw_view field, bool is_alone) SW_MUST_CHECK;

#endif
