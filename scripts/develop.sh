#!/usr/bin/env bash
# Builds the core and puts it beside the Python sources; use with PYTHONPATH=python.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-release}
PYO3_BUILD_EXTENSION_MODULE=1 cargo build --locked --package fastlayer-python --profile "$profile" \
  --features pyo3/abi3-py311
folder=$profile
[ "$profile" = dev ] && folder=debug
# A new inode: a running interpreter keeps the old file mapped.
cp "${CARGO_TARGET_DIR:-target}/$folder/lib_core.so" python/fastlayer/.core-new
mv python/fastlayer/.core-new python/fastlayer/_core.abi3.so
