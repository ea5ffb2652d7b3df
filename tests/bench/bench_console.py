"""The console beside a bare Textual application and a bare DataTable of as many rows, in one run, taken in turns."""

import os
import subprocess
import sys
import sysconfig
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench import measures
from tests.bench.floor import ALERTS, Floor, feeding, floor
from tests.bench.measures import Keys, Start, Subject, median, session
from tests.bench.pty_session import Session
from tests.bench.report import Row

STARTS: Final = 7
KEY_ROUNDS: Final = 3
KEYS_A_ROUND: Final = 60
REST_S: Final = 10.0
QUIET_S: Final = 4.0
"""The clock of line 1 stops showing seconds when nothing has come for a while; the rest begins after that."""
QUIET_LIMIT_S: Final = 40.0
_PERCENT: Final = (50, 95, 99)


def run() -> list[Row]:
    """Measure everything the console promises about the terminal."""
    with ExitStack() as stack:
        target = stack.enter_context(floor())
        hello, table, console = _subjects(target)
        subjects = [hello, table, console]
        for subject in subjects:
            measures.start(subject)  # compiles what is not, fills the disk cache
        rows = [*_starts(subjects), *_status(target, hello), *_rest(console, feed=False)]
        rows += _ends(console)
        stack.enter_context(feeding(target))
        rows += _rest(console, feed=True)
        rows += _keys(table, console)
        rows += _slow_line(subjects)
    return rows


def command() -> list[str]:
    """The installed command, as an operator starts it; from a bare checkout, the same without its script."""
    script = Path(sysconfig.get_path("scripts")) / "watchfloor"
    return [str(script)] if script.exists() else [sys.executable, "-c", "from watchfloor.entry import main; main()"]


def _subjects(target: Floor) -> tuple[Subject, Subject, Subject]:
    def app(name: str) -> list[str]:
        return [sys.executable, "-m", f"tests.bench.apps.{name}"]

    return (
        Subject("hello", app("hello"), lambda text: "ready" in text),
        Subject("table", [*app("table"), "--rows", str(ALERTS)], lambda text: "alert 9" in text),
        Subject("console", [*command(), "console"], _shows_data, before_keys=("2",), env=target.env),
    )


def _shows_data(text: str) -> bool:
    """The backend's alerts are on the screen."""
    return "LOW_SUCCESS_RATE" in text


def _starts(subjects: list[Subject]) -> list[Row]:
    taken: dict[str, list[Start]] = {subject.name: [] for subject in subjects}
    answered: list[float] = []
    for _ in range(STARTS):
        for subject in subjects:
            taken[subject.name].append(measures.start(subject))
        answered.append(_first_answer_s(subjects[2]))
    paint = {name: median([one.paint_s for one in starts]) for name, starts in taken.items()}
    ready = {name: median([one.ready_s for one in starts]) for name, starts in taken.items()}
    rows = [Row(name, "ready", 1000 * seconds, "ms") for name, seconds in ready.items()]
    return [
        *rows,
        Row("console", "first paint", 1000 * paint["console"], "ms"),
        Row("console", "first paint / hello", paint["console"] / paint["hello"], "x", 0.2),
        Row("console", "live data / hello", ready["console"] / ready["hello"], "x", 2.0),
        Row("console", "bytes until live", median([one.written for one in taken["console"]]), "B"),
        Row("console", "first key answered / hello", median(answered) / ready["hello"], "x", 1.6),
    ]


def _first_answer_s(subject: Subject) -> float:
    """Seconds from the start until `:`, typed ahead, shows the command line."""
    with session(subject) as running:
        running.wait_for(lambda text: bool(text.strip()))
        running.type(":")
        shown_s = running.wait_for(lambda text: text.splitlines()[-1].startswith(" :"))
        measures.end_politely(running)
        return shown_s


def _status(target: Floor, hello: Subject) -> list[Row]:
    """`watchfloor status` as a process, beside the time hello needs to show."""
    took: list[float] = []
    beside: list[float] = []
    for _ in range(STARTS):
        began_s = time.monotonic()
        subprocess.run([*command(), "status"], env={**os.environ, **target.env}, stdout=subprocess.DEVNULL, check=True)
        took.append(time.monotonic() - began_s)
        beside.append(measures.start(hello).ready_s)
    return [
        Row("status", "whole process", 1000 * median(took), "ms"),
        Row("status", "whole process / hello", median(took) / median(beside), "x", 1.0),
    ]


def _rest(console: Subject, *, feed: bool) -> list[Row]:
    with session(console) as running:
        measures.open_ready(Subject(console.name, console.argv, console.ready, env=console.env), running)
        if not feed:
            running.settle(QUIET_S, QUIET_LIMIT_S)
        rest = measures.rest(running, REST_S)
        measures.end_politely(running)
    what = "feed of 1/s" if feed else "nothing changes"
    return [
        Row("console", f"{what}: written", rest.bytes_per_s, "B/s", 400.0 if feed else 0.0),
        Row("console", f"{what}: processor", rest.cpu_percent, "%", 1.5),
    ]


def _keys(table: Subject, console: Subject) -> list[Row]:
    """Press keys in both programs by turns, both open all the time."""
    rounds: dict[str, list[Keys]] = {table.name: [], console.name: []}
    with session(table) as left, session(console) as right:
        pairs: list[tuple[Subject, Session]] = [(table, left), (console, right)]
        for subject, running in pairs:
            measures.open_ready(subject, running)
        for _ in range(KEY_ROUNDS):
            for subject, running in pairs:
                running.settle()
                rounds[subject.name].append(measures.keys(running, subject, KEYS_A_ROUND))
        for _, running in pairs:
            measures.end_politely(running)
    together = {
        name: Keys(
            [one for part in parts for one in part.latencies_s],
            [one for part in parts for one in part.bytes_each],
            sum(part.missed for part in parts),
        )
        for name, parts in rounds.items()
    }
    rows = [
        Row(name, f"key to paint, p{percent}", 1000 * found.percentile_s(percent), "ms")
        for name, found in together.items()
        for percent in _PERCENT
    ]
    ours, bare = together[console.name], together[table.name]
    return [
        *rows,
        Row("console", "key to paint, p99 / table", ours.percentile_s(99) / bare.percentile_s(99), "x", 1.5),
        Row("table", "bytes a key", median(bare.bytes_each), "B"),
        Row("console", "bytes a key, median", median(ours.bytes_each), "B"),
        Row("console", "bytes a key, largest", max(ours.bytes_each), "B", 1000.0),
        Row("console", "keys without an answer", ours.missed, "", 0.0),
    ]


def _ends(console: Subject) -> list[Row]:
    rows = []
    for name, end in measures.ends(console).items():
        seconds = end.seconds if end.seconds is not None else float("inf")
        rows.append(Row("console", f"{name}: gone after", 1000 * seconds, "ms", 500.0))
        rows.append(Row("console", f"{name}: left on", len(end.left_on), "", 0.0, note=", ".join(sorted(end.left_on))))
    return rows


def _slow_line(subjects: list[Subject]) -> list[Row]:
    """The same over 100 ms and 56 kB/s."""
    rows = []
    for subject in subjects[1:]:
        ours = subject.name == "console"
        live_s = measures.start(subject, measures.slow_line()).ready_s
        rows.append(Row(subject.name, "slow line: ready", 1000 * live_s, "ms", 2000.0 if ours else None))
        with session(subject, line=measures.slow_line()) as running:
            measures.open_ready(subject, running)
            found = measures.keys(running, subject, KEYS_A_ROUND)
            lag_s = measures.held_key_lag_s(running, subject.keys[0])
            measures.end_politely(running)
        worst_s = max(found.latencies_s)
        rows.append(Row(subject.name, "slow line: slowest key", 1000 * worst_s, "ms", 250.0 if ours else None))
        rows.append(Row(subject.name, "slow line: lag of a held key", 1000 * lag_s, "ms", 500.0 if ours else None))
    return rows
