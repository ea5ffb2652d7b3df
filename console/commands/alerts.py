"""`watchfloor alerts`: finding alerts and what is known of each; what people do with them is in `alert_acts`."""

from typing import Any, Final

import click

from console.client import alert_work as client
from console.client.api import Api
from console.commands import alert_acts
from console.commands.alert_filters import filters, query
from console.commands.alert_groups import groups
from console.commands.alert_rules import rules
from console.commands.base import Call, command, glyph_set, paging, sign
from console.commands.nearby import around
from console.commands.output import age, instant, now_of, outside, wrapped
from console.widgets import words
from console.widgets.alerts import with_people
from contract.alert_work import AlertEvent, Around
from contract.alerts import Alert, AlertStatus

_HISTORY: Final = 50
"""Lines of the history that `show` prints; the newest say how it stands."""


@click.group()
def alerts() -> None:
    """Alerts: crossings of the policy's limits, and what Alertmanagers deliver."""


alerts.add_command(rules)
alerts.add_command(groups)


@alerts.command("list")
@filters
@click.option("--group", metavar="ID", help="Of this group: `watchfloor alerts groups` names them.")
@paging
@command("alerts.list")
def list_alerts(call: Call, /, status: str, limit: int, cursor: str | None, **where: Any) -> None:
    """Alerts, newest first; `current` are those not cleared."""
    page = call.ask(lambda api: api.alerts(limit=limit, cursor=cursor, **query(status, where)))
    now = now_of(page.as_of)

    def lines() -> list[str]:
        if not page.items:
            return [f"No alerts ({status}). As of {instant(now)}."]
        return [line for alert in page.items for line in _entry(alert, age(alert.raised_at, now))]

    call.answer_page(page, lines)


def _entry(alert: Alert, raised: str) -> list[str]:
    head = f"{sign(words.severity(alert.severity, glyph_set()), 7)} {outside(alert.rule, 24).ljust(24)}"
    seen = words.alert_status(alert.status, glyph_set()).word
    state = ", ".join([seen, *(["muted"] if alert.muted_by else []), *_with(alert)])
    text = f"{outside(str(alert.scope))}, {state}: {outside(alert.message, 500)}"
    return [f"{head} {raised.rjust(6)}  {outside(alert.id, 40)}", *wrapped(text, 2)]


def _with(alert: Alert) -> list[str]:
    if alert.assigned_to is not None:
        return [f"with {outside(alert.assigned_to, 40)}"]
    if alert.status is AlertStatus.OPEN and alert.escalation is not None and alert.escalation.level > 0:
        return [f"with {with_people(alert.escalation)}"]
    return []


@alerts.command("show")
@click.argument("ident", metavar="ID")
@click.option("--minutes", type=click.IntRange(1, 1_440), help="Also what changed so many minutes before and after it.")
@command("alerts.show")
def show(call: Call, ident: str, minutes: int | None) -> None:
    """One alert with the facts behind it, its history, and if asked for what changed around it."""

    async def read(api: Api) -> tuple[Alert, list[AlertEvent], Around | None]:
        alert = await api.alert(ident)
        history = await client.events(api, ident, limit=_HISTORY)
        near = None if minutes is None else await client.around(api, ident, minutes=minutes)
        return alert, history.items, near

    alert, history, near = call.ask(read)
    body = alert.model_dump(mode="json") | {"history": [line.model_dump(mode="json") for line in history]}
    if near is not None:
        body["around"] = near.model_dump(mode="json")
    call.answer(body, lambda: [*_details(alert), *_history(history), *([] if near is None else around(near))])


@alerts.command("history")
@click.argument("ident", metavar="ID")
@paging
@command("alerts.history")
def history(call: Call, ident: str, limit: int, cursor: str | None) -> None:
    """All that happened to one alert, newest first, page by page."""
    page = call.ask(lambda api: client.events(api, ident, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: _lines(page.items) or ["Nothing further back."])


def _history(lines: list[AlertEvent]) -> list[str]:
    return ["", "History, the newest first:", *_lines(lines)]


def _lines(lines: list[AlertEvent]) -> list[str]:
    found: list[str] = []
    for line in lines:
        told = " ".join(part for part in (line.facts.get("to"), line.text) if part)
        text = f"{instant(line.at)}  {line.kind.replace('_', ' ')} by {outside(line.actor, 60)}  {outside(told, 300)}"
        found += wrapped(text.rstrip(), 2)
    return found


def _details(alert: Alert) -> list[str]:
    state = words.alert_status(alert.status, glyph_set())
    lines = [
        f"{sign(words.severity(alert.severity, glyph_set()))} {outside(alert.rule)}  {outside(str(alert.scope))}",
        *wrapped(outside(alert.message, 1_000), 2),
        f"  id       {outside(alert.id)}",
        f"  status   {sign(state)}{', muted' if alert.muted_by else ''}",
        f"  kind     {alert.category.value}, from {outside(alert.source, 60)}",
        f"  raised   {instant(alert.raised_at)}{_times(alert)}",
        f"  updated  {instant(alert.updated_at)}",
    ]
    if alert.due_at is not None:
        lines.append(f"  respond  by {instant(alert.due_at)}")
    if alert.cleared_at is not None:
        lines.append(f"  cleared  {instant(alert.cleared_at)}")
    lines += _work(alert)
    if alert.action_taken:
        lines += wrapped(f"done by policy: {outside(alert.action_taken)}", 2)
    lines += alert_acts.who_saw(alert)
    lines += [f"  {outside(name, 30).ljust(12)} {outside(value, 60)}" for name, value in alert.facts.items()]
    lines += [f"  label {outside(f'{name}={value}', 70)}" for name, value in sorted(alert.labels.items())]
    lines += [f"  see {outside(link.kind, 20)} {outside(link.label, 60)}" for link in alert.links]
    return lines


def _times(alert: Alert) -> str:
    return f", {alert.times_raised} times" if alert.times_raised > 1 else ""


def _work(alert: Alert) -> list[str]:
    lines = []
    if alert.escalation is not None:
        above = alert.escalation
        then = f", then {outside(above.next_to, 40)} at {instant(above.next_at)}" if above.next_at else ""
        lines += wrapped(f"with     {with_people(above)}{then}", 2)
    if alert.assigned_to is not None:
        lines.append(f"  given to {outside(alert.assigned_to, 60)}")
    for mute in alert.muted_by:
        until = "" if mute.until is None else f" until {instant(mute.until)}"
        by = "" if mute.by is None else f" by {outside(mute.by, 60)}"
        lines += wrapped(f"muted: {mute.kind} {outside(mute.id, 60)}{by}{until} {outside(mute.comment, 200)}", 2)
    if alert.incident is not None:
        lines.append(f"  part of  {outside(alert.incident, 30)}")
    if alert.runbook_url is not None:
        lines += wrapped(f"runbook  {outside(alert.runbook_url, 500)}", 2)
    return lines


for each in alert_acts.COMMANDS:
    alerts.add_command(each)
