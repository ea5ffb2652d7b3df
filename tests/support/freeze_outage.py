"""Freezes a floor whose PostgreSQL is away, restarts everything, and looks whether the hold is there: once, in time.

`python -m tests.support.freeze_outage RUNS SEED` does it many times, with a server and backends of its own.
"""

import asyncio
import base64
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from backend import migrate
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.freeze import Freeze, FreezeStatus
from tests.support.backends import Backend, backend, eventually
from tests.support.lasting import LastingPostgres
from tests.support.people import EXECUTOR, OFFICER, sign_in
from tests.support.places import public_directory

PATIENCE_S = 60.0
"""Far above anything normal, so that a busy machine does not fail a run."""
_CALL_LIMIT_S = 30.0


@dataclass
class Ground:
    """A server of its own and everything that several backends on it share."""

    server: LastingPostgres
    directory: Path
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The database, also after the server was killed and started again."""
        return self.server.url("watchfloor")

    def env(self, name: str) -> dict[str, str]:
        """The settings of one backend; backends of other names have other data directories."""
        data = self.directory / name
        return {"WATCHFLOOR_DATA_DIR": str(data), "WATCHFLOOR_MASTER_KEY_FILE": str(self.directory / "master.key")}

    @contextmanager
    def backend(self, name: str = "a") -> Iterator[Backend]:
        """A backend process on this ground."""
        with backend(self.url, self.directory / f"{name}.log", env=self.env(name)) as process:
            yield process

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            return connection.execute(statement, values).fetchall()


@contextmanager
def ground() -> Iterator[Ground]:
    """A migrated database on a server that may be killed, with people signed in."""
    with public_directory() as home, tempfile.TemporaryDirectory(prefix="wf-outage-") as private:
        server = LastingPostgres(home / "pg", Path(private) / "socket")
        server.start()
        try:
            made = Ground(server, Path(private))
            migrate.upgrade(made.url.replace("postgresql://", "postgresql+psycopg://", 1))
            made.tokens = asyncio.run(_signed_in(made))
            yield made
        finally:
            server.go_on()
            server.stop()


async def _signed_in(made: Ground) -> dict[str, str]:
    config = Settings(
        database_url=made.url, pool_size=1, data_dir=made.directory / "arranging",
        master_key_file=made.directory / "master.key",
    )  # fmt: skip
    runtime = build_runtime(config)
    try:
        return {person.name: await sign_in(runtime, person) for person in (OFFICER, EXECUTOR)}
    finally:
        await runtime.database.close()


def post_freeze(made: Ground, at: Backend, scope: str, **body: object) -> tuple[int, Freeze]:
    """Freeze over HTTP; gives the status and what was answered."""
    kind, _, name = scope.partition(":")
    asked = {"scope": {"kind": kind, "name": name}, "reason": "losses nobody can explain"} | body
    headers = {"authorization": f"Bearer {made.tokens[OFFICER.name]}"}
    answer = httpx.post(f"{at.url}/v1/freezes", json=asked, headers=headers, timeout=_CALL_LIMIT_S)
    assert answer.is_success, f"a freeze was refused: {answer.text}"
    return answer.status_code, Freeze.model_validate(answer.json())


def may_send(made: Ground, at: Backend, name: str, chain: str) -> bool | None:
    """Whether a backend lets an executor send; None while it gives no permit at all."""
    request = {
        "executor": name, "chain": chain, "strategy": "arbitrage", "wallet": f"0x{name}", "boot_id": "b1",
        "request_no": time.monotonic_ns() // 1_000,
    }  # fmt: skip
    headers = {"authorization": f"Bearer {made.tokens[EXECUTOR.name]}"}
    try:
        answer = httpx.post(f"{at.url}/v1/gate/renew", json=request, headers=headers, timeout=_CALL_LIMIT_S)
    except httpx.TransportError:
        return None
    if answer.status_code != httpx.codes.OK:
        assert answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR, answer.text
        return None
    said = answer.json()
    claims = _payload(said["permit"]) if "permit" in said else said
    return claims["mode"] is None or claims["mode"] == "reduce-only"


def _payload(statement: str) -> dict[str, Any]:
    middle = statement.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return claims


def latched_at(at: Backend) -> int | None:
    """How many freezes wait at a backend that is ready; None while it is not."""
    answer = httpx.get(f"{at.url}/readyz", timeout=_CALL_LIMIT_S)
    return int(answer.json()["freezes"]["latched"]) if answer.status_code == httpx.codes.OK else None


def is_one_hold(made: Ground, ident: str) -> bool | None:
    """Whether the database has the hold, and its entry, exactly once; None while either is not there."""
    held = made.rows("SELECT number, status FROM freezes WHERE id = %s", ident)
    if not held:
        return None
    ((number, status),) = held
    entries = made.rows(
        "SELECT event_type, count(*) FROM audit_entries WHERE resource_id = ANY(%s)"
        " AND event_type LIKE 'freeze.hold.%%' GROUP BY event_type",
        [f"FRZ-{number:04d}", ident],
    )
    told = dict(entries)
    if "freeze.hold.created" not in told or "freeze.hold.latched" not in told:
        return None
    return status == "active" and told == {"freeze.hold.created": 1, "freeze.hold.latched": 1}


def one_run(made: Ground, number: int, chance: random.Random) -> str:
    """Freeze while the server is away, kill the backend, restart both; returns what was done, for whoever reads along.

    Raises:
        AssertionError: the hold is lost, doubled, or somebody was let send between the answer and the hold.
    """
    chain, bot = f"chain-{number}", f"bot-{number}"
    hangs = chance.random() < 0.3
    twice = chance.random() < 0.3
    with made.backend() as first:
        eventually(lambda: may_send(made, first, bot, chain) or None, PATIENCE_S, "a permit while all is well")
        (made.server.stand_still if hangs else made.server.kill)()
        status, frozen = post_freeze(made, first, f"chain:{chain}", idempotency_key=f"run-{number}")
        assert (status, frozen.status, frozen.kept) == (202, FreezeStatus.LATCHED, True)
        if twice:
            again, same = post_freeze(made, first, f"chain:{chain}", idempotency_key=f"run-{number}")
            assert (again, same.id) == (202, frozen.id)
        first.send(signal.SIGKILL)
        first.wait()
    if hangs:
        made.server.kill()
    with made.backend() as second:
        assert may_send(made, second, bot, chain) is None
        if chance.random() < 0.5:
            time.sleep(chance.random())
        made.server.start()
        let: set[bool] = set()

        def settled() -> bool | None:
            found = may_send(made, second, bot, chain)
            let.update(set() if found is None else {found})
            return is_one_hold(made, frozen.id)

        whole, took_s = eventually(lambda: _when_up(settled), PATIENCE_S, "the hold in the database and the ledger")
        assert whole, "the hold or its entries are there twice"
        assert True not in let, "somebody was let send after the freeze was answered"
        assert latched_at(second) in {0, None}
    return f"{'stopped' if hangs else 'killed'}{', asked twice' if twice else ''}: in the ledger after {took_s:.1f} s"


def _when_up(look: Any) -> Any:
    try:
        return look()
    except psycopg.OperationalError:  # the server starts
        return None


def main(runs: int, seed: int) -> int:
    """Do many runs; says of each how it went."""
    chance = random.Random(seed)  # noqa: S311  a plan of runs, no secret
    failed = 0
    with ground() as made:
        for number in range(1, runs + 1):
            began = time.monotonic()
            try:
                told = one_run(made, number, chance)
            except AssertionError as error:
                failed += 1
                told = f"FAILED: {error}"
                made.server.go_on()
                made.server.start()
            sys.stdout.write(f"run {number} ({time.monotonic() - began:.1f} s): {told}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{runs} runs with seed {seed}: {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("WATCHFLOOR_LOG_LEVEL", "warning")
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
