"""Taking files apart: CSV as it is found in the wild, JSON Lines, Parquet, and files that are something else."""

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.client.imports import readers
from console.client.imports.readers import FileError, Format, Line, open_source
from tests.support.shared_data import shared_data


def read(path: Path, form: Format = Format.AUTO) -> tuple[tuple[str, ...] | None, list[Line]]:
    source = open_source(path, form)
    with source.file:
        return source.header, list(source.lines())


def read_bytes(tmp_path: Path, content: bytes, name: str = "trades.csv") -> tuple[tuple[str, ...] | None, list[Line]]:
    (tmp_path / name).write_bytes(content)
    return read(tmp_path / name)


def test_csv_spectrum() -> None:
    folder = shared_data("vectors/csv-spectrum")
    for path in sorted((folder / "csvs").glob("*.csv")):
        header, lines = read(path, Format.CSV)
        assert header is not None
        got = [dict(zip(header, line.cells, strict=True)) for line in lines]
        wanted = json.loads((folder / "json" / f"{path.stem}.json").read_text())
        # checkouts of the vectors differ in the line ends within quoted cells
        assert json.dumps(got).replace("\\r\\n", "\\n") == json.dumps(wanted).replace("\\r\\n", "\\n"), path.name


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str, str]], end: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"wf-import-{os.getpid()}.csv"  # noqa: S108  removed below
    path.write_bytes(text.getvalue().encode())
    try:
        _, lines = read(path, Format.CSV)
    finally:
        path.unlink()
    assert [line.cells for line in lines if not line.problem] == rows


def test_byte_order_mark_crlf_blank_lines_and_line_numbers(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfa,b\r\n1,"x\r\ny"\r\n\r\n2,z\r\n'
    header, lines = read_bytes(tmp_path, content)
    assert header == ("a", "b")
    assert [(line.number, line.cells) for line in lines] == [(2, ("1", "x\r\ny")), (5, ("2", "z"))]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters_are_recognised(tmp_path: Path, mark: str) -> None:
    header, lines = read_bytes(tmp_path, f"a{mark}b\n1{mark}2,5\n".encode())
    assert header == ("a", "b")
    assert lines[0].cells == ("1", "2,5")


def test_wrong_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    _, lines = read_bytes(tmp_path, b'a,b\n1\n1,2,3\n"x"y,2\n5,6\n')
    assert [(line.number, line.problem) for line in lines] == [
        (2, "has 1 cells, the header has 2"),
        (3, "has 3 cells, the header has 2"),
        (4, "is not CSV: ',' expected after '\"'"),
        (5, ""),
    ]


def test_an_unclosed_quote_does_not_swallow_the_file_into_memory(tmp_path: Path) -> None:
    content = b'a,b\n1,"unclosed\n' + b"2,3\n" * 100_000
    _, lines = read_bytes(tmp_path, content)
    assert lines[0].number == 2
    assert "field larger than field limit" in lines[0].problem
    assert sum(not line.problem for line in lines) > 50_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "only blank lines"),
        (b"\x7fELF\x00\x00\x01", "is a binary file"),
        (b"\x1f\x8b\x08\x00", "is compressed"),
        (b"PK\x03\x04zip", "is compressed"),
        ("a,b\n".encode("utf-16"), "is UTF-16"),
        (b"a,a\n1,2\n", "names 'a' twice"),
        (b'"a,b\n', "header"),
        (b"PAR1 and nothing more", "damaged Parquet"),
        (b'[{"a": 1}]', "is one JSON array"),
    ],
)
def test_a_file_that_is_something_else_is_told_in_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(FileError, match=message):
        read_bytes(tmp_path, content)


def test_a_path_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path / "no", "There is no file"),
        (tmp_path, "a directory"),
        (tmp_path / "pipe", "regular"),
    ):
        with pytest.raises(FileError, match=message):
            read(path)


def test_latin_1_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"Line 3 .* is not UTF-8 \(byte 0xe9\)"):
        read_bytes(tmp_path, b"a,b\n1,2\ncaf\xe9,2\n")


def test_an_endless_line_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"Line 2 .* is longer"):
        read_bytes(tmp_path, b"a,b\n" + b"x" * (readers.MAX_LINE_BYTES + 1))


def test_the_wrong_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a,b\n")
    with pytest.raises(FileError, match="is not a Parquet file"):
        read(tmp_path / "f", Format.PARQUET)


def test_json_lines(tmp_path: Path) -> None:
    content = b'{"a": 0.1, "b": null}\n\n{"a": NaN}\n{"b"\n[1]\n' + b"[" * 20_000 + b'\n{"c": "x"}\n'
    header, lines = read_bytes(tmp_path, content, "trades.jsonl")
    assert header is None
    assert (lines[0].columns, str(lines[0].cells[0])) == (("a", "b"), "0.1")
    assert [line.number for line in lines] == [1, 3, 4, 5, 6, 7]
    assert [bool(line.problem) for line in lines] == [False, True, True, True, True, False]


def test_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from datetime import UTC, datetime
    from decimal import Decimal

    at = datetime(2024, 3, 9, 20, 42, 47, tzinfo=UTC)
    columns = {
        "hash": ["0x1", "0x2"],
        "profit": pa.array([Decimal("0.000000000000000001"), None]),
        "time": pa.array([at, at], pa.timestamp("ns", "UTC")),
    }
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    header, lines = read(tmp_path / "t.parquet")
    assert header == ("hash", "profit", "time")
    assert [line.cells for line in lines] == [("0x1", Decimal("1E-18"), at), ("0x2", None, at)]
    assert [line.number for line in lines] == [1, 2]
