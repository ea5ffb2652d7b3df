"""Searching the audit log: filters, words, pages, time, and that every search leaves its own trace."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend.audit import partitions, search
from backend.audit.events import AuditEvent
from backend.audit.heads_tables import SignedHead
from backend.audit.identity import ledger_of, origin_of
from backend.audit.query import AuditQuery
from backend.audit.service import AuditDraft, record
from backend.clock import Clock
from backend.context import Caller
from backend.main import create_app
from backend.settings import Settings
from contract.audit import AuditEntry, AuditPage, AuditResult
from contract.base import Page
from tests.support.app import App
from tests.support.ledger import settled
from tests.support.people import AUDITOR, EXECUTOR, OFFICER

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _caller(name: str, ip: str = "192.0.2.7") -> Caller:
    return Caller(name, "user", "mev_operator", frozenset(), "request", ip=ip, user_agent="test")


ENTRIES: list[tuple[Caller, AuditDraft]] = [
    (_caller("olga"), AuditDraft(AuditEvent.LOGIN_SUCCEEDED, "log in", "session", "s1")),
    (_caller("mallory", "198.51.100.9"), AuditDraft(AuditEvent.LOGIN_FAILED, "log in", result=AuditResult.FAILURE)),
    (
        _caller("oscar"),
        AuditDraft(
            AuditEvent.FREEZE_CREATED,
            "freeze",
            "freeze",
            "f1",
            new_value={"scope": "strategy:arbitrage", "reason": "gas spike on arbitrum"},
        ),
    ),
    (_caller("oscar"), AuditDraft(AuditEvent.THAW_REQUESTED, "request thaw", "freeze", "f1")),
    (
        _caller("oscar"),
        AuditDraft(
            AuditEvent.THAW_APPROVED,
            "approve thaw",
            "freeze",
            "f1",
            result=AuditResult.DENIED,
            error_message="the same person asked",
        ),
    ),
    (_caller("ophelia"), AuditDraft(AuditEvent.THAW_APPROVED, "approve thaw", "freeze", "f1")),
    (_caller("olga"), AuditDraft(AuditEvent.LOGOUT_DONE, "log out", "session", "s1")),
]


@pytest.fixture
async def auditor(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """An auditor of a log with the entries above, one a minute."""
    for minute, (caller, draft) in enumerate(ENTRIES):
        at = START + timedelta(minutes=minute)
        runtime = replace(app.runtime, clock=Clock(now=lambda at=at: at))  # type: ignore[misc]
        async with app.runtime.database.transaction() as session:
            await record(session, runtime, caller, draft)
    await settled(app)  # a search waits a quarter of a second at most, and the first entries of a log make its tables
    async with await app.as_(AUDITOR) as client:
        yield client


async def _search(client: httpx.AsyncClient, **params: Any) -> Page[AuditEntry]:
    window = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}
    answer = await client.get("/v1/audit", params=window | params)
    assert answer.status_code == 200, answer.text
    return Page[AuditEntry].model_validate(answer.json())


@pytest.mark.parametrize(
    ("filters", "minutes"),
    [
        ({}, [6, 5, 4, 3, 2, 1, 0]),
        ({"user": "oscar"}, [4, 3, 2]),
        ({"event_type": "freeze.thaw.approved"}, [5, 4]),
        ({"event_type": "freeze.*"}, [5, 4, 3, 2]),
        ({"event_type": "freeze.thaw.*"}, [5, 4, 3]),
        ({"event_type": "auth.*", "user": "olga"}, [6, 0]),
        ({"event_type": "nothing.known.*"}, []),
        ({"category": "authentication"}, [6, 1, 0]),
        ({"resource_type": "session"}, [6, 0]),
        ({"resource_type": "freeze", "resource_id": "f1"}, [5, 4, 3, 2]),
        ({"result": "denied"}, [4]),
        ({"q": "arbitrum"}, [2]),
        ({"q": '"gas spike"'}, [2]),
        ({"q": '"spike gas"'}, []),
        ({"q": "oscar -denied"}, [3, 2]),
        ({"q": "mallory or ophelia"}, [5, 1]),
        ({"q": "strategy:arbitrage"}, [2]),
        ({"q": "!&|:*()'\\"}, []),
        ({"from": "2026-03-01T12:02:00Z", "to": "2026-03-01T12:04:00Z"}, [3, 2]),
        ({"from": "2026-03-01T13:02:00+01:00", "to": "2026-03-01t12:04:00.000001z"}, [4, 3, 2]),
    ],
)
async def test_filters(auditor: httpx.AsyncClient, filters: dict[str, str], minutes: list[int]) -> None:
    page = await _search(auditor, **filters)
    assert [(entry.timestamp - START) // timedelta(minutes=1) for entry in page.items] == minutes
    assert page.next_cursor is None


async def test_a_pasted_id_finds_its_entry_and_a_pasted_request_all_of_its_entries(app: App) -> None:
    request = UUID("0f3c9a52-7a6b-4a53-9a55-1de2f3a4b5c6")
    caller = replace(_caller("olga"), request_id=request.hex)
    runtime = replace(app.runtime, clock=Clock(now=lambda: START))
    async with app.runtime.database.transaction() as session:
        await record(session, runtime, caller, AuditDraft(AuditEvent.LOGIN_SUCCEEDED, "log in"))
        await record(session, runtime, caller, AuditDraft(AuditEvent.LOGOUT_DONE, "log out"))
    await settled(app)
    async with await app.as_(AUDITOR) as client:
        both = (await _search(client, q=str(request))).items
        assert [entry.action for entry in both] == ["log out", "log in"]
        assert (await _search(client, q=request.hex)).items == both
        for entry in both:
            assert (await _search(client, q=str(entry.id))).items == [entry]
        assert not (await _search(client, q=str(UUID(int=7)))).items


@pytest.mark.parametrize("address", ["198.51.100.9", "::ffff:198.51.100.9"])
async def test_only_who_may_reveal_an_address_searches_by_one(
    auditor: httpx.AsyncClient, app: App, address: str
) -> None:
    assert (await auditor.get("/v1/audit", params={"ip": address})).status_code == 403
    async with await app.as_(OFFICER) as officer:
        page = await _search(officer, ip=address)
    assert [(entry.timestamp - START) // timedelta(minutes=1) for entry in page.items] == [1]


async def test_pages_follow_one_another_without_gap_or_double(auditor: httpx.AsyncClient) -> None:
    everything = [entry.id for entry in (await _search(auditor)).items]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await _search(auditor, limit=3, **({"cursor": cursor} if cursor else {}))
        assert len(page.items) <= 3
        found += [entry.id for entry in page.items]
        cursor = page.next_cursor
    assert found == everything


async def test_counting_is_asked_for(auditor: httpx.AsyncClient) -> None:
    assert (await _search(auditor, limit=2)).total is None
    assert (await _search(auditor, limit=2, count="true", user="oscar")).total == 3


async def test_every_search_leaves_an_entry_with_its_filters(auditor: httpx.AsyncClient, app: App) -> None:
    await _search(auditor, user="oscar", q="thaw", limit=2)
    async with app.runtime.database.read() as session:
        rows = (
            await session.execute(
                text("SELECT user_id, new_value, category FROM audit_logs WHERE event_type = 'audit.search.run'")
            )
        ).all()
    assert [(user, category) for user, _, category in rows] == [(AUDITOR.name, "access_control")]
    assert rows[0][1] == {
        "filters": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "user": "oscar", "q": "thaw"},
        "further_page": False,
        "entries": 2,
    }


async def test_one_entry_and_that_it_was_read(auditor: httpx.AsyncClient, app: App) -> None:
    entry = (await _search(auditor, event_type="freeze.hold.created")).items[0]
    answer = await auditor.get(f"/v1/audit/{entry.id}")
    assert AuditEntry.model_validate(answer.json()) == entry
    assert entry.new_value == {"scope": "strategy:arbitrage", "reason": "gas spike on arbitrum"}
    async with app.runtime.database.read() as session:
        read = await session.scalar(text("SELECT resource_id FROM audit_logs WHERE event_type = 'audit.entry.read'"))
    assert read == entry.id


async def test_an_entry_that_does_not_exist(auditor: httpx.AsyncClient) -> None:
    assert (await auditor.get("/v1/audit/00000000-0000-7000-8000-000000000000")).status_code == 404
    unheard_of = await auditor.get("/v1/audit/not-an-id")
    assert (unheard_of.status_code, unheard_of.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "params",
    [
        {"from": "2026-03-01T00:00:00"},
        {"from": "2026-03-01"},
        {"from": "1772323200"},
        {"from": "2026-13-01T00:00:00Z"},
        {"from": "0001-01-01T00:00:00+12:00"},
        {"to": "9999-12-31T23:59:59-12:00"},
        {"to": "yesterday"},
        {"from": "2026-03-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
        {"from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "many"},
        {"cursor": "made-up"},
        {"event_type": "free*"},
        {"event_type": "*"},
        {"event_type": "a.b.%"},
        {"result": "maybe"},
        {"ip": "localhost"},
        {"q": ""},
        {"q": "x" * 301},
        {"usr": "typing mistake"},
    ],
)
async def test_what_cannot_be_meant_is_refused(auditor: httpx.AsyncClient, params: dict[str, str]) -> None:
    answer = await auditor.get("/v1/audit", params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_only_those_who_may_see_the_log_search_it(app: App, auditor: httpx.AsyncClient) -> None:
    async with await app.as_(EXECUTOR) as machine:
        for path in ("/v1/audit", "/v1/audit/00000000-0000-7000-8000-000000000000"):
            assert (await machine.get(path)).status_code == 403


async def test_a_search_that_takes_too_long_says_so(database_url: str) -> None:
    hasty = create_app(Settings(database_url=database_url, statement_timeout_ms=300), monitors=False)
    async with hasty.router.lifespan_context(hasty), await App(hasty, httpx.AsyncClient()).as_(AUDITOR) as client:
        with psycopg.connect(database_url) as other:
            other.execute("LOCK TABLE audit_logs IN ACCESS EXCLUSIVE MODE")
            answer = await client.get("/v1/audit")
    assert (answer.status_code, answer.json()["code"]) == (400, "query_too_slow")


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)), st.integers(-1439, 1439))  # noqa: DTZ001  given a zone below
def test_any_instant_written_with_its_zone_is_understood(local: datetime, offset_minutes: int) -> None:
    at = local.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert AuditQuery.model_validate({"from": at.isoformat()}).since == at


@given(st.text())
def test_any_other_text_is_no_time(written: str) -> None:
    with pytest.raises(ValidationError):
        AuditQuery.model_validate({"from": written})


async def _record(app: App, minutes: float, event: AuditEvent = AuditEvent.FREEZE_CREATED, **told: Any) -> None:
    at = START + timedelta(minutes=minutes)
    runtime = replace(app.runtime, clock=Clock(now=lambda: at))
    async with app.runtime.database.transaction() as session:
        await record(session, runtime, _caller("late"), AuditDraft(event, "act", **told))
    await settled(app)


async def test_pages_stay_as_they_are_while_entries_arrive(auditor: httpx.AsyncClient, app: App) -> None:
    """An entry that arrives between two pages is on none of them, also when its time is older than the first page."""
    before = [entry.id for entry in (await _search(auditor)).items]
    first = await _search(auditor, limit=3)
    await _record(app, 2.5)
    await _record(app, 99)
    found = [entry.id for entry in first.items]
    cursor = first.next_cursor
    while cursor is not None:
        page = await _search(auditor, limit=2, cursor=cursor)
        found += [entry.id for entry in page.items]
        cursor = page.next_cursor
    assert found == before
    assert len((await _search(auditor)).items) == len(before) + 2


async def test_entries_of_one_instant_in_several_logs_are_each_on_one_page(
    auditor: httpx.AsyncClient, app: App
) -> None:
    for event in (AuditEvent.FREEZE_CREATED, AuditEvent.ALERT_RAISED, AuditEvent.EXECUTOR_MOVED) * 3:
        await _record(app, 50, event)
    found, cursor = [], ""
    while True:
        page = await _search(auditor, limit=2, user="late", **({"cursor": cursor} if cursor else {}))
        found += [(entry.log, entry.seq) for entry in page.items]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert len(found) == len(set(found)) == 9
    assert len({log for log, _ in found}) == 3
    assert found == sorted(found, key=lambda one: (one[0], -(one[1] or 0)))


async def test_a_page_says_how_large_the_logs_were(auditor: httpx.AsyncClient) -> None:
    answer = await auditor.get("/v1/audit", params={"to": "2026-03-02T00:00:00Z"})
    page = AuditPage.model_validate(answer.json())
    assert all(entry.seq is not None and entry.seq < page.sizes[entry.log] for entry in page.items)
    assert not page.unfinished
    assert page.checkpoints == {}


async def test_a_page_carries_the_newest_signed_head_of_its_logs(auditor: httpx.AsyncClient, app: App) -> None:
    async with app.runtime.database.transaction() as session:
        origin = origin_of(await ledger_of(session, app.runtime), "7y")
        for size in (3, 5, 4):
            head = {"origin": origin, "size": size, "log": "7y", "root": b"", "epoch": 1, "signed_at": START}
            session.add(SignedHead(**head, note=f"head {size}".encode()))
    answer = await auditor.get("/v1/audit", params={"to": "2026-03-02T00:00:00Z"})
    assert AuditPage.model_validate(answer.json()).checkpoints == {"7y": "head 5"}


async def test_a_search_whose_time_is_up_says_so_and_goes_on(
    auditor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [entry.id for entry in (await _search(auditor)).items]
    monkeypatch.setattr(search, "FIRST_BUDGET_S", 0.0)
    window = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}
    answer = await auditor.get("/v1/audit", params=window)
    page = AuditPage.model_validate(answer.json())
    assert (page.items, page.unfinished) == ([], True)
    assert page.searched_back_to is not None
    rest = await auditor.get("/v1/audit", params={**window, "cursor": page.next_cursor or ""})
    assert [entry.id for entry in AuditPage.model_validate(rest.json()).items] == everything
    monkeypatch.setattr(search, "FURTHER_BUDGET_S", 0.0)
    slow = await auditor.get("/v1/audit", params={**window, "cursor": page.next_cursor or ""})
    assert (slow.status_code, slow.json()["code"]) == (400, "query_too_slow")


async def test_going_on_after_the_time_was_up_repeats_no_entry(
    auditor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the time was up before anything was found behind the entry that the page before ended with."""
    everything = [entry.id for entry in (await _search(auditor)).items]
    first = await _search(auditor, limit=3)
    monkeypatch.setattr(search, "FIRST_BUDGET_S", 0.0)
    nothing = await _search(auditor, limit=3, cursor=first.next_cursor)
    assert (nothing.items, nothing.next_cursor is None) == ([], False)
    rest = await _search(auditor, limit=100, cursor=nothing.next_cursor)
    assert [entry.id for entry in (*first.items, *rest.items)] == everything


async def test_what_shares_something_with_an_entry_is_followed(auditor: httpx.AsyncClient) -> None:
    (entry,) = (await _search(auditor, event_type="freeze.hold.created")).items
    minutes = {"actor": [4, 3, 2], "resource": [5, 4, 3, 2], "request": [6, 5, 4, 3, 2, 1, 0]}
    for by, wanted in minutes.items():
        answer = await auditor.get(f"/v1/audit/{entry.id}/related", params={"by": by})
        found = [one.timestamp for one in AuditPage.model_validate(answer.json()).items]
        assert [(at - START) // timedelta(minutes=1) for at in found if at < START + timedelta(hours=1)] == wanted
    none = await auditor.get(f"/v1/audit/{entry.id}/related", params={"by": "incident"})
    assert (none.status_code, none.json()["code"]) == (422, "invalid_request")
    assert (await auditor.get(f"/v1/audit/{entry.id}/related")).status_code == 422


@pytest.mark.parametrize(
    ("filters", "minutes"),
    [
        ({"q": "arbi*"}, [2]),
        ({"q": "gas sp*"}, [2]),
        ({"q": "OSCAR thaw"}, [4, 3]),
        ({"q": "-oscar thaw"}, [5]),
        ({"action": "log in"}, [1, 0]),
        ({"action": "log"}, []),
        ({"log": "7y"}, [6, 5, 4, 3, 2, 1, 0]),
        ({"log": "90d"}, []),
        ({"request_id": "request", "user": "oscar"}, [4, 3, 2]),
        ({"incident": "INC-1"}, []),
        ({"q": "thaw", "result": "denied"}, [4]),
    ],
)
async def test_more_filters(auditor: httpx.AsyncClient, filters: dict[str, str], minutes: list[int]) -> None:
    page = await _search(auditor, **filters)
    assert [(entry.timestamp - START) // timedelta(minutes=1) for entry in page.items] == minutes


async def test_a_transaction_outlives_any_number_of_searches_whose_time_was_up(app: App) -> None:
    """Going back to where a search began is under its limit too."""
    async with app.runtime.database.read() as session:
        for _ in range(300):
            with pytest.raises(DBAPIError):
                async with partitions._hurried(session, 0.0):
                    await session.execute(text("SELECT pg_sleep(1)"))
            assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
