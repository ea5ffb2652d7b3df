"""What ended at one backend has ended at every other, within a second."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from backend.auth import known, watching
from backend.auth.tables import Session, User
from tests.support.app import App, started_app
from tests.support.backends import backends, serving
from tests.support.holds import tokens
from tests.support.latching import until
from tests.support.people import ADMIN, OFFICER, OPERATOR
from tests.support.sessions import code_of, ends, sessions_of
from tests.support.sse import open_stream


@pytest.fixture
async def app(database_url: str, directory: Path) -> AsyncIterator[App]:
    async with started_app(database_url) as running:
        yield running


def test_nobody_is_believed_for_longer_than_a_second() -> None:
    """What waits between two looks leaves half a second for the look itself."""
    assert watching.LOOK_EVERY_S <= 0.5
    assert known.ENDED_EVERY_S <= 0.5


async def test_a_session_that_another_backend_ended_is_known_to_have_ended(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the small look alone: the large one does not come any more."""
    monkeypatch.setattr(known, "LOOK_EVERY_S", 3_600.0)
    await app.as_(OFFICER)
    callers = app.runtime.callers
    await until(lambda: not callers.stale.is_set() and OFFICER.name in callers.known.people, "a look")
    async with app.runtime.database.transaction() as session:  # as another process does it
        ident = await session.scalar(update(Session).values(ended_at=app.runtime.clock.now()).returning(Session.id))
    await until(lambda: str(ident) in callers.known.ended, "the end")


async def test_what_is_open_is_cut_when_the_account_loses_its_authenticator(app: App) -> None:
    """Whoever signs in with a recovery code may freeze only until a new one is enrolled, in older sessions too."""
    operator = await app.as_(OPERATOR)
    token = operator.headers["authorization"].removeprefix("Bearer ")
    async with serving(app.app) as url, open_stream(url, token) as stream:
        assert (await stream.next(beats=True)).topic == "beat"
        async with app.runtime.database.transaction() as session:
            await session.execute(update(User).values(must_enrol=True))
        async with asyncio.timeout(30):
            await ends(stream)


async def test_a_revoked_session_is_cut_on_every_backend(database_url: str, tmp_path: Path) -> None:
    """Two processes: what is ended at one is refused by the other, and cut where it is open."""
    made = await asyncio.to_thread(tokens, database_url, ADMIN, OFFICER)
    of_admin, of_officer = (f"Bearer {token}" for token in made)
    with backends(database_url, tmp_path, 2) as (first, second):
        async with (
            httpx.AsyncClient(base_url=first.url, headers={"authorization": of_officer}) as officer,
            httpx.AsyncClient(base_url=second.url, headers={"authorization": of_admin}) as admin,
            open_stream(second.url, of_admin.removeprefix("Bearer ")) as stream,
        ):
            assert await code_of(admin, "/v1/alerts") == "ok"
            assert (await stream.next(beats=True)).topic == "beat"
            (found,) = await sessions_of(officer, f"/v1/access/sessions?account={ADMIN.name}")
            assert await code_of(officer, f"/v1/access/sessions/{found['id']}", "DELETE") == "ok"
            assert await code_of(admin, "/v1/alerts") == "not_authenticated", "the next request, already"
            await ends(stream)
