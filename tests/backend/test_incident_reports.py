"""Reports written elsewhere, taken in through the routes: all 83 real ones, as they are, and found by their words."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from contract.base import Page
from contract.postmortem import ImportedReport, ReportText
from tests.support.app import App
from tests.support.people import AUDITOR, OFFICER, OPERATOR
from tests.support.reports import REPORTS, real_reports


async def taken(client: httpx.AsyncClient, name: str, content: str, **more: Any) -> ImportedReport:
    answer = await client.post("/v1/incidents/reports", json={"name": name, "text": content} | more)
    assert answer.status_code == 201, answer.text
    return ImportedReport.model_validate(answer.json())


async def page(client: httpx.AsyncClient, **params: str | int) -> Page[ImportedReport]:
    answer = await client.get("/v1/incidents/reports", params=params)
    assert answer.status_code == 200, answer.text
    return Page[ImportedReport].model_validate(answer.json())


async def whole(client: httpx.AsyncClient, ident: str) -> ReportText:
    answer = await client.get(f"/v1/incidents/reports/{ident}")
    assert answer.status_code == 200, answer.text
    return ReportText.model_validate(answer.json())


async def test_every_real_report_is_kept_to_the_byte_and_found_by_its_words(app: App) -> None:
    client = await app.as_(OFFICER)
    kept = {name: await taken(client, name, content, collection="real") for name, content in real_reports().items()}
    assert len(kept) == REPORTS
    assert all(one.title and one.date for one in kept.values())
    for name, content in real_reports().items():
        assert (await whole(client, kept[name].id)).text == content
    found = await page(client, q="feature flags retry amplification", limit=10)
    assert "posthog/2025-09-29-flags-is-down.md" in {one.name for one in found.items}
    assert {one.name for one in (await page(client, q='"Malformed IngressRoute"')).items} == {
        "dfds/PM2021-009 - All services returning 404 in Kubernetes.md"
    }
    assert not (await page(client, q="zebra -kubernetes")).items
    listed: list[ImportedReport] = []
    cursor: str | None = None
    while True:
        got = await page(client, limit=20, **({"cursor": cursor} if cursor else {}))
        listed += got.items
        cursor = got.next_cursor
        if cursor is None:
            break
    assert [one.id for one in listed] == [one.id for one in reversed(kept.values())]


async def test_the_same_again_changes_nothing_and_another_text_is_another_report(app: App) -> None:
    client = await app.as_(OFFICER)
    twice = await asyncio.gather(*(taken(client, "a/2026-01-02-x.md", "# Late\n\n## Cause\nclock") for _ in range(5)))
    assert len({one.id for one in twice}) == 1
    assert sorted(one.unchanged for one in twice) == [False, True, True, True, True]
    assert (twice[0].title, twice[0].date, twice[0].sections) == ("Late", "2026-01-02", ["Late", "Cause"])
    other = await taken(client, "a/2026-01-02-x.md", "# Late\n\n## Cause\nclock skew")
    assert (other.id != twice[0].id, other.unchanged) == (True, False)
    assert (await taken(client, "a/2026-01-02-x.md", "# Late\n\n## Cause\nclock", collection="b")).id != twice[0].id
    assert len((await page(client, collection="b")).items) == 1


async def test_any_search_is_answered(app: App) -> None:
    client = await app.as_(OPERATOR)
    for q in ("'", "\\", "a & | !", "((", '"', "%", "<->", "x" * 200, "or", "-", ":*"):
        assert (await page(client, q=q)).items == []


async def test_texts_at_their_longest_are_taken(app: App) -> None:
    client = await app.as_(OFFICER)
    many = " ".join(f"{number:x}" for number in range(160_000))[:900_000]
    kept = await taken(client, "long.md", f"# Long\n{many}")
    assert kept.chars == len(f"# Long\n{many}")
    assert (await page(client, q="1f3a")).items[0].id == kept.id
    wide = "".join(chr(0x20000 + number % 40_000) + " " * (number % 3 == 2) for number in range(100_000))
    assert (await taken(client, "wide.md", wide)).title == "wide"


async def test_who_may_take_them_in_and_read_them(app: App) -> None:
    body = {"name": "x.md", "text": "# X"}
    reader, auditor = await app.as_(OPERATOR), await app.as_(AUDITOR)
    assert (await reader.post("/v1/incidents/reports", json=body)).status_code == 403
    assert (await auditor.post("/v1/incidents/reports", json=body)).status_code == 403
    kept = await taken(await app.as_(OFFICER), "x.md", "# X")
    assert kept.id == "IMP-0001"
    assert (await whole(reader, "imp-1")).report == kept
    for ident in ("IMP-9", "x", "IMP-0", "9" * 30):
        assert (await reader.get(f"/v1/incidents/reports/{ident}")).status_code == 404


async def test_a_report_never_changes(app: App) -> None:
    await taken(await app.as_(OFFICER), "x.md", "# X")
    for statement in ("UPDATE imported_reports SET text = 'y'", "DELETE FROM imported_reports"):
        with pytest.raises(DBAPIError, match="refused"):
            await _run(app, statement)


async def _run(app: App, statement: str) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(text(statement))
