/* What the files of the control socket share. */
#ifndef SW_FS_CONTROL_INTERNAL_H
#define SW_FS_CONTROL_INTERNAL_H

#include "fs/control.h"
#include "fs/frame.h"

/* The listening socket in dir, readable and writable by its owner alone. */
int sw_control_listen(const char *dir, int *out) SW_MUST_CHECK;
void sw_control_remove(const char *dir);

/* ctx->read_rows of a command that runs for a client; rows_arg is the connection's descriptor. */
int sw_control_read_rows(struct sw_ctx *ctx, const struct sw_import_sink *sink);

#endif
