#!/bin/sh
# Installs Patroni into .peers/patroni, from lock files with hashes: what runs clusters of PostgreSQL, for the tests of
# recovery drills, which skip without it. Needs 40 MB. Exit code 3: something about this machine has to change first.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"
stamp=$(cat scripts/peers/patroni.lock scripts/peers/patroni-build.lock scripts/peers_patroni.sh | cksum)
venv=.peers/patroni

if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
# the system's own first: PostgreSQL refuses to run as root, and who it runs as may not reach a Python of root's
for python in /usr/bin/python3 python3 ""; do
    [ -n "$python" ] || { echo "watchfloor: Patroni needs Python 3 with venv" >&2; exit 3; }
    "$python" -c 'import ensurepip' >/dev/null 2>&1 && break
done
rm -rf "$venv"
mkdir -p .peers
"$python" -m venv "$venv"
# two of its packages are not there as wheels: what builds them is locked as well
for step in "-r scripts/peers/patroni-build.lock" "--no-build-isolation -r scripts/peers/patroni.lock"; do
    # shellcheck disable=SC2086  one word or three
    PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
        "$venv/bin/python" -m pip install --quiet --no-deps --require-hashes $step >>.peers/patroni.log 2>&1 || {
        echo "watchfloor: Patroni could not be installed; details in $root/.peers/patroni.log" >&2
        exit 3
    }
done
printf '%s' "$stamp" >"$venv/.installed"
