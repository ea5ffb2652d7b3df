"""Ledger, canary and freeze drill steps and the steady state, on a whole backend with a signer and a witness."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from backend.continuity.kinds.backup import BackupKind
from backend.continuity.kinds.registry import KINDS
from backend.continuity.measuring import Steady
from backend.continuity.preconditions import looking
from backend.executors import service as executors
from backend.executors.service import Permits
from backend.transactions import service as transactions
from contract.base import Page
from contract.recovery import BackupCheck, BackupState, Precondition
from contract.transactions import BatchRequest, Transaction, TransactionIn
from tests.support.app import App, started_app
from tests.support.holds import freeze, person, renew
from tests.support.people import ADMIN, AUDITOR
from tests.support.recovery_steps import DRILL, MemoryCluster, Stand, step_of

SOON_S = 60.0


@pytest.fixture
async def whole(place: Path, database_url: str) -> AsyncIterator[App]:
    """A backend whose monitors and duties run: it signs, witnesses and verifies."""
    async with started_app(database_url, monitors=True) as app:
        async with asyncio.timeout(SOON_S):
            while not (await looked(app, "ledger"))["ledger"].ok:
                await asyncio.sleep(0.2)
        yield app


def steady(app: App, *names: str, before: list[Precondition] | None = None, **values: Any) -> Steady:
    plan = app.runtime.policy.recovery.plans[0].model_copy(update={"preconditions": names})
    cluster = values.pop("cluster", None) or MemoryCluster()
    return Steady(app.runtime, cluster, plan, first_primary=values.pop("first", None), before=before or ())


async def looked(app: App, *names: str, **values: Any) -> dict[str, Precondition]:
    matrix = values.pop("matrix", None)
    return {one.name: one for one in await looking(matrix)(steady(app, *names, **values))}


def stand_of(app: App) -> Stand:
    return Stand(app.runtime, MemoryCluster(), began_at=app.runtime.clock.now())


async def test_a_ledger_is_verified_and_a_lost_end_is_counted(whole: App, database_url: str) -> None:
    stand = stand_of(whole)
    for full in (True, False):  # the first run learns the signer's key, the second takes up where it ended
        async with asyncio.timeout(SOON_S):
            outcome = await KINDS["ledger"].run(stand.at(step_of("ledger", full=full)))
        assert outcome.passed, (outcome.summary, outcome.output)
    assert "every verdict is good" in outcome.summary
    assert (await KINDS["ledger"].look(stand.at(step_of("ledger")), stand.noted)).passed  # type: ignore[union-attr]
    with psycopg.connect(database_url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        # as a standby that lacks the last two entries of a log would have it
        row = connection.execute("SELECT log, size FROM audit_heads ORDER BY size DESC LIMIT 1").fetchone()
        assert row is not None
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE audit_heads SET size = size - 2 WHERE log = %s", (row[0],))
    async with asyncio.timeout(SOON_S):
        outcome = await KINDS["ledger"].run(stand.at(step_of("ledger")))
    assert not outcome.passed
    assert outcome.facts["missing_entries"] >= 1
    assert row[0] in outcome.facts["missing_by_log"]
    assert "missing that were signed or witnessed" in outcome.summary
    assert "watchfloor ledger restore" in outcome.left_to_do[0]


async def test_a_verdict_that_nobody_gave_is_no_pass(app: App) -> None:
    outcome = await KINDS["ledger"].run(stand_of(app).at(step_of("ledger"))) if app.runtime.settings.witnesses else None
    assert outcome is None
    assert KINDS["ledger"].problems(app.runtime, MemoryCluster(), step_of("ledger")) != []


async def trades(app: App) -> list[Transaction]:
    async with await app.as_(AUDITOR) as client:
        answer = await client.get("/v1/transactions")
    return Page[Transaction].model_validate(answer.json()).items


async def test_canaries_are_stored_shown_and_counted_by_nothing(app: App) -> None:
    stand = stand_of(app)
    outcome = await KINDS["canary"].run(stand.at(step_of("canary", transactions=7)))
    assert outcome.passed, outcome.summary
    assert outcome.summary == "7 canary transactions were stored and read back; no executor had a permit before."
    shown = await trades(app)
    assert len(shown) == 7
    assert {(one.source, one.chain, one.outcome.value, one.label) for one in shown} == {
        ("recovery-canary", "canary", "unknown", DRILL)
    }
    async with app.runtime.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM transaction_hours")) == 0
        assert await transactions.last_delivery_at(session) is None
        assert await transactions.recent_sums(session, app.runtime.clock.now(), window_since=stand.began_at) == []


async def test_nobody_else_may_mark_a_trade_as_a_canary(app: App) -> None:
    row = TransactionIn(chain="arbitrum", tx_hash="0x1", block_time=app.runtime.clock.now(), source=" recovery-canary ")
    async with app.runtime.database.transaction() as session:
        stored = await transactions.store_batch(session, app.runtime, person("adam"), BatchRequest(transactions=[row]))
    assert [one.reason for one in stored.result.refused] == [
        "the source recovery-canary is that of recovery drills alone"
    ]
    assert await trades(app) == []


async def test_executors_have_to_hold_a_permit_again(app: App) -> None:
    stand = stand_of(app)
    await renew(app.runtime, "bot-1")
    await renew(app.runtime, "bot-2")
    running = asyncio.create_task(KINDS["canary"].run(stand.at(step_of("canary", transactions=1))))
    async with asyncio.timeout(SOON_S):
        while not any("Waits for permits: 0 of 2" in line for line in stand.logged):
            await asyncio.sleep(0.05)
    assert not running.done()
    await asyncio.sleep(1.1)  # a report is stored once a second
    async with asyncio.timeout(SOON_S):
        while not running.done():
            await asyncio.gather(renew(app.runtime, "bot-1"), renew(app.runtime, "bot-2"))
            await asyncio.sleep(0.2)
    outcome = running.result()
    assert outcome.passed
    assert outcome.facts["hold_permit"] == 2


async def test_a_frozen_executor_is_not_waited_for(app: App) -> None:
    await renew(app.runtime, "bot-1")
    began = app.runtime.clock.now() - timedelta(minutes=1)
    await freeze(app.runtime, "executor:bot-1")
    async with app.runtime.database.read() as session:
        found = await executors.permits_since(session, app.runtime, began, heard=None)
    assert (found.had, found.holding, found.frozen, found.without) == (1, 0, 1, ())
    assert isinstance(found, Permits)


async def test_the_state_of_the_cluster_is_told_with_figures(app: App) -> None:
    names = ("cluster_reachable", "standby_healthy", "standby_lag", "synchronous_mode")
    good = await looked(app, *names)
    assert all(one.ok for one in good.values()), good
    assert good["cluster_reachable"].found == "a is the primary of floor."
    assert good["standby_lag"].found == "Behind the primary: b 0 bytes; the policy allows 16,777,216."
    behind = await looked(app, *names, cluster=MemoryCluster(lag=99_000_000, synchronous=False))
    assert not behind["standby_lag"].ok
    assert (behind["synchronous_mode"].ok, behind["synchronous_mode"].blocking) == (False, False)
    assert "ASYNCHRONOUS" in behind["synchronous_mode"].found
    lost = await looked(app, *names, cluster=MemoryCluster(primary=None, stopped={"a"}))
    assert [lost[name].ok for name in names] == [False, False, True, False]
    other = await looked(app, *names, cluster=MemoryCluster(primary="b"), first="a")
    assert other["cluster_reachable"].found == "b is the primary; before the drill it was a."
    unknown = await looked(app, *names, cluster=MemoryCluster(lag=None))
    assert not unknown["standby_healthy"].ok
    assert not unknown["standby_lag"].ok


async def test_freezes_are_known_before_and_compared_afterwards(app: App) -> None:
    await renew(app.runtime, "bot-1")
    assert (await looked(app, "freezes"))["freezes"].found == "No freeze is in force."
    await freeze(app.runtime, "executor:bot-1")
    await freeze(app.runtime, "chain:arbitrum")
    before = [(await looked(app, "freezes"))["freezes"]]
    assert before[0].ok
    assert not before[0].blocking
    assert before[0].found == "2 freezes are in force and must be in force afterwards: FRZ-0001, FRZ-0002."
    after = (await looked(app, "freezes", before=before))["freezes"]
    assert (after.ok, after.blocking) == (True, True)
    async with app.runtime.database.transaction() as session:  # as if it had been lost by the failover
        await session.execute(text("UPDATE freezes SET status = 'thawed' WHERE number = 2"))
    after = (await looked(app, "freezes", before=before))["freezes"]
    assert not after.ok
    assert "LOST: FRZ-0002." in after.found


async def test_backups_incidents_and_the_disk_are_looked_at(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    found = await looked(app, "backup", "no_critical_incident", "disk")
    assert (found["backup"].ok, found["backup"].blocking) == (False, False)
    assert found["no_critical_incident"].ok
    assert found["disk"].ok
    async with await app.as_(ADMIN) as client:
        body = {"title": "Down", "type": "system_failure", "severity": "critical", "description": "all of it"}
        answer = await client.post("/v1/incidents", json=body)
        assert answer.status_code == 201, answer.text
    again = (await looked(app, "no_critical_incident"))["no_critical_incident"]
    assert (again.ok, again.blocking) == (False, True)
    assert "(Down)" in again.found


async def test_a_database_that_is_away_is_said_and_not_raised(app: App) -> None:
    await app.runtime.database.close()
    gone = replace(app.runtime, database=_Away())  # type: ignore[arg-type]
    plan = app.runtime.policy.recovery.plans[0].model_copy(update={"preconditions": ("freezes", "ledger")})
    found = await looking()(Steady(gone, MemoryCluster(), plan))
    assert [one.ok for one in found] == [False, False]
    assert all("could not be found out" in one.found for one in found)


class _Away:
    def read(self) -> Any:
        raise OSError("nobody listens")


def checked(state: BackupState, *, restored: bool | None, newest: datetime | None = None) -> BackupCheck:
    return BackupCheck(
        data="Transaction Data", frequency="", retention_days=1, storage="", recovery_method="", state=state,
        found="The newest is of today.", restore_ok=restored, restore_found="All rows are there.", newest_at=newest,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "restored", "passed"),
    [
        (BackupState.OK, True, True),
        (BackupState.OK, None, False),
        (BackupState.NOT_CHECKED, None, False),
        (BackupState.FAILED, False, False),
    ],
)
async def test_a_backup_passes_once_it_was_restored(
    app: App, state: BackupState, restored: bool | None, *, passed: bool
) -> None:
    async def check(_runtime: Any, _data: str) -> BackupCheck:
        return checked(state, restored=restored)

    step = step_of("backup", data="Transaction Data")
    assert (await BackupKind(check).run(stand_of(app).at(step))).passed is passed
    assert BackupKind().problems(app.runtime, MemoryCluster(), step) == ["Nothing here restores backups."]
