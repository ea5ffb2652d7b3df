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
from urllib.parse import urlsplit

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
CONNECTIONS: Final = 10
"""As many as the backend keeps database connections by default."""
METRICS: Final = "/api/compliance/metrics"
OVERVIEW: Final = "/v1/overview"
METRICS_P99_LIMIT_MS: Final = 50.0


def run() -> list[Row]:
    """Load a backend and measure it."""
    with floor(ALERTS) as running:
        return asyncio.run(_measure(running))


async def _measure(running: Floor) -> list[Row]:
    async with httpx.AsyncClient(base_url=running.url, timeout=30) as client:
        load_s = await _load(client, running)
        reader = {"authorization": f"Bearer {running.token}"}
        await _latencies_ms(running.url, METRICS, reader, WARM_UP_S)
        quiet = await _latencies_ms(running.url, METRICS, reader, SECONDS)
        feed = asyncio.create_task(_feed(client, running))
        busy = await _latencies_ms(running.url, METRICS, reader, SECONDS)
        overview = await _latencies_ms(running.url, OVERVIEW, reader, SECONDS // 2, rate_per_s=RATE_PER_S // 5)
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


class _Line:
    """One kept-alive connection. A full HTTP client costs the shared machine as much as the server's answer does."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._url = urlsplit(url)
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> None:
        """Ask once and read the whole answer.

        Raises:
            RuntimeError: the answer is not a success.
        """
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._url.hostname, self._url.port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {self._url.netloc}\r\n{self._headers}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(None, 1)[0]))
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{path}: {head.splitlines()[0].decode()}")


async def _latencies_ms(
    url: str, path: str, headers: dict[str, str], seconds: int, *, rate_per_s: int = RATE_PER_S
) -> list[float]:
    lines = [_Line(url, headers) for _ in range(CONNECTIONS)]
    free: asyncio.Queue[_Line] = asyncio.Queue()
    for line in lines:
        free.put_nowait(line)
    began = time.perf_counter()

    async def one(number: int) -> float:
        due = began + number / rate_per_s
        await asyncio.sleep(due - time.perf_counter())
        line = await free.get()
        await line.get(path)
        free.put_nowait(line)
        return (time.perf_counter() - due) * 1000

    return list(await asyncio.gather(*(one(number) for number in range(seconds * rate_per_s))))
