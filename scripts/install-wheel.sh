#!/usr/bin/env bash
# Builds the sdist, builds the wheel from the sdist alone, and installs it into .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
rm -rf dist
"$bin/maturin" sdist --out dist >/dev/null
# One target folder for all builds of the wheel: a second build compiles only our own crates. Those
# it must compile: all files of an sdist bear one old time, which cargo would take for unchanged.
target=${CARGO_TARGET_DIR:-$PWD/target/wheel}
rm -rf "$target"/release/.fingerprint/fastlayer-*
CARGO_TARGET_DIR=$target \
  "$bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz
"$bin/python" -m pip install --quiet --force-reinstall --no-deps dist/*.whl
cd / && "$bin/python" -I -c 'import fastlayer.store as s; print("installed fastlayer", s.build_info()["version"])'
