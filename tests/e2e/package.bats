#!/usr/bin/env bats
# The Debian package: it is made of this build, has what it should, and works where it is installed.

load mounts

require_package_build() {
	grep -q '^SWARMFS_SANITIZE:STRING=$' "${SWARMFS_BUILD:?}/CMakeCache.txt" || skip "a build with sanitizers is no package"
	[ -e "$SWARMFS_BUILD/CPackConfig.cmake" ] || skip "this build makes no package"
	command -v dpkg-shlibdeps >/dev/null || skip "dpkg-dev is not installed"
}

make_package() {
	require_package_build
	(cd "$DIR" && cpack -G DEB --config "$SWARMFS_BUILD/CPackConfig.cmake" -B "$DIR/packing") >"$DIR/said" || { cat "$DIR/said"; false; }
	DEB=$(echo "$DIR"/packing/*.deb)
	[ -e "$DEB" ]
}

@test "the package: what it needs, what it has, and nothing for lintian" {
	make_package
	local depends file version
	depends=$(dpkg-deb -f "$DEB" Depends)
	echo "$depends"
	for file in fuse3 libc6 libfuse3-3 liblmdb0 libnng1 libsodium23 libzstd1 libjansson4; do
		[[ ", $depends," =~ ", $file"[\ ,] ]]
	done
	version=$(dpkg-deb -f "$DEB" Version)
	[[ $("$sf" version) == "swarmfs $version "* ]]
	dpkg-deb -x "$DEB" "$DIR/x"
	zcat "$DIR/x/usr/share/doc/swarmfs/changelog.gz" >"$DIR/changelog"
	[ "$(dpkg-parsechangelog -l "$DIR/changelog" -S Version)" = "$version" ]
	for file in bin/swarmfs lib/systemd/system/swarmfs@.service lib/systemd/system/swarmfs-peer@.service \
		share/man/man1/swarmfs.1.gz share/man/man5/swarmfs-format.5.gz share/man/man7/swarmfs.7.gz \
		share/bash-completion/completions/swarmfs share/zsh/vendor-completions/_swarmfs \
		share/doc/swarmfs/copyright share/doc/swarmfs/FORMAT.md; do
		[ -s "$DIR/x/usr/$file" ]
	done
	[ "$(find "$DIR/x" -type f ! -perm 644 ! -perm 755)" = "" ]
	# By its path it is the program.
	"$DIR/x/usr/bin/swarmfs" init "$DIR/s"
	command -v lintian >/dev/null || return 0
	lintian --allow-root --fail-on error,warning "$DEB"
}

@test "installed in a copy of this system by dpkg, it mounts through mount(8), and is removed" {
	require_fuse
	[ "$(id -u)" = 0 ] || skip "only root installs packages"
	make_package
	mkdir "$DIR/over" "$DIR/mnt"
	cat >"$DIR/inside" <<-'END'
		set -eux
		dpkg -i /swarmfs.deb
		dpkg --verify swarmfs
		dpkg -s swarmfs | grep -x "Status: install ok installed"
		[ "$(command -v swarmfs)" = /usr/bin/swarmfs ]
		mkdir /mnt/db
		echo "none /mnt/db fuse.swarmfs listen=tcp://127.0.0.1:0,noauto 0 0" >>/etc/fstab
		mount /mnt/db
		mkdir /mnt/db/t
		echo 1 >/mnt/db/t/r
		swarmfs commit /mnt/db -m "from a package"
		swarmfs log /var/lib/swarmfs/mnt-db | grep "from a package"
		swarmfs umount /mnt/db
		[ "$(swarmfs show /var/lib/swarmfs/mnt-db HEAD t/r)" = 1 ]
		systemd-analyze verify --man=no swarmfs@mnt-db.service swarmfs-peer@db.service 2>&1 | tee /said || true
		if grep swarmfs /said; then exit 1; fi
		dpkg -r swarmfs
		if [ -e /usr/bin/swarmfs ]; then exit 1; fi
		echo "all is well"
	END
	# The copy is a layer in memory over this system, in a mount namespace that ends with the shell in it.
	cat >"$DIR/outside" <<-'END'
		set -eu
		mount -t tmpfs none "$DIR/over"
		mkdir "$DIR/over/upper" "$DIR/over/work" "$DIR/over/root"
		mount -t overlay -o "lowerdir=/,upperdir=$DIR/over/upper,workdir=$DIR/over/work" overlay "$DIR/over/root" || exit 77
		mount --rbind /dev "$DIR/over/root/dev"
		mount --rbind /proc "$DIR/over/root/proc"
		mount -t tmpfs none "$DIR/over/root/mnt"
		cp "$1" "$DIR/over/root/swarmfs.deb"
		cp "$DIR/inside" "$DIR/over/root/inside"
		chroot "$DIR/over/root" bash /inside
	END
	export DIR
	run unshare --mount bash "$DIR/outside" "$DEB" 3>&-
	echo "$output"
	[ "$status" != 77 ] || skip "no overlay file system here"
	[ "$status" = 0 ]
	[[ $output == *"all is well" ]]
}
