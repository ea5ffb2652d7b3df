"""Lines to hostile servers: every one ends in time, in one kind of error, and says nothing secret."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.unit.test_watchers_node import START
from watchers.line import MAX_NODE_BYTES, BackendLine, LineError, NodeLine, RefusedError
from watchers.places import Address, PlaceError, parse_backend, parse_chains, parse_node
from watchers.running import read_secret
from watchers.status import Board, parse_listen, serve_health
from watchers.wire import Call

Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]
LIMIT_S = 1.0


@asynccontextmanager
async def server(talk: Talk) -> AsyncIterator[str]:
    """A server that answers every connection as told."""
    talks: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await talk(writer)
                writer.close()
                await writer.wait_closed()
        finally:
            await gone(writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(answer(reader, writer)))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def gone(writer: asyncio.StreamWriter) -> None:
    """Close a connection for good, whatever is still to be sent."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def saying(body: bytes, status: str = "200 OK", headers: str = "") -> Talk:
    async def talk(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}Connection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()

    return talk


async def drip(writer: asyncio.StreamWriter) -> None:
    """One byte at a time, each soon enough for a limit between two bytes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2 * MAX_NODE_BYTES // 65536):
        writer.write(b"[" * 65536)
        await writer.drain()


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(os.urandom(3000))


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (saying(b"<html>no</html>"), "not JSON"),
        (saying(b"{}"), "not a batch"),
        (saying(b"[" * 100_000), "not JSON"),
        (saying(b"[]", status="500 Oops"), "HTTP status 500"),
        (saying(b"", status="302 Found", headers="Location: http://127.0.0.1:1/secret\r\n"), "HTTP status 302"),
        (saying(b"xx", headers="Content-Encoding: gzip\r\n"), "compressed"),
        (drip, "no answer within"),
        (flood, "more than"),
        (silence, "no answer"),
        (garbage, "does not speak HTTP"),
    ],
)
async def test_a_hostile_node_ends_in_one_kind_of_error_in_time(talk: Talk, words: str) -> None:
    limit_s = LIMIT_S if talk in {drip, silence} else 30.0
    async with server(talk) as url, NodeLine(Address(f"{url}/secret-key"), limit_s) as line:
        with pytest.raises(LineError, match=words) as raised:
            await line.ask([Call("eth_chainId")])
        assert "secret" not in str(raised.value)


async def test_nobody_there_is_one_kind_of_error() -> None:
    async with NodeLine(Address("http://127.0.0.1:9/secret"), LIMIT_S) as line:
        with pytest.raises(LineError, match="cannot be reached"):
            await line.ask([Call("eth_chainId")])


async def test_a_long_list_travels_in_several_batches() -> None:
    async def talk(writer: asyncio.StreamWriter) -> None:
        await saying(b'[{"id":0,"result":"0x1"}]')(writer)

    async with server(talk) as url, NodeLine(Address(url), 30.0) as line:
        answers = await line.ask([Call("a")] * 91)
    assert (len(answers), answers[0], answers[90]) == (91, "0x1", "0x1")


async def test_a_backend_that_refuses_is_told_from_one_that_fails() -> None:
    async with server(saying(b"{}", status="403 Forbidden")) as url, BackendLine(url, "wfs_x", 30.0) as line:
        with pytest.raises(RefusedError):
            await line.to_watch()
    async with server(saying(b'{"wallets": 3}')) as url, BackendLine(url, "wfs_x", 30.0) as line:
        with pytest.raises(LineError, match="not understood"):
            await line.to_watch()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8545",
        "ftp://x",
        "http://",
        "http://u:secret@x",
        "http://x#one",
        "http://x#0",
        "http://x:99999",
        "http://a b",
    ],
)
def test_what_is_no_node_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(PlaceError) as raised:
        parse_node(text)
    assert "secret" not in str(raised.value)


def test_chains_are_pinned_by_their_names_and_by_hand() -> None:
    [arbitrum, mine] = parse_chains([("Arbitrum", "https://a/key"), ("mine", "http://b#7")], 1)
    assert (arbitrum.name, arbitrum.chain_id, mine.chain_id) == ("arbitrum", 42161, 7)
    assert arbitrum.nodes[0].shown == "a"
    assert "key" not in repr(arbitrum)
    for given, agree in (
        ([("a", "http://x#1"), ("A", "http://y#2")], 1),
        ([("a", "http://x")], 2),
        ([("a", "http://x"), ("a", "http://x")], 1),
        ([("", "http://x")], 1),
    ):
        with pytest.raises(PlaceError):
            parse_chains(given, agree)


def test_a_token_never_travels_in_the_clear() -> None:
    assert parse_backend("http://127.0.0.1:8420/") == "http://127.0.0.1:8420"
    for text in ("http://backend.example", "https://u:p@backend", "backend", "https://b?x"):
        with pytest.raises(PlaceError):
            parse_backend(text)


def test_a_secret_is_read_from_its_owners_file_only(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    path.write_text("wfs_secret\n")
    assert read_secret(path) == "wfs_secret"
    path.chmod(0o640)
    with pytest.raises(PlaceError, match="chmod 600"):
        read_secret(path)
    path.chmod(0o600)
    for wrong in ("", "two words", "two\nlines", "é", "x" * 5000):
        path.write_text(wrong)
        with pytest.raises(PlaceError):
            read_secret(path)


def board(lines: list[str]) -> Board:
    from datetime import UTC, datetime

    return Board(lambda: datetime.fromtimestamp(START, UTC), lines.append)


def test_a_line_is_written_when_the_word_changes() -> None:
    lines: list[str] = []
    told = board(lines)
    for block in range(3):
        told.tell("arbitrum", "answers", ok=True, block=block)
    told.tell("arbitrum", "stale", ok=False, why="old")
    assert len(lines) == 2
    ok, known = told.health()
    assert not ok
    assert known["about"]["arbitrum"]["why"] == "old"


async def test_health_is_told_on_this_machine_and_survives_strangers() -> None:
    told = board([])
    told.tell("arbitrum", "answers", ok=True)
    health = await serve_health(told, "127.0.0.1", 0)
    port = health.sockets[0].getsockname()[1]
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            assert (await client.get("/healthz")).status_code == 200
            told.tell("arbitrum", "no answer", ok=False)
            answer = await client.get("/healthz")
            assert (answer.status_code, answer.json()["ok"]) == (503, False)
            assert (await client.get("/secrets")).status_code == 404
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(OSError):
            writer.write(b"x" * 100_000)
            await writer.drain()
        await gone(writer)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            assert (await client.get("/healthz")).status_code == 503
    finally:
        health.close()
    for text in ("0.0.0.0:1", "example.com:1", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"):
        with pytest.raises(PlaceError):
            parse_listen(text)
