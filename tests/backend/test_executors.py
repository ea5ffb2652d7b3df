"""Permits: what a renewal answers, what it writes, and what is shown of executors."""

import asyncio
import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from backend.errors import WatchfloorError
from backend.executors import monitor
from backend.executors import service as executors
from backend.freeze import service as freezes
from backend.roster import service as roster
from contract.executors import ExecutorState
from contract.freeze import HaltState
from gate.statements import Kind, read, read_key
from tests.support.app import App
from tests.support.holds import approve, ask_for_thaw, freeze, renew, renew_over_http, renewal
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, OFFICER, OPERATOR, Person


async def fetch(app: App, sql: str) -> list[Any]:
    async with app.runtime.database.read() as session:
        return list((await session.execute(text(sql))).all())


async def change(app: App, sql: str) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(text(sql))


def trusted(app: App) -> dict[str, bytes]:
    """The key of permits, as the other side reads it."""
    signer = app.app.state.desk.signer
    return {signer.kid: read_key(signer.public_key)}


async def states(app: App) -> dict[str, ExecutorState]:
    async with app.runtime.database.read() as session:
        return {each.name: each.state for each in await executors.list_executors(session, app.runtime)}


async def halted(app: App, ref: str = "FRZ-0001") -> dict[str, HaltState]:
    async with app.runtime.database.read() as session:
        found = await freezes.get_freeze(session, app.runtime, ref)
    return {proof.executor: proof.state for proof in found.proofs}


async def tick(app: App) -> list[Any]:
    """One round of the monitor; returns the events it wrote."""
    [before] = await fetch(app, "SELECT coalesce(max(id), 0) FROM stream_events")
    async with app.runtime.database.transaction() as session:
        await monitor.tick(session, app.runtime)
    return await fetch(app, f"SELECT topic, payload FROM stream_events WHERE id > {before[0]} ORDER BY id")  # noqa: S608


async def test_a_renewal_over_http_permits_and_registers(app: App) -> None:
    body = renewal(request_no=7).model_dump(mode="json")
    answer = await renew_over_http(await app.as_(EXECUTOR), body)
    assert answer.status_code == 200
    body = answer.json()
    claims = read(body.pop("permit"), Kind.PERMIT, trusted(app))
    assert (claims["executor"], claims["request_no"], claims["mode"]) == ("bot-1", 7, None)
    assert body == {
        "type": "permit",
        "acked_epoch": 0,
        "fates_taken": 0,
        "executor": "bot-1",
        "may_trade": True,
        "mode": None,
        "epoch": 0,
        "ttl_ms": app.runtime.policy.permits.ttl_ms,
        "renew_ms": app.runtime.policy.permits.renew_ms,
        "holds": [],
        "request_no": 7,
    }
    [entry] = await fetch(app, "SELECT user_id, resource_id FROM audit_logs WHERE event_type LIKE 'executors.%'")
    assert entry.resource_id == "bot-1"
    [shown] = (await (await app.as_(AUDITOR)).get("/v1/executors")).json()["items"]
    assert (shown["name"], shown["state"], shown["position_eth"]) == ("bot-1", "trading", "3.5")


@pytest.mark.parametrize("person", [ADMIN, OPERATOR, OFFICER, AUDITOR])
async def test_people_get_no_permits(app: App, person: Person) -> None:
    body = renewal().model_dump(mode="json")
    assert (await (await app.as_(person)).post("/v1/gate/renew", json=body)).status_code == 403


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("executor", ""),
        ("executor", "a\x00b"),
        ("chain", "x" * 101),
        ("strategy", "\ud800"),
        ("position_eth", "1e20"),
        ("position_eth", "NaN"),
        ("open_orders", 2**31),
        ("open_orders", -1),
        ("last_order_seq", 2**63),
        ("halted_epoch", 2**63),
        ("surprise", 1),
    ],
)
async def test_a_report_that_cannot_be_true_is_refused(app: App, field: str, value: object) -> None:
    body = json.dumps(renewal().model_dump(mode="json") | {field: value}).encode()
    client = await app.as_(EXECUTOR)
    answer = await client.post("/v1/gate/renew", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_the_stored_bound_outlives_every_permit_given(app: App) -> None:
    life = freezes.permit_life(app.runtime)
    bounds: set[datetime] = set()
    while len(bounds) < 3:
        [(before,)] = await fetch(app, "SELECT clock_timestamp()")
        await renew(app.runtime)
        [(bound,)] = await fetch(app, "SELECT permit_until FROM executors")
        assert bound >= before + life
        bounds.add(bound)
        await asyncio.sleep(0.1)


async def test_renewals_that_say_nothing_new_write_nothing(app: App) -> None:
    look, soon = "SELECT xmin, last_seen_at, clock_timestamp() AS now FROM executors", False
    while not soon:  # a machine may be so busy that the next report is due between two of them
        await renew(app.runtime)
        [first] = await fetch(app, look)
        await renew(app.runtime)
        await renew(app.runtime, position_eth=Decimal("3.500"))
        [second] = await fetch(app, look)
        soon = second.now < first.last_seen_at + freezes.REPORT_EVERY
    assert second.xmin == first.xmin
    await asyncio.sleep(freezes.REPORT_EVERY.total_seconds())
    await renew(app.runtime)
    [(again,)] = await fetch(app, "SELECT xmin FROM executors")
    assert again != first.xmin
    await renew(app.runtime, position_eth=Decimal(4))
    assert await fetch(app, "SELECT xmin FROM executors") != [(again,)]
    assert await fetch(app, "SELECT count(*) FROM audit_logs WHERE event_type LIKE 'executors.%'") == [(1,)]
    assert await fetch(app, "SELECT count(*) FROM stream_events WHERE topic LIKE 'executor%'") == [(0,)]


async def test_a_change_is_written_at_once_and_then_once_a_second(app: App) -> None:
    await renew(app.runtime)
    await renew(app.runtime, open_orders=3)
    assert await fetch(app, "SELECT open_orders FROM executors") == [(3,)]
    [(first,)] = await fetch(app, "SELECT changed_at FROM executors")
    orders, second = 3, first
    while second == first:
        orders += 1
        await renew(app.runtime, open_orders=orders)
        [(second,)] = await fetch(app, "SELECT changed_at FROM executors")
    assert second - first > freezes.REPORT_EVERY / 2, "between the writes lies a second, less what the first one took"
    assert await fetch(app, "SELECT open_orders FROM executors") == [(orders,)]


async def test_under_a_halt_no_permit_is_written_either(app: App) -> None:
    await freeze(await app.as_(ADMIN))
    permit = await renew(app.runtime)
    assert (permit.may_trade, permit.mode, [hold.freeze_ref for hold in permit.holds]) == (False, "halt", ["FRZ-0001"])
    assert await fetch(app, "SELECT permit_until FROM executors") == [(None,)]


async def test_an_acknowledgement_counts_once_and_is_audited_once(app: App) -> None:
    await renew(app.runtime)
    await freeze(await app.as_(ADMIN))
    assert await states(app) == {"bot-1": "freezing"}
    await renew(app.runtime, halted_epoch=1, last_order_seq=41, in_flight=2)
    await asyncio.sleep(freezes.REPORT_EVERY.total_seconds())
    await renew(app.runtime, halted_epoch=1, last_order_seq=41, in_flight=0)
    assert await states(app) == {"bot-1": "frozen"}
    found = (await (await app.as_(AUDITOR)).get("/v1/freezes/FRZ-0001")).json()
    [proof] = found["proofs"]
    assert (proof["state"], proof["last_order_seq"], proof["in_flight"]) == ("acked", 41, 0)
    assert Decimal(proof["halted_after_seconds"]) >= 0
    assert (found["covered"], found["halted"]) == (1, 1)
    [entry] = await fetch(app, "SELECT * FROM audit_logs WHERE event_type = 'freeze.halt.acknowledged'")
    [told] = entry.new_value["executors"]
    assert (entry.resource_id, told["executor"], told["signed"]) == ("FRZ-0001", "bot-1", False)
    await tick(app)
    told = await fetch(app, "SELECT payload->>'halted' FROM stream_events WHERE topic = 'freeze' ORDER BY id")
    assert told == [("0",), ("1",)]


async def test_nobody_acknowledges_a_freeze_that_is_not_made_yet(app: App) -> None:
    await renew(app.runtime, halted_epoch=10**18)
    await freeze(await app.as_(ADMIN))
    await renew(app.runtime, halted_epoch=10**18)
    assert await halted(app) == {"bot-1": "requested"}


async def test_acknowledging_one_hold_does_not_acknowledge_a_later_one(app: App) -> None:
    admin = await app.as_(ADMIN)
    await freeze(admin)
    await renew(app.runtime, halted_epoch=1)
    await freeze(admin, "strategy:arbitrage")
    await renew(app.runtime, halted_epoch=1)
    assert (await halted(app), await halted(app, "FRZ-0002")) == ({"bot-1": "acked"}, {"bot-1": "requested"})
    await renew(app.runtime, halted_epoch=2)
    assert await halted(app, "FRZ-0002") == {"bot-1": "acked"}


async def test_reducing_is_acknowledged_and_shown_as_such(app: App) -> None:
    await freeze(await app.as_(ADMIN), mode="reduce-only")
    permit = await renew(app.runtime)
    assert (permit.may_trade, permit.mode) == (True, "reduce-only")
    assert await states(app) == {"bot-1": "freezing"}
    await renew(app.runtime, halted_epoch=1)
    assert await states(app) == {"bot-1": "reducing"}
    await freeze(await app.as_(ADMIN), "global", mode="halt")
    assert await states(app) == {"bot-1": "freezing"}


async def test_an_executor_that_does_not_answer_expires_with_its_permit_and_is_silent(app: App) -> None:
    await renew(app.runtime)
    await freeze(await app.as_(ADMIN))
    assert (await halted(app), await states(app)) == ({"bot-1": "requested"}, {"bot-1": "freezing"})
    await change(app, "UPDATE executors SET permit_until = permit_until - interval '1 h'")
    assert await halted(app) == {"bot-1": "requested"}  # a permit may still be under way
    await change(app, "UPDATE freezes SET held_since = held_since - interval '4 s'")
    assert (await halted(app), await states(app)) == ({"bot-1": "expired"}, {"bot-1": "freezing"})
    await change(app, "UPDATE executors SET last_seen_at = last_seen_at - interval '4 s'")
    assert await states(app) == {"bot-1": "silent"}


async def test_a_restart_takes_the_name_over_and_the_old_process_never_gets_it_back(app: App) -> None:
    await renew(app.runtime, boot_id="old")
    await renew(app.runtime, boot_id="new", chain="base")
    for _ in range(2):
        with pytest.raises(WatchfloorError, match="newer process runs as bot-1"):
            await renew(app.runtime, boot_id="old")
    assert (await renew(app.runtime, boot_id="new", chain="base")).may_trade
    taken = await fetch(
        app, "SELECT event_type, old_value, new_value FROM audit_logs WHERE event_type LIKE 'executors.%' ORDER BY id"
    )
    assert [entry.event_type for entry in taken] == ["executors.process.registered", "executors.process.replaced"]
    assert (taken[1].old_value["boot_id"], taken[1].new_value["chain"]) == ("old", "base")


async def test_a_restart_keeps_the_bound_of_the_permit_the_old_process_holds(app: App) -> None:
    await renew(app.runtime, boot_id="old")
    [(bound,)] = await fetch(app, "SELECT permit_until FROM executors")
    await freeze(await app.as_(ADMIN))
    await renew(app.runtime, boot_id="new")
    assert await fetch(app, "SELECT permit_until FROM executors") == [(bound,)]


async def test_a_running_process_cannot_move_out_of_a_freeze(app: App) -> None:
    await renew(app.runtime)
    await freeze(await app.as_(ADMIN))
    body = renewal(chain="base").model_dump(mode="json")
    answer = await renew_over_http(await app.as_(EXECUTOR), body)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    [entry] = await fetch(app, "SELECT result FROM audit_logs WHERE event_type = 'executors.process.moved'")
    assert entry.result == "denied"


async def test_the_roster_has_an_end(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roster, "MAX_EXECUTORS", 2)
    await renew(app.runtime, "bot-1")
    await renew(app.runtime, "bot-2")
    with pytest.raises(WatchfloorError, match="roster is full"):
        await renew(app.runtime, "bot-3")
    assert (await renew(app.runtime, "bot-2")).may_trade


async def test_executors_are_listed_by_name_in_pages_and_filtered(app: App) -> None:
    for number, chain in enumerate(["base", "arbitrum", "base", "arbitrum", "base"]):
        await renew(app.runtime, f"bot-{number}", chain=chain)
    await freeze(await app.as_(ADMIN), "chain:arbitrum")
    client = await app.as_(AUDITOR)
    first = (await client.get("/v1/executors?limit=3")).json()
    rest = (await client.get("/v1/executors", params={"limit": 3, "cursor": first["next_cursor"]})).json()
    names = [item["name"] for item in first["items"] + rest["items"]]
    assert (names, rest["next_cursor"], first["total"]) == ([f"bot-{n}" for n in range(5)], None, 5)
    base = (await client.get("/v1/executors?chain=base")).json()["items"]
    assert {item["chain"] for item in base} == {"base"}
    freezing = (await client.get("/v1/executors?state=freezing")).json()["items"]
    assert [item["name"] for item in freezing] == ["bot-1", "bot-3"]
    assert (await client.get("/v1/executors?state=asleep")).status_code == 422


async def test_the_monitor_tells_changes_once_and_a_quiet_floor_nothing(app: App) -> None:
    await renew(app.runtime, "bot-1")
    await renew(app.runtime, "bot-2")
    [both] = await tick(app)
    assert [each["name"] for each in both.payload["executors"]] == ["bot-1", "bot-2"]
    await renew(app.runtime, "bot-1")
    assert await tick(app) == []
    await renew(app.runtime, "bot-2", position_eth=Decimal(5))
    [one] = await tick(app)
    assert [(each["name"], each["position_eth"]) for each in one.payload["executors"]] == [("bot-2", "5")]
    assert await tick(app) == []


async def test_the_monitor_notices_silence_and_the_end_of_permits(app: App) -> None:
    await renew(app.runtime)
    await freeze(await app.as_(ADMIN))
    [shown] = await tick(app)
    assert shown.payload["executors"][0]["state"] == "freezing"
    await change(app, "UPDATE executors SET last_seen_at = last_seen_at - interval '9 s'")
    await change(app, "UPDATE executors SET permit_until = permit_until - interval '9 s'")
    await change(app, "UPDATE freezes SET held_since = held_since - interval '9 s'")
    silent, progress = await tick(app)
    assert (silent.topic, silent.payload["executors"][0]["state"]) == ("executors", "silent")
    assert (progress.topic, progress.payload["halted"], progress.payload["covered"]) == ("freeze", 1, 1)
    assert await tick(app) == []


async def test_an_executor_that_comes_later_is_not_part_of_a_lifted_freeze(app: App) -> None:
    await renew(app.runtime, "bot-1")
    admin = await app.as_(ADMIN)
    await freeze(admin)
    await renew(app.runtime, "bot-1", halted_epoch=1)
    await ask_for_thaw(admin, "FRZ-0001")
    await approve(await app.as_(OFFICER), "FRZ-0001")
    await renew(app.runtime, "bot-2")
    assert await halted(app) == {"bot-1": "acked"}
    assert await states(app) == {"bot-1": "trading", "bot-2": "trading"}


async def test_times_are_the_databases(app: App) -> None:
    [(before,)] = await fetch(app, "SELECT clock_timestamp()")
    made = await freeze(await app.as_(ADMIN))
    [(after,)] = await fetch(app, "SELECT clock_timestamp()")
    assert isinstance(before, datetime)
    assert before <= made.created_at <= after
