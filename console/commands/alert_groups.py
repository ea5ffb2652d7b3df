"""`watchfloor alerts groups`: alerts that belong together, one row a group; the twin of the groups screen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click

from console.client import alert_work as client
from console.commands.alert_filters import filters, query
from console.commands.base import Call, cell, command, glyph_set, paging
from console.commands.output import Cell, age, instant, now_of, outside, painted, table
from console.widgets import words
from contract.alert_work import AlertGroup


@click.command("groups")
@filters
@paging
@command("alerts.groups")
def groups(call: Call, /, status: str, limit: int, cursor: str | None, **where: Any) -> None:
    """Alerts by group, the gravest first, then the newest; cleared ones only with --since.

    Below each stands its id: `watchfloor alerts list --group ID` lists its alerts.
    """
    page = call.ask(lambda api: client.groups(api, limit=limit, cursor=cursor, **query(status, where)))
    now = now_of(page.as_of)
    none = [f"No groups of alerts ({status}). As of {instant(now)}."]
    call.answer_page(page, lambda: _lines(page.items, now) or none)


def _lines(found: list[AlertGroup], now: datetime) -> list[str]:
    if not found:
        return []
    rows: list[Sequence[Cell]] = [
        (
            cell(words.severity(one.severity, glyph_set())),
            _what(one),
            outside(str(one.newest.scope), 60),
            f"{one.total:,}",
            f"{one.open:,}",
            f"{one.muted:,}",
            age(one.newest_at, now),
            age(one.oldest_open_at, now) if one.oldest_open_at else "-",
        )
        for one in found
    ]
    head, *body = table(
        ("SEVERITY", "NEWEST RULE", "SCOPE", "ALERTS", "OPEN", "MUTED", "NEWEST", "WAITS"), rows, right=(3, 4, 5, 6, 7)
    )
    ids = [painted(f"  {outside(one.id, 64)}", "dim") for one in found]
    return [head, *(line for pair in zip(body, ids, strict=True) for line in pair)]


def _what(group: AlertGroup) -> str:
    others = f" +{group.rules - 1}" if group.rules > 1 else ""
    return f"{outside(group.newest.rule, 60)}{others}"
