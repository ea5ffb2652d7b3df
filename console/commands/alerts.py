"""`watchfloor alerts list|show|ack`."""

from typing import Final

import click

from console.commands.base import Call, command, glyph_set, paging, sign
from console.commands.output import age, instant, now_of, outside, wrapped
from console.widgets import words
from contract.alerts import Alert, AlertStatus

_STATUSES: Final = {
    "current": (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED),
    **{status.value: (status,) for status in AlertStatus},
    "all": (),
}
"""What `--status` may be; all that is not cleared is current."""


@click.group()
def alerts() -> None:
    """Alerts: crossings of the policy's limits."""


@alerts.command("list")
@click.option("--status", type=click.Choice(list(_STATUSES)), default="current", show_default=True)
@paging
@command("alerts.list")
def list_alerts(call: Call, status: str, limit: int, cursor: str | None) -> None:
    """Alerts, newest first; `current` are those not cleared."""
    page = call.ask(lambda api: api.alerts(status=_STATUSES[status], limit=limit, cursor=cursor))
    now = now_of(page.as_of)

    def lines() -> list[str]:
        if not page.items:
            return [f"No alerts ({status}). As of {instant(now)}."]
        return [line for alert in page.items for line in _entry(alert, age(alert.raised_at, now))]

    call.answer_page(page, lines)


def _entry(alert: Alert, raised: str) -> list[str]:
    head = f"{sign(words.severity(alert.severity, glyph_set()), 7)} {outside(alert.rule, 24).ljust(24)}"
    seen = words.alert_status(alert.status, glyph_set()).word
    text = f"{outside(str(alert.scope))}, {seen}: {outside(alert.message, 500)}"
    return [f"{head} {raised.rjust(6)}  {outside(alert.id, 40)}", *wrapped(text, 2)]


@alerts.command("show")
@click.argument("ident", metavar="ID")
@command("alerts.show")
def show(call: Call, ident: str) -> None:
    """One alert with the facts behind it."""
    alert = call.ask(lambda api: api.alert(ident))
    call.answer(alert, lambda: _details(alert))


@alerts.command("ack")
@click.argument("ident", metavar="ID")
@click.option("--comment", default="", help="What you are doing about it.")
@command("alerts.ack")
def acknowledge(call: Call, ident: str, comment: str) -> None:
    """Say that you have seen an alert; it stays until its rule clears it."""
    alert = call.ask(lambda api: api.acknowledge(ident, comment))
    call.answer(
        alert, lambda: [f"{outside(alert.rule)} {outside(str(alert.scope))} is {alert.status}.", *_who_saw(alert)]
    )


def _who_saw(alert: Alert) -> list[str]:
    if alert.acknowledged_by is None:
        return []
    return [f"  seen by {outside(alert.acknowledged_by)} at {instant(alert.acknowledged_at)}"]


def _details(alert: Alert) -> list[str]:
    state = words.alert_status(alert.status, glyph_set())
    lines = [
        f"{sign(words.severity(alert.severity, glyph_set()))} {outside(alert.rule)}  {outside(str(alert.scope))}",
        *wrapped(outside(alert.message, 1_000), 2),
        f"  id       {outside(alert.id)}",
        f"  status   {sign(state)}",
        f"  raised   {instant(alert.raised_at)}",
        f"  updated  {instant(alert.updated_at)}",
    ]
    if alert.due_at is not None:
        lines.append(f"  respond  by {instant(alert.due_at)}")
    if alert.cleared_at is not None:
        lines.append(f"  cleared  {instant(alert.cleared_at)}")
    if alert.action_taken:
        lines += wrapped(f"done by policy: {outside(alert.action_taken)}", 2)
    lines += _who_saw(alert)
    lines += [f"  {outside(name, 30).ljust(12)} {outside(value, 60)}" for name, value in alert.facts.items()]
    lines += [f"  see {outside(link.kind, 20)} {outside(link.label, 60)}" for link in alert.links]
    return lines
