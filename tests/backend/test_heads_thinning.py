"""Signed heads that add nothing go; what anybody relies on stays, and no question costs more for a long history."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from backend.audit import checkpoints
from backend.audit.checkpoints import held_sizes, latest_heads, witnessed_size
from backend.audit.heads import thinning
from backend.audit.heads.thinning import RULES, Rule, Thinner, superfluous
from backend.audit.identity import ledger_of
from tests.support.app import AloneLead, App, started_app

HOUR, DAY = RULES
_HEADS = """
INSERT INTO audit_checkpoints (origin, size, log, root, epoch, note, signed_at)
SELECT %(origin)s, %(count)s - n, %(log)s, sha256(n::text::bytea), 0, 'note', now() - n * %(step)s::interval
FROM generate_series(0, %(count)s - 1) AS n
"""
_RECEIPTS = """
INSERT INTO audit_cosignatures (origin, size, witness, receipt, witnessed_at)
SELECT origin, size, %(witness)s, '', signed_at FROM audit_checkpoints WHERE origin = %(origin)s AND size <= %(until)s
"""
AWAY, HERE = "dir:away", "dir:here"


def planted(url: str, origin: str, count: int, step: str, *, away_after: int) -> None:
    """Heads up to now, one every `step`; one witness holds all, the other the oldest only."""
    values = {"origin": origin, "log": origin.split("/")[1], "count": count, "step": step}
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(_HEADS, values)
        for witness, until in ((HERE, count), (AWAY, away_after)):
            connection.execute(_RECEIPTS, {"origin": origin, "witness": witness, "until": until})


async def name_of(app: App) -> str:
    async with app.runtime.database.transaction() as session:
        return (await ledger_of(session, app.runtime)).name


async def thinned(app: App) -> int:
    """Thin until nothing is left to do; how many steps it took."""
    thinner, steps = Thinner(app.runtime, AloneLead()), 1
    while await thinner.step():
        steps += 1
    return steps


async def rows(app: App, statement: str, **values: Any) -> Sequence[Any]:
    async with app.runtime.database.read() as session:
        return (await session.execute(text(statement), values)).all()


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 500)), max_size=40), st.sampled_from(RULES))
def test_the_largest_head_of_each_stretch_stays(heads: list[tuple[int, int]], rule: Rule) -> None:
    times = [(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=20 * minute), size) for minute, size in heads]
    going = superfluous(rule, times)
    stretches = {rule.begins(at) for at, size in times if size not in going}
    assert stretches == {rule.begins(at) for at, _ in times} or len({size for _, size in times}) < len(times)
    assert not times or max(size for _, size in times) not in going


async def test_a_long_history_is_thinned_and_nothing_that_counts_goes(database_url: str) -> None:
    async with started_app(database_url) as app:
        origin = f"{await name_of(app)}/1y"
        planted(database_url, origin, 9_000, "13 minutes", away_after=1_003)  # 81 days
        before = await rows(app, "SELECT size, signed_at FROM audit_checkpoints ORDER BY size")
        assert await thinned(app) > 3
        left = await rows(app, "SELECT size, signed_at FROM audit_checkpoints ORDER BY size")
        now = (await rows(app, "SELECT clock_timestamp()"))[0][0]
        sizes = {row.size for row in left}
        for row in before:
            if row.signed_at > now - timedelta(hours=47, minutes=59):
                assert row.size in sizes
        hours = {HOUR.begins(row.signed_at) for row in before if row.signed_at < HOUR.until(now)}
        recent = {hour for hour in hours if hour >= DAY.until(now)}
        older = {DAY.begins(hour) for hour in hours - recent}
        kept_hours = [HOUR.begins(row.signed_at) for row in left if DAY.until(now) <= row.signed_at < HOUR.until(now)]
        kept_days = [DAY.begins(row.signed_at) for row in left if row.signed_at < DAY.until(now)]
        assert sorted(kept_hours) == sorted(recent)
        assert set(kept_days) == older
        assert len(kept_days) == len(older) + 1  # what the witness holds that went away
        assert {9_000, 1_003} <= sizes
        receipts = await rows(app, "SELECT size FROM audit_cosignatures WHERE witness = :w", w=HERE)
        assert {row.size for row in receipts} == sizes
        async with app.runtime.database.read() as session:
            assert await held_sizes(session, origin) == {HERE: 9_000, AWAY: 1_003}
            assert [await witnessed_size(session, origin, needed) for needed in (0, 1, 2, 3)] == [
                9_000,
                9_000,
                1_003,
                0,
            ]
            assert [head.size for head in await latest_heads(session, [origin, "x/1y"])] == [9_000]
        assert await thinned(app) == 1
        assert len(await rows(app, "SELECT size FROM audit_checkpoints")) == len(left)


async def test_a_head_that_a_period_names_stays(database_url: str) -> None:
    async with started_app(database_url) as app:
        origin = f"{await name_of(app)}/1y"
        planted(database_url, origin, 600, "10 minutes", away_after=0)
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "INSERT INTO audit_periods (log, n, period_start, period_end, seq_start, seq_end, record_count,"
                " hash_chain, sealed_at) VALUES ('1y', 0, now(), now(), 0, 100, 100, sha256(''), now())"
            )
        await thinned(app)
        sizes = {row.size for row in await rows(app, "SELECT size FROM audit_checkpoints")}
        assert 100 in sizes
        assert len(sizes) < 400


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_checkpoints WHERE size = 600",
        "DELETE FROM audit_checkpoints WHERE size > 590",
        "DELETE FROM audit_checkpoints WHERE size IN (1, 2, 3, 4, 5, 6, 7)",
        "UPDATE audit_checkpoints SET note = 'x'",
        "TRUNCATE audit_checkpoints",
        "DELETE FROM audit_cosignatures WHERE size = 2",
        "DELETE FROM audit_cosignatures WHERE size = 600",
        "TRUNCATE audit_cosignatures",
    ],
)
async def test_the_database_lets_nothing_else_go(database_url: str, statement: str) -> None:
    async with started_app(database_url) as app:
        planted(database_url, f"{await name_of(app)}/1y", 600, "10 minutes", away_after=0)
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def _blocks(plan: dict[str, Any]) -> int:
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


async def test_no_question_reads_more_for_a_long_history(database_url: str) -> None:
    """Asked of 30,000 heads; the pages read are those of a few looks into an index."""
    async with started_app(database_url) as app:
        origin = f"{await name_of(app)}/1y"
        planted(database_url, origin, 30_000, "10 seconds", away_after=20_000)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE audit_checkpoints, audit_cosignatures")
        asked: list[tuple[Any, dict[str, Any]]] = [
            (checkpoints._ORIGINS, {}),
            (checkpoints._LATEST, {"origins": [origin]}),
            (checkpoints._HELD, {"origin": origin}),
            (
                text("SELECT signed_at FROM audit_checkpoints WHERE origin = :o AND size > :s ORDER BY size LIMIT 1"),
                {"o": origin, "s": 20_000},
            ),
        ]
        for statement, values in asked:
            (row,) = await rows(app, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}", **values)
            assert _blocks(row[0][0]["Plan"]) < 60, row[0][0]["Plan"]
    assert thinning.BATCH_HEADS < 30_000
