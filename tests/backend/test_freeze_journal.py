"""The journal of freezes and the file of known callers: what they hold, and what no disk and no stranger can do."""

import asyncio
import os
import stat
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, current_thread
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import spool
from backend.errors import ConfigurationError
from backend.freeze import journal
from backend.freeze.journal import Entry, ForeignLineError, Journal, KnownBy, journal_of, read_lines, seal_line
from backend.known_callers import Known, KnownCallers, KnownKey, KnownMachine, KnownPerson
from backend.settings import Settings
from backend.spool import SpoolError
from contract.freeze import FreezeMode, FreezeRequest
from contract.reasons import MAX_REASON_CHARS
from contract.scope import GLOBAL, Scope
from tests.support.holds import person

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
PLACE = "here"
AT = datetime(2026, 3, 10, 12, 30, 15, 250_000, tzinfo=UTC)
_SCOPES = st.sampled_from((GLOBAL, Scope.parse("chain:arbitrum"), Scope.parse("chain:base+executor:bot-1")))
_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40)
_ENTRIES = st.builds(
    Entry,
    id=st.uuids(),
    at=st.datetimes(timezones=st.just(UTC)),
    caller=st.builds(
        lambda name, ip: replace(person(name), permissions=frozenset(), ip=ip), _WORDS, st.none() | st.just("::1")
    ),
    request=st.builds(
        lambda scope, mode, words, key: FreezeRequest(scope=scope, mode=mode, reason=f"x{words}", idempotency_key=key),
        _SCOPES,
        st.sampled_from(FreezeMode),
        _WORDS,
        st.text("abc", max_size=64),
    ),
    known_by=st.sampled_from(KnownBy),
    node=_WORDS,
)


def entry(number: int = 1, reason: str = "losses nobody can explain") -> Entry:
    request = FreezeRequest(scope=Scope.parse("chain:arbitrum"), reason=reason, idempotency_key="key")
    caller = replace(person("olga"), ip="10.0.0.7")
    return Entry(UUID(int=number), AT, caller, request, KnownBy.TOKEN, "host:1")


def sealed(one: Entry, key: bytes = KEY, place: str = PLACE) -> bytes:
    return seal_line(one, key=key, place=place, nonce=os.urandom(12))


@given(st.lists(_ENTRIES, max_size=4), st.binary(max_size=200), st.data())
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read_and_nothing_else_is(entries: list[Entry], noise: bytes, data: st.DataObject) -> None:
    raw = b"".join(map(sealed, entries))
    place = data.draw(st.sampled_from([0, len(raw), *(at + 1 for at, byte in enumerate(raw) if byte == ord("\n"))]))
    held = raw[:place] + noise.replace(b"\n", b"") + b"\n" + raw[place:]
    found = read_lines(held.split(b"\n")[:-1], key=KEY, place=PLACE)
    assert found.entries == tuple(entries)
    assert len(found.refused) == 1


@given(_ENTRIES, st.data())
@settings(max_examples=60, deadline=None)
def test_a_line_that_was_changed_anywhere_is_refused(one: Entry, data: st.DataObject) -> None:
    line = bytearray(sealed(one)[:-1])
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at] and byte != ord("\n")))
    try:
        found = journal.open_line(bytes(line), key=KEY, place=PLACE)
    except ForeignLineError:
        return
    assert found == one, "only bits of base64 that mean nothing may differ"


@given(_ENTRIES, st.data())
@settings(max_examples=30, deadline=None)
def test_a_line_that_a_crash_cut_off_was_promised_to_nobody(one: Entry, data: st.DataObject) -> None:
    whole, torn = sealed(one), sealed(one)
    cut = data.draw(st.integers(0, len(torn) - 1))
    lines = (whole + torn[:cut]).split(b"\n")[:-1]
    found = read_lines(lines, key=KEY, place=PLACE)
    assert found.entries == (one,)
    assert found.refused == ()


def test_lines_of_strangers_and_of_other_floors_freeze_nothing() -> None:
    lines = [sealed(entry(), key=OTHER_KEY)[:-1], sealed(entry(), place="there")[:-1], b"x" * (64 * 1024 + 1)]
    found = read_lines(lines, key=KEY, place=PLACE)
    assert (found.entries, found.refused) == ((), tuple(lines))


def test_the_longest_freeze_fits_into_a_line() -> None:
    request = FreezeRequest(scope=GLOBAL, reason="\x01" * MAX_REASON_CHARS)
    longest = replace(entry(), request=request, caller=replace(person("o" * 100), user_agent="u" * 300))
    assert journal.open_line(sealed(longest)[:-1], key=KEY, place=PLACE) == replace(
        longest, caller=replace(longest.caller, permissions=frozenset())
    )


def test_nothing_of_a_freeze_lies_open_on_the_disk() -> None:
    line = sealed(entry(reason="the desk of 10.0.0.7 was taken over"))
    assert b"olga" not in line
    assert b"desk" not in line


def made(directory: Path, boot: str = "boot", database: str = "one") -> Journal:
    config = Settings(database_url=f"postgresql://x@localhost/{database}", data_dir=directory)
    return journal_of(config, KEY, boot, os.urandom)


async def test_a_journal_outlives_its_process_and_is_taken_over_once_it_has_ended(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path, "next")
    await first.keep(entry(1))
    await first.keep(entry(2))
    (seen,) = await second.others()
    with pytest.raises(SpoolError) as locked:
        await seen.read()
    assert isinstance(locked.value.__cause__, BlockingIOError), "its process lives"
    await first.let_go()  # as if it had been killed
    found = await seen.read()
    assert [one.id for one in found.entries] == [UUID(int=1), UUID(int=2)]
    assert found.entries[0] == replace(entry(1), caller=replace(entry(1).caller, permissions=frozenset()))
    assert stat.S_IMODE(seen.path.stat().st_mode) == 0o600
    await seen.clear()
    await seen.close()
    assert await second.others() == []
    await second.close()
    assert list(first.path.parent.iterdir()) == []


async def test_two_floors_in_one_directory_do_not_meet(tmp_path: Path) -> None:
    one, other = made(tmp_path), made(tmp_path, "boot", "two")
    await one.keep(entry())
    assert await other.others() == []
    assert await other.elsewhere() == 1
    assert await one.elsewhere() == 0
    await one.let_go()


async def test_a_journal_is_bounded_and_a_full_one_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 3_000)
    full = made(tmp_path)
    kept = 0
    while full.spool.problem is None:
        with suppress(SpoolError):
            await full.keep(entry(kept + 1))
            kept += 1
    assert "full" in full.spool.problem
    assert kept > 0
    assert len((await full.read()).entries) == kept
    await full.let_go()


async def test_a_disk_that_hangs_is_not_waited_for_and_keeps_nothing_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "ANSWER_S", 0.2)
    release, genuine, hanging = Event(), os.fsync, made(tmp_path)
    await hanging.read()

    def hang(descriptor: int) -> None:
        if current_thread().name == "freeze journal":
            release.wait(60)
        genuine(descriptor)

    monkeypatch.setattr(os, "fsync", hang)
    turns = 0
    waiting = asyncio.ensure_future(hanging.keep(entry()))
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0.01)
    with pytest.raises(SpoolError):
        waiting.result()
    assert turns > 3, "the event loop went on"
    release.set()
    monkeypatch.undo()
    found = None
    for _ in range(3_000):
        with suppress(SpoolError):
            found = await hanging.read()
            break
        await asyncio.sleep(0.01)
    assert found == journal.Found((), ())
    await hanging.close()


async def test_what_is_refused_is_kept_where_nobody_takes_it_for_a_freeze(tmp_path: Path) -> None:
    one = made(tmp_path)
    await one.keep(entry())
    with one.path.open("ab") as file:
        file.write(b"a forged line\n")
    found = await one.read()
    assert (len(found.entries), found.refused) == (1, (b"a forged line",))
    await one.set_aside(found.refused)
    assert one.path.with_suffix(".refused").read_bytes() == b"a forged line\n"
    await one.clear()
    assert await one.read() == journal.Found((), ())
    await one.close()


# who may freeze without a database

KNOWN = Known(
    keys={"ab": KnownKey(b"p" * 32, None), "cd": KnownKey(b"q" * 32, AT)},
    people={"olga": KnownPerson("mev_operator", disabled=False), "oscar": KnownPerson("x", disabled=True)},
    ended=frozenset({str(UUID(int=5))}),
    machines={"h" * 64: KnownMachine("watchdog", AT + timedelta(days=1), "c" * 64)},
)


async def test_known_callers_are_known_to_the_next_process_and_lie_sealed(tmp_path: Path) -> None:
    path = tmp_path / "below" / "callers"
    first = KnownCallers(path, KEY, PLACE, KNOWN)
    await first.keep(os.urandom(12))
    raw = path.read_bytes()
    assert b"olga" not in raw
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second = KnownCallers(path, KEY, PLACE)
    await second.load()
    assert second.known == KNOWN
    await second.keep(os.urandom(12))
    assert path.read_bytes() == raw, "written only when something has changed"
    for one in (first, second):
        one.end()


@pytest.mark.parametrize(("key", "place", "cut"), [(OTHER_KEY, PLACE, 0), (KEY, "there", 0), (KEY, PLACE, 1)])
async def test_known_callers_of_strangers_are_refused(tmp_path: Path, key: bytes, place: str, cut: int) -> None:
    written = KnownCallers(tmp_path / "callers", key, place, KNOWN)
    await written.keep(os.urandom(12))
    raw = written.path.read_bytes()
    written.path.write_bytes(raw[: len(raw) - cut])
    read = KnownCallers(tmp_path / "callers", KEY, PLACE)
    with pytest.raises(ConfigurationError):
        await read.load()
    assert read.known == Known()
    for one in (written, read):
        one.end()


async def test_without_a_file_nobody_is_known(tmp_path: Path) -> None:
    none = KnownCallers(tmp_path / "callers", KEY, PLACE)
    await none.load()
    assert none.known == Known()
    none.end()
