"""The overview asked for at start: used if it is complete and fresh, silently forgotten if it is not."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from console.opening import FirstAnswer
from console.term import prefetch
from console.term.prefetch import is_local, start_prefetch, take_prefetched
from contract.alerts import Alert
from tests.console import floor_models as models
from tests.console.driving import running
from tests.console.paper import Paper

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 7\r\n\r\n"


@contextmanager
def answering(answer: bytes, path: Path | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers one connection and keeps what it was asked."""
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(str(path) if path else ("127.0.0.1", 0))
    listener.listen()
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"http+unix://{quote(str(path), safe='')}" if path else f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener:
        yield url, asked
        thread.join(10)


def test_a_complete_answer_is_handed_out_once() -> None:
    with answering(OK + b'{"a":1}') as (url, asked):
        start_prefetch(url, "a.token")
        assert take_prefetched(url + "/", wait_s=10) == b'{"a":1}'
        assert take_prefetched(url, wait_s=10) is None
    assert asked[0].startswith(b"GET /v1/overview HTTP/1.0\r\n")
    assert b"\r\nAuthorization: Bearer a.token\r\n" in asked[0]


def test_a_unix_socket_is_asked_too(tmp_path: Path) -> None:
    with answering(OK + b'{"a":1}', tmp_path / "s") as (url, _):
        start_prefetch(url, "t")
        assert take_prefetched(url, wait_s=10) == b'{"a":1}'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense",
        OK + b'{"a"',
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_any_other_answer_is_left_to_the_client(answer: bytes) -> None:
    with answering(answer) as (url, _):
        start_prefetch(url, "t")
        assert take_prefetched(url, wait_s=10) is None


def test_nobody_listening_is_no_error() -> None:
    start_prefetch("http://127.0.0.1:1", "t")
    assert take_prefetched("http://127.0.0.1:1", wait_s=10) is None


def test_an_old_answer_is_not_shown_as_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "FRESH_S", -1.0)
    with answering(OK + b'{"a":1}') as (url, _):
        start_prefetch(url, "t")
        assert take_prefetched(url, wait_s=10) is None


def test_an_answer_of_another_server_is_not_used() -> None:
    with answering(OK + b'{"a":1}') as (url, _):
        start_prefetch(url, "t")
        assert take_prefetched("http://127.0.0.1:1", wait_s=10) is None


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8420", True),
        ("http://localhost", True),
        ("http://[::1]:8420", True),
        ("http+unix://%2Frun%2Fs", True),
        ("http://192.0.2.7:8420", False),
        ("http://127.0.0.1.example.invalid", False),
        ("https://127.0.0.1", False),
    ],
)
def test_a_token_travels_in_the_clear_on_this_machine_only(url: str, local: bool) -> None:  # noqa: FBT001
    assert is_local(url) is local


@pytest.mark.parametrize("token", ["a\r\nX-Evil: 1", "é"])
def test_a_token_that_is_none_is_not_sent(token: str) -> None:
    start_prefetch("http://127.0.0.1:1", token)
    assert prefetch._pending is None


def overview_answer() -> bytes:
    """The answer of a backend."""
    body = models.overview().model_dump_json().encode()
    return OK.replace(b"Length: 7", b"Length: %d" % len(body)) + body


async def test_the_answer_is_shown_before_the_client_has_asked_anything() -> None:
    paper = Paper(up=False)
    with answering(overview_answer()) as (url, _):
        start_prefetch(url, "t")
        async with running(paper, url=url, size=(120, 40), loaded=False) as run:
            await run.until(lambda: run.app.floor is not None, "the floor")
            await run.until(lambda: "DAILY_LOSS_LIMIT" in run.screen, "alerts on the screen")
            await run.until(lambda: run.app.api is not None, "the client")
            assert run.app.floor is not None
            assert all(isinstance(alert, Alert) for alert in run.app.floor.alerts.values())  # not the first picture's


@pytest.mark.parametrize("body", [b'{"a":1}', b"nonsen?"])
def test_an_answer_that_is_no_overview_is_not_shown(body: bytes) -> None:
    with answering(OK + body) as (url, _):
        start_prefetch(url, "t")
        first = FirstAnswer(url)
        assert (first.seen(), first.read()) == (None, None)


def test_without_an_answer_there_is_nothing_to_show() -> None:
    first = FirstAnswer("http://127.0.0.1:1")
    assert (first.seen(), first.read()) == (None, None)
