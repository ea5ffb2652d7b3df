"""Owns the backend that the console is measured against: its own database, many alerts, a session, a feed of trades.

Run as a module it is the feed: `python -m tests.bench.floor URL TOKEN` reports one trade a second until it is stopped.
"""

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx

from backend.alerts.tables import AlertRow
from backend.clock import SYSTEM_CLOCK
from backend.main import create_app
from backend.settings import Settings
from tests.support import databases
from tests.support.alertmanager_bodies import receiver_token
from tests.support.backends import backend
from tests.support.people import ADMIN, EXECUTOR, sign_in

ALERTS: Final = 10_000
_STOP_LIMIT_S: Final = 10.0


@dataclass(frozen=True)
class Floor:
    """A running backend and how to reach it."""

    url: str
    token: str
    feed_token: str

    @property
    def env(self) -> dict[str, str]:
        """The environment of a console on this floor."""
        return {"WATCHFLOOR_URL": self.url, "WATCHFLOOR_TOKEN": self.token}


@contextmanager
def floor(alerts: int = ALERTS, *, receives: bool = False) -> Iterator[Floor]:
    """Run a backend with this many open alerts on a database of its own; one that `receives` knows an Alertmanager."""
    with databases.migrated_template() as template, tempfile.TemporaryDirectory() as scratch:
        name, url = databases.create_database(template)
        try:
            token, feed_token = asyncio.run(_prepare(url, alerts, receives=receives))
            with backend(
                url,
                Path(scratch) / "backend.log",
                env={"WATCHFLOOR_LOG_LEVEL": "warning", "WATCHFLOOR_POOL_SIZE": "10"},
            ) as running:
                yield Floor(running.url, token, feed_token)
        finally:
            databases.drop_database(name)


@contextmanager
def feeding(target: Floor) -> Iterator[None]:
    """Report a trade a second from another process."""
    argv = [sys.executable, "-m", "tests.bench.floor", target.url, target.feed_token]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(_STOP_LIMIT_S)


async def _prepare(url: str, alerts: int, *, receives: bool) -> tuple[str, str]:
    runtime = create_app(Settings(database_url=url), monitors=False).state.runtime
    try:
        tokens = await sign_in(runtime, ADMIN), await sign_in(runtime, EXECUTOR)
        if receives:
            await receiver_token(runtime)
        now = datetime.now(UTC)
        async with runtime.database.transaction() as session:
            session.add_all(_alert(number, now) for number in range(alerts))
        return tokens
    finally:
        await runtime.database.close()


def _alert(number: int, now: datetime) -> AlertRow:
    raised_at = now - timedelta(days=3, hours=12, seconds=number)  # so old that no age on the screen changes by itself
    return AlertRow(
        id=SYSTEM_CLOCK.new_id(),
        fingerprint=f"LOW_SUCCESS_RATE|wallet:0x{number:040x}|bench",
        rule="LOW_SUCCESS_RATE",
        severity=("critical", "high", "medium", "low")[number % 4],
        status="open",
        scope_kind="wallet",
        scope_name=f"0x{number:040x}",
        message=f"{60 + number % 20} % of the last 500 trades succeeded; the limit is 80 %.",
        facts={},
        links=[],
        raised_at=raised_at,
        updated_at=raised_at,
    )


def feed(url: str, token: str) -> None:
    """Report one trade a second, for ever."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"}) as http:
        for number in range(10**9):
            trade = {
                "chain": ("ethereum", "arbitrum", "base")[number % 3],
                "tx_hash": f"0x{secrets.token_hex(32)}",
                "block_time": datetime.now(UTC).isoformat(),
                "strategy": ("arbitrage", "liquidation")[number % 2],
                "wallet": f"0x{number % 9:040x}",
                "profit_eth": str(number % 11 - 3),
                "gas_cost_eth": "0.004",
                "status": "success" if number % 10 else "failed",
            }
            body = json.dumps({"transactions": [trade]})
            answer = http.post("/v1/transactions", content=body, headers={"content-type": "application/json"})
            answer.raise_for_status()
            time.sleep(1.0)


if __name__ == "__main__":
    feed(sys.argv[1], sys.argv[2])
