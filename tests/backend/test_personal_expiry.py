"""When personal values end: by the shorter of what is stated, in quarantine too; and when their person is erased."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from backend.audit import erasing, quarantined
from backend.audit.authentic import mac_of
from backend.audit.events import AuditEvent
from backend.audit.sealing import without_subjects
from backend.audit.service import AuditDraft, record
from backend.audit.verification.check import Plan, verify
from backend.context import Caller, Runtime
from ledger.canon import format_instant
from ledger.entry import Detail, Emitter, Entry, Index
from tests.support.aged import LOG, Aged, aged
from tests.support.ledger import ledger_rows, settled
from tests.support.people import OFFICER
from tests.support.verifying import keys_of, opened

_TOO_LONG_FOR_AN_INDEX = "".join(uuid.uuid4().hex for _ in range(500))


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    async with aged(database_url, tmp_path, monkeypatch) as made:
        yield made


async def _rows(old: Aged, statement: str, **values: object) -> Sequence[Any]:
    async with old.app.runtime.database.transaction() as session:
        found = await session.execute(text(statement), values)
        return found.all() if statement.startswith("SELECT") else []


async def _sign_in(old: Aged) -> None:
    """An entry of seven years, with an address."""
    caller = Caller("olga", "user", "mev_operator", frozenset(), "req-1", ip="192.0.2.7")
    async with old.app.runtime.database.transaction() as session:
        await record(session, old.app.runtime, caller, AuditDraft("auth.login.succeeded", "sign in"))
    await settled(old.app)


async def _expired(old: Aged) -> dict[str, dict[str, Any]]:
    rows = [row for row in await ledger_rows(old.app) if row.event_type == AuditEvent.SEALED_EXPIRED.value]
    facts = [Entry.from_canon(row.canon).detail.new_value or {} for row in rows]
    return {str(one["log"]): dict(one) for one in facts}


async def _values(old: Aged, log: str) -> int:
    return int((await _rows(old, "SELECT count(*) FROM audit_sealed WHERE log = :log", log=log))[0][0])


async def test_personal_values_go_earlier_than_their_entries_where_the_policy_says_so(old: Aged) -> None:
    await old.write(1)
    await _sign_in(old)
    assert old.app.runtime.policy.audit_days["7y"] == 2_555
    assert old.app.runtime.policy.privacy.retention_days["log_data"] == 1_095
    old.clock.at += timedelta(days=1_095)
    await old.keeper().round()
    assert await _values(old, "7y") == 1, "its last day has not passed"
    old.clock.at += timedelta(days=1)
    await old.keeper().round()
    assert await _values(old, "7y") == 0
    told = await _expired(old)
    assert {log: (one["days"], one["stated_by"]) for log, one in told.items() if log != "meta"} == {
        LOG: (1_095, "the retention of the log"),
        "7y": (1_095, "the policy's privacy.retention_days.log_data"),
    }
    assert all(
        one["before"] == format_instant(old.clock.at.replace(hour=0, minute=0) - timedelta(1_095))
        for one in told.values()
    )


async def test_where_the_policy_says_nothing_of_personal_data_the_log_decides(old: Aged) -> None:
    policy = old.app.runtime.policy
    object.__setattr__(policy.privacy, "retention_days", MappingProxyType({"user_data": 30}))
    assert (policy.personal_days(365), policy.personal_days(None)) == (365, None)
    await _sign_in(old)
    old.clock.at += timedelta(days=2_555)
    await old.keeper().round()
    assert await _values(old, "7y") == 1
    old.clock.at += timedelta(days=1)
    await old.keeper().round()
    assert await _values(old, "7y") == 0


async def test_a_log_kept_for_ever_keeps_no_personal_values_for_ever(old: Aged) -> None:
    policy = old.app.runtime.policy
    assert (policy.personal_days(None), policy.personal_days(365), policy.personal_days(2_555)) == (1_095, 365, 1_095)


def _failed(old: Aged, database_url: str) -> set[str]:
    """The verdicts that are against the ledger."""
    with opened(database_url) as connection:
        result = verify(connection, Plan(keys_of(old.app.runtime)))
    return {str(verdict) for verdict, tally in result.verdicts.items() if tally.findings}


async def test_a_verification_accepts_what_was_announced_and_nothing_more(old: Aged, database_url: str) -> None:
    olga, _ = await _people(old)
    aside = await _aside(old, olga)
    await _sign_in(old)
    old.clock.at += timedelta(days=1_096)
    before = await asyncio.to_thread(_failed, old, database_url)
    assert before <= {"external"}, "nothing is signed here"
    await old.keeper().round()
    assert (await _values(old, "7y"), await _values(old, LOG)) == (0, 0)
    assert await _sealed_aside(old, aside) == (None, True)
    named = await _rows(old, "SELECT count(*) FROM audit_sealed WHERE log = 'meta' AND field = 'name'")
    assert named[0][0] > 0, "what binds a name to its surrogate lives as long as the name"
    await _sign_in(old)
    assert await asyncio.to_thread(_failed, old, database_url) == before
    await _rows(old, "DELETE FROM audit_sealed WHERE log = '7y'")
    assert await asyncio.to_thread(_failed, old, database_url) == before | {"erasure"}


# quarantine


async def _aside(old: Aged, *people: str, log: str = "7y", unreadable: bool = False) -> int:
    """Have the sequencer put an entry aside with a value of each of some people; gives its number there."""
    runtime = old.app.runtime
    keys = [
        (pid, str(ident))
        for pid in people
        for (ident,) in await _rows(old, "SELECT id FROM audit_subject_keys WHERE subject = :pid", pid=pid)
    ]
    canon, ident = _canon(runtime, log)
    sealed = (
        b"unreadable of " + people[0].encode()
        if unreadable
        else orjson.dumps([[f"field{n}", pid, key, "00" * 12, "00" * 40, None] for n, (pid, key) in enumerate(keys)])
    )
    mac = mac_of(runtime.keyring.outbox, canon, sealed)
    await _rows(
        old,
        "INSERT INTO audit_outbox (id, log, canon, mac, sealed, emitted_at)"
        " VALUES (:id, :log, :canon, :mac, :sealed, :at)",
        id=ident, log=log, canon=canon, mac=mac, sealed=sealed, at=old.clock.at,
    )  # fmt: skip
    await settled(old.app)
    ((number,),) = await _rows(old, "SELECT number FROM audit_quarantine WHERE id = :id", id=ident)
    return int(number)


def _canon(runtime: Runtime, log: str) -> tuple[bytes, uuid.UUID]:
    ident = runtime.clock.new_id()
    index = Index(
        id=str(ident), log=log, occurred_at=format_instant(runtime.clock.now()), category="configuration",
        event_type="freeze.hold.created", action="freeze", outcome="success", request_id=_TOO_LONG_FOR_AN_INDEX,
    )  # fmt: skip
    emitter = Emitter(node="node", boot=f"by-hand-{ident}", n=1, settled=0)
    return Entry(index=index, emitter=emitter, detail=Detail()).to_canon(), ident


async def _people(old: Aged) -> tuple[str, str]:
    """Two surrogates with keys."""
    await old.write(1)
    await old.write(1, name="oscar")
    found = dict(await _rows(old, "SELECT name, pid FROM audit_subjects"))
    return found["olga"], found[OFFICER.name]


async def _sealed_aside(old: Aged, number: int) -> tuple[bytes | None, bool]:
    """What is left, and whether the row is still known as ours."""
    ((canon, mac, sealed),) = await _rows(
        old, "SELECT canon, mac, sealed FROM audit_quarantine WHERE number = :number", number=number
    )
    return sealed, bytes(mac) == mac_of(old.app.runtime.keyring.outbox, canon, sealed)


async def test_an_erasure_reaches_what_was_put_aside(old: Aged) -> None:
    olga, oscar = await _people(old)
    hers, both, his = await _aside(old, olga), await _aside(old, olga, oscar), await _aside(old, oscar)
    garbled = await _aside(old, olga, unreadable=True)
    await _rows(old, "UPDATE audit_quarantine SET mac = 'x' WHERE number = :number", number=garbled)
    async with old.app.runtime.database.transaction() as session:
        assert await quarantined.count_of(session, olga) == 3
        in_ledger = await session.scalar(
            text("SELECT count(*) FROM audit_sealed WHERE subject = :subject"), {"subject": olga}
        )
        gone = await erasing.destroy(session, old.app.runtime, olga)
    assert gone.values == (in_ledger or 0) + 3
    assert await _sealed_aside(old, hers) == (None, True)
    left, is_ours = await _sealed_aside(old, both)
    assert left is not None
    assert (is_ours, [field[1] for field in orjson.loads(left)]) == (True, [oscar])
    assert (await _sealed_aside(old, his))[0] is not None
    assert await _sealed_aside(old, garbled) == (None, False), "what nobody of ours wrote is not made ours"
    late = await _aside(old, olga, oscar)
    left, is_ours = await _sealed_aside(old, late)
    assert (is_ours, olga.encode() in (left or b""), oscar.encode() in (left or b"")) == (True, False, True)
    assert await _sealed_aside(old, await _aside(old, olga)) == (None, True), "put aside after the erasure"


async def test_values_in_quarantine_go_on_their_date_unless_a_hold_keeps_them(old: Aged) -> None:
    olga, oscar = await _people(old)
    hers, his = await _aside(old, olga), await _aside(old, oscar)
    unknown = await _aside(old, olga, log="no-such-log")
    young = old.clock.at + timedelta(days=1)
    held = (
        "INSERT INTO legal_holds (id, subject, until, reason, placed_by, placed_at)"
        " VALUES (gen_random_uuid(), :subject, :until, 'a claim', 'person:x', now())"
    )
    await _rows(old, held, subject=oscar, until=young)
    await _rows(old, held, subject=olga, until=old.clock.at - timedelta(days=1))
    old.clock.at += timedelta(days=1_095)
    await old.keeper().round()
    assert (await _sealed_aside(old, hers))[0] is not None, "its last day has not passed"
    old.clock.at += timedelta(days=1)
    await old.keeper().round()
    await old.keeper().round()
    assert await _sealed_aside(old, hers) == (None, True)
    assert await _sealed_aside(old, unknown) == (None, True)
    assert (await _sealed_aside(old, his))[0] is not None
    told = await _expired(old)
    assert (told["7y"]["values"], told["7y"]["quarantined_values"]) == (0, 1)
    assert told["no-such-log"]["quarantined_values"] == 1
    await _rows(old, "UPDATE legal_holds SET lifted_at = now()")
    await old.keeper().round()
    assert await _sealed_aside(old, his) == (None, True)


@pytest.mark.parametrize("raw", [b"", b"{", b"7", b'"text"', b"[7]", b'["abcdef"]', b"{}", b'[["a","b"]]'])
def test_bytes_that_nobody_can_read_go_whole(raw: bytes) -> None:
    assert without_subjects(raw, {"person:x"})[0] in (None, raw if raw == b"{}" else None)
