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

ACTS: Final = 60
"""Every kind of row but stored tree nodes; a verification of so few entries takes some hundredths of a second."""
ROWS_EACH: Final = 28
"""Rows of each kind that every change is made to."""
LONG_ACTS: Final = 1_100
"""Enough for stored tree nodes in a log of every fourth act."""
AT_LEAST: Final = 5_000


def run() -> list[Row]:
    """Prepare ledgers and tamper with them: a short one with everything, a long one with its tree."""
    os.environ.setdefault("WATCHFLOOR_DATA_DIR", tempfile.mkdtemp(prefix="wf-bench-state-"))
    began = time.perf_counter()
    with databases.migrated_template() as template:
        result = _on_a_copy(template, ACTS)
        result.add(_on_a_copy(template, LONG_ACTS, only="of nodes"))
    return [*rows_of(result), Row("tampering", "the whole run", time.perf_counter() - began, "s")]


def _on_a_copy(template: str, acts: int, only: str = "") -> Tampered:
    name, url = databases.create_database(template)
    try:
        return asyncio.run(_tampered(url, acts, only))
    finally:
        databases.drop_database(name)


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


async def _tampered(url: str, acts: int, only: str) -> Tampered:
    async with started_app(url) as app:
        harness = await prepared(app, url, acts=acts)
    await put_to_rest(url)
    with harness.opened() as connection:
        return harness.run(connection, rows_each=ROWS_EACH, only=only)
