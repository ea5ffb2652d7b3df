"""Copies of partitions: written once, read back, looked at again; what is wrong with one is noticed and told."""

import gzip
import json
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from backend import archivewatch
from backend.alerts.service import live_of_rules
from backend.audit.events import AuditEvent
from backend.audit.retention.survey import closed
from backend.errors import ConfigurationError
from backend.main import create_app
from backend.settings import Settings
from backend.stores import DirectoryStore, NotStoredError, Store, StoreError, open_store
from contract.retention import CopyState
from ledger.merkle import leaf_hash, root_of
from tests.support.aged import LOG, WIDTH, Aged, aged
from tests.support.ledger import ledger_rows
from tests.support.people import AUDITOR, OPERATOR

ALL = 2 * WIDTH + 8
RULES = (archivewatch.LOST, archivewatch.AWAY)


class KilledError(BaseException):
    """Stands for the end of the process: nothing after it runs."""


class Mortal:
    """A place whose user dies after so many more acts."""

    def __init__(self, inner: Store, left: list[int]) -> None:
        self._inner = inner
        self._left = left
        self.place = inner.place

    def _act(self) -> None:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise KilledError

    async def put_new(self, name: str, source: Path) -> bool:
        self._act()
        done = await self._inner.put_new(name, source)
        self._act()
        return done

    async def read(self, name: str) -> AsyncIterator[bytes]:
        self._act()
        async for piece in self._inner.read(name):
            yield piece


class Full:
    """A place without room."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self.place = inner.place

    async def put_new(self, name: str, source: Path) -> bool:
        with no_room(2**16):  # room for a log line, not for a copy
            return await self._inner.put_new(name, source)

    def read(self, name: str) -> AsyncIterator[bytes]:
        return self._inner.read(name)


@pytest.fixture
async def old(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aged]:
    async with aged(database_url, tmp_path, monkeypatch) as made:
        yield made


async def alerts(old: Aged) -> dict[str, str]:
    """Live alerts about copies, by rule."""
    async with old.app.runtime.database.transaction() as session:
        await archivewatch.tick(session, old.app.runtime)
    async with old.app.runtime.database.read() as session:
        return {alert.rule: alert.message for _, alert in await live_of_rules(session, RULES)}


async def states(old: Aged) -> set[CopyState]:
    return {copy.state for copy in (await old.report()).failing_copies}


def copy_of(place: Path) -> Path:
    """The folder of the first partition's copy."""
    return next(place.rglob(f"{LOG}/{0:020d}"))


@contextmanager
def no_room(size_bytes: int) -> Iterator[None]:
    """Let this process write no file longer than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_copy_holds_the_bytes_of_the_entries_and_nothing_personal(old: Aged) -> None:
    await old.ready()
    await old.keeper().round()
    rows = [row for row in await ledger_rows(old.app) if row.log == LOG][:WIDTH]
    for place in old.places:
        folder = copy_of(place)
        manifest = json.loads((folder / "manifest.json").read_bytes())
        raw = (folder / manifest["entries"]["name"]).read_bytes()
        lines = gzip.decompress(raw).splitlines()
        assert lines == [row.canon for row in rows]
        assert manifest["root"] == root_of([leaf_hash(line) for line in lines]).hex()
        assert manifest["entries"]["sha256"] == sha256(raw).hexdigest()
        for file in folder.iterdir():
            content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            assert b"192.0.2.7" not in content
            assert b"olga" not in content
            assert file.stat().st_mode & 0o077 == 0
    written = [row for row in await ledger_rows(old.app) if row.event_type == AuditEvent.ARCHIVE_WRITTEN.value]
    assert len(written) == (await old.report()).sound_copies


@pytest.mark.parametrize("kind", ["entries", "nodes", "checkpoint", "manifest"])
async def test_a_changed_or_missing_file_of_a_copy_is_noticed_and_told(old: Aged, kind: str) -> None:
    await old.ready()
    await old.keeper().round()
    assert await alerts(old) == {}
    (file,) = copy_of(old.places[0]).glob(f"{kind}*")
    sound = file.read_bytes()
    for at in (0, len(sound) // 2, len(sound) - 1):
        file.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        old.clock.pass_(days=7)
        await old.keeper().check_copies()
        assert await states(old) == {CopyState.DAMAGED}
        assert archivewatch.LOST in await alerts(old)
        file.write_bytes(sound)
        old.clock.pass_(minutes=10)
        await old.keeper().check_copies()
        assert await states(old) == set()
        assert await alerts(old) == {}
    file.unlink()
    old.clock.pass_(days=7)
    await old.keeper().check_copies()
    assert await states(old) == {CopyState.MISSING}
    old.grow_old()
    await old.keeper(old.stores[1:]).round()
    assert await old.entries() == ALL
    lost = [row for row in await ledger_rows(old.app) if row.event_type == AuditEvent.ARCHIVE_LOST.value]
    assert len(lost) == 4


async def test_a_missing_copy_is_written_again_while_the_entries_are_here(old: Aged) -> None:
    await old.ready()
    await old.keeper().round()
    for file in copy_of(old.places[0]).iterdir():
        file.unlink()
    old.clock.pass_(days=7)
    await old.keeper().round()
    assert await states(old) == set()
    assert (copy_of(old.places[0]) / "manifest.json").exists()


async def test_nothing_is_checked_more_often_than_the_policy_says(old: Aged) -> None:
    await old.ready()
    await old.keeper().round()
    copy_of(old.places[0]).joinpath("manifest.json").write_bytes(b"{}")
    old.clock.pass_(days=6)
    await old.keeper().round()
    assert await states(old) == set()
    old.clock.pass_(days=1)
    await old.keeper().round()
    assert await states(old) == {CopyState.DAMAGED}


async def test_a_copy_damaged_just_before_the_purge_stops_it(old: Aged) -> None:
    await old.ready()
    old.grow_old()
    await old.sign()
    keeper = old.keeper()
    partitions = [one for one in await closed(old.app.runtime) if one.log == LOG]
    for partition in partitions:
        await keeper.write_copies(partition)
    (file,) = copy_of(old.places[1]).glob("entries*")
    file.write_bytes(file.read_bytes()[:-1])
    await keeper.drop(partitions[0])
    assert await old.entries() == ALL
    assert "was changed" in await old.held_back_by()


async def test_a_process_that_dies_anywhere_loses_nothing_and_the_next_goes_on(old: Aged) -> None:
    await old.ready()
    old.grow_old()
    await old.sign()
    deaths = 0
    while await old.entries() == ALL:
        left = [deaths]
        try:
            await old.keeper([Mortal(store, left) for store in old.stores]).round()
        except KilledError:
            deaths += 1
            assert await old.entries() in {ALL, ALL - WIDTH}
            assert (await old.standing()).dropped + await old.entries() == ALL
    await old.keeper().round()
    assert await old.entries() == 8
    assert deaths > 15, "died at every act of the way"
    assert not list(old.places[0].rglob("*.draft"))


@pytest.mark.parametrize("where", ["the place", "this machine"])
async def test_a_full_disk_stops_the_copy_and_with_it_the_purge(old: Aged, where: str) -> None:
    await old.ready(noise=True)
    old.grow_old()
    if where == "the place":
        await old.keeper([Full(store) for store in old.stores]).round()
    else:
        with no_room(2**16):
            await old.keeper().round()
    assert await old.entries() == ALL
    assert "File too large" in await old.held_back_by()
    assert await states(old) == {CopyState.UNWRITTEN}
    assert archivewatch.AWAY in await alerts(old)
    assert not [file for place in old.places for file in place.rglob("*") if file.is_file()]
    old.clock.pass_(minutes=10)
    await old.keeper().round()
    assert await old.entries() == 8
    assert await alerts(old) == {}


async def test_a_place_that_is_away_is_not_called_empty(old: Aged, tmp_path: Path) -> None:
    await old.ready()
    await old.keeper().round()
    old.places[0].rename(tmp_path / "unmounted")
    old.clock.pass_(days=7)
    await old.keeper().check_copies()
    assert await states(old) == {CopyState.UNREACHABLE}
    (tmp_path / "unmounted").rename(old.places[0])
    old.clock.pass_(minutes=10)
    await old.keeper().round()
    assert await states(old) == set()


async def test_another_copy_in_the_way_is_left_alone_and_told(old: Aged) -> None:
    await old.ready()
    await old.keeper(old.stores[:1]).round()
    manifest = copy_of(old.places[0]) / "manifest.json"
    other = old.places[1] / manifest.relative_to(old.places[0])
    other.parent.mkdir(parents=True)
    other.write_bytes(manifest.read_bytes().replace(b'"root":"', b'"root":"00'))
    kept = other.read_bytes()
    await old.keeper().round()
    assert other.read_bytes() == kept
    assert await states(old) == {CopyState.DAMAGED}


async def test_a_directory_never_replaces_a_file(tmp_path: Path) -> None:
    store, source = DirectoryStore(tmp_path / "place"), tmp_path / "source"
    with pytest.raises(StoreError):
        [piece async for piece in store.read("a/b")]
    source.write_bytes(b"first")
    assert await store.put_new("a/b", source)
    source.write_bytes(b"second")
    assert not await store.put_new("a/b", source)
    assert b"".join([piece async for piece in store.read("a/b")]) == b"first"
    with pytest.raises(NotStoredError):
        [piece async for piece in store.read("a/c")]


@pytest.mark.parametrize("spec", ["", "dir:", "dir:relative", "file:/x", "s3:bucket", "/x"])
def test_what_names_no_place_is_refused(spec: str) -> None:
    with pytest.raises(ConfigurationError):
        open_store(spec)


def test_a_backend_does_not_start_with_a_place_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_ARCHIVES", "dir:relative")
    with pytest.raises(ConfigurationError, match="dir:relative"):
        create_app(Settings(database_url="postgresql://localhost/none"))


async def test_the_report_is_for_those_who_may_see_the_log(old: Aged) -> None:
    await old.ready()
    async with await old.app.as_(AUDITOR) as http:
        answer = (await http.get("/v1/ledger/retention")).json()
    found = next(one for one in answer["logs"] if one["log"] == LOG)
    assert (found["keep_days"], found["entries"], found["full_partitions"]) == (1095, ALL, 2)
    assert found["next"]["held_back_by"] == ["0 of 2 copies were read back and are sound"]
    async with await old.app.as_(OPERATOR) as http:
        assert (await http.get("/v1/ledger/retention")).status_code == 403
