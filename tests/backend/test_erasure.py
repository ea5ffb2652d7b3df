"""Erasing a person: two people, no legal hold, nothing left to read, no entry touched; older backups change nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text

from backend.audit.search_tables import SavedSearchRow
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import Plan, verify
from backend.audit.verification.verdicts import Outcome
from backend.auth import accounts
from backend.context import Caller
from backend.errors import WatchfloorError
from backend.privacy import replay
from backend.revocations import FILE_NAME, Step
from ledger.merkle import leaf_hash
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app
from tests.support.ledger import ledger_rows, sealed_values, settled
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OFFICER, OFFICER2, OPERATOR
from tests.support.verifying import keys_of

ADDRESS = "203.0.113.77"


@pytest.fixture(autouse=True)
def own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A list of erasures of the test's own, beside a master key of its own."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
async def running(own_data_directory: Path, database_url: str) -> AsyncIterator[App]:
    """A backend with its own data directory."""
    async with started_app(database_url) as app:
        yield app


def _as(name: str) -> Caller:
    return Caller(name, "user", "mev_operator", frozenset(), "request", ip=ADDRESS, user_agent="a browser")


async def _act(app: App, name: str = OPERATOR.name) -> UUID:
    draft = AuditDraft("alerts.alert.acknowledged", "acknowledge", "alert", "1", new_value={"comment": f"by {name}"})
    async with app.runtime.database.transaction() as session:
        return await record(session, app.runtime, _as(name), draft)


async def _asked(app: App, name: str = OPERATOR.name) -> str:
    for person in (OPERATOR, ADMIN):
        await (await app.as_(person)).aclose()
    async with await app.as_(OFFICER) as officer:
        answer = await officer.post("/v1/privacy/erasures", json={"subject": name, "reason": f"{name} asked"})
        assert answer.status_code == 201, answer.text
        ident: str = answer.json()["id"]
        return ident


async def _erase(app: App, name: str = OPERATOR.name) -> dict[str, Any]:
    ident = await _asked(app, name)
    async with await app.as_(ADMIN) as admin:
        answer = await admin.post(f"/v1/privacy/erasures/{ident}/approve")
        assert answer.status_code == 200, answer.text
        erased: dict[str, Any] = answer.json()
        return erased


async def _reveal(client: httpx.AsyncClient, ident: UUID) -> httpx.Response:
    return await client.post(f"/v1/audit/{ident}/reveal", json={"reason": "an incident"})


async def _everything_stored(database_url: str) -> str:
    """Every row of every table but the sessions' tokens, as text."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        tables = await connection.execute(
            "SELECT format('SELECT coalesce(string_agg(t::text, chr(10)), %L) FROM %I AS t', '', tablename)"
            " FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'stream_events'"
        )
        rows = [await (await connection.execute(sql)).fetchone() for (sql,) in await tables.fetchall()]
        return "\n".join(str(row) for row in rows)


async def test_an_erased_person_is_nowhere_to_be_read_and_no_entry_changed(running: App, database_url: str) -> None:
    ident = await _act(running)
    await _asked_and_frozen(running)
    before = {row.id: row.canon for row in await ledger_rows(running)}
    assert (await sealed_values(running, ident))["ip_address"] == ADDRESS
    erased = await _erase(running)
    assert erased["status"] == "erased"
    assert erased["values_erased"] >= 2
    assert erased["subject"] == erased["surrogate"], "no name is left to show"
    after = {row.id: row for row in await ledger_rows(running)}
    assert {one: after[one].canon for one in before} == before
    assert all(row.leaf == leaf_hash(row.canon) for row in after.values())
    assert await sealed_values(running, ident) == {"ip_address": None, "user_agent": None}
    stored = await _everything_stored(database_url)
    assert OPERATOR.name not in stored
    (told,) = [row for row in after.values() if row.event_type == "ledger.subject.erased"]
    assert (told.log, told.resource_id) == ("meta", erased["surrogate"])
    assert OPERATOR.name not in (Path(running.runtime.settings.data_dir) / FILE_NAME).read_text()


async def _asked_and_frozen(app: App) -> None:
    """The person has left their name in other areas too."""
    async with await app.as_(OPERATOR) as operator:
        await operator.get("/v1/overview")
    async with app.runtime.database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO imports (id, filename, sha256, started_by, started_at, imported, unchanged)"
                " VALUES (gen_random_uuid(), 'f', '', :name, now(), 0, 0)"
            ),
            {"name": OPERATOR.name},
        )
        session.add(
            SavedSearchRow(
                id=app.runtime.clock.new_id(),
                owner=OPERATOR.name,
                name="mine",
                filters={},
                saved_at=app.runtime.clock.now(),
            )
        )


async def test_two_people_neither_of_whom_it_is_about(running: App) -> None:
    ident = await _asked(running, ADMIN.name)
    for person in (ADMIN, ADMIN2, OFFICER, OFFICER2, AUDITOR):
        await (await running.as_(person)).aclose()
    async with await running.as_(OFFICER) as officer, await running.as_(ADMIN) as subject:
        assert (await officer.post(f"/v1/privacy/erasures/{ident}/approve")).json()["code"] == "second_person_required"
        assert (await subject.post(f"/v1/privacy/erasures/{ident}/approve")).json()["code"] == "second_person_required"
        own = await subject.post("/v1/privacy/erasures", json={"subject": ADMIN.name, "reason": "mine"})
        assert own.json()["code"] == "second_person_required"
        again = await officer.post("/v1/privacy/erasures", json={"subject": ADMIN.name, "reason": "twice"})
        assert again.json()["code"] == "conflict"
        assert (await officer.post(f"/v1/privacy/erasures/{ident}/withdraw")).json()["status"] == "withdrawn"
    async with await running.as_(OFFICER2) as second, await running.as_(AUDITOR) as auditor:
        assert (await second.post(f"/v1/privacy/erasures/{ident}/approve")).json()["code"] == "conflict"
        assert (await auditor.get("/v1/privacy/erasures")).status_code == 403
        listed = (await second.get("/v1/privacy/erasures")).json()["items"]
    assert [(one["subject"], one["status"]) for one in listed] == [(ADMIN.name, "withdrawn")]
    denied = [row for row in await ledger_rows(running) if row.outcome == "denied"]
    assert {row.event_type for row in denied} >= {"privacy.erasure.requested", "privacy.erasure.approved"}


@pytest.mark.parametrize("hold", [{"subject": OPERATOR.name}, {"log": "1y"}])
async def test_a_legal_hold_stops_an_erasure_until_two_people_lift_it(running: App, hold: dict[str, str]) -> None:
    await _act(running)
    ident = await _asked(running)
    await settled(running)
    async with await running.as_(ADMIN) as admin, await running.as_(OFFICER2) as officer:
        placed = (await officer.post("/v1/privacy/legal-holds", json={**hold, "reason": "a case"})).json()
        refused = await admin.post(f"/v1/privacy/erasures/{ident}/approve")
        assert refused.json()["code"] == "not_allowed", refused.text
        where = f"/v1/privacy/legal-holds/{placed['id']}/lift"
        assert (await admin.post(f"{where}/approve")).json()["code"] == "conflict"
        assert (await admin.post(where, json={"reason": "the case is closed"})).status_code == 200
        assert (await admin.post(f"{where}/approve")).json()["code"] == "second_person_required"
        assert (await officer.post(f"{where}/approve")).json()["lifted_by"] == OFFICER2.name
        assert (await admin.post(f"/v1/privacy/erasures/{ident}/approve")).json()["status"] == "erased"


async def test_a_hold_on_another_log_or_time_does_not(running: App) -> None:
    await _act(running)
    ident = await _asked(running)
    await settled(running)
    async with await running.as_(ADMIN) as admin:
        for hold in ({"log": "no-such-log"}, {"log": "1y", "until": "2020-01-01T00:00:00Z"}, {"subject": OFFICER.name}):
            assert (await admin.post("/v1/privacy/legal-holds", json={**hold, "reason": "x"})).status_code == 201
        assert (await admin.post(f"/v1/privacy/erasures/{ident}/approve")).json()["status"] == "erased"


async def test_revealing_needs_the_permission_and_a_reason_and_is_recorded(running: App) -> None:
    ident = await _act(running)
    await settled(running)
    async with await running.as_(OFFICER) as officer, await running.as_(AUDITOR) as auditor:
        shown = (await auditor.get(f"/v1/audit/{ident}")).json()
        assert (shown["ip_address"], shown["user_agent"]) == ("•••", "•••")
        assert (await _reveal(auditor, ident)).status_code == 403
        assert (await officer.post(f"/v1/audit/{ident}/reveal", json={"reason": " "})).status_code == 422
        revealed = (await _reveal(officer, ident)).json()
        assert revealed["values"] == {"ip_address": ADDRESS, "user_agent": "a browser"}
        (entry,) = await ledger_rows(running, UUID(revealed["recorded_as"]))
        assert (entry.event_type, entry.resource_id) == ("audit.field.revealed", str(ident))
        assert ADDRESS.encode() not in entry.canon
        assert (await auditor.get("/v1/audit", params={"ip": ADDRESS})).status_code == 403
        found = (await officer.get("/v1/audit", params={"ip": ADDRESS})).json()["items"]
        assert [one["id"] for one in found] == [str(ident)]


async def test_no_entry_no_value(running: App) -> None:
    ident = await _act(running)
    await settled(running)
    async with await running.as_(OFFICER) as officer:
        async with running.runtime.database.transaction() as session:
            await session.execute(text("ALTER TABLE audit_outbox ADD CONSTRAINT nothing CHECK (false) NOT VALID"))
        answer = await _reveal(officer, ident)
        assert answer.is_error
        assert ADDRESS not in answer.text


async def test_an_older_database_does_not_bring_an_erased_person_back(
    own_data_directory: Path, template_database: str
) -> None:
    name, url = databases.create_database(template_database)
    copies = [name]
    try:
        async with started_app(url) as app:
            ident = await _act(app)
            await (await app.as_(OFFICER)).aclose()
            await settled(app)
        older, older_url = databases.create_database(name)  # the backup
        copies.append(older)
        async with started_app(url) as app:
            surrogate = (await _erase(app))["surrogate"]
        async with started_app(older_url) as app:
            assert await sealed_values(app, ident) == {"ip_address": None, "user_agent": None}
            rows = await ledger_rows(app)
            (announced,) = [row for row in rows if row.event_type == "ledger.erasure.replayed"]
            assert announced.log == "meta"
            assert surrogate.encode() in announced.canon
            assert [row.resource_id for row in rows if row.event_type == "ledger.subject.erased"] == [surrogate]
            async with await app.as_(OFFICER) as officer:
                values = (await _reveal(officer, ident)).json()["values"]
            assert values == {"ip_address": None, "user_agent": None}
            assert OPERATOR.name not in await _everything_stored(older_url)
            async with app.runtime.database.transaction() as session:
                assert await replay.replay(session, app.runtime) == [], "once is enough"
            await settled(app)
            keys = keys_of(app.runtime)
            with psycopg.connect(older_url, autocommit=True, options="-c timezone=UTC") as connection:
                result = verify(connection, Plan(keys))
            assert {tally.outcome for tally in result.verdicts.values()} <= {Outcome.OK, Outcome.NOT_CHECKED}
    finally:
        for one in reversed(copies):
            databases.drop_database(one)


async def test_a_database_swapped_beneath_a_running_backend_opens_nothing(running: App) -> None:
    ident = await _act(running)
    await settled(running)
    async with running.runtime.database.transaction() as session:
        kept = (await session.execute(text("SELECT id, wrapped FROM audit_subject_keys"))).all()
        fields = (await session.execute(text("SELECT count(*) FROM audit_sealed"))).scalar_one()
    assert fields
    await _erase(running)
    async with running.runtime.database.transaction() as session:  # what a superuser can do
        for row in kept:
            await session.execute(
                text("UPDATE audit_subject_keys SET wrapped = :wrapped, destroyed_at = NULL WHERE id = :id"),
                {"wrapped": row.wrapped, "id": row.id},
            )
    assert set((await sealed_values(running, ident)).values()) == {None}
    async with running.runtime.database.transaction() as session:
        (back,) = await replay.replay(session, running.runtime)
    assert back.startswith("person:")


async def test_a_second_backend_seals_nothing_more_for_the_erased(running: App, database_url: str) -> None:
    async with started_app(database_url) as other:
        await _act(other)
        await settled(other)
        assert [key for key in other.runtime.data_keys._known if key.startswith("person:")]
        await _erase(running)
        late = await _act(other)  # its own memory still holds the key; the list outside the database is asked first
        (row,) = await ledger_rows(other, late)
        assert OPERATOR.name.encode() not in row.canon
        assert b"withheld" in row.canon
        for _ in range(600):
            if not other.runtime.data_keys._known:
                break
            await asyncio.sleep(0.05)
        assert not other.runtime.data_keys._known, "keys stay in memory"


async def test_an_erased_name_comes_back_only_as_somebody_new(running: App) -> None:
    await _act(running)
    old = (await _erase(running))["surrogate"]
    async with running.runtime.database.transaction() as session:
        with pytest.raises(WatchfloorError, match="was erased"):
            await accounts.add_user(session, running.runtime, SYSTEM, name=OPERATOR.name, role="mev_operator")
    named = await _act(running)
    (row,) = await ledger_rows(running, named)
    assert row.actor == "person:erased"
    async with running.runtime.database.transaction() as session:
        await accounts.add_user(session, running.runtime, SYSTEM, name=OPERATOR.name, role="mev_operator", again=True)
    (row,) = await ledger_rows(running, await _act(running))
    assert row.actor not in {old, "person:erased"}
    assert row.actor is not None
    assert row.actor.startswith("person:p")


async def test_an_approval_whose_process_ended_is_carried_out_later(running: App) -> None:
    ident = await _act(running)
    await (await running.as_(OPERATOR)).aclose()
    (row,) = await ledger_rows(running, ident)
    assert row.actor is not None
    long_ago = running.runtime.clock.now().replace(year=2020)
    await running.runtime.revocations.append(row.actor, Step.APPROVED, long_ago)
    async with running.runtime.database.transaction() as session:
        assert await replay.replay(session, running.runtime) == [row.actor]
    assert (await running.runtime.revocations.known())[row.actor].step is Step.APPROVED
    async with running.runtime.database.transaction() as session:
        assert await replay.replay(session, running.runtime) == []
    assert (await running.runtime.revocations.known())[row.actor].step is Step.DONE
