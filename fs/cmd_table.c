#include "fs/cmd.h"

#include <string.h>

const struct sw_cmd *const sw_cmds[] = {
    &sw_cmd_mount,  &sw_cmd_umount, &sw_cmd_init,   &sw_cmd_clone,  &sw_cmd_serve,   &sw_cmd_invite, &sw_cmd_join,   &sw_cmd_approve, &sw_cmd_members, &sw_cmd_revoke, &sw_cmd_floor,
    &sw_cmd_status, &sw_cmd_peers,  &sw_cmd_log,    &sw_cmd_show,   &sw_cmd_diff, &sw_cmd_blame, &sw_cmd_watch,    &sw_cmd_commit,
    &sw_cmd_txn,    &sw_cmd_restore, &sw_cmd_tag,
    &sw_cmd_conflicts, &sw_cmd_import, &sw_cmd_export, &sw_cmd_sql, &sw_cmd_prove, &sw_cmd_verify, &sw_cmd_gc, &sw_cmd_version, NULL,
};

const struct sw_cmd *sw_cmd_find(const char *name)
{
	for (size_t i = 0; sw_cmds[i]; i++)
		if (strcmp(sw_cmds[i]->name, name) == 0)
			return sw_cmds[i];
	return NULL;
}
