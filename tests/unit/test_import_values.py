"""How one cell becomes one value: exact, and never guessed."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.client.imports import values


@pytest.mark.parametrize("blank", ["", "  ", "null", "NULL", "NaN", "None", "\\N", None, float("nan"), Decimal("NaN")])
def test_a_blank_amount_stays_blank_and_is_never_zero(blank: object) -> None:
    assert values.to_amount(blank) is None
    assert values.to_integer(blank) is None
    assert values.scaled(-18)(blank) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0", "0"),
        (" -1.416246181321696 ", "-1.416246181321696"),
        ("+.5", "+.5"),
        ("1e-09", "1e-09"),
        (7, "7"),
        (0.1, "0.1"),
        (Decimal("0.10"), "0.10"),
    ],
)
def test_an_amount_keeps_every_digit(cell: object, expected: str) -> None:
    assert values.to_amount(cell) == expected


@pytest.mark.parametrize(
    "cell",
    ["1,5", "1 000", "1_000", "$5", "0x10", "١", "inf", "1e99999", "5 ETH", "=1+1", True, [1], float("inf"), "9" * 200],
)
def test_what_is_no_number_is_refused_with_the_cell(cell: object) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        values.to_amount(cell)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**9), max_value=10**9))
def test_any_amount_comes_through_exactly(amount: Decimal) -> None:
    assert Decimal(str(values.to_amount(format(amount, "f")))) == amount


@given(st.integers(0, 10**27))
def test_wei_become_ether_exactly(wei: int) -> None:
    ether = values.scaled(-18)(str(wei))
    assert Decimal(str(ether)) * 10**18 == wei


@pytest.mark.parametrize(
    ("cell", "expected"), [("19400000", 19400000), ("441886.0", 441886), ("0x1280d0", 1212624), (3, 3)]
)
def test_whole_numbers(cell: object, expected: int) -> None:
    assert values.to_integer(cell) == expected


@pytest.mark.parametrize("cell", ["1.5", "x", True, "0xzz"])
def test_what_is_no_whole_number_is_refused(cell: object) -> None:
    with pytest.raises(ValueError, match="is not a"):
        values.to_integer(cell)


INSTANT = "2024-03-09T20:42:47+00:00"


@pytest.mark.parametrize(
    "cell",
    [
        "2024-03-09T20:42:47Z",
        "2024-03-09 20:42:47.000 UTC",
        "2024-03-09T21:42:47+01:00",
        "1710016967",
        "1710016967000",
        1710016967,
        Decimal("1710016967.0"),
        datetime(2024, 3, 9, 20, 42, 47, tzinfo=UTC),
    ],
)
def test_times_with_a_zone_and_seconds_since_1970(cell: object) -> None:
    read = values.to_time(cell)
    assert datetime.fromisoformat(str(read)) == datetime.fromisoformat(INSTANT)


@pytest.mark.parametrize("cell", ["2024-03-09 20:42:47", "2024-03-09", "20240309", datetime(2024, 3, 9, 20, 42, 47)])  # noqa: DTZ001
def test_a_time_without_zone_is_utc_only_when_the_column_says_so(cell: object) -> None:
    with pytest.raises(ValueError, match="has no zone"):
        values.to_time(cell)
    assert str(values.to_time_utc(cell)).endswith("+00:00")


@pytest.mark.parametrize("cell", ["", None, "soon", "9" * 30, "2024-13-01T00:00:00Z", True, {}])
def test_what_is_no_time_is_refused(cell: object) -> None:
    with pytest.raises(ValueError, match=r"is blank|is not a time"):
        values.to_time(cell)


def test_a_reason_quotes_a_hostile_cell_harmlessly() -> None:
    assert values.shown("\x1b]0;pwned\x07" + "x" * 100).isascii()
    assert "\x1b" not in values.shown("\x1b[2J")
