"""How long imported logs are kept: named by the first import, kept in the database, respected by the purge."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from backend.audit.events import AuditEvent
from tests.support.aged import WIDTH, Aged, aged
from tests.support.ledger import ledger_rows, settled
from tests.support.people import ADMIN, AUDITOR


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    async with aged(database_url, tmp_path, monkeypatch) as made:
        yield made


async def _import(client: httpx.AsyncClient, name: str, count: int = 1, **more: Any) -> httpx.Response:
    records = [{"line": n, "text": f'{{"n": {n}, "time": "2020-01-01T00:00:00Z"}}'} for n in range(1, count + 1)]
    body = {"source": "json", "file": "a.json", "records": records, **more}
    return await client.post(f"/v1/audit/import/{name}", json=body)


async def _kept(old: Aged) -> dict[str, int | None]:
    await settled(old.app)
    return {one.log: one.keep_days for one in (await old.report()).logs if one.log.startswith("import:")}


async def test_the_first_import_settles_how_long_the_log_is_kept(old: Aged) -> None:
    async with await old.app.as_(ADMIN) as admin:
        for name, asked in (("short", "1y"), ("ever", "forever"), ("usual", None)):
            answer = await _import(admin, name, 1, **({"retention": asked} if asked else {}))
            assert answer.json()["retention"] == (asked or "7y")
        assert (await _import(admin, "short", 2)).json()["retention"] == "1y", "settled"
        assert (await _import(admin, "short", retention="1y")).status_code == 200
        assert await _kept(old) == {"import:short": 365, "import:ever": None, "import:usual": 2555}
        other = await _import(admin, "short", retention="7y")
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        assert other.json()["message"] == (
            "import:short is kept 1y since its first import, not 7y: what is settled stays."
        )
        assert "another name" in other.json()["hint"]
    told = [row for row in await ledger_rows(old.app) if row.event_type == AuditEvent.FOREIGN_IMPORTED.value]
    assert [b'"retention":"1y"' in row.canon for row in told] == [True, False, False, True, True]


@pytest.mark.parametrize("asked", ["5y", "7Y", "", "2555", "ever"])
async def test_an_unknown_retention_is_refused_with_those_there_are(old: Aged, asked: str) -> None:
    async with await old.app.as_(ADMIN) as admin:
        answer = await _import(admin, "x", retention=asked)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert answer.json()["message"] == f"There is no retention {asked!r}: the policy has 7y, 3y, 1y, forever."
        assert await _kept(old) == {}
        async with old.app.runtime.database.read() as session:
            assert await session.scalar(text("SELECT count(*) FROM audit_imported_logs")) == 0


async def test_what_is_settled_cannot_be_changed(old: Aged) -> None:
    async with await old.app.as_(ADMIN) as admin:
        await _import(admin, "x", retention="1y")
    with pytest.raises(ProgrammingError, match="append-only"):
        async with old.app.runtime.database.transaction() as session:
            await session.execute(text("UPDATE audit_imported_logs SET retention_days = 1"))


async def test_imported_entries_are_dropped_when_their_time_here_is_over(old: Aged) -> None:
    async with await old.app.as_(ADMIN) as admin:
        await _import(admin, "short", WIDTH + 3, retention="1y")
        await _import(admin, "ever", WIDTH + 3, retention="forever")
    await settled(old.app)
    await old.seal()
    await old.sign()
    await old.keeper().round()
    assert await _entries(old, "import:short") == WIDTH + 3, "old records, imported just now"
    old.clock.at += timedelta(days=366)
    await old.keeper().round()
    assert await _entries(old, "import:short") == 3
    old.clock.at += timedelta(days=36_500)
    await old.keeper().round()
    assert await _entries(old, "import:ever") == WIDTH + 3
    async with await old.app.as_(AUDITOR) as auditor:
        logs = (await auditor.get("/v1/ledger/retention")).json()["logs"]
    assert {one["log"]: one["dropped"] for one in logs if one["log"].startswith("import:")} == {
        "import:short": WIDTH,
        "import:ever": 0,
    }


async def _entries(old: Aged, log: str) -> int:
    async with old.app.runtime.database.read() as session:
        counted = text("SELECT count(*) FROM audit_entries WHERE log = :log")
        return int((await session.execute(counted, {"log": log})).scalar_one())
