"""The console's keys while an Alertmanager storms its backend: a thousand alerts a second at the webhook.

Run as a module it is the storm: `python -m tests.bench.bench_alert_storm URL SECONDS` sends it from its own process
until the end or SIGTERM, prints how many deliveries it sent and how many were not answered 2xx, and ends with 1 on any.
"""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
_STOP_LIMIT_S: Final = _TRY_LIMIT_S + 10.0
"""Deliveries that are under way are waited for: they count, too."""
_UNDER_WAY_S: Final = 3.0
"""After so long the storm has filled what it fills."""


def run() -> list[Row]:
    """Measure keys on the list of alerts at rest, then there and on the groups in the storm, in one run."""
    with floor(STANDING_ALERTS, receives=True) as target:
        lists, groups = _subject(target, "2"), _subject(target, "2", "v")
        measures.start(lists)  # compiles what is not, fills the disk cache
        rest = _keys(lists)  # the groups have one row only before the storm: no key could move there
        with storming(target) as storm:
            time.sleep(_UNDER_WAY_S)
            rows = _rows("alerts, in the storm", _keys(lists), P99_MS)
            rows += _rows("groups, in the storm", _keys(groups), P99_MS)
    return [*_rows("alerts, at rest", rest, None), *rows, *_storm_rows(storm)]


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


@dataclass
class Sent:
    """What became of the deliveries of a storm, as its process has told at its end."""

    deliveries: int = 0
    not_taken: int = 0
    why: str = ""


def _storm_rows(storm: Sent) -> list[Row]:
    """A storm that the backend turned away is none: the figures of the keys mean nothing then."""
    return [
        Row("backend", "deliveries, in the storm", float(storm.deliveries), "", 1.0, at_least=True),
        Row("backend", "deliveries not answered 2xx", float(storm.not_taken), "", 0.0, note=storm.why),
    ]


@contextmanager
def storming(target: Floor) -> Iterator[Sent]:
    """Storm a backend from another process until the end; what came of it is known then."""
    argv = [sys.executable, "-m", "tests.bench.bench_alert_storm", target.url, str(STORM_S)]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    sent = Sent()
    try:
        yield sent
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=_STOP_LIMIT_S)
        for name, value in json.loads(told or "{}").items():
            setattr(sent, name, value)


async def send(url: str, seconds: int) -> Sent:
    """Send what is planned at its pace, each delivery once, until the end or SIGTERM."""
    storm, found, over = Storm(seconds=seconds), Counter[str](), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    gap_s, begun = storm.per_delivery / storm.per_s, time.monotonic()
    waiting = iter(enumerate(planned(storm, datetime.now(UTC))))
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    async with httpx.AsyncClient(headers=headers, timeout=_TRY_LIMIT_S, trust_env=False) as client:

        async def line() -> None:
            for number, body in waiting:
                await asyncio.sleep(max(0.0, begun + number * gap_s - time.monotonic()))
                if over.is_set():
                    return
                found[await _answer(client, url, body)] += 1

        await asyncio.gather(*(line() for _ in range(LINES)))
    why = ", ".join(f"{count}x {answer}" for answer, count in sorted(found.items()) if answer)
    return Sent(found.total(), found.total() - found[""], why)


async def _answer(client: httpx.AsyncClient, url: str, body: bytes) -> str:
    """Why a delivery was not taken; empty when it was."""
    try:
        answer = await client.post(f"{url}{HOOK}", content=body)
    except httpx.HTTPError as error:
        return type(error).__name__
    return "" if answer.is_success else str(answer.status_code)


def main() -> int:
    """Send the storm and tell what came of it."""
    sent = asyncio.run(send(sys.argv[1], int(sys.argv[2])))
    print(json.dumps(vars(sent)))  # noqa: T201  a program
    return 1 if sent.not_taken else 0


if __name__ == "__main__":
    sys.exit(main())
