"""The words of a notification, pure. Adds no person's name: what has left cannot be erased.

What a rule says of an account in its message leaves with it: whoever is told has to know.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from backend.notifications.core import MAX_BODY_CHARS, MAX_TITLE_CHARS, shown
from contract.alerts import Alert, Severity

_LISTED: Final = 10
"""Titles in a digest: what a phone shows without scrolling far."""
_VERBS: Final = {"raised_again": "Again: ", "cleared": "Over: "}


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def of_alert(alert: Alert, kind: str, *, to: str | None) -> tuple[str, str]:
    """Title and text about an alert; `to` is the title of whoever it was escalated to."""
    begin = f"Now with {to}: " if kind == "escalated" and to else _VERBS.get(kind, "")
    title = f"{begin}[{alert.severity.upper()}] {alert.rule} ({alert.scope})"
    lines = [
        shown(alert.message, 800, multiline=True),
        "",
        f"Raised {_instant(alert.raised_at)} by {shown(alert.source, 100)}",
    ]
    if kind == "cleared" and alert.cleared_at is not None:
        lines.append(f"Over since {_instant(alert.cleared_at)}")
    elif alert.due_at is not None and kind != "cleared":
        lines.append(f"Response due {_instant(alert.due_at)}")
    if alert.action_taken:
        lines.append(f"Done already: {shown(alert.action_taken, 200)}")
    if alert.incident:
        lines.append(f"Incident {alert.incident}")
    if alert.runbook_url and kind != "cleared":
        lines.append(f"Runbook: {shown(alert.runbook_url, 300)}")
    lines.append(f"watchfloor alerts show {alert.id}")
    return finished(title, "\n".join(lines))


def of_test(channel: str, at: datetime) -> tuple[str, str]:
    """Title and text of a test."""
    return finished(
        "Test of Watchfloor's notifications",
        f"Somebody tested the channel {channel} at {_instant(at)}. Nothing has happened, and there is nothing to do.",
    )


def of_digest(count: int, worst: Severity, titles: Sequence[str]) -> tuple[str, str]:
    """Title and text about notifications that the channel's rate kept from being sent."""
    many = f"{count:,} more notifications" if count != 1 else "1 more notification"
    listed = [f"- {title}" for title in titles[:_LISTED]]
    if count > len(listed):
        listed.append(f"- and {count - len(listed):,} more")
    text = "\n".join(["They were more than this channel takes at a time:", "", *listed, "", "watchfloor alerts list"])
    return finished(f"[{worst.upper()}] {many}", text)


def finished(title: str, body: str) -> tuple[str, str]:
    """Any title and text as they may be sent."""
    return shown(title, MAX_TITLE_CHARS), shown(body, MAX_BODY_CHARS, multiline=True)
