"""Proof on the real database: what second sources report, what it makes of a halt, and who hears of a violation."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from backend.alerts import service as alerts
from backend.auth import accounts
from backend.context import system_caller
from backend.freeze import core
from backend.freeze import service as freezes
from backend.freeze.milestones import VIOLATION_RULE
from backend.freeze.tables import FreezeRow, HaltAck, HaltMilestone
from backend.roster.tables import ExecutorRow
from contract.alerts import Severity
from contract.freeze import Freeze, HaltProof
from contract.permissions import Permission
from contract.states import HaltState
from tests.support.app import App
from tests.support.holds import freeze, renew
from tests.support.ledger import settled
from tests.support.people import ADMIN, ADMIN2, EXECUTOR

WALLET = "0xabbot-1"
WATCHER_TOKEN = "wfs_a-watcher-of-the-tests"


async def watcher(app: App, *permissions: Permission) -> httpx.AsyncClient:
    """A client with a machine's token that holds these permissions."""
    async with app.runtime.database.transaction() as session:
        await accounts.ensure_service_token(
            session,
            app.runtime,
            system_caller("test"),
            name="watcher",
            permissions=permissions or (Permission.OBSERVE_HALTS,),
            token=WATCHER_TOKEN,
        )
    return app.with_token(WATCHER_TOKEN)


async def acknowledged(app: App, made: Freeze, name: str = "bot-1", **said: Any) -> None:
    """An executor's signed acknowledgement, as the desk stores it once it has checked the signature."""
    usual: dict[str, Any] = {"last_order_seq": 40, "nonces": {WALLET: 7}, "in_flight": 1, "in_flight_ids": ["0xa1"]}
    async with app.runtime.database.transaction() as session:
        row = await session.scalar(select(FreezeRow).where(FreezeRow.number == core.parse_ident(made.ref)))
        assert row is not None
        session.add(HaltAck(freeze_id=row.id, executor=name, acked_at=func.clock_timestamp(), **(usual | said)))


async def follow(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await freezes.follow(session, app.runtime)


async def proof(client: httpx.AsyncClient, ref: str) -> HaltProof:
    answer = await client.get(f"/v1/freezes/{ref}")
    [one] = Freeze.model_validate(answer.json()).proofs
    return one


def nonce(value: int, **more: Any) -> dict[str, Any]:
    usual = {"looked_at": "nonce", "chain": "Arbitrum", "subject": WALLET.upper(), "unchanged_blocks": 3}
    return usual | {"value": value, "pending": value} | more


async def tell(client: httpx.AsyncClient, *observations: dict[str, Any], fates: dict[str, str] | None = None) -> Any:
    told = [{"id": ident, "fate": fate} for ident, fate in (fates or {}).items()]
    answer = await client.post("/v1/freezes/observations", json={"observations": observations, "fates": told})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_second_source_makes_a_halt_verified_and_the_ledger_says_so(app: App) -> None:
    admin, chain = await app.as_(ADMIN), await watcher(app)
    await renew(app.runtime, last_order_seq=40)
    made = await freeze(admin)
    assert (await proof(admin, made.ref)).state is HaltState.REQUESTED
    await acknowledged(app, made)
    halted = await proof(admin, made.ref)
    assert (halted.state, halted.open_ids) == (HaltState.ACKED, ["0xa1"])
    told = await tell(chain, nonce(8), nonce(8, chain="base"), fates={"0xa1": "landed", "0xdead": "landed"})
    assert (told["observations"], told["fates"]) == (1, 1)
    await follow(app)
    verified = await proof(admin, made.ref)
    assert verified.state is HaltState.VERIFIED
    assert "unchanged ×3, says service:watcher" in verified.proof
    await settled(app)
    found = await admin.get("/v1/audit", params={"event_type": "freeze.halt.verified"})
    assert [entry["resource_id"] for entry in found.json()["items"]] == [made.ref]
    shown = Freeze.model_validate((await admin.get(f"/v1/freezes/{made.ref}")).json())
    assert (shown.covered, shown.halted, shown.verified, shown.still_open) == (1, 1, 1, 0)


async def test_what_to_watch_names_wallets_executors_and_what_is_open(app: App) -> None:
    admin, chain = await app.as_(ADMIN), await watcher(app)
    await renew(app.runtime)
    await renew(app.runtime, "elsewhere", chain="base")
    assert (await chain.get("/v1/freezes/to-watch")).json()["wallets"] == []
    made = await freeze(admin)
    await acknowledged(app, made, nonces={WALLET: 7, "0xhot": 2}, in_flight_ids=["0xa1", "0xa2"], in_flight=2)
    await tell(chain, fates={"0xa1": "replaced"})
    watch = (await chain.get("/v1/freezes/to-watch")).json()
    assert watch["wallets"] == [{"chain": "arbitrum", "wallet": WALLET}, {"chain": "arbitrum", "wallet": "0xhot"}]
    assert watch["executors"] == ["bot-1"]
    assert watch["in_flight"] == ["0xa2"]


async def test_whoever_may_renew_is_no_second_source(app: App) -> None:
    both = await watcher(app, Permission.OBSERVE_HALTS, Permission.RENEW_PERMIT)
    answer = await both.post("/v1/freezes/observations", json={"observations": [nonce(1)]})
    assert answer.status_code == 403
    assert "second source" in answer.json()["message"]
    executor = await app.as_(EXECUTOR)
    assert (await executor.post("/v1/freezes/observations", json={})).status_code == 403


async def test_going_on_after_the_acknowledgement_is_one_critical_alert(app: App) -> None:
    admin, chain = await app.as_(ADMIN), await watcher(app)
    await renew(app.runtime, last_order_seq=40)
    made = await freeze(admin)
    await acknowledged(app, made, in_flight_ids=[], in_flight=0)
    await tell(chain, nonce(9))
    for _ in range(3):
        await follow(app)
    gone_on = await proof(admin, made.ref)
    assert gone_on.state is HaltState.VIOLATION
    assert "nonce 8 of 0xabbot-1" in gone_on.proof
    async with app.runtime.database.transaction() as session:
        [(_, alert)] = await alerts.live_of_rules(session, [VIOLATION_RULE])
    assert alert.severity is Severity.CRITICAL
    assert "bot-1 went on after FRZ-0001" in alert.message
    await tell(chain, nonce(8))
    await follow(app)
    stones = await reached(app)
    assert [state for state in stones if state is HaltState.VIOLATION] == [HaltState.VIOLATION]
    await admin.post(f"/v1/alerts/{alert.id}/acknowledge", json={})
    async with app.runtime.database.transaction() as session:
        assert not await alerts.live_of_rules(session, [VIOLATION_RULE])


async def reached(app: App) -> list[HaltState]:
    async with app.runtime.database.transaction() as session:
        found = await session.scalars(select(HaltMilestone.state).order_by(HaltMilestone.reached_at))
        return [HaltState(state) for state in found]


@pytest.mark.parametrize(("later", "state"), [(5, HaltState.EXPIRED), (6, HaltState.VIOLATION)])
async def test_a_dead_executor_whose_wallet_goes_on_is_a_violation(app: App, later: int, state: HaltState) -> None:
    admin, chain = await app.as_(ADMIN), await watcher(app)
    await renew(app.runtime)
    made = await freeze(admin)
    await tell(chain, nonce(3))
    await long_ago(app)
    await tell(chain, nonce(5))
    await tell(chain, nonce(later))
    assert (await proof(admin, made.ref)).state is state
    await follow(app)
    assert state in await reached(app)


async def long_ago(app: App) -> None:
    """Every permit has died since: the freeze and what was stored of permits lie a minute back."""
    async with app.runtime.database.transaction() as session:
        before = func.clock_timestamp() - timedelta(minutes=1)
        await session.execute(update(FreezeRow).values(created_at=before, held_since=before))
        await session.execute(update(ExecutorRow).values(permit_until=func.clock_timestamp() - timedelta(minutes=1)))


async def test_a_lifted_hold_keeps_what_was_proven_while_it_was_in_force(app: App) -> None:
    admin, other, chain = await app.as_(ADMIN), await app.as_(ADMIN2), await watcher(app)
    await renew(app.runtime, last_order_seq=40)
    made = await freeze(admin)
    await acknowledged(app, made, in_flight_ids=[], in_flight=0)
    await tell(chain, nonce(8))
    await follow(app)
    async with app.runtime.database.transaction() as session:
        await session.execute(update(FreezeRow).values(status="thawed", thawed_at=func.clock_timestamp()))
    await renew(app.runtime, last_order_seq=99)
    await tell(chain, nonce(50))
    await follow(app)
    assert (await proof(other, made.ref)).state is HaltState.VERIFIED
    assert HaltState.VIOLATION not in await reached(app)
