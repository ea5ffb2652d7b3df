"""Names of people lie outside the ledger: it is committed to them all the same, for as long as they are not erased."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backend.audit import rotating
from backend.audit.apart import record_apart
from backend.audit.events import AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import Plan, Result, verify
from backend.audit.verification.verdicts import Verdict
from backend.auth import accounts
from backend.context import Caller
from tests.support.app import SYSTEM, App, started_app
from tests.support.ledger import ledger_rows, sealed_values, settled
from tests.support.outage import outage
from tests.support.people import ADMIN, OFFICER, OPERATOR
from tests.support.verifying import keys_of

NAMES = ("olga", "peter")


def person(name: str) -> Caller:
    return Caller(name, "user", "mev_operator", frozenset(), "req-1", ip="192.0.2.7", user_agent="test")


async def act(app: App, *names: str) -> None:
    for name in names:
        async with app.runtime.database.transaction() as session:
            await record(session, app.runtime, person(name), AuditDraft(AuditEvent.FREEZE_CREATED, "look"))


@pytest.fixture
async def known(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """A backend that knows two people."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    async with started_app(database_url) as app:
        await act(app, *NAMES)
        await settled(app)
        yield app


def opened(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, options="-c timezone=UTC")


def verified(app: App, connection: psycopg.Connection[Any]) -> Result:
    return verify(connection, Plan(keys_of(app.runtime)))


def surrogates(connection: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(connection.execute("SELECT name, pid FROM audit_subjects WHERE name IS NOT NULL").fetchall())


def told(result: Result, verdict: Verdict) -> str:
    return "\n".join(one.detail for one in result.verdicts[verdict].first)


def sound(result: Result) -> bool:
    assert not result.verdicts.failed, result.verdicts.to_tree()
    return True


SWAP = """
BEGIN;
UPDATE audit_subjects SET name = 'x' WHERE name = 'olga';
UPDATE audit_subjects SET name = 'olga' WHERE name = 'peter';
UPDATE audit_subjects SET name = 'peter' WHERE name = 'x';
COMMIT
"""


async def test_each_person_is_committed_to_once_and_the_name_is_in_no_bytes(known: App, database_url: str) -> None:
    await act(known, *NAMES)
    rows = [row for row in await ledger_rows(known) if row.event_type == AuditEvent.SUBJECT_NAMED]
    with opened(database_url) as connection:
        pids = surrogates(connection)
        assert sound(verified(known, connection))
    assert {row.resource_id for row in rows} == set(pids.values())
    assert len(rows) == len(pids)
    for row in rows:
        assert row.log == "meta"
        (name,) = [name for name, pid in pids.items() if pid == row.resource_id]
        assert name not in row.canon.decode()
        assert await sealed_values(known, row.id) == {"name": name}


async def test_two_swapped_names_are_found_and_both_surrogates_told(known: App, database_url: str) -> None:
    with opened(database_url) as connection:
        pids = surrogates(connection)
        connection.execute(SWAP)
        result = verified(known, connection)
        assert result.verdicts.failed == (Verdict.PROJECTION,)
        found = told(result, Verdict.PROJECTION)
        assert pids["olga"] in found
        assert pids["peter"] in found
        assert "olga" not in found
        assert "peter" not in found
        connection.execute(SWAP)
        assert sound(verified(known, connection))


@pytest.mark.parametrize(
    ("statement", "verdict", "of"),
    [
        ("UPDATE audit_subjects SET name = 'paul' WHERE pid = %s", Verdict.PROJECTION, 1),
        ("UPDATE audit_subjects SET pid = 'person:pzzzzzzzzzzzzzzzz' WHERE pid = %s", Verdict.ERASURE, 1),
        ("UPDATE audit_subjects SET name = NULL, erased_at = now() WHERE pid = %s", Verdict.ERASURE, 1),
        ("DELETE FROM audit_subjects WHERE pid = %s", Verdict.ERASURE, 1),
        ("DELETE FROM audit_sealed WHERE field = 'name' AND subject = %s", Verdict.PROJECTION, 1),
        ("UPDATE audit_sealed SET ciphertext = sha256(ciphertext) WHERE subject = %s", Verdict.PROJECTION, 1),
        (
            "INSERT INTO audit_subjects VALUES ('person:paaaaaaaaaaaaaaaa', 'paul' || right(%s, 0), now())",
            Verdict.PROJECTION,
            0,
        ),
    ],
)
async def test_a_name_changed_made_up_or_gone_is_found(
    known: App, database_url: str, statement: str, verdict: Verdict, of: int
) -> None:
    with opened(database_url) as connection:
        pid = surrogates(connection)["olga"]
        connection.execute(statement, (pid,))
        result = verified(known, connection)
    assert verdict in result.verdicts.failed
    named = [one for one in result.verdicts[verdict].first if one.what == "name"]
    assert len(named) == 1
    assert (pid in named[0].detail) is bool(of)


async def test_one_persons_commitment_does_not_serve_another(known: App, database_url: str) -> None:
    """A superuser exchanges everything that is no bytes of an entry: names, sealed values, keys."""
    with opened(database_url) as connection:
        one, other = (surrogates(connection)[name] for name in NAMES)
        connection.execute("SET session_replication_role = replica")
        connection.execute(SWAP)
        connection.execute("ALTER TABLE audit_subject_keys DROP CONSTRAINT uq_audit_subject_keys_subject")
        exchange = "SET subject = CASE subject WHEN %s THEN %s ELSE %s END WHERE subject IN (%s, %s)"
        for table in ("audit_sealed", "audit_subject_keys"):
            connection.execute(f"UPDATE {table} {exchange}", (one, other, one, one, other))
        result = verified(known, connection)
    found = told(result, Verdict.PROJECTION)
    assert one in found
    assert other in found


async def test_an_erased_name_is_no_finding_opens_never_again_and_comes_back_as_another(
    known: App, database_url: str
) -> None:
    await (await known.as_(OPERATOR)).aclose()
    with opened(database_url) as connection:
        before = surrogates(connection)[OPERATOR.name]
    async with await known.as_(OFFICER) as officer, await known.as_(ADMIN) as admin:
        asked = await officer.post("/v1/privacy/erasures", json={"subject": OPERATOR.name, "reason": "asked"})
        erased = await admin.post(f"/v1/privacy/erasures/{asked.json()['id']}/approve")
        assert erased.status_code == 200, erased.text
    (row,) = [
        row
        for row in await ledger_rows(known)
        if row.event_type == AuditEvent.SUBJECT_NAMED and row.resource_id == before
    ]
    assert await sealed_values(known, row.id) == {"name": None}
    with opened(database_url) as connection:
        assert sound(verified(known, connection))
        left = connection.execute("SELECT count(*) FROM audit_sealed WHERE entry_id = %s", (row.id,)).fetchone()
        keys = connection.execute("SELECT wrapped FROM audit_subject_keys WHERE subject = %s", (before,)).fetchall()
        assert left == (0,)
        assert keys == [(None,)]
        connection.execute("UPDATE audit_subjects SET name = 'somebody' WHERE pid = %s", (before,))
        assert told(verified(known, connection), Verdict.PROJECTION) == f"{before} was erased and has a name"
        connection.execute("UPDATE audit_subjects SET name = NULL WHERE pid = %s", (before,))
    async with known.runtime.database.transaction() as session:
        await accounts.add_user(session, known.runtime, SYSTEM, name=OPERATOR.name, role=OPERATOR.role, again=True)
    await settled(known)
    with opened(database_url) as connection:
        assert surrogates(connection)[OPERATOR.name] != before
        assert sound(verified(known, connection))


async def test_a_new_master_key_opens_the_same_names(known: App, database_url: str) -> None:
    await rotating.rotate(known.runtime, SYSTEM)
    await act(known, "quentin")
    with opened(database_url) as connection:  # the last name may still be on its way into the ledger
        assert sound(await asyncio.to_thread(verified, known, connection))
    await settled(known)
    with opened(database_url) as connection:
        assert sound(verified(known, connection))
        assert len(surrogates(connection)) == 3


async def test_a_name_whose_transaction_is_rolled_back_leaves_nothing(known: App, database_url: str) -> None:
    async def broken_off() -> None:
        async with known.runtime.database.transaction() as session:
            await record(session, known.runtime, person("rolf"), AuditDraft(AuditEvent.FREEZE_CREATED, "look"))
            raise RuntimeError("not this time")

    with pytest.raises(RuntimeError, match="not this time"):
        await broken_off()
    await act(known, "rolf")
    await settled(known)
    with opened(database_url) as connection:
        assert sound(verified(known, connection))
        named = connection.execute(
            "SELECT count(*) FROM audit_entries WHERE event_type = 'ledger.subject.named'"
        ).fetchone()
    assert named == (3,)


async def test_a_person_first_told_of_from_the_spool_is_committed_to_under_a_number_of_its_own(
    known: App, database_url: str
) -> None:
    runtime = known.runtime
    with outage(database_url):
        await record_apart(runtime, person("nina"), AuditDraft(AuditEvent.EXECUTOR_MOVED, "move"))
    for _ in range(3_000):
        if not runtime.write_path.spool.waiting:
            break
        await asyncio.sleep(0.01)
    await settled(known)
    with opened(database_url) as connection:
        assert "nina" in surrogates(connection)
        assert sound(await asyncio.to_thread(verified, known, connection))
