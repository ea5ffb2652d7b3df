"""Ledger, canary and freeze drill steps and the steady state, on a whole backend with a signer and a witness."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from backend.audit.heads import rollback
from backend.audit.heads.status import head_status
from backend.audit.verification import runs
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
from tests.support import databases
from tests.support.app import AloneLead, App, started_app
from tests.support.grown import grow
from tests.support.holds import freeze, person, renew
from tests.support.keeping import LOG, keeping, origin, round_of
from tests.support.people import ADMIN, AUDITOR
from tests.support.recovery_steps import DRILL, MemoryCluster, Stand, step_of

SOON_S = 60.0


@pytest.fixture
async def whole(place: Path, database_url: str) -> AsyncIterator[App]:
    """A backend whose monitors and duties run: it signs, witnesses and verifies."""
    async with started_app(database_url, monitors=True) as app:
        async with asyncio.timeout(SOON_S):
            while not await is_signed(app):  # noqa: ASYNC110  another process signs
                await asyncio.sleep(0.2)
        assert (await looked(app, "ledger"))["ledger"].ok
        yield app


async def is_signed(app: App) -> bool:
    """Whether every log has a head that the signer and a witness hold."""
    async with app.runtime.database.read() as session:
        status = await head_status(session, app.runtime)
    return bool(status.logs) and all(log.signed and log.witnessed for log in status.logs)


def steady(app: App, *names: str, before: list[Precondition] | None = None, **values: Any) -> Steady:
    plan = app.runtime.policy.recovery.plans[0].model_copy(update={"preconditions": names})
    cluster = values.pop("cluster", None) or MemoryCluster()
    return Steady(app.runtime, cluster, plan, first_primary=values.pop("first", None), before=before or ())


async def looked(app: App, *names: str, **values: Any) -> dict[str, Precondition]:
    matrix = values.pop("matrix", None)
    return {one.name: one for one in await looking(matrix)(steady(app, *names, **values))}


def stand_of(app: App) -> Stand:
    return Stand(app.runtime, MemoryCluster(), began_at=app.runtime.clock.now())


async def test_a_ledger_is_verified_whole_and_from_where_that_ended(whole: App) -> None:
    stand = stand_of(whole)
    for full in (True, False):  # the first run learns the signer's key, the second takes up where it ended
        async with asyncio.timeout(SOON_S):
            outcome = await KINDS["ledger"].run(stand.at(step_of("ledger", full=full)))
        assert outcome.passed, (outcome.summary, outcome.output)
    assert "every verdict is good" in outcome.summary
    assert (await KINDS["ledger"].look(stand.at(step_of("ledger")), stand.noted)).passed  # type: ignore[union-attr]


async def grown_and_signed(app: App, count: int) -> None:
    await origin(app)
    await grow(app.runtime, LOG, count)
    async with keeping(app) as keeper:
        await round_of(keeper)


async def test_entries_that_a_failover_lost_are_counted(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app:
        await grown_and_signed(app, 20)
    # what a standby that is behind would have
    name, older = databases.create_database(urlsplit(database_url).path.removeprefix("/"))
    try:
        async with started_app(database_url) as app:
            await grown_and_signed(app, 7)
        async with started_app(older, sequence=False) as app:
            outcome = await KINDS["ledger"].run(stand_of(app).at(step_of("ledger")))
            back = await KINDS["ledger"].undo(stand_of(app).at(step_of("ledger")), outcome.facts)
            await rollback.check_before_append(app.runtime)
            again = await KINDS["ledger"].run(stand_of(app).at(step_of("ledger")))
            standing = (await looked(app, "ledger"))["ledger"]
    finally:
        databases.drop_database(name)
    assert not outcome.passed
    assert outcome.facts["missing_by_log"][LOG] == 7
    assert f"7 of the log {LOG}" in outcome.summary
    assert "watchfloor ledger restore" in outcome.left_to_do[0]
    assert (back.passed, back.left_to_do) == (False, outcome.left_to_do), "no way back brings them again"
    assert again.facts["missing_by_log"][LOG] == 7
    assert "holds a signed head of 27" in again.output
    assert not standing.ok


async def test_a_verdict_that_nobody_gave_is_no_pass(place: Path, database_url: str) -> None:
    async with started_app(database_url) as app:
        verifying = asyncio.ensure_future(runs.VERIFIER.run(app.runtime, AloneLead()))
        async with asyncio.timeout(SOON_S):
            outcome = await KINDS["ledger"].run(stand_of(app).at(step_of("ledger")))
        verifying.cancel()
        await asyncio.gather(verifying, return_exceptions=True)
    assert not outcome.passed
    assert outcome.summary == "Not checked, so not passed: external (no head has been signed)."


async def test_a_ledger_that_nobody_witnesses_is_told_beforehand(app: App) -> None:
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
        while not any("Waits for permits: 0 of 2" in line for line in stand.logged):  # noqa: ASYNC110  a step logs it
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
    async with await app.as_(ADMIN) as client:
        await freeze(client, "executor:bot-1")
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
    async with await app.as_(ADMIN) as client:
        await freeze(client, "executor:bot-1")
    async with await app.as_(ADMIN) as client:
        await freeze(client, "chain:arbitrum")
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
        body = {"title": "Down", "type": "availability", "severity": "critical"}
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
    app: App, state: BackupState, *, restored: bool | None, passed: bool
) -> None:
    async def check(_runtime: Any, _data: str) -> BackupCheck:
        return checked(state, restored=restored)

    step = step_of("backup", data="Transaction Data")
    assert (await BackupKind(check).run(stand_of(app).at(step))).passed is passed
    assert BackupKind().problems(app.runtime, MemoryCluster(), step) == ["Nothing here restores backups."]
