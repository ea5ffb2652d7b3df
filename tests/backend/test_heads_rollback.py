"""A database that is older or other than its witnessed heads: noticed, refused, and continued only in the open."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import undefer

from backend.audit import restore
from backend.audit.checkpoints import latest_checkpoint
from backend.audit.faults import ledger_fault
from backend.audit.heads import rollback
from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from backend.audit.tables import AuditOutbox, LedgerEntry
from backend.auth.totp import code_at
from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from tests.support import databases
from tests.support.app import SYSTEM, AloneLead, App, started_app
from tests.support.grown import grow
from tests.support.keeping import LOG, keeping, origin, round_of, rules, status
from tests.support.people import ADMIN, OFFICER, OPERATOR, TOTP_SECRET, Person, sign_in
from watchfloor.commands import run_server_command

REASON = "the disk of the database was lost; restored from last night's backup"


@pytest.fixture
def old_dump() -> Iterator[list[str]]:
    """Databases to be dropped at the end."""
    names: list[str] = []
    yield names
    for name in names:
        databases.drop_database(name)


async def grown_and_signed(app: App, count: int) -> None:
    await origin(app)
    await grow(app.runtime, LOG, count)
    async with keeping(app) as keeper:
        await round_of(keeper)


def copied(database_url: str, names: list[str]) -> str:
    """A copy of a database nobody is connected to, as a restored dump of this moment would be."""
    name, url = databases.create_database(urlsplit(database_url).path.removeprefix("/"))
    names.append(name)
    return url


async def sequenced(app: App) -> int:
    """Let the sequencer take what it may; returns how many entries still wait."""
    async with await app.runtime.database.dedicated("test") as connection:
        await Sequencer(app.runtime, AloneLead()).guarded_step(connection)
    async with app.runtime.database.read() as session:
        return len((await session.scalars(select(AuditOutbox.id))).all())


async def act(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        draft = AuditDraft(event_type="alerts.alert.raised", action="alert raised", resource_type="alert")
        await record(session, app.runtime, SYSTEM, draft)


async def test_a_restored_dump_is_refused_until_two_people_let_it_continue(
    database_url: str, place: Path, old_dump: list[str]
) -> None:
    async with started_app(database_url) as app:
        await grown_and_signed(app, 300)
    older = copied(database_url, old_dump)
    async with started_app(database_url) as app:
        await grown_and_signed(app, 50)
        before = await origin(app)
    async with started_app(older, sequence=False) as app:
        await rollback.check_before_append(app.runtime)
        async with app.runtime.database.read() as session:
            fault = await ledger_fault(session)
        assert fault is not None
        assert (fault.log, fault.kind, fault.own_size, fault.witnessed_size) == (LOG, "smaller", 300, 350)
        assert "LEDGER_FAULT" in await rules(app)
        await act(app)
        assert await sequenced(app) > 0
        assert "350" in (await app.http.get("/readyz")).json()["ledger"]

        async with app.runtime.database.transaction() as session:
            done = await restore.restore(
                session, app.runtime, reason=REASON, requested_by="officer1", approved_by="admin1"
            )
        assert done.generation == 2
        assert await sequenced(app) == 0
        async with app.runtime.database.read() as session:
            wanted = select(LedgerEntry).where(LedgerEntry.event_type == "ledger.log.restored")
            (entry,) = await session.scalars(wanted.options(undefer(LedgerEntry.canon)))
            assert entry.seq == 0 or entry.log == "meta"
            told = json.loads(entry.canon)["body"]["detail"]["new_value"]
        assert told["lost"][0] | {"checkpoint": "", "present": 300} == {
            "log": LOG, "kind": "smaller", "lost_from": 300, "lost_until": 350, "checkpoint": "", "present": 300,
        }  # fmt: skip
        assert told["lost"][0]["present"]["size"] == 300
        assert before in told["lost"][0]["checkpoint"]
        assert told["approved_by"].startswith("person:")
        async with keeping(app) as keeper:
            await round_of(keeper)
            await keeper.check()
        assert await origin(app) == f"{before}/r2"
        state = await status(app)
        assert (state.faults, state.signer.problem) == ((), None)
        async with app.runtime.database.read() as session:
            head = await latest_checkpoint(session, f"{before}/r2")
        assert head is not None
        assert head.size >= 300


async def test_a_rewritten_log_of_the_same_size_is_refused(database_url: str, place: Path) -> None:
    async with started_app(database_url, sequence=False) as app:
        await grown_and_signed(app, 40)
        async with app.runtime.database.transaction() as session:
            await session.execute(text("DELETE FROM audit_heads WHERE log = :log"), {"log": LOG})
            await session.execute(text("DROP TABLE audit_entries_1y"))
            await session.execute(text("DELETE FROM audit_spans WHERE log = :log"), {"log": LOG})
        await grow(app.runtime, LOG, 45)
        await rollback.check_before_append(app.runtime)
        async with app.runtime.database.read() as session:
            fault = await ledger_fault(session)
        assert fault is not None
        assert (fault.kind, fault.witnessed_size, fault.own_size) == ("other", 40, 45)


async def test_a_whole_log_that_is_gone_is_missed(database_url: str, place: Path) -> None:
    async with started_app(database_url, sequence=False) as app:
        await grown_and_signed(app, 40)
        async with app.runtime.database.transaction() as session:
            await session.execute(text("DELETE FROM audit_heads WHERE log = :log"), {"log": LOG})
        await rollback.check_before_append(app.runtime)
        async with app.runtime.database.read() as session:
            fault = await ledger_fault(session)
        assert fault is not None
        assert (fault.kind, fault.own_size) == ("smaller", 0)


async def test_a_rewrite_under_a_running_backend_is_noticed_with_the_next_head(database_url: str, place: Path) -> None:
    async with started_app(database_url, sequence=False) as app:
        await grown_and_signed(app, 40)
        async with app.runtime.database.transaction() as session:
            await session.execute(text("ALTER TABLE audit_entries_1y_0 DISABLE TRIGGER ALL"))
            await session.execute(text("UPDATE audit_entries SET leaf = sha256(leaf) WHERE log = '1y' AND seq = 33"))
        await grow(app.runtime, LOG, 1)
        async with keeping(app) as keeper:
            await keeper.sign_all()
            assert keeper._doubted.is_set()
            await keeper.check()
        assert "LEDGER_FAULT" in await rules(app)


async def test_a_database_that_goes_on_is_never_doubted(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app:
        for count in (1, 255, 1, 300):
            await grown_and_signed(app, count)
            await grow(app.runtime, LOG, 7)  # past the newest signed head
            await rollback.check_before_append(app.runtime)
            async with app.runtime.database.read() as session:
                assert await ledger_fault(session) is None


async def test_the_witness_alone_is_enough(database_url: str, place: Path, old_dump: list[str]) -> None:
    async with started_app(database_url) as app:
        await grown_and_signed(app, 10)
    older = copied(database_url, old_dump)
    async with started_app(database_url) as app:
        await grown_and_signed(app, 10)
    (place / "signer.sock").unlink()
    async with started_app(older, sequence=False) as app:
        await rollback.check_before_append(app.runtime)
        async with app.runtime.database.read() as session:
            fault = await ledger_fault(session)
    assert fault is not None
    assert fault.source.startswith("dir:")


async def test_what_nobody_signed_stops_nothing_and_is_told(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app:
        await grown_and_signed(app, 10)
        files = [path for path in (place / "kept" / "heads").rglob("*") if path.is_file()]
        (kept,) = [path for path in files if b"/1y\n10\n" in path.read_bytes()]
        forged = kept.read_bytes().replace(b"\n10\n", b"\n11\n", 1)
        kept.with_name(f"{int(kept.name, 16) - 1:016x}").write_bytes(forged)
        async with keeping(app) as keeper:
            found = await rollback.check(app.runtime, keeper._signer, keeper._witnesses)
        assert found.contradictions == ()
        assert ["no known key" in problem for problem in found.problems.values()] == [True]


async def test_a_restore_needs_a_fault_a_reason_and_a_second_person(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app:
        await origin(app)
        for approved_by, reason, code in (
            ("officer1", REASON, ErrorCode.SECOND_PERSON_REQUIRED),
            ("admin1", "  ", ErrorCode.INVALID_REQUEST),
            ("admin1", REASON, ErrorCode.CONFLICT),
        ):
            async with app.runtime.database.transaction() as session:
                with pytest.raises(WatchfloorError) as refused:
                    await restore.restore(
                        session, app.runtime, reason=reason, requested_by="officer1", approved_by=approved_by
                    )
            assert refused.value.code is code


@pytest.mark.parametrize(("approver", "code"), [(ADMIN, 0), (OPERATOR, 4), (OFFICER, 4)])
@pytest.mark.usefixtures("place")
async def test_the_command_asks_both_for_a_code(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    approver: Person,
    code: int,
) -> None:
    async with started_app(database_url, sequence=False) as app:
        for person in (ADMIN, OFFICER, OPERATOR):
            await sign_in(app.runtime, person)
        await grown_and_signed(app, 40)
        async with app.runtime.database.transaction() as session:
            await session.execute(text("DELETE FROM audit_heads WHERE log = :log"), {"log": LOG})
        await rollback.check_before_append(app.runtime)
        now = app.runtime.clock.now()
    monkeypatch.setenv("WATCHFLOOR_DATABASE_URL", database_url)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{code_at(TOTP_SECRET, now)}\n" * 2))
    names = ["--requested-by", OFFICER.name, "--approved-by", approver.name]
    capsys.readouterr()
    ran = await asyncio.to_thread(run_server_command, "ledger", ["restore", "--reason", REASON, *names, "--json"])
    said = capsys.readouterr()
    assert (ran, "Traceback" in said.err) == (code, False)
    if code:
        assert "does not hold" in said.err or "lacks the permission" in said.err
    else:
        assert json.loads(said.out)["generation"] == 2
