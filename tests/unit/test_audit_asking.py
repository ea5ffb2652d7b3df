"""Statements as the driver takes them: values by name, everything else as it was written."""

import pytest

from backend.audit.asking import _translated


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("seq < :size0 AND at >= :from", "seq < %(size0)s AND at >= %(from)s"),
        ("ANY(:a)", "ANY(%(a)s)"),
        ("part::text", "part::text"),
        ("split_part(pid, ':', 2)", "split_part(pid, ':', 2)"),
        ("'10:30'", "'10:30'"),
        ("n % 2 = :n", "n %% 2 = %(n)s"),
    ],
)
def test_only_names_of_values_are_changed(written: str, taken: str) -> None:
    assert _translated(written) == taken
