"""Freezes and thaws at the same time, on one backend and on two."""

import asyncio
from collections import Counter

import httpx
import pytest
from sqlalchemy.exc import DBAPIError

from backend.errors import WatchfloorError
from backend.freeze import service as freezes
from backend.freeze import store
from contract.freeze import Freeze, FreezeMode, FreezeRequest, FreezeStatus, ThawApproval, ThawRequest
from contract.scope import GLOBAL, Scope
from tests.support.app import App, started_app
from tests.support.holds import MACHINE, approve, ask_for_thaw, freeze, person, renew
from tests.support.people import ADMIN, ADMIN2, OFFICER


async def test_numbers_and_epochs_rise_without_gaps_under_load(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        clients = [await app.as_(ADMIN), await other.as_(OFFICER)]
        made = await asyncio.gather(*(freeze(clients[n % 2], f"strategy:s{n}") for n in range(12)))
    assert sorted(each.epoch for each in made) == list(range(1, 13))
    assert {each.ref: each.epoch for each in made} == {f"FRZ-{n:04d}": n for n in range(1, 13)}


async def test_a_retried_freeze_is_one_freeze_even_at_the_same_time(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        clients = [await app.as_(ADMIN), await other.as_(ADMIN)]
        made = await asyncio.gather(*(freeze(clients[n % 2], idempotency_key="same") for n in range(6)))
    assert len({each.id for each in made}) == 1


async def test_of_two_approvals_one_counts_and_the_other_hears_how_it_stands(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        admin = await app.as_(ADMIN)
        approvers = [await app.as_(OFFICER), await other.as_(ADMIN2)]
        for number in range(1, 6):
            ref = f"FRZ-{number:04d}"
            await freeze(admin)
            await ask_for_thaw(admin, ref)
            answers = await asyncio.gather(*(approve(client, ref) for client in approvers))
            assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}


async def test_a_withdrawal_and_an_approval_at_once_leave_one_outcome(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        admin, officer = await app.as_(ADMIN), await other.as_(OFFICER)
        await freeze(admin)
        await ask_for_thaw(admin, "FRZ-0001")
        answers = await asyncio.gather(approve(officer, "FRZ-0001"), admin.post("/v1/freezes/FRZ-0001/thaw/withdraw"))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}
        standing = Freeze.model_validate((await admin.get("/v1/freezes/FRZ-0001")).json())
        lifted = answers[0].status_code == httpx.codes.OK
        assert standing.status is (FreezeStatus.THAWED if lifted else FreezeStatus.ACTIVE)
        assert (await renew(app.runtime)).may_trade is lifted


async def test_a_freeze_holds_on_every_backend_from_its_commit_on(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        assert (await renew(other.runtime)).may_trade
        made = await freeze(await app.as_(ADMIN))
        permit = await renew(other.runtime)
        assert (permit.may_trade, permit.epoch) == (False, made.epoch)
        seen = (await (await other.as_(OFFICER)).get("/v1/freezes")).json()["items"]
        assert [item["id"] for item in seen] == [made.id]


async def test_a_freeze_comes_through_while_a_thaw_is_under_way(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await freeze(admin)
    await ask_for_thaw(admin, "FRZ-0001")
    lifted, again = await asyncio.gather(approve(officer, "FRZ-0001"), freeze(admin))
    assert lifted.status_code == 200
    assert again.ref == "FRZ-0002"
    assert not (await renew(app.runtime)).may_trade


async def test_an_acknowledgement_does_not_wait_for_a_thaw(app: App) -> None:
    await renew(app.runtime)
    await freeze(await app.as_(ADMIN))
    async with app.runtime.database.transaction() as thaw:
        await store.row_by_ident(thaw, "FRZ-0001", lock=True)
        await asyncio.wait_for(renew(app.runtime, halted_epoch=1), timeout=3)
    async with app.runtime.database.read() as session:
        assert (await freezes.get_freeze(session, app.runtime, "FRZ-0001")).halted == 1


async def automatic(app: App, scope: Scope = GLOBAL, mode: FreezeMode = FreezeMode.HALT) -> Freeze:
    async with app.runtime.database.transaction() as session:
        return await freezes.freeze_automatically(
            session, app.runtime, scope=scope, mode=mode, rule="DAILY_LOSS_LIMIT", reason="12 of 10 ETH", alert_id="a1"
        )


async def test_a_rule_freezes_once_while_its_hold_stands(app: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        made = await asyncio.gather(*(automatic(which) for which in (app, other, app, other)))
    assert len({each.id for each in made}) == 1
    assert (made[0].automatic_rule, made[0].created_by, made[0].mode) == ("DAILY_LOSS_LIMIT", "system:risk", "halt")
    assert (await automatic(app, Scope.parse("chain:base"))).ref == "FRZ-0002"


async def test_a_rule_that_asks_for_more_than_its_hold_does_gets_it(app: App) -> None:
    weak = await automatic(app, mode=FreezeMode.REDUCE_ONLY)
    strict = await automatic(app, mode=FreezeMode.HALT)
    assert strict.id != weak.id
    assert (await automatic(app, mode=FreezeMode.REDUCE_ONLY)).id in {weak.id, strict.id}
    assert not (await renew(app.runtime)).may_trade


async def test_an_automatic_hold_is_lifted_by_two_people_and_then_may_come_again(app: App) -> None:
    first = await automatic(app)
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await ask_for_thaw(admin, first.ref)
    assert (await approve(admin, first.ref)).json()["code"] == "second_person_required"
    assert (await approve(officer, first.ref)).status_code == 200
    assert (await automatic(app)).id != first.id


async def test_only_people_thaw_also_below_the_routes(app: App) -> None:
    await freeze(await app.as_(ADMIN))
    async with app.runtime.database.transaction() as session:
        with pytest.raises(WatchfloorError, match="signed-in person"):
            await freezes.request_thaw(session, app.runtime, MACHINE, "FRZ-0001", ThawRequest(reason="x"))
        await freezes.request_thaw(session, app.runtime, person("adam"), "FRZ-0001", ThawRequest(reason="x"))
        with pytest.raises(WatchfloorError, match="signed-in person"):
            await freezes.approve_thaw(session, app.runtime, MACHINE, "FRZ-0001", ThawApproval())
        with pytest.raises(WatchfloorError, match="another person"):
            await freezes.approve_thaw(session, app.runtime, person("ADAM"), "FRZ-0001", ThawApproval())


async def test_a_freezer_that_hangs_does_not_keep_others_from_freezing(app: App, database_url: str) -> None:
    admin = await app.as_(ADMIN)
    async with started_app(database_url) as hanging:

        async def hang_before_the_commit() -> None:
            async with hanging.runtime.database.transaction() as session:
                request = FreezeRequest(scope=GLOBAL, reason="hangs")
                await freezes.create(session, hanging.runtime, person("adam"), request)
                assert (await freeze(admin)).ref == "FRZ-0001"

        with pytest.raises(DBAPIError, match="idle-in-transaction"):
            await hang_before_the_commit()
    assert (await freeze(admin)).ref == "FRZ-0002"
