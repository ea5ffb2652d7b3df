"""Freeze drills on the real database: the same path, canaries only, measured, over by themselves."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from backend.freeze import drill_core
from backend.freeze import service as freezes
from backend.freeze.tables import FreezeDrillRow, FreezeRow, HaltAck
from contract.freeze import Freeze
from contract.freeze_drills import CanaryOutcome, DrillEvidence, DrillHistory, FreezeDrill
from contract.scope import Scope
from contract.states import HaltState
from tests.support.app import App
from tests.support.holds import approve, ask_for_thaw, freeze, renew
from tests.support.people import ADMIN, AUDITOR, OFFICER, OPERATOR

CANARY = {"kind": "executor", "name": "bot-1"}


async def begin(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    usual = {"scopes": [CANARY], "reason": "quarterly drill"}
    return await client.post("/v1/freezes/drills", json=usual | body)


async def started(client: httpx.AsyncClient, **body: Any) -> FreezeDrill:
    answer = await begin(client, **body)
    assert answer.status_code == 201, answer.text
    return FreezeDrill.model_validate(answer.json())


async def follow(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await freezes.follow(session, app.runtime)


async def acknowledge(app: App, *, last_order_seq: int = 42) -> None:
    async with app.runtime.database.transaction() as session:
        row = await session.scalar(select(FreezeRow).where(FreezeRow.drill_id.is_not(None)))
        assert row is not None
        acked_at = row.created_at + timedelta(milliseconds=180)
        statement = "eyJraWQiOiAiYm9vdC0xIn0.e30.c2ln"
        session.add(
            HaltAck(
                freeze_id=row.id,
                executor="bot-1",
                acked_at=acked_at,
                last_order_seq=last_order_seq,
                in_flight=0,
                statement=statement,
            )
        )


async def run_out(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(update(FreezeDrillRow).values(ends_at=func.clock_timestamp()))


async def test_a_drill_freezes_measures_and_lets_go(app: App) -> None:
    admin, auditor = await app.as_(ADMIN), await app.as_(AUDITOR)
    await renew(app.runtime, last_order_seq=40)
    drill = await started(admin)
    assert (drill.ref, drill.holds, drill.covered, drill.ended_at) == ("FD-0001", ["FRZ-0001"], 1, None)
    permit = await renew(app.runtime, last_order_seq=42)
    assert not permit.may_trade
    await acknowledge(app)
    await follow(app)
    hold = Freeze.model_validate((await auditor.get("/v1/freezes/FRZ-0001")).json())
    assert hold.drill
    assert hold.status == "active"
    await run_out(app)
    await follow(app)
    over = FreezeDrill.model_validate((await auditor.get("/v1/freezes/drills/FD-0001")).json())
    assert over.ended_at is not None
    [outcome] = over.outcomes
    assert (outcome.state, outcome.halted_after_seconds) == (HaltState.QUIESCED, Decimal("0.180"))
    assert (outcome.orders_after_halt, outcome.orders_until_halt_at_most, over.missed) == (0, 2, 0)
    assert (await renew(app.runtime, last_order_seq=42)).may_trade
    history = DrillHistory.model_validate((await auditor.get("/v1/freezes/drills")).json())
    assert (history.ended, history.times.count, history.times.p99_seconds) == (1, 1, Decimal("0.180"))
    pack = DrillEvidence.model_validate((await auditor.get("/v1/freezes/drills/FD-0001/evidence")).json())
    assert [one.executor for one in pack.signed] == ["bot-1"]
    assert pack.policy["permits.ttl_ms"] == "2000"
    assert pack.holds[0].proofs[0].state is HaltState.QUIESCED


async def test_a_canary_that_never_answers_is_missed_and_let_go_all_the_same(app: App) -> None:
    admin = await app.as_(ADMIN)
    await renew(app.runtime)
    await started(admin)
    await run_out(app)
    await follow(app)
    over = FreezeDrill.model_validate((await admin.get("/v1/freezes/drills/FD-0001")).json())
    assert (over.missed, over.times.count, over.times.p99_seconds) == (1, 0, None)
    assert (await renew(app.runtime)).may_trade


async def test_a_drill_lifts_nothing_but_its_own_hold(app: App) -> None:
    admin = await app.as_(ADMIN)
    await renew(app.runtime)
    await started(admin)
    await freeze(admin)
    await run_out(app)
    await follow(app)
    assert not (await renew(app.runtime)).may_trade
    shown = [Freeze.model_validate(one) for one in (await admin.get("/v1/freezes")).json()["items"]]
    assert [(one.ref, one.drill) for one in shown] == [("FRZ-0002", False)]


async def test_a_drill_whose_hold_people_have_lifted_is_over(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await renew(app.runtime)
    await started(admin)
    await started(admin, scopes=[CANARY, {"kind": "executor", "name": "bot-2"}])
    await follow(app)
    assert (await ask_for_thaw(admin, "FRZ-0001")).is_success
    assert (await approve(officer, "FRZ-0001")).json()["status"] == "thawed"
    await follow(app)
    answers = [await admin.get(f"/v1/freezes/drills/{ref}") for ref in ("FD-0001", "FD-0002")]
    first, second = (FreezeDrill.model_validate(answer.json()) for answer in answers)
    assert first.ended_at is not None
    assert [one.executor for one in first.outcomes] == ["bot-1"]
    assert second.ended_at is None


async def test_the_same_key_starts_one_drill(app: App) -> None:
    admin = await app.as_(ADMIN)
    await renew(app.runtime)
    first, again = await started(admin, idempotency_key="k"), await started(admin, idempotency_key="k")
    assert (first.id, first.holds) == (again.id, again.holds)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"scopes": [{"kind": "global", "name": ""}]}, 409),
        ({"scopes": [CANARY, {"kind": "chain", "name": "arbitrum"}]}, 409),
        ({"scopes": []}, 422),
        ({"scopes": [CANARY] * 21}, 422),
        ({"reason": " "}, 422),
    ],
)
async def test_what_is_no_canary_is_not_frozen_for_practice(app: App, body: dict[str, Any], status: int) -> None:
    admin = await app.as_(ADMIN)
    answer = await begin(admin, **body)
    assert answer.status_code == status, answer.text
    assert (await admin.get("/v1/freezes")).json()["items"] == []


async def test_only_who_may_freeze_may_drill_and_a_stranger_is_not_found(app: App) -> None:
    assert (await begin(await app.as_(OPERATOR))).status_code == 403
    auditor = await app.as_(AUDITOR)
    for ident in ("FD-0009", "nonsense", "99999999999", "FRZ-0001"):
        assert (await auditor.get(f"/v1/freezes/drills/{ident}")).status_code == 404


@given(st.lists(st.decimals(0, 10, places=3), min_size=1, max_size=200), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values: list[Decimal], percent: int) -> None:
    ordered = sorted(values)
    found = drill_core.nearest_rank(ordered, percent)
    assert found in ordered
    assert sum(value <= found for value in ordered) * 100 >= percent * len(ordered)
    smaller = [value for value in ordered if value < found]
    assert not smaller or len(smaller) * 100 < percent * len(ordered)


def test_nobody_measured_is_no_figure() -> None:
    silent = CanaryOutcome(executor="x", state=HaltState.EXPIRED, proof="")
    assert drill_core.halt_times([silent]).p99_seconds is None
    assert drill_core.missed([silent]) == 1
    assert not drill_core.is_canary(Scope.parse("chain:base"), ["chain:other"])
    assert drill_core.is_canary(Scope.parse("chain:Base"), ["chain:base"])
