"""A process that sees to retention: `python -m tests.support.retention_worker NOW` until it is ended.

`NOW` is the time it takes it to be (ISO 8601). It never asks who else does: whatever leases are for, dropping must be
safe without them. A line is written when it begins and after each round.
"""

import asyncio
import sys
from datetime import datetime
from typing import Any

import psycopg

from backend.audit.retention.keeper import Keeper
from backend.clock import Clock
from backend.runtime import build_runtime
from backend.settings import Settings
from backend.stores import open_stores

PAUSE_S = 0.05


class Alone:
    """The leadership of a process that asks nobody."""

    async def require(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Never lost."""


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def _main(now: datetime) -> None:
    runtime = build_runtime(Settings(), Clock(now=lambda: now))
    keeper = Keeper(runtime, Alone(), open_stores(runtime.settings.archives))
    _say("began")
    while True:
        await keeper.round()
        _say("round")
        await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(_main(datetime.fromisoformat(sys.argv[1])))
