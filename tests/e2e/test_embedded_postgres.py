"""The embedded PostgreSQL as people meet it: started, shared, killed, moved, out of space."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.places import public_directory
from tests.support.processes import marked, until, until_gone
from watchfloor.embedded import ConfigurationError, EmbeddedPostgres, binaries, cluster

REPOSITORY = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from watchfloor.embedded import ConfigurationError, EmbeddedPostgres
try:
    server = EmbeddedPostgres(sys.argv[1]).start()
except ConfigurationError as error:
    sys.exit(f"refused: {error}")
print(server.database_url, flush=True)
time.sleep(600)
"""
SYSTEM_PYTHON = "/usr/bin/python3"
UID_WITHOUT_NAME = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def home() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory / "postgres"
        until_gone(str(directory))


@pytest.fixture
def holders() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def hold(holders: list[subprocess.Popen[str]], home: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home)], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    holders.append(process)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("postgresql://")
    return process, url


def run_as(uid: int, home: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = HOLDER.replace("time.sleep(600)", "")
    return subprocess.run(
        [SYSTEM_PYTHON, "-c", program, str(home)], user=uid, group=uid, extra_groups=[], capture_output=True, text=True,
        cwd="/", env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **environment}, check=False,
    )  # fmt: skip


def needs_system_python(uid: int) -> None:
    check = "import sys, watchfloor.embedded; sys.exit(sys.version_info < (3, 11))"
    try:
        done = subprocess.run([SYSTEM_PYTHON, "-c", check], user=uid, env={"PYTHONPATH": str(REPOSITORY)}, cwd="/",
                              capture_output=True, check=False)  # fmt: skip
    except OSError:
        pytest.skip("no system Python")
    if done.returncode != 0:
        pytest.skip("another account cannot run this checkout with the system's Python")


def write_row(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('here')")


def rows(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT word FROM kept").fetchall()


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    assert row is not None
    return str(row[0])


def test_data_survive_a_restart_and_are_durable(home: Path) -> None:
    with EmbeddedPostgres(home) as server:
        write_row(server.database_url)
        settings = {
            name: setting(server.database_url, name) for name in ("fsync", "synchronous_commit", "data_checksums")
        }
        assert settings == {"fsync": "on", "synchronous_commit": "on", "data_checksums": "on"}
        assert setting(server.database_url, "listen_addresses") == ""
        assert setting(server.database_url, "server_encoding") == "UTF8"
    assert not server.running()
    assert not marked(str(home))
    with EmbeddedPostgres(home) as server:
        assert rows(server.database_url) == [("here",)]


def test_the_socket_is_private_and_goes_away(home: Path) -> None:
    with EmbeddedPostgres(home, fast=True) as server:
        socket_dir = Path(server.database_url.partition("host=")[2])
        assert stat.S_IMODE(socket_dir.stat().st_mode) == 0o700
        assert setting(server.database_url, "fsync") == "off"
    assert not socket_dir.exists()


def test_it_takes_settings_of_its_user(home: Path) -> None:
    with EmbeddedPostgres(home, fast=True, settings={"shared_buffers": "64MB", "fsync": "on"}) as server:
        assert [setting(server.database_url, name) for name in ("shared_buffers", "fsync")] == ["64MB", "on"]


def test_an_ephemeral_server_leaves_nothing(home: Path) -> None:
    with EmbeddedPostgres(home, fast=True, ephemeral=True) as server:
        assert server.running()
    assert not home.exists()
    until(lambda: not list(home.parent.iterdir()), "the removal of its files")


def test_the_server_stays_for_the_second_user_and_ends_with_the_last(
    home: Path, holders: list[subprocess.Popen[str]]
) -> None:
    first, first_url = hold(holders, home)
    second, second_url = hold(holders, home)
    assert first_url == second_url
    write_row(first_url)
    first.kill()
    first.wait()
    assert rows(second_url) == [("here",)]
    second.kill()
    until_gone(str(home / "data"))
    with EmbeddedPostgres(home) as server:
        assert rows(server.database_url) == [("here",)]


@pytest.mark.parametrize("victim", ["guard_pid", "server_pid"])
def test_a_killed_part_takes_the_rest_along_and_the_next_start_recovers(
    home: Path, holders: list[subprocess.Popen[str]], victim: str
) -> None:
    _, url = hold(holders, home)
    write_row(url)
    os.kill(json.loads((home / "server.json").read_text())[victim], signal.SIGKILL)
    until_gone(str(home / "data"))
    with EmbeddedPostgres(home) as server:
        assert server.database_url != url
        assert rows(server.database_url) == [("here",)]


def test_a_start_while_the_last_user_leaves_gets_a_server(home: Path) -> None:
    for _ in range(3):
        leaving = EmbeddedPostgres(home, fast=True).start()
        leaving._release()
        with EmbeddedPostgres(home, fast=True) as server:
            assert setting(server.database_url, "fsync") == "off"


def test_a_pid_file_naming_another_program_is_stale(home: Path) -> None:
    with EmbeddedPostgres(home):
        text = (home / "data" / "postmaster.pid").read_text()
    ours = text.replace(text.splitlines()[0], str(os.getpid()), 1)
    (home / "data" / "postmaster.pid").write_text(ours)
    with EmbeddedPostgres(home) as server:
        assert server.running()


def test_data_of_another_version_are_refused_in_one_line(home: Path) -> None:
    with EmbeddedPostgres(home, fast=True):
        pass
    (home / "data" / "PG_VERSION").write_text("99\n")
    with pytest.raises(ConfigurationError, match=r"are of PostgreSQL 99, the program is PostgreSQL \d+") as refusal:
        EmbeddedPostgres(home).start()
    assert "\n" not in str(refusal.value)
    assert not marked(str(home))


def test_a_directory_that_cannot_be_used_is_refused_in_one_line(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot use the data directory"):
        EmbeddedPostgres(home / "below").start()


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    with EmbeddedPostgres(home, fast=True):
        pass
    with (home / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(ConfigurationError, match=r"does not start in .*(no_such_setting|configuration file)"):
        EmbeddedPostgres(home).start()
    assert not marked(str(home))


def test_a_long_temporary_path_does_not_break_the_socket(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = home.parent / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with EmbeddedPostgres(home, fast=True) as server:
        assert server.running()


@as_root
@pytest.mark.parametrize("checked", [True, False], ids=["noticed before", "noticed by initdb"])
def test_a_full_disk_is_refused_in_one_line(home: Path, monkeypatch: pytest.MonkeyPatch, *, checked: bool) -> None:
    small = home.parent / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m,mode=755", "tmpfs", small], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small file system here")
    try:
        if not checked:
            monkeypatch.setattr(cluster, "NEW_CLUSTER_MIB", 0)
        with pytest.raises(ConfigurationError, match="the disk is full") as refusal:
            EmbeddedPostgres(small / "postgres").start()
        assert "\n" not in str(refusal.value)
    finally:
        subprocess.run(["umount", small], check=True)


@as_root
def test_root_keeps_a_private_parent_private(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private = home.parent / "private"
    private.mkdir(mode=0o700)
    place = home.parent / "place"
    installed = binaries.locate().bin.parent
    package = installed.parent
    subprocess.run(["cp", "-a", package, *package.parent.glob(f"{package.name}.libs"), private], check=True)
    monkeypatch.setenv("WATCHFLOOR_PGBIN", str(private / package.name / installed.name / "bin"))
    target = private / "clone" / ".watchfloor"
    with EmbeddedPostgres(target, reachable_places=[place]) as server:
        write_row(server.database_url)
    with EmbeddedPostgres(target, reachable_places=[place]) as server:
        assert rows(server.database_url) == [("here",)]
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert place.stat().st_uid == 0
    assert len(list(place.glob("postgresql-*"))) == 1
    subprocess.run(["cp", "-a", target, private / "copy"], check=True)
    with pytest.raises(ConfigurationError, match="holds the data of"):
        EmbeddedPostgres(private / "copy", reachable_places=[place]).start()


@as_root
def test_an_ordinary_user_runs_it_as_himself(home: Path) -> None:
    nobody = 65534
    needs_system_python(nobody)
    home.mkdir()
    os.chown(home, nobody, nobody)
    done = run_as(nobody, home, {"WATCHFLOOR_PGBIN": str(binaries.locate().bin)})
    assert done.stdout.startswith("postgresql://"), done.stderr
    assert (home / "data").stat().st_uid == nobody


@as_root
def test_an_account_without_a_name_is_told(home: Path) -> None:
    needs_system_python(UID_WITHOUT_NAME)
    home.mkdir()
    os.chown(home, UID_WITHOUT_NAME, UID_WITHOUT_NAME)
    done = run_as(UID_WITHOUT_NAME, home, {"WATCHFLOOR_PGBIN": str(binaries.locate().bin)})
    assert done.stderr.startswith("refused: uid 54321 has no entry in the user database"), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_two_starts_at_once_share_one_new_server(home: Path, holders: list[subprocess.Popen[str]]) -> None:
    command = [sys.executable, "-c", HOLDER, str(home)]
    holders += [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) for _ in range(3)]
    urls = {process.stdout.readline() for process in holders if process.stdout is not None}
    assert len(urls) == 1
    until(lambda: len([line for line in marked(str(home / "data")) if "postgres -D" in line]) == 1, "one server")
