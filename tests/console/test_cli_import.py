"""`watchfloor transactions import` against a real backend: whole files, bad lines, and doing it twice."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from console.client.imports import readers
from contract.errors import ExitCode
from tests.support.commands import Commands
from tests.support.people import ADMIN, AUDITOR
from tests.support.shared_data import shared_data

HEADER = "chain,tx_hash,block_time,profit_eth,status\n"
FILES = {
    "mev_l2_realised": 1_408,
    "mev_cexdex_20230808": 4_968,
    "mev_boost_payments_19400000": 9_238,
    "mev_flashbots_202104": 11_532,
}


def trades(name: str, count: int, chain: str = "base") -> str:
    return "".join(f"{chain},0x{name}{n},2024-03-09T20:42:47Z,,success\n" for n in range(count))


def write(tmp_path: Path, text: str, name: str = "trades.csv") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def stored(run: Commands, chain: str) -> list[dict[str, object]]:
    items: list[dict[str, object]] = run(ADMIN, "transactions", "list", "--chain", chain, "--json").body["items"]
    return items


@pytest.mark.parametrize("name", FILES)
def test_the_public_files_import_as_they_are_and_twice_changes_nothing(run: Commands, name: str) -> None:
    path = str(shared_data(f"transactions/{name}.csv"))
    first = run(ADMIN, "transactions", "import", path, "--json")
    assert (first.code, first.err) == (0, "")
    counts = {key: first.body[key] for key in ("imported", "unchanged", "refused", "stored", "ignored_columns")}
    unchanged = FILES[name] - counts["imported"]
    assert counts == {
        "imported": counts["imported"],
        "unchanged": unchanged,
        "refused": [],
        "stored": True,
        "ignored_columns": [],
    }
    again = run(ADMIN, "transactions", "import", path, "--json").body
    assert (again["imported"], again["unchanged"]) == (0, FILES[name])


def test_blanks_are_stored_as_blanks(run: Commands, tmp_path: Path) -> None:
    assert run(ADMIN, "transactions", "import", write(tmp_path, HEADER + trades("blank", 1, "blanks"))).code == 0
    assert [trade["profit_eth"] for trade in stored(run, "blanks")] == [None]


def test_a_file_with_bad_lines_stores_nothing_and_reports_each(run: Commands, tmp_path: Path) -> None:
    bad = "whole,0xbad1,yesterday,,\n" + "whole,0xbad2,2999-01-01T00:00:00Z,,\n"
    path = write(tmp_path, HEADER + trades("a", 3, "whole") + bad)
    ran = run(ADMIN, "transactions", "import", path, "--json")
    assert ran.code == ExitCode.CHECK_FAILED
    assert (ran.body["imported"], ran.body["stored"]) == (0, False)
    assert [row["line"] for row in ran.body["refused"]] == [5, 6]
    text = run(ADMIN, "transactions", "import", path)
    assert "line      5: block_time is not a time: 'yesterday'" in text.out
    assert "future" in text.out
    assert "Nothing stored: 2 lines of 5 refused" in text.out
    assert stored(run, "whole") == []


def test_skip_bad_stores_the_rest(run: Commands, tmp_path: Path) -> None:
    bad = "part,0xbad1,yesterday,,\n" + "part,0xbad2,2999-01-01T00:00:00Z,,\n"
    ran = run(
        ADMIN, "transactions", "import", write(tmp_path, HEADER + trades("b", 3, "part") + bad), "--skip-bad", "--json"
    )
    assert ran.code == 0
    assert (ran.body["imported"], len(ran.body["refused"]), ran.body["stored"]) == (3, 2, True)
    assert len(stored(run, "part")) == 3


def test_many_bad_lines_are_bounded_on_the_screen_and_complete_in_json(run: Commands, tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "x\n" * 100)
    text = run(ADMIN, "transactions", "import", path)
    assert len(text.out.splitlines()) < 30
    assert "and 80 more" in text.out
    assert len(run(ADMIN, "transactions", "import", path, "--json").body["refused"]) == 100


def test_columns_by_choice(run: Commands, tmp_path: Path) -> None:
    path = write(tmp_path, "digest,when,gain\n0xmapped,2024-03-09 20:42:47,0.5\n")
    refused = run(ADMIN, "transactions", "import", path)
    assert refused.code == ExitCode.USAGE
    assert "No column for chain, tx_hash, block_time. Not understood: digest, when, gain." in refused.err
    maps = ("--map", "digest=tx_hash", "--map", "when=block_time_utc", "--map", "gain=profit_eth")
    chosen = (*maps, "--set", "chain=chosen")
    assert run(ADMIN, "transactions", "import", path, *chosen).code == 0
    assert [Decimal(str(trade["profit_eth"])) for trade in stored(run, "chosen")] == [Decimal("0.5")]


def test_json_lines_and_parquet(run: Commands, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    row = {
        "chain": "formats",
        "tx_hash": "0xjson",
        "block_time": "2024-03-09T20:42:47Z",
        "profit_eth": "1.000000000000000001",
    }
    json_path = write(tmp_path, json.dumps(row) + "\n", "trades.jsonl")
    assert run(ADMIN, "transactions", "import", json_path).code == 0
    parquet.write_table(
        pa.table({name: [value] for name, value in (row | {"tx_hash": "0xpq"}).items()}), tmp_path / "p"
    )
    assert run(ADMIN, "transactions", "import", str(tmp_path / "p")).code == 0
    assert [trade["profit_eth"] for trade in stored(run, "formats")] == ["1.000000000000000001"] * 2


def test_without_the_parquet_library_the_message_says_how_to_get_it(
    run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "p").write_bytes(b"PAR1")
    ran = run(ADMIN, "transactions", "import", str(tmp_path / "p"))
    assert ran.code == ExitCode.CONFIGURATION
    assert "pip install 'watchfloor[parquet]'" in ran.err


@pytest.mark.parametrize(
    "arguments", [("--map", "a"), ("--map", "=b"), ("--set", "chain="), ("--map", "a=b", "--map", "a=c")]
)
def test_wrong_choices_are_usage_errors(run: Commands, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = run(ADMIN, "transactions", "import", write(tmp_path, HEADER), *arguments)
    assert ran.code == ExitCode.USAGE


def test_what_is_no_file_is_a_usage_error(run: Commands, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        ran = run(ADMIN, "transactions", "import", str(path))
        assert (ran.code, ran.out) == (ExitCode.USAGE, "")


def test_a_header_alone_imports_nothing_and_is_no_error(run: Commands, tmp_path: Path) -> None:
    ran = run(ADMIN, "transactions", "import", write(tmp_path, HEADER), "--json")
    assert (ran.code, ran.body["imported"], ran.body["stored"]) == (0, 0, True)


def test_a_file_that_changes_while_it_is_read_stores_nothing(
    run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, HEADER + trades("c", 3, "changing"))
    original = readers.Source.lines

    def lines_while_growing(source: readers.Source) -> Iterator[readers.Line]:
        yield from original(source)
        with Path(path).open("a") as file:
            file.write(trades("d", 1, "changing"))

    monkeypatch.setattr(readers.Source, "lines", lines_while_growing)
    ran = run(ADMIN, "transactions", "import", path)
    assert ran.code == ExitCode.USAGE
    assert "was changed while it was read" in ran.err
    assert stored(run, "changing") == []


def test_who_may_not_import_is_refused(run: Commands, tmp_path: Path) -> None:
    ran = run(AUDITOR, "transactions", "import", write(tmp_path, HEADER + trades("e", 1)))
    assert ran.code == ExitCode.NOT_ALLOWED


def test_hostile_text_in_a_file_never_reaches_the_terminal(run: Commands, tmp_path: Path) -> None:
    path = write(tmp_path, f"\x1b]0;x\x07,{HEADER}\x1b[2J,base,0xh,\x1b[31mred,,\n", "\x1b[2J.csv")
    ran = run(ADMIN, "transactions", "import", path)
    assert "\x1b" not in ran.out + ran.err
