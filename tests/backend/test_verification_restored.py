"""A ledger restored under running backends: what was lost with it is accounted for, and nothing else is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from backend.audit import apart, doubts, restore
from backend.audit.events import AuditEvent
from backend.audit.heads import rollback
from backend.audit.service import AuditDraft
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.verdicts import Verdict
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app
from tests.support.keeping import keeping, round_of
from tests.support.restoring import bump
from tests.support.verifying import act, findings, keys_of, opened, sequence_once


@pytest.fixture
def place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, with what backends keep beside the database kept there too."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(place))
    return place


class Server:
    """The server under the backends: dumps and restores one database while they hold on to it."""

    def __init__(self, url: str) -> None:
        self.name = urlsplit(url).path.removeprefix("/")
        self.made: list[str] = []

    def _apart(self, *statements: sql.Composed) -> None:
        with psycopg.connect(databases.admin_url(), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.name,)
            )
            for statement in statements:
                connection.execute(statement)

    def dump(self) -> str:
        self._apart()
        name, _ = databases.create_database(self.name)
        self.made.append(name)
        return name

    def restore(self, dump: str) -> None:
        """Put a dump in the place of the database."""
        lost = f"{self.name}_lost"
        self.made.append(lost)
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        self._apart(
            rename.format(sql.Identifier(self.name), sql.Identifier(lost)),
            rename.format(sql.Identifier(dump), sql.Identifier(self.name)),
        )


@pytest.fixture
def server(database_url: str) -> Iterator[Server]:
    server = Server(database_url)
    yield server
    for name in server.made:
        databases.drop_database(name)


@pytest.fixture
async def two(database_url: str, place: Path) -> AsyncIterator[tuple[App, App]]:
    """Two backends on one ledger, each with entries of its own."""
    async with AsyncExitStack() as stack:
        apps = [await stack.enter_async_context(started_app(database_url, sequence=False)) for _ in range(2)]
        for app in apps:
            await acted(app, 3)
        await sequenced_and_signed(apps[0])
        yield apps[0], apps[1]


async def acted(app: App, count: int) -> None:
    for number in range(count):
        await act(app, number)


async def sequenced_and_signed(app: App) -> None:
    await sequence_once(app)
    async with keeping(app) as keeper:
        await round_of(keeper)


async def approved(database_url: str) -> None:
    """Two people approve the restore, with a command beside the backends."""
    async with started_app(database_url, sequence=False) as beside:
        await rollback.check_before_append(beside.runtime)
        async with beside.runtime.database.transaction() as session:
            await restore.restore(
                session, beside.runtime, reason="the disk was lost", requested_by="olga", approved_by="adam"
            )


async def judged(app: App, url: str) -> Result:
    with opened(url) as connection:
        return await asyncio.to_thread(verify, connection, Plan(keys_of(app.runtime), patience_s=0.3))


async def rolled_back(apps: tuple[App, App], server: Server, *, meanwhile: int = 4) -> None:
    """Restore a dump that lacks entries of both, which were promised by later ones."""
    dump = server.dump()
    for app in apps:
        await app.runtime.database.engine.dispose()
        await acted(app, meanwhile)
    await sequenced_and_signed(apps[0])
    server.restore(dump)
    for app in apps:
        await app.runtime.database.engine.dispose()


async def test_what_a_restore_lost_is_accounted_for_and_what_is_removed_later_is_not(
    two: tuple[App, App], server: Server, database_url: str
) -> None:
    busy, _ = two
    await rolled_back(two, server)
    boots = [app.runtime.emitter.boot for app in two]
    await rollback.check_before_append(busy.runtime)
    await acted(busy, 2)  # waits: the fault is open
    await sequence_once(busy)
    assert findings(await judged(busy, database_url), Verdict.COMPLETENESS) == {"waiting"}

    await approved(database_url)
    await sequence_once(busy)
    for app, boot in zip(two, boots, strict=True):
        await acted(app, 3)
        await sequence_once(app)
        assert app.runtime.emitter.boot != boot
    result = await judged(busy, database_url)
    assert not findings(result, Verdict.COMPLETENESS), result.verdicts[Verdict.COMPLETENESS].first

    for app in two:
        await act(app, 90)
        with psycopg.connect(database_url, autocommit=True) as superuser:
            superuser.execute("TRUNCATE audit_outbox")
        await act(app, 91)
        await act(app, 92)
        await sequence_once(app)
    result = await judged(busy, database_url)
    assert result.verdicts[Verdict.COMPLETENESS].findings == 2
    assert findings(result, Verdict.COMPLETENESS) == {"missing"}


async def test_an_entry_spooled_before_a_restore_is_numbered_anew_after_it(
    two: tuple[App, App], server: Server, database_url: str
) -> None:
    busy, _ = two
    runtime = busy.runtime
    dump = server.dump()
    await runtime.database.engine.dispose()
    await acted(busy, 4)
    stamp, generation, at = runtime.emitter.take(), runtime.emitter.generation, runtime.clock.now()
    await sequenced_and_signed(busy)
    server.restore(dump)
    await runtime.database.engine.dispose()
    await approved(database_url)
    draft = AuditDraft(AuditEvent.ALERT_RAISED, "raise an alert", "alert", "1")
    spooled = apart.Spooled(runtime.clock.new_id(), at, stamp, None, generation, SYSTEM, draft)
    await runtime.write_path.spool.append(apart._line(runtime, spooled))
    await apart.replay(runtime, runtime.write_path.spool)
    await acted(busy, 2)
    await sequence_once(busy)
    async with runtime.database.read() as session:
        assert await doubts.numbers(session, [spooled.id])
    result = await judged(busy, database_url)
    assert not findings(result, Verdict.COMPLETENESS), result.verdicts[Verdict.COMPLETENESS].first


async def test_a_generation_that_nobody_approved_makes_no_process_forget_its_promises(
    two: tuple[App, App], database_url: str
) -> None:
    app, _ = two
    boot = app.runtime.emitter.boot
    await act(app, 90)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("TRUNCATE audit_outbox")
    await bump(app, 7)
    await acted(app, 2)
    await sequence_once(app)
    assert app.runtime.emitter.boot == boot
    assert findings(await judged(app, database_url), Verdict.COMPLETENESS) == {"missing"}
