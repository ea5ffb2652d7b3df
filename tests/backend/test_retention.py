"""Retention: a prefix goes only when nothing speaks against it, and what stays can be proved, verified and found."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text

from backend.audit import nodes
from backend.audit.events import AuditEvent
from backend.audit.pruning import pruned_edge
from backend.audit.retention.survey import closed
from backend.audit.retention_tables import Purge
from backend.audit.tables import LedgerEntry
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification_tables import VerificationJob
from ledger.entry import Entry
from ledger.merkle import ProofError, root_of, verify_consistency, verify_inclusion
from tests.support.aged import LOG, WIDTH, Aged, aged
from tests.support.ledger import ledger_rows, settled
from tests.support.people import AUDITOR
from tests.support.verifying import keys_of, opened

ALL = 2 * WIDTH + 8
_HOLD = """
INSERT INTO legal_holds (id, subject, log, since, until, reason, placed_by, placed_at)
VALUES (gen_random_uuid(), :subject, :log, :since, :until, 'a claim', 'person:x', now())
"""


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    async with aged(database_url, tmp_path, monkeypatch) as made:
        yield made


async def hold(old: Aged, **values: object) -> None:
    """Place a legal hold."""
    async with old.app.runtime.database.transaction() as session:
        nothing = {"subject": None, "log": None, "since": None, "until": None}
        await session.execute(text(_HOLD), nothing | values)


async def lift(old: Aged) -> None:
    """Lift every legal hold."""
    async with old.app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE legal_holds SET lifted_at = now()"))


async def leaves_of(old: Aged) -> list[bytes]:
    async with old.app.runtime.database.read() as session:
        rows = await session.scalars(select(LedgerEntry.leaf).where(LedgerEntry.log == LOG).order_by(LedgerEntry.seq))
        return [bytes(one) for one in rows]


async def told(old: Aged, event: AuditEvent) -> list[Entry]:
    """Entries of the `meta` log of one type."""
    rows = await ledger_rows(old.app)
    return [Entry.from_canon(row.canon) for row in rows if row.log == "meta" and row.event_type == event.value]


async def test_full_partitions_past_their_date_are_dropped_and_the_rest_stays(old: Aged) -> None:
    await old.ready()
    leaves = await leaves_of(old)
    await old.keeper().round()
    assert await old.entries() == ALL, "nothing is due yet"
    old.grow_old()
    await old.keeper().round()
    assert await old.entries() == 8
    standing = await old.standing()
    assert (standing.dropped, standing.entries, standing.full_partitions) == (2 * WIDTH, 8, 0)
    purges = [entry.detail.new_value or {} for entry in await told(old, AuditEvent.PARTITION_PURGED)]
    assert [(one["seq_from"], one["first_kept_seq"], one["entries"]) for one in purges] == [
        (0, WIDTH, WIDTH),
        (WIDTH, 2 * WIDTH, WIDTH),
    ]
    assert purges[1]["root"] == root_of(leaves[: 2 * WIDTH]).hex()
    assert [len(one["copies"]) for one in purges] == [2, 2]
    async with old.app.runtime.database.read() as session:
        rows = (await session.scalars(select(Purge).order_by(Purge.first_kept_seq))).all()
    assert [hashlib.sha256(row.numbers).hexdigest() for row in rows] == [one["numbers_sha256"] for one in purges]


async def test_what_is_left_can_still_be_proved(old: Aged) -> None:
    await old.ready()
    await old.keeper().round()
    old.grow_old()
    leaves = await leaves_of(old)
    await old.keeper().round()
    await old.write(300)
    leaves += (await leaves_of(old))[8:]
    size, root = len(leaves), root_of(leaves)
    async with old.app.runtime.database.read() as session:
        assert (await pruned_edge(session, LOG)).root() == root_of(leaves[: 2 * WIDTH])
        for index in (2 * WIDTH, ALL - 1, 255, 256, size - 1):
            verify_inclusion(leaves[index], index, size, await nodes.inclusion_proof(session, LOG, index, size), root)
        # a head from before the cut can be continued where it ends on a hash that was kept
        for before in (0, 2 * WIDTH, 2 * WIDTH + 1, ALL, 257):
            path = await nodes.consistency_proof(session, LOG, before, size)
            verify_consistency(before, size, root_of(leaves[:before]), root, path)
        with pytest.raises(ProofError):
            await nodes.inclusion_proof(session, LOG, 3, size)
        with pytest.raises(ProofError):
            await nodes.consistency_proof(session, LOG, 2 * WIDTH - 3, size)


async def test_what_is_left_is_found_and_what_is_gone_is_not(old: Aged) -> None:
    gone = await old.ready()
    await old.keeper().round()
    old.grow_old()
    await old.keeper().round()
    new = await old.write(3)
    async with await old.app.as_(AUDITOR) as http:
        page = (await http.get("/v1/audit", params={"event_type": AuditEvent.EXECUTOR_MOVED.value})).json()
        assert {one["id"] for one in page["items"]} == {str(one) for one in [*gone[2 * WIDTH :], *new]}
        assert (await http.get(f"/v1/audit/{gone[0]}")).status_code == 404
        assert (await http.get(f"/v1/audit/{gone[-1]}")).status_code == 200


async def test_a_search_that_was_waiting_while_a_partition_went_finds_what_is_left(
    old: Aged, database_url: str
) -> None:
    written, asked_for = await old.ready(), {"event_type": AuditEvent.EXECUTOR_MOVED.value}
    async with await old.app.as_(AUDITOR) as http:
        with psycopg.connect(database_url) as purge:
            purge.execute("LOCK TABLE audit_entries_3y_0 IN ACCESS EXCLUSIVE MODE")
            asked = asyncio.create_task(http.get("/v1/audit", params=asked_for))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit_entries_3y_0'::regclass"
            while not asked.done() and not purge.execute(waits).fetchone()[0]:  # type: ignore[index]  # noqa: ASYNC110  only the server knows
                await asyncio.sleep(0.01)
            purge.execute("DELETE FROM audit_spans WHERE log = '3y' AND seq_from = 0")
            purge.execute("DROP TABLE audit_entries_3y_0")
        page = (await asked).json()
        found = {one["id"] for one in page["items"]}
        while page["next_cursor"]:  # its time was up while it waited
            page = (await http.get("/v1/audit", params={**asked_for, "cursor": page["next_cursor"]})).json()
            found |= {one["id"] for one in page["items"]}
    assert found == {str(one) for one in written[WIDTH:]}


async def test_only_a_prefix_goes_and_what_is_missing_is_named(old: Aged) -> None:
    await old.write(ALL)
    old.grow_old()
    assert "no sealed period covers it" in await old.held_back_by()
    assert "no signed head covers it" in await old.held_back_by()
    await old.sign(witnessed=False)
    assert "fewer than 1 witnesses hold" in await old.held_back_by()
    await old.sign()
    await old.seal()
    await old.keeper(old.stores[:1]).round()
    assert "1 of 2 copies" in await old.held_back_by()
    assert await old.entries() == ALL
    await hold(old, log=LOG)
    await old.keeper().round()
    assert (await old.held_back_by()).startswith("legal hold ")
    assert await old.entries() == ALL
    await lift(old)
    await old.keeper().round()
    assert await old.entries() == 8


@pytest.mark.parametrize(
    ("reason", "undo"),
    [
        ("no sealed period", "ALTER TABLE audit_periods DISABLE TRIGGER ALL; DELETE FROM audit_periods"),
        ("witnesses hold", "ALTER TABLE audit_cosignatures DISABLE TRIGGER ALL; DELETE FROM audit_cosignatures"),
        ("signature", "ALTER TABLE audit_checkpoints DISABLE TRIGGER ALL; UPDATE audit_checkpoints SET note = 'x'"),
        ("0 of 2 copies", "UPDATE audit_archives SET state = 'missing'"),
        ("0 of 2 copies", "UPDATE audit_archives SET checked_sound = checked_sound - interval '20 years'"),
        ("purge before", "UPDATE audit_spans SET seq_from = 1 WHERE seq_from = 0 AND log = '3y'"),
    ],
)
async def test_each_missing_condition_alone_is_enough(old: Aged, reason: str, undo: str) -> None:
    await old.ready()
    await old.keeper().round()
    old.grow_old()
    (first, *_) = [one for one in await closed(old.app.runtime) if one.log == LOG]
    async with old.app.runtime.database.transaction() as session:
        for statement in undo.split(";"):
            await session.execute(text(statement))
    await old.keeper(()).drop(first)
    assert reason in await old.held_back_by()
    assert await old.entries() == ALL


async def test_a_log_whose_retention_nobody_states_is_kept(old: Aged) -> None:
    await old.ready()
    await old.seal()
    await old.sign()
    old.grow_old()
    await old.keeper().round()
    meta = next(one for one in (await old.report()).logs if one.log == "meta")
    assert (meta.keep_days, meta.dropped, meta.due_partitions) == (None, 0, 0)
    assert meta.full_partitions > 0


async def test_entries_changed_before_they_were_copied_are_neither_copied_nor_dropped(old: Aged) -> None:
    await old.ready()
    another = (await ledger_rows(old.app))[0].canon
    async with old.app.runtime.database.transaction() as session:
        await session.execute(text("ALTER TABLE audit_entries_3y_0 DISABLE TRIGGER ALL"))
        changed = text("UPDATE audit_entries SET canon = :canon WHERE log = :log AND seq = 3")
        await session.execute(changed, {"log": LOG, "canon": another})
    old.grow_old()
    await old.keeper().round()
    assert "are not those that its signed head is over" in await old.held_back_by()
    assert await old.entries() == ALL
    assert not list(old.places[0].rglob("3y/*/manifest.json"))[1:], "only the partition that is whole"


async def test_holds_on_people_and_on_times(old: Aged) -> None:
    await old.write(WIDTH, name="olga")
    await old.write(WIDTH, name="oscar")
    began = old.clock.at
    await old.seal()
    await old.sign()
    await old.keeper().round()
    old.grow_old()
    async with old.app.runtime.database.read() as session:
        subject = await session.scalar(text("SELECT pid FROM audit_subjects WHERE name = 'oscar'"))
    await hold(old, subject=subject, until=began + timedelta(days=1))
    await hold(old, log=LOG, since=began + timedelta(days=1))
    await hold(old, log="7y")
    await old.keeper().round()
    assert await old.entries() == WIDTH, "the first partition speaks of nobody held"
    assert await old.held_back_by() == f"legal hold {await _first_hold(old)} is on a person who stands in it"
    assert await old.count("SELECT count(DISTINCT subject) FROM audit_sealed WHERE log = :log") == 1


async def _first_hold(old: Aged) -> str:
    async with old.app.runtime.database.read() as session:
        return str(await session.scalar(text("SELECT id FROM legal_holds WHERE subject IS NOT NULL")))


async def test_personal_values_go_on_their_date_also_when_the_entries_stay(old: Aged) -> None:
    await old.write(5)
    assert await old.count("SELECT count(*) FROM audit_sealed WHERE log = :log") == 10
    old.clock.at += timedelta(days=1095)
    await old.keeper().round()
    assert await old.count("SELECT count(*) FROM audit_sealed WHERE log = :log") == 10, "its last day has not passed"
    old.clock.at += timedelta(days=1)
    await old.keeper().round()
    await old.keeper().round()
    assert await old.count("SELECT count(*) FROM audit_sealed WHERE log = :log") == 0
    assert await old.entries() == 5
    (entry,) = [one for one in await told(old, AuditEvent.SEALED_EXPIRED) if one.index.resource_id == LOG]
    assert entry.detail.new_value == {
        "log": LOG,
        "before": "2026-03-11T00:00:00.000000Z",
        "days": 1095,
        "stated_by": "the retention of the log",
        "values": 10,
        "quarantined_values": 0,
    }


async def test_who_reads_the_log_without_a_pause_delays_a_purge_and_no_more(old: Aged, database_url: str) -> None:
    await old.ready()
    await old.keeper().round()
    old.grow_old()
    with psycopg.connect(database_url) as reader:
        reader.execute("SELECT count(*) FROM audit_entries_3y_0")
        await old.keeper().round()
        assert await old.entries() == ALL
        assert not await told(old, AuditEvent.PARTITION_PURGED)
    await old.keeper().round()
    assert await old.entries() == 8


async def test_a_purge_that_is_killed_at_its_last_step_leaves_everything(old: Aged, database_url: str) -> None:
    await old.ready()
    await old.keeper().round()
    old.grow_old()
    sealed = await old.count("SELECT count(*) FROM audit_sealed")
    with psycopg.connect(database_url) as reader, psycopg.connect(database_url, autocommit=True) as killer:
        reader.execute("SELECT count(*) FROM audit_entries_3y_0")
        round_ = asyncio.create_task(old.keeper().round())
        ended = 0
        while not round_.done():
            ended += killer.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'DROP TABLE%%'"
                " AND wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()[0]  # type: ignore[index]
            await asyncio.sleep(0.01)
        await round_
    assert ended
    assert await old.entries() == ALL
    assert await old.count("SELECT count(*) FROM audit_spans WHERE log = :log") == 3
    assert await old.count("SELECT count(*) FROM audit_purges") == 0
    assert not await told(old, AuditEvent.PARTITION_PURGED)
    assert await old.count("SELECT count(*) FROM audit_sealed") <= sealed
    await old.keeper().round()
    assert await old.entries() == 8


async def test_two_backends_at_once_drop_once(old: Aged) -> None:
    await old.ready()
    other = replace(old.app.runtime)
    twice = [old.keeper(), Aged(old.app, old.clock, old.places).keeper()]
    assert other is not old.app.runtime
    await asyncio.gather(*(one.round() for one in twice))
    assert (await old.report()).failing_copies == []
    old.grow_old()
    await asyncio.gather(*(one.round() for one in twice))
    await old.keeper().round()
    assert await old.entries() == 8
    assert len(await told(old, AuditEvent.PARTITION_PURGED)) == 2
    await settled(old.app)


def verified(old: Aged, database_url: str, **plan: Any) -> Result:
    """Verify the ledger over a connection of its own."""
    with opened(database_url) as connection:
        return verify(connection, Plan(keys_of(old.app.runtime), **plan))


def failed(result: Result) -> list[str]:
    """The verdicts that are against the ledger, but for what the clock of the tests brings with it."""
    return [f"{verdict}: {tally.first}" for verdict, tally in result.verdicts.items() if tally.findings]


async def test_what_is_left_verifies_and_an_earlier_verification_goes_on(old: Aged, database_url: str) -> None:
    await old.ready()
    before = await asyncio.to_thread(verified, old, database_url)
    assert failed(before) == []
    await old.keeper().round()
    old.grow_old()
    await old.keeper().round()
    await old.write(3)
    await old.sign()
    assert failed(await asyncio.to_thread(verified, old, database_url)) == []
    again = await asyncio.to_thread(lambda: verified(old, database_url, trusted=before.state, full=False))
    assert failed(again) == []
    assert failed(await asyncio.to_thread(lambda: verified(old, database_url, trusted=before.state))) == []


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM audit_purges",
        "DELETE FROM audit_purges WHERE first_kept_seq = 32",
        "UPDATE audit_purges SET root = sha256(root) WHERE first_kept_seq = 32",
        "UPDATE audit_purges SET edge = set_byte(edge, 20, get_byte(edge, 20) # 1) WHERE first_kept_seq = 32",
        "UPDATE audit_purges SET numbers = (SELECT numbers FROM audit_purges WHERE first_kept_seq = 16)",
        "UPDATE audit_purges SET seq_from = 17 WHERE first_kept_seq = 32",
        "DELETE FROM audit_spans WHERE log = '3y'; DROP TABLE audit_entries_3y_32",
        "DELETE FROM audit_sealed WHERE log = '3y' AND field = 'ip_address'",
    ],
)
async def test_a_purge_that_was_changed_or_never_announced_is_found(old: Aged, database_url: str, change: str) -> None:
    await old.ready()
    await old.keeper().round()
    old.grow_old()
    await old.keeper().round()
    await old.write(3)
    await old.sign()
    assert failed(await asyncio.to_thread(verified, old, database_url)) == []
    async with old.app.runtime.database.transaction() as session:
        await session.execute(text("ALTER TABLE audit_purges DISABLE TRIGGER ALL"))
        for statement in change.split(";"):
            await session.execute(text(statement))
    assert failed(await asyncio.to_thread(verified, old, database_url)) != []


async def test_no_partition_goes_while_a_verification_reads_the_ledger(old: Aged) -> None:
    await old.ready()
    await old.keeper().round()
    old.grow_old()
    async with old.app.runtime.database.transaction() as session:
        now = old.clock.at
        session.add(
            VerificationJob(
                id=old.app.runtime.clock.new_id(),
                state="running",
                full=True,
                requested_by="system:test",
                started=now,
                seen_at=now,
                entries_done=0,
                entries_total=0,
            )
        )
    await old.keeper().round()
    assert await old.held_back_by() == "a verification is reading the ledger"
    assert await old.entries() == ALL
