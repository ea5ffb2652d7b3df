"""Strangers who connect and never ask: they are cut, bounded, and take nothing that a freeze needs."""

import asyncio
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest

from backend import door
from backend.server import BackendServer, listening_socket, url_of
from tests.support.app import App
from tests.support.backends import serving
from tests.support.gate_line import line
from tests.support.people import EXECUTOR, sign_in

LIMIT_S = 30.0
HALF = b"GET /v1/gate/connect HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX-Slow: "
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def url(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """The address of a backend that has little patience."""
    monkeypatch.setattr(door, "HEAD_LIMIT_S", 1.0)
    async with serving(app.app) as address:
        yield address


async def knock(url: str, said: bytes = b"") -> Stream:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(said)
    return reader, writer


async def ended(stream: Stream) -> bool:
    """Wait until the backend hangs up."""
    reader, writer = stream
    try:
        async with asyncio.timeout(LIMIT_S):
            while await reader.read(4_096):
                pass
    except ConnectionResetError:
        pass
    writer.close()
    return True


@pytest.mark.parametrize("said", [b"", HALF, WHOLE + HALF], ids=["nothing", "half a head", "a request, then half one"])
async def test_who_does_not_finish_asking_is_cut(url: str, said: bytes) -> None:
    assert await ended(await knock(url, said))


async def test_a_head_without_end_is_cut_before_it_fills_the_memory(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HEAD_LIMIT_S", 10 * LIMIT_S)
    stream = await knock(url, HALF)
    stream[1].write(b"x" * (door.MAX_HEAD_BYTES + 1))
    assert await ended(stream)


async def test_who_has_asked_is_not_cut(app: App, url: str) -> None:
    token = await sign_in(app.runtime, EXECUTOR)
    async with line(url, token) as bot, httpx.AsyncClient(base_url=url) as client:
        assert (await client.get("/healthz")).is_success
        await bot.renew()
        for _ in range(4):  # longer than anybody may take for a head
            await asyncio.sleep(door.HEAD_LIMIT_S / 2)
            await bot.renew()
        assert (await client.get("/healthz")).is_success


async def test_a_full_door_takes_nobody_and_lets_nobody_go(app: App, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HEAD_LIMIT_S", 10 * LIMIT_S)
    token = await sign_in(app.runtime, EXECUTOR)
    async with line(url, token) as bot:
        await bot.renew()
        monkeypatch.setattr(door, "most_connections", lambda: 4)
        strangers = [await knock(url, HALF) for _ in range(3)]
        await bot.renew()
        assert await ended(await knock(url, WHOLE)), "one too many"
        await bot.renew()
        strangers[0][1].close()
        async with httpx.AsyncClient(base_url=url) as client, asyncio.timeout(LIMIT_S):
            while True:
                try:
                    assert (await client.get("/healthz")).is_success
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        for _, writer in strangers:
            writer.close()


def test_a_backend_asks_for_files_and_keeps_some_from_connections() -> None:
    asked = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (512, 4096));"
        "from backend import door; before = door.most_connections(); door.ask_for_files();"
        "print(before, door.most_connections(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4_096:
        pytest.skip(f"this system gives a process {hard} files at most")
    said = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(512 - door.SPARE_FILES), str(4096 - door.SPARE_FILES), "4096", "4096"]


async def test_who_is_gone_before_being_asked_for_an_address_passes_for_nobody(app: App) -> None:
    sock = listening_socket("127.0.0.1", 0)
    with socket.create_connection(sock.getsockname()) as client:
        client.sendall(WHOLE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
    ready = asyncio.Event()
    server = BackendServer(app.app, ready=ready.set, guest=True)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    await ready.wait()
    async with httpx.AsyncClient(base_url=url_of(sock)) as client:
        assert (await client.get("/metrics")).is_success
    server.should_exit = True
    await task
    asked = {"method": "GET", "route": "/healthz", "status": "200"}
    assert app.runtime.metrics.registry.get_sample_value("watchfloor_http_requests_total", asked) is None


async def test_a_body_read_together_with_its_head_is_no_long_head(url: str) -> None:
    body = b"{" + b" " * (3 * door.MAX_HEAD_BYTES)
    head = (
        f"POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    )
    reader, writer = await knock(url, head.encode() + b"Connection: close\r\n\r\n" + body)
    async with asyncio.timeout(LIMIT_S):
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
    writer.close()
