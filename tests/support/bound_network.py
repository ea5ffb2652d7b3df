"""The network between bots and backends: it loses, delays and repeats what backends say. And the venue behind it."""

import asyncio
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from gate import Checker

_HEAD_END = b"\r\n\r\n"
_LONGEST_REPEAT_S = 3.0


@dataclass
class Weather:
    """How one bot's network behaves, from now on."""

    port: int
    """Of the backend it leads to."""
    cut: bool = False
    """Nothing arrives, and nobody is told."""
    delay_s: float = 0.0
    """What a backend says arrives so much later."""
    repeats: bool = False
    """What a backend said arrives again, late and between newer words."""


class Network:
    """One address a bot, on an event loop of its own thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []

    def address(self, weather: Weather) -> str:
        """A URL that leads through this weather."""
        made = asyncio.run_coroutine_threadsafe(self._serve(weather), self._loop).result(10)
        return f"http://127.0.0.1:{made}"

    async def _serve(self, weather: Weather) -> int:
        server = await asyncio.start_server(lambda reader, writer: _lead(weather, reader, writer), "127.0.0.1", 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Forget all connections."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        leading = asyncio.all_tasks() - {asyncio.current_task()}
        for task in leading:
            task.cancel()
        await asyncio.gather(*leading, return_exceptions=True)


async def _lead(weather: Weather, bot: asyncio.StreamReader, to_bot: asyncio.StreamWriter) -> None:
    try:
        backend, to_backend = await asyncio.open_connection("127.0.0.1", weather.port)
    except OSError:
        to_bot.close()
        return
    ways = [asyncio.create_task(_up(weather, bot, to_backend)), asyncio.create_task(_down(weather, backend, to_bot))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for writer in (to_bot, to_backend):
            writer.close()
        await asyncio.gather(*ways, return_exceptions=True)


async def _up(weather: Weather, bot: asyncio.StreamReader, to_backend: asyncio.StreamWriter) -> None:
    while chunk := await bot.read(65_536):
        while weather.cut:  # noqa: ASYNC110  a switch thrown from another thread
            await asyncio.sleep(0.01)
        to_backend.write(chunk)
        await to_backend.drain()


async def _down(weather: Weather, backend: asyncio.StreamReader, to_bot: asyncio.StreamWriter) -> None:
    """Pass on the answer to the upgrade, then frame by frame, each at its time."""
    to_bot.write(await backend.readuntil(_HEAD_END))
    loop = asyncio.get_running_loop()
    while frame := await _frame(backend):
        while weather.cut:  # noqa: ASYNC110  a switch thrown from another thread
            await asyncio.sleep(0.01)
        loop.call_later(weather.delay_s, _say, weather, to_bot, frame)
        if weather.repeats and frame[0] & 0x0F == 1:
            again = random.uniform(0.01, _LONGEST_REPEAT_S)  # noqa: S311  weather, no secret
            loop.call_later(weather.delay_s + again, _say, weather, to_bot, frame)


def _say(weather: Weather, to_bot: asyncio.StreamWriter, frame: bytes) -> None:
    if not weather.cut and not to_bot.is_closing():
        to_bot.write(frame)


async def _frame(backend: asyncio.StreamReader) -> bytes:
    """One whole frame of a server, which masks nothing (RFC 6455, 5.2); empty at the end."""
    try:
        head = await backend.readexactly(2)
        wide = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
        more = await backend.readexactly(wide)
        length = int.from_bytes(more) if wide else head[1] & 0x7F
        return head + more + await backend.readexactly(length)
    except asyncio.IncompleteReadError:
        return b""


@dataclass
class Order:
    """One order as the venue saw it."""

    sent_at: float
    """Right before the bot sent it, monotonic seconds."""
    passed: bool
    """Whether the checker at the venue's door let it in."""


@dataclass
class Venue:
    """Takes orders over UDP, and asks the checker about each."""

    port: int
    orders: dict[str, list[Order]] = field(default_factory=dict)

    def take(self, checker: Checker, order: dict[str, Any]) -> None:
        """Note an order."""
        amount = Decimal(order["amount_eth"])
        bot = order["bot"]
        passed = bool(checker.check(order["permit"], executor=bot, wallet=f"0x{bot}", amount_eth=amount))
        self.orders.setdefault(bot, []).append(Order(order["sent_ns"] / 1e9, passed))

    def trades(self, bot: str) -> bool:
        """Whether an order of a bot was let in."""
        return any(order.passed for order in self.orders.get(bot, ()))


@contextmanager
def venue(checker: Checker) -> Iterator[Venue]:
    """A venue behind a choke point."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.settimeout(0.1)
        made, over = Venue(wire.getsockname()[1]), threading.Event()

        def listen() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    made.take(checker, json.loads(wire.recv(65_536)))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            time.sleep(0.1)
            over.set()
            thread.join()
