#!/usr/bin/env bash
# Shell passes shellcheck.
# usage: scripts.sh SOURCE-DIR BUILD-DIR
set -euo pipefail
cd "$1"
command -v shellcheck >/dev/null || { echo "ok 1 # skip shellcheck is not installed; contrib/setup --tests installs it"; exit 77; }
mapfile -t scripts < <(git ls-files 2>/dev/null | while read -r file; do
	[ -f "$file" ] && { [[ $file == *.sh || $file == *.bash || $file == *.bats ]] ||
		head -c 32 "$file" | grep -qaE '^#!.*(bash|/sh)'; } && echo "$file"
done)
[ ${#scripts[@]} -gt 0 ] || { echo "ok 1 # skip not a git checkout: no list of scripts"; exit 77; }
# SC2016: text for another shell is quoted on purpose. SC2154: bats sets status, output and lines.
shellcheck -x -S warning -e SC2016,SC2154,SC1091 "${scripts[@]}"
