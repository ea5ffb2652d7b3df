#!/bin/sh
# Makes .venv from a lock file with hashes. Owns: choosing Python, the environment, one clear line when it cannot be made.
# Usage: scripts/install.sh runtime|dev      PYTHON=/path/to/python chooses the interpreter.
# Exit code 3: something about this machine has to change first.
set -eu

kind=${1:?runtime or dev}
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
cd -- "$root"
venv=.venv
log=$venv/install.log
compiler="(cc|clang|c[+][+]|g[+][+]|cargo|rustc)[0-9.-]*'"
no_compiler="(command|directory:|execute) '[^']*$compiler|no working compiler|unknown compiler|unable to find a compiler"
newer_than_floor='import sys; sys.exit(sys.version_info < (3, 11))'

case $kind in
runtime) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
*) echo "usage: scripts/install.sh runtime|dev" >&2; exit 2 ;;
esac

fail() {
    echo "watchfloor: $1" >&2
    exit 3
}

explain() {
    # The one thing a person has to change, from pip's output.
    if grep -q "No space left on device" "$log"; then
        echo "the disk is full"
    elif grep -Eqi "$no_compiler" "$log"; then
        echo "a package has no ready-made build for this platform and there is no compiler (Debian: apt-get install gcc python3-dev)"
    elif grep -q "THESE PACKAGES DO NOT MATCH THE HASHES" "$log"; then
        echo "a downloaded package differs from the lock file"
    elif grep -Eq "No matching distribution|Could not find a version" "$log"; then
        grep -E "No matching distribution" "$log" | head -n 1 | sed 's/^ERROR: //; s/$/ (no network, or no build for this platform)/'
    else
        grep -E "ERROR|[Ee]rror:" "$log" | tail -n 1 | cut -c 1-200
    fi
}

run() {
    "$@" >>"$log" 2>&1 || fail "installation failed: $(explain); details in $log"
}

choose_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1; then
            if "$candidate" -c "$newer_than_floor" 2>/dev/null; then
                python=$candidate
                return
            fi
            seen=${seen:-$("$candidate" -V 2>&1 || true)}
        fi
        if [ -n "${PYTHON:-}" ]; then break; fi
    done
    fail "Python 3.11 or newer is needed; found ${seen:-none} (set PYTHON=/path/to/python)"
}

# One installation at a time; the lock goes with this process.
if command -v flock >/dev/null 2>&1; then
    exec 9<"$0"
    flock 9
fi

fingerprint="$root $(cat pyproject.toml requirements.lock requirements-dev.lock scripts/install.sh | cksum)"
for stamp in "$venv/.installed-$kind" "$venv/.installed-dev"; do
    if [ "$(cat "$stamp" 2>/dev/null)" = "$fingerprint" ] && "$venv/bin/python" -c '' 2>/dev/null; then
        exit 0
    fi
done

if ! "$venv/bin/python" -c "$newer_than_floor" 2>/dev/null || [ "$(cat "$venv/.root" 2>/dev/null)" != "$root" ]; then
    choose_python
    echo "watchfloor: making $venv with $("$python" -V)" >&2
    rm -rf "$venv" 2>/dev/null || fail "cannot replace $root/$venv: remove it"
    mkdir "$venv" 2>/dev/null || fail "cannot write to $root"
    "$python" -m venv "$venv" >"$log.new" 2>&1 || {
        reason=$(grep -v '^ *$' "$log.new" 2>/dev/null | tail -n 1 | cut -c 1-200)
        if grep -q "No space left" "$log.new" 2>/dev/null; then reason="the disk is full"; fi
        if grep -qi "ensurepip\|No module named venv" "$log.new" 2>/dev/null; then
            reason="$python lacks its venv module (Debian: apt-get install python3-venv)"
        fi
        rm -rf "$venv"
        fail "no virtual environment: ${reason:-the disk is full}"
    }
    printf '%s' "$root" >"$venv/.root"
fi

echo "watchfloor: installing the packages of $lock into $venv" >&2
: >"$log" || fail "cannot write to $root/$venv: is the disk full?"
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
run "$venv/bin/python" -m pip install --require-hashes -r "$lock"
run "$venv/bin/python" -m pip install --no-deps --no-build-isolation -e .
run "$venv/bin/python" -m compileall -q adapters backend console contract gate ledger simulator watchers watchfloor witness
printf '%s' "$fingerprint" >"$venv/.installed-$kind" || fail "cannot write to $root/$venv: is the disk full?"
