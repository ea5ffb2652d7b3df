"""From a file to chunks ready to send: good lines as the contract wants them, bad ones with number and reason."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from console.client.imports import chunks
from console.client.imports.chunks import Chunk, Chunker
from console.client.imports.columns import ColumnError, choices
from console.client.imports.readers import FileError, Format, open_source
from contract.transactions import StageRequest
from tests.support.shared_data import shared_data

HEADER = "chain,tx_hash,block_time,profit_eth\n"
GOOD = "base,0x{n},2024-03-09T20:42:47Z,\n"


def all_chunks(path: Path, constants: Mapping[str, str] | None = None) -> tuple[list[Chunk], Chunker]:
    source = open_source(path, Format.AUTO)
    with source.file:
        chunker = Chunker(source, choices({}, constants or {}))
        chunker.prepare()
        return list(chunker.chunks()), chunker


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trades"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("mev_l2_realised", 1_408),
        ("mev_cexdex_20230808", 4_968),
        ("mev_boost_payments_19400000", 9_238),
        ("mev_flashbots_202104", 11_532),
    ],
)
def test_the_public_files_are_read_as_they_are(name: str, rows: int) -> None:
    found, chunker = all_chunks(shared_data(f"transactions/{name}.csv"))
    assert sum(chunk.rows for chunk in found) == rows
    assert [row for chunk in found for row in chunk.refused] == []
    assert not chunker.ignored
    assert found[-1].done_bytes == chunker.source.total_bytes


def test_blanks_of_a_public_file_stay_blank() -> None:
    found, _ = all_chunks(shared_data("transactions/mev_l2_realised.csv"))
    trades = [row.transaction for chunk in found for row in StageRequest.model_validate_json(chunk.body).rows]
    assert sum(trade.profit_usd is None for trade in trades) == 98
    assert sum(trade.profit_usd is not None and trade.profit_usd < 0 for trade in trades) == 354


def test_a_chunk_is_a_stage_request_with_the_files_line_numbers(tmp_path: Path) -> None:
    text = HEADER + GOOD.format(n=1) + 'base,"0x\n2",2024-03-09T20:42:47Z,0.1\n' + GOOD.format(n=3)
    found, _ = all_chunks(write(tmp_path, text))
    request = StageRequest.model_validate_json(found[0].body)
    assert [row.line for row in request.rows] == [2, 3, 5]
    assert str(request.rows[1].transaction.profit_eth) == "0.1"


def test_each_bad_line_is_reported_with_its_reason(tmp_path: Path) -> None:
    text = (
        HEADER
        + GOOD.format(n=1)
        + "base,0x2,2024-03-09 20:42:47,\n"
        + ",0x3,2024-03-09T20:42:47Z,\n"
        + "base,0x4,2024-03-09T20:42:47Z,lots\n"
        + "base,0x5\n"
        + f"base,{'x' * 101},2024-03-09T20:42:47Z,\n"
        + GOOD.format(n=7)
    )
    found, _ = all_chunks(write(tmp_path, text))
    assert found[0].rows == 2
    assert [(row.line, row.reason) for row in found[0].refused] == [
        (3, "block_time has no zone: '2024-03-09 20:42:47'; end it with Z, or map the column to block_time_utc"),
        (4, "chain is blank"),
        (5, "profit_eth is not a number: 'lots'"),
        (6, "has 2 cells, the header has 4"),
        (7, "tx_hash is refused: String should have at most 100 characters"),
    ]


def test_json_lines_may_differ_in_their_columns(tmp_path: Path) -> None:
    lines = [
        '{"chain": "base", "tx_hash": "0x1", "block_time": "2024-03-09T20:42:47Z", "colour": "red"}',
        '{"network": "base", "hash": "0x2", "timestamp": 1710016967, "profit_eth": 0.30000000000000004}',
        '{"chain": "base", "tx_hash": "0x3"}',
        '{"chain": "base", "tx_hash": ["0x4"], "block_time": "2024-03-09T20:42:47Z"}',
        '{"chain": "base", "tx_hash": "0x5", "hash": "0x6", "block_time": "2024-03-09T20:42:47Z"}',
    ]
    found, chunker = all_chunks(write(tmp_path, "\n".join(lines)))
    request = StageRequest.model_validate_json(found[0].body)
    assert [row.line for row in request.rows] == [1, 2]
    assert str(request.rows[1].transaction.profit_eth) == "0.30000000000000004"
    assert [(row.line, row.reason) for row in found[0].refused] == [
        (3, "block_time is missing"),
        (4, "tx_hash is neither text nor a number"),
        (5, "Both 'tx_hash' and 'hash' would be tx_hash."),
    ]
    assert list(chunker.ignored) == ["colour"]


def test_a_first_json_line_without_the_required_columns_is_a_matter_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match="No column for tx_hash, block_time"):
        all_chunks(write(tmp_path, '{"chain": "base"}\n'))


def test_a_constant_fills_a_missing_column(tmp_path: Path) -> None:
    found, _ = all_chunks(write(tmp_path, "hash,time\n0x1,2024-03-09T20:42:47Z\n"), {"chain": "base"})
    assert StageRequest.model_validate_json(found[0].body).rows[0].transaction.chain == "base"


def test_a_header_alone_makes_no_chunk(tmp_path: Path) -> None:
    assert all_chunks(write(tmp_path, HEADER))[0] == []


def test_a_large_file_is_read_in_bounded_chunks(tmp_path: Path) -> None:
    text = HEADER + "".join(GOOD.format(n=n) for n in range(chunks.CHUNK_ROWS * 2 + 1))
    assert [chunk.rows for chunk in all_chunks(write(tmp_path, text))[0]] == [2_000, 2_000, 1]


def test_a_file_of_nothing_but_bad_lines_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "MAX_REFUSED", 3_000)
    with pytest.raises(FileError, match="More than 3,000 lines"):
        all_chunks(write(tmp_path, HEADER + "bad\n" * 10_000))


def test_columns_that_change_on_every_line_do_not_pile_up(tmp_path: Path) -> None:
    first = '{"chain": "b", "tx_hash": "h", "block_time": "2024-03-09T20:42:47Z"}\n'
    text = first + "".join(f'{{"c{n}": 1}}\n' for n in range(chunks.CHUNK_ROWS * 2))
    _, chunker = all_chunks(write(tmp_path, text))
    assert len(chunker._plans) <= chunks.CHUNK_ROWS
    assert len(chunker.ignored) <= chunks.CHUNK_ROWS
