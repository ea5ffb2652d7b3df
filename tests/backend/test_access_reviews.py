"""Access reviews: a snapshot of who has what, decisions that act at once, and a record that is finished and kept."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from backend.audit.tables import AuditLog
from backend.auth import access_monitor, accounts
from backend.auth.access_tables import AccessReview
from backend.auth.service import review_completion
from backend.auth.tables import ServiceToken, User
from backend.errors import WatchfloorError
from contract.permissions import Permission
from tests.support.app import SYSTEM, App, started_app
from tests.support.clocks import SetClock
from tests.support.people import ADMIN, ADMIN2, AUDITOR, EXECUTOR, OFFICER, OPERATOR, sign_in
from tests.support.signing_in import signed
from tests.support.touches import hold_key, key_of

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
REVIEWS = "/v1/access/reviews"


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend on a clock that the test moves."""
    async with started_app(database_url, clock=hand.clock) as running:
        yield running


@pytest.fixture
async def officer(app: App) -> httpx.AsyncClient:
    """A reviewer, beside one of everybody else."""
    for person in (ADMIN, AUDITOR, EXECUTOR, OPERATOR):
        await sign_in(app.runtime, person)
    return await app.as_(OFFICER)


async def _opened(officer: httpx.AsyncClient) -> tuple[str, dict[str, dict[str, Any]]]:
    answer = await officer.post(REVIEWS)
    assert answer.status_code == 201, answer.text
    ident = answer.json()["id"]
    shown = (await officer.get(f"{REVIEWS}/{ident}")).json()
    return ident, {item["name"]: item for item in shown["items"]}


async def _decide(
    officer: httpx.AsyncClient, ident: str, item: dict[str, Any], decision: str, role: str | None = None
) -> httpx.Response:
    body = {"decision": decision, "role": role, "reason": "as agreed"}
    return await officer.post(f"{REVIEWS}/{ident}/items/{item['number']}", json=body)


async def test_a_snapshot_tells_who_has_what_since_when_and_last_used(
    app: App, officer: httpx.AsyncClient, hand: SetClock
) -> None:
    hand.pass_(hours=3)
    _, items = await _opened(officer)
    assert {*items} == {one.name for one in (ADMIN, AUDITOR, EXECUTOR, OFFICER, OPERATOR)}
    operator, machine = items[OPERATOR.name], items[EXECUTOR.name]
    assert (operator["kind"], operator["role"], operator["findings"]) == ("account", OPERATOR.role, [])
    assert set(operator["permissions"]) == app.runtime.policy.roles[OPERATOR.role].permissions
    assert operator["since"] == operator["last_used_at"] == START.isoformat().replace("+00:00", "Z")
    assert (machine["kind"], machine["role"]) == ("service_token", "service")
    assert machine["permissions"] == ["import_transactions", "renew_permit"]


async def test_orphaned_accounts_are_pointed_out(app: App, officer: httpx.AsyncClient, hand: SetClock) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(update(User).where(User.username == ADMIN.name).values(role="abolished"))
    hand.pass_(days=90, seconds=1)
    late = await app.as_(OFFICER)
    _, items = await _opened(late)
    found = {name: item["findings"] for name, item in items.items()}
    assert found[ADMIN.name] == ["role_not_in_policy", "unused"]
    assert found[OPERATOR.name] == ["unused"]
    assert found[OFFICER.name] == []


async def test_decisions_count_at_once(app: App, officer: httpx.AsyncClient) -> None:
    operator, admin, machine = [await app.as_(one) for one in (OPERATOR, ADMIN, EXECUTOR)]
    ident, items = await _opened(officer)
    revoked = await _decide(officer, ident, items[OPERATOR.name], "revoke")
    assert (revoked.status_code, revoked.json()["decided_by"]) == (200, OFFICER.name)
    assert (await operator.get("/v1/overview")).status_code == 401
    assert (await _decide(officer, ident, items[ADMIN.name], "change", "mev_operator")).status_code == 200
    assert (await admin.get("/v1/overview")).status_code == 401, "signs in anew, as an operator"
    assert (await _decide(officer, ident, items[EXECUTOR.name], "revoke")).status_code == 200
    assert (await machine.post("/v1/gate/renew", json={})).status_code == 401
    assert (await _decide(officer, ident, items[AUDITOR.name], "keep")).status_code == 200
    async with app.runtime.database.read() as session:
        users = await session.execute(select(User.username, User.role, User.disabled))
        now = {name: (role, disabled) for name, role, disabled in users}
        assert (await session.scalars(select(ServiceToken.disabled))).all() == [True]
        decided = select(func.count()).where(AuditLog.event_type == "access.review.decided")
        assert await session.scalar(decided) == 4
    assert now[OPERATOR.name] == (OPERATOR.role, True)
    assert now[ADMIN.name] == ("mev_operator", False)
    assert now[AUDITOR.name] == (AUDITOR.role, False)


async def test_what_cannot_be_decided(app: App, officer: httpx.AsyncClient) -> None:
    ident, items = await _opened(officer)
    own = await _decide(officer, ident, items[OFFICER.name], "keep")
    assert (own.status_code, own.json()["code"]) == (403, "second_person_required")
    operator, machine = items[OPERATOR.name], items[EXECUTOR.name]
    assert (await _decide(officer, ident, operator, "change")).status_code == 422, "to which role?"
    assert (await _decide(officer, ident, operator, "keep", "mev_admin")).status_code == 422
    assert (await _decide(officer, ident, operator, "change", "emperor")).status_code == 422
    assert (await _decide(officer, ident, machine, "change", "mev_admin")).status_code == 422
    assert (await _decide(officer, ident, {"number": 99}, "keep")).status_code == 404
    async with app.runtime.database.transaction() as session:
        await session.execute(update(User).where(User.username == OPERATOR.name).values(role="mev_admin"))
    assert (await _decide(officer, ident, operator, "keep")).status_code == 409, "it is not what was reviewed"
    assert (await _decide(officer, ident, machine, "keep")).status_code == 200
    assert (await _decide(officer, ident, machine, "revoke")).status_code == 409, "decided once"
    for person in (ADMIN, AUDITOR):
        client = await app.as_(person)
        assert ((await client.get(REVIEWS)).status_code == 200) is (person is ADMIN)


async def test_a_review_leaves_the_break_glass_account_sealed(
    app: App, officer: httpx.AsyncClient, hand: SetClock
) -> None:
    async with app.runtime.database.transaction() as session:
        await accounts.seal_break_glass(session, app.runtime, SYSTEM, name="sealed")
    hand.pass_(days=91)
    officer = await app.as_(OFFICER)
    ident, items = await _opened(officer)
    assert items["sealed"]["findings"] == []
    for decision, role in (("revoke", None), ("change", "mev_operator")):
        answer = await _decide(officer, ident, items["sealed"], decision, role)
        assert (answer.status_code, answer.json()["code"]) == (409, "refused_by_policy")
        assert "break-glass account" in answer.json()["message"]
    async with app.runtime.database.transaction() as session:
        with pytest.raises(WatchfloorError, match="keeps its role"):
            await accounts.change_role(session, app.runtime, SYSTEM, name="sealed", role="mev_operator")
        user = (await session.scalars(select(User).where(User.username == "sealed"))).one()
    assert (user.role, user.disabled) == ("break_glass", False)
    assert (await _decide(officer, ident, items["sealed"], "keep")).status_code == 200


async def test_taking_access_away_wants_a_touch_about_exactly_that(app: App, officer: httpx.AsyncClient) -> None:
    ident, items = await _opened(officer)
    item = items[OPERATOR.name]
    path = f"{REVIEWS}/{ident}/items/{item['number']}"
    revoke: dict[str, Any] = {"decision": "revoke", "role": None, "reason": "left"}
    change = revoke | {"decision": "change", "role": "mev_admin"}
    assert (await officer.post(path, json=revoke, auth=_without_key)).json()["confirm"] == {
        "act": "decide_access",
        "about": f"{ident} {item['number']} revoke",
    }
    refused = await officer.post(path, json=change, auth=_without_key)
    assert refused.json()["confirm"]["about"] == f"{ident} {item['number']} change mev_admin"
    other = refused.json()["confirm"] | {"about": f"{ident} {item['number']} change external_auditor"}
    await _touch(app, officer, other)
    assert (await officer.post(path, json=change, auth=_without_key)).json()["code"] == "confirmation_required"
    async with app.runtime.database.read() as session:
        user = (await session.scalars(select(User).where(User.username == OPERATOR.name))).one()
        assert (user.role, user.disabled) == (OPERATOR.role, False)
    await _touch(app, officer, refused.json()["confirm"])
    assert (await officer.post(path, json=change, auth=_without_key)).status_code == 200
    keep = {"decision": "keep", "role": None, "reason": "still here"}
    kept = f"{REVIEWS}/{ident}/items/{items[AUDITOR.name]['number']}"
    assert (await officer.post(kept, json=keep, auth=_without_key)).status_code == 200


def _without_key(request: httpx.Request) -> httpx.Request:
    return request


async def _touch(app: App, client: httpx.AsyncClient, wanted: dict[str, str]) -> None:
    async with app.runtime.database.transaction() as session:
        await hold_key(session, app.runtime, OFFICER.name)
    challenge = (await client.post("/v1/auth/confirm/challenge", json=wanted)).json()
    done = await client.post("/v1/auth/confirm", json=signed(challenge, key_of(OFFICER.name)))
    assert done.status_code == 200, done.text


async def test_the_last_account_that_may_freeze_keeps_a_role_that_may(app: App, officer: httpx.AsyncClient) -> None:
    policy = app.runtime.policy
    deaf = policy.roles[OFFICER.role]
    deaf = replace(deaf, permissions=deaf.permissions - {Permission.FREEZE_OPERATIONS})
    policy.__dict__["roles"] = {**policy.roles, OFFICER.role: deaf}
    async with app.runtime.database.transaction() as session:
        await accounts.seal_break_glass(session, app.runtime, SYSTEM, name="sealed")
    ident, items = await _opened(officer)
    for decision, role in (("revoke", None), ("change", "mev_operator")):
        answer = await _decide(officer, ident, items[ADMIN.name], decision, role)
        assert (answer.status_code, answer.json()["code"]) == (409, "refused_by_policy")
        assert "last account that may freeze" in answer.json()["message"]
    await sign_in(app.runtime, ADMIN2)
    assert (await _decide(officer, ident, items[ADMIN.name], "revoke")).status_code == 200


async def test_a_review_is_finished_when_everything_is_decided_and_then_exported(
    app: App, officer: httpx.AsyncClient
) -> None:
    ident, items = await _opened(officer)
    assert (await officer.post(REVIEWS)).status_code == 409, "one at a time"
    early = await officer.post(f"{REVIEWS}/{ident}/close")
    assert (early.status_code, "5 of 5" in early.json()["message"]) == (409, True)
    assert (await officer.get(f"{REVIEWS}/{ident}/export")).status_code == 409
    for name, item in items.items():
        reviewer = await app.as_(ADMIN) if name == OFFICER.name else officer
        assert (await _decide(reviewer, ident, item, "keep")).status_code == 200
    async with app.runtime.database.read() as session:
        so_far = await review_completion(session)
    assert so_far is not None
    assert (so_far.total, so_far.decided, so_far.closed_at) == (5, 5, None)
    closed = (await officer.post(f"{REVIEWS}/{ident}/close")).json()
    assert (closed["total"], closed["decided"], closed["closed_by"]) == (5, 5, OFFICER.name)
    assert (await officer.post(f"{REVIEWS}/{ident}/close")).status_code == 409
    whole = (await officer.get(f"{REVIEWS}/{ident}/export")).json()
    canonical = json.dumps(whole["review"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(canonical.encode()).hexdigest() == whole["sha256"]
    assert {item["reason"] for item in whole["review"]["items"]} == {"as agreed"}


async def test_the_schedule_opens_one_a_period_however_many_backends_look(app: App, hand: SetClock) -> None:
    async def look() -> list[str | None]:
        for _ in range(2):
            async with app.runtime.database.transaction() as session:
                await access_monitor.tick(session, app.runtime)
        async with app.runtime.database.read() as session:
            return list((await session.scalars(select(AccessReview.period).order_by(AccessReview.period))).all())

    assert await look() == ["2026-03"]
    hand.at = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    assert await look() == ["2026-03"]
    hand.pass_(seconds=1)
    assert await look() == ["2026-03", "2026-04"]
    async with app.runtime.database.read() as session:
        found = await review_completion(session)
    assert found is not None
    assert (found.period, found.due_at) == ("2026-04", hand.at + timedelta(days=14))


async def test_a_review_of_nothing_can_be_closed(app: App) -> None:
    """The schedule opens one on a floor without accounts too."""
    async with app.runtime.database.transaction() as session:
        await access_monitor.tick(session, app.runtime)
    officer = await app.as_(OFFICER)
    (opened,) = (await officer.get(REVIEWS)).json()["items"]
    assert (opened["total"], opened["opened_by"]) == (0, None)
    assert (await officer.post(f"{REVIEWS}/{opened['id']}/close")).status_code == 200


async def test_no_review_no_completion(app: App) -> None:
    async with app.runtime.database.read() as session:
        assert await review_completion(session) is None
