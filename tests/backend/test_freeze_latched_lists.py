"""A freeze that the database has not taken is shown by every list, also while the database cannot be read at all."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.freeze.draining import Keeper
from contract.freeze import FreezeList, FreezeStatus
from contract.overview import Overview, Status
from tests.support.app import App, started_app
from tests.support.backends import eventually, serving
from tests.support.freeze_outage import PATIENCE_S, Ground, ground, is_one_hold, post_freeze
from tests.support.holds import stored
from tests.support.latching import latched, lock_held, post, signed_in, until
from tests.support.outage import outage
from tests.support.people import AUDITOR, EXECUTOR, OFFICER
from tests.support.sse import open_stream

pytestmark = pytest.mark.usefixtures("directory")


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    async with started_app(database_url) as running:
        yield running


async def listed(client: httpx.AsyncClient, **query: Any) -> FreezeList:
    answer = await client.get("/v1/freezes", params=query)
    assert answer.status_code == 200, answer.text
    return FreezeList.model_validate_json(answer.content)


async def test_while_others_keep_the_database_busy_it_stands_first_everywhere(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    assert (await post(officer, "chain:base")).status_code == 201
    with lock_held(database_url):
        made = await latched(officer)
        page = await listed(officer)
        assert [(one.ref, one.status.value) for one in page.items] == [("LATCHED", "latched"), ("FRZ-0001", "active")]
        assert (page.partial, page.journals_elsewhere) == (None, 0)
        assert made.id in {one.id for one in (await listed(officer, status="all", limit=1)).items}
        shown = Overview.model_validate_json((await officer.get("/v1/overview")).content)
        assert [one.status for one in shown.freezes] == [FreezeStatus.LATCHED, FreezeStatus.ACTIVE]
        status = Status.model_validate_json((await officer.get("/v1/status")).content)
        assert (status.freezes, status.latched) == (2, 1)
    await stored(officer, made)
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    assert [one.ref for one in (await listed(officer)).items] == ["FRZ-0002", "FRZ-0001"]


async def test_later_pages_do_not_begin_with_it_again(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    for chain in ("base", "ethereum"):
        assert (await post(officer, f"chain:{chain}")).status_code == 201
    with lock_held(database_url):
        await latched(officer)
        first = await listed(officer, limit=1)
        second = await listed(officer, limit=1, cursor=first.next_cursor)
    assert [[one.ref for one in page.items] for page in (first, second)] == [["LATCHED", "FRZ-0002"], ["FRZ-0001"]]


async def test_without_a_database_what_is_latched_is_listed_and_the_list_says_that_it_is_partial(
    app: App, database_url: str
) -> None:
    officer, auditor = await signed_in(app, OFFICER, AUDITOR)
    with outage(database_url):
        away = await officer.get("/v1/freezes")
        assert (away.status_code, away.json()["hint"]) == (503, "Try again in a moment."), "there is nothing to tell"
        made = await latched(officer)
        page = await listed(auditor)
        assert [one.id for one in page.items] == [made.id]
        assert "cannot be read" in (page.partial or "")
        assert (await officer.get(f"/v1/freezes/{made.id}")).json()["status"] == "latched"
        other = await officer.get("/v1/freezes/FRZ-0001")
        assert (other.status_code, "has not latched" in other.json()["message"]) == (503, True)
        hint = (await officer.get("/v1/overview")).json()["hint"]
        assert hint == "1 latched freeze waits for the database; no permit is given meanwhile."
    assert (await stored(officer, made)).ref == "FRZ-0001"
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    assert (await listed(officer)).partial is None


async def test_who_may_not_see_freezes_sees_no_latched_one(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    machine = await app.as_(EXECUTOR)
    with outage(database_url):
        made = await latched(officer)
        for client in (machine, app.with_token("wfs_nobody"), app.http):
            for path in ("/v1/freezes", f"/v1/freezes/{made.id}"):
                refused = await client.get(path)
                assert refused.status_code == 503
                assert "arbitrum" not in refused.text
    await stored(officer, made)
    assert (await machine.get("/v1/freezes")).status_code == 403
    assert (await app.http.get("/v1/freezes")).status_code == 401


async def test_readers_leave_a_reserved_connection_to_who_freezes(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    keeper: Keeper = app.app.state.latch
    with outage(database_url):
        made = await latched(officer)
        async with keeper.one_reader:  # somebody reads, and never gets an answer
            assert (await listed(officer)).partial
    await stored(officer, made)


async def test_journals_of_others_in_the_directory_are_counted_where_somebody_looks(
    app: App, directory: Path, database_url: str
) -> None:
    (officer,) = await signed_in(app, OFFICER)
    keeper: Keeper = app.app.state.latch
    own = keeper._own.journal.path
    elsewhere = own.parent.with_name("another-database")
    elsewhere.mkdir()
    (elsewhere / "b.journal").write_bytes(b"something\n")
    (elsewhere / "empty.journal").touch()
    async with started_app(database_url) as beside:
        (there,) = await signed_in(beside, OFFICER)
        with lock_held(database_url):
            made = await latched(there)
            await until(lambda: app.runtime.latched.journals_elsewhere == 2, "both journals seen")
            assert (await app.http.get("/readyz")).json()["freezes"]["journals_elsewhere"] == 2
            assert (await officer.get("/v1/status")).json()["journals_elsewhere"] == 2
            assert (await officer.get("/v1/overview")).json()["journals_elsewhere"] == 2
            assert (await listed(officer)).journals_elsewhere == 2
        await stored(there, made)
    await until(lambda: app.runtime.latched.journals_elsewhere == 1, "the other backend's is in the database")


async def test_consoles_hear_of_it_within_a_beat_also_while_the_database_is_away(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    async with serving(app.app) as url:
        token = officer.headers["authorization"].partition(" ")[2]
        async with open_stream(url, token) as stream:
            with outage(database_url):
                made = await latched(officer)
                heard = await stream.next()
                assert (heard.topic, heard.id) == ("latched", None)
                assert [(one["id"], one["ref"]) for one in heard.data["items"]] == [(made.id, None)]
            while heard.topic != "latched" or heard.data["items"]:
                heard = await stream.next()
        await stored(officer, made)


def test_with_a_killed_server_it_is_listed_by_the_next_process_too() -> None:
    with ground() as made:
        with made.backend() as first:
            made.server.kill()
            _, frozen = post_freeze(made, first, "chain:arbitrum")
            assert [one.id for one in _over_http(made, first.url).items] == [frozen.id]
        with made.backend() as second:
            page = _over_http(made, second.url)
            assert [(one.id, one.status) for one in page.items] == [(frozen.id, FreezeStatus.LATCHED)]
            assert page.partial
            made.server.start()
            eventually(lambda: is_one_hold(made, frozen.id), PATIENCE_S, "the hold in the database and the ledger")
            page, _ = eventually(lambda: _whole(_over_http(made, second.url)), PATIENCE_S, "a list that is whole")
            assert [(one.id, one.ref, one.status.value) for one in page.items] == [(frozen.id, "FRZ-0001", "active")]


def _over_http(made: Ground, url: str) -> FreezeList:
    headers = {"authorization": f"Bearer {made.tokens[OFFICER.name]}"}
    answer = httpx.get(f"{url}/v1/freezes", headers=headers, timeout=30.0)
    assert answer.is_success, answer.text
    return FreezeList.model_validate(json.loads(answer.content))


def _whole(page: FreezeList) -> FreezeList | None:
    return page if page.partial is None and page.items else None
