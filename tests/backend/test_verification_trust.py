"""What a verification believes of what lies outside the tree, and where its keys come from."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from backend.audit import rotating
from backend.audit.verification import runs
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.keys import Opened, WrappedKey
from backend.audit.verification.verdicts import Verdict
from backend.context import Runtime
from backend.keyring import MasterKeys
from contract.verification import VerificationRequest
from tests.support.app import SYSTEM, AloneLead, App, started_app
from tests.support.verifying import act, findings, keys_of, opened, sequence_once

IMPATIENT_S = 0.3
FAKE = """
INSERT INTO audit_outbox (id, log, canon, mac, emitted_at, filed_at)
VALUES (gen_random_uuid(), %s, convert_to(%s, 'UTF8'), sha256(''), now() + interval '1 year', now() + interval '1 year')
"""


@pytest.fixture
async def still(database_url: str, directory: Path) -> AsyncIterator[App]:
    """A backend whose sequencer takes what waits only when it is told to; its master key is nobody else's."""
    async with started_app(database_url, sequence=False) as app:
        for number in range(3):
            await act(app, number)
        await sequence_once(app)
        yield app


async def judged(app: App, url: str) -> Result:
    plan = Plan(keys_of(app.runtime), patience_s=IMPATIENT_S)
    with opened(url) as connection:
        return await asyncio.to_thread(verify, connection, plan)


async def lost(app: App, url: str) -> tuple[str, int]:
    """Take an entry out of the outbox before it is sequenced, and go on; gives its process and number."""
    await act(app, 90)
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute("CREATE TABLE stolen AS TABLE audit_outbox")
        superuser.execute("TRUNCATE audit_outbox")
        row = superuser.execute("SELECT convert_from(canon, 'UTF8')::jsonb #> '{body,emitter}' FROM stolen").fetchone()
    assert row is not None
    await act(app, 91)
    await act(app, 92)
    await sequence_once(app)
    return row[0]["boot"], row[0]["n"]


async def test_a_made_up_row_of_the_outbox_excuses_no_missing_entry(still: App, database_url: str) -> None:
    assert not (await judged(still, database_url)).verdicts.failed
    boot, n = await lost(still, database_url)
    assert findings(await judged(still, database_url), Verdict.COMPLETENESS) == {"missing"}
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute(FAKE, ("7y", f'{{"body":{{"emitter":{{"boot":"{boot}","n":{n}}}}}}}'))
    assert findings(await judged(still, database_url), Verdict.COMPLETENESS) == {"missing", "forged"}


async def test_a_stolen_row_shown_again_must_also_reach_the_ledger(still: App, database_url: str) -> None:
    await lost(still, database_url)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("UPDATE stolen SET emitted_at = '2099-01-01', filed_at = '2099-01-01'")
        superuser.execute("INSERT INTO audit_outbox SELECT * FROM stolen")
    result = await judged(still, database_url)
    assert result.verdicts.failed == (Verdict.COMPLETENESS,)
    assert findings(result, Verdict.COMPLETENESS) == {"waiting"}
    await sequence_once(still)
    assert not (await judged(still, database_url)).verdicts.failed


async def test_a_row_that_was_spoilt_so_that_it_is_put_aside_is_missing(still: App, database_url: str) -> None:
    await act(still, 90)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("UPDATE audit_outbox SET mac = sha256('')")
    for number in (91, 92):
        await sequence_once(still)  # the first puts it into quarantine, the second takes the announcement
        await act(still, number)
    await sequence_once(still)
    result = await judged(still, database_url)
    assert "missing" in findings(result, Verdict.COMPLETENESS)  # an alert about the quarantine may be waiting


async def test_a_made_up_announcement_excuses_no_erasure(still: App, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as superuser:
        row = superuser.execute("SELECT subject FROM audit_subject_keys WHERE subject LIKE 'person:%'").fetchone()
        assert row is not None
        superuser.execute("DELETE FROM audit_sealed WHERE subject = %s", row)
        superuser.execute("UPDATE audit_subject_keys SET wrapped = NULL, destroyed_at = now() WHERE subject = %s", row)
        index = f'{{"event_type":"ledger.subject.erased","resource_id":"{row[0]}"}}'
        superuser.execute(FAKE, ("meta", f'{{"index":{index}}}'))
    result = await judged(still, database_url)
    assert {Verdict.ERASURE, Verdict.COMPLETENESS} <= set(result.verdicts.failed)
    assert {"gone", "key"} <= findings(result, Verdict.ERASURE)


async def test_what_waits_too_long_by_the_clock_of_the_database_is_told_at_once(still: App, database_url: str) -> None:
    await act(still)
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("UPDATE audit_outbox SET filed_at = filed_at - interval '2 minutes', emitted_at = now()")
    result = await judged(still, database_url)
    assert any("waits since" in one.detail for one in result.verdicts[Verdict.COMPLETENESS].first)


async def test_replacing_the_master_key_while_keys_are_opened_is_no_finding(still: App, database_url: str) -> None:
    loop, keys, asked = asyncio.get_running_loop(), keys_of(still.runtime), list[int]()

    def opener(wrapped: Sequence[WrappedKey]) -> Sequence[Opened]:
        """Open what was read before, after the old master key is gone."""
        if not asked:
            asyncio.run_coroutine_threadsafe(rotating.rotate(still.runtime, SYSTEM), loop).result()
            asyncio.run_coroutine_threadsafe(sequence_once(still), loop).result()
        asked.append(len(wrapped))
        return keys.open(wrapped)

    with opened(database_url) as connection:
        result = await asyncio.to_thread(verify, connection, Plan(replace(keys, open=opener)))
    assert not result.verdicts.failed, result.verdicts.to_tree()
    assert asked[0] == asked[1] > 0


async def test_a_key_that_does_not_open_is_found_however_often_it_is_read(still: App, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as superuser:
        superuser.execute("UPDATE audit_subject_keys SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)")
    assert "key" in findings(await judged(still, database_url), Verdict.ERASURE)


class Service:
    """Master keys that no file of ours holds: it opens and wraps, and gives nothing away."""

    def __init__(self, behind: MasterKeys) -> None:
        self._behind = behind
        self.opened = 0

    @property
    def current(self) -> str:
        return self._behind.current

    def knows(self, name: str) -> bool:
        return self._behind.knows(name)

    async def wrap(self, key: bytes, nonce: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        return await self._behind.wrap(key, nonce, under=under, subject=subject, key_id=key_id)

    async def unwrap(self, wrapped: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        await asyncio.sleep(0)  # as one that is asked over a network
        self.opened += 1
        return await self._behind.unwrap(wrapped, under=under, subject=subject, key_id=key_id)


async def asked_for(runtime: Runtime) -> UUID:
    """Ask for a full verification."""
    async with runtime.database.transaction() as session:
        job = await runs.request(session, runtime, SYSTEM, VerificationRequest(full=True))
        ident: UUID = job.id
    return ident


async def test_a_key_service_opens_the_keys_that_a_verification_needs(app: App) -> None:
    for number in range(3):
        await act(app, number)
    service = Service(app.runtime.keyring.master)
    runtime = replace(app.runtime, keyring=replace(app.runtime.keyring, master=service))
    ident = await asked_for(runtime)
    await runs.carry_out(runtime, AloneLead(), ident)
    async with runtime.database.read() as session:
        job = await runs.find(session, str(ident))
    assert job.report is not None, job.error
    assert job.report["passed"] is True, job.report
    assert service.opened > 0


async def test_a_run_that_broke_off_leaves_nothing_behind(app: App, database_url: str) -> None:
    ident = await asked_for(app.runtime)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for name in (f"job:{ident}", "job:00000000-0000-0000-0000-000000000000", "trusted"):
            connection.execute("INSERT INTO audit_verification_state VALUES (%s, '', now())", (name,))
        nowhere = app.runtime.settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
        await runs.carry_out(replace(app.runtime, settings=nowhere), AloneLead(), ident)
        left = connection.execute("SELECT name FROM audit_verification_state").fetchall()
    assert left == [("trusted",)]
