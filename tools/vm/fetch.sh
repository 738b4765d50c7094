#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Fetches Debian's own kernels for the tests in QEMU: the newest cloud image of each series that the configured
# repositories hold. Nothing is installed; a kernel is unpacked into build/vm/SERIES and taken from there by run.py.
#
#   tools/vm/fetch.sh [SERIES...]        default: 6.1 6.12
set -eu

build=${PEREGRINE_BUILD:-$(dirname "$0")/../../build}

newest() {
	pattern="^linux-image-$(echo "$1" | sed 's/\./\\./g')\\.[^ ]*-cloud-amd64\$"
	apt-cache --names-only search "$pattern" | cut -d' ' -f1 | sort -V | tail -n 1
}

unpack() {
	series=$1 place=$build/vm/$1
	if [ -e "$place/release" ]; then
		echo "$series: $(cat "$place/release") is there"
		return
	fi
	package=$(newest "$series")
	if [ -z "$package" ]; then
		echo "fetch.sh: no cloud image of the series $series in the configured repositories (apt-get update?)" >&2
		return 1
	fi
	work=$build/vm/.fetch-$series.$$
	mkdir -p "$work/root"
	trap 'rm -rf "$work"' EXIT
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$package")
	dpkg -x "$work"/*.deb "$work/root"
	release=${package#linux-image-}
	modules=$work/root/lib/modules/$release/kernel
	mkdir -p "$work/made/modules"
	cp "$work/root/boot/vmlinuz-$release" "$work/made/vmlinuz"
	# What a guest loads is a handful of drivers; compressed modules are unpacked here, busybox's insmod may not do it.
	find "$modules/drivers/virtio" "$modules/drivers/net" "$modules/net/core" -name '*.ko*' \
		\( -name 'virtio*' -o -name '*failover*' -o -name 'veth*' \) -exec cp {} "$work/made/modules/" \;
	find "$work/made/modules" -name '*.ko.xz' -exec xz -d {} +
	echo "$release" >"$work/made/release"
	rm -rf "$place"
	mv "$work/made" "$place"
	rm -rf "$work"
	trap - EXIT
	echo "$series: fetched $release"
}

[ $# -gt 0 ] || set -- 6.1 6.12
for series; do
	unpack "$series"
done
