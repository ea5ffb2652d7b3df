"""The journal of a drill: what no crash, no disk and no stranger can do to it."""

import asyncio
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.continuity import journal as journals
from backend.continuity.journal import JournalBusyError, JournalError, Seal, Shelf
from backend.continuity.lines import Line, Logged

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SEAL = Seal(KEY, "here", "DR-TEST-20261121", os.urandom)
_TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=40), min_size=1, max_size=5)


def line(text: str = "something was said") -> Line:
    return Logged(at=AT, text=text)


def sealed(texts: list[str]) -> list[bytes]:
    return [SEAL.close(line(text), number)[:-1] for number, text in enumerate(texts, 1)]


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf(tmp_path / "place", KEY, "here", os.urandom)
    yield found
    found.end()


@given(_TEXTS)
@settings(max_examples=30, deadline=None)
def test_what_was_written_is_read(texts: list[str]) -> None:
    found = SEAL.read(sealed(texts))
    assert [one.text for one in found.lines if isinstance(one, Logged)] == texts
    assert found.refused == 0


@given(_TEXTS, st.data())
@settings(max_examples=60, deadline=None)
def test_a_line_that_was_changed_moved_or_taken_out_is_refused(texts: list[str], data: st.DataObject) -> None:
    raw = sealed([*texts, "the last one"])
    at = data.draw(st.integers(0, len(raw) - 2))
    match data.draw(st.sampled_from(["change", "swap", "take out", "foreign", "elsewhere"])):
        case "change":
            raw[at] = raw[at][:-8] + (b"AAAAAAA=" if raw[at][-8:] != b"AAAAAAA=" else b"BBBBBBB=")
        case "swap":
            raw[at], raw[at + 1] = raw[at + 1], raw[at]
        case "take out":
            del raw[at]
        case "foreign":
            raw[at] = Seal(OTHER_KEY, "here", SEAL.ref, os.urandom).close(line(), at + 1)[:-1]
        case "elsewhere":
            raw[at] = Seal(KEY, "there", SEAL.ref, os.urandom).close(line(), at + 1)[:-1]
    found = SEAL.read(raw)
    assert found.refused
    told = [one.text for one in found.lines if isinstance(one, Logged)]
    assert told == [*texts, "the last one"][: len(told)] or not told


async def test_the_beginning_of_a_line_that_a_crash_cut_off_is_cut_off_too(shelf: Shelf) -> None:
    journal = shelf.journal("DR-1")
    await journal.append(line("one"))
    await journal.let_go()
    with journal.path.open("ab") as file:
        file.write(b"half a li")
    again = shelf.journal("DR-1")
    assert len((await again.read()).lines) == 1
    await again.append(line("two"))
    await again.let_go()
    last = shelf.journal("DR-1")
    found = await last.read()
    assert (len(found.lines), found.refused) == (2, 0)
    assert last.path.stat().st_mode & 0o777 == 0o600
    await last.remove()
    assert await shelf.refs() == []


async def test_one_process_holds_a_journal_and_the_place(shelf: Shelf) -> None:
    journal = shelf.journal("DR-1")
    await journal.append(line())
    with pytest.raises(JournalBusyError):
        await shelf.journal("DR-1").read()
    await shelf.claim()
    other = Shelf(shelf.directory, KEY, "here", os.urandom)
    with pytest.raises(JournalBusyError):
        await other.claim()
    await shelf.release()
    await other.claim()
    await other.release()
    await journal.let_go()


async def test_a_full_journal_keeps_what_it_has(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = shelf.journal("DR-1")
    await journal.append(line("one"))
    monkeypatch.setattr(journals, "MAX_BYTES", 10)
    with pytest.raises(JournalError):
        await journal.append(line("two"))
    monkeypatch.undo()
    await journal.append(line("three"))
    await journal.let_go()
    found = await shelf.journal("DR-1").read()
    assert [one.text for one in found.lines if isinstance(one, Logged)] == ["one", "three"]


async def test_half_a_line_that_the_disk_took_is_taken_back(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = shelf.journal("DR-1")
    await journal.append(line("one"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, raw: write(descriptor, raw[: len(raw) // 2]))
    with pytest.raises(JournalError):
        await journal.append(line("two"))
    monkeypatch.undo()
    await journal.append(line("three"))
    await journal.let_go()
    found = await shelf.journal("DR-1").read()
    assert (len(found.lines), found.refused) == (2, 0)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_journal_whose_first_access_fails_can_be_opened_again_by_the_same_process(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, *, silent: bool
) -> None:
    journal = shelf.journal("DR-1")
    await journal.append(line("one"))
    await journal.let_go()
    read, answering = os.pread, threading.Event()

    def fail(*of: int) -> bytes:
        if silent:
            answering.wait(10)
            return read(*of)
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "pread", fail)
        broken.setattr(journals, "ANSWER_S", 0.1)
        first = shelf.journal("DR-1")
        with pytest.raises(JournalError):
            await first.read()
        first.abandon()
        answering.set()
    async with asyncio.timeout(10):
        while True:
            try:
                found = await (again := shelf.journal("DR-1")).read()
            except JournalBusyError:  # the disk has not let go of it yet
                await asyncio.sleep(0.02)
            else:
                break
    assert len(found.lines) == 1
    await again.let_go()
