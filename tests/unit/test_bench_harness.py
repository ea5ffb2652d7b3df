"""The measuring harness measures what it claims, on programs whose behaviour is known."""

import sys

import pytest

from tests.bench import measures
from tests.bench.measures import Keys, Subject
from tests.bench.pty_session import Line, Session
from tests.bench.report import Row, table
from tests.support.modes import leftovers

ECHO = """
import os, sys, termios, time, tty
delay, leave = float(sys.argv[1]), sys.argv[2:]
tty.setraw(0)
os.write(1, b"ready" + b"\\x1b[?1049h" * ("dirty" in leave))
while (key := os.read(0, 1)) != b"q":
    time.sleep(delay)
    os.write(1, b"\\x1b[2;1H" + key + b"x" * 99 + b"\\x1b[?2026l")
"""


def echo(delay_s: float = 0.0, *arguments: str) -> Subject:
    return Subject("echo", [sys.executable, "-c", ECHO, str(delay_s), *arguments], lambda text: "ready" in text)


def test_a_program_that_takes_its_time_is_measured_with_it() -> None:
    with measures.session(echo(0.05)) as running:
        measures.open_ready(echo(), running)
        found = measures.keys(running, echo(), 6)
    assert found.missed == 0
    assert min(found.latencies_s) >= 0.05
    assert set(found.bytes_each) == {114}


def test_a_key_without_effect_is_missed() -> None:
    with measures.session(echo()) as running:
        measures.open_ready(echo(), running)
        assert running.key("j") is not None
        assert running.key("j", limit_s=0.5) is None


def test_what_is_left_on_is_found() -> None:
    with measures.session(echo(0, "dirty")) as running:
        measures.open_ready(echo(), running)
        running.type("q")
        assert running.wait_exit() is not None
        assert running.left_on() == {"?1049 on", "line settings"}


def test_an_unfinished_update_is_not_a_paint() -> None:
    code = "import os,time; os.write(1, b'\\x1b[?2026hready');"
    code += "time.sleep(0.5); os.write(1, b'\\x1b[?2026l'); time.sleep(9)"
    with Session([sys.executable, "-c", code]) as running:
        assert running.wait_for(lambda text: "ready" in text) >= 0.5


def test_a_slow_line_delays_by_its_round_trip_and_what_is_queued() -> None:
    line = Line(rtt_s=0.1, bytes_per_s=1000)
    assert line.arrival_s(10.0, 500) == pytest.approx(10.6)
    assert line.arrival_s(10.0, 500) == pytest.approx(11.1)
    assert line.arrival_s(20.0, 0) == pytest.approx(20.1)


def test_percentiles() -> None:
    found = Keys([index / 100 for index in range(100)], [], 0)
    assert (found.percentile_s(50), found.percentile_s(99), found.percentile_s(100)) == (0.5, 0.99, 0.99)


def test_modes_count_as_left_on_only_if_they_differ_from_a_fresh_terminal() -> None:
    assert leftovers(b"\x1b[?25l\x1b[?7l\x1b[?1000;1006h\x1b[>25u") == {
        "?25 off", "?7 off", "?1000 on", "?1006 on", "kitty keyboard",
    }  # fmt: skip
    assert leftovers(b"\x1b[?25l\x1b[>1u\x1b[?25h\x1b[<u\x1b[?2004l") == set()


def test_a_row_says_whether_its_limit_holds() -> None:
    rows = [Row("a", "b", 2, "ms", 1), Row("a", "b", 2, "ms", 1, at_least=True), Row("a", "b", 2, "ms")]
    assert [row.holds for row in rows] == [False, True, True]
    assert [line[:4] for line in table(rows).splitlines()[1:]] == ["OVER", "ok  ", "    "]
