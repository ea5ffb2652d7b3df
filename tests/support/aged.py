"""A ledger with small partitions whose entries are years old, and everything that lets them be dropped."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import text

from backend.audit import ledger_rows
from backend.audit.events import AuditEvent
from backend.audit.retention.keeper import Keeper
from backend.audit.retention.report import report
from backend.audit.service import AuditDraft, record
from backend.audit.verification.periods import seal_due
from backend.context import Caller
from backend.stores import Store, open_stores
from contract.retention import LogRetention, RetentionReport
from tests.support.app import AloneLead, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import settled
from tests.support.vouched import sign_heads

WIDTH = 16
"""Entries of one partition here."""
LOG = "3y"
"""Nothing but the tests writes to it: its events are those of executors."""


@dataclass
class Aged:
    """A backend on such a ledger."""

    app: App
    clock: SetClock
    places: tuple[Path, Path]

    @property
    def stores(self) -> Sequence[Store]:
        return open_stores(self.app.runtime.settings.archives)

    def keeper(self, stores: Sequence[Store] | None = None) -> Keeper:
        """Who sees to retention."""
        return Keeper(self.app.runtime, AloneLead(), self.stores if stores is None else stores)

    async def write(self, count: int, *, name: str = "olga", noise: bool = False) -> list[UUID]:
        """Record acts of a person, each with two personal values; with noise each has 20 KB that cannot be packed."""
        caller = Caller(name, "user", "mev_operator", frozenset(), "req-1", ip="192.0.2.7", user_agent="test")
        written = []
        for number in range(count):
            async with self.app.runtime.database.transaction() as session:
                told = {"n": number} | (_noise(number) if noise else {})
                draft = AuditDraft(AuditEvent.EXECUTOR_MOVED, "move", "executor", f"e{number}", new_value=told)
                written.append(await record(session, self.app.runtime, caller, draft))
        await settled(self.app)
        return written

    async def seal(self) -> None:
        """Seal the periods that are over."""
        self.clock.pass_(days=2)
        async with self.app.runtime.database.transaction() as session:
            await seal_due(session, self.app.runtime)
        await settled(self.app)

    async def sign(self, *, witnessed: bool = True) -> None:
        """Have every head signed, and held by a witness."""
        await sign_heads(self.app, witnessed=witnessed)

    def grow_old(self) -> None:
        """Let the retention of the log pass."""
        self.clock.at += timedelta(days=self.app.runtime.policy.audit_days[LOG] + 1)

    async def report(self) -> RetentionReport:
        async with self.app.runtime.database.read() as session:
            return await report(session, self.app.runtime)

    async def standing(self) -> LogRetention:
        """The report on the one log."""
        return next(one for one in (await self.report()).logs if one.log == LOG)

    async def held_back_by(self) -> str:
        """What holds back the log's oldest partition."""
        standing = (await self.standing()).next
        assert standing is not None
        return "; ".join(standing.held_back_by)

    async def count(self, statement: str) -> int:
        """A number of the database."""
        async with self.app.runtime.database.read() as session:
            return int((await session.execute(text(statement), {"log": LOG})).scalar_one())

    async def entries(self) -> int:
        """How many entries the log holds."""
        return await self.count("SELECT count(*) FROM audit_entries WHERE log = :log")

    async def ready(self, count: int = 2 * WIDTH + 8, *, noise: bool = False) -> list[UUID]:
        """Everything that lets two full partitions be dropped, but time."""
        written = await self.write(count, noise=noise)
        await self.seal()
        await self.sign()
        return written


def _noise(number: int) -> dict[str, str]:
    return {f"noise{part}": Random(number * 10 + part).randbytes(1_950).hex() for part in range(5)}  # noqa: S311  filler


@asynccontextmanager
async def aged(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    """Start a backend on such a ledger, with two places for copies."""
    places = (tmp_path / "here", tmp_path / "there")
    for place in places:
        place.mkdir(exist_ok=True)
    monkeypatch.setattr(ledger_rows, "PARTITION_ENTRIES", WIDTH)
    monkeypatch.setenv("WATCHFLOOR_ARCHIVES", " ".join(f"dir:{place}" for place in places))
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        yield Aged(app, clock, places)
