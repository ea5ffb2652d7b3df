"""Measures `watchfloor transactions import` from the command to its answer: 30,000 lines of CSV into a new database."""

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.bench.floor import Floor, floor
from tests.bench.report import Row
from tests.bench.trades import trades

LINES: Final = 30_000
LIMIT_S: Final = 15.0
_COMMAND_LIMIT_S: Final = 300.0


def run() -> list[Row]:
    """Import a file of past trades, then the same file again."""
    with floor(0) as running, tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "trades.csv"
        _write(path)
        first_s, first = _import(running, path)
        again_s, again = _import(running, path)
    if (first["imported"], again["unchanged"]) != (LINES, LINES):
        raise RuntimeError(f"the import lost lines: {first}, {again}")
    note = f"{LINES:,} lines of CSV, the whole command"
    return [
        Row("import", "new lines", first_s, "s", limit=LIMIT_S, note=note),
        Row("import", "the same lines again", again_s, "s", limit=LIMIT_S, note=note),
        Row("import", "lines stored a second", LINES / first_s, "lines/s", note=note),
    ]


def _write(path: Path) -> None:
    newest = datetime.now(UTC) - timedelta(days=2)
    with path.open("w", newline="") as file:
        rows = list(trades(LINES, newest, timedelta(days=3)))
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _import(running: Floor, path: Path) -> tuple[float, dict[str, int]]:
    argv = [sys.executable, "-m", "watchfloor", "transactions", "import", str(path), "--json"]
    started = time.perf_counter()
    done = subprocess.run(
        argv, env={**os.environ, **running.env}, capture_output=True, text=True, timeout=_COMMAND_LIMIT_S, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"the import failed with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, int] = json.loads(done.stdout)
    return seconds, answer
