#!/usr/bin/env bash
# Builds the sdist, builds the wheel from the sdist alone, and installs it into .venv.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.venv/bin
rm -rf dist
"$bin/maturin" sdist --out dist >/dev/null
# One target folder for all builds of the wheel: a second build compiles only what changed.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/wheel} \
  "$bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist dist/*.tar.gz
"$bin/python" -m pip install --quiet --force-reinstall --no-deps dist/*.whl
cd / && "$bin/python" -I -c 'import fastlayer.store as s; print("installed fastlayer", s.build_info()["version"])'
