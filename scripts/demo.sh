#!/usr/bin/env bash
# The main job, as a user would do it: a base, a build, a build again, a run, a save.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
export FASTLAYER_ROOT=${FASTLAYER_ROOT:-$PWD/.cache/demo-store}
cache=${FASTLAYER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fastlayer}
port=80

say() { printf '\n$ %s\n' "$*" >&2; "$@"; }
stop() { fastlayer rm -f demo-site >/dev/null 2>&1 || true; }

if ! fastlayer inspect debian:bookworm >/dev/null 2>&1; then
  echo "making a Debian base (once, about half a minute)" >&2
  scripts/make-base.sh "$cache/debian-bookworm.tar"
  say fastlayer import "$cache/debian-bookworm.tar" debian:bookworm -c 'CMD ["bash"]'
fi
say fastlayer build --progress plain -t nginx:1.22 examples/nginx
say fastlayer build --progress plain -t site examples/site
say fastlayer build --progress plain -t site examples/site

stop
trap stop EXIT
say fastlayer run -d --name demo-site site
for _ in $(seq 50); do curl -fsS "http://127.0.0.1:$port/" >.cache/page 2>/dev/null && break; sleep 0.1; done
cmp .cache/page examples/site/index.html || { echo "error: the page was not served on port $port" >&2; exit 1; }
printf '\n$ curl http://127.0.0.1:%s/\n' "$port" >&2
cat .cache/page
say fastlayer ps
say fastlayer stop -t 2 demo-site
say fastlayer history site
say fastlayer save -o .cache/site.tar site
echo
echo "The image is in the store at $FASTLAYER_ROOT, and as an archive at $PWD/.cache/site.tar"
echo "(docker load -i, podman load -i and skopeo copy oci-archive: read it)."
