"""Machines' tokens: issued for a scope, rotated without a gap, revoked at once, known to be in use, warned about."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import Request
from sqlalchemy import select, text

from backend.auth import accounts, service, service_token_use, service_tokens
from backend.auth.known import _look
from backend.auth.tables import ServiceToken
from backend.context import Caller
from backend.token_use import EVERY, TokenUse
from contract.permissions import Permission
from contract.service_tokens import RotateRequest, ServiceTokenRequest
from tests.support.app import SYSTEM, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, sign_in

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TOKENS = "/v1/service-tokens"
OVERLAP = timedelta(hours=24)
READS = ("view_freezes",)


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    """A backend on a clock that the test moves; uses of tokens are written when the test says so."""
    async with started_app(database_url, clock=hand.clock) as running:
        await _written_by_hand()
        yield running


async def _written_by_hand() -> None:
    """End the loops that write uses by themselves."""
    loops = [task for task in asyncio.all_tasks() if task.get_name() == "token uses"]
    for task in loops:
        task.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


@pytest.fixture
async def admin(app: App) -> httpx.AsyncClient:
    return await app.as_(ADMIN)


async def _issue(admin: httpx.AsyncClient, name: str = "script", **more: Any) -> tuple[str, dict[str, Any]]:
    body = {"name": name, "permissions": list(READS)} | more
    answer = await admin.post(TOKENS, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["secret"], answer.json()["token"]


async def _rotate(admin: httpx.AsyncClient, name: str = "script", *, now: bool = False) -> str:
    answer = await admin.post(f"{TOKENS}/{name}/rotate", json={"now": now})
    assert answer.status_code == 200, answer.text
    secret: str = answer.json()["secret"]
    return secret


async def _may(app: App, token: str) -> bool:
    status = (await app.with_token(token).get("/v1/freezes")).status_code
    assert status in {200, 401}
    return status == 200


async def _row(app: App, name: str = "script") -> ServiceToken:
    async with app.runtime.database.read() as session:
        return (await session.scalars(select(ServiceToken).where(ServiceToken.name == name))).one()


async def _write(app: App) -> None:
    """Write what was noted, as the backend's own loop does every few seconds."""
    await service_token_use._write(app.runtime)


async def _caller(app: App, token: str) -> Caller:
    request = Request(
        {
            "type": "http", "method": "GET", "path": "/v1/freezes", "app": app.app, "client": None,
            "headers": [(b"authorization", f"Bearer {token}".encode())], "state": {"request_id": "test"},
        }
    )  # fmt: skip
    async with app.runtime.database.read() as session:
        return (await service.authenticate(session, app.runtime, request)).caller


async def _stays(app: App, caller: Caller) -> bool:
    async with app.runtime.database.read() as session:
        return await service.still_signed_in(session, app.runtime, caller)


async def test_a_secret_is_shown_once_and_kept_nowhere(app: App, admin: httpx.AsyncClient) -> None:
    secret, token = await _issue(admin, executors=["bot-*"], permissions=["renew_permit"], max_trade_eth="0.5")
    assert secret.startswith("wfs_")
    assert (token["subject"], token["state"], token["max_trade_eth"]) == ("executor:script", "active", "0.5")
    listed = await admin.get(TOKENS)
    assert listed.json()["items"] == [token]
    (entry,) = await entries_of(app, "auth.token.issued")
    async with app.runtime.database.read() as session:
        tables = await session.scalars(text("SELECT t::text FROM service_tokens AS t"))
        everything = [*tables, str(entry.new_value), listed.text]
    assert (entry.user_id, entry.resource_id) == (ADMIN.name, "script")
    assert entry.new_value is not None
    assert entry.new_value["executors"] == ["bot-*"]
    assert not [one for one in everything if secret in one or secret.removeprefix("wfs_") in one]


async def test_only_who_renews_permits_is_called_an_executor(app: App, admin: httpx.AsyncClient) -> None:
    for held, subject in ((["renew_permit", "import_transactions"], "executor:x"), (["observe_halts"], "service:x")):
        await admin.post(f"{TOKENS}/x/revoke")
        secret, token = await _issue(admin, "x", permissions=held)
        assert token["subject"] == subject
        await app.with_token(secret).get("/v1/alerts")
    denied = await entries_of(app, "auth.permission.denied")
    assert {entry.user_id for entry in denied} == {"executor:x", "service:x"}


async def test_the_old_secret_works_until_the_new_one_is_used(app: App, admin: httpx.AsyncClient) -> None:
    old, _ = await _issue(admin)
    assert await _may(app, old)
    new = await _rotate(admin)
    assert await _may(app, old), "the machine has not got the new one yet"
    await _write(app)
    assert await _may(app, old), "its own use does not end it"
    shown = (await admin.get(TOKENS)).json()["items"][0]
    assert shown["overlap_until"] is not None
    assert await _may(app, new)
    await _write(app)
    assert not await _may(app, old)
    assert await _may(app, new)
    assert (await admin.get(TOKENS)).json()["items"][0]["overlap_until"] is None


async def test_the_first_use_of_a_new_secret_is_written_without_being_asked(database_url: str) -> None:
    async with started_app(database_url) as app:
        admin = await app.as_(ADMIN)
        old, _ = await _issue(admin)
        new = await _rotate(admin)
        assert await _may(app, new)
        for _ in range(600):
            if not await _may(app, old):
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the old secret still works")
        assert await _may(app, new)


async def test_the_overlap_ends_although_nobody_uses_the_new_secret(
    app: App, admin: httpx.AsyncClient, hand: SetClock
) -> None:
    old, _ = await _issue(admin)
    await _rotate(admin)
    hand.at = START + OVERLAP - timedelta(seconds=1)
    assert await _may(app, old)
    hand.at = START + OVERLAP
    assert not await _may(app, old)


async def test_a_leaked_secret_ends_with_its_rotation(app: App, admin: httpx.AsyncClient) -> None:
    old, _ = await _issue(admin)
    caller = await _caller(app, old)
    new = await _rotate(admin, now=True)
    assert not await _may(app, old)
    assert not await _stays(app, caller)
    assert await _may(app, new)


async def test_what_is_open_stays_open_for_the_overlap(app: App, admin: httpx.AsyncClient, hand: SetClock) -> None:
    """A fleet shares a token: the first bot with the new secret must not cut the others off in the middle."""
    old, _ = await _issue(admin)
    caller = await _caller(app, old)
    new = await _rotate(admin)
    assert await _may(app, new)
    await _write(app)
    assert not await _may(app, old)
    assert await _stays(app, caller)
    assert caller.identity != (await _caller(app, new)).identity
    hand.at = START + OVERLAP
    assert not await _stays(app, caller)
    assert await _stays(app, await _caller(app, new))


async def test_a_rotation_gives_a_whole_life(app: App, admin: httpx.AsyncClient, hand: SetClock) -> None:
    _, token = await _issue(admin, days=10)
    assert token["expires_at"].startswith("2026-03-20")
    hand.pass_(days=9)
    await _rotate(await app.as_(ADMIN))
    assert (await _row(app)).expires_at == hand.at + timedelta(days=365)


async def test_a_second_rotation_keeps_the_secret_that_the_machines_have(
    app: App, admin: httpx.AsyncClient, hand: SetClock
) -> None:
    first, _ = await _issue(admin)
    second = await _rotate(admin)
    hand.pass_(hours=1)
    third = await _rotate(admin)
    assert (await _row(app)).previous_until == START + OVERLAP, "another rotation does not make its life longer"
    assert [await _may(app, one) for one in (first, second, third)] == [True, False, True]
    await _write(app)
    assert [await _may(app, one) for one in (first, third)] == [False, True]


async def test_a_secret_that_was_used_is_the_one_before_at_the_next_rotation(
    app: App, admin: httpx.AsyncClient
) -> None:
    first, _ = await _issue(admin)
    second = await _rotate(admin)
    assert await _may(app, second)
    await _write(app)
    await _rotate(admin)
    assert [await _may(app, one) for one in (first, second)] == [False, True]


async def test_an_unused_secret_is_the_one_before_when_nothing_older_works(
    app: App, admin: httpx.AsyncClient, hand: SetClock
) -> None:
    first, _ = await _issue(admin)
    second = await _rotate(admin)
    hand.pass_(hours=24)
    await _rotate(await app.as_(ADMIN))
    assert [await _may(app, one) for one in (first, second)] == [False, True]


async def test_a_revocation_counts_on_every_backend_at_once(
    app: App, admin: httpx.AsyncClient, hand: SetClock, database_url: str
) -> None:
    old, _ = await _issue(admin)
    new = await _rotate(admin)
    async with started_app(database_url, clock=hand.clock, sequence=False) as other:
        assert [await _may(other, one) for one in (old, new)] == [True, True]
        assert (await admin.post(f"{TOKENS}/script/revoke")).json()["state"] == "revoked"
        assert [await _may(other, one) for one in (old, new)] == [False, False]
    assert (await admin.post(f"{TOKENS}/script/rotate", json={})).status_code == 409
    assert (await admin.post(f"{TOKENS}/nobody/revoke")).status_code == 404
    assert (await admin.get(TOKENS)).json()["items"] == []
    assert [one["name"] for one in (await admin.get(TOKENS, params={"ended": "true"})).json()["items"]] == ["script"]
    again, _ = await _issue(admin)
    assert [await _may(app, one) for one in (old, new, again)] == [False, False, True]


async def test_tokens_are_listed_page_by_page(admin: httpx.AsyncClient) -> None:
    for name in ("c", "a", "b"):
        await _issue(admin, name)
    first = (await admin.get(TOKENS, params={"limit": 2})).json()
    assert [one["name"] for one in first["items"]] == ["a", "b"]
    rest = (await admin.get(TOKENS, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert ([one["name"] for one in rest["items"]], rest["next_cursor"]) == (["c"], None)


async def test_last_use_is_written_at_most_once_a_minute_on_all_backends_together(
    app: App, admin: httpx.AsyncClient, hand: SetClock, database_url: str
) -> None:
    secret, _ = await _issue(admin)
    async with started_app(database_url, clock=hand.clock, sequence=False) as other:
        await _written_by_hand()
        seen = []
        for seconds in (0, 20, 40, 60, 80):
            hand.at = START + timedelta(seconds=seconds)
            for backend in (app, other):
                assert await _may(backend, secret)
                await _write(backend)
            seen.append((await _row(app)).last_used_at)
    assert seen == [START, START, START, START + EVERY, START + EVERY]


def test_uses_are_noted_once_a_minute_and_kept_when_they_cannot_be_written() -> None:
    use = TokenUse()
    for seconds in (0, 59, 60):
        use.note("a", START + timedelta(seconds=seconds))
        if seconds == 59:
            taken = use.taken()
            assert taken == {"a": START}
            assert use.taken() == {}
            use.again(taken)
    assert use.taken() == {"a": START + EVERY}
    assert not use.due.is_set()
    use.note("a", START, urgent=True)
    assert use.due.is_set()


async def test_a_late_note_of_the_old_secret_does_not_take_the_new_one_up(app: App, admin: httpx.AsyncClient) -> None:
    """Between a use and its being written the token was rotated: what was used then is the secret before."""
    old, _ = await _issue(admin)
    assert await _may(app, old)
    uses = app.runtime.token_use.taken()
    rotating, writing = asyncio.Event(), asyncio.Event()

    async def rotate() -> None:
        async with app.runtime.database.transaction() as session:
            await service_tokens.rotate(session, app.runtime, SYSTEM, "script", RotateRequest())
            rotating.set()
            await writing.wait()
            await asyncio.sleep(0.3)  # the writer waits for the row's lock by then; if not, less is proved

    async def write() -> None:
        await rotating.wait()
        async with app.runtime.database.transaction() as session:
            writing.set()
            await service_token_use.write_uses(session, uses)

    await asyncio.gather(rotate(), write())
    assert (await _row(app)).taken_up_at is None
    assert await _may(app, old)


async def test_who_is_known_without_a_database_has_the_secrets_that_work(
    app: App, admin: httpx.AsyncClient, hand: SetClock
) -> None:
    await _issue(admin, permissions=["freeze_operations"])
    await _rotate(admin)
    row = await _row(app)
    async with app.runtime.database.read() as session:
        known = (await _look(session, app.runtime)).machines
    assert known.keys() == {row.token_hash, row.previous_hash}
    assert {one.subject for one in known.values()} == {"service:script"}
    assert known[row.previous_hash or ""].expires_at == START + OVERLAP
    uses = {row.token_hash: hand.at}
    async with app.runtime.database.transaction() as session:
        await service_token_use.write_uses(session, uses)
    async with app.runtime.database.read() as session:
        assert (await _look(session, app.runtime)).machines.keys() == {row.token_hash}


async def _alerts(admin: httpx.AsyncClient, app: App) -> list[tuple[str, str]]:
    async with app.runtime.database.transaction() as session:
        await service_token_use.tick(session, app.runtime)
    found = (await admin.get("/v1/alerts", params={"rule": service_token_use.EXPIRING})).json()["items"]
    return [(one["severity"], one["message"]) for one in found if one["status"] != "cleared"]


async def test_a_token_that_ends_soon_is_warned_about_until_it_is_rotated(
    app: App, admin: httpx.AsyncClient, hand: SetClock
) -> None:
    await _issue(admin, days=30)
    hand.pass_(days=15)
    token = await sign_in(app.runtime, ADMIN)
    admin = app.with_token(token)
    assert await _alerts(admin, app) == []
    hand.pass_(days=1)
    admin = await app.as_(ADMIN)
    assert await _alerts(admin, app) == [
        ("medium", "The token of service:script ends at 2026-04-09 12:00 UTC. Rotate it.")
    ]
    assert len(await _alerts(admin, app)) == 1
    hand.pass_(days=12)
    admin = await app.as_(ADMIN)
    assert [severity for severity, _ in await _alerts(admin, app)] == ["high"]
    await _rotate(admin)
    assert await _alerts(admin, app) == []


async def test_a_given_token_keeps_its_scope_and_a_changed_one_is_another(app: App) -> None:
    async def ensured(*executors: str) -> datetime:
        async with app.runtime.database.transaction() as session:
            await accounts.ensure_service_token(
                session, app.runtime, SYSTEM, name="bots", permissions=[Permission.RENEW_PERMIT],
                token="wfs_given", executors=executors,
            )  # fmt: skip
        row = await _row(app, "bots")
        assert row.executors == sorted(executors)
        return row.created_at

    await ensured("bot-1", "bot-*")
    assert len(await entries_of(app, "auth.token.issued")) == 1
    await ensured("bot-*", "bot-1")
    await ensured("bot-1")
    assert len(await entries_of(app, "auth.token.issued")) == 2


def test_a_secret_is_in_no_repr() -> None:
    request = ServiceTokenRequest(name="x", permissions=[Permission.VIEW_RISK])
    made = service_tokens.Issued(ServiceToken(name=request.name), "wfs_secret")
    assert "wfs_secret" not in repr(made)
