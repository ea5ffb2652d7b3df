"""Runs every gate and says which failed; `make lint`. Owns the list of gates, not what they check."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from scripts import gates, lock

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent

COMMANDS: dict[str, list[str]] = {
    "ruff check": [str(TOOLS / "ruff"), "check", "--quiet", "."],
    "ruff format": [str(TOOLS / "ruff"), "format", "--check", "--quiet", "."],
    "mypy strict": [sys.executable, "-m", "mypy", "--no-error-summary"],
    "import contracts": [str(TOOLS / "lint-imports"), "--no-cache"],
    "migration drift": [sys.executable, "-m", "scripts.drift"],
    "generated pages": [sys.executable, "-m", "scripts.generate_docs", "--check"],
}
CHECKS: dict[str, Callable[[Path], list[str]]] = {
    "lock files": lock.problems,
    "sizes": gates.size_problems,
    "module docstrings": gates.docstring_problems,
    "broad handlers": gates.handler_problems,
}


def run_command(command: list[str], root: Path) -> list[str]:
    """Run one tool in a checkout; its output when it failed, nothing when it passed."""
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode == 0:
        return []
    return done.stdout.splitlines() or [f"exit code {done.returncode}"]


def main() -> int:
    """Run all gates, also after one has failed; exit code 1 when any did."""
    gates_by_name = {name: partial(check, ROOT) for name, check in CHECKS.items()}
    gates_by_name |= {name: partial(run_command, command, ROOT) for name, command in COMMANDS.items()}
    failed = []
    for name, gate in gates_by_name.items():
        started = time.monotonic()
        found = gate()
        print(f"{'FAIL' if found else 'ok  '} {name} ({time.monotonic() - started:.1f} s)", flush=True)
        for line in found:
            print(f"     {line}")
        if found:
            failed.append(name)
    print(f"lint: failed: {', '.join(failed)}" if failed else f"lint: {len(gates_by_name)} gates passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
