"""Proof of a halt on the simulated floor: the real watcher looks at its chains' nodes, which hear of no freeze."""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from backend.auth import accounts
from backend.context import system_caller
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.freeze import Freeze
from contract.permissions import Permission
from contract.states import HaltState
from simulator.fleet import CHAINS, fleet
from tests.support.app import SWIFT
from tests.support.backends import backend, eventually
from tests.support.holds import tokens
from tests.support.people import ADMIN, EXECUTOR
from tests.support.watching import WATCHER_TOKEN

LIMIT_S = 60.0
"""For things that must happen; how soon is measured elsewhere."""
SEED = 5
LOOKS = 3
"""Of the watcher at chains that are back."""


def watcher_token(database_url: str) -> str:
    async def make() -> str:
        runtime = build_runtime(Settings(database_url=database_url, pool_size=1, policy=SWIFT))
        try:
            async with runtime.database.transaction() as session:
                return await accounts.ensure_service_token(
                    session,
                    runtime,
                    system_caller("test"),
                    name="watcher",
                    permissions=(Permission.OBSERVE_HALTS,),
                    token=WATCHER_TOKEN,
                )
        finally:
            await runtime.database.close()

    return asyncio.run(make())


@dataclass
class Place:
    """A backend, the socket of the nodes, and the real watcher looking there; the simulator comes and goes."""

    url: str
    nodes: socket.socket
    directory: Path
    client: httpx.Client

    @contextlib.contextmanager
    def simulator(self, *options: str) -> Iterator[psutil.Process]:
        """The floor, on chains that are kept in a file."""
        argv = [sys.executable, "-m", "simulator", "--url", self.url, "--token-file", str(self.directory / "token")]
        argv += ["--seed", str(SEED), "--nodes-fd", str(self.nodes.fileno())]
        argv += ["--chains-file", str(self.directory / "chains"), *options]
        with self._process("simulator", argv, pass_fds=[self.nodes.fileno()]) as process:
            yield process

    @contextlib.contextmanager
    def watcher(self) -> Iterator[psutil.Process]:
        """`watchfloor watch evm`, as it is shipped."""
        argv = [sys.executable, "-m", "watchfloor", "watch", "evm", "--url", self.url]
        argv += ["--token-file", str(self.directory / "watcher-token")]
        for chain in CHAINS.values():
            node = f"http://127.0.0.1:{self.nodes.getsockname()[1]}/{chain.name}#{chain.chain_id}"
            argv += ["--chain", f"{chain.name}={node}"]
        with self._process("watcher", argv) as process:
            yield process

    @contextlib.contextmanager
    def _process(self, name: str, argv: list[str], **options: Any) -> Iterator[psutil.Process]:
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(argv, stdout=log, stderr=log, **options)
        try:
            yield psutil.Process(process.pid)
        finally:
            process.kill()
            process.wait()

    def trading(self, count: int) -> None:
        """Wait until so many executors trade."""

        def enough() -> bool | None:
            items = self.client.get("/v1/executors").json()["items"]
            return sum(each["state"] == "trading" for each in items) >= count or None

        eventually(enough, LIMIT_S, f"{count} executors trade")

    def freeze(self, kind: str, name: str = "", mode: str = "halt") -> str:
        """Freeze; returns its id."""
        body = {"scope": {"kind": kind, "name": name}, "reason": "test", "mode": mode}
        answer = self.client.post("/v1/freezes", json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def proofs(self, made: str) -> dict[str, tuple[HaltState, str]]:
        """What is known of each executor."""
        found = Freeze.model_validate(self.client.get(f"/v1/freezes/{made}").json())
        return {one.executor: (one.state, one.proof) for one in found.proofs}

    def reach(self, made: str, wanted: dict[str, HaltState], meanwhile: Callable[[str, HaltState], None]) -> None:
        """Wait until each executor is in a state; `meanwhile` sees every state on the way."""

        def look() -> bool | None:
            states = {name: state for name, (state, _) in self.proofs(made).items()}
            for name, state in states.items():
                meanwhile(name, state)
            return states == wanted or None

        try:
            eventually(look, LIMIT_S, "all are in the states that are wanted")
        except AssertionError as error:
            raise AssertionError(f"{self.proofs(made)}\n{(self.directory / 'watcher.log').read_text()}") from error


@contextlib.contextmanager
def place(database_url: str, directory: Path) -> Iterator[Place]:
    token, admin = tokens(database_url, EXECUTOR, ADMIN)
    for name, text in (("token", token), ("watcher-token", watcher_token(database_url))):
        descriptor = os.open(directory / name, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    with (
        backend(database_url, directory / "backend.log") as server,
        socket.create_server(("127.0.0.1", 0)) as nodes,
        httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {admin}"}, timeout=LIMIT_S) as client,
    ):
        yield Place(server.url, nodes, directory, client)


def test_what_obeys_is_verified_also_when_the_floor_starts_anew(database_url: str, tmp_path: Path) -> None:
    """Two chains, one of them frozen; nobody has to have sent anything before."""
    frozen, other = fleet(SEED, 2)
    with place(database_url, tmp_path) as here, here.watcher():
        with here.simulator("--executors", "2", "--speed", "5"):
            here.trading(2)
            made = here.freeze("chain", frozen.chain.name)
            here.reach(made, {frozen.name: HaltState.VERIFIED}, lambda *_: None)
            [(_, proof)] = here.proofs(made).values()
            assert "unchanged" in proof
            whole = here.freeze("global")
            verified = {each.name: HaltState.VERIFIED for each in (frozen, other)}
            here.reach(whole, verified, lambda *_: None)
        nonces = (tmp_path / "chains").read_text()
        with here.simulator("--executors", "2", "--speed", "5"):
            log = tmp_path / "simulator.log"
            eventually(lambda: log.read_text().count("trading with") == 2 or None, LIMIT_S, "it trades again")
            for _ in range(LOOKS):
                wait_for_a_look(database_url, 2)
            here.reach(whole, verified, lambda _, state: refuse(state, HaltState.VIOLATION))
        assert last_nonces(nonces) == last_nonces((tmp_path / "chains").read_text())


def wait_for_a_look(database_url: str, wallets: int) -> None:
    """Wait until a second source has seen so many wallets since now."""
    newer = "SELECT count(DISTINCT subject) FROM halt_observations WHERE seen_at > %s"
    with psycopg.connect(database_url, autocommit=True) as connection:
        [now] = connection.execute("SELECT clock_timestamp()").fetchone() or [None]
        eventually(lambda: connection.execute(newer, [now]).fetchone() == (wallets,) or None, LIMIT_S, "a look")


def last_nonces(kept: str) -> dict[str, int]:
    """How many transactions each wallet has, by a file of the chains."""
    found: dict[str, int] = {}
    for line in map(json.loads, kept.splitlines()[1:]):
        found[line["wallet"]] = (
            line["nonce"] + 1 if "nonce" in line else max(line["count"], found.get(line["wallet"], 0))
        )
    return found


def refuse(state: HaltState, refused: HaltState) -> None:
    assert state is not refused


def test_who_goes_on_is_a_violation_who_is_gone_or_hangs_is_never_verified(database_url: str, tmp_path: Path) -> None:
    """One bot signs that it has halted and sends all the same, without a word: only the chain can tell."""
    specs = fleet(SEED, 6)
    liar, gone, hung = "arbitrum-arb-1", "ethereum-liq-1", "zksync-arb-1"
    wanted = {spec.name: HaltState.VERIFIED for spec in specs}
    wanted |= {liar: HaltState.VIOLATION, gone: HaltState.EXPIRED, hung: HaltState.EXPIRED}
    never = {(name, HaltState.VERIFIED) for name in (liar, gone, hung)}
    with (
        place(database_url, tmp_path) as here,
        here.watcher(),
        here.simulator("--executors", "6", "--speed", "20", "--scenario", "unruly-bots"),
    ):
        here.trading(5)
        eventually(lambda: is_silent(here, gone) or None, LIMIT_S, f"{gone} is gone")
        made = here.freeze("global", mode="cancel-all")

        def check(name: str, state: HaltState) -> None:
            assert (name, state) not in never

        here.reach(made, wanted, check)
        proof = here.proofs(made)[liar][1]
        assert "was the last signed" in proof
        assert "nonce" in proof


def is_silent(here: Place, name: str) -> bool:
    items = here.client.get("/v1/executors").json()["items"]
    return any(each["name"] == name and each["state"] == "silent" for each in items)
