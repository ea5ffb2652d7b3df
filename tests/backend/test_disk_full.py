"""Real full disks: beneath the spool, and beneath the database itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

from backend import auditwatch, migrate
from backend.audit.apart import NotRecordedError, record_apart
from backend.audit.service import AuditDraft
from backend.audit.verification.check import Plan, verify
from backend.spool import ANSWER_S, DIRECTORY
from contract.audit import AuditResult
from tests.support.app import SYSTEM, App, started_app
from tests.support.lasting import LastingPostgres, fill, make_room, small_disk
from tests.support.latching import until
from tests.support.ledger import settled
from tests.support.ledger_check import look
from tests.support.outage import outage
from tests.support.people import ADMIN
from tests.support.places import public_directory
from tests.support.verifying import keys_of, opened

OPERATIONS = AuditDraft("executors.process.moved", "move executor", result=AuditResult.DENIED)
NOTICED_WITHIN_S = 5.0
RESERVE_BYTES = 1024 * 1024
LOOKS = 1_500
"""Fifty a second; far more than anything here takes."""


@pytest.fixture
def spool_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / DIRECTORY, 8) as disk:
        yield disk


@pytest.fixture
async def spooling(database_url: str, spool_disk: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """A backend whose spool lies on a disk of its own, and keeps no room for others."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(spool_disk.parent))
    async with started_app(database_url) as app:
        app.runtime.write_path.spool.file.reserve_bytes = 0
        yield app


async def _until_spool(app: App, *, broken: bool) -> None:
    for _ in range(LOOKS):
        if (app.runtime.write_path.spool.problem is not None) == broken:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never noticed that the spool is {'broken' if broken else 'sound'}")


async def _keep_until_refused(app: App) -> int:
    """Lines still fit into the block that the file has; gives how many entries the file holds after the first one."""
    for kept in range(1, 20):
        try:
            await record_apart(app.runtime, SYSTEM, OPERATIONS)
        except NotRecordedError:
            return kept
    raise AssertionError("a full disk takes one line after the other")


async def test_a_full_disk_beneath_the_spool_refuses_what_needs_it_and_nothing_else(
    spooling: App, spool_disk: Path, database_url: str
) -> None:
    app, spool = spooling, spooling.runtime.write_path.spool
    await _until_spool(app, broken=False)
    with outage(database_url):
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
        fill(spool_disk)
        kept = await _keep_until_refused(app)
        assert len(await spool.lines()) == kept  # and nothing of the line that did not fit
    spool.file.reserve_bytes = RESERVE_BYTES
    await _until_spool(app, broken=True)
    # what has to go through the database goes on, and people are answered
    await record_apart(app.runtime, SYSTEM, OPERATIONS)
    admin = await app.as_(ADMIN)
    assert (await admin.get("/v1/audit")).status_code == HTTPStatus.OK
    assert (await app.http.get("/readyz")).json()["audit"]["spool_problem"]
    with outage(database_url), pytest.raises(NotRecordedError, match="as good as full"):
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
    make_room(spool_disk)
    await _until_spool(app, broken=False)
    with outage(database_url):
        await record_apart(app.runtime, SYSTEM, OPERATIONS)
    for _ in range(LOOKS):
        if not spool.waiting:
            break
        await asyncio.sleep(0.02)
    await settled(app)
    with psycopg.connect(database_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM audit_entries WHERE log = '3y'").fetchone() or (0,)
    assert count == kept + 2
    assert look(database_url).faults == []


def test_two_looks_at_the_spool_and_an_answer_that_never_comes_fit_into_the_time_to_notice() -> None:
    assert 2 * auditwatch.PROBE_EVERY_S + ANSWER_S <= NOTICED_WITHIN_S


@pytest.fixture
def small_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LastingPostgres, Path]]:
    """A database server on a disk of its own."""
    with public_directory() as place, small_disk(place / "disk", 256) as disk:
        monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(place / "state"))
        server = LastingPostgres(disk / "postgres", place / "sock")
        server.start()
        try:
            migrate.upgrade(server.url("watchfloor").replace("postgresql://", "postgresql+psycopg://", 1))
            yield server, disk
        finally:
            server.stop()


async def _freeze(http: httpx.AsyncClient) -> tuple[httpx.Response, str]:
    """One act: the answer, and the request's id."""
    request = uuid4().hex
    wallet = {"kind": "wallet", "name": f"0x{uuid4().hex}"}
    body = {"scope": wallet, "reason": "r" * 400}
    return await http.post("/v1/freezes", json=body, headers={"x-request-id": request}), request


async def test_a_full_disk_beneath_the_database_stops_all_acts_but_freezes_and_loses_none(
    small_database: tuple[LastingPostgres, Path],
) -> None:
    server, disk = small_database
    url = server.url("watchfloor")
    done: set[str] = set()
    async with started_app(url) as app:
        admin = await app.as_(ADMIN)
        await _until_latched(admin, disk, done)
        assert await _a_search_is_refused(admin)
        make_room(disk)
        if not server.running():
            server.start()
        for _ in range(LOOKS):
            answer, request = await _freeze(admin)
            if answer.status_code == HTTPStatus.CREATED:
                done.add(request)
                break
            await asyncio.sleep(0.02)
        await until(lambda: not app.runtime.latched.pending(), "the holds in the database")
        await settled(app)
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT request_id FROM audit_entries WHERE event_type = 'freeze.hold.created'"
            ).fetchall()
            (freezes,) = connection.execute("SELECT count(*) FROM freezes").fetchone() or (0,)
        assert done <= {request for (request,) in rows}
        assert len(rows) == freezes
        with opened(url) as reader:
            assert not verify(reader, Plan(keys_of(app.runtime))).verdicts.failed
    assert look(url).faults == []


async def _a_search_is_refused(admin: httpx.AsyncClient) -> bool:
    """Search, which is an entry each time, until one does not fit; it may be smaller than what did not fit before."""
    for _ in range(LOOKS):
        if (await admin.get("/v1/audit", params={"limit": 1})).status_code == HTTPStatus.SERVICE_UNAVAILABLE:
            return True
    return False


async def _until_latched(admin: httpx.AsyncClient, disk: Path, done: set[str]) -> None:
    """Freeze until ten freezes in a row were latched on a disk without a free byte; each of them counts as done."""
    latched = 0
    while latched < 10:
        if len(done) >= 3:
            fill(disk)
        answer, request = await _freeze(admin)
        assert answer.status_code in {HTTPStatus.CREATED, HTTPStatus.ACCEPTED}, answer.text
        done.add(request)
        latched = latched + 1 if answer.status_code == HTTPStatus.ACCEPTED else 0
