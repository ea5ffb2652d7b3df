"""Measures a real freqtrade bot under a freeze with its adapter, and under its own /stop alone, in turns in one run.

A venue that takes 150 ms for an order book and a bot that enters thirty coins: a round of entries is under way when it
is stopped. `WATCHFLOOR_BENCH_STOPS` changes how often. Measures nothing where freqtrade is absent (`make peers`).
"""

import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.bench.report import Row
from tests.support import databases, freqtrade
from tests.support.adapters import Floor, adapter, floors, until_long
from tests.support.binance_mock import BinanceMock

STOPS: Final = int(os.environ.get("WATCHFLOOR_BENCH_STOPS", "3"))
COINS: Final = 30
BOOK_DELAY_S: Final = 0.15
CYCLE_S: Final = 1
BEFORE: Final = 4
"""Orders of the round that are sent before it is stopped."""
WAYS: Final = ("adapter", "/stop")


def run() -> list[Row]:
    """Return orders after the stop was accepted, and how long after it the last one was, for both ways."""
    if not freqtrade.PYTHON.exists():
        sys.stderr.write("freqtrade absent: make peers\n")
        return []
    after: dict[str, list[int]] = {way: [] for way in WAYS}
    last_s: dict[str, list[float]] = {way: [] for way in WAYS}
    acked_s: list[float] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        template = stack.enter_context(databases.migrated_template())
        for number in range(STOPS):
            for way in WAYS:
                place = directory / f"{way.strip('/')}-{number}"
                place.mkdir()
                name, url = databases.create_database(template)
                try:
                    sent, took = _stopped(place, url, way)
                finally:
                    databases.drop_database(name)
                sys.stderr.write(f"{way}: {len(sent)} orders after, last at +{max(sent, default=0.0):.2f} s\n")
                after[way].append(len(sent))
                last_s[way].append(max(sent, default=0.0))
                acked_s += [took] if took is not None else []
    rows = []
    for way in WAYS:
        every = ", ".join(map(str, after[way]))
        rows.append(Row(way, "orders after it was accepted, median", statistics.median(after[way]), "", note=every))
        rows.append(Row(way, "last order after it was accepted, worst", round(max(last_s[way]), 2), "s"))
    rows.append(Row("adapter", "accepted to signed acknowledgement, worst", round(max(acked_s), 2), "s"))
    return rows


def _stopped(place: Path, database_url: str, way: str) -> tuple[list[float], float | None]:
    """Stop one bot in the middle of a round; when each later order was sent, and when the halt was acknowledged."""
    with ExitStack() as stack:
        venue = stack.enter_context(BinanceMock(COINS, book_delay_s=BOOK_DELAY_S))
        floor = stack.enter_context(floors(database_url, place / "backend.log"))
        bot = stack.enter_context(freqtrade.bot(place / "bot", venue, cycle_s=CYCLE_S))
        if way == "adapter":
            login = place / "login"
            login.touch(mode=0o600)
            login.write_text(":".join(freqtrade.LOGIN))
            options = ["--api", bot.url, "--login-file", str(login), "--cycle", str(CYCLE_S)]
            stack.enter_context(adapter(floor, place, "freqtrade", *options))
        bot.ask("POST", "/start")
        until_long(lambda: len(bot.sent_at_ms()) >= BEFORE, "it trades")
        accepted_ms, took = _stop(floor, bot, way)
        until_long(lambda: not _under_way(bot), "the round is over")
        return [(at - accepted_ms) / 1000 for at in bot.sent_at_ms() if at > accepted_ms], took


def _stop(floor: Floor, bot: freqtrade.Bot, way: str) -> tuple[float, float | None]:
    if way == "/stop":
        bot.ask("POST", "/stop")
        return time.time() * 1000, None
    made = floor.freeze()
    accepted_ms = time.time() * 1000
    floor.becomes(made, "acked", "quiesced")
    return accepted_ms, time.time() - accepted_ms / 1000


def _under_way(bot: freqtrade.Bot) -> bool:
    """Whether its worker has yet to say that it has stopped."""
    said = [line[4] for line in bot.ask("GET", "/logs")["logs"] if line[2] == "freqtrade.worker"]
    return "to: STOPPED" not in said[-1] and "'STOPPED'" not in said[-1]
