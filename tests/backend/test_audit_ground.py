"""What a search waits for and what it does not: who acts and then searches finds the act, whatever else arrives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import psycopg
import pytest
from sqlalchemy import text

from backend.audit import ground, search
from backend.audit.events import AuditEvent
from backend.audit.ground import Asker
from backend.audit.heads_tables import SignedHead
from backend.audit.identity import ledger_of, origin_of
from backend.audit.service import AuditDraft, record, surrogate_of
from backend.context import Caller, Runtime
from backend.main import create_app
from backend.settings import Settings
from contract.audit import AuditPage
from tests.support.app import App
from tests.support.ledger import settled
from tests.support.people import AUDITOR, OFFICER

_PATIENCE_S = 60.0
_LONG_AGO = "UPDATE audit_outbox SET filed_at = filed_at - interval '1 hour'"


@asynccontextmanager
async def _without_sequencer(url: str) -> AsyncIterator[Runtime]:
    """A backend on whose ledger nothing is ever sequenced."""
    app = create_app(Settings(database_url=url), monitors=False)
    async with app.router.lifespan_context(app):
        yield app.state.runtime


async def _act(runtime: Runtime, name: str, event: AuditEvent = AuditEvent.FREEZE_CREATED) -> None:
    caller = Caller(name, "user", "mev_operator", frozenset(), "request")
    async with runtime.database.transaction() as session:
        await record(session, runtime, caller, AuditDraft(event, "act"))


async def _seen(runtime: Runtime, name: str, *, readings: bool = False) -> tuple[int, int]:
    """How many entries wait, and how many of them somebody's search would wait for."""
    async with runtime.database.transaction() as session:
        asker = Asker(await surrogate_of(session, runtime, name), datetime.now(UTC), readings)
        found = await ground.read(session, asker)
    return found.waiting, found.awaited


async def test_only_the_callers_own_acts_are_waited_for(database_url: str) -> None:
    async with _without_sequencer(database_url) as runtime:
        await _act(runtime, "olga")
        await _act(runtime, "oscar")
        waiting, own = await _seen(runtime, "olga")
        assert own == 2, "the act, and that the ledger learnt her name"
        assert waiting > own


async def test_who_searches_again_does_not_wait_for_the_search_before(database_url: str) -> None:
    async with _without_sequencer(database_url) as runtime:
        await _act(runtime, "olga", AuditEvent.SEARCH_RUN)
        await _act(runtime, "olga", AuditEvent.ROUTE_READ)
        assert (await _seen(runtime, "olga"))[1] == 1, "that the ledger learnt her name"
        assert (await _seen(runtime, "olga", readings=True))[1] == 3


async def test_what_waits_longer_than_usual_is_waited_for(database_url: str) -> None:
    async with _without_sequencer(database_url) as runtime:
        await _act(runtime, "oscar")
        assert (await _seen(runtime, "olga"))[1] == 0
        async with runtime.database.transaction() as session:
            await session.execute(text(_LONG_AGO))
        waiting, awaited = await _seen(runtime, "olga")
        assert awaited == waiting > 0


async def test_who_acts_and_then_searches_finds_the_act(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SETTLE_LIMIT_S", _PATIENCE_S)
    async with await app.as_(OFFICER) as officer:
        for number in range(1, 11):
            await _act(app.runtime, OFFICER.name)
            params = {"user": OFFICER.name, "event_type": AuditEvent.FREEZE_CREATED.value}
            page = AuditPage.model_validate((await officer.get("/v1/audit", params=params)).json())
            assert len(page.items) == number


async def test_a_page_tells_how_many_entries_had_no_place_yet(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SETTLE_LIMIT_S", 0.0)
    application = create_app(Settings(database_url=database_url), monitors=False)
    async with application.router.lifespan_context(application):
        app = App(application, httpx.AsyncClient())
        async with await app.as_(AUDITOR) as auditor:
            with psycopg.connect(database_url) as connection:
                ((there,),) = connection.execute("SELECT count(*) FROM audit_outbox").fetchall()
            first = AuditPage.model_validate((await auditor.get("/v1/audit")).json())
            second = AuditPage.model_validate((await auditor.get("/v1/audit")).json())
    assert first.waiting == there > 0
    assert second.waiting > first.waiting, "the search before is one more"


async def test_an_entry_on_its_way_is_read_once_it_is_there(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "SETTLE_LIMIT_S", _PATIENCE_S)
    async with await app.as_(OFFICER) as officer:
        for _ in range(5):
            caller = Caller("olga", "user", "mev_operator", frozenset(), "request")
            async with app.runtime.database.transaction() as session:
                ident = await record(session, app.runtime, caller, AuditDraft(AuditEvent.FREEZE_CREATED, "act"))
            assert (await officer.get(f"/v1/audit/{ident}")).status_code == 200


@pytest.mark.parametrize("generation", [1, 3])
async def test_heads_are_those_of_the_ledgers_generation(app: App, generation: int) -> None:
    await _act(app.runtime, "olga")
    await settled(app)
    async with app.runtime.database.transaction() as session:
        ledger = await ledger_of(session, app.runtime)
        ledger.generation = generation
        await session.flush()
        log = next(iter((await ground.read(session)).sizes))
        for of in (1, 2, 3):
            ledger.generation = of
            head = SignedHead(
                origin=origin_of(ledger, log), size=of, log=log, root=b"", epoch=1, note=b"of %d" % of,
                signed_at=datetime.now(UTC),
            )  # fmt: skip
            session.add(head)
        ledger.generation = generation
        await session.flush()
        found = await ground.read(session)
        assert (found.generation, found.notes) == (generation, {log: b"of %d" % generation})
        await session.rollback()


async def test_the_entry_of_a_search_does_not_hurry_the_sequencer(database_url: str) -> None:
    async with _without_sequencer(database_url) as runtime:
        await _act(runtime, "olga")
        assert runtime.outbox_filled.is_set()
        runtime.outbox_filled.clear()
        await _act(runtime, "olga", AuditEvent.SEARCH_RUN)
        assert not runtime.outbox_filled.is_set()
