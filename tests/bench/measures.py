"""Owns how a terminal program is measured: start, keys, rest, ends, a slow line. Knows no product and no limit."""

import os
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tests.bench.pty_session import Line, Session

HELD_KEYS_PER_S: Final = 30
"""The repeat rate of common keyboards."""
SLOW_RTT_S: Final = 0.1
SLOW_BYTES_PER_S: Final = 56_000.0
_EXIT_LIMIT_S: Final = 5.0


@dataclass(frozen=True)
class Subject:
    """A program to measure."""

    name: str
    argv: Sequence[str]
    ready: Callable[[str], bool]
    """The screen shows what the operator came for."""
    before_keys: Sequence[str] = ()
    """Keys that lead to where keys are measured."""
    keys: tuple[str, str] = ("j", "k")
    """Pressed in turn; each must change something."""
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Seconds from exec."""

    paint_s: float
    ready_s: float
    written: int


@dataclass(frozen=True)
class Keys:
    """What keys cost."""

    latencies_s: list[float]
    bytes_each: list[int]
    missed: int

    def percentile_s(self, percent: int) -> float:
        """Return a latency's percentile."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, round(percent / 100 * len(ordered)))]


@dataclass(frozen=True)
class Rest:
    """What it costs to do nothing."""

    bytes_per_s: float
    cpu_percent: float


@dataclass(frozen=True)
class End:
    """How it ended."""

    seconds: float | None
    left_on: set[str]


def session(subject: Subject, *, line: Line | None = None, ignore_hang_up: bool = False) -> Session:
    """Open a session of a subject."""
    return Session(subject.argv, env=subject.env, line=line or Line(), ignore_hang_up=ignore_hang_up)


def slow_line() -> Line:
    """A poor connection over half the world."""
    return Line(SLOW_RTT_S, SLOW_BYTES_PER_S)


def start(subject: Subject, line: Line | None = None) -> Start:
    """Start once and measure until ready."""
    with session(subject, line=line) as running:
        paint_s = running.wait_for(lambda text: bool(text.strip()))
        ready_s = running.wait_for(subject.ready)
        written = len(running.received)
        end_politely(running)
        return Start(paint_s, ready_s, written)


def keys(running: Session, subject: Subject, count: int) -> Keys:
    """Press the subject's two keys in turn."""
    latencies: list[float] = []
    sizes: list[int] = []
    missed = 0
    for number in range(count):
        answer = running.key(subject.keys[number % 2])
        if answer is None:
            missed += 1
        else:
            latencies.append(answer[0])
            sizes.append(answer[1])
        time.sleep(0.03)
    return Keys(latencies, sizes, missed)


def held_key_lag_s(running: Session, key: str) -> float:
    """Hold a key for a second and return how long after its last repeat the screen still changed."""
    began_s = time.monotonic()
    last_s = began_s
    for number in range(HELD_KEYS_PER_S):
        while (wait_s := began_s + number / HELD_KEYS_PER_S - time.monotonic()) > 0:
            running.pump(wait_s)
        running.type(key)
        last_s = time.monotonic()
    running.settle()
    return running.painted_s - last_s


def rest(running: Session, seconds: float) -> Rest:
    """Leave it alone, within one minute of the clock, which programs may show."""
    while time.time() % 60 > 58 - seconds:
        running.pump(0.5)
    before, cpu_s, began_s = len(running.received), running.cpu_s(), time.monotonic()
    while (left_s := began_s + seconds - time.monotonic()) > 0:
        running.pump(left_s)
    took_s = time.monotonic() - began_s
    return Rest((len(running.received) - before) / took_s, 100 * (running.cpu_s() - cpu_s) / took_s)


def open_ready(subject: Subject, running: Session) -> None:
    """Bring a started session to where keys are measured."""
    running.wait_for(subject.ready)
    running.settle()
    for key in subject.before_keys:
        running.key(key)
        running.settle()


def ends(subject: Subject) -> dict[str, End]:
    """End it in every way."""
    found = {}
    for name, way in _WAYS.items():
        with session(subject, ignore_hang_up=name == "hang-up, SIGHUP ignored") as running:
            open_ready(replace(subject, before_keys=()), running)
            way(running)
            seconds = running.wait_exit(_EXIT_LIMIT_S)
            left = set() if name.startswith("hang-up") else running.left_on()
            found[name] = End(seconds, left)
    return found


def end_politely(running: Session) -> None:
    """Ask it to end, and wait."""
    os.kill(running.pid, signal.SIGTERM)
    running.wait_exit(_EXIT_LIMIT_S)


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


_WAYS: Final[dict[str, Callable[[Session], None]]] = {
    "quit": lambda running: running.type("q"),
    "SIGTERM": lambda running: os.kill(running.pid, signal.SIGTERM),
    "hang-up": lambda running: running.hang_up(),
    "hang-up, SIGHUP ignored": lambda running: running.hang_up(),
}
