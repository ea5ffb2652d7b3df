"""Shortcuts for tests of incidents: declaring, writing and reading them through the routes, and the scribe's ticks."""

from typing import Any

import httpx

from backend.incidents import scribe
from contract.base import Page
from contract.incidents import Incident, TimelineEntry
from tests.support.app import App


async def declared(client: httpx.AsyncClient, **body: Any) -> Incident:
    """A new incident."""
    answer = await client.post("/v1/incidents", json={"title": "Orders time out", "severity": "high"} | body)
    assert answer.status_code == 201, answer.text
    return Incident.model_validate(answer.json())


async def act(client: httpx.AsyncClient, ident: str, what: str, **body: Any) -> Incident:
    """An act on an incident that is let through."""
    answer = await client.post(f"/v1/incidents/{ident}/{what}", json=body)
    assert answer.status_code == 200, answer.text
    return Incident.model_validate(answer.json())


async def noted(client: httpx.AsyncClient, ident: str, text: str, **more: Any) -> TimelineEntry:
    """A line that somebody wrote."""
    answer = await client.post(f"/v1/incidents/{ident}/timeline", json={"text": text} | more)
    assert answer.status_code == 201, answer.text
    return TimelineEntry.model_validate(answer.json())


async def shown(client: httpx.AsyncClient, ident: str) -> Incident:
    """An incident as it stands."""
    answer = await client.get(f"/v1/incidents/{ident}")
    assert answer.status_code == 200, answer.text
    return Incident.model_validate(answer.json())


async def timeline(client: httpx.AsyncClient, ident: str, order: str = "asc", limit: int = 500) -> list[TimelineEntry]:
    """All lines, page by page."""
    found: list[TimelineEntry] = []
    cursor: str | None = None
    while True:
        query: dict[str, str | int | None] = {"order": order, "limit": limit, "cursor": cursor}
        answer = await client.get(
            f"/v1/incidents/{ident}/timeline",
            params={name: value for name, value in query.items() if value is not None},
        )
        assert answer.status_code == 200, answer.text
        page = Page[TimelineEntry].model_validate(answer.json())
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def scribble(app: App) -> float | None:
    """One tick of the scribe."""
    async with app.runtime.database.transaction() as session:
        return await scribe.tick(session, app.runtime)
