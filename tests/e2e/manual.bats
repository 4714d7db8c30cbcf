#!/usr/bin/env bats
# The manual pages and completions, of which most follow from the table of --help: they are well formed, complete, and what
# they show works.

load mounts

made=${SWARMFS_BUILD:?names the build directory}/contrib
man=$BATS_TEST_DIRNAME/../../contrib/man

commands() { "$sf" --help | sed -n 's/^  \([a-z]*\) .*/\1/p'; }
options_of() { "$sf" "$1" --help | sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p'; }

@test "the pages are well formed" {
	command -v man >/dev/null || skip "man is not installed"
	local page
	for page in "$made/swarmfs.1" "$man/swarmfs-format.5" "$man/swarmfs.7"; do
		LC_ALL=C.UTF-8 MANROFFSEQ='' man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null | tee "$DIR/said"
		[ ! -s "$DIR/said" ]
		command -v mandoc >/dev/null || continue
		# Which pages are installed here says nothing about this one.
		mandoc -Tlint "$page" 2>/dev/null | grep -v 'referenced manual not found' | tee "$DIR/said"
		[ ! -s "$DIR/said" ]
	done
}

@test "swarmfs(1) has every command and option" {
	local c o
	for c in $(commands); do
		sed -n "/^\.Ss $c\$/,/^\.S[sh]/p" "$made/swarmfs.1" >"$DIR/section"
		[ -s "$DIR/section" ] || { echo "no section for $c"; false; }
		for o in $(options_of "$c"); do
			grep -q "^\.It .*Fl -${o#--}\( \|\$\)" "$DIR/section" || { echo "$c has no $o"; false; }
		done
	done
}

@test "swarmfs-format(5) has every file of a store" {
	require_fuse
	mount_a --settle 60000
	mkdir "$A/t"
	echo 'no schema' >"$A/t/.schema"
	head -c 3000000 /dev/zero >"$A/t/large"
	mkdir "$A/.txn/x"
	head -c 3000000 /dev/zero >"$A/.txn/x/t/large"
	local path n=0
	while read -r path; do
		grep -q "^\.It Pa .*$path\>" "$man/swarmfs-format.5" || { echo "nothing about $path"; false; }
		n=$((n + 1))
	done < <(find "$DIR/store-A" -mindepth 1 -maxdepth 1 -printf '%f\n' | sed 's/^copy-[0-9]*/copy-NUMBER/')
	[ "$n" -ge 12 ]
	[ -d "$DIR/store-A/journal.large" ] && [ -d "$DIR/store-A/refused" ]
}

@test "the examples of the pages do what they show, typed by hand or pasted at once" {
	require_fuse
	command -v man >/dev/null || skip "man is not installed"
	local page how settle
	mkdir "$DIR/bin"
	# Of what is pasted nothing is committed before a line says so, however long it takes to come there.
	for how in typed pasted; do
		settle=1
		[ $how = typed ] || settle=60000
		printf '#!/bin/sh\n[ "$1" != mount ] || set -- "$@" --settle %s\nexec "%s" "$@"\n' $settle "$sf" >"$DIR/bin/swarmfs"
		chmod +x "$DIR/bin/swarmfs"
		for page in "$made/swarmfs.1" "$man/swarmfs-format.5" "$man/swarmfs.7"; do
			mkdir -p "$DIR/$how/$(basename "$page")"
			cd "$DIR/$how/$(basename "$page")"
			PATH=$DIR/bin:$PATH python3 "$BATS_TEST_DIRNAME/examples.py" "$page" $how 3>&-
		done
	done
	cd /
}

# complete_bash WORD...: what bash offers for the last of these words, one a line.
complete_bash() {
	bash --norc -c '
		source "$0"
		[ "$(complete -p swarmfs)" = "complete -F _swarmfs swarmfs" ]
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_swarmfs
		printf "%s\n" "${COMPREPLY[@]}"' "$made/swarmfs.bash" "$@" | sort
}

@test "bash completes commands, options, values and files" {
	local c
	[ "$(complete_bash swarmfs '')" = "$({ commands; printf '%s\n' help --help --version; } | sort)" ]
	[ "$(complete_bash swarmfs mo)" = mount ]
	[ "$(complete_bash swarmfs help cl)" = clone ]
	for c in $(commands); do
		[ "$(complete_bash swarmfs "$c" --)" = "$(options_of "$c" | sort)" ]
	done
	[ "$(complete_bash swarmfs init --conflict d)" = drop ]
	[ "$(complete_bash swarmfs mount --log-level '')" = $'debug\nerror\ninfo\nwarning' ]
	[ "$(complete_bash swarmfs mount x -o ro,show_)" = ro,show_control ]
	[ "$(complete_bash swarmfs mount x -o ro,no-)" = ro,no-peers ]
	mkdir "$DIR/a b"
	touch "$DIR/af"
	cd "$DIR"
	[ "$(complete_bash swarmfs mount -s a)" = "a b" ]
	[ "$(complete_bash swarmfs prove --check a)" = $'a b\naf' ]
	[ "$(complete_bash swarmfs import x a)" = $'a b\naf' ]
	[ "$(complete_bash swarmfs conflicts di)" = discard ]
	[ "$(complete_bash swarmfs conflicts discard di)" = "" ]
	[ "$(complete_bash swarmfs mount -l a)" = "" ]
}

@test "zsh completes commands, options and values" {
	command -v zsh >/dev/null || skip "zsh is not installed"
	zsh -n "$made/_swarmfs"
	mkdir "$DIR/functions"
	cp "$made/_swarmfs" "$DIR/functions"
	# A terminal in which a line is typed and completed, as a person would; then what stands in it is printed.
	cat >"$DIR/type" <<-'END'
		zmodload zsh/zpty
		zpty shell "HOME=$1 zsh -f -i"
		zpty -w shell "PS1= PS2= fpath=($1/functions \$fpath); autoload -U compinit; compinit -u -d $1/dump
			print-buffer() { print -r -- \"<\$BUFFER>\"; BUFFER=; zle .accept-line }; zle -N print-buffer; bindkey '^X' print-buffer
			setopt no_beep; print READY"
		zpty -r -m shell said '*
		READY*'
		zpty -w -n shell "$2"$'\t\x18'
		zpty -r -m shell said '*<*>*'
		print -r -- "${${said##*<}%%>*}"
		zpty -d shell
	END
	completes() {
		local got
		got=$(timeout 30 zsh -f "$DIR/type" "$DIR" "$1" 3>&-)
		echo "'$1' -> '$got'"
		[ "$got" = "$2" ]
	}
	completes "swarmfs moun" "swarmfs mount "
	completes "swarmfs mount --adv" "swarmfs mount --advertise "
	completes "swarmfs init --conflict d" "swarmfs init --conflict drop "
	completes "swarmfs serve --log-level war" "swarmfs serve --log-level warning "
	completes "swarmfs mount -o show_c" "swarmfs mount -o show_control,"
	completes "swarmfs conflicts rea" "swarmfs conflicts reapply "
	completes "swarmfs help verif" "swarmfs help verify "
}
