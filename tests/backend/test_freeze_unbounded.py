"""Executors that no permit bounds, and those that leave drills alone: on the real database, never shown as stopped."""

from typing import Any

import httpx
import pytest

from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from contract.freeze import Freeze, HaltProof
from contract.freeze_drills import FreezeDrill
from contract.gate import Permit
from contract.states import HaltState
from tests.backend.test_freeze_drills import run_out, started
from tests.backend.test_freeze_evidence import acknowledged, follow, long_ago, nonce, proof, tell, watcher
from tests.support.app import App
from tests.support.holds import freeze, renew
from tests.support.ledger import settled
from tests.support.people import ADMIN

CONTRACT = "0xC0ffee"


def paused(block: int, *, yes: bool = True, **more: Any) -> dict[str, Any]:
    usual = {"looked_at": "paused", "chain": "arbitrum", "subject": CONTRACT, "unchanged_blocks": 3}
    return usual | {"value": int(yes), "block": block} | more


async def hold(client: httpx.AsyncClient, ref: str) -> Freeze:
    return Freeze.model_validate((await client.get(f"/v1/freezes/{ref}")).json())


async def entries(client: httpx.AsyncClient, event_type: str) -> list[dict[str, Any]]:
    found = await client.get("/v1/audit", params={"event_type": event_type})
    return [(await client.get(f"/v1/audit/{entry['id']}")).json() for entry in found.json()["items"]]


async def test_behind_an_adapter_dead_permits_prove_nothing(app: App) -> None:
    admin = await app.as_(ADMIN)
    await renew(app.runtime, bounded=False)
    await renew(app.runtime, "asks-first")
    made = await freeze(admin)
    await long_ago(app)
    for _ in range(2):
        await follow(app)
    shown = await hold(admin, made.ref)
    by_name = {one.executor: one for one in shown.proofs}
    unbounded, asking = by_name["bot-1"], by_name["asks-first"]
    assert (asking.state, asking.bounded) == (HaltState.EXPIRED, True)
    assert (unbounded.state, unbounded.bounded, unbounded.permit_dead_at) == (HaltState.REQUESTED, False, None)
    assert unbounded.proof == "no permit bounds it; not heard of since the freeze"
    assert (shown.covered, shown.halted) == (2, 1)
    await acknowledged(app, made, in_flight=0, in_flight_ids=[])
    assert (await hold(admin, made.ref)).halted == 2


async def test_a_wallet_that_goes_on_behind_an_adapter_is_a_violation(app: App) -> None:
    admin, chain = await app.as_(ADMIN), await watcher(app)
    await renew(app.runtime, bounded=False, in_flight=1)
    made = await freeze(admin)
    await long_ago(app)
    await tell(chain, nonce(5))
    await tell(chain, nonce(6))
    assert (await proof(admin, made.ref)).state is HaltState.REQUESTED, "it has told of one, which may be what stops it"
    await tell(chain, nonce(7))
    gone_on = await proof(admin, made.ref)
    assert gone_on.state is HaltState.VIOLATION
    assert "nothing says that it has stopped" in gone_on.proof


@pytest.mark.parametrize("change", [{"bounded": True}, {"in_drills": True}])
async def test_what_bounds_a_process_is_audited_and_never_changes_while_it_runs(
    app: App, change: dict[str, bool]
) -> None:
    admin = await app.as_(ADMIN)
    known: dict[str, Any] = {"bounded": False, "in_drills": False}
    await renew(app.runtime, **known)
    await renew(app.runtime, **known)
    with pytest.raises(WatchfloorError) as refused:
        await renew(app.runtime, **(known | change))
    assert refused.value.code is ErrorCode.CONFLICT
    assert "whether a permit bounds it" in refused.value.message
    await settled(app)
    [entry] = await entries(admin, "executors.process.registered")
    assert (entry["new_value"]["bounded"], entry["new_value"]["in_drills"]) == (False, False)
    made = await freeze(admin)
    assert not (await proof(admin, made.ref)).bounded
    await renew(app.runtime, boot_id="boot-2")
    assert (await proof(admin, made.ref)).bounded


async def drill_permit(app: App) -> Permit:
    return await renew(app.runtime, bounded=False, in_drills=False, seen_epoch=1)


async def test_who_leaves_drills_alone_is_told_of_them_and_neither_halts_nor_misses_anything(app: App) -> None:
    admin = await app.as_(ADMIN)
    await drill_permit(app)
    drill = await started(admin)
    assert drill.covered == 1
    [told] = (await drill_permit(app)).holds
    assert told.drill
    [one] = (await hold(admin, "FRZ-0001")).proofs
    assert (one.exercised, one.proof) == (False, "not exercised: takes no part in drills")
    shown = await hold(admin, "FRZ-0001")
    assert (shown.covered, shown.halted) == (0, 0)
    await follow(app)
    over = FreezeDrill.model_validate((await admin.get("/v1/freezes/drills/FD-0001")).json())
    assert over.ended_at is not None
    assert (over.missed, over.times.count) == (0, 0)
    [outcome] = over.outcomes
    assert (outcome.exercised, outcome.halted_after_seconds) == (False, None)
    made = await freeze(admin)
    assert [(held.freeze_ref, held.drill) for held in (await drill_permit(app)).holds] == [(made.ref, False)]
    assert (await proof(admin, made.ref)).exercised


async def test_an_adapter_that_takes_part_and_never_answers_is_missed(app: App) -> None:
    admin = await app.as_(ADMIN)
    await renew(app.runtime, bounded=False)
    await started(admin)
    await long_ago(app)
    await follow(app)
    running = FreezeDrill.model_validate((await admin.get("/v1/freezes/drills/FD-0001")).json())
    assert running.ended_at is None, "it can still answer"
    await run_out(app)
    await follow(app)
    over = FreezeDrill.model_validate((await admin.get("/v1/freezes/drills/FD-0001")).json())
    assert over.missed == 1


async def test_a_contract_read_back_as_paused_is_looked_at_and_verified_by_that(app: App) -> None:
    admin, chain = await app.as_(ADMIN), await watcher(app)
    await renew(app.runtime, bounded=False)
    made = await freeze(admin)
    said: dict[str, Any] = {"nonces": {}, "in_flight": 0, "in_flight_ids": [], "last_order_seq": 0}
    assert (await tell(chain, paused(101)))["observations"] == 0, "nobody has said that it is paused"
    await acknowledged(app, made, paused={CONTRACT.lower(): 100}, **said)
    watch = (await chain.get("/v1/freezes/to-watch")).json()
    assert watch["contracts"] == [{"chain": "arbitrum", "contract": CONTRACT.lower()}]

    async def after(seen: dict[str, Any]) -> HaltProof:
        await tell(chain, seen)
        return await proof(admin, made.ref)

    assert (await after(paused(99))).state is HaltState.QUIESCED
    assert (await after(paused(101, chain="base"))).state is HaltState.QUIESCED
    verified = await after(paused(103))
    assert (verified.state, verified.proof) == (HaltState.VERIFIED, "paused ×3, says service:watcher")
    lifted = await after(paused(104, yes=False, unchanged_blocks=0))
    assert lifted.state is HaltState.VIOLATION
    assert lifted.proof == "0xc0ffee is not paused at block 104, says service:watcher"
