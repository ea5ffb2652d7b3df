"""Makes every enumerated change a database superuser can make to a ledger and counts those that verification misses."""

import asyncio
import os
import tempfile
import time
from typing import Final

from tests.bench.report import Row
from tests.support import databases
from tests.support.app import started_app
from tests.support.tampered import Tampered, prepared, put_to_rest

ACTS: Final = 280
"""Enough for a stored tree node in one log."""
ROWS_EACH: Final = 30
"""Rows of each kind that every change is made to."""
AT_LEAST: Final = 5_000


def run() -> list[Row]:
    """Prepare a ledger and tamper with it."""
    os.environ.setdefault("WATCHFLOOR_DATA_DIR", tempfile.mkdtemp(prefix="wf-bench-state-"))
    with databases.migrated_template() as template:
        name, url = databases.create_database(template)
        try:
            began = time.perf_counter()
            result = asyncio.run(_tampered(url))
            seconds = time.perf_counter() - began
        finally:
            databases.drop_database(name)
    return [*rows_of(result), Row("tampering", "the whole run", seconds, "s")]


def rows_of(result: Tampered) -> list[Row]:
    """The figures, each kind of change apart."""
    found = ", ".join(f"{verdict} {count:,}" for verdict, count in sorted(result.found_by.items()))
    kinds = [
        Row("tampering", kind, count, "changes", note=f"{result.missed_of[kind]} missed")
        for kind, count in sorted(result.made.items())
    ]
    total = result.made.total()
    return [
        *kinds,
        Row("tampering", "changes by a superuser", total, "changes", limit=AT_LEAST, at_least=True, note=found),
        Row("tampering", "missed", len(result.missed), "changes", limit=0, note="; ".join(result.missed[:5])),
        Row("tampering", "false alarms", len(result.false_alarms), "alarms", limit=0, note="untouched copies"),
        Row("tampering", "refused by the database", result.impossible.total(), "changes", note="constraints held"),
    ]


async def _tampered(url: str) -> Tampered:
    async with started_app(url) as app:
        harness = await prepared(app, url, acts=ACTS)
    await put_to_rest(url)
    with harness.opened() as connection:
        return harness.run(connection, rows_each=ROWS_EACH)
