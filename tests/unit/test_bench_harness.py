"""The measuring harness measures what it claims, on programs whose behaviour is known."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from threading import Thread

import pytest

from tests.bench import measures
from tests.bench.bench_alert_storm import Sent, _storm_rows
from tests.bench.measures import Keys, Subject
from tests.bench.pty_session import Line, Session
from tests.bench.report import Row, table
from tests.support.alert_storm import P99_MS_MAX, Outcome, storm_of, too_slow
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


@contextmanager
def hook(*answers: int) -> Iterator[str]:
    """A webhook that gives these answers one after the other, then the last of them for ever."""
    numbers = count()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(answers[min(next(numbers), len(answers) - 1)])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("answers", "not_taken", "code"), [((200,), 0, 0), ((503, 503, 422, 200), 3, 1)])
def test_a_storm_tells_how_many_deliveries_were_not_taken(answers: tuple[int, ...], not_taken: int, code: int) -> None:
    with hook(*answers) as url:
        argv = [sys.executable, "-m", "tests.bench.bench_alert_storm", url, "1"]
        ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    sent = Sent(**json.loads(ended.stdout))
    assert (ended.returncode, sent.not_taken) == (code, not_taken), ended.stderr
    assert sent.deliveries >= 20
    assert sent.why == ("1x 422, 2x 503" if not_taken else "")
    assert all(row.holds for row in _storm_rows(sent)) is not bool(not_taken)


def test_a_storm_that_nobody_told_of_holds_nothing() -> None:
    assert not all(row.holds for row in _storm_rows(Sent()))


@pytest.mark.parametrize(("arguments", "told"), [(["1000", "60", "50", "1", "0"], 1), (["1000", "60"], 0), ([], 0)])
def test_answers_may_be_slow_only_where_the_backend_is_killed(arguments: list[str], told: int) -> None:
    outcome = Outcome(latencies_s=[0.001] * 50 + [P99_MS_MAX / 1000 + 0.001] * 50)
    assert len(too_slow(storm_of(arguments), outcome)) == told
    assert not too_slow(storm_of(arguments), Outcome(latencies_s=[0.001] * 100))
