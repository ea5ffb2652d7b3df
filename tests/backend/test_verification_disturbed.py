"""Verification under way while everything else goes on: killed, among writers, asked for by two backends at once."""

import asyncio
import os
import random
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psutil
import psycopg
import pytest

from backend import db
from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.verification import runs
from backend.audit.verification.check import Plan, verify
from contract.verification import VerificationRequest
from tests.support.app import SYSTEM, AloneLead, App, started_app
from tests.support.backends import backends
from tests.support.ledger import settled
from tests.support.people import OFFICER, sign_in
from tests.support.verifying import act, keys_of, opened

GATE = 4711
"""Advisory lock that holds a worker up where the test wants it."""
_HOLD_UP = f"""
CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock({GATE}); RETURN new; END $$;
CREATE TRIGGER hold_up BEFORE INSERT ON audit_verification_state FOR EACH ROW EXECUTE FUNCTION hold_up();
"""
_HELD_UP = "SELECT count(*) FROM pg_locks WHERE locktype = %s AND NOT granted"


def workers() -> list[int]:
    """The processes that this one has started to verify."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "backend.audit.verification.worker" in child.cmdline():
                found.append(child.pid)
    return found


async def waited_for(connection: psycopg.Connection[Any], kind: str, running: asyncio.Task[None]) -> None:
    """Wait until somebody waits for a lock of some kind."""
    while (connection.execute(_HELD_UP, (kind,)).fetchone() or (0,))[0] == 0:
        assert not running.done()
        await asyncio.sleep(0.02)


async def asked_for(app: App) -> UUID:
    """Ask for a full verification."""
    async with app.runtime.database.transaction() as session:
        job = await runs.request(session, app.runtime, SYSTEM, VerificationRequest(full=True))
        ident: UUID = job.id
    await settled(app)
    return ident


async def report_of(app: App, ident: UUID) -> dict[str, Any]:
    async with app.runtime.database.read() as session:
        job = await runs.find(session, str(ident))
    assert job.report is not None, job.error
    return dict(job.report)


async def test_a_worker_killed_in_the_middle_is_followed_by_one_that_goes_on(app: App, database_url: str) -> None:
    for number in range(6):
        await act(app, number)
    await settled(app)
    ident = await asked_for(app)
    with psycopg.connect(database_url, autocommit=True) as gate, psycopg.connect(database_url) as other:
        gate.execute(_HOLD_UP)
        gate.execute("SELECT pg_advisory_lock(%s)", (GATE,))
        running = asyncio.create_task(runs.carry_out(app.runtime, AloneLead(), ident))
        await waited_for(gate, "advisory", running)  # one log is read and about to be saved
        other.execute("LOCK TABLE audit_entries_meta_0 IN ACCESS EXCLUSIVE MODE")
        gate.execute("SELECT pg_advisory_unlock(%s)", (GATE,))
        await waited_for(gate, "relation", running)  # it is saved, the next cannot be read
        (pid,) = workers()
        os.kill(pid, signal.SIGKILL)
        other.rollback()
        await running
    found = await report_of(app, ident)
    with opened(database_url) as connection:
        whole = await asyncio.to_thread(verify, connection, Plan(keys_of(app.runtime)))
    assert found["passed"] is True, found
    assert 0 < found["entries"] <= whole.ended["meta"].size, "nothing was taken up"
    outcomes = {name: one["outcome"] for name, one in found["verdicts"].items()}
    assert outcomes == {str(name): tally.outcome.value for name, tally in whole.verdicts.items()}


async def test_a_worker_that_is_killed_every_time_is_given_up(app: App) -> None:
    await act(app)
    ident = await asked_for(app)
    running = asyncio.create_task(runs.carry_out(app.runtime, AloneLead(), ident))
    killed: set[int] = set()
    while not running.done():
        for pid in workers():
            if pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
        await asyncio.sleep(0.005)
    async with app.runtime.database.read() as session:
        job = await runs.find(session, str(ident))
    assert (job.state, len(killed)) == ("broken", 3)


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_writers_at_work_are_no_finding(app: App, database_url: str, seed: int) -> None:
    chance, stop = random.Random(seed), asyncio.Event()  # noqa: S311  a test's own

    async def write(number: int) -> None:
        while not stop.is_set():
            if chance.random() < 0.3:
                with pytest.raises(RuntimeError):
                    await broken_off(app)
            else:
                await act(app, number)
            await asyncio.sleep(chance.random() * 0.01)

    writers = [asyncio.create_task(write(number)) for number in range(3)]
    trusted = None
    try:
        for turn in range(4):
            await asyncio.sleep(chance.random() * 0.2)
            plan = Plan(keys_of(app.runtime), trusted=trusted, full=turn % 2 == 0)
            with opened(database_url) as connection:
                result = await asyncio.to_thread(verify, connection, plan)
            assert not result.verdicts.failed, result.verdicts.to_tree()
            trusted = result.state
    finally:
        stop.set()
        await asyncio.gather(*writers)


async def broken_off(app: App) -> None:
    """An act whose transaction is rolled back after its entry was numbered."""
    async with app.runtime.database.transaction() as session:
        draft = AuditDraft(AuditEvent.FREEZE_CREATED, "look", "thing", "1")
        await record(session, app.runtime, SYSTEM, draft)
        db.before_commit(session, fail)


async def fail() -> None:
    raise RuntimeError("not this time")


async def test_two_backends_asked_at_once_verify_soundly(database_url: str, tmp_path: Path) -> None:
    async with started_app(database_url) as app:
        for number in range(4):
            await act(app, number)
        token = await sign_in(app.runtime, OFFICER)
        await settled(app)
    headers = {"authorization": f"Bearer {token}"}
    with backends(database_url, tmp_path, 2) as (one, other):
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            asked = await asyncio.gather(
                *(client.post(f"{url}/v1/ledger/verifications", json={"full": True}) for url in (one.url, other.url))
            )
            assert {answer.status_code for answer in asked} == {202}, [answer.text for answer in asked]
            for ident in {answer.json()["id"] for answer in asked}:
                body: dict[str, Any] = {}
                while body.get("state") not in ("done", "broken"):
                    body = (await client.get(f"{other.url}/v1/ledger/verifications/{ident}")).json()
                    await asyncio.sleep(0.05)
                assert (body["state"], body["passed"]) == ("done", True), body
    with opened(database_url) as connection:
        left = connection.execute("SELECT name FROM audit_verification_state").fetchall()
        told = connection.execute("SELECT count(*) FROM audit_verifications").fetchone()
    assert left == [("trusted",)]
    assert told == (len({answer.json()["id"] for answer in asked}),)
