"""When the audit log cannot be written: what has to be recorded does not happen, the rest waits in a local file."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import doubts
from backend.audit.apart import NotRecordedError, record_apart, replay
from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.context import Runtime
from backend.runtime import build_runtime
from backend.settings import Settings
from backend.spool import SpoolError
from backend.write_path import PUSH_BACK_FROM
from contract.audit import AuditResult
from contract.freeze import Freeze
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app
from tests.support.holds import stored
from tests.support.ledger import settled
from tests.support.ledger_check import look
from tests.support.outage import outage
from tests.support.people import ADMIN, OPERATOR

OPERATIONS = AuditDraft("executors.process.moved", "move executor", result=AuditResult.DENIED)
SECURITY = AuditDraft("auth.permission.denied", "freeze", result=AuditResult.DENIED)


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))


@pytest.fixture
async def app(database_url: str, _own_directory: None) -> AsyncIterator[App]:
    async with started_app(database_url) as running:
        yield running


@asynccontextmanager
async def refusing(url: str) -> AsyncIterator[None]:
    """Have the outbox refuse every entry."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$"
        )
        await connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_outbox FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        try:
            yield
        finally:
            await connection.execute("DROP TRIGGER refuse ON audit_outbox")


def _count(url: str, what: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()  # noqa: S608  our own words
    return int(row[0]) if row else 0


async def test_no_entry_no_action(app: App, database_url: str) -> None:
    admin, operator = await app.as_(ADMIN), await app.as_(OPERATOR)
    freeze = {"scope": {"kind": "chain", "name": "arbitrum"}, "reason": "losses nobody can explain"}
    people = _count(database_url, "sessions")
    async with refusing(database_url):
        latched = await admin.post("/v1/freezes", json=freeze)  # must not be refused: it waits, out of the database
        assert latched.status_code == 202
        assert (await operator.get("/v1/audit")).status_code == 503
        assert (await admin.get("/v1/audit")).status_code >= 500  # searching is an act too
        login = {"username": "nobody", "password": "wrong", "totp": "000000"}
        assert (await app.http.post("/v1/auth/login", json=login)).status_code >= 500
        assert _count(database_url, "freezes") == 0
    assert _count(database_url, "sessions") == people
    assert (await stored(admin, Freeze.model_validate(latched.json()))).ref == "FRZ-0001"
    await settled(app)
    assert look(database_url).faults == []


async def test_what_concerns_security_is_refused_and_what_concerns_operations_waits(
    app: App, database_url: str
) -> None:
    with outage(database_url):
        with pytest.raises(NotRecordedError):
            await record_apart(app.runtime, SYSTEM, SECURITY)
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
        held = app.runtime.write_path.spool.file.path.read_bytes()
        assert held.count(b"\n") == 2
        assert b"executor" not in held
    await _emptied(app.runtime)
    await settled(app)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT canon FROM audit_entries WHERE event_type = %s", (OPERATIONS.event_type,)
        ).fetchall()
    assert len(rows) == 2
    assert look(database_url).faults == []
    assert app.runtime.emitter.in_flight == 0


async def _emptied(runtime: Runtime) -> None:
    for _ in range(1_500):
        if not runtime.write_path.spool.waiting:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the spool was never emptied")


async def test_a_crash_between_the_ledger_and_the_file_records_nothing_twice(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = app.runtime.write_path.spool
    clear = spool.clear

    async def crash(count: int) -> None:
        raise SpoolError(f"crashed before forgetting {count}")

    monkeypatch.setattr(spool, "clear", crash)
    with outage(database_url):
        for _ in range(3):
            await record_apart(app.runtime, SYSTEM, OPERATIONS)
    for _ in range(3):
        with pytest.raises(SpoolError):
            await replay(app.runtime, spool)
        await settled(app)
    monkeypatch.setattr(spool, "clear", clear)
    await _emptied(app.runtime)
    await settled(app)
    assert _count(database_url, "audit_entries WHERE event_type = 'executors.process.moved'") == 3
    assert look(database_url).faults == []


async def test_a_commit_that_took_effect_without_an_answer_is_not_recorded_again(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = AsyncSession.commit

    async def lose_the_answer(session: AsyncSession) -> None:
        await commit(session)
        raise OperationalError("COMMIT", {}, psycopg.OperationalError("the connection is lost"))

    with monkeypatch.context() as broken:
        broken.setattr(AsyncSession, "commit", lose_the_answer)
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
    await _emptied(app.runtime)
    await record_apart(app.runtime, SYSTEM, SECURITY)
    await record_apart(app.runtime, SYSTEM, SECURITY)
    await settled(app)
    assert _count(database_url, "audit_entries WHERE event_type = 'executors.process.moved'") == 1
    assert look(database_url).faults == []


async def test_what_a_process_left_behind_is_recorded_by_another(database_url: str) -> None:
    gone = build_runtime(Settings(database_url=database_url, pool_size=1))
    with outage(database_url):
        await record_apart(gone, SYSTEM, OPERATIONS)
    await gone.database.close()
    gone.write_path.spool.file.close()
    async with started_app(database_url) as app:
        for _ in range(1_500):
            if not gone.write_path.spool.file.path.exists():
                break
            await asyncio.sleep(0.02)
        await settled(app)
    with psycopg.connect(database_url) as connection:
        (canon,) = connection.execute("SELECT canon FROM audit_entries WHERE log = '3y'").fetchone() or (b"{}",)
    assert json.loads(canon)["body"]["emitter"]["boot"] == gone.emitter.boot
    assert look(database_url).faults == []


async def test_what_belongs_into_another_ledger_waits_for_a_backend_of_that(
    app: App, database_url: str, template_database: str
) -> None:
    name, other_url = databases.create_database(template_database)
    try:
        async with started_app(other_url) as other:
            spool = other.runtime.write_path.spool
            with outage(other_url):
                await record_apart(other.runtime, SYSTEM, OPERATIONS)
                held = spool.file.path.read_bytes()
                left = spool.file.path.with_name("left-behind.spool")
                left.write_bytes(held)  # as its process would leave it: nobody holds its lock
                await _until(lambda: left.name in app.runtime.write_path.foreign)
            assert left.read_bytes() == held
            assert _count(database_url, "audit_entries WHERE event_type = 'executors.process.moved'") == 0
            await _until(lambda: not left.exists())
            await settled(other)
            assert _count(other_url, "audit_entries WHERE event_type = 'executors.process.moved'") == 1
        assert look(database_url).faults == []
    finally:
        databases.drop_database(name)


async def test_a_take_over_that_breaks_off_is_taken_up_again(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = build_runtime(Settings(database_url=database_url, pool_size=1))
    numbers = doubts.numbers
    failed: list[list[UUID]] = []

    async def fail_once(session: AsyncSession, idents: list[UUID]) -> dict[UUID, int | None]:
        if not failed:
            failed.append(idents)
            raise OperationalError("SELECT", {}, psycopg.OperationalError("the connection is lost"))
        return await numbers(session, idents)

    monkeypatch.setattr(doubts, "numbers", fail_once)
    with outage(database_url):
        await record_apart(gone, SYSTEM, OPERATIONS)
    await gone.database.close()
    gone.write_path.spool.file.close()
    for _ in range(1_500):
        if not gone.write_path.spool.file.path.exists():
            break
        await asyncio.sleep(0.02)
    assert failed
    assert not gone.write_path.spool.file.path.exists()
    await settled(app)
    assert _count(database_url, "audit_entries WHERE event_type = 'executors.process.moved'") == 1


async def _until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not so():  # noqa: ASYNC110  files and tables tell nobody
            await asyncio.sleep(0.02)


async def test_a_line_of_somebody_else_is_refused_in_the_open(app: App, database_url: str) -> None:
    spool = app.runtime.write_path.spool
    with outage(database_url):
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
        (line,) = await spool.lines()
        boot, n, sealed = line.split(b" ")
        for forged in (b"nonsense", b" ".join([boot, b"7", sealed]), b" ".join([boot, n, sealed[:-8] + b"AAAAAAA="])):
            await spool.append(forged + b"\n")
    await _emptied(app.runtime)
    await settled(app)
    assert _count(database_url, "audit_entries WHERE event_type = 'ledger.spool.refused'") == 3
    assert _count(database_url, "audit_entries WHERE event_type = 'executors.process.moved'") == 1


async def test_without_the_file_operations_stand_still_too_and_everybody_is_told(
    app: App, database_url: str, tmp_path: Path
) -> None:
    spool = app.runtime.write_path.spool
    spool.file.reserve_bytes = 1 << 60
    for _ in range(1_000):
        body = (await app.http.get("/readyz")).json()
        raised = _count(database_url, "alerts WHERE rule = 'audit_spool' AND severity = 'critical'")
        if body["audit"]["spool_problem"] and raised:
            break
        await asyncio.sleep(0.02)
    assert "full" in body["audit"]["spool_problem"]
    assert raised == 1
    assert app.runtime.metrics.registry.get_sample_value("watchfloor_audit_spool_broken") == 1
    with outage(database_url), pytest.raises(NotRecordedError):
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
    await record_apart(app.runtime, SYSTEM, OPERATIONS)  # and the database does without it
    spool.file.reserve_bytes = 0
    for _ in range(1_000):
        if _count(database_url, "alerts WHERE rule = 'audit_spool' AND status = 'cleared'"):
            break
        await asyncio.sleep(0.02)
    assert _count(database_url, "alerts WHERE rule = 'audit_spool' AND status = 'cleared'") == 1
    await settled(app)
    assert look(database_url).faults == []


async def test_a_burst_slows_its_own_process_before_anybody_has_looked(database_url: str) -> None:
    """Nothing is sequenced here: the looks confirm what the process has counted by itself."""
    async with started_app(database_url, sequence=False) as app:
        state = app.runtime.write_path
        for added in range(100, PUSH_BACK_FROM + 100, 100):
            async with app.runtime.database.transaction() as session:
                for _ in range(100):
                    await record(session, app.runtime, SYSTEM, AuditDraft(AuditEvent.LOGOUT_DONE, "log out"))
            assert state.waiting >= added
        assert state.crowded.is_set()
        async with app.runtime.database.transaction() as session:
            await session.execute(text("DELETE FROM audit_outbox"))
        async with asyncio.timeout(30):
            while state.crowded.is_set():  # noqa: ASYNC110  an event tells when it is set, not when it is cleared
                await asyncio.sleep(0.01)
        assert state.waiting == 0


async def test_a_row_whose_times_are_none_holds_up_nobody(app: App, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO audit_outbox (id, log, canon, mac, emitted_at, filed_at)"
            " SELECT gen_random_uuid(), '7y', '{}', '', at, at"
            " FROM unnest(ARRAY['infinity', '-infinity', '20000-01-01', '0044-03-15 BC']::timestamptz[]) AS at"
        )
    async with app.runtime.database.transaction() as session:
        ident = await record(session, app.runtime, SYSTEM, AuditDraft(AuditEvent.LOGOUT_DONE, "log out"))
    async with asyncio.timeout(60):
        await settled(app)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM audit_quarantine").fetchone() == (4,)
        assert connection.execute("SELECT count(*) FROM audit_entries WHERE id = %s", (ident,)).fetchone() == (1,)
