"""Which column is which field: common spellings, explicit choices, and errors that list what is unknown and missing."""

import pytest

from console.client.imports.columns import REQUIRED, ColumnError, choices, normalised, plan
from contract.transactions import TransactionIn

NOTHING = choices({}, {})
HEADER = ("chain", "tx_hash", "block_time")


def fields(header: tuple[str, ...], columns: dict[str, str] | None = None) -> dict[str, str]:
    steps = plan(header, choices(columns or {}, {})).steps
    return {header[position]: name for position, name, _ in steps}


def test_required_fields_are_those_of_the_contract() -> None:
    assert set(REQUIRED) == {"chain", "tx_hash", "block_time"}


def test_every_field_is_known_by_its_own_name() -> None:
    header = tuple(TransactionIn.model_fields)
    assert list(fields(header).values()) == list(header)


@pytest.mark.parametrize(
    ("column", "expected"),
    [("txHash", "tx_hash"), ("Block Time (UTC)", "block_time_utc"), (" gas-cost.USD ", "gas_cost_usd"), ("", "")],
)
def test_spelling_does_not_matter(column: str, expected: str) -> None:
    assert normalised(column) == expected


def test_common_spellings() -> None:
    header = ("blockchain", "evt_tx_hash", "block_timestamp", "from", "to", "gas_fee_wei", "colour")
    found = plan(header, NOTHING)
    assert {header[at]: name for at, name, _ in found.steps} == {
        "blockchain": "chain",
        "evt_tx_hash": "tx_hash",
        "block_timestamp": "block_time",
        "from": "wallet",
        "to": "to_address",
        "gas_fee_wei": "gas_cost_eth",
    }
    assert found.ignored == ("colour",)
    assert {name: convert for _, name, convert in found.steps}["gas_cost_eth"]("1") == "1E-18"


def test_missing_columns_are_listed_with_those_not_understood() -> None:
    with pytest.raises(ColumnError) as refused:
        plan(("network", "digest", "colour"), NOTHING)
    assert "No column for tx_hash, block_time" in refused.value.message
    assert "digest, colour" in refused.value.message
    assert "--map digest=tx_hash" in refused.value.hint


def test_an_explicit_choice_wins_over_a_name() -> None:
    header = (*HEADER, "digest")
    assert fields(header, {"digest": "tx_hash"}) == {
        "chain": "chain",
        "block_time": "block_time",
        "digest": "tx_hash",
    }


def test_two_columns_for_one_field_are_refused() -> None:
    with pytest.raises(ColumnError, match="Both 'tx_hash' and 'hash' would be tx_hash"):
        plan((*HEADER, "hash"), NOTHING)


def test_a_chosen_column_must_be_there_and_its_field_exist() -> None:
    with pytest.raises(ColumnError, match="has no column 'digest'"):
        plan(HEADER, choices({"digest": "tx_hash"}, {}))
    with pytest.raises(ColumnError) as refused:
        choices({"digest": "tx_hsah"}, {})
    assert refused.value.hint == "Did you mean tx_hash?"


def test_a_constant_stands_in_for_a_column() -> None:
    chosen = choices({}, {"chain": "base"})
    assert plan(("tx_hash", "block_time"), chosen).steps
    assert chosen.constants == {"chain": "base"}
    with pytest.raises(ColumnError, match="profit_eth is not a number"):
        choices({}, {"profit_eth": "lots"})


def test_a_column_mapped_as_utc_may_lack_zones() -> None:
    steps = plan(("chain", "tx_hash", "when"), choices({"when": "block_time_utc"}, {})).steps
    convert = {name: convert for _, name, convert in steps}["block_time"]
    assert convert("2024-03-09 20:42:47") == "2024-03-09T20:42:47+00:00"
