#!/usr/bin/env bash
# Benchmarks beside the peers; needs root for loop mounts and the peers' own mounts.
#   run-bench.sh [NAME…] [--rounds N] [--json FILE]      (see benches/run.py)
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${FASTLAYER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastlayer}
mkdir -p "$cache/context"
cd "$root" && .venv/bin/python -m benches.run --cache "$cache" "$@"
