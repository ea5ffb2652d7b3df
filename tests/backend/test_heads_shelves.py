"""Witnesses that only keep: what is written once stays, the newest is found first, and each failure has words."""

import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from backend.audit.heads.configured import witnesses_of
from backend.audit.heads.parties import AheadError, ContradictionError, Offer, PartyError
from backend.audit.heads.shelf import Shelf, ShelfWitness
from backend.audit.heads.shelves import DirectoryShelf, ObjectShelf, TableShelf
from backend.settings import Settings
from ledger import note
from ledger.checkpoint import Checkpoint
from ledger.note import SignerKey
from ledger.restored import ProvedEntry
from tests.support import databases
from tests.support.logs import MemoryLog

ORIGIN = "watchfloor-test/7y"
KEY = SignerKey("watchfloor-test/epoch/1", bytes(32))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket on a local S3 server; skipped where neither the extra `s3` nor the server's package is installed."""
    pytest.importorskip("obstore")
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    httpx.put(f"http://{host}:{port}/witness").raise_for_status()
    yield f"s3://witness/{secrets.token_hex(4)}"  # the server keeps its buckets as long as its process lives
    server.stop()


@pytest.fixture
def other_database() -> Iterator[str]:
    name, url = databases.create_database()
    yield url
    databases.drop_database(name)


@pytest.fixture(params=["directory", "table", "bucket"])
async def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shelf]:
    """Each kind in turn."""
    kinds: dict[str, Callable[[], Shelf]] = {
        "directory": lambda: DirectoryShelf(tmp_path / "kept"),
        "table": lambda: TableShelf(request.getfixturevalue("other_database")),
        "bucket": lambda: ObjectShelf(request.getfixturevalue("bucket")),
    }
    made = kinds[request.param]()
    yield made
    await made.close()


async def nothing_restored() -> tuple[ProvedEntry, ...]:
    return ()


def offer(log: MemoryLog, size: int) -> Offer:
    async def prove(old: int) -> tuple[bytes, ...]:
        return log.proof(old, size)

    signed = note.sign(log.checkpoint(size).format(), [KEY])
    return Offer(log.origin.partition("/")[0], log.origin, size, signed, (), prove, nothing_restored)


async def test_what_is_written_once_stays(shelf: Shelf) -> None:
    assert await shelf.get("a/b") is None
    assert await shelf.first("a/") is None
    assert await shelf.put_new("a/b", b"one")
    assert not await shelf.put_new("a/b", b"two")
    assert await shelf.get("a/b") == b"one"


async def test_the_newest_head_is_found_across_folders(shelf: Shelf) -> None:
    witness = ShelfWitness("shelf", shelf)
    log = MemoryLog(ORIGIN, 3)
    assert await witness.latest(ORIGIN) is None
    sizes = [1, 2, 3]
    for size in sizes:
        await witness.add(offer(log, size))
    far = Offer("watchfloor-test", ORIGIN, 2**40, _of_size(2**40), (), offer(log, 3).prove, nothing_restored)
    await witness.add(far)
    assert await witness.latest(ORIGIN) == far.note
    with pytest.raises(AheadError):
        await witness.add(offer(log, 3))


def _of_size(size: int) -> bytes:
    return note.sign(Checkpoint(ORIGIN, size, bytes(32)).format(), [KEY])


async def test_every_origin_of_a_ledger_is_listed(shelf: Shelf) -> None:
    assert await ShelfWitness("shelf", shelf).origins("watchfloor-test") == []
    origins = {ORIGIN, f"{ORIGIN}/r2", "watchfloor-test/import:x", "watchfloor-test2/7y"}
    for origin in sorted(origins):
        witness = ShelfWitness("shelf", shelf)
        for size in (1, 70_000):
            await witness.add(offer(MemoryLog(origin, size), size))
    listed = await ShelfWitness("shelf", shelf).origins("watchfloor-test")
    assert listed is not None
    assert sorted(listed) == sorted(origins - {"watchfloor-test2/7y"})


async def test_another_head_of_the_same_size_is_refused(shelf: Shelf) -> None:
    witness = ShelfWitness("shelf", shelf)
    await witness.add(offer(MemoryLog(ORIGIN, 9), 9))
    await witness.add(offer(MemoryLog(ORIGIN, 9), 9))
    with pytest.raises(ContradictionError):
        await witness.add(offer(MemoryLog(ORIGIN, 9, "fork"), 9))


async def test_a_table_lets_nobody_change_what_it_keeps(other_database: str) -> None:
    shelf = TableShelf(other_database)
    await shelf.put_new("a", b"one")
    await shelf.close()
    async with await psycopg.AsyncConnection.connect(other_database, autocommit=True) as connection:
        for statement in ("UPDATE watchfloor_witness SET data = ''", "DELETE FROM watchfloor_witness"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement.encode())


@pytest.mark.parametrize("make", [lambda _: TableShelf("postgresql://127.0.0.1:1/x"), DirectoryShelf])
async def test_a_place_that_is_away_has_words(make: Callable[[Path], Shelf], tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("a file where a folder should be")
    with pytest.raises(PartyError, match="cannot be used"):
        await make(tmp_path).put_new("heads/x", b"")


async def test_a_directory_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf, go_on = DirectoryShelf(tmp_path), threading.Event()
    monkeypatch.setattr("backend.audit.heads.shelves.ASK_LIMIT_S", 0.05)
    monkeypatch.setattr("backend.audit.heads.shelves._read", lambda _: go_on.wait() and None)
    calls: list[Awaitable[bytes | None]] = [shelf.get("a"), shelf.get("b")]
    try:
        for call, words in zip(calls, ("does not answer", "still hangs"), strict=True):
            with pytest.raises(PartyError, match=words):
                await call
    finally:
        go_on.set()


def test_names_show_no_password(tmp_path: Path) -> None:
    told = f"dir:{tmp_path} postgresql://u:secret@db.example/x?sslmode=require"
    settings = Settings(database_url="postgresql://127.0.0.1/x", witnesses=told)
    assert [one.name for one in witnesses_of(settings)] == [f"dir:{tmp_path}", "postgresql://db.example/x"]
