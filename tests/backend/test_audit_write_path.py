"""The way into the ledger when something is wrong: nothing stalls, nothing is lost, nothing comes twice."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import orjson
import psycopg
import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import ledger_rows
from backend.audit.authentic import mac_of
from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import Plan, verify
from backend.audit.verification.verdicts import Verdict
from backend.context import Runtime
from backend.runtime import build_runtime
from backend.settings import Settings
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index
from tests.support.app import SYSTEM, AloneLead, App, sequencing, started_app
from tests.support.backends import eventually
from tests.support.ledger import ledger_rows as rows_of
from tests.support.ledger import settled
from tests.support.ledger_check import look
from tests.support.rewriting import make_fit
from tests.support.verifying import keys_of


def _draft(number: int = 0, **more: Any) -> AuditDraft:
    return AuditDraft("freeze.hold.created", f"freeze {number}", **more)


async def _record(runtime: Runtime, draft: AuditDraft | None = None) -> uuid.UUID:
    async with runtime.database.transaction() as session:
        return await record(session, runtime, SYSTEM, draft or _draft())


@dataclass(frozen=True)
class Row:
    """A row for the outbox, put together by hand."""

    id: uuid.UUID
    log: str
    canon: bytes
    sealed: bytes | None = None
    mac: bytes | None = None

    def put(self, url: str, runtime: Runtime) -> None:
        mac = mac_of(runtime.keyring.outbox, self.canon, self.sealed) if self.mac is None else self.mac
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO audit_outbox (id, log, canon, mac, sealed, emitted_at) VALUES (%s, %s, %s, %s, %s, now())",
                (self.id, self.log, self.canon, mac, self.sealed),
            )


def _entry(runtime: Runtime, n: int = 1, boot: str = "by-hand", **index: Any) -> Row:
    ident = runtime.clock.new_id()
    known: dict[str, Any] = {
        "id": str(ident),
        "log": "7y",
        "occurred_at": format_instant(runtime.clock.now()),
        "category": "configuration",
        "event_type": "freeze.hold.created",
        "action": "freeze",
        "outcome": "success",
    }
    entry = Entry(
        index=Index(**known | index), emitter=Emitter(node="node", boot=boot, n=n, settled=0), detail=Detail()
    )
    return Row(ident, "7y", entry.to_canon())


def _broken_json(row: Row, change: Callable[[dict[str, Any]], object]) -> Row:
    tree = json.loads(row.canon)
    change(tree)
    return replace(row, canon=orjson.dumps(tree, option=orjson.OPT_SORT_KEYS))


BROKEN: dict[str, Callable[[Row], Row]] = {
    "a forged mark": lambda row: replace(row, mac=b"\0" * 32),
    "no mark": lambda row: replace(row, mac=b""),
    "no bytes": lambda row: replace(row, canon=b""),
    "no JSON": lambda row: replace(row, canon=b"{"),
    "no object": lambda row: replace(row, canon=b"[]"),
    "not UTF-8": lambda row: replace(row, canon=row.canon.replace(b"freeze", b"\xff\xfe")),
    "spaces": lambda row: replace(row, canon=row.canon.replace(b":", b": ", 1)),
    "too large": lambda row: replace(row, canon=row.canon + b" " * 40_000),
    "a float": lambda row: _broken_json(row, lambda tree: tree["body"]["detail"].update(metadata=1.5)),
    "a NUL": lambda row: _broken_json(row, lambda tree: tree["index"].update(action="a\0b")),
    "no action": lambda row: _broken_json(row, lambda tree: tree["index"].update(action="")),
    "no number": lambda row: _broken_json(row, lambda tree: tree["body"]["emitter"].update(n=0)),
    "one field more": lambda row: _broken_json(row, lambda tree: tree["index"].update(more="x")),
    "no such time": lambda row: _broken_json(row, lambda tree: tree["index"].update(occurred_at="yesterday")),
    "another version": lambda row: _broken_json(row, lambda tree: tree.update(v=2)),
    "another log": lambda row: replace(row, log="1y"),
    "another id": lambda row: replace(row, id=uuid.uuid4()),
    "a word no index takes": lambda row: _broken_json(
        row, lambda tree: tree["index"].update(request_id="".join(uuid.uuid4().hex for _ in range(500)))
    ),
    "sealed: no JSON": lambda row: replace(row, sealed=b"\xff"),
    "sealed: no list": lambda row: replace(row, sealed=b"7"),
    "sealed: too few": lambda row: replace(row, sealed=b'[["ip_address"]]'),
    "sealed: no id": lambda row: replace(row, sealed=b'[["ip_address","a","b","00","00",null]]'),
    "sealed: no text": lambda row: replace(row, sealed=b"[[1,2,3,4,5,6]]"),
    "sealed twice": lambda row: replace(
        row, sealed=orjson.dumps([["f", "a", str(uuid.uuid4()), "00", "00", None]] * 2)
    ),
    "sealed by somebody else": lambda row: replace(row, sealed=b"[]", mac=b"\1" * 32),
}


async def test_what_is_no_entry_is_set_aside_in_the_open_and_holds_nothing_up(app: App, database_url: str) -> None:
    runtime = app.runtime
    broken = {name: breaking(_entry(runtime, boot=name)) for name, breaking in BROKEN.items()}
    good = []
    for number, row in enumerate(broken.values()):
        row.put(database_url, runtime)
        good.append(await _record(runtime, _draft(number)))
    await settled(app)
    looked = look(database_url)
    assert looked.faults == []
    assert {str(ident) for ident in good} <= looked.ids
    with psycopg.connect(database_url) as connection:
        kept: dict[bytes, str] = dict(connection.execute("SELECT canon, reason FROM audit_quarantine").fetchall())
        announced = connection.execute(
            "SELECT convert_from(canon, 'UTF8')::jsonb #>> '{body,detail,new_value,sha256}' FROM audit_entries"
            " WHERE log = 'meta' AND event_type = 'ledger.entry.quarantined'"
        ).fetchall()
    expected = {name: row.canon for name, row in broken.items() if name != "sealed twice"}
    missing = [name for name, canon in expected.items() if canon not in kept]
    assert missing == []
    assert {hashlib.sha256(canon).hexdigest() for canon in kept} == {told for (told,) in announced}
    assert all(kept.values())


async def test_a_row_that_comes_back_is_settled_and_one_that_takes_an_id_is_set_aside(
    app: App, database_url: str
) -> None:
    row = _entry(app.runtime)
    row.put(database_url, app.runtime)
    await settled(app)
    row.put(database_url, app.runtime)
    await settled(app)
    other = _broken_json(row, lambda tree: tree["index"].update(action="thaw"))
    for _ in range(2):  # and a second one must not be dropped because the first is there
        other.put(database_url, app.runtime)
        await settled(app)
    with psycopg.connect(database_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM audit_entries WHERE id = %s", (row.id,)).fetchone() or (0,)
        kept = connection.execute("SELECT canon FROM audit_quarantine").fetchall()
    assert count == 1
    assert kept == [(other.canon,), (other.canon,)]


async def test_an_old_entry_that_comes_back_is_found_in_its_own_partition(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rows, "PARTITION_ENTRIES", 16)
    first = _entry(app.runtime)
    first.put(database_url, app.runtime)
    await settled(app)
    for number in range(40):
        await _record(app.runtime, _draft(number))
    await settled(app)
    first.put(database_url, app.runtime)
    await settled(app)
    looked = look(database_url)
    assert looked.faults == []
    assert looked.sizes["7y"] == 41


@pytest.mark.parametrize(
    "said",
    [
        {"words": "x" * 3_900, **{f"k{n}": "y" * 3_000 for n in range(20)}, "small": "kept"},
        {f"key_{n}": "z" * 40 for n in range(3_000)},
        {"list": ["w" * 3_000] * 30, "small": "kept"},
    ],
)
async def test_an_act_with_much_to_say_succeeds_and_states_what_was_left_out(app: App, said: dict[str, Any]) -> None:
    ident = await _record(app.runtime, _draft(new_value=said, error_message="\x01" * 5_000))
    (row,) = await rows_of(app, ident)
    told = json.loads(row.canon)["body"]["detail"]["new_value"]
    if "left_out" in told:
        whole = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        assert told == {"left_out": "size", "bytes": len(whole), "sha256": hashlib.sha256(whole).hexdigest()}
        return
    assert told.get("small") == said.get("small")
    left_out = {key: value for key, value in told.items() if isinstance(value, dict)}
    assert left_out
    for key, mark in left_out.items():
        assert mark["sha256"] == hashlib.sha256(orjson.dumps(said[key], option=orjson.OPT_SORT_KEYS)).hexdigest()


async def test_a_log_that_contradicts_itself_stands_still_alone(app: App, database_url: str) -> None:
    await _record(app.runtime)
    await settled(app)
    with psycopg.connect(database_url, autocommit=True) as connection:
        found = connection.execute("SELECT root FROM audit_heads WHERE log = '7y'").fetchone()
        connection.execute("UPDATE audit_heads SET root = %s WHERE log = '7y'", (b"\0" * 32,))
        held_up = await _record(app.runtime)
        other = await _record(app.runtime, AuditDraft("alerts.alert.raised", "alert raised"))
        assert await _appears(database_url, other)
        assert not await _appears(database_url, held_up, turns=20)
        assert app.runtime.metrics.registry.get_sample_value("watchfloor_audit_log_at_fault", {"log": "7y"}) == 1
        assert found is not None
        connection.execute("UPDATE audit_heads SET root = %s WHERE log = '7y'", found)
    assert await _appears(database_url, held_up)
    assert look(database_url).faults == []


async def test_an_entry_put_past_the_outbox_is_not_built_upon(app: App, database_url: str) -> None:
    """Every hash fits: only who has moved the head is not who he seems."""
    await _record(app.runtime)
    await settled(app)
    with psycopg.connect(database_url, autocommit=True) as connection:
        [(sound,)] = connection.execute("SELECT mac FROM audit_heads WHERE log = '7y'").fetchall()
        connection.execute(
            "INSERT INTO audit_entries (log, seq, id, occurred_at, sequenced_at, category, event_type, action, outcome,"
            " leaf, canon) SELECT log, size, gen_random_uuid(), occurred_at, entry.sequenced_at, category, event_type,"
            " action, outcome, leaf, canon FROM audit_entries AS entry JOIN audit_heads USING (log)"
            " WHERE log = '7y' AND seq = 0"
        )
        [(size,)] = connection.execute("SELECT size + 1 FROM audit_heads WHERE log = '7y'").fetchall()
        make_fit(connection, "7y", size)
        connection.execute("UPDATE audit_heads SET mac = %s WHERE log = '7y'", (sound,))
        held_up = await _record(app.runtime)
        other = await _record(app.runtime, AuditDraft("alerts.alert.raised", "alert raised"))
        assert await _appears(database_url, other)
        assert not await _appears(database_url, held_up, turns=20)
        result = verify(connection, Plan(keys_of(app.runtime), patience_s=0.0))
        found = [one.what for one in result.verdicts[Verdict.LINKAGE].first if one.what == "forged"]
        assert found, result.verdicts.to_tree()


async def _appears(url: str, ident: uuid.UUID, turns: int = 1_000) -> bool:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for _ in range(turns):
            found = await connection.execute("SELECT 1 FROM audit_entries WHERE id = %s", (ident,))
            if await found.fetchone():
                return True
            await asyncio.sleep(0.02)
    return False


async def test_a_new_partition_waits_for_no_reader(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_rows, "PARTITION_ENTRIES", 16)
    await _record(app.runtime)
    await settled(app)
    async with await psycopg.AsyncConnection.connect(database_url) as reader:
        await reader.execute("SELECT count(*) FROM audit_entries")  # its transaction stays open: a verification
        for number in range(40):
            await _record(app.runtime, _draft(number))
        await settled(app)
    assert look(database_url).sizes["7y"] == 41


async def test_time_of_the_ledger_never_runs_backwards(database_url: str) -> None:
    runtime = build_runtime(Settings(database_url=database_url, pool_size=2))
    hours = iter([0, 5, -3, 1])
    try:
        for hour in hours:
            clock = replace(runtime.clock, now=lambda hour=hour: runtime.clock.now() + timedelta(hours=hour))  # type: ignore[misc]
            moved = replace(runtime, clock=clock)
            await _record(moved)
            async with await runtime.database.dedicated("sequencer") as connection:
                await Sequencer(moved, AloneLead()).step(connection)
    finally:
        await runtime.database.close()
    with psycopg.connect(database_url) as plain:
        times = [at for (at,) in plain.execute("SELECT sequenced_at FROM audit_entries WHERE log = '7y' ORDER BY seq")]
    assert len(times) == 4
    assert times == sorted(times)


async def test_sequencers_that_overlap_disturb_nothing(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_rows, "PARTITION_ENTRIES", 64)
    runtime = build_runtime(Settings(database_url=database_url, pool_size=8))
    wanted = ["freeze.hold.created", "alerts.alert.raised", "executors.process.registered"]
    try:
        async with sequencing(runtime), sequencing(runtime), sequencing(runtime):

            async def write(writer: int) -> None:
                for number in range(60):
                    await _record(runtime, AuditDraft(wanted[(writer + number) % 3], "act"))

            await asyncio.gather(*(write(writer) for writer in range(8)))
            await asyncio.to_thread(eventually, lambda: _empty(database_url), 60.0, "an empty outbox")
    finally:
        await runtime.database.close()
    looked = look(database_url)
    assert looked.faults == []
    assert sum(looked.sizes.values()) == 480


def _empty(url: str) -> bool | None:
    with psycopg.connect(url) as connection:
        return True if connection.execute("SELECT 1 FROM audit_outbox LIMIT 1").fetchone() is None else None


@pytest.mark.parametrize("took_effect", [True, False])
async def test_a_commit_without_an_answer_is_asked_for_later(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch, *, took_effect: bool
) -> None:
    commit = AsyncSession.commit

    async def lose_the_answer(session: AsyncSession) -> None:
        if took_effect:
            await commit(session)
        raise OperationalError("COMMIT", {}, psycopg.OperationalError("the connection is lost"))

    await _record(app.runtime)
    with monkeypatch.context() as broken:
        broken.setattr(AsyncSession, "commit", lose_the_answer)
        with pytest.raises(OperationalError):
            await _record(app.runtime)
    assert app.runtime.emitter.in_flight == 1
    for _ in range(50):  # the server process must have noticed
        last = await _record(app.runtime)
        if app.runtime.emitter.in_flight == 0:
            break
        await asyncio.sleep(0.05)
    last = await _record(app.runtime)
    (row,) = await rows_of(app, last)
    emitter = json.loads(row.canon)["body"]["emitter"]
    assert emitter["settled"] == emitter["n"] - 1
    looked = look(database_url)
    assert looked.faults == []
    assert looked.sizes["7y"] == emitter["n"] - (not took_effect)


async def test_a_transaction_that_fails_late_leaves_no_number_open(app: App, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")

    async def conflict() -> None:
        async with app.runtime.database.transaction() as session:
            await (await session.connection()).exec_driver_sql("INSERT INTO later VALUES (1), (1)")
            await record(session, app.runtime, SYSTEM, _draft())

    async def stop() -> None:
        async with app.runtime.database.transaction() as session:
            await record(session, app.runtime, SYSTEM, _draft())
            raise KeyError

    for failing in (conflict, stop, conflict):
        with pytest.raises((KeyError, Exception)):
            await failing()
        assert app.runtime.emitter.in_flight == 0
    await _record(app.runtime)
    await settled(app)
    looked = look(database_url)
    assert (looked.faults, looked.sizes["7y"]) == ([], 1)


async def test_a_leader_stopped_in_the_middle_of_a_copy_is_ended_by_the_next(database_url: str) -> None:
    stopped = await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, application_name="watchfloor sequencer"
    )
    try:
        await stopped.execute(
            "INSERT INTO leader_leases (name, holder, fence, expires_at)"
            " VALUES ('sequencer', 'stopped', 7, clock_timestamp() + interval '1 second')"
        )
        await stopped.execute("BEGIN")
        await stopped.execute("SELECT 1 FROM leader_leases WHERE name = 'sequencer' FOR KEY SHARE")
        await stopped.execute("CREATE TEMPORARY TABLE half (id int)")
        stopped.pgconn.send_query(b"COPY half FROM STDIN")  # and no more is heard of it
        await asyncio.to_thread(eventually, lambda: _copying(database_url), 10.0, "a COPY that waits")
        async with started_app(database_url, monitors=True) as app:
            assert await _appears(database_url, await _record(app.runtime), turns=3_000)
    finally:
        await stopped.close()
    assert look(database_url).faults == []


def _copying(url: str) -> bool | None:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT true FROM pg_stat_progress_copy").fetchone() is not None or None
