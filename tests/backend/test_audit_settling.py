"""The last entry of a process is called settled once the process was quiet or has ended; else it is an open end."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from backend import db, settling
from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import OPEN_AFTER, Plan, Result, verify
from backend.audit.verification.numbers import Last, Numbers
from backend.audit.verification.state import State
from backend.audit.verification.verdicts import Verdict
from backend.auth.bootstrap import ensure_user
from backend.clock import SYSTEM_CLOCK, Clock
from backend.runtime import build_runtime
from backend.settings import Settings
from tests.support.app import SYSTEM, App, started_app
from tests.support.ledger import settled
from tests.support.outage import outage
from tests.support.people import AUDITOR, OFFICER
from tests.support.verifying import keys_of, opened

CLOSED, SETTLED = AuditEvent.EMITTER_CLOSED, AuditEvent.EMITTER_SETTLED
LONG_AGO = Clock(
    lambda: SYSTEM_CLOCK.now() - 2 * OPEN_AFTER,
    SYSTEM_CLOCK.monotonic,
    SYSTEM_CLOCK.random_bytes,
)


async def act(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await record(session, app.runtime, SYSTEM, AuditDraft(AuditEvent.FREEZE_CREATED, "look"))


def events(url: str, boot: str) -> list[tuple[str, int, int]]:
    """Type, number and what is called settled, of each entry of a process, wherever it is."""
    with opened(url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT convert_from(canon, 'UTF8')::jsonb AS doc FROM audit_entries"
            " UNION ALL SELECT convert_from(canon, 'UTF8')::jsonb FROM audit_outbox"
        ).fetchall()
    own = [row["doc"] for row in rows if row["doc"]["body"]["emitter"]["boot"] == boot]
    stamps = [(doc["index"]["event_type"], doc["body"]["emitter"]) for doc in own]
    return sorted(((event, one["n"], one["settled"]) for event, one in stamps), key=lambda one: one[1])


async def until(found: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if found():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never happened")


async def judged(app: App, url: str) -> Result:
    await settled(app)
    with opened(url) as connection:
        return await asyncio.to_thread(verify, connection, Plan(keys_of(app.runtime)))


def open_ends(result: Result) -> list[str]:
    assert not result.verdicts.failed, result.verdicts.to_tree()
    return [one.detail.split()[1] for one in result.verdicts[Verdict.COMPLETENESS].notes]


async def test_a_process_that_ends_in_order_says_so_last_and_one_that_wrote_nothing_says_nothing(
    database_url: str,
) -> None:
    async with started_app(database_url) as silent:
        pass
    async with started_app(database_url) as app:
        await act(app)
        await act(app)
    assert events(database_url, silent.runtime.emitter.boot) == []
    said = events(database_url, app.runtime.emitter.boot)
    assert [event for event, *_ in said] == ["freeze.hold.created", "freeze.hold.created", CLOSED]
    assert said[-1][1:] == (3, 2)


async def test_a_command_beside_the_backend_says_that_it_ended(database_url: str) -> None:
    await asyncio.to_thread(ensure_user, database_url, name="olga", role="mev_operator")
    with opened(database_url) as connection:
        rows = connection.execute("SELECT convert_from(canon, 'UTF8')::jsonb FROM audit_outbox").fetchall()
    stamps = {doc["index"]["event_type"]: doc["body"]["emitter"] for (doc,) in rows}
    assert stamps[CLOSED]["n"] == len(stamps) == stamps[CLOSED]["settled"] + 1
    assert len({one["boot"] for one in stamps.values()}) == 1


async def test_a_quiet_process_says_once_that_all_is_settled_and_again_only_after_it_spoke(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[float] = [0.0]
    clock = Clock(SYSTEM_CLOCK.now, lambda: SYSTEM_CLOCK.monotonic() + passed[0], SYSTEM_CLOCK.random_bytes)
    monkeypatch.setattr(settling, "LOOK_EVERY_S", 0.01)
    async with started_app(database_url, clock=clock) as app:
        boot = app.runtime.emitter.boot

        def has_said(times: int) -> bool:
            return [event for event, *_ in events(database_url, boot)].count(SETTLED) == times

        async def quiet() -> None:
            for _ in range(3):  # the entry is seen, its time runs out, and nothing follows
                await asyncio.sleep(0.1)
                passed[0] += 60

        await quiet()
        assert events(database_url, boot) == []
        for spell in (1, 2):
            await act(app)
            await asyncio.sleep(0.1)
            passed[0] += 60
            await until(partial(has_said, spell))
            await quiet()
        assert [(event, told) for event, _, told in events(database_url, boot)] == [
            ("freeze.hold.created", 0), (SETTLED, 1), ("freeze.hold.created", 2), (SETTLED, 3),
        ]  # fmt: skip


async def test_a_process_that_just_stopped_is_noted_and_one_that_ended_in_order_is_not(database_url: str) -> None:
    async with started_app(database_url, clock=LONG_AGO) as ended:
        await act(ended)
    killed = build_runtime(Settings(database_url=database_url, pool_size=1), LONG_AGO)
    async with killed.database.transaction() as session:
        await record(session, killed, SYSTEM, AuditDraft(AuditEvent.FREEZE_CREATED, "look"))
    await killed.database.close()
    async with started_app(database_url) as app:
        await act(app)
        result = await judged(app, database_url)
        assert open_ends(result) == [killed.emitter.boot], "the one at work has spoken a moment ago"
        assert killed.emitter.node in result.verdicts[Verdict.COMPLETENESS].notes[0].detail
        state = State.unpack(result.state.pack(b"k", "l"), b"k", "l")
        with opened(database_url) as connection:
            later = await asyncio.to_thread(verify, connection, Plan(keys_of(app.runtime), trusted=state, full=False))
        assert open_ends(later) == [killed.emitter.boot]


async def test_the_last_entries_taken_out_of_the_outbox_leave_an_open_end(database_url: str) -> None:
    async with started_app(database_url, clock=LONG_AGO, sequence=False) as app:
        boot = app.runtime.emitter.boot
        await act(app)
        await act(app)
    with psycopg.connect(database_url, autocommit=True) as connection:
        gone = connection.execute(
            "DELETE FROM audit_outbox WHERE (convert_from(canon, 'UTF8')::jsonb #>> '{body,emitter,n}')::int > 1"
            " AND convert_from(canon, 'UTF8')::jsonb #>> '{body,emitter,boot}' = %s",
            (boot,),
        )
        assert gone.rowcount == 2
    async with started_app(database_url) as later:
        assert open_ends(await judged(later, database_url)) == [boot]


async def test_the_end_is_not_held_up_by_a_database_that_is_away(database_url: str) -> None:
    runtime = build_runtime(Settings(database_url=database_url, pool_size=1))
    async with runtime.database.transaction() as session:
        await record(session, runtime, SYSTEM, AuditDraft(AuditEvent.FREEZE_CREATED, "look"))
    with outage(database_url):
        await settling.close(runtime)
    await runtime.database.close()
    assert [event for event, *_ in events(database_url, runtime.emitter.boot)] == ["freeze.hold.created"]


async def test_the_end_is_not_held_up_by_a_database_that_does_not_answer(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = build_runtime(Settings(database_url=database_url, pool_size=1))
    async with runtime.database.transaction() as session:
        await record(session, runtime, SYSTEM, AuditDraft(AuditEvent.FREEZE_CREATED, "look"))
    monkeypatch.setattr(settling, "CLOSE_LIMIT_S", 0.05)
    monkeypatch.setattr(db, "CONNECT_TIMEOUT_S", 600)
    answered = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answered.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mute = build_runtime(Settings(database_url=f"postgresql://watchfloor@127.0.0.1:{port}/nobody", pool_size=1))
    monkeypatch.setattr(runtime.database, "dedicated", mute.database.dedicated)
    async with asyncio.timeout(60):
        await settling.close(runtime)
    answered.set()
    server.close()
    await runtime.database.close()


async def test_who_looks_around_is_not_shown_bookkeeping_and_who_asks_for_it_is(database_url: str) -> None:
    async with started_app(database_url) as first:
        await act(first)
    async with started_app(database_url) as app, await app.as_(AUDITOR) as auditor:
        await settled(app)

        async def found(**asked: Any) -> set[str]:
            page = (await auditor.get("/v1/audit", params={"limit": 100, "count": True, **asked})).json()
            assert page["total"] == len(page["items"])
            return {entry["event_type"] for entry in page["items"]}

        around = await found()
        assert "freeze.hold.created" in around
        assert CLOSED not in around
        assert CLOSED in await found(log="meta")
        assert await found(event_type=CLOSED) == {CLOSED}
        assert CLOSED in await found(resource_type="process", resource_id=first.runtime.emitter.boot)
        async with await app.as_(OFFICER) as officer:
            whole = await officer.get("/v1/audit/export", params={"format": "jsonl"})
        assert CLOSED in whole.text, "what leaves as evidence is whole"


def test_the_last_entry_of_a_process_is_kept_until_another_calls_it_settled() -> None:
    long_ago, now = "2025-01-01T00:00:00.000000Z", "2025-01-02T00:00:00.000000Z"
    numbers = Numbers()
    for n in (2, 1):
        numbers.see("boot", n, n - 1, ())
        numbers.note_last("boot", Last(n, long_ago, "node"))
    assert numbers.open_ends(now) == [("boot", Last(2, long_ago, "node"))]
    assert numbers.open_ends(long_ago) == []
    again, others = Numbers.from_tree(numbers.to_tree()), Numbers()
    assert again.open_ends(now) == numbers.open_ends(now)
    others.join(again)
    assert others.open_ends(now) == numbers.open_ends(now)
    others.see("boot", 3, 2, ())
    assert others.open_ends(now) == []
    assert Numbers.from_tree(others.to_tree()).open_ends(now) == []
