#!/usr/bin/env bash
# Fuzzes every parser of untrusted bytes, FUZZ_SECONDS each (60): `scripts/fuzz.sh [TARGET…]`.
# What a target fails for is kept in fuzz/artifacts; what reached new code goes to fuzz/work, which
# starts as fuzz/corpus and the seeds. `scripts/fuzz.sh --keep` makes the kept corpus of it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
seconds=${FUZZ_SECONDS:-60}
# Of one kept input, of one target.
kept_bytes=8192
kept_files=100
# The sanitizer's instrumentation is a nightly feature of the pinned compiler.
export RUSTC_BOOTSTRAP=1
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
rust=$(cargo fuzz list)

# Properties leave their files in memory, and a fuzzer does not clean up when it ends.
scratch=$(mktemp -d -p /dev/shm fastlayer-fuzz.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch

# The Dockerfile parser is Python: atheris instruments its byte code. A tool of this script only.
dockerfile() {
  local tools=$root/.cache/fuzz
  if [ ! -x "$tools/bin/python3" ]; then
    python3 -m venv "$tools"
    "$tools/bin/python3" -m pip install --quiet --requirement fuzz/requirements.txt
  fi
  # It starts itself again when it merges.
  PATH=$tools/bin:$PATH "$root/fuzz/dockerfile.py" "$@"
}

# A case that takes longer or more is a failure.
limits=(-timeout=25 -rss_limit_mb=2048 -malloc_limit_mb=2048)

run() {  # TARGET FOLDER…, with $options
  local target=$1
  shift
  mkdir -p "$1" "fuzz/artifacts/$target"
  case $target in
    dockerfile) dockerfile "$@" "${options[@]}" -artifact_prefix="$root/fuzz/artifacts/$target/" ;;
    *) cargo fuzz run "$target" "$@" -- "${options[@]}" ;;
  esac
}

if [ "${1:-}" = --keep ]; then
  options=(-merge=1 -max_len="$kept_bytes" "${limits[@]}")
  for target in $rust dockerfile; do
    rm -rf "fuzz/corpus/$target"
    run "$target" "fuzz/corpus/$target" "fuzz/work/$target"
    # The smallest first: what is left out here is found again soon.
    find "fuzz/corpus/$target" -type f -printf '%s %p\n' | sort -n | tail -n +$((kept_files + 1)) |
      while read -r _ name; do rm "$name"; done
  done
  exit
fi

options=(-max_total_time="$seconds" -max_len=20000 -print_final_stats=1 "${limits[@]}")
python3 fuzz/seeds.py fuzz/work
for target in ${*:-$rust dockerfile}; do
  echo "== $target, $seconds s"
  run "$target" "fuzz/work/$target" "fuzz/corpus/$target"
done
