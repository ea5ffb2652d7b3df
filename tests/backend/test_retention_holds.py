"""Legal holds on people and retention: many holds never make it fail, and only the bytes allow a drop."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from sqlalchemy import text

from backend.audit.retention import heldpeople, report
from backend.audit.retention.heldpeople import UNKNOWN, Patience, PersonHold, Reading, found_by_index
from backend.audit.retention.survey import Partition
from tests.support.aged import LOG, WIDTH, Aged, aged

ROWS = 20_000
AGES_S = 600.0
"""Seconds of patience that no test uses up."""
_MANY = """
INSERT INTO legal_holds (id, subject, log, reason, placed_by, placed_at)
SELECT gen_random_uuid(), 'person:p' || translate(substr(md5(n::text), 1, 16), '0189', 'wxyz'), NULL, 'a claim',
    'person:x', now() + n * interval '1 second'
FROM generate_series(1, :count) AS n
"""
_BIG = """
INSERT INTO audit_entries (log, seq, id, occurred_at, sequenced_at, category, event_type, action, outcome, leaf, canon)
SELECT 'big', n, gen_random_uuid(), now(), now(), 'c', 'e', 'a', 'success', '', convert_to(format(
    '{"index":{"actor":"person:p%s"},"body":{"detail":{"new_value":{"n":%s}}}}',
    translate(substr(md5('other' || n), 1, 16), '0189', 'wxyz'), n), 'UTF8')
FROM generate_series(0, :count - 1) AS n
"""


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    async with aged(database_url, tmp_path, monkeypatch) as made:
        yield made


async def _run(old: Aged, statement: str, **values: object) -> None:
    async with old.app.runtime.database.transaction() as session:
        await session.execute(text(statement), values)


async def _hold_on(old: Aged, subject: str) -> UUID:
    statement = (
        "INSERT INTO legal_holds (id, subject, reason, placed_by, placed_at)"
        " VALUES (:id, :subject, 'a claim', 'person:x', now() - interval '1 day')"
    )
    ident = uuid4()
    await _run(old, statement, id=ident, subject=subject)
    return ident


async def _olga(old: Aged) -> str:
    async with old.app.runtime.database.read() as session:
        return str(await session.scalar(text("SELECT pid FROM audit_subjects WHERE name = 'olga'")))


async def _due(old: Aged) -> None:
    await old.ready(WIDTH)
    await old.keeper().round()
    old.grow_old()
    await old.keeper().check_copies()


async def test_a_thousand_holds_on_people_are_found_along_the_index_of_words(old: Aged) -> None:
    await _run(old, "SELECT audit_add_partition('big', 0, :count)", count=ROWS)
    await _run(old, _BIG, count=ROWS)
    await _run(old, "ANALYZE audit_entries")
    await _run(old, _MANY, count=1_000)
    partition = Partition("big", 0, ROWS, None, None)
    async with old.app.runtime.database.read() as session:
        assert await found_by_index(session, partition, Patience.of(AGES_S)) == []
        asked = await heldpeople.in_force(session, "big")
        await session.execute(heldpeople._SETTINGS, {"limit": "0"})
        values = heldpeople.asked_for(partition, asked[: heldpeople.BATCH_HOLDS])
        plan = "\n".join(await session.scalars(text(f"EXPLAIN {heldpeople._FIND.text}"), values))
        assert "Seq Scan" not in plan
        assert "words @@" in plan.split("Index Cond:")[1], plan
        known = await session.scalar(text("SELECT convert_from(canon, 'UTF8') FROM audit_entries WHERE seq = 77"))
    ident = await _hold_on(old, orjson.loads(known or "")["index"]["actor"])
    async with old.app.runtime.database.read() as session:
        told = await found_by_index(session, partition, Patience.of(AGES_S))
    assert told == [f"legal hold {ident} is on a person who stands in it"]


async def test_a_question_without_time_for_an_answer_says_so_and_only_the_bytes_allow_a_drop(
    old: Aged, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _due(old)
    ident = await _hold_on(old, await _olga(old))
    monkeypatch.setattr(heldpeople, "LOOK_S", 0.0)
    monkeypatch.setattr(report, "LOOK_S", 0.0)
    assert await old.held_back_by() == f"{UNKNOWN}: 1 of 1 have not been looked for"
    keeper = old.keeper()
    await keeper.round()
    assert await old.entries() == WIDTH, "the bytes say that the person stands in it"
    await _run(old, "UPDATE legal_holds SET lifted_at = now() WHERE id = :id", id=ident)
    await _run(old, _MANY, count=10)
    await keeper.round()
    assert await old.entries() == WIDTH, "the bytes are not read every minute"
    old.clock.at += timedelta(hours=1)
    await keeper.round()
    assert await old.entries() == 0


async def test_a_statement_that_takes_too_long_harms_nothing_else(old: Aged, database_url: str) -> None:
    await old.write(WIDTH)
    await _hold_on(old, await _olga(old))
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE audit_entries_3y_0 IN ACCESS EXCLUSIVE MODE")
        async with old.app.runtime.database.transaction() as session:
            before = await session.scalar(text("SHOW statement_timeout"))
            told = await found_by_index(session, Partition(LOG, 0, WIDTH, None, None), Patience.of(0.2))
            assert await session.scalar(text("SHOW statement_timeout")) == before
    assert told == [f"{UNKNOWN}: 1 of 1 have not been looked for"]


async def test_of_what_is_not_due_nothing_is_asked(old: Aged, database_url: str) -> None:
    await old.write(WIDTH)
    partition = Partition(LOG, 0, WIDTH, old.clock.at, old.clock.at)
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE legal_holds, audit_spans, audit_entries IN ACCESS EXCLUSIVE MODE")
        await old.keeper().drop(partition)


async def test_no_more_holds_are_named_than_somebody_reads(old: Aged) -> None:
    await old.write(WIDTH)
    for _ in range(heldpeople.MAX_TOLD + 2):
        await _hold_on(old, await _olga(old))
    async with old.app.runtime.database.read() as session:
        told = await found_by_index(session, Partition(LOG, 0, WIDTH, None, None), Patience.of(AGES_S))
    assert len(told) == heldpeople.MAX_TOLD


WORD = "pabcdefghij234567"
AT = datetime(2025, 5, 1, 12, tzinfo=UTC)


def _canon(text_: str, at: datetime = AT) -> bytes:
    return orjson.dumps({"index": {"occurred_at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}, "body": text_})


@pytest.mark.parametrize(
    ("told", "covers"),
    [
        (f"person:{WORD}", True),
        (f"by {WORD}-approved", True),
        (f"pp{WORD}", True),
        (f"\n{WORD}9", True),
        (WORD[:-1], False),
        ("somebody:else", False),
    ],
)
def test_a_surrogate_is_found_wherever_it_stands(told: str, covers: bool) -> None:  # noqa: FBT001  a parameter
    hold, odd = PersonHold(uuid4(), WORD, None, None), PersonHold(uuid4(), "of-another-make", None, None)
    reading = Reading([hold, odd])
    reading.feed([_canon("nobody"), _canon(told)])
    assert (reading.judge([hold, odd]) == [str(hold)]) == covers
    reading.feed([_canon("an of-another-make")])
    assert str(odd) in reading.judge([hold, odd])


def test_a_hold_covers_its_time_only_and_one_placed_meanwhile_is_not_forgotten() -> None:
    before = PersonHold(uuid4(), WORD, None, AT)
    after = PersonHold(uuid4(), WORD, AT + timedelta(microseconds=1), None)
    within = PersonHold(uuid4(), WORD, AT, AT + timedelta(microseconds=1))
    reading = Reading([before, after, within])
    reading.feed([_canon(WORD)])
    assert reading.judge([before, after, within]) == [str(within)]
    assert reading.judge([before, after]) == [], "lifted meanwhile"
    late = PersonHold(uuid4(), WORD, None, None)
    assert reading.judge([late]) == [f"legal hold {late.id} was placed meanwhile: the entries are read again"]
