#!/bin/sh
# Installs freqtrade into .peers/freqtrade, from a lock file with hashes: a bot that is not ours, for the tests of its
# adapter, which skip without it. Needs 800 MB. Exit code 3: something about this machine has to change first.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"
stamp=$(cat scripts/peers/freqtrade.lock scripts/peers_freqtrade.sh | cksum)
venv=.peers/freqtrade

if [ "$(cat "$venv/.installed" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
for python in python3.11 python3.12 python3.13 ""; do
    [ -n "$python" ] || { echo "watchfloor: freqtrade needs Python 3.11, 3.12 or 3.13" >&2; exit 3; }
    command -v "$python" >/dev/null 2>&1 && break
done
rm -rf "$venv"
mkdir -p .peers
"$python" -m venv "$venv"
PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 \
    "$venv/bin/python" -m pip install --quiet --require-hashes -r scripts/peers/freqtrade.lock \
    >.peers/freqtrade.log 2>&1 || {
    echo "watchfloor: freqtrade could not be installed; details in $root/.peers/freqtrade.log" >&2
    exit 3
}
printf '%s' "$stamp" >"$venv/.installed"
