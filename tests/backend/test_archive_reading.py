"""Archived entries read back for a person, without the database: what is there, what does not hold, what is asked."""

import asyncio
import base64
import gzip
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from contract.errors import ExitCode
from ledger.note import SignerKey
from tests.support.aged import LOG, WIDTH, Aged, aged
from tests.support.commands import Ran
from tests.support.ledger import ledger_rows
from tests.support.people import AUDITOR, OPERATOR
from watchfloor.commands import dispatch


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    async with aged(database_url, tmp_path, monkeypatch) as made:
        yield made


class Reader:
    """Runs `watchfloor audit archive read` where no database is known."""

    def __init__(self, capsys: pytest.CaptureFixture[str], place: Path) -> None:
        self._capsys = capsys
        self.place = place

    async def __call__(self, *arguments: str, place: bool = True) -> Ran:
        self._capsys.readouterr()
        where = ["--place", f"dir:{self.place}"] if place else []
        code = await asyncio.to_thread(dispatch, ["audit", "archive", "read", *where, *arguments])
        said = self._capsys.readouterr()
        logged = "\n".join(line for line in said.out.splitlines() if not line.startswith("level="))
        return Ran(code, logged, said.err)


@pytest.fixture
def read(old: Aged, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.delenv("WATCHFLOOR_DATABASE_URL", raising=False)
    return Reader(capsys, old.places[1])


async def _archived(old: Aged) -> list[bytes]:
    """Two full partitions, copied and dropped; gives their entries as they were."""
    await old.ready()
    canons = [row.canon for row in await ledger_rows(old.app) if row.log == LOG][: 2 * WIDTH]
    await old.keeper().round()
    old.grow_old()
    await old.keeper().round()
    assert await old.entries() == 8
    return canons


async def _first_key(old: Aged) -> str:
    async with old.app.runtime.database.read() as session:
        return str(await session.scalar(text("SELECT vkey FROM audit_epochs ORDER BY epoch LIMIT 1")))


async def test_dropped_entries_are_read_back_byte_for_byte(old: Aged, read: Reader, tmp_path: Path) -> None:
    canons = await _archived(old)
    out, key = tmp_path / "entries.jsonl", await _first_key(old)
    ran = await read("--log", LOG, "--out", str(out), "--key", key)
    assert (ran.code, ran.err) == (ExitCode.OK, "")
    assert f"{2 * WIDTH} entries in 2 copies" in ran.out
    assert "ok: 16 entries asked for" in ran.out
    assert "Personal values are in no copy" in " ".join(ran.out.split())
    lines = out.read_bytes().splitlines()
    assert [line.partition(b'"entry":')[2][:-1] for line in lines] == canons
    assert [(json.loads(line)["log"], json.loads(line)["seq"]) for line in lines] == [
        (LOG, n) for n in range(2 * WIDTH)
    ]
    assert b"192.0.2.7" not in out.read_bytes()
    assert b"olga" not in out.read_bytes()
    told = (await read("--log", LOG, "--json")).body["copies"]
    purges = [
        json.loads(row.canon) for row in await ledger_rows(old.app) if row.event_type == "ledger.partition.purged"
    ]
    named = {copy["sha256"] for one in purges for copy in one["body"]["detail"]["new_value"]["copies"]}
    assert {one["sha256"] for one in told} <= named, "what meta says of the purge names the manifests"
    assert {one["first_key"] for one in told} == {key}
    assert await old.count("SELECT count(*) FROM audit_archives WHERE log = :log") == 4


async def test_only_the_time_and_log_asked_for(old: Aged, read: Reader, tmp_path: Path) -> None:
    began = old.clock.at
    await old.write(WIDTH // 2)
    old.clock.pass_(hours=1)
    await old.write(WIDTH // 2)
    await old.seal()
    await old.sign()
    await old.keeper().round()
    later = (began + timedelta(minutes=30)).isoformat()
    out = tmp_path / "later.jsonl"
    assert (await read("--log", LOG, "--from", later, "--out", str(out))).code == ExitCode.OK
    assert [json.loads(line)["seq"] for line in out.read_text().splitlines()] == list(range(WIDTH // 2, WIDTH))
    (one,) = (await read("--log", LOG, "--to", later, "--json")).body["copies"]
    assert (one["matching"], one["first"]) == (WIDTH // 2, one["last"])
    folder = next((read.place).rglob(f"{LOG}/*/manifest.json")).parent
    for path in (folder, folder / "manifest.json"):
        (one,) = (await read("--file", str(path), "--json", place=False)).body["copies"]
        assert (one["log"], one["seq_from"], one["is_sound"]) == (LOG, 0, True)
    away = shutil.copytree(folder, tmp_path / "mail")
    assert (await read("--file", str(away), place=False)).code == ExitCode.OK, "wherever it lies"


async def test_what_is_not_there_or_not_asked_for_rightly(old: Aged, read: Reader, tmp_path: Path) -> None:
    await old.ready()
    await old.keeper().round()
    assert (await read("--log", "no-such")).code == ExitCode.NOT_FOUND
    assert (await read(place=False)).code == ExitCode.USAGE
    assert (await read("--file", str(tmp_path))).code == ExitCode.USAGE
    assert (await read("--key", "not a key")).code == ExitCode.USAGE
    assert (await read("--key", SignerKey("example.org/log", b"x" * 32).verifier.encode())).code == ExitCode.USAGE
    (tmp_path / "taken").write_text("")
    assert (await read("--out", str(tmp_path / "taken"))).code == ExitCode.USAGE
    assert (await read("--place", "ftp://x", place=False)).code == ExitCode.CONFIGURATION
    assert (await read("--place", f"dir:{tmp_path / 'gone'}", place=False)).code == ExitCode.UNREACHABLE
    other = SignerKey("another.example/epoch/0", b"y" * 32).verifier.encode()
    assert (await read("--key", other)).code == ExitCode.NOT_FOUND, "copies of another ledger are not its"


def _manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tree = json.loads((folder / "manifest.json").read_bytes())
    change(tree)
    (folder / "manifest.json").write_text(json.dumps(tree))


def _replace(folder: Path, kind: str, content: bytes) -> None:
    """A forger changes a file and makes the manifest fit."""
    tree = json.loads((folder / "manifest.json").read_bytes())
    name = tree[kind]["name"]
    (folder / name).write_bytes(content)
    facts = {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    _manifest(folder, lambda one: one.update({kind: facts}))


def _of(folder: Path, kind: str) -> bytes:
    tree = json.loads((folder / "manifest.json").read_bytes())
    return (folder / str(tree[kind]["name"])).read_bytes()


def _entries(folder: Path, change: Callable[[bytes], bytes]) -> None:
    _replace(folder, "entries", gzip.compress(change(gzip.decompress(_of(folder, "entries")))))


def _head(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tree = json.loads(_of(folder, "checkpoint"))
    change(tree)
    _replace(folder, "checkpoint", json.dumps(tree).encode())


def _unsigned(note: str) -> str:
    raw = bytearray(base64.b64decode(note))
    raw[-10] ^= 1
    return base64.b64encode(bytes(raw)).decode()


FORGED: dict[str, Callable[[Path], object]] = {
    "no manifest of ours": lambda folder: (folder / "manifest.json").write_text("{}"),
    "no JSON": lambda folder: (folder / "manifest.json").write_text("{"),
    "a file that lies elsewhere": lambda folder: _manifest(folder, lambda one: one["entries"].update(name="../x")),
    "numbers that are none": lambda folder: _manifest(folder, lambda one: one.update(seq_from="0")),
    "no file of entries": lambda folder: _manifest(folder, lambda one: one.pop("entries")),
    "another folder": lambda folder: _manifest(folder, lambda one: one.update(folder="x/r1/7y/" + "0" * 20)),
    "a file is gone": lambda folder: next(folder.glob("nodes-*")).unlink(),
    "a byte of a file": lambda folder: next(folder.glob("entries-*")).write_bytes(b"x"),
    "no gzip": lambda folder: _replace(folder, "entries", b"no gzip"),
    "one endless line": lambda folder: _entries(folder, lambda _: b"x" * 2**23),
    "a changed entry": lambda folder: _entries(
        folder, lambda raw: raw.replace(b'"outcome":"success"', b'"outcome":"failure"')
    ),
    "an entry less": lambda folder: _entries(folder, lambda raw: raw.partition(b"\n")[2]),
    "another root": lambda folder: _manifest(folder, lambda one: one.update(root="00" * 32)),
    "a broken signature": lambda folder: _head(folder, lambda one: one.update(note=_unsigned(one["note"]))),
    "no signature": lambda folder: _head(folder, lambda one: one.update(note="")),
    "no keys": lambda folder: _head(folder, lambda one: one.update(keys=[])),
    "a head of another log": lambda folder: _head(folder, lambda one: one.update(origin=one["origin"] + "x")),
    "another proof": lambda folder: _head(folder, lambda one: one.update(consistency=["00" * 32] * 2)),
    "the head is no tree": lambda folder: _replace(folder, "checkpoint", b"[]"),
}


async def test_whatever_was_forged_is_found_and_nothing_is_written(old: Aged, read: Reader, tmp_path: Path) -> None:
    await old.ready()
    await old.keeper().round()
    folder = next(read.place.rglob(f"{LOG}/{0:020d}/manifest.json")).parent
    whole, out = shutil.copytree(folder, tmp_path / "whole"), tmp_path / "out.jsonl"
    for what, forge in FORGED.items():
        forge(folder)
        ran = await read("--log", LOG, "--out", str(out), "--json")
        if ran.code == ExitCode.OK:  # the manifest no longer says that it is of this log
            ran = await read("--out", str(out), "--json")
        assert ran.code == ExitCode.CHECK_FAILED, what
        assert [one["is_sound"] for one in ran.body["copies"]].count(False) == 1, what
        assert "Traceback" not in ran.err
        assert not out.exists(), what
        assert not [name for name in os.listdir(tmp_path) if name.startswith(".out")], what  # noqa: PTH208  no blocking path
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
    assert (await read("--out", str(out))).code == ExitCode.OK


async def test_a_forgery_under_keys_of_its_own_needs_the_key_to_be_found(old: Aged, read: Reader) -> None:
    await old.ready()
    await old.keeper().round()
    key = await _first_key(old)
    assert (await read("--log", LOG, "--key", key)).code == ExitCode.OK
    name, forger = key.split("+", 1)[0], b"f" * 32
    forged = SignerKey(name, forger).verifier.encode()
    ran = await read("--log", LOG, "--key", forged, "--json")
    assert ran.code == ExitCode.CHECK_FAILED
    assert all("the first signing key is not the one given" in one["problem"] for one in ran.body["copies"])


async def test_the_list_says_where_copies_are_and_pages(old: Aged) -> None:
    await _archived(old)
    await old.seal()
    await old.sign()
    await old.keeper().round()
    next(old.places[0].rglob(f"{LOG}/{0:020d}/manifest.json")).unlink()
    await old.keeper().check_copies(None)
    old.clock.at += timedelta(days=8)
    await old.keeper().check_copies(None)
    async with await old.app.as_(AUDITOR) as auditor:
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while cursor or not items:
            asked: dict[str, str | int] = {"log": LOG, "limit": 1}
            asked |= {"cursor": cursor} if cursor else {}
            page = (await auditor.get("/v1/ledger/archives", params=asked)).json()
            items, cursor = [*items, *page["items"]], page["next_cursor"]
        everything = (await auditor.get("/v1/ledger/archives")).json()["items"]
        refused = await auditor.get("/v1/ledger/archives", params={"cursor": "WyJhIl0="})
    assert [(one["log"], one["seq_from"], one["seq_until"], one["is_dropped"]) for one in items] == [
        (LOG, 0, WIDTH, True), (LOG, WIDTH, 2 * WIDTH, True)
    ]  # fmt: skip
    assert [copy["state"] for copy in items[0]["copies"]] == ["missing", "sound"]
    assert items[0]["copies"][0]["problem"]
    assert items[1]["copies"][0]["checked_sound"] == items[1]["copies"][0]["last_checked"]
    assert {one["log"] for one in everything} > {LOG}
    assert refused.status_code == 422
    async with await old.app.as_(OPERATOR) as operator:
        assert (await operator.get("/v1/ledger/archives")).status_code == 403
