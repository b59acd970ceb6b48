#!/usr/bin/env bash
# Benchmarks beside the peers; needs root for loop mounts and the peers' own mounts.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${FASTLAYER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastlayer}
"$root/scripts/make-base.sh" "$cache/debian-bookworm.tar"
export FASTLAYER_ROOT=$cache/bench-base-store
bin=$root/.venv/bin
"$bin/fastlayer" import "$cache/debian-bookworm.tar" bench-base:1 -c 'CMD ["bash"]' >/dev/null
"$bin/fastlayer" save --compression none -o "$cache/bench-base.tar" bench-base:1
cd "$root" && "$bin/python" -m benches.run --cache "$cache" --base "$cache/bench-base.tar" "$@"
