#include "fs/mountinfo.h"

#include <stdio.h>
#include <stdlib.h>

/* The kernel writes space, tab, newline, '\' and '#' as \ooo. */
static void decode(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* id parent major:minor root POINT options [optional...] - TYPE SOURCE super-options */
bool sw_mountinfo_parse(char *line, struct sw_mount_entry *out)
{
	char *save = NULL, *field;
	int i = 0;

	*out = (struct sw_mount_entry){0};
	for (field = strtok_r(line, " \n", &save); field && strcmp(field, "-") != 0;
	     field = strtok_r(NULL, " \n", &save))
		if (i++ == 4)
			out->point = field;
	if (!field || i < 6)
		return false;
	out->type = strtok_r(NULL, " \n", &save);
	out->source = strtok_r(NULL, " \n", &save);
	if (!out->type || !out->source)
		return false;
	decode(out->point);
	decode(out->source);
	return true;
}

int sw_mountinfo_walk(sw_mount_fn fn, void *arg)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	int rc = 0;

	if (!f)
		return sw_fail_errno("cannot read /proc/self/mountinfo");
	while (rc == 0 && getline(&line, &cap, f) > 0) {
		struct sw_mount_entry m;

		if (sw_mountinfo_parse(line, &m))
			rc = fn(arg, &m);
	}
	free(line);
	fclose(f);
	return rc;
}
