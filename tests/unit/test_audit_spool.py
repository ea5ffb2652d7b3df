"""The local file for entries: a line that counts is on the disk, a sick disk is noticed and holds nobody up."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backend import spool as spools
from backend.spool import Spool, SpoolError, SpoolFile, spool_of

LINE = b"boot 1 AAAA\n"


@pytest.fixture
def file(tmp_path: Path) -> SpoolFile:
    return SpoolFile(tmp_path / "audit-spool" / "boot.spool", reserve_bytes=0)


def _append(file: SpoolFile, line: bytes = LINE) -> None:
    file.append(line, lambda: True)


def test_lines_come_back_and_are_forgotten_from_the_front(file: SpoolFile) -> None:
    for n in range(3):
        _append(file, b"line %d\n" % n)
    file.clear(1)
    assert file.lines() == [b"line 1", b"line 2"]
    _append(file, b"line 3\n")
    file.clear(2)
    assert file.lines() == [b"line 3"]
    file.clear(1)
    assert file.path.stat().st_size == 0
    assert file.path.stat().st_mode & 0o077 == 0


def test_a_line_that_a_crash_cut_off_is_none(file: SpoolFile) -> None:
    _append(file)
    with file.path.open("ab") as torn:
        torn.write(b"boot 2 AA")
    assert file.lines() == [LINE[:-1]]


def test_it_never_grows_beyond_its_bound_or_into_the_reserve(tmp_path: Path) -> None:
    small = SpoolFile(tmp_path / "a" / "boot.spool", max_bytes=30, reserve_bytes=0)
    _append(small)
    _append(small)
    with pytest.raises(SpoolError, match="full"):
        _append(small)
    assert len(small.lines()) == 2
    full = SpoolFile(tmp_path / "b" / "boot.spool", reserve_bytes=1 << 60)
    with pytest.raises(SpoolError, match="full"):
        _append(full)
    with pytest.raises(SpoolError, match="full"):
        full.probe(b"nonce")


def test_a_line_nobody_waits_for_any_more_is_taken_back(file: SpoolFile) -> None:
    _append(file)
    with pytest.raises(SpoolError):
        file.append(b"late\n", lambda: False)
    assert file.lines() == [LINE[:-1]]


def test_a_file_that_was_taken_away_is_noticed_and_made_anew_with_what_it_held(file: SpoolFile) -> None:
    _append(file)
    file.probe(b"nonce")
    file.path.unlink()
    with pytest.raises(SpoolError, match="taken away"):
        file.probe(b"nonce")
    file.probe(b"nonce")
    assert file.lines() == [LINE[:-1]]


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "other file"])
def test_something_else_in_its_place_is_noticed_and_never_waited_for(file: SpoolFile, kind: str) -> None:
    _append(file)
    file.path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(file.path)
        case "directory":
            file.path.mkdir()
        case "link":
            file.path.symlink_to("/dev/full")
        case _:
            file.path.write_bytes(b"")
    with pytest.raises((SpoolError, OSError)):
        file.probe(b"nonce")
    if kind != "other file":
        with pytest.raises((SpoolError, OSError)):
            file.probe(b"nonce")
        with pytest.raises((SpoolError, OSError)):
            _append(file)


def test_of_two_processes_one_has_the_file(file: SpoolFile) -> None:
    _append(file)
    other = SpoolFile(file.path, reserve_bytes=0)
    with pytest.raises(OSError, match="unavailable"):
        other.lines()
    file.close()
    assert other.lines() == [LINE[:-1]]


_LIMITED = """
import resource, sys, signal
from pathlib import Path
from backend.spool import SpoolFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40, 40))
file = SpoolFile(Path(sys.argv[1]), reserve_bytes=0)
taken = 0
try:
    while True:
        file.append(b"x" * 15 + b"\\n", lambda: True)
        taken += 1
except Exception as error:
    print(taken, len(file.lines()), type(error).__name__)
"""


def test_a_disk_that_takes_half_a_line_has_taken_none(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path / "boot.spool")], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[:2] == ["2", "2"]
    assert (tmp_path / "boot.spool").stat().st_size == 32


async def test_a_disk_that_hangs_holds_nobody_up_and_is_trusted_again_when_it_answers(
    file: SpoolFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "ANSWER_S", 0.3)
    spool, release, fsync = Spool(file), threading.Event(), os.fsync
    await spool.append(LINE)

    def hang(descriptor: int) -> None:
        release.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", hang)
    ticks = 0

    async def others() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    running = asyncio.create_task(others())
    with pytest.raises(SpoolError, match="not answered"):
        await spool.append(b"hangs\n")
    began = time.monotonic()
    with pytest.raises(SpoolError):
        await spool.append(b"refused at once\n")
    assert time.monotonic() - began < 0.3
    await spool.probe(b"nonce")
    assert spool.problem is not None
    assert ticks > 2
    running.cancel()
    monkeypatch.setattr(os, "fsync", fsync)
    release.set()
    for _ in range(500):
        await spool.probe(b"nonce")
        if spool.problem is None:
            break
        await asyncio.sleep(0.01)
    assert spool.problem is None
    assert await spool.lines() == [LINE[:-1]]  # the line nobody waited for was taken back
    assert spool.waiting == 1


async def test_an_empty_file_leaves_with_its_process(tmp_path: Path) -> None:
    spool = spool_of(tmp_path, "boot")
    spool.file.reserve_bytes = 0
    await spool.probe(b"nonce")
    assert spool.file.path.exists()
    await spool.close()
    assert list(spool.file.path.parent.iterdir()) == []


async def test_a_spool_that_was_let_go_leaves_no_thread(tmp_path: Path) -> None:
    """Every second a process looks into what others have left: it would run out of threads."""
    before = set(threading.enumerate())
    spool = Spool(SpoolFile(tmp_path / "other.spool"))
    for _ in range(2):  # it can be used again
        assert await spool.lines() == []
        (thread,) = set(threading.enumerate()) - before
        await spool.let_go()
        thread.join(30)
        assert not thread.is_alive()
