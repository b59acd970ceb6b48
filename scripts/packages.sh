#!/usr/bin/env bash
# Installs the Debian packages that the demo, the tests and the benchmarks use.
# Where it cannot (not root, not Debian) it says what is missing; in CI that is an error.
set -euo pipefail

programs="debootstrap runc skopeo umoci buildah podman dockerd busybox mkfs.xfs mkfs.exfat mount.exfat-fuse pigz b3sum zstd xz bzip2 getfattr setfacl setcap curl git ssh-agent"
packages="build-essential python3-venv debootstrap runc skopeo umoci buildah podman docker.io busybox-static
  xfsprogs e2fsprogs exfatprogs exfat-fuse pigz b3sum zstd xz-utils bzip2 attr acl libcap2-bin uidmap curl git openssh-client ca-certificates"

missing() {
  for program in $programs; do command -v "$program" >/dev/null || printf '%s ' "$program"; done
}

[ -z "$(missing)" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  # The packages' own services are not wanted: the tests start their own engine.
  policy=/usr/sbin/policy-rc.d
  made=
  if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made=1; fi
  trap '[ -z "$made" ] || rm -f "$policy"' EXIT
  apt-get update -qq
  # shellcheck disable=SC2086  # one word a package
  apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
left=$(missing)
if [ -n "$left" ]; then
  echo "missing programs: $left" >&2
  echo "install as root: apt-get install" $packages >&2
  [ -z "${CI:-}" ] || exit 1
fi
