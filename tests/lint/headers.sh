#!/usr/bin/env bash
# Every header compiles alone, and no banned function is called.
# usage: headers.sh SOURCE-DIR BUILD-DIR
set -euo pipefail
cd "$1"
failed=0
cflags=$(pkg-config --cflags fuse3)
for header in core/*.h net/*.h fs/*.h; do
	# shellcheck disable=SC2086 # the flags are words
	echo "#include \"$header\"" | cc -std=gnu17 -D_GNU_SOURCE -I. $cflags -fsyntax-only -x c - || {
		echo "$header does not compile alone" >&2
		failed=1
	}
done
if grep -nE '\b(strcpy|strcat|sprintf|strtok|atoi|gets)\(' core/*.c net/*.c fs/*.c; then
	echo "these functions are banned: they know no bounds, or no errors" >&2
	failed=1
fi
exit $failed
