"""Nothing a database superuser changes goes unseen: some of the enumerated changes; `python -m tests.bench tampering`
makes all of them.
"""

import pytest

from tests.support.app import started_app
from tests.support.tampered import Harness, prepared

SHARE = 9
"""One change in so many is made here, the same ones in every run."""


@pytest.fixture
async def harness(database_url: str) -> Harness:
    async with started_app(database_url) as app:
        return await prepared(app, database_url, acts=24)


def test_changes_by_a_superuser_are_found_and_untouched_copies_are_not_accused(harness: Harness) -> None:
    with harness.opened() as connection:
        result = harness.run(connection, rows_each=6, share=SHARE)
    assert result.false_alarms == []
    assert result.missed == []
    assert result.made >= 200


def test_a_ledger_rewritten_whole_is_left_to_what_lies_outside_it_and_is_not_called_vouched_for(
    harness: Harness,
) -> None:
    with harness.opened() as connection:
        assert not harness.rewritten_unseen(connection)
