"""`watchfloor gate sidecar` as a process of its own, asked as a bot would ask it."""

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate_server import LIMIT_S, TOKEN, GateServer, eventually

PLACE = ["--executor", "bot-1", "--chain", "arbitrum", "--strategy", "arbitrage", "--wallet", "0xab"]


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "watchfloor", "gate", "sidecar", *arguments]


def test_it_answers_until_it_is_told_to_end(server: GateServer, token_file: Path) -> None:
    arguments = ["--url", server.url, "--token-file", str(token_file), "--listen", "127.0.0.1:0", "--check", *PLACE]
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)

        def allowed() -> bool:
            connection.request("POST", "/may-send", b"{}", {"Content-Type": "application/json"})
            return bool(json.loads(connection.getresponse().read())["allowed"])

        eventually(allowed)
        server.freeze()
        eventually(lambda: not allowed())
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    assert set(server.paths) == {"/v1/gate/connect", "/v1/gate/watch"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--listen", "127.0.0.1:0"], 2, "Name an executor"),
        (["--listen", "127.0.0.1:0", "--executor", "bot-1"], 2, "--chain, --strategy, --wallet"),
        (["--listen", "0.0.0.0:0", "--check"], 3, "not loopback"),
        (["--listen", "127.0.0.1:0", "--check", "--token-file", "missing"], 3, "cannot be read"),
        (["--listen", "127.0.0.1:0", "--check", "--permit-keys", __file__], 3, "not JSON"),
        (["--listen", "127.0.0.1:0", "--check", "--url", "http://10.1.2.3"], 3, "use https"),
    ],
)
def test_a_wrong_set_up_is_one_line(token_file: Path, arguments: list[str], code: int, said: str) -> None:
    given = ["--url", "http://127.0.0.1:1", "--token-file", str(token_file), *arguments]
    done = subprocess.run(command(*given), capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == code
    assert said in done.stderr
    assert TOKEN not in done.stderr
    assert "Traceback" not in done.stderr
