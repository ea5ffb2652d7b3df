"""The commands as processes: what they say, that health is told, that they end at once, that they keep secrets."""

import json
import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.freeze import HaltState
from tests.support.anvil import CHAIN_ID, anvil
from tests.support.app import App
from tests.support.holds import freeze
from tests.support.people import EXECUTOR, sign_in
from tests.support.watching import WATCHER_TOKEN, Floor, open_floor, until

KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
STOP_LIMIT_S = 10.0
"""Far above the second that is promised, for a busy machine."""


@pytest.fixture
async def floor(app: App) -> AsyncIterator[Floor]:
    async with open_floor(app) as opened:
        yield opened


class Process:
    """One command that runs; its lines as they come."""

    def __init__(self, arguments: list[str]) -> None:
        argv = [sys.executable, "-m", "watchfloor", *arguments]
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        self.process = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.lines: list[dict[str, Any]] = []
        self._raw: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._raw.put(line)

    def said(self, state: str) -> list[dict[str, Any]]:
        while not self._raw.empty():
            self.lines.append(json.loads(self._raw.get()))
        return [line for line in self.lines if line["state"] == state]

    def arguments(self) -> str:
        return Path(f"/proc/{self.process.pid}/cmdline").read_text()

    def end(self) -> tuple[int, str, float]:
        """End it by SIGTERM: exit code, what stood on stderr, seconds."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_LIMIT_S)
        took = time.monotonic() - began
        self._reader.join(STOP_LIMIT_S)
        assert self.process.stderr is not None
        return code, self.process.stderr.read(), took


@contextmanager
def command(*arguments: str) -> Iterator[Process]:
    made = Process(list(arguments))
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.wait()
        for stream in (made.process.stdout, made.process.stderr):
            assert stream is not None
            stream.close()


def secret(path: Path, text: str) -> str:
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    path.write_text(f"{text}\n")
    return str(path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


async def test_both_commands_together_prove_a_paused_contract(floor: Floor, tmp_path: Path) -> None:
    await floor.watcher_token()
    token = secret(tmp_path / "token", await sign_in(floor.app.runtime, EXECUTOR))
    watcher_token = secret(tmp_path / "watcher", WATCHER_TOKEN)
    key, port = secret(tmp_path / "key", KEY), free_port()
    with anvil() as chain:
        vault = chain.deploy_vault(owner=chain.accounts[1])
        rpc = f"{chain.url}#{CHAIN_ID}"
        node = secret(tmp_path / "node", rpc)
        watch = ["watch", "evm", "--url", floor.url, "--token-file", watcher_token, "--chain", f"arbitrum=@{node}"]
        adapt = ["adapter", "pausable", "--url", floor.url, "--token-file", token, "--name", "vault", "--key-file", key]
        place = ["--scope", "chain:arbitrum+strategy:arbitrage", "--rpc", rpc, "--contract", vault]
        with (
            command(*watch, "--every", "0.1", "--listen", f"127.0.0.1:{port}") as watcher,
            command(*adapt, *place, "--every", "0.1", "--stale-after", "3600") as adapter,
        ):
            await until(lambda: watcher.said("nothing to watch") and watcher.said("answers"), "the watcher is ready")
            async with httpx.AsyncClient(trust_env=False) as client:
                health = (await client.get(f"http://127.0.0.1:{port}/healthz")).json()
            assert health["ok"], health
            await until(lambda: adapter.said("ready"), "the adapter is ready")
            made = await freeze(floor.admin, "global")
            await until(lambda: chain.nonce(chain.accounts[1], "pending") == 1, "pause() is sent")
            await floor.reaches(made, "vault", HaltState.VERIFIED, chain.mine)
            assert chain.paused(vault)
            for one in (watcher, adapter):
                arguments = one.arguments()
                code, errors, took = one.end()
                assert code == 0, errors
                told = json.dumps(one.lines) + errors + arguments
                assert KEY not in told
                assert "wfs_" not in told
                assert took < STOP_LIMIT_S


@pytest.mark.parametrize("name", ["evm", "pausable"])
def test_what_a_command_can_prove_is_told_in_a_paragraph(name: str) -> None:
    group = {"evm": "watch", "pausable": "adapter"}[name]
    with command(group, name, "--describe") as told:
        assert told.process.wait(60) == 0
        told._reader.join()
        text = "".join(told._raw.queue)
    assert "cannot know" in text.replace("\n", " ")


def test_wrong_settings_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from watchfloor.commands import dispatch

    token = secret(tmp_path / "token", "wfs_x")
    shared = Path(secret(tmp_path / "shared", "wfs_y"))
    shared.chmod(0o644)
    node = ["--chain", "arbitrum=http://127.0.0.1:1/key"]
    for arguments, words in (
        (["--token-file", str(shared), *node], "can be read by others"),
        (["--token-file", token, "--agree", "2", *node], "2 nodes have to agree and arbitrum has 1"),
        (["--token-file", token, "--chain", "nonsense"], "NAME=URL"),
        (["--token-file", token, "--url", "http://backend.example", *node], "in the clear"),
        (["--token-file", token, "--listen", "0.0.0.0:1", *node], "this machine only"),
    ):
        assert dispatch(["watch", "evm", *arguments]) == 3
        said = capsys.readouterr()
        assert words in said.err
        assert len(said.err.splitlines()) == 1
        assert "key" not in said.err
