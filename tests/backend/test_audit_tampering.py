"""Nothing a database superuser changes goes unseen: some of the enumerated changes; `python -m tests.bench tampering`
makes all of them.
"""

import psycopg
import pytest

from tests.support.app import started_app
from tests.support.tampered import Harness, prepared, put_to_rest
from tests.support.tampering_tables import KEYS, NOT_EVIDENCE, NOTES

SHARE = 9
"""One change in so many is made here, the same ones in every run."""


@pytest.fixture
async def harness(database_url: str) -> Harness:
    async with started_app(database_url) as app:
        made = await prepared(app, database_url, acts=24)
    await put_to_rest(database_url)
    return made


def test_changes_by_a_superuser_are_found_and_untouched_copies_are_not_accused(harness: Harness) -> None:
    with harness.opened() as connection:
        result = harness.run(connection, rows_each=6, share=SHARE)
    assert result.false_alarms == []
    assert result.missed == []
    assert result.made.total() >= 200


def test_every_column_of_the_ledger_is_evidence_or_named_as_none(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
            " AND c.relname LIKE 'audit%' AND a.attnum > 0 AND NOT a.attisdropped"
        ).fetchall()
    columns = {(table, column) for table, column in rows}
    known = {"audit_entries", *KEYS, *NOT_EVIDENCE}
    assert {table for table, _ in columns} == known
    assert set(NOTES) <= columns
    assert not KEYS.keys() & NOT_EVIDENCE.keys()


def test_a_ledger_rewritten_whole_is_left_to_what_lies_outside_it_and_is_not_called_vouched_for(
    harness: Harness,
) -> None:
    with harness.opened() as connection:
        assert not harness.rewritten_unseen(connection)
