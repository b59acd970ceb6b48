#!/usr/bin/env bash
# Makes the tar of a minimal Debian root file system, as Docker's official image has it: services
# do not start on install (policy-rc.d), and the apt cache is empty.
#   make-base.sh OUTPUT.tar
set -euo pipefail
output=$1
[ -s "$output" ] && exit 0
[ "$(id -u)" = 0 ] || { echo "error: debootstrap needs root" >&2; exit 1; }
mkdir -p "$(dirname "$output")"
work=$(mktemp -d "$(dirname "$output")/debootstrap.XXXXXX")
trap 'rm -rf --one-file-system "$work" "$output.part"' EXIT
debootstrap --variant=minbase bookworm "$work/root" >"$work/log" 2>&1 || { tail -n 20 "$work/log" >&2; exit 1; }
root=$work/root
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
echo 'force-unsafe-io' >"$root/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
# Keeps the cache empty after every later install too.
cat >"$root/etc/apt/apt.conf.d/docker-clean" <<'CLEAN'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CLEAN
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/cache/apt/*.bin "$root"/var/lib/apt/lists/* "$root"/var/log/bootstrap.log
: >"$root/etc/resolv.conf"
: >"$root/etc/hostname"
tar --create --file "$output.part" --directory "$root" --numeric-owner --xattrs --sort=name .
mv "$output.part" "$output"
