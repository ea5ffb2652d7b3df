#!/bin/sh
# Installs the real programs that tests are made against into .peers, from a lock file with hashes; tests that need one
# skip without it. No package's own scripts are run. Exit code 3: something about this machine has to change first.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"
stamp=$(cat scripts/peers/package.json scripts/peers/package-lock.json scripts/peers.sh | cksum)

if [ "$(cat .peers/.installed 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
    echo "watchfloor: npm is needed for the programs of tests (Debian: apt-get install npm)" >&2
    exit 3
fi
mkdir -p .peers
cp scripts/peers/package.json scripts/peers/package-lock.json .peers/
# not `npm ci`: the lock names the build of one platform only, and others are to work as well
npm install --prefix .peers --no-save --ignore-scripts --no-audit --no-fund --loglevel=error >.peers/install.log 2>&1 || {
    echo "watchfloor: the programs of tests could not be installed; details in $root/.peers/install.log" >&2
    exit 3
}
printf '%s' "$stamp" >.peers/.installed
