"""`watchfloor keys rotate`: out of turn sessions go on, after a compromise they end; both are recorded."""

import json
from collections.abc import AsyncIterator, Callable

import httpx
import jwt
import psycopg
import pytest
from sqlalchemy import select

from backend.auth import signing_keys
from backend.auth.known import _look
from backend.auth.tables import SigningKey
from tests.support.app import SYSTEM, App, started_app
from tests.support.people import EXECUTOR, OPERATOR, sign_in
from watchfloor.commands import run_server_command

Run = Callable[..., int]


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    async with started_app(database_url) as running:
        yield running


async def _rotate(app: App, *, compromised: bool) -> signing_keys.Rotation:
    async with app.runtime.database.transaction() as session:
        return await signing_keys.rotate(session, app.runtime, SYSTEM, compromised=compromised)


async def _status(client: httpx.AsyncClient) -> int:
    return (await client.get("/v1/auth/whoami")).status_code


async def test_out_of_turn_nobody_is_signed_out(app: App) -> None:
    before = app.with_token(await sign_in(app.runtime, OPERATOR))
    done = await _rotate(app, compromised=False)
    token = await sign_in(app.runtime, OPERATOR)
    assert jwt.get_unverified_header(token)["kid"] == done.kid
    assert done.kid not in done.replaced
    assert (len(done.replaced), done.sessions_ended) == (1, 0)
    assert [await _status(one) for one in (before, app.with_token(token))] == [200, 200]


async def test_after_a_compromise_every_session_ends_and_machines_go_on(app: App, database_url: str) -> None:
    people = [app.with_token(await sign_in(app.runtime, OPERATOR)) for _ in range(2)]
    machine = await app.as_(EXECUTOR)
    await _rotate(app, compromised=False)
    people.append(app.with_token(await sign_in(app.runtime, OPERATOR)))
    async with started_app(database_url, sequence=False) as other:
        done = await _rotate(app, compromised=True)
        assert (len(done.replaced), done.sessions_ended) == (2, 3)
        assert [await _status(one) for one in people] == [401, 401, 401]
        async with other.runtime.database.read() as session:
            known = await _look(session, other.runtime)
            kept = (await session.scalars(select(SigningKey.kid))).all()
    assert list(known.keys) == kept == [done.kid]
    assert len(known.ended) == 3
    assert (await machine.post("/v1/gate/renew", json={})).status_code == 422, "known, only asking for nothing"
    assert await _status(app.with_token(await sign_in(app.runtime, OPERATOR))) == 200


def test_the_command_is_recorded_and_prints_no_key(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WATCHFLOOR_DATABASE_URL", database_url)
    monkeypatch.delenv("WATCHFLOOR_POLICY", raising=False)
    assert run_server_command("keys", ["rotate", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["schema"], first["replaced"]) == ("watchfloor.keys.rotate/1", [])
    assert run_server_command("keys", ["rotate", "--now"]) == 0
    told = capsys.readouterr().out
    assert "Sessions ended: 0." in told
    with psycopg.connect(database_url) as connection:
        ((kid, private),) = connection.execute("SELECT kid, private_key FROM signing_keys").fetchall()
        entries = connection.execute(
            "SELECT resource_id, user_id, new_value FROM audit_logs"
            " WHERE event_type = 'auth.signing_key.rotated' ORDER BY id"
        ).fetchall()
    assert [entry[:2] for entry in entries] == [(first["kid"], "system:local"), (kid, "system:local")]
    assert entries[1][2] | {} == {"kid": kid, "replaced": [first["kid"]], "compromised": True, "sessions_ended": 0}
    assert bytes(private).hex() not in told + str(entries)
