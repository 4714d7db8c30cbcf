#!/usr/bin/env bash
# The layers stay true: who may include what, and what the libraries may refer to.
# usage: layers.sh SOURCE-DIR BUILD-DIR
set -euo pipefail
cd "$1"
build=$2
failed=0

complain() {
	echo "$1" >&2
	failed=1
}

# only_in HEADER-PATTERN FILES-PATTERN: an include that other files must not have.
only_in() {
	local found
	found=$(grep -lE "^#include <($1)" -r core net fs --include='*.[ch]' | grep -vE "^($2)$" || true)
	[ -z "$found" ] || complain "<$1> is included outside $2: $found"
}

only_in 'lmdb\.h' 'core/store_lmdb\.c'
only_in 'nng/' 'net/transport_nng\.c'
only_in 'fuse' 'fs/.*'
only_in 'sodium\.h' 'core/(sign|hash|keyfile)\.c|net/(noise|session|ticket)\.[ch]|fs/env_system\.c'
only_in 'jansson\.h|csv\.h' 'fs/.*'
only_in 'sys/socket\.h|netinet/|arpa/' 'fs/.*|net/transport_(nng|address)\.c'
only_in 'zstd\.h' 'core/.*|net/.*'
only_in 'sqlite3\.h' 'core/schema(_internal\.h|_work\.c|\.c)|fs/sql(_internal\.h|_table\.c|\.c)'

# core uses neither of the others, net does not use fs.
found=$(grep -lE '^#include "(net|fs)/' -r core --include='*.[ch]' || true)
[ -z "$found" ] || complain "core includes net or fs: $found"
found=$(grep -lE '^#include "fs/' -r net --include='*.[ch]' || true)
[ -z "$found" ] || complain "net includes fs: $found"

# Sanitizers bring symbols of their own, so the libraries are looked at in plain builds only.
if grep -q '^SWARMFS_SANITIZE:STRING=$' "$build/CMakeCache.txt"; then
	undefined=$(nm -u "$build/libsw_core.a" | awk '{print $2}' | sort -u)
	for forbidden in 'fuse_.*' 'nng_.*' socket connect accept clock_gettime gettimeofday time \
		getrandom random rand pthread_create fork 'randombytes.*'; do
		found=$(grep -xE "$forbidden" <<<"$undefined" || true)
		[ -z "$found" ] || complain "core refers to $found"
	done
	undefined=$(nm -u "$build/libsw_net.a" | awk '{print $2}' | sort -u)
	found=$(grep -xE 'fuse_.*|mdb_.*' <<<"$undefined" || true)
	[ -z "$found" ] || complain "net refers to $found"
fi
exit $failed
