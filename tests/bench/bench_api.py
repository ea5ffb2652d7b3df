"""Measures the compliance dashboard and the overview at a steady rate, with 100,000 trades stored and trades coming in.

Client and server share the machine. Requests are sent on time whether or not earlier ones have been answered, and a
latency counts from the moment its request was due: a stalled server shows in full.
"""

import asyncio
import itertools
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from tests.bench.floor import Floor, floor
from tests.bench.report import Row
from tests.bench.trades import trades

TRADES: Final = 100_000
BATCH_ROWS: Final = 5_000
RATE_PER_S: Final = 100
SECONDS: Final = 20
WARM_UP_S: Final = 3
ALERTS: Final = 20
METRICS: Final = "/api/compliance/metrics"
OVERVIEW: Final = "/v1/overview"
METRICS_P99_LIMIT_MS: Final = 50.0


def run() -> list[Row]:
    """Load a backend and measure it."""
    with floor(ALERTS) as running:
        return asyncio.run(_measure(running))


async def _measure(running: Floor) -> list[Row]:
    limits = httpx.Limits(max_connections=50, max_keepalive_connections=50, keepalive_expiry=1)
    async with httpx.AsyncClient(base_url=running.url, limits=limits, timeout=30) as client:
        load_s = await _load(client, running)
        reader = {"authorization": f"Bearer {running.token}"}
        await _latencies_ms(client, METRICS, reader, WARM_UP_S)
        quiet = await _latencies_ms(client, METRICS, reader, SECONDS)
        feed = asyncio.create_task(_feed(client, running))
        busy = await _latencies_ms(client, METRICS, reader, SECONDS)
        overview = await _latencies_ms(client, OVERVIEW, reader, SECONDS // 2, rate_per_s=RATE_PER_S // 5)
        feed.cancel()
    note = f"{TRADES:,} trades stored, {RATE_PER_S} requests/s for {SECONDS} s"
    return [
        Row("api", "store 100,000 trades in batches", load_s, "s", note=f"{BATCH_ROWS:,} a batch"),
        *_rows("compliance metrics", quiet, note, METRICS_P99_LIMIT_MS),
        *_rows("compliance metrics, a trade a second", busy, note, METRICS_P99_LIMIT_MS),
        *_rows("overview", overview, f"{RATE_PER_S // 5} requests/s", None),
    ]


def _rows(figure: str, values: list[float], note: str, limit: float | None) -> list[Row]:
    cuts = statistics.quantiles(values, n=100)
    return [
        Row("api", f"{figure} p50", statistics.median(values), "ms", note=note),
        Row("api", f"{figure} p99", cuts[98], "ms", limit=limit, note=note),
    ]


async def _load(client: httpx.AsyncClient, running: Floor) -> float:
    now = datetime.now(UTC)
    started = time.perf_counter()
    sender = {"authorization": f"Bearer {running.feed_token}"}
    every = trades(TRADES, now, timedelta(hours=24))
    while rows := list(itertools.islice(every, BATCH_ROWS)):
        (await client.post("/v1/transactions", json={"transactions": rows}, headers=sender)).raise_for_status()
    return time.perf_counter() - started


async def _feed(client: httpx.AsyncClient, running: Floor) -> None:
    sender = {"authorization": f"Bearer {running.feed_token}"}
    for number in itertools.count():
        row: dict[str, Any] = {
            "chain": "base",
            "tx_hash": f"0x{number:064x}",
            "block_time": datetime.now(UTC).isoformat(),
            "profit_eth": "-0.01",
            "gas_cost_eth": "0.001",
            "strategy": "arbitrage",
            "wallet": "0xfeed",
            "status": "success",
        }
        (await client.post("/v1/transactions", json={"transactions": [row]}, headers=sender)).raise_for_status()
        await asyncio.sleep(1)


async def _latencies_ms(
    client: httpx.AsyncClient, path: str, headers: dict[str, str], seconds: int, *, rate_per_s: int = RATE_PER_S
) -> list[float]:
    began = time.perf_counter()

    async def one(number: int) -> float:
        due = began + number / rate_per_s
        await asyncio.sleep(due - time.perf_counter())
        (await client.get(path, headers=headers)).raise_for_status()
        return (time.perf_counter() - due) * 1000

    return list(await asyncio.gather(*(one(number) for number in range(seconds * rate_per_s))))
