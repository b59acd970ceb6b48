#!/usr/bin/env bash
# Fuzzes every parser of untrusted bytes, FUZZ_SECONDS each (60). Findings are kept in
# fuzz/artifacts; what reached new code, in fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
# The sanitizer's instrumentation is a nightly feature of the pinned compiler.
export RUSTC_BOOTSTRAP=1
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
seeds=${FASTLAYER_CORPUS:-../shared/corpus}/tars
for target in $(cargo fuzz list); do
  mkdir -p "fuzz/corpus/$target"
  folders=("fuzz/corpus/$target")
  if [ -d "$seeds" ]; then
    for folder in "$seeds"/*/; do folders+=("$folder"); done
  fi
  echo "== $target, $seconds s"
  cargo fuzz run "$target" "${folders[@]}" -- -max_total_time="$seconds" -max_len=20000 -print_final_stats=1
done
