"""Executors behind real gates, hundreds in one process, and pollers of a flag beside them: what freezes are timed on.

`python -m tests.bench.gate_executors URL TOKEN FIRST COUNT FLAG_PORT POLLERS` prints a line of JSON at each event, with
the instant on the system's monotonic clock, until its standard input ends.
"""

import asyncio
import gc
import json
import random
import sys
import time
from decimal import Decimal
from typing import Any, Final

from gate import AsyncGate

POLL_EVERY_S: Final = 1.0
"""How often a poller asks; feature flags are polled every 15 to 30 seconds."""
START_EVERY_S: Final = 0.02
"""Between the starts of two executors of one process: renewals are spread as those of a floor that has run for long."""
_LOOK_EVERY_S: Final = 0.05
_PRINT_EVERY_S: Final = 0.5


_told: list[dict[str, Any]] = []


def tell(event: str, **facts: Any) -> None:
    """Note an event; it is printed in a while, so that hundreds at once are not measured being printed."""
    _told.append({"event": event, "at": time.monotonic()} | facts)


async def _print_told() -> None:
    while True:
        await asyncio.sleep(_PRINT_EVERY_S)
        lines = [json.dumps(each) + "\n" for each in _told]
        _told.clear()
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


def _gate(url: str, token: str, number: int) -> AsyncGate:
    name = f"bench-{number:05}"

    def halted() -> bool:
        tell("halted", executor=name)
        return True

    return AsyncGate(
        url, token, executor=name, chain=("arbitrum", "base")[number % 2], strategy="arbitrage",
        wallet=f"0x{number:040x}", on_halt=halted,
    )  # fmt: skip


async def _poll(port: int, number: int) -> None:
    """Ask for a flag again and again; say when it turns on."""
    await asyncio.sleep(random.random() * POLL_EVERY_S)  # noqa: S311  a phase
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    was_on = False
    while True:
        writer.write(b"GET /flag\n")
        is_on = (await reader.readline()) == b"1\n"
        if is_on and not was_on:
            tell("polled", poller=number)
        was_on = is_on
        await asyncio.sleep(POLL_EVERY_S)


async def _say_when_free(gates: list[AsyncGate]) -> None:
    was_free = False
    while True:
        is_free = all(gate.may_send(amount_eth=Decimal(1)).allowed for gate in gates)
        if is_free and not was_free:
            tell("free")
        was_free = is_free
        await asyncio.sleep(_LOOK_EVERY_S)


async def _run(url: str, token: str, numbers: range, *, port: int, pollers: int) -> None:
    gates = []
    for number in numbers:
        gates.append(_gate(url, token, number).start())
        await asyncio.sleep(START_EVERY_S)
    gc.collect()
    gc.freeze()  # a process with one gate has little to look through; of five hundred, that would be measured
    tasks = [asyncio.create_task(_poll(port, number)) for number in range(pollers)]
    tasks.append(asyncio.create_task(_print_told()))
    tasks.append(asyncio.create_task(_say_when_free(gates)))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*(gate.close() for gate in gates), *tasks, return_exceptions=True)


if __name__ == "__main__":
    url, token, *numbers = sys.argv[1:]
    first, count, port, pollers = map(int, numbers)
    asyncio.run(_run(url, token, range(first, first + count), port=port, pollers=pollers))
