"""The gate's line against a real HTTP server that behaves badly."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gate.transport import HttpTransport, Refused, TransportError


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some of these tests are about."""


Script = Callable[[BaseHTTPRequestHandler, bytes], None]


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextlib.contextmanager
def server(script: Script) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def do_POST(self) -> None:
            script(self, self.rfile.read(int(self.headers["content-length"])))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class named it
            """Say nothing."""

    httpd = QuietServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


@contextlib.contextmanager
def line(url: str) -> Iterator[HttpTransport]:
    transport = HttpTransport(url, "secret")
    try:
        yield transport
    finally:
        transport.close()


@contextlib.contextmanager
def answering(script: Script) -> Iterator[HttpTransport]:
    with server(script) as url, line(url) as transport:
        yield transport


def test_renewals_share_one_connection_and_carry_the_token() -> None:
    peers: list[tuple[Any, str]] = []

    def script(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        peers.append((handler.client_address, handler.headers["authorization"]))
        reply(handler, 200, body)

    with server(script) as url, line(url) as transport:
        for number in range(3):
            assert transport.renew({"n": number}, timeout_s=5) == {"n": number}
    assert len(set(peers)) == 1
    assert peers[0][1] == "Bearer secret"


def test_a_connection_the_server_dropped_is_opened_again() -> None:
    def script(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        reply(handler, 200, body)
        handler.close_connection = True  # without having said so in a header

    with server(script) as url, line(url) as transport:
        assert [transport.renew({"n": n}, timeout_s=5) for n in range(3)] == [{"n": 0}, {"n": 1}, {"n": 2}]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_no_is_a_refusal(status: int) -> None:
    body = json.dumps({"message": "not you"}).encode()
    with (
        answering(lambda handler, _: reply(handler, status, body)) as transport,
        pytest.raises(Refused, match="not you"),
    ):
        transport.renew({}, timeout_s=5)


@pytest.mark.parametrize(
    ("status", "body"), [(429, b"{}"), (500, b"{}"), (503, b"busy"), (302, b"{}"), (200, b"<html>")]
)
def test_anything_else_is_no_answer(status: int, body: bytes) -> None:
    with answering(lambda handler, _: reply(handler, status, body)) as transport, pytest.raises(TransportError):
        transport.renew({}, timeout_s=5)


def test_an_endless_answer_is_cut_off() -> None:
    with (
        answering(lambda handler, _: reply(handler, 200, b'"' + b"x" * 10_000_000)) as transport,
        pytest.raises(TransportError),
    ):
        transport.renew({}, timeout_s=5)


def test_a_server_that_hangs_is_left_and_asked_anew() -> None:
    release = threading.Event()
    asked: list[int] = []

    def script(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.append(1)
        if len(asked) == 1:
            release.wait(10)
            handler.close_connection = True
            return
        reply(handler, 200, body)

    with server(script) as url, line(url) as transport:
        with pytest.raises(TransportError):
            transport.renew({"n": 1}, timeout_s=0.1)
        assert transport.renew({"n": 2}, timeout_s=5) == {"n": 2}
        release.set()


def test_nobody_listening_is_no_answer() -> None:
    with server(lambda handler, body: reply(handler, 200, body)) as url:
        pass
    with line(url) as transport, pytest.raises(TransportError):
        transport.renew({}, timeout_s=1)


@pytest.mark.parametrize("url", ["http://10.0.0.1:8420", "http://example.org", "ftp://localhost", "localhost:8420", ""])
def test_a_token_never_leaves_the_machine_in_the_clear(url: str) -> None:
    with pytest.raises(ValueError, match=r"use https|not an http"):
        HttpTransport(url, "secret")


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://example.org"])
def test_loopback_and_tls_are_taken(url: str) -> None:
    HttpTransport(url, "secret").close()
