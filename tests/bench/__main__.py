"""Runs the measurements: `python -m tests.bench [--check] [NAME…]`, NAME being `console` for `bench_console.py`."""

import os
import sys
from importlib import import_module
from pathlib import Path

from tests.bench.report import Row, save, table

_PREFIX = "bench_"


def main(arguments: list[str]) -> int:
    """Run the named measurements, or all; exit code 1 if `--check` is given and a limit is not kept."""
    names = [argument for argument in arguments if not argument.startswith("-")]
    known = sorted(path.stem.removeprefix(_PREFIX) for path in Path(__file__).parent.glob(f"{_PREFIX}*.py"))
    if unknown := set(names) - set(known):
        sys.stderr.write(f"no such measurement: {', '.join(sorted(unknown))}; there are: {', '.join(known)}\n")
        return 2
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode; the first start writes it
    rows: list[Row] = []
    for name in names or known:
        sys.stderr.write(f"measuring {name} …\n")
        rows += import_module(f"tests.bench.{_PREFIX}{name}").run()
    path = save(rows, Path("bench-results"))
    sys.stdout.write(f"{table(rows)}\n\nwritten to {path}\n")
    return 1 if "--check" in arguments and not all(row.holds for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
