"""What a pair writes down, and how it reads what PostgreSQL's programs say."""

import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from watchfloor.embedded import ConfigurationError
from watchfloor.pair import places
from watchfloor.pair.processes import family
from watchfloor.pair.state import Behind, Kept, Kill, Loss, PairState, home_of, load, primary_alone, save, state_file
from watchfloor.pair.tools import forked_at, lsn, reaches

SEGMENT = 16 << 20
WHOLE = PairState(
    primary="b", in_step=True, diverged="a", waited=True, broken="a",
    killed=Kill("a", "2026-11-21T10:00:00+00:00", (1, 2)),
    lost=Loss("0/3000130", 7, 0), lost_of="a", sockets="/run/wf-pair-1", kept_log="/data/kept-log-1",
    behind=Behind("a", "2026-11-21T10:00:00+00:00", 7, "2026-11-21T09:59:00+00:00"),
)  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    state_file(tmp_path).parent.mkdir()
    return tmp_path


@pytest.mark.parametrize("state", [PairState(), WHOLE])
def test_the_state_is_read_back_as_it_was_written(directory: Path, state: PairState) -> None:
    save(state_file(directory), state)
    assert load(state_file(directory)) == state
    assert Kept(state_file(directory)).now == state


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 2}', '{"format": 1, "primary": "c"}'])
def test_nobody_guesses_who_is_primary(directory: Path, text: str) -> None:
    state_file(directory).write_text(text)
    with pytest.raises(ConfigurationError):
        load(state_file(directory))


def test_a_state_with_an_unknown_node_is_damaged(directory: Path) -> None:
    found = {"format": 1, **asdict(PairState()), "primary": "c"}
    state_file(directory).write_text(json.dumps(found))
    with pytest.raises(ConfigurationError, match="damaged"):
        load(state_file(directory))


def test_without_a_standby_the_newer_data_are_used_and_the_other_is_not_in_step(directory: Path) -> None:
    assert primary_alone(directory) == home_of(directory, "a")
    assert not state_file(directory).exists()
    save(state_file(directory), PairState(primary="b", in_step=True, held_down=True))
    assert primary_alone(directory) == home_of(directory, "b")
    assert load(state_file(directory)) == PairState(primary="b")


@pytest.mark.parametrize("broken", ["data", "promotion"])
def test_without_a_standby_data_that_are_not_whole_are_refused(directory: Path, broken: str) -> None:
    save(state_file(directory), PairState(primary="b", broken="b" if broken == "data" else None))
    if broken == "promotion":
        (home_of(directory, "b") / "data").mkdir(parents=True)
        (home_of(directory, "b") / "data" / "standby.signal").touch()
    with pytest.raises(ConfigurationError, match="--with-standby"):
        primary_alone(directory)


def test_the_place_of_the_sockets_stays_unless_somebody_else_took_it(directory: Path) -> None:
    kept = Kept(state_file(directory))
    first = places.sockets(kept)
    places.leave(kept)
    assert not first.exists()
    assert places.sockets(Kept(state_file(directory))) == first
    first.rmdir()
    first.symlink_to(directory)
    try:
        another = places.sockets(Kept(state_file(directory)))
        assert another != first
        another.rmdir()
    finally:
        first.unlink()


@pytest.mark.parametrize(
    ("history", "fork"),
    [
        ("1\t0/3000130\tno recovery target specified\n", (1, "0/3000130")),
        ("1\t0/3000130\tno recovery target specified\n\n2\t1/A000000\tx\n", (2, "1/A000000")),
        ("# nothing\n\n", None),
        ("", None),
    ],
)
def test_where_a_timeline_began(history: str, fork: tuple[int, str] | None) -> None:
    assert forked_at(history) == fork


def test_places_in_the_log() -> None:
    assert lsn("0/3000130") == 0x3000130
    assert lsn("A/1") == (10 << 32) + 1


def test_a_log_that_was_never_written_so_far_is_told_from_one_that_is_not_kept(tmp_path: Path) -> None:
    for number in (2, 3):
        (tmp_path / f"00000001{0:08X}{number:08X}").write_bytes(b"")
        os.truncate(tmp_path / f"00000001{0:08X}{number:08X}", SEGMENT)
    for number in (0, 4):  # what a server was just making when it was killed
        (tmp_path / f"00000001{0:08X}{number:08X}").touch()
    assert reaches(tmp_path, 1, "0/3FFFFFF") is True
    assert reaches(tmp_path, 1, "0/4000000") is False
    assert reaches(tmp_path, 1, "1/0") is False
    assert reaches(tmp_path, 1, "0/1000000") is None
    assert reaches(tmp_path, 2, "0/4000000") is None


def test_children_and_theirs_are_found() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        found = family(shell.pid)
        for pid in (shell.pid, *found):
            os.kill(pid, 9)
    assert len(found) == 1
