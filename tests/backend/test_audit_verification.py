"""Verifying a ledger that is in order: every verdict, incrementally, resumed, in a process of its own, by command."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from backend import headwatch
from backend.alerts import service as alerts
from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.verification import periods, runs
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.numbers import Numbers
from backend.audit.verification.state import State
from backend.audit.verification.verdicts import Outcome, Verdict
from backend.clock import Clock
from backend.context import Caller
from tests.support.app import AloneLead, App, started_app
from tests.support.ledger import settled
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR
from tests.support.verifying import keys_of, opened

ODD = 'a "quoted" \\ back\nslash, ünïcode 😀 and "},"v":1}'
OK = dict.fromkeys(Verdict, Outcome.OK) | {Verdict.EXTERNAL: Outcome.NOT_CHECKED}


def person(name: str = "olga") -> Caller:
    return Caller(name, "user", "mev_operator", frozenset(), "req-1", ip="192.0.2.7", user_agent="test")


async def write(app: App, count: int, *, text: str = "look") -> None:
    """Record acts whose entries go into several logs."""
    events = [AuditEvent.LOGIN_SUCCEEDED, AuditEvent.FREEZE_CREATED, AuditEvent.ALERT_RAISED, AuditEvent.SEARCH_RUN]
    for number in range(count):
        async with app.runtime.database.transaction() as session:
            draft = AuditDraft(events[number % 4], text, "thing", f"{number} {text}", new_value={"n": number})
            await record(session, app.runtime, person(), draft)
    await settled(app)


def outcomes(result: Result) -> dict[Verdict, Outcome]:
    return {verdict: tally.outcome for verdict, tally in result.verdicts.items()}


async def test_a_ledger_in_order_is_found_in_order_and_what_was_not_checked_is_not_called_ok(
    app: App, database_url: str
) -> None:
    await write(app, 12)
    await write(app, 4, text=ODD)
    with opened(database_url) as connection:
        result = verify(connection, Plan(keys_of(app.runtime)))
    assert outcomes(result) == OK, result.verdicts.to_tree()
    assert result.entries == sum(head.size for head in result.ended.values()) >= 16
    assert result.verdicts[Verdict.ERASURE].checked == 0


async def test_the_next_verification_reads_only_what_is_new_and_a_full_one_everything(
    app: App, database_url: str
) -> None:
    await write(app, 8)
    with opened(database_url) as connection:
        first = verify(connection, Plan(keys_of(app.runtime)))
    await write(app, 3)
    with opened(database_url) as connection:
        second = verify(connection, Plan(keys_of(app.runtime), trusted=first.state, full=False))
        whole = verify(connection, Plan(keys_of(app.runtime), trusted=first.state))
    assert second.entries == 3
    assert whole.entries == first.entries + 3
    assert outcomes(second) == outcomes(whole) == OK
    assert second.state.numbers.seen == whole.state.numbers.seen == whole.entries


async def test_an_interrupted_verification_goes_on_where_it_was_saved(app: App, database_url: str) -> None:
    await write(app, 8)
    kept: list[bytes] = []
    with opened(database_url) as connection:
        whole = verify(
            connection, Plan(keys_of(app.runtime)), saved=lambda state, _: kept.append(state.pack(b"k", "l"))
        )
        for packed in kept:
            state = State.unpack(packed, b"k", "l")
            assert state is not None
            rest = verify(connection, Plan(keys_of(app.runtime)), state)
            assert outcomes(rest) == OK
            assert rest.state.numbers.seen == whole.entries
            assert {log: edge.root() for log, edge in rest.state.edges.items()} == {
                log: head.root for log, head in whole.ended.items()
            }
    assert len(kept) == len(whole.ended)


def test_what_was_saved_is_believed_only_as_it_was_saved() -> None:
    packed = State().pack(b"key", "ledger")
    assert State.unpack(packed, b"key", "ledger") is not None
    assert State.unpack(packed, b"other", "ledger") is None
    assert State.unpack(packed, b"key", "another") is None
    for at in range(len(packed)):
        assert State.unpack(packed[:at] + bytes([packed[at] ^ 1]) + packed[at + 1 :], b"key", "ledger") is None


def test_numbers_tell_the_lost_from_the_void_and_the_unpromised() -> None:
    numbers = Numbers()
    for n in (*range(1, 10_000), 10_002):
        assert numbers.see("boot", n, 0, ())
    assert not numbers.see("boot", 7, 0, ())
    assert list(numbers.missing(9)) == []
    numbers.see("boot", 10_005, 10_003, (10_000,))
    assert list(numbers.missing(9)) == [("boot", 2, 10_001)]
    numbers.see("far", 2**53, 2**53 - 1, ())
    assert [boot for boot, *_ in numbers.missing(9)] == ["boot", "far"]
    again = Numbers.from_tree(numbers.to_tree())
    assert list(again.missing(9)) == list(numbers.missing(9))
    assert again.seen == numbers.seen


@pytest.fixture
async def verifying(app: App) -> AsyncIterator[App]:
    """A backend whose verifier runs."""
    task = asyncio.ensure_future(runs.VERIFIER.run(app.runtime, AloneLead()))
    yield app
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _ended(client: Any, ident: str) -> dict[str, Any]:
    while True:
        body: dict[str, Any] = (await client.get(f"/v1/ledger/verifications/{ident}")).json()
        if body["state"] in ("done", "broken"):
            return body
        await asyncio.sleep(0.05)


async def test_a_verification_is_asked_for_run_kept_and_announced(verifying: App, database_url: str) -> None:
    await write(verifying, 6)
    async with await verifying.as_(AUDITOR) as client:
        asked = await client.post("/v1/ledger/verifications", json={"full": True})
        assert asked.status_code == 202, asked.text
        first = await _ended(client, asked.json()["id"])
        assert (first["state"], first["passed"]) == ("done", True), first
        await settled(verifying)
        second = await _ended(client, (await client.post("/v1/ledger/verifications", json={})).json()["id"])
        assert (second["state"], second["passed"]) == ("done", True), second
        assert 0 < second["entries"] < first["entries"] + 9
        listed = (await client.get("/v1/ledger/verifications")).json()["items"]
        assert [one["id"] for one in listed] == [second["id"], first["id"]]
        assert {one["requested_by"] for one in listed} == {AUDITOR.name}
    await settled(verifying)
    with opened(database_url) as connection:
        assert outcomes(verify(connection, Plan(keys_of(verifying.runtime)))) == OK
        kept = "SELECT id, passed, verified_by FROM audit_verifications ORDER BY verified_at"
        rows = connection.execute(kept).fetchall()
        announced = "SELECT resource_id FROM audit_entries WHERE event_type = 'ledger.verification.run' ORDER BY seq"
        said = connection.execute(announced).fetchall()
    assert [str(row[0]) for row in rows] == [row[0] for row in said] == [first["id"], second["id"]]
    assert all(row[1] and row[2].startswith("person:") for row in rows)


async def test_a_run_left_behind_by_its_backend_is_taken_up_by_the_next(app: App, database_url: str) -> None:
    await write(app, 4)
    async with await app.as_(OFFICER) as client:
        ident = (await client.post("/v1/ledger/verifications", json={"full": True})).json()["id"]
        with opened(database_url) as connection:
            connection.execute("UPDATE audit_verification_jobs SET state = 'running'")
        await runs.carry_out(app.runtime, AloneLead(), UUID(ident))
        assert (await _ended(client, ident))["passed"] is True


async def test_a_worker_that_cannot_work_leaves_a_reason_and_not_a_verdict(app: App) -> None:
    async with await app.as_(OFFICER) as client:
        ident = (await client.post("/v1/ledger/verifications", json={})).json()["id"]
        nowhere = app.runtime.settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
        await runs.carry_out(replace(app.runtime, settings=nowhere), AloneLead(), UUID(ident))
        body = await _ended(client, ident)
    assert body["state"] == "broken"
    assert body["passed"] is None
    assert body["error"]


async def _live_rules(app: App) -> list[str]:
    async with app.runtime.database.transaction() as session:
        await headwatch.tick(session, app.runtime)
    async with app.runtime.database.read() as session:
        return [row.rule for _, row in await alerts.live_of_rules(session, headwatch.RULES)]


async def test_a_verification_that_fails_is_an_alert_until_one_passes(verifying: App, database_url: str) -> None:
    def actor_becomes(sql: str) -> None:
        with psycopg.connect(database_url, autocommit=True) as superuser:
            superuser.execute("ALTER TABLE audit_entries_7y_0 DISABLE TRIGGER ALL")
            superuser.execute(f"UPDATE audit_entries_7y_0 SET actor = {sql} WHERE seq = 1")  # noqa: S608  ours

    await write(verifying, 4)
    async with await verifying.as_(OFFICER) as client:

        async def verified() -> dict[str, Any]:
            asked = await client.post("/v1/ledger/verifications", json={"full": True})
            return await _ended(client, asked.json()["id"])

        actor_becomes("actor || 'x'")
        assert (await verified())["passed"] is False
        assert await _live_rules(verifying) == ["LEDGER_NOT_AS_WRITTEN"]
        actor_becomes("left(actor, -1)")
        again = await verified()
        assert again["passed"], again  # a red run names the verdict
        assert await _live_rules(verifying) == []


async def test_a_trusted_state_copied_to_a_job_does_not_spare_it_its_reading(app: App, database_url: str) -> None:
    await write(app, 4)
    async with await app.as_(OFFICER) as client:

        async def asked() -> str:
            return str((await client.post("/v1/ledger/verifications", json={"full": True})).json()["id"])

        first = await asked()
        await runs.carry_out(app.runtime, AloneLead(), UUID(first))
        assert (await _ended(client, first))["passed"] is True
        second = await asked()
        with psycopg.connect(database_url, autocommit=True) as superuser:
            superuser.execute("ALTER TABLE audit_entries_7y_0 DISABLE TRIGGER ALL")
            superuser.execute("UPDATE audit_entries_7y_0 SET actor = 'nobody' WHERE seq = 1")
            superuser.execute(
                "INSERT INTO audit_verification_state (name, packed, saved_at)"
                " SELECT %s, packed, saved_at FROM audit_verification_state WHERE name = 'trusted'",
                (f"job:{second}",),
            )
        await runs.carry_out(app.runtime, AloneLead(), UUID(second))
        assert (await _ended(client, second))["passed"] is False


async def test_past_periods_are_sealed_empty_ones_too_and_verified(app: App, database_url: str) -> None:
    await write(app, 5)
    later = app.runtime.clock.now() + timedelta(days=3)
    tomorrow = replace(app.runtime, clock=Clock(now=lambda: later))
    async with app.runtime.database.transaction() as session:
        await periods.seal_due(session, tomorrow)
    await settled(app)
    await write(app, 2)
    with opened(database_url) as connection:
        result = verify(connection, Plan(keys_of(app.runtime)))
        assert outcomes(result) == OK, result.verdicts.to_tree()
        rows = connection.execute("SELECT log, n, record_count FROM audit_periods ORDER BY log, n").fetchall()
    assert {log for log, *_ in rows} == {*app.runtime.policy.audit_logs, "meta"}
    assert {n for _, n, _ in rows} == {0, 1, 2}
    assert sum(count for _, n, count in rows if n == 0) >= 5
    assert all(count == 0 for _, n, count in rows if n)
    async with await app.as_(AUDITOR) as client:
        ident = (await client.post("/v1/ledger/verifications", json={"full": True})).json()["id"]
        assert all(one["verified_at"] is None for one in (await client.get("/v1/ledger/periods")).json()["items"])
        await runs.carry_out(app.runtime, AloneLead(), UUID(ident))
        listed = (await client.get("/v1/ledger/periods")).json()["items"]
    assert len(listed) == len(rows)
    # sealed "tomorrow": only a run after that counts as theirs
    assert all(one["verified_at"] is None for one in listed)


async def test_an_erased_person_is_no_finding_and_one_erased_behind_our_back_is(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    async with started_app(database_url) as app:
        await write(app, 6)
        await (await app.as_(OPERATOR)).aclose()
        async with await app.as_(OFFICER) as officer, await app.as_(ADMIN) as admin:
            asked = await officer.post("/v1/privacy/erasures", json={"subject": OPERATOR.name, "reason": "asked"})
            erased = await admin.post(f"/v1/privacy/erasures/{asked.json()['id']}/approve")
            assert erased.status_code == 200, erased.text
        await settled(app)
        with opened(database_url) as connection:
            result = verify(connection, Plan(keys_of(app.runtime)))
            assert outcomes(result) == OK, result.verdicts.to_tree()
            assert result.verdicts[Verdict.ERASURE].checked > 0
            connection.execute("DELETE FROM audit_sealed")
            behind = verify(connection, Plan(keys_of(app.runtime)))
    # names, which lie sealed in `meta`, can no longer be held against it either
    assert set(behind.verdicts.failed) == {Verdict.ERASURE, Verdict.PROJECTION}
    assert {one.what for one in behind.verdicts[Verdict.ERASURE].first} == {"gone"}
