"""The sidecar over real HTTP, on loopback and on a Unix socket: it answers clearly, and never says yes by mistake."""

import contextlib
import http.client
import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gate import Checker, Gate
from gate.listening import AddressError, listen
from gate.sidecar import MAX_BODY_BYTES, MAX_CONNECTIONS, Serving, Sidecar, read_permit_keys
from gate.statements import StatementError, encode
from tests.support.gate_server import LIMIT_S, TOKEN, GateServer, eventually


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(str(self._path))


class Bot:
    """A bot in another language, as far as the sidecar can tell."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection

    def ask(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        self.connection.request("POST", path, raw, {"Content-Type": "application/json"} | headers)
        return self.read()

    def read(self) -> tuple[int, Any]:
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())

    def health(self) -> tuple[int, Any]:
        self.connection.request("GET", "/healthz")
        return self.read()


def with_a(server: GateServer, member: str) -> list[dict[str, Any]]:
    """The renewals received that carried something; questions of the checker come in between."""
    return [message for message in server.renewals if message.get(member)]


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


@pytest.fixture
def parts(server: GateServer) -> Iterator[tuple[Gate, Checker]]:
    place: dict[str, Any] = {"executor": "bot-1", "chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xab"}
    with (
        Gate(server.url, TOKEN, **place) as gate,
        Checker(server.keys, server.url, TOKEN, renew_s=0.05) as checker,
    ):
        yield gate, checker


@pytest.fixture(params=["loopback", "unix"])
def bot(parts: tuple[Gate, Checker], request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bot]:
    path = tmp_path / "gate.sock"
    listening = listen("127.0.0.1:0" if request.param == "loopback" else f"unix:{path}")
    port = listening.getsockname()[1]
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        if request.param == "loopback"
        else UnixConnection(path)
    )
    with Serving(Sidecar(*parts), listening), contextlib.closing(connection):
        yield Bot(connection)
    assert not path.exists()


def test_a_bot_trades_stops_and_says_so(bot: Bot, server: GateServer, parts: tuple[Gate, Checker]) -> None:
    eventually(lambda: bot.ask("/may-send")[1]["allowed"])
    status, answer = bot.ask("/may-send", {"reduces": False, "amount_eth": "0.5"})
    assert status == 200
    assert answer["reason"] == "permit"
    assert 0 < answer["remaining_ms"] <= 2000
    eventually(lambda: bot.ask("/check", {"permit": bot.ask("/may-send")[1]["permit"], "wallet": "0xab"})[1]["allowed"])
    assert bot.ask("/sent", {"id": "0xaa", "nonce": 3}) == (200, {})
    assert bot.ask("/report", {"position_eth": "-2.5", "open_orders": 4, "nonces": {"0xCD": 9}}) == (200, {})
    assert bot.ask("/beat") == (200, {})
    server.freeze("cancel-all")
    eventually(lambda: bot.ask("/may-send")[1]["held"])
    answer = bot.ask("/may-send")[1]
    assert (answer["allowed"], answer["cancel_resting"], answer["holds"]) == (False, True, ["FRZ-0001"])
    assert bot.ask("/may-send", {"cancels": True})[1]["allowed"]
    assert bot.ask("/confirm-halted", {"held_epoch": answer["held_epoch"]}) == (200, {})
    server.wait_for(lambda: with_a(server, "acknowledgement"))
    said = server.acknowledgement(with_a(server, "acknowledgement")[0])
    assert (said["in_flight"], said["nonces"], said["open_orders"]) == (["0xaa"], {"0xab": 3, "0xcd": 9}, 4)
    assert bot.ask("/settled", {"id": "0xaa", "fate": "landed"}) == (200, {})
    server.wait_for(lambda: with_a(server, "fates"))
    assert with_a(server, "fates")[0]["fates"] == [{"id": "0xaa", "fate": "landed"}]


def test_a_choke_point_refuses_what_a_freeze_outdated(bot: Bot, server: GateServer) -> None:
    eventually(lambda: bot.ask("/may-send")[1]["permit"])
    before = bot.ask("/may-send")[1]["permit"]
    eventually(lambda: bot.ask("/check", {"permit": before})[1]["allowed"])
    server.freeze()
    eventually(lambda: bot.ask("/check", {"permit": before})[1]["reason"] == "permit older than a freeze")
    assert bot.ask("/check", {"permit": None})[1]["allowed"] is False
    assert bot.ask("/check", {"cancels": True})[1]["allowed"] is True


BAD: dict[str, tuple[str, Any, dict[str, str]]] = {
    "no JSON": ("/may-send", b"{", {}),
    "no object": ("/may-send", b"[]", {}),
    "null": ("/may-send", b"null", {}),
    "nothing": ("/may-send", b"", {}),
    "twice": ("/may-send", b'{"reduces":false,"reduces":true}', {}),
    "not UTF-8": ("/may-send", b'{"reduces":"\xff"}', {}),
    "unknown member": ("/may-send", {"reduce": True}, {}),
    "flag as text": ("/may-send", {"cancels": "true"}, {}),
    "flag as number": ("/may-send", {"cancels": 1}, {}),
    "amount as number": ("/may-send", {"amount_eth": 1}, {}),
    "amount as fraction": ("/may-send", b'{"amount_eth":0.5}', {}),
    "amount not a number": ("/may-send", {"amount_eth": "NaN"}, {}),
    "amount negative": ("/may-send", {"amount_eth": "-1"}, {}),
    "amount in words": ("/may-send", {"amount_eth": "much"}, {}),
    "amount endless": ("/may-send", {"amount_eth": "9" * 100}, {}),
    "form": ("/may-send", {}, {"Content-Type": "text/plain"}),
    "from a web page": ("/may-send", {}, {"Origin": "http://evil.example"}),
    "no id": ("/sent", {}, {}),
    "id a number": ("/sent", {"id": 7}, {}),
    "nonce as text": ("/sent", {"id": "a", "nonce": "7"}, {}),
    "fate unknown": ("/settled", {"id": "a", "fate": "eaten"}, {}),
    "count negative": ("/report", {"open_orders": -1}, {}),
    "count true": ("/report", {"open_orders": True}, {}),
    "nonces as list": ("/report", {"nonces": [7]}, {}),
    "nonce negative": ("/report", {"nonces": {"0xab": -1}}, {}),
    "epoch unknown": ("/confirm-halted", {"held_epoch": 9}, {}),
    "epoch as text": ("/confirm-halted", {"held_epoch": "1"}, {}),
    "permit a number": ("/check", {"permit": 7}, {}),
    "too long": ("/may-send", b" " * (MAX_BODY_BYTES + 1), {}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_a_question_is_answered_with_no_and_why(bot: Bot, name: str) -> None:
    path, body, headers = BAD[name]
    eventually(lambda: bot.ask("/may-send")[1]["allowed"])
    status, answer = bot.ask(path, body, **headers)
    assert status == 400
    assert answer["allowed"] is False
    assert answer["error"]


@pytest.mark.parametrize(
    "head",
    [
        "POST /may-send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n",
        "POST /may-send HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: -1\r\n\r\n",
        "POST /may-send HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: ²\r\n\r\n",
        "POST /may-send HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "POST /may-send HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 999999999999999999999\r\n\r\n",
        "PUT /may-send HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /allow-everything HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        "GET /may-send HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
        "POST /may-send HTTP/9.9\r\n\r\n",
        "POST /" + "x" * 70_000 + " HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_never_answered_with_yes(bot: Bot, head: str) -> None:
    eventually(lambda: bot.ask("/may-send")[1]["allowed"])
    assert bot.connection.sock is not None
    with contextlib.closing(bot.connection.sock) as line, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        line.sendall(head.encode("latin-1", "replace"))
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
        assert b" 200 " not in answer
        assert b'"allowed": true' not in answer


def test_a_body_that_ends_early_is_no_question(bot: Bot) -> None:
    bot.connection.connect()
    assert bot.connection.sock is not None
    with contextlib.closing(bot.connection.sock) as line:
        head = "POST /may-send HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
        line.sendall(head.encode() + b'{"cancels":true}')
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert b" 400 " in answer
    assert b"the body ended early" in answer


def test_health_is_no_sign_of_life_of_the_bot(bot: Bot, server: GateServer) -> None:
    eventually(lambda: bot.health()[0] == 200)
    server.wait_for(lambda: any(renewal["idle_ms"] > 100 for renewal in with_a(server, "idle_ms")))
    server.change(status=503)
    server.hang_up()
    eventually(lambda: bot.health()[1]["errors"]["gate"] == "status 503")
    assert bot.health()[0] == 503


def test_a_fault_of_the_sidecar_is_no_leave_to_send(
    bot: Bot, parts: tuple[Gate, Checker], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(parts[0], "may_send", broken)
    status, answer = bot.ask("/may-send")
    assert status == 500
    assert answer["allowed"] is False


def test_more_connections_than_it_takes_are_hung_up_on(parts: tuple[Gate, Checker]) -> None:
    listening = listen("127.0.0.1:0")
    address = listening.getsockname()
    with Serving(Sidecar(*parts), listening), contextlib.ExitStack() as stack:
        many = [stack.enter_context(socket.create_connection(address, LIMIT_S)) for _ in range(MAX_CONNECTIONS + 1)]
        assert many[-1].recv(1) == b""


def test_without_a_checker_nothing_is_checked(parts: tuple[Gate, Checker]) -> None:
    listening = listen("127.0.0.1:0")
    with Serving(Sidecar(parts[0], None), listening):
        connection = http.client.HTTPConnection("127.0.0.1", listening.getsockname()[1], timeout=LIMIT_S)
        with contextlib.closing(connection):
            assert Bot(connection).ask("/check", {"permit": "x"})[0] == 404


def test_a_unix_socket_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "gate.sock"
    with contextlib.closing(listen(f"unix:{path}")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(AddressError, match="taken"):
            listen(f"unix:{path}")
    with contextlib.closing(listen(f"unix:{path}")):  # left behind by a process that is gone
        assert path.exists()


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0:1", "10.0.0.1:1", "example.org:1", ":1", "127.0.0.1", "127.0.0.1:x", "[::]:1", "unix:relative", ""],
)
def test_it_listens_to_this_machine_only(address: str) -> None:
    with pytest.raises(AddressError):
        listen(address)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("kept")
    with pytest.raises(AddressError, match="not a socket"):
        listen(f"unix:{path}")
    assert path.read_text() == "kept"
    with pytest.raises(AddressError, match="cannot listen"):
        listen(f"unix:{tmp_path / 'missing' / 'gate.sock'}")


def test_pinned_keys_are_read_as_the_backend_names_them() -> None:
    assert read_permit_keys(json.dumps({"k": encode(bytes(32))})) == {"k": bytes(32)}
    for wrong in ("", "[]", "{}", '{"k":"short"}', '{"k":1}'):
        with pytest.raises(StatementError):
            read_permit_keys(wrong)


def test_several_threads_of_a_bot_may_ask_at_once(parts: tuple[Gate, Checker]) -> None:
    listening = listen("127.0.0.1:0")
    port = listening.getsockname()[1]
    wrong: list[Any] = []

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        with contextlib.closing(connection):
            bot = Bot(connection)
            wrong.extend(bot.ask("/may-send") for _ in range(30) if bot.ask("/may-send")[0] != 200)

    with Serving(Sidecar(*parts), listening):
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong
