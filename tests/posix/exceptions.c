/* What the mount answers otherwise than ext4. fs/SEMANTICS.md says the same in words. */
#include "tests/posix/posix.h"

const struct posix_exception posix_exceptions[] = {
    {"what_two_levels_do_not_have", "mkdirat(d, \"t/x\"", "EPERM", "tables hold rows"},
    {"what_two_levels_do_not_have", "symlinkat(", "EPERM", "there are no links"},
    {"what_two_levels_do_not_have", "linkat(", "EPERM", "there are no links"},
    {"what_two_levels_do_not_have", "mknodat(", "EPERM",
     "there are no special files; open() makes rows"},
    {"what_two_levels_do_not_have", "close(openat(d, \"f\"", "EBADF", "rows live in tables"},
    {"what_two_levels_do_not_have", "renameat(d, \"t/r\", d, \"r\")", "EPERM",
     "rows live in tables"},
    {"what_two_levels_do_not_have", "renameat(d, \"u\", d, \"t/u\")", "EPERM", "tables hold rows"},
    {"what_two_levels_do_not_have", "close(openat(d, \"t\", O_TMPFILE", "EBADF",
     "a row is made under a name"},
    {"rename_exchanges", "renameat2(d, \"t\", d, \"u/a\"", "EPERM", "tables hold rows"},
    {"space_in_advance", "fallocate(", "EOPNOTSUPP", "nothing is allocated before it is committed"},
    {"space_in_advance", "fd = ", NULL, "follows from that"},
    {"space_in_advance", "t/r = ", NULL, "follows from that"},
    {"a_rename_keeps_the_number", "the number", "changed", "a number is a hash of table and name"},
    {"mode_bits_that_are_not_stored", "t/r", "100755",
     "a row from elsewhere must not run with other rights"},
    {"mode_bits_that_are_not_stored", "t", "40777", "the same"},
    {"the_time_of_access", "atime", NULL,
     "times of access are not stored: the time of change is shown"},
    {"attributes_of_other_kinds", "", "EOPNOTSUPP", "there are no extended attributes"},
    {0},
};
