"""What became of a freeze whose answer never came: asked by its key, told to nobody but whoever sent it."""

from uuid import uuid4

import httpx
import psycopg
import pytest

from backend.freeze import rollcall
from tests.support.app import App
from tests.support.latching import latched, lock_held, post, until
from tests.support.people import ADMIN, OFFICER

KEY = "0f" * 16


async def sent(client: httpx.AsyncClient, *, key: str = KEY, scope: str = "chain:arbitrum") -> httpx.Response:
    return await client.get(f"/v1/freezes/sent/{key}", params={"scope": scope, "mode": "halt"})


async def not_taken(client: httpx.AsyncClient, *, key: str = KEY) -> bool:
    answer = await sent(client, key=key)
    return (answer.status_code, answer.json()) == (200, {"taken": False, "freeze": None})


async def freeze(client: httpx.AsyncClient) -> dict[str, object]:
    answer = await post(client, idempotency_key=KEY)
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


async def test_one_that_was_taken_is_shown_to_whoever_sent_it(app: App) -> None:
    officer, admin = await app.as_(OFFICER), await app.as_(ADMIN)
    assert await not_taken(officer)
    made = await freeze(officer)
    found = await sent(officer)
    assert (found.status_code, found.json()["freeze"]["id"], found.json()["freeze"]["status"]) == (
        200,
        made["id"],
        "active",
    )
    assert await not_taken(admin)
    assert await not_taken(officer, key="0e" * 16)


async def test_one_that_is_latched_here_is_shown(app: App, database_url: str) -> None:
    officer = await app.as_(OFFICER)
    with lock_held(database_url):
        made = await latched(officer, idempotency_key=KEY)
        found = await sent(officer)
        assert (found.status_code, found.json()["freeze"]["id"], found.json()["freeze"]["status"]) == (
            200,
            made.id,
            "latched",
        )
        assert await not_taken(await app.as_(ADMIN))
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    found = await sent(officer)
    assert (found.json()["freeze"]["id"], found.json()["freeze"]["ref"]) == (made.id, "FRZ-0001")


@pytest.mark.parametrize(("age_s", "status"), [(0, 200), (60, 503)])
async def test_while_another_backend_may_have_latched_it_nobody_says_that_it_was_not_taken(
    app: App, database_url: str, age_s: int, status: int
) -> None:
    officer = await app.as_(OFFICER)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO backend_checkins (boot, place, checked_in_at)"
            " VALUES (%s, 'elsewhere', clock_timestamp() - make_interval(secs => %s))",
            [str(uuid4()), age_s],
        )
    assert (await sent(officer)).status_code == status
    made = await freeze(officer)
    assert (await sent(officer)).json()["freeze"]["id"] == made["id"]


async def test_one_that_fell_silent_long_ago_may_still_have_latched_it_until_it_speaks_again(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollcall, "FORGOTTEN_AFTER_S", 0.0)
    officer, boot = await app.as_(OFFICER), str(uuid4())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO backend_checkins (boot, place, checked_in_at)"
            " VALUES (%s, 'elsewhere', clock_timestamp() + interval '1 hour')",
            [boot],
        )

        def is_waited_for() -> bool:
            found = connection.execute("SELECT silent FROM backend_checkins WHERE boot = %s", [boot]).fetchone()
            return found == (False,)

        await until(lambda: not is_waited_for(), "permits wait for it no more")
        assert (await sent(officer)).status_code == 503
        connection.execute(
            "DELETE FROM backend_checkins WHERE boot = %s", [boot]
        )  # a process in its place spoke for it
    assert await not_taken(officer)


async def test_a_journal_that_others_left_leaves_it_open(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    officer = await app.as_(OFFICER)
    as_if = property(lambda _: 1, lambda *_: None)  # looks go on, and would find that there is none
    monkeypatch.setattr(type(app.runtime.latched), "journals_elsewhere", as_if)
    answer = await sent(officer)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_what_is_no_key_and_no_scope_is_refused(app: App) -> None:
    officer = await app.as_(OFFICER)
    for wrong in ({"key": "%00"}, {"scope": "nowhere"}, {"key": "x" * 65}):
        assert (await sent(officer, **wrong)).status_code == 422
