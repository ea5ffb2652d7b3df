"""Adapters as processes between real backends and software that asks no gate: freezes, thaws, restarts, outages."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from contract.freeze import Freeze
from tests.support import freqtrade
from tests.support.backends import Backend, backend
from tests.support.binance_mock import BinanceMock
from tests.support.holds import approve, ask_for_thaw, freeze, tokens
from tests.support.people import ADMIN, EXECUTOR, OFFICER
from tests.support.processes import until

LIMIT_S = 120.0
"""A bot's cycle on a machine that is busy with other tests."""
PLACE = ["--executor", "bot-1", "--chain", "binance", "--strategy", "always", "--wallet", "account-1"]


@dataclass
class Floor:
    """A backend, and who may do what there."""

    server: Backend
    database_url: str
    machine: str
    admin: str
    officer: str

    def freeze(self, mode: str = "halt") -> Freeze:
        made: Freeze = asyncio.run(self._as(self.admin, lambda client: freeze(client, "chain:binance", mode=mode)))
        return made

    def thaw(self, ref: str) -> None:
        assert asyncio.run(self._as(self.admin, lambda client: ask_for_thaw(client, ref))).is_success
        assert asyncio.run(self._as(self.officer, lambda client: approve(client, ref))).is_success

    def proof(self, made: Freeze) -> dict[str, Any]:
        """What the board says of the executor under a freeze."""
        found = asyncio.run(self._as(self.admin, lambda client: client.get(f"/v1/freezes/{made.ref}"))).json()
        [proof] = [one for one in found["proofs"] if one["executor"] == "bot-1"] or [{"state": "none"}]
        return dict(proof)

    def becomes(self, made: Freeze, *states: str) -> dict[str, Any]:
        end = time.monotonic() + LIMIT_S
        while (proof := self.proof(made))["state"] not in states:
            assert time.monotonic() < end, proof
            time.sleep(0.1)
        return proof

    def said(self) -> list[Any]:
        """Everything that was signed: last order, how many in flight, how many open."""
        with psycopg.connect(self.database_url.replace("+psycopg", "")) as connection:
            return connection.execute(
                "SELECT last_order_seq, in_flight, open_orders FROM halt_acks ORDER BY acked_at"
            ).fetchall()

    async def _as(self, token: str, act: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers, timeout=LIMIT_S) as client:
            return await act(client)


@pytest.fixture
def floor(database_url: str, tmp_path: Path) -> Iterator[Floor]:
    machine, admin, officer = tokens(database_url, EXECUTOR, ADMIN, OFFICER)
    with backend(database_url, tmp_path / "backend.log") as server:
        yield Floor(server, database_url, machine, admin, officer)


@dataclass
class Running:
    """An adapter's process, and what it has written down."""

    process: subprocess.Popen[bytes]
    evidence: Path
    seen: int = field(default=0)

    def lines(self) -> list[dict[str, Any]]:
        text = self.evidence.read_text() if self.evidence.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def wrote(self, what: str, note: str = "") -> bool:
        """Whether it has written such a line since the last time it had."""
        for number, line in enumerate(self.lines()[self.seen :], self.seen + 1):
            if line["what"] == what and note in line["note"]:
                self.seen = number
                return True
        return False


@contextmanager
def adapter(floor: Floor, directory: Path, *arguments: str) -> Iterator[Running]:
    """Start one, and wait until it has been told that nothing is held."""
    token, evidence = directory / "token", directory / "evidence.jsonl"
    token.touch(mode=0o600)
    token.write_text(floor.machine)
    argv = [sys.executable, "-m", "watchfloor", "adapter", arguments[0], "--url", floor.server.url]
    argv += ["--token-file", str(token), "--evidence", str(evidence), *PLACE, *arguments[1:]]
    with (directory / "adapter.log").open("ab") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
    try:
        running = Running(process, evidence)
        until(lambda: running.wrote("release") or process.poll() is not None, "it has permits")
        assert process.poll() is None, (directory / "adapter.log").read_text()
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0, (directory / "adapter.log").read_text()
        assert "Traceback" not in (directory / "adapter.log").read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def switch(directory: Path) -> tuple[Path, list[str]]:
    """Software that runs while a file is there, and the commands for it."""
    runs = directory / "runs"
    runs.touch()
    check = [sys.executable, "-c", f"import pathlib, sys; sys.exit(pathlib.Path({str(runs)!r}).exists())"]
    commands = ["--halt", f"rm -f {runs}", "--check", " ".join([check[0], "-c", repr(check[2])])]
    return runs, commands


def test_commands_halt_confirm_and_resume_what_they_halted(floor: Floor, tmp_path: Path) -> None:
    runs, commands = switch(tmp_path)
    with adapter(floor, tmp_path, "command", *commands, "--resume", f"touch {runs}"):
        assert runs.exists()
        made = floor.freeze()
        proof = floor.becomes(made, "acked")
        assert "unknown" in proof["proof"]
        assert not runs.exists()
        assert floor.said() == [(0, None, None)]
        runs.touch()
        until(lambda: not runs.exists(), "it is stopped again")
        floor.thaw(made.ref)
        until(runs.exists, "it runs again")


def test_without_a_backend_it_is_halted_once_permits_have_been_dead_for_as_long_as_was_said(
    floor: Floor, tmp_path: Path
) -> None:
    runs, commands = switch(tmp_path)
    with adapter(floor, tmp_path, "command", *commands, "--lost-after", "1"):
        assert runs.exists()
        floor.server.send(signal.SIGSTOP)
        until(lambda: not runs.exists(), "it is halted")
        floor.server.send(signal.SIGCONT)


def test_what_cannot_be_checked_is_delivered_and_never_more(floor: Floor, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("whsec_" + "QUJD" * 12)
    arguments = ["webhook", "--halt-url", "http://127.0.0.1:9/halt", "--secret-file", str(secret)]
    with adapter(floor, tmp_path, *arguments) as running:
        made = floor.freeze()
        until(lambda: running.wrote("stop"), "it was told")
        floor.becomes(made, "delivered", "expired")
        assert floor.said() == []


@pytest.fixture
def login(tmp_path: Path) -> Path:
    path = tmp_path / "login"
    path.touch(mode=0o600)
    path.write_text(":".join(freqtrade.LOGIN))
    return path


def until_long(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.1)


def test_a_real_bot_is_halted_confirmed_stopped_again_after_a_restart_and_resumed(
    floor: Floor, tmp_path: Path, login: Path
) -> None:
    freqtrade.needed()
    with (
        BinanceMock(20, book_delay_s=0.05) as venue,
        freqtrade.bot(tmp_path / "bot", venue, initial_state="running") as bot,
        adapter(floor, tmp_path, "freqtrade", "--api", bot.url, "--login-file", str(login), "--cycle", "1", "--resume"),
    ):
        until_long(lambda: len(bot.sent_at_ms()) >= 3, "it trades")
        made = floor.freeze()
        floor.becomes(made, "acked", "quiesced")
        assert bot.state == "stopped"
        sent = len(bot.sent_at_ms())
        [(last, _, resting)] = floor.said()
        assert (last, resting) == (sent, sum(order["is_open"] for order in bot.orders()))

        bot.end(signal.SIGKILL)
        bot.start()
        until_long(lambda: bot.state == "stopped", "it is stopped again")
        assert bot.ask("GET", "/locks")["lock_count"] >= 1
        assert len(bot.sent_at_ms()) == sent
        assert floor.proof(made)["state"] != "violation"

        floor.thaw(made.ref)
        until_long(lambda: bot.state == "running", "it is started again")
        until_long(lambda: len(bot.sent_at_ms()) > sent, "it trades again")
        assert bot.ask("GET", "/locks")["lock_count"] == 0


def test_a_real_bots_resting_orders_are_taken_back_and_modes_follow_one_another(
    floor: Floor, tmp_path: Path, login: Path
) -> None:
    freqtrade.needed()
    with (
        BinanceMock(4) as venue,
        freqtrade.bot(tmp_path / "bot", venue, price="0.6", initial_state="running") as bot,
        adapter(floor, tmp_path, "freqtrade", "--api", bot.url, "--login-file", str(login), "--cycle", "1"),
    ):
        until_long(lambda: len(bot.sent_at_ms()) == 4, "its orders rest")
        first = floor.freeze("reduce-only")
        floor.becomes(first, "acked", "quiesced")
        assert bot.state == "paused"
        second = floor.freeze("cancel-all")
        until_long(lambda: bot.state == "stopped", "it is stopped")
        proof = floor.becomes(second, "quiesced")
        assert bot.sent_at_ms() == []
        assert proof["state"] == "quiesced"
        floor.thaw(second.ref)
        floor.thaw(first.ref)
        until_long(lambda: bot.ask("GET", "/locks")["lock_count"] == 0, "it is let go")
        assert bot.state == "stopped"


def test_a_bot_that_does_not_answer_is_not_said_to_have_halted(floor: Floor, tmp_path: Path, login: Path) -> None:
    api = ["--api", "http://127.0.0.1:9", "--login-file", str(login)]
    with adapter(floor, tmp_path, "freqtrade", *api) as running:
        made = floor.freeze()
        floor.becomes(made, "expired")
        until(lambda: running.wrote("stop", "Connect"), "it says so")
        assert floor.said() == []
