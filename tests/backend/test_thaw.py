"""Thawing by the product's own policy: what an approval is bound to, when it lapses, its stages, and the way back."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from backend.alerts import service as alerts
from backend.alerts import urgent
from backend.freeze import thaw_facts, thaw_monitor
from contract.alerts import Severity
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeStatus
from contract.scope import Scope
from contract.thaw import Thaw
from tests.support.app import SYSTEM, App, started_app
from tests.support.holds import approve, ask_for_thaw, freeze, renew, shown_digest
from tests.support.people import ADMIN, OFFICER, OPERATOR

REF = "FRZ-0001"
BOTS = [f"bot-{number:02}" for number in range(20)]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[App]:
    """An application under the product's own policy: 15 min, 5 s, 10 %, 30 s."""
    async with started_app(database_url, policy="mev") as app:
        yield app


async def pass_time(app: App, seconds: float, *columns: str) -> None:
    """Let a hold's instants lie further back: as if so many seconds had passed on the database's clock."""
    moved = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
    async with app.runtime.database.transaction() as session:
        await session.execute(text(f"UPDATE freezes SET {moved}"), {"seconds": seconds})  # noqa: S608  names of ours


async def tick(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await thaw_monitor.tick(session, app.runtime)


async def raise_alert(app: App, scope: str, *, severity: Severity = Severity.CRITICAL, rule: str = "TEST_RULE") -> str:
    draft = alerts.AlertDraft(
        fingerprint=f"{rule}|{scope}|{severity}",
        rule=rule,
        severity=severity,
        scope=Scope.parse(scope),
        message="something is wrong",
    )
    async with app.runtime.database.transaction() as session:
        alert, _ = await alerts.raise_alert(session, app.runtime, SYSTEM, draft)
    return alert.id


async def detail(client: httpx.AsyncClient, ref: str = REF) -> Freeze:
    return Freeze.model_validate_json((await client.get(f"/v1/freezes/{ref}")).content)


async def thaw_of(client: httpx.AsyncClient, ref: str = REF) -> Thaw:
    thaw = (await detail(client, ref)).thaw
    assert thaw is not None
    return thaw


async def trading(app: App, names: list[str]) -> list[str]:
    return [name for name in names if (await renew(app.runtime, name)).may_trade]


async def audited(app: App, event_type: str) -> list[Any]:
    async with app.runtime.database.read() as session:
        found = await session.execute(
            text("SELECT user_id, result, new_value FROM audit_logs WHERE event_type = :name ORDER BY timestamp, id"),
            {"name": event_type},
        )
        return list(found.all())


async def stood(app: App) -> None:
    """The hold has stood long enough to be lifted."""
    await pass_time(app, 60, "created_at", "held_since")


async def asked(
    app: App, bots: list[str], scope: str = "chain:arbitrum"
) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """A freeze over some bots whose thaw is asked for: the clients of who asked and of who may approve."""
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    for name in bots:
        await renew(app.runtime, name)
    await freeze(admin, scope)
    await stood(app)
    assert (await ask_for_thaw(admin, REF)).status_code == 200
    return admin, officer


async def test_the_detail_shows_what_a_thaw_covers(desk: App) -> None:
    for name in ("bot-1", "bot-2", "bot-3"):
        await renew(desk.runtime, name)
    admin = await desk.as_(ADMIN)
    await freeze(admin)
    await freeze(admin, "executor:bot-3")
    critical = await raise_alert(desk, "chain:arbitrum")
    await raise_alert(desk, "chain:base")
    before = await thaw_of(admin)
    assert (before.executors_released, before.other_holds) == (2, ["FRZ-0002"])
    assert [(one.id, one.severity, one.message) for one in before.alerts] == [
        (critical, Severity.CRITICAL, "something is wrong")
    ]
    assert [(stage.executors, stage.watch_seconds) for stage in before.stages] == [(1, 30), (1, 0)]
    assert (before.requested_by, before.expires_at, before.changed) == (None, None, [])
    answer = Freeze.model_validate_json((await ask_for_thaw(admin, REF)).content).thaw
    assert answer is not None
    assert answer.digest == before.digest
    assert answer.requested_at is not None
    assert answer.expires_at is not None
    assert (answer.expires_at - answer.requested_at).total_seconds() == 15 * 60
    [entry] = await audited(desk, "freeze.thaw.requested")
    assert entry.new_value["digest"] == answer.digest


async def test_graver_alerts_of_other_scopes_hide_none_of_its_own(desk: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thaw_facts, "MAX_ALERTS", 3)
    monkeypatch.setattr(urgent, "_SCOPES_AT_ONCE", 2)
    await renew(desk.runtime, "bot-1")
    admin = await desk.as_(ADMIN)
    await freeze(admin)
    own = {await raise_alert(desk, "chain:arbitrum", severity=Severity.LOW)}
    own.add(await raise_alert(desk, "chain:Arbitrum", severity=Severity.MEDIUM))
    for number in range(5):
        await raise_alert(desk, f"chain:other-{number}")
    assert {one.id for one in (await thaw_of(admin)).alerts} == own


async def test_an_approval_names_what_it_approves(desk: App) -> None:
    _, officer = await asked(desk, ["bot-1"])
    bare = await officer.post(f"/v1/freezes/{REF}/thaw/approve", json={})
    assert (bare.status_code, bare.json()["code"]) == (422, "invalid_request")
    assert "thaw.digest" in bare.json()["hint"]
    wrong = await approve(officer, REF, digest="0" * 64)
    assert (wrong.status_code, "what you were shown" in wrong.json()["message"]) == (409, True)
    assert wrong.json()["code"] == ErrorCode.REFUSED_BY_POLICY
    assert await trading(desk, ["bot-1"]) == []
    assert (await approve(officer, REF)).json()["status"] == "thawing"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("alert", "new alert: high TEST_RULE"),
        ("hold", "hold added: FRZ-0002"),
        ("executor", "executor joined: bot-2"),
    ],
)
async def test_what_changed_since_it_was_asked_for_is_said_and_has_to_be_asked_for_again(
    desk: App, change: str, words: str
) -> None:
    admin, officer = await asked(desk, ["bot-1"])
    shown = await shown_digest(officer, REF)
    match change:
        case "alert":
            await raise_alert(desk, "chain:arbitrum", severity=Severity.HIGH)
        case "hold":
            await freeze(admin, "wallet:0xabbot-1")
        case _:
            await renew(desk.runtime, "bot-2")
    for digest in (shown, await shown_digest(officer, REF)):
        refused = await approve(officer, REF, digest=digest)
        assert (refused.status_code, words in refused.json()["message"]) == (409, True)
        assert refused.json()["code"] == ErrorCode.REFUSED_BY_POLICY
    now = await detail(officer)
    assert now.status is FreezeStatus.THAW_REQUESTED
    assert now.thaw is not None
    assert any(words in changed for changed in now.thaw.changed)
    again = await ask_for_thaw(officer, REF, "seen it")
    assert (again.status_code, again.json()["thaw_requested_by"]) == (200, "oscar")
    assert (await approve(officer, REF)).json()["code"] == "second_person_required"
    assert (await approve(admin, REF)).status_code == 200


async def test_an_alert_that_is_acknowledged_or_reworded_changes_nothing(desk: App) -> None:
    await raise_alert(desk, "chain:arbitrum")
    _, officer = await asked(desk, ["bot-1"])
    operator = await desk.as_(OPERATOR)
    [alert] = (await thaw_of(officer)).alerts
    assert (await operator.post(f"/v1/alerts/{alert.id}/acknowledge", json={})).status_code == 200
    assert (await approve(officer, REF)).status_code == 200


async def test_a_request_lapses_at_once_for_approvers_and_then_for_everybody(desk: App) -> None:
    _, officer = await asked(desk, ["bot-1"])
    await pass_time(desk, 15 * 60 + 1, "thaw_expires_at")
    late = await approve(officer, REF)
    assert (late.status_code, "lapsed after 15 min" in late.json()["message"]) == (409, True)
    assert late.json()["code"] == ErrorCode.REFUSED_BY_POLICY
    await tick(desk)
    after = await detail(officer)
    assert (after.status, after.thaw_requested_by, after.thaw_reason) == (FreezeStatus.ACTIVE, None, None)
    [entry] = await audited(desk, "freeze.thaw.expired")
    assert (entry.user_id, entry.new_value["requested_by"]) == ("system:thaw-monitor", "adam")
    async with desk.runtime.database.read() as session:
        told = "SELECT payload->>'status' FROM stream_events WHERE topic = 'freeze' ORDER BY id DESC LIMIT 1"
        assert (await session.execute(text(told))).scalar_one() == "active"


async def test_a_lapsed_request_is_replaced_by_whoever_asks_anew(desk: App) -> None:
    _, officer = await asked(desk, ["bot-1"])
    assert (await ask_for_thaw(officer, REF, "mine")).status_code == 409
    await pass_time(desk, 15 * 60 + 1, "thaw_expires_at")
    assert (await ask_for_thaw(officer, REF, "mine")).json()["thaw_requested_by"] == "oscar"


async def test_a_hold_cannot_flap(desk: App) -> None:
    admin, officer = await desk.as_(ADMIN), await desk.as_(OFFICER)
    await renew(desk.runtime)
    await freeze(admin)
    await ask_for_thaw(admin, REF)
    early = await approve(officer, REF)
    assert (early.status_code, early.json()["code"]) == (409, ErrorCode.REFUSED_BY_POLICY)
    assert "has to stand for" in early.json()["message"]
    await stood(desk)
    assert (await approve(officer, REF)).status_code == 200
    await officer.post(f"/v1/freezes/{REF}/thaw/withdraw")
    await ask_for_thaw(admin, REF)
    assert (await approve(officer, REF)).json()["code"] == ErrorCode.REFUSED_BY_POLICY


async def test_a_tenth_is_let_go_first_and_the_rest_once_it_was_watched(desk: App) -> None:
    _, officer = await asked(desk, BOTS)
    shown = await thaw_of(officer)
    assert [stage.executors for stage in shown.stages] == [2, 18]
    begun = Freeze.model_validate_json((await approve(officer, REF)).content)
    assert (begun.status, begun.covered, begun.thawed_by) == (FreezeStatus.THAWING, 18, None)
    assert begun.thaw is not None
    assert (begun.thaw.approved_by, begun.thaw.watch_until is not None) == ("oscar", True)
    assert await trading(desk, BOTS) == shown.stages[0].executor_names
    await renew(desk.runtime, "bot-new")
    assert await trading(desk, ["bot-new"]) == []
    await tick(desk)
    assert (await detail(officer)).status is FreezeStatus.THAWING
    await pass_time(desk, 31, "thaw_watch_until")
    await tick(desk)
    done = await detail(officer)
    assert (done.status, done.thawed_by, done.thaw) == (FreezeStatus.THAWED, "oscar", None)
    assert await trading(desk, [*BOTS, "bot-new"]) == [*BOTS, "bot-new"]
    assert [entry.result for entry in await audited(desk, "freeze.thaw.completed")] == ["success"]


async def test_one_executor_is_watched_as_well_and_nothing_hangs(desk: App) -> None:
    _, officer = await asked(desk, ["bot-1"])
    assert (await approve(officer, REF)).json()["status"] == "thawing"
    assert await trading(desk, ["bot-1"]) == ["bot-1"]
    await pass_time(desk, 31, "thaw_watch_until")
    await tick(desk)
    assert (await detail(officer)).status is FreezeStatus.THAWED


async def test_with_nobody_to_let_go_there_is_nobody_to_watch(desk: App) -> None:
    _, officer = await asked(desk, [], "chain:nowhere")
    assert (await approve(officer, REF)).json()["status"] == "thawed"


@pytest.mark.parametrize(
    ("scope", "severity", "rule", "breaks"),
    [
        ("chain:arbitrum", Severity.CRITICAL, "TEST_RULE", True),
        ("global", Severity.CRITICAL, "TEST_RULE", True),
        ("executor:bot-1", Severity.CRITICAL, "TEST_RULE", True),
        ("strategy:arbitrage", Severity.LOW, "HALT_VIOLATION", True),
        ("chain:base", Severity.CRITICAL, "TEST_RULE", False),
        ("chain:arbitrum", Severity.HIGH, "TEST_RULE", False),
    ],
)
async def test_a_grave_alert_puts_everything_back(
    desk: App, scope: str, severity: Severity, rule: str, *, breaks: bool
) -> None:
    await raise_alert(desk, "chain:arbitrum", rule="SEEN_BEFORE")
    _, officer = await asked(desk, ["bot-1"])
    await approve(officer, REF)
    alert = await raise_alert(desk, scope, severity=severity, rule=rule)
    await tick(desk)
    after = await detail(officer)
    assert after.status is (FreezeStatus.ACTIVE if breaks else FreezeStatus.THAWING)
    assert await trading(desk, ["bot-1"]) == ([] if breaks else ["bot-1"])
    entries = await audited(desk, "freeze.thaw.broken_off")
    assert [entry.new_value["alert"] for entry in entries] == ([alert] if breaks else [])


async def test_whoever_may_freeze_may_stop_a_thaw_and_its_permits_are_worthless(desk: App) -> None:
    admin, officer = await asked(desk, BOTS)
    await renew(desk.runtime, BOTS[0], halted_epoch=1)
    await approve(officer, REF)
    [first, *_] = await trading(desk, BOTS)
    meanwhile = (await renew(desk.runtime, first)).epoch
    back = Freeze.model_validate_json((await admin.post(f"/v1/freezes/{REF}/thaw/withdraw")).content)
    assert (back.status, back.epoch, back.thaw_requested_by) == (FreezeStatus.ACTIVE, meanwhile + 1, None)
    assert (back.created_by, back.covered) == ("adam", len(BOTS))
    assert await trading(desk, BOTS) == []
    assert {hold.epoch for hold in (await renew(desk.runtime, first)).holds} == {back.epoch}
    [entry] = await audited(desk, "freeze.thaw.broken_off")
    assert (entry.user_id, entry.new_value["epoch"], entry.new_value["approved_by"]) == ("adam", back.epoch, "oscar")


async def test_who_was_let_go_has_to_answer_anew_and_the_others_have_answered(desk: App) -> None:
    admin, officer = await asked(desk, BOTS)
    for name in BOTS:
        await renew(desk.runtime, name, halted_epoch=1)
    assert (await detail(officer)).halted == len(BOTS)
    await approve(officer, REF)
    first = await trading(desk, BOTS)
    await admin.post(f"/v1/freezes/{REF}/thaw/withdraw")
    unanswered = [one.executor for one in (await detail(officer)).proofs if not one.state.is_halted]
    assert unanswered == first


async def test_a_thaw_goes_on_where_another_backend_stopped(desk: App, database_url: str) -> None:
    _, officer = await asked(desk, BOTS)
    await approve(officer, REF)
    first = await trading(desk, BOTS)
    async with started_app(database_url, policy="mev") as other:
        await tick(other)
        assert await trading(other, BOTS) == first
        await pass_time(other, 40, "thaw_watch_until", "thaw_looked_at")
        await tick(other)
        assert await trading(other, BOTS) == first, "nobody watched these 40 s"
        await pass_time(other, 31, "thaw_watch_until")
        await tick(other)
        assert await trading(other, BOTS) == BOTS


async def test_a_thaw_works_while_everything_is_frozen(desk: App) -> None:
    _, officer = await asked(desk, ["bot-1"], "global")
    await freeze(officer, "global", mode="cancel-all")
    assert (await ask_for_thaw(officer, "FRZ-0002")).status_code == 200
    await stood(desk)
    admin = await desk.as_(ADMIN)
    assert (await approve(admin, "FRZ-0002")).json()["status"] == "thawed", "nobody is let go: FRZ-0001 stays"
    assert await trading(desk, ["bot-1"]) == []
    assert (await approve(officer, REF)).json()["status"] == "thawing", "it is again what adam asked for"
    assert await trading(desk, ["bot-1"]) == ["bot-1"]


async def test_a_freeze_over_a_thaw_under_way_holds_those_that_were_let_go(desk: App) -> None:
    admin, officer = await asked(desk, ["bot-1"])
    await approve(officer, REF)
    await freeze(admin, "executor:bot-1")
    assert await trading(desk, ["bot-1"]) == []
    await pass_time(desk, 31, "thaw_watch_until")
    await tick(desk)
    assert (await detail(officer)).status is FreezeStatus.THAWED
    assert await trading(desk, ["bot-1"]) == []


async def test_nothing_else_can_be_done_to_a_thaw_under_way(desk: App) -> None:
    admin, officer = await asked(desk, ["bot-1"])
    await approve(officer, REF)
    for answer in (await ask_for_thaw(admin, REF), await approve(officer, REF)):
        assert (answer.status_code, "oscar has approved" in answer.json()["message"]) == (409, True)
