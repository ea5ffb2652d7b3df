"""Adapters as processes, and a backend that freezes what they stand for."""

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

from backend.runtime import build_runtime
from backend.settings import Settings
from contract.freeze import Freeze
from tests.support.backends import Backend, backend
from tests.support.holds import approve, ask_for_thaw, freeze, tokens
from tests.support.people import ADMIN, EXECUTOR, OFFICER
from tests.support.processes import until
from tests.support.touches import Touching

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
        assert asyncio.run(self._approved(ref)).is_success

    def proof(self, made: Freeze) -> dict[str, Any]:
        """What the board says of the executor under a freeze."""
        found = asyncio.run(self._as(self.admin, lambda client: client.get(f"/v1/freezes/{made.ref}"))).json()
        [proof] = [one for one in found["proofs"] if one["executor"] == "bot-1"] or [{"state": "none"}]
        return dict(proof)

    def proofs(self, ref: str) -> list[dict[str, Any]]:
        """What the board says under a hold."""
        found = asyncio.run(self._as(self.admin, lambda client: client.get(f"/v1/freezes/{ref}")))
        return list(found.json()["proofs"])

    def drill(self) -> dict[str, Any]:
        """Begin a freeze drill of the executor."""
        body = {"scopes": [{"kind": "executor", "name": "bot-1"}], "reason": "quarterly drill"}
        answer = asyncio.run(self._as(self.admin, lambda client: client.post("/v1/freezes/drills", json=body)))
        assert answer.is_success, answer.text
        return dict(answer.json())

    def ended(self, drill: dict[str, Any]) -> dict[str, Any]:
        """A drill once it has ended."""
        end, path = time.monotonic() + LIMIT_S, f"/v1/freezes/drills/{drill['ref']}"
        while True:
            found = asyncio.run(self._as(self.admin, lambda client: client.get(path))).json()
            if found["ended_at"] is not None:
                return dict(found)
            assert time.monotonic() < end, found
            time.sleep(0.1)

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

    async def _approved(self, ref: str) -> httpx.Response:
        runtime = build_runtime(Settings(database_url=self.database_url, pool_size=1))
        try:
            answer: httpx.Response = await self._as(
                self.officer, lambda client: approve(client, ref), auth=Touching(runtime)
            )
        finally:
            await runtime.database.close()
        return answer

    async def _as(
        self, token: str, act: Callable[[httpx.AsyncClient], Awaitable[Any]], auth: httpx.Auth | None = None
    ) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers, auth=auth, timeout=LIMIT_S) as client:
            return await act(client)


@contextmanager
def floors(database_url: str, log: Path) -> Iterator[Floor]:
    """A backend process on a database."""
    machine, admin, officer = tokens(database_url, EXECUTOR, ADMIN, OFFICER)
    with backend(database_url, log) as server:
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


def until_long(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.1)
