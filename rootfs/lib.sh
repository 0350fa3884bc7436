# shellcheck shell=bash
# Helpers shared by the scripts that make guest images: messages, the log, and commands run inside a tree.
# Sourced, never run. HEARTH_LOG names the log file, HEARTH_START the second at which the build began.

HEARTH_LOG=${HEARTH_LOG:-/dev/null}
HEARTH_START=${HEARTH_START:-$EPOCHREALTIME}
export HEARTH_LOG HEARTH_START

# step TEXT: one line of progress on stderr, with the seconds since the build began.
step() {
	printf 'rootfs: %6s s  %s\n' "$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $HEARTH_START }")" "$*" >&2
	printf '== %s\n' "$*" >>"$HEARTH_LOG"
}

# die TEXT: says what went wrong and what to do, and ends the script.
die() {
	printf 'rootfs: %s\n' "$*" >&2
	exit 1
}

# logged COMMAND...: runs it with its output in the log; shows the log's end where it fails.
logged() {
	local status=0
	"$@" >>"$HEARTH_LOG" 2>&1 || status=$?
	if [ "$status" -ne 0 ]; then
		tail -n 20 "$HEARTH_LOG" >&2
		die "'$1' failed with status $status; the whole log is $HEARTH_LOG"
	fi
}

# without_comments FILE: its lines without comments and blank lines.
without_comments() {
	sed -e 's/[[:space:]]*#.*//' -e '/^[[:space:]]*$/d' "$1"
}

# in_tree TREE COMMAND...: runs it as root inside the tree, with /dev and /proc, without network. The mounts live in a
# mount namespace of their own, so nothing stays mounted whatever happens.
in_tree() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --net --pid --fork --kill-child sh -euc '
		tree=$1
		shift
		mount --rbind /dev "$tree/dev"
		mount -t proc proc "$tree/proc"
		mount -t tmpfs -o mode=1777 tmpfs "$tree/tmp"
		exec chroot "$tree" /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/usr/sbin:/bin HOME=/root \
			LANG=C.UTF-8 PYTHONHASHSEED=0 SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" "$@"' \
		in_tree "$@"
}

# in_guest TREE COMMAND...: runs it as the guest would: the tree read-only under a tmpfs overlay, user hearth, no
# network. Nothing it writes is kept.
in_guest() {
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --net --pid --fork --kill-child sh -euc '
		tree=$1
		shift
		mount -t tmpfs tmpfs "$tree/tmp"
		cd "$tree/tmp"
		mkdir upper work root
		mount -t overlay -o "lowerdir=$tree,upperdir=upper,workdir=work" overlay root
		mount --rbind /dev root/dev
		mount -t proc proc root/proc
		mount -t sysfs -o ro sysfs root/sys
		mount -t tmpfs -o mode=1777 tmpfs root/tmp
		exec chroot --userspec=1000:1000 --groups= root /usr/bin/env -i -C /mnt/data \
			PATH=/usr/local/bin:/usr/bin:/bin HOME=/home/hearth USER=hearth LANG=C.UTF-8 "$@"' \
		in_guest "$@"
}

# What the guest's Python takes, whatever the Python that runs pip is: Debian 12's glibc is 2.36.
# shellcheck disable=SC2034 # used by the scripts that source this
PIP_PLATFORM=(--implementation cp --python-version 3.11
	--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_24_x86_64
	--platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64
	--platform manylinux_2_12_x86_64 --platform manylinux2010_x86_64)
