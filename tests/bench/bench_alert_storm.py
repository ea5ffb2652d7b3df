"""The console's keys while an Alertmanager storms its backend: a thousand alerts a second at the webhook.

Run as a module it is the storm: `python -m tests.bench.bench_alert_storm URL SECONDS` sends it from its own process.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import httpx

from tests.bench import measures
from tests.bench.bench_console import command
from tests.bench.floor import Floor, floor
from tests.bench.measures import Keys, Subject, median, session
from tests.bench.report import Row
from tests.support.alert_storm import LINES, Storm, planned
from tests.support.alertmanager_bodies import HOOK, TOKEN

KEYS: Final = 200
"""As many as a person presses in some minutes; a hundredth of them is still two."""
STANDING_ALERTS: Final = 1_000
"""What was open before."""
STORM_S: Final = 120
"""Longer than the keys take; it is ended after them."""
P99_MS: Final = 50.0
_TRY_LIMIT_S: Final = 15.0
_STOP_LIMIT_S: Final = 10.0
_UNDER_WAY_S: Final = 3.0
"""After so long the storm has filled what it fills."""


def run() -> list[Row]:
    """Measure keys on the list of alerts at rest, then there and on the groups in the storm, in one run."""
    with floor(STANDING_ALERTS, receives=True) as target:
        lists, groups = _subject(target, "2"), _subject(target, "2", "v")
        measures.start(lists)  # compiles what is not, fills the disk cache
        rest = _keys(lists)  # the groups have one row only before the storm: no key could move there
        with storming(target):
            time.sleep(_UNDER_WAY_S)
            rows = _rows("alerts, in the storm", _keys(lists), P99_MS)
            rows += _rows("groups, in the storm", _keys(groups), P99_MS)
    return [*_rows("alerts, at rest", rest, None), *rows]


def _subject(target: Floor, *keys: str) -> Subject:
    return Subject("console", [*command(), "console"], _shows_alerts, before_keys=keys, env=target.env)


def _shows_alerts(text: str) -> bool:
    return "LOW_SUCCESS_RATE" in text or "Storm" in text  # in a storm nothing else is left in sight


def _keys(subject: Subject) -> Keys:
    with session(subject) as running:
        measures.open_ready(subject, running)
        found = measures.keys(running, subject, KEYS)
        measures.end_politely(running)
    return found


def _rows(name: str, found: Keys, limit: float | None) -> list[Row]:
    return [
        Row("console", f"{name}: key to paint, p50", 1000 * found.percentile_s(50), "ms"),
        Row("console", f"{name}: key to paint, p99", 1000 * found.percentile_s(99), "ms", limit),
        Row("console", f"{name}: bytes a key, median", median(found.bytes_each), "B"),
        Row("console", f"{name}: keys without an answer", found.missed, "", 0.0),
    ]


@contextmanager
def storming(target: Floor) -> Iterator[None]:
    """Storm a backend from another process until the end."""
    argv = [sys.executable, "-m", "tests.bench.bench_alert_storm", target.url, str(STORM_S)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(_STOP_LIMIT_S)


async def send(url: str, seconds: int) -> None:
    """Send what is planned at its pace; what is not taken is left to the measurement of the storm itself."""
    storm = Storm(seconds=seconds)
    gap_s, begun = storm.per_delivery / storm.per_s, time.monotonic()
    waiting = iter(enumerate(planned(storm, datetime.now(UTC))))
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=_TRY_LIMIT_S, trust_env=False) as client:

        async def line() -> None:
            for number, body in waiting:
                await asyncio.sleep(max(0.0, begun + number * gap_s - time.monotonic()))
                await client.post(f"{url}{HOOK}", content=body)

        await asyncio.gather(*(line() for _ in range(LINES)))


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], int(sys.argv[2])))
