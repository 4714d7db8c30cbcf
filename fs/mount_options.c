#include "fs/mount_options.h"

#include <string.h>
#include <unistd.h>

#include "fs/text.h"

enum what {
	KERNEL,  /* libfuse and the kernel do it */
	NOTHING, /* for mount(8) and systemd, or always so */
	SHOW_CONTROL,
	OWNER_UID,
	OWNER_GID,
	IMPOSSIBLE, /* known, and refused with `help` as the reason */
};

static const struct {
	const char *name; /* ends with '=' if it takes a value, with '*' if anything may follow */
	enum what what;
	const char *help;
} known[] = {
    {"ro", KERNEL, "nothing can be written through the mount; what peers write arrives"},
    {"rw", KERNEL, "the opposite; the default"},
    {"allow_other", KERNEL, "other users may use the mount, as far as permission bits let them"},
    {"allow_root", KERNEL, "root may use the mount"},
    {"uid=", OWNER_UID, "the number of the user who owns all files; default: who mounts"},
    {"gid=", OWNER_GID, "the number of the group that owns all files"},
    {"show_control", SHOW_CONTROL,
     "list .commits, .swarm and their like in the root, where they are hidden"},
    {"nosuid", KERNEL, "as in mount(8), and so are:"},
    {"suid", KERNEL, NULL},
    {"nodev", KERNEL, NULL},
    {"dev", KERNEL, NULL},
    {"noexec", KERNEL, NULL},
    {"exec", KERNEL, NULL},
    {"sync", KERNEL, NULL},
    {"async", KERNEL, NULL},
    {"dirsync", KERNEL, NULL},
    {"noatime", KERNEL, NULL},
    {"nodiratime", KERNEL, NULL},
    {"default_permissions", NOTHING, "always so"},
    {"atime", NOTHING, "for other programs, or of no effect, as are:"},
    {"diratime", NOTHING, NULL},
    {"relatime", NOTHING, NULL},
    {"strictatime", NOTHING, NULL},
    {"lazytime", NOTHING, NULL},
    {"defaults", NOTHING, NULL},
    {"auto", NOTHING, NULL},
    {"noauto", NOTHING, NULL},
    {"user", NOTHING, NULL},
    {"users", NOTHING, NULL},
    {"nouser", NOTHING, NULL},
    {"owner", NOTHING, NULL},
    {"group", NOTHING, NULL},
    {"nofail", NOTHING, NULL},
    {"_netdev", NOTHING, NULL},
    {"x-*", NOTHING, NULL},
    {"X-*", NOTHING, NULL},
    {"comment=", NOTHING, NULL},
    {"remount", IMPOSSIBLE, "unmount it, and mount it with the other options"},
    {"auto_unmount", IMPOSSIBLE,
     "leave it out: what a crash leaves is unmounted by the next mount"},
    {"foreground", IMPOSSIBLE,
     "give -f to the command: mount(8) would wait for the end of the mount"},
    {"fsname=", IMPOSSIBLE, "the source of a mount is its store"},
    {"subtype=", IMPOSSIBLE, "the type of a mount is fuse.swarmfs"},
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

int sw_mount_option_at(size_t i, const char **name, const char **help)
{
	size_t n = 0;

	while (n < N_KNOWN && known[n].what != IMPOSSIBLE)
		n++;
	if (i >= n)
		return 0;
	*name = known[i].name;
	*help = known[i].help;
	return 1;
}

void sw_mount_line_fini(struct sw_mount_line *line)
{
	sw_buf_fini(&line->text);
	sw_buf_fini(&line->fuse);
}

static bool is_known_as(const char *name, const char *word)
{
	size_t n = strlen(name);

	if (name[n - 1] == '*')
		return strncmp(name, word, n - 1) == 0;
	return name[n - 1] == '=' ? strncmp(name, word, n) == 0 : strcmp(name, word) == 0;
}

bool sw_mount_option_may(const struct sw_option *o)
{
	return strcmp(o->name, "options") != 0 && strcmp(o->name, "foreground") != 0;
}

static int fail_unknown(const struct sw_cmd *cmd, const char *word)
{
	const char *names[N_KNOWN + SW_ARGS_MAX], *guess;
	char name[64];
	size_t n = 0;

	for (size_t i = 0; i < N_KNOWN; i++)
		if (known[i].what != IMPOSSIBLE)
			names[n++] = known[i].name;
	for (const struct sw_option *o = cmd->options; o->name; o++)
		if (sw_mount_option_may(o))
			names[n++] = o->name;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	guess = sw_cmd_suggest(name, names, n);
	if (guess)
		return sw_fail(SW_EINVAL, "unknown mount option '%s'; did you mean '%s'?", word,
			       guess);
	return sw_fail(SW_EINVAL, "unknown mount option '%s'; the man page lists those there are",
		       word);
}

/* The option of the command that the word names, or NULL. */
static const struct sw_option *ours_named(const struct sw_cmd *cmd, const char *word)
{
	size_t n = strcspn(word, "=");
	const struct sw_option *o = cmd->options;

	while (o->name &&
	       (strlen(o->name) != n || memcmp(o->name, word, n) != 0 || !sw_mount_option_may(o)))
		o++;
	return o->name ? o : NULL;
}

/* An option of the command: 1, or 0 if it has none of that name. */
static int take_ours(struct sw_mount_line *line, const char *word)
{
	const struct sw_option *o = ours_named(line->args.cmd, word);
	const char *equals = strchr(word, '=');

	if (!o)
		return 0;
	if (o->value && !equals)
		return sw_fail(SW_EINVAL, "the mount option '%s' needs a value: %s=%s", o->name,
			       o->name, o->value);
	if (!o->value && equals)
		return sw_fail(SW_EINVAL, "the mount option '%s' takes no value", o->name);
	if (line->args.n_options == SW_ARGS_MAX)
		return sw_fail(SW_EINVAL, "too many options");
	line->args.options[line->args.n_options].option = o;
	line->args.options[line->args.n_options++].value = equals ? equals + 1 : NULL;
	return 1;
}

static int take_id(const char *word, uid_t *out)
{
	const char *equals = strchr(word, '=');
	uint64_t id;

	if (sw_text_parse_number(equals + 1, UINT32_MAX - 1, &id) < 0)
		return sw_fail(SW_EINVAL,
			       "the mount option %.*s is the number of a user or group, not '%s'",
			       (int)(equals - word), word, equals + 1);
	*out = (uid_t)id;
	return 0;
}

static int take_word(struct sw_mount_line *line, char *word)
{
	size_t i = 0;
	int rc = take_ours(line, word);

	if (rc != 0)
		return rc;
	while (i < N_KNOWN && !is_known_as(known[i].name, word))
		i++;
	if (i == N_KNOWN)
		return fail_unknown(line->args.cmd, word);
	switch (known[i].what) {
	case KERNEL:
		sw_buf_printf(&line->fuse, "%s%s", line->fuse.n ? "," : "", word);
		return line->fuse.rc;
	case SHOW_CONTROL:
		line->show_control = true;
		return 0;
	case OWNER_UID:
		return take_id(word, &line->uid);
	case OWNER_GID:
		return take_id(word, &line->gid);
	case IMPOSSIBLE:
		return sw_fail(SW_EINVAL, "the mount option '%s' is not for swarmfs; %s", word,
			       known[i].help);
	case NOTHING:
		break;
	}
	return 0;
}

/* Every -o in one text, the words separated by NULs: they do not move any more. */
static int gather(const struct sw_args *args, struct sw_buf *text)
{
	for (size_t i = 0; i < args->n_options; i++)
		if (strcmp(args->options[i].option->name, "options") == 0)
			sw_buf_printf(text, "%s,", args->options[i].value);
	for (size_t i = 0; i < text->n; i++)
		if (text->p[i] == ',')
			text->p[i] = '\0';
	return text->rc;
}

int sw_mount_line_parse(const struct sw_args *args, struct sw_mount_line *out)
{
	struct sw_buf *text = &out->text;
	int rc;

	*out = (struct sw_mount_line){.args = *args, .uid = getuid(), .gid = getgid()};
	rc = gather(args, text);
	for (size_t at = 0, n; rc >= 0 && at < text->n; at += n + 1) {
		n = strlen((char *)text->p + at);
		if (n > 0)
			rc = take_word(out, (char *)text->p + at);
	}
	sw_buf_put_u8(&out->fuse, 0);
	if (rc >= 0)
		rc = out->fuse.rc;
	if (rc >= 0)
		return 0;
	sw_mount_line_fini(out);
	return rc;
}

bool sw_mount_is_helper_call(int argc, char **argv)
{
	return argc == 5 && strcmp(argv[3], "-o") == 0 && argv[2][0] == '/' &&
	       (strchr(argv[1], '/') || strcmp(argv[1], "none") == 0);
}

int sw_mount_helper_words(char **argv, char **out)
{
	static char mount[] = "mount", store[] = "--store";
	int n = 0;

	out[n++] = mount;
	if (strcmp(argv[1], "none") != 0) {
		out[n++] = store;
		out[n++] = argv[1];
	}
	for (int i = 2; i < 5; i++)
		out[n++] = argv[i];
	return n;
}
