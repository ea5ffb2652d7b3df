"""The database edge: a success is never a lie, a refusal changes nothing but is recorded, trouble is an envelope."""

import contextlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import psycopg
import pytest
from fastapi import Depends
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from backend import db, guard
from backend.audit.service import AuditDraft
from backend.db import Tx
from backend.errors import WatchfloorError
from backend.events import publish
from backend.lookup import row_named
from backend.middleware import MAX_JSON_BYTES
from backend.transactions.tables import Import
from contract.errors import ErrorCode
from contract.stream import Beat, Topic
from tests.support.app import POOL_SIZE, App, started_app
from tests.support.outage import outage

TABLES = """
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, name varchar(20))
"""


class Thing(BaseModel):
    id: int = 1
    name: str = ""
    more: Any = None


@pytest.fixture
async def edge(app: App, database_url: str) -> httpx.AsyncClient:
    """A client of an application with a few routes that fail in every way."""
    with psycopg.connect(database_url) as connection:
        connection.execute(TABLES)
    _add_routes(app)
    return app.http


def _add_routes(app: App) -> None:
    async def orphan(session: Tx) -> dict[str, str]:
        await session.execute(text("INSERT INTO child (id, parent) VALUES (1, 99)"))
        return {"status": "stored"}

    async def cut_off(session: Tx) -> dict[str, str]:
        pid = await session.scalar(text("SELECT pg_backend_pid()"))
        await session.execute(text("INSERT INTO parent (id) VALUES (1)"))
        async with app.runtime.database.read() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        return {"status": "stored"}

    async def store(thing: Thing, session: Tx) -> dict[str, str]:
        await session.execute(
            text("INSERT INTO child (id, name) VALUES (:id, :name)"), {"id": thing.id, "name": thing.name}
        )
        return {"status": "stored"}

    async def refuse(session: Tx) -> None:
        await session.execute(text("INSERT INTO parent (id) VALUES (7)"))
        draft = AuditDraft("auth.permission.denied", "try", error_message="a \x00 hostile \ud800 reason")
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, "No.", audit=draft)

    async def run(statement: str, session: Tx) -> None:
        await session.execute(text(statement))

    async def find(name: str, session: Tx) -> None:
        await session.execute(text("SELECT * FROM child WHERE name = :name"), {"name": name})

    async def broken() -> None:
        raise RuntimeError("secret detail")

    for method, path, endpoint in (
        ("POST", "/t/orphan", orphan),
        ("POST", "/t/cut-off", cut_off),
        ("POST", "/t/store", store),
        ("POST", "/t/refuse", refuse),
        ("GET", "/t/run", run),
        ("POST", "/t/change", run),
        ("GET", "/t/find", find),
        ("GET", "/t/broken", broken),
    ):
        app.app.add_api_route(path, endpoint, methods=[method], response_model=None, **guard.public())


def _assert_envelope(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    body: dict[str, Any] = answer.json()
    assert set(body) == {"code", "message", "hint", "request_id"}
    assert body["code"] == code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["message"].isprintable()
    return body


async def test_a_commit_that_is_refused_is_no_success(edge: httpx.AsyncClient, app: App) -> None:
    _assert_envelope(await edge.post("/t/orphan"), 409, "conflict")
    async with app.runtime.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM child")) == 0


async def test_a_connection_that_dies_before_the_commit_is_no_success(edge: httpx.AsyncClient, app: App) -> None:
    _assert_envelope(await edge.post("/t/cut-off"), 503, "unavailable")
    async with app.runtime.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM parent")) == 0


async def test_a_refused_request_changes_nothing_but_is_recorded(edge: httpx.AsyncClient, app: App) -> None:
    _assert_envelope(await edge.post("/t/refuse"), 403, "not_allowed")
    async with app.runtime.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM parent")) == 0
        query = text("SELECT error_message FROM audit_logs WHERE event_type = 'auth.permission.denied'")
        assert await session.scalar(query) == "a \ufffd hostile \ufffd reason"


async def test_a_refusal_that_cannot_be_recorded_is_unavailable(
    edge: httpx.AsyncClient, app: App, database_url: str
) -> None:
    async def refuse_without_database() -> None:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, "No.", audit=AuditDraft("auth.permission.denied", "try"))

    app.app.add_api_route("/t/refuse-only", refuse_without_database, response_model=None, **guard.public())
    with outage(database_url):
        _assert_envelope(await edge.get("/t/refuse-only"), 503, "unavailable")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"id": 1', "JSON"),
        (b"", "required"),
        (b"[]", "dictionary"),
        (b'{"id": 1, "name": "a\\u0000b"}', "NUL"),
        (b'{"id": 1, "name": "' + b"x" * 21 + b'"}', "too long"),
        (b'{"id": 1, "name": "\xff\xfe"}', "JSON"),
        (b'{"id": 1, "name": "\\ud800"}', "Unicode"),
        (b'{"id": 99999999999999999999}', "range"),
        (b'{"id": ' + b"9" * 5_000 + b"}", "JSON"),
        (b'{"id": 1, "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
        (b'{"id": "\\u001b[2J\\ud800"}', "id"),
    ],
)
async def test_a_body_that_cannot_be_taken_is_the_callers_mistake(
    edge: httpx.AsyncClient, body: bytes, says: str
) -> None:
    answer = await edge.post("/t/store", content=body, headers={"content-type": "application/json"})
    assert says in _assert_envelope(answer, 422, "invalid_request")["message"]


async def test_nul_in_the_address_is_the_callers_mistake(edge: httpx.AsyncClient) -> None:
    _assert_envelope(await edge.get("/t/find", params={"name": "a\x00"}), 422, "invalid_request")


async def test_what_is_stored_twice_is_a_conflict(edge: httpx.AsyncClient) -> None:
    assert (await edge.post("/t/store", json={"id": 5})).status_code == 200
    _assert_envelope(await edge.post("/t/store", json={"id": 5}), 409, "conflict")


async def test_unknown_places_and_methods(edge: httpx.AsyncClient) -> None:
    _assert_envelope(await edge.get("/t/nowhere"), 404, "not_found")
    _assert_envelope(await edge.post("/t/store/", json={}), 404, "not_found")
    answer = await edge.get("/t/store")
    _assert_envelope(answer, 405, "invalid_request")
    assert answer.headers["allow"] == "POST"


async def test_a_bug_is_an_envelope_without_its_details(edge: httpx.AsyncClient) -> None:
    assert "secret" not in _assert_envelope(await edge.get("/t/broken"), 500, "internal")["message"]


async def test_a_body_that_says_it_is_too_large(edge: httpx.AsyncClient) -> None:
    answer = await edge.post("/t/store", content=b"{}", headers={"content-length": str(MAX_JSON_BYTES + 1)})
    _assert_envelope(answer, 413, "too_large")


async def test_a_body_that_turns_out_too_large(edge: httpx.AsyncClient) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b'{"name": "'
        for _ in range(MAX_JSON_BYTES // 100_000 + 2):
            yield b"x" * 100_000

    answer = await edge.post("/t/store", content=parts(), headers={"content-type": "application/json"})
    _assert_envelope(answer, 413, "too_large")


async def test_a_slow_statement_is_stopped(database_url: str) -> None:
    async with started_app(database_url) as app:
        _add_routes(app)
        statement = "SET LOCAL statement_timeout = 100; SELECT pg_sleep(20)"
        _assert_envelope(await app.http.get("/t/run", params={"statement": statement}), 400, "query_too_slow")


async def test_a_lock_that_is_not_given_is_tried_again_later(edge: httpx.AsyncClient, database_url: str) -> None:
    statement = "SET LOCAL lock_timeout = 100; LOCK TABLE parent"
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE parent")
        body = _assert_envelope(await edge.get("/t/run", params={"statement": statement}), 503, "busy")
        assert body["message"] == "Busy: somebody else holds this; nothing was changed."


async def test_a_change_that_waits_for_others_is_no_slow_question(edge: httpx.AsyncClient, database_url: str) -> None:
    async def change(statement: str) -> dict[str, Any]:
        limited = f"SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 150; {statement}"
        answer = await edge.post("/t/change", params={"statement": limited})
        assert answer.headers["retry-after"] == "1"
        return _assert_envelope(answer, 503, "busy")

    with psycopg.connect(database_url) as other:
        other.execute("INSERT INTO parent (id) VALUES (1)")
        other.commit()
        other.execute("UPDATE parent SET id = 2 WHERE id = 1")
        held = await change("UPDATE parent SET id = 3 WHERE id = 1")
    assert held["message"] == "Busy: somebody else holds this; nothing was changed."
    slow = await change("SELECT pg_sleep(20)")
    assert slow["message"] == "Busy: this took too long and was given up; nothing was changed."


async def test_a_full_pool_is_unavailable_not_a_hang(
    edge: httpx.AsyncClient, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = app.runtime.database.engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.1)
    held = [await app.runtime.database.engine.connect() for _ in range(POOL_SIZE)]
    try:
        _assert_envelope(await edge.get("/t/run", params={"statement": "SELECT 1"}), 503, "unavailable")
    finally:
        for connection in held:
            await connection.close()
    assert (await edge.get("/t/run", params={"statement": "SELECT 1"})).status_code == 200


async def test_what_is_done_after_a_commit_is_not_done_after_a_rollback(app: App) -> None:
    done: list[str] = []
    async with app.runtime.database.transaction() as session:
        db.after_commit(session, lambda: done.append("committed"))
        assert done == []
    with contextlib.suppress(WatchfloorError):
        async with app.runtime.database.transaction() as session:
            db.after_commit(session, lambda: done.append("rolled back"))
            publish(session, Topic.ALERT, Beat(at=app.runtime.clock.now()))
            raise WatchfloorError(ErrorCode.CONFLICT, "No.")
    assert done == ["committed"]
    async with app.runtime.database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM stream_events")) == 0


async def test_an_error_does_not_carry_the_values_of_its_statement(app: App) -> None:
    with pytest.raises(Exception, match="nothing") as caught:
        async with app.runtime.database.read() as session:
            await session.execute(text("SELECT * FROM nothing WHERE x = :secret"), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


async def test_the_commit_comes_before_the_answer(app: App, database_url: str) -> None:
    """A dependency of a route that also needs the transaction shares it: one transaction for one request."""
    seen: list[int] = []

    async def first(session: Tx) -> None:
        seen.append(id(session))

    async def second(session: Tx, _: Annotated[None, Depends(first)]) -> None:
        seen.append(id(session))

    app.app.add_api_route("/t/shared", second, response_model=None, **guard.public())
    assert (await app.http.get("/t/shared")).status_code == 200
    assert len(set(seen)) == 1


async def test_a_row_named_by_an_id_is_read_anew_and_locked_only_if_asked(app: App) -> None:
    ident = app.runtime.clock.new_id()
    async with app.runtime.database.transaction() as session:
        session.add(Import(id=ident, filename="a", sha256="", started_by="a", started_at=app.runtime.clock.now()))
    async with app.runtime.database.transaction() as first, app.runtime.database.transaction() as second:
        known = await row_named(first, Import, "import", str(ident))
        await second.execute(text("UPDATE imports SET filename = 'b'"))
        await second.commit()
        assert known.filename == "a"
        assert await row_named(first, Import, "import", str(ident), lock=True) is known
        assert known.filename == "b"
        await row_named(second, Import, "import", str(ident))
        with pytest.raises(DBAPIError, match="could not obtain lock"):
            await second.execute(text("SELECT FROM imports FOR UPDATE NOWAIT"))
        await second.rollback()
    for unknown in ("no id", str(app.runtime.clock.new_id())):
        async with app.runtime.database.read() as session:
            with pytest.raises(WatchfloorError, match="There is no import") as caught:
                await row_named(session, Import, "import", unknown)
        assert caught.value.code == ErrorCode.NOT_FOUND
