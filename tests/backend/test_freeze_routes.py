"""Freezing and thawing over HTTP: who may, what is recorded, what repeats and what conflicts."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from contract.freeze import FreezeStatus
from tests.support.app import App
from tests.support.holds import ASKED_TIMES, approve, ask_for_thaw, freeze, renew
from tests.support.people import ADMIN, ADMIN2, AUDITOR, EXECUTOR, OFFICER, OPERATOR, Person


async def rows(app: App, sql: str, **values: str) -> list[Any]:
    async with app.runtime.database.read() as session:
        return list((await session.execute(text(sql), values)).all())


async def audited(app: App, event_type: str) -> list[Any]:
    return await rows(
        app,
        "SELECT user_id, result, resource_id, new_value, error_message FROM audit_logs"
        " WHERE event_type = :event_type ORDER BY timestamp, id",
        event_type=event_type,
    )


async def test_a_freeze_is_recorded_audited_and_told_in_one_go(app: App) -> None:
    await renew(app.runtime)
    made = await freeze(await app.as_(OFFICER), mode="halt", reason="  losses since 02:40  ")
    assert (made.ref, made.epoch, made.status, made.version) == ("FRZ-0001", 1, FreezeStatus.ACTIVE, 1)
    assert (made.reason, made.created_by, made.covered, made.halted) == ("losses since 02:40", "oscar", 1, 0)
    [entry] = await audited(app, "freeze.hold.created")
    assert (entry.user_id, entry.result, entry.resource_id) == ("oscar", "success", "FRZ-0001")
    assert entry.new_value == {"scope": "chain:arbitrum", "mode": "halt", "reason": "losses since 02:40", "epoch": 1}
    [event] = await rows(app, "SELECT payload FROM stream_events WHERE topic = 'freeze'")
    assert event.payload["ref"] == "FRZ-0001"
    assert event.payload["covered"] == 1


async def answered(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    """The answer to a freeze, asked for again while a busy machine cannot look up in time who asks."""
    for _ in range(ASKED_TIMES):
        answer = await client.post("/v1/freezes", json=body)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    return answer


@pytest.mark.parametrize("person", [OPERATOR, AUDITOR, EXECUTOR])
async def test_who_may_not_freeze_cannot(app: App, person: Person) -> None:
    answer = await answered(await app.as_(person), {"scope": {"kind": "global"}, "reason": "x"})
    assert answer.status_code == 403
    assert await rows(app, "SELECT 1 FROM freezes") == []


@pytest.mark.parametrize(
    "body",
    [
        {"scope": {"kind": "global"}, "reason": "   "},
        {"scope": {"kind": "global"}},
        {"scope": {"kind": "chain"}, "reason": "x"},
        {"scope": {"kind": "global", "name": "x"}, "reason": "x"},
        {"scope": {"kind": "global"}, "reason": "x", "mode": "pause"},
        {"scope": {"kind": "global"}, "reason": "x" * 2001},
        {"scope": {"kind": "global"}, "reason": "a\x00b"},
        {"scope": {"kind": "global"}, "reason": "x", "idempotency_key": "\x00"},
        {"scope": {"kind": "chain", "name": "\x00"}, "reason": "x"},
        {"scope": {"kind": "chain", "name": "   "}, "reason": "x"},
    ],
)
async def test_a_freeze_without_reason_or_sense_is_refused(app: App, body: dict[str, Any]) -> None:
    answer = await answered(await app.as_(ADMIN), body)
    assert answer.status_code == 422
    assert await rows(app, "SELECT 1 FROM freezes") == []


async def test_the_same_key_answers_with_the_same_freeze(app: App) -> None:
    client = await app.as_(ADMIN)
    first = await freeze(client, idempotency_key="k1")
    assert (await freeze(client, idempotency_key="k1")).id == first.id
    assert (await freeze(await app.as_(ADMIN2), idempotency_key="k1")).id != first.id
    other = await client.post("/v1/freezes", json={"scope": {"kind": "global"}, "reason": "x", "idempotency_key": "k1"})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert "FRZ-0001" in other.json()["message"]
    third = await freeze(client, "global")
    assert (third.ref, third.epoch) == ("FRZ-0003", 3)


async def test_a_freeze_is_found_by_id_and_by_ref(app: App) -> None:
    client = await app.as_(ADMIN)
    made = await freeze(client)
    for ident in (made.id, "FRZ-0001", "frz-1"):
        assert (await client.get(f"/v1/freezes/{ident}")).json()["id"] == made.id
    for ident in ("FRZ-0002", "FRZ-99999999999", "0", "01a2006f-0000-7000-8000-000000000000", "x" * 500):
        assert (await client.get(f"/v1/freezes/{ident}")).status_code == 404


async def test_lists_page_newest_first(app: App) -> None:
    client = await app.as_(ADMIN)
    for number in range(5):
        await freeze(client, f"strategy:s{number}")
    await ask_for_thaw(client, "FRZ-0002")
    await approve(await app.as_(OFFICER), "FRZ-0002")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/freezes?status=all&limit=2&cursor={cursor}")).json()
        seen += [item["ref"] for item in page["items"]]
        if not (cursor := page["next_cursor"]):
            break
    assert seen == [f"FRZ-000{number}" for number in (5, 4, 3, 2, 1)]
    in_force = (await client.get("/v1/freezes")).json()["items"]
    assert [item["ref"] for item in in_force] == ["FRZ-0005", "FRZ-0004", "FRZ-0003", "FRZ-0001"]
    assert (await client.get("/v1/freezes?cursor=rubbish")).status_code == 422


async def test_the_preview_says_what_would_stop(app: App) -> None:
    await renew(app.runtime, "bot-1")
    await renew(app.runtime, "bot-2", position_eth=None, open_orders=None, in_flight=None)
    await renew(app.runtime, "bot-3", chain="base")
    client = await app.as_(AUDITOR)
    radius = (await client.get("/v1/freezes/preview", params={"scope": "chain:ARBITRUM"})).json()
    assert (radius["executors"], radius["trading"], radius["open_orders"], radius["in_flight"]) == (2, 2, 2, 1)
    assert radius["position_eth"] == "3.500000000000000000"
    assert radius["executor_names"] == ["bot-1", "bot-2"]
    await freeze(await app.as_(ADMIN))
    radius = (await client.get("/v1/freezes/preview", params={"scope": "global"})).json()
    assert (radius["executors"], radius["trading"], radius["already_frozen"]) == (3, 1, 2)


async def test_a_scope_nobody_trades_in_yet_can_be_frozen_and_holds_whoever_comes(app: App) -> None:
    client = await app.as_(ADMIN)
    radius = (await client.get("/v1/freezes/preview", params={"scope": "chain:zksync"})).json()
    assert (radius["executors"], radius["executor_names"]) == (0, [])
    made = await freeze(client, "chain:zksync")
    assert made.covered == 0
    assert not (await renew(app.runtime, "bot-9", chain="zksync")).may_trade


@pytest.mark.parametrize("scope", ["chain", "everything", "wallet:", "", "chain:" + "x" * 101])
async def test_a_preview_of_no_scope_is_refused(app: App, scope: str) -> None:
    answer = await (await app.as_(ADMIN)).get("/v1/freezes/preview", params={"scope": scope})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_wallets_and_chains_are_frozen_whatever_the_capitals(app: App) -> None:
    client = await app.as_(ADMIN)
    assert (await freeze(client, "wallet:0xABCDEF")).scope.name == "0xabcdef"
    assert not (await renew(app.runtime, "bot-1", wallet="0xAbCdEf")).may_trade
    await freeze(client, "chain:Base")
    assert not (await renew(app.runtime, "bot-2", chain="base")).may_trade


async def test_a_thaw_takes_two_people(app: App) -> None:
    officer, admin = await app.as_(OFFICER), await app.as_(ADMIN)
    await renew(app.runtime)
    await freeze(admin)
    asked = (await ask_for_thaw(admin, "FRZ-0001")).json()
    assert (asked["status"], asked["thaw_requested_by"], asked["thaw_reason"]) == (
        "thaw_requested",
        "adam",
        "explained and fixed",
    )
    assert not (await renew(app.runtime)).may_trade
    own = await approve(admin, "FRZ-0001")
    assert (own.status_code, own.json()["code"]) == (403, "second_person_required")
    [refused] = await audited(app, "freeze.thaw.approved")
    assert (refused.user_id, refused.result, refused.resource_id) == ("adam", "denied", "FRZ-0001")
    assert not (await renew(app.runtime)).may_trade
    lifted = (await approve(officer, "FRZ-0001")).json()
    assert (lifted["status"], lifted["thawed_by"]) == ("thawed", "oscar")
    assert (await renew(app.runtime)).may_trade
    told = await rows(app, "SELECT payload->>'status' AS status FROM stream_events WHERE topic = 'freeze' ORDER BY id")
    assert [event.status for event in told] == ["active", "thaw_requested", "thawed"]


async def test_the_freezer_may_approve_what_another_asked_for(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await freeze(admin)
    await ask_for_thaw(officer, "FRZ-0001")
    assert (await approve(admin, "FRZ-0001")).json()["status"] == "thawed"


async def test_a_machine_is_no_person(app: App) -> None:
    await freeze(await app.as_(ADMIN))
    assert (await ask_for_thaw(await app.as_(EXECUTOR), "FRZ-0001")).status_code == 403
    assert (await approve(await app.as_(EXECUTOR), "FRZ-0001")).status_code == 403


async def test_asking_again_repeats_and_others_conflict(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await freeze(admin)
    assert (await approve(officer, "FRZ-0001")).json()["code"] == "refused_by_policy"
    first = (await ask_for_thaw(admin, "FRZ-0001")).json()
    assert (await ask_for_thaw(admin, "FRZ-0001")).json() == first
    again = await ask_for_thaw(officer, "FRZ-0001", "me too")
    assert (again.status_code, "adam has asked" in again.json()["message"]) == (409, True)
    assert len(await audited(app, "freeze.thaw.requested")) == 2
    await approve(officer, "FRZ-0001")
    late = await approve(officer, "FRZ-0001")
    assert (late.status_code, "lifted by oscar" in late.json()["message"]) == (409, True)
    assert (await ask_for_thaw(admin, "FRZ-0001")).status_code == 409
    assert (await admin.post("/v1/freezes/FRZ-0001/thaw/withdraw")).status_code == 409


async def test_a_withdrawn_request_cannot_be_approved(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await freeze(admin)
    await ask_for_thaw(admin, "FRZ-0001")
    back = (await officer.post("/v1/freezes/FRZ-0001/thaw/withdraw")).json()
    assert (back["status"], back["thaw_requested_by"], back["thaw_reason"]) == ("active", None, None)
    assert (await approve(officer, "FRZ-0001")).status_code == 409
    assert not (await renew(app.runtime)).may_trade
    [entry] = await audited(app, "freeze.thaw.withdrawn")
    assert (entry.user_id, entry.new_value["requested_by"]) == ("oscar", "adam")


async def test_an_approval_of_something_that_changed_since_is_refused(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await freeze(admin)
    seen = (await ask_for_thaw(admin, "FRZ-0001", "wrong chain")).json()["version"]
    await admin.post("/v1/freezes/FRZ-0001/thaw/withdraw")
    now = (await ask_for_thaw(admin, "FRZ-0001", "another reason")).json()["version"]
    assert (await approve(officer, "FRZ-0001", version=seen)).status_code == 409
    assert (await approve(officer, "FRZ-0001", version=now)).json()["status"] == "thawed"


async def test_lifting_one_hold_leaves_the_others(app: App) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    await freeze(admin, "global")
    await freeze(admin, "strategy:arbitrage", mode="reduce-only")
    assert [hold.freeze_ref for hold in (await renew(app.runtime)).holds] == ["FRZ-0001", "FRZ-0002"]
    await ask_for_thaw(admin, "FRZ-0001")
    await approve(officer, "FRZ-0001")
    permit = await renew(app.runtime)
    assert (permit.may_trade, permit.mode) == (True, "reduce-only")
    await ask_for_thaw(admin, "FRZ-0002")
    await approve(officer, "FRZ-0002")
    permit = await renew(app.runtime)
    assert (permit.may_trade, permit.mode, permit.epoch) == (True, None, 2)
