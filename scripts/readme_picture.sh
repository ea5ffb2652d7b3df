#!/bin/sh
# Takes the README's picture: the demo's drawdown, from the login to the automatic freeze. Takes about three minutes.
# Needs Debian's fonts-dejavu-core.
set -eu
cd -- "$(dirname -- "$0")/.."
data=$(mktemp -d)
trap 'rm -rf -- "$data"' EXIT
XDG_STATE_HOME="$data/state" .venv/bin/python -m scripts.screenshot docs/images/overview.png --size 100x32 \
    --step "wait:One-time code" --step sleep:1 --step key:f3 --step key:f3 --step key:f3 --step key:f3 --step sleep:1 --step key:enter \
    --step wait:Position --step sleep:150 --step wait:FROZEN --step sleep:4 \
    -- .venv/bin/watchfloor demo --port 0 --data-dir "$data/demo" --scenario drawdown --seed 7
