"""Drafts: kept as they are typed, seen by nobody else, bounded, and gone after thirty days."""

import httpx
import pytest

from backend.drafts import service
from backend.drafts.tables import DraftRow
from contract.base import Page
from contract.postmortem import Draft
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.people import AUDITOR, OFFICER, OPERATOR

KEY = "postmortem:INC-2026-001:root_cause"


async def kept(client: httpx.AsyncClient, key: str, text: str, base: int = 0) -> Draft:
    answer = await client.put(f"/v1/drafts/{key}", json={"text": text, "base_version": base})
    assert answer.status_code == 200, answer.text
    return Draft.model_validate(answer.json())


async def all_of(client: httpx.AsyncClient) -> list[Draft]:
    answer = await client.get("/v1/drafts")
    assert answer.status_code == 200, answer.text
    return Page[Draft].model_validate(answer.json()).items


async def test_a_draft_is_the_last_that_was_typed_until_it_is_dropped(app: App) -> None:
    client = await app.as_(OPERATOR)
    assert (await client.get(f"/v1/drafts/{KEY}")).status_code == 404
    await kept(client, KEY, "The rel")
    made = await kept(client, KEY, "The relay \x1b[2J ref", 3)
    answer = await client.get(f"/v1/drafts/{KEY}")
    assert Draft.model_validate(answer.json()) == made
    assert (made.text, made.base_version) == ("The relay \x1b[2J ref", 3)
    assert await all_of(client) == [made]
    for _ in range(2):
        assert (await client.delete(f"/v1/drafts/{KEY}")).status_code == 204
    assert await all_of(client) == []


async def test_nobody_else_sees_it(app: App) -> None:
    await kept(await app.as_(OPERATOR), KEY, "a half-formed thought")
    other = await app.as_(OFFICER)
    assert (await other.get(f"/v1/drafts/{KEY}")).status_code == 404
    assert await all_of(other) == []
    assert (await other.delete(f"/v1/drafts/{KEY}")).status_code == 204
    await kept(other, KEY, "mine")
    assert [one.text for one in await all_of(await app.as_(OPERATOR))] == ["a half-formed thought"]
    assert (await (await app.as_(AUDITOR)).get("/v1/drafts")).status_code == 403


async def test_one_too_many_is_refused_and_those_there_can_still_be_changed(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MAX_DRAFTS", 3)
    client = await app.as_(OPERATOR)
    for number in range(3):
        await kept(client, f"note:INC-2026-00{number}", "x")
    refused = await client.put("/v1/drafts/note:INC-2026-009", json={"text": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    await kept(client, "note:INC-2026-001", "y")
    await client.delete("/v1/drafts/note:INC-2026-000")
    await kept(client, "note:INC-2026-009", "x")


async def test_what_is_left_alone_for_thirty_days_goes(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await kept(await app.as_(OPERATOR), KEY, "x")
        time.pass_(days=31)
        client = await app.as_(OPERATOR)
        assert (await client.get(f"/v1/drafts/{KEY}")).status_code == 404
        assert await all_of(client) == []
        await kept(await app.as_(OFFICER), KEY, "y")
        async with app.runtime.database.transaction() as session:
            assert await session.get(DraftRow, (OPERATOR.name, KEY)) is None


async def test_keys_have_one_form(app: App) -> None:
    client = await app.as_(OPERATOR)
    for key in ("Note", "note:", "a:b:c:d:e:f", "note:%00", "note:é", "note:" + "x" * 81):
        assert (await client.put(f"/v1/drafts/{key}", json={"text": "x"})).status_code == 422


async def test_a_version_that_no_section_ever_has_is_refused(app: App) -> None:
    client = await app.as_(OPERATOR)
    for base, status in ((-1, 422), (2**31, 422), (2**31 - 1, 200)):
        answer = await client.put(f"/v1/drafts/{KEY}", json={"text": "x", "base_version": base})
        assert answer.status_code == status, answer.text


async def test_an_erased_person_s_drafts_go(app: App) -> None:
    client = await app.as_(OPERATOR)
    await kept(client, KEY, "x")
    async with app.runtime.database.transaction() as session:
        await service.forget_person(session, OPERATOR.name)
    assert await all_of(client) == []
