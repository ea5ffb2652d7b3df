"""The webhook adapter against a real server that hangs, fails, points elsewhere, drips and answers beside the point."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from adapters.http import AnswerError, Requester, checked_url
from adapters.loop import Held, Resume, Standing, Stop, Wanted
from adapters.webhook import Expected, Webhook, read_secret
from gate import Decision, Mode, Reason

SECRET = b"thirty-two bytes of a test's own"
HELD = Held("bot-1", Decision(False, Reason.HELD, 0.0, ("FRZ-0001",), 1, False, Mode.HALT))
HOLD = Wanted(Mode.HALT, (HELD,))
EXPECTED = Expected.read("state.halted=true")


@dataclass
class Receiver:
    """Somebody's server: what it was sent, and how it behaves on each path."""

    server: ThreadingHTTPServer
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    halted: Any = True
    status: int = 200
    going_on: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        one = Receiver(server)
        server.RequestHandlerClass = _handler(one)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield one
        one.going_on.set()
        server.shutdown()
        thread.join()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            receiver.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if self.path == "/hang":
                receiver.going_on.wait(30)
            if self.path == "/drip":
                self.send_response(200)
                self.end_headers()
                while not receiver.going_on.wait(0.05):
                    self.wfile.write(b" ")
                return
            self.send_response(302 if self.path == "/elsewhere" else receiver.status)
            if self.path == "/elsewhere":
                self.send_header("Location", "/check")
            self.end_headers()
            answers = {"/check": json.dumps({"state": {"halted": receiver.halted}}).encode(), "/huge": b"x" * 9_000_000}
            self.wfile.write(answers.get(self.path, b"no JSON"))

        do_GET = do_POST  # noqa: N815  the base class named it

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class named it
            """Say nothing."""

    return Handler


def webhook(receiver: Receiver, halt: str = "/halt", check: str = "/check", **own: Any) -> Webhook:
    usual: dict[str, Any] = {"executors": ("bot-1",), "timeout_s": 20.0, "wall_s": lambda: 1_800_000_000.9}
    return Webhook(receiver.url + halt, SECRET, check=(receiver.url + check, EXPECTED), **(usual | own))


def test_a_halt_is_signed_dated_and_named_and_a_repeated_one_is_the_same(receiver: Receiver) -> None:
    receiver.status = 500
    software = webhook(receiver)
    assert not software.stop(Stop(Mode.HALT, 1), HOLD).done
    receiver.status = 204
    assert software.stop(Stop(Mode.HALT, 1), HOLD).done
    assert software.stop(Stop(Mode.CANCEL_ALL, 2), HOLD).done
    [(_, path, headers, body), again, other] = receiver.requests
    assert path == "/halt"
    assert (headers["webhook-id"], body) == (again[2]["webhook-id"], again[3])
    assert other[2]["webhook-id"] != headers["webhook-id"]
    assert json.loads(body) == {
        "id": headers["webhook-id"], "executors": ["bot-1"], "type": "halt", "mode": "halt", "holds": ["FRZ-0001"]
    }  # fmt: skip
    signed = b".".join([headers["webhook-id"].encode(), b"1800000000", body])
    mac = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mac}"
    assert headers["webhook-timestamp"] == "1800000000"


@pytest.mark.parametrize("path", ["/hang", "/drip", "/elsewhere", "/huge"])
def test_an_order_that_is_not_answered_properly_has_not_been_given(receiver: Receiver, path: str) -> None:
    told = webhook(receiver, halt=path, timeout_s=1.0).stop(Stop(Mode.HALT, 1), HOLD)
    assert not told.done
    assert [request[1] for request in receiver.requests] == [path]


@pytest.mark.parametrize("path", ["/hang", "/drip", "/elsewhere", "/huge", "/no-json"])
def test_a_check_that_is_not_answered_properly_shows_nothing(receiver: Receiver, path: str) -> None:
    assert webhook(receiver, check=path, timeout_s=1.0).look(Mode.HALT).standing is Standing.UNKNOWN
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("halted", "standing"),
    [
        (True, Standing.OBEYS),
        (False, Standing.NOT_YET),
        (1, Standing.NOT_YET),
        ("true", Standing.NOT_YET),
        (None, Standing.NOT_YET),
        ({"halted": True}, Standing.NOT_YET),
    ],
)
def test_only_the_very_value_shows_obedience(receiver: Receiver, halted: Any, standing: Standing) -> None:
    receiver.halted = halted
    assert webhook(receiver).look(Mode.HALT).standing is standing
    [(method, _, headers, _)] = receiver.requests
    assert (method, headers["watchfloor-mode"]) == ("GET", "halt")


def test_an_error_of_the_check_shows_nothing_whatever_its_body_says(receiver: Receiver) -> None:
    receiver.status = 500
    assert webhook(receiver).look(Mode.HALT).standing is Standing.UNKNOWN
    receiver.status = 200
    assert webhook(receiver).look(Mode.HALT).standing is Standing.OBEYS


def test_nobody_there_shows_nothing(receiver: Receiver) -> None:
    software = Webhook("http://127.0.0.1:9/halt", SECRET, executors=(), check=("http://127.0.0.1:9/check", EXPECTED))
    assert software.look(Mode.HALT).standing is Standing.UNKNOWN
    assert not software.stop(Stop(Mode.HALT, 1), HOLD).done


def test_it_is_resumed_only_where_that_is_wanted(receiver: Receiver) -> None:
    assert webhook(receiver).resume(Resume(start=True, number=1)).done
    software = webhook(receiver, resume_url=f"{receiver.url}/resume")
    assert software.resume(Resume(start=False, number=1)).done
    assert receiver.requests == []
    assert software.resume(Resume(start=True, number=2)).done
    assert json.loads(receiver.requests[0][3])["type"] == "resume"


@pytest.mark.parametrize("text", ["halted", "=1", "a..b=1", ""])
def test_what_is_no_expectation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not path=value"):
        Expected.read(text)


def test_an_expected_value_is_json_or_else_text() -> None:
    assert Expected.read("state=stopped").met_by({"state": "stopped"}) is True
    assert Expected.read('state="1"').met_by({"state": 1}) is False
    assert Expected.read("state=1").met_by({"state": 1}) is True
    assert Expected.read("state=a=b").met_by({"state": "a=b"}) is True
    assert Expected.read("a.b=null").met_by({"a": []}) is None


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_dG9vIHNob3J0", "c29tZXRoaW5nIHdpdGhvdXQgaXRzIHByZWZpeC4uLg==", "whsec_???"]
)
def test_what_is_no_secret_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="base64 of at least") as refused:
        read_secret(text)
    assert "dG9v" not in str(refused.value)
    assert read_secret(f"whsec_{base64.b64encode(SECRET).decode()}\n") == SECRET


@pytest.mark.parametrize("text", ["ftp://x", "http://10.0.0.1/halt", "https://u:p@x/halt", "x", "http://"])
def test_an_address_that_would_show_secrets_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        checked_url(text)


def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    requests = Requester(20.0)
    try:
        assert requests.ask("GET", f"{receiver.url}/check").is_success
        with pytest.raises(AnswerError, match="redirects"):
            requests.ask("GET", f"{receiver.url}/elsewhere")
    finally:
        requests.close()
