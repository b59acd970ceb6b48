#!/usr/bin/env bash
# Runs the Python tests against the installed wheel, from a folder that is not the project's, so
# that no file of the source tree can stand in for one that the wheel lacks.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
corpus=${FASTLAYER_CORPUS:-$root/../shared/corpus}
[ -d "$corpus" ] && export FASTLAYER_CORPUS=$corpus
elsewhere=$(mktemp -d)
trap 'rm -rf "$elsewhere"' EXIT
cd "$elsewhere"
"$root/.venv/bin/python" -I -m pytest -c "$root/pyproject.toml" --rootdir "$root" \
  -p no:cacheprovider "$root/tests" "$@"
