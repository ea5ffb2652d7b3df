"""Arranges notifications in tests: a file of channels, a backend that knows it, and its two jobs done by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import system_caller
from backend.notifications import following
from backend.notifications.channels import channels_now
from backend.notifications.delivering import Deliverer
from backend.notifications.tables import NotificationRow
from contract.alerts import Alert, Severity
from contract.scope import Scope
from tests.support.app import AloneLead, App

RULE = system_caller("test-rule")


def channel_file(path: Path, urls: Mapping[str, str], **severities: list[str]) -> Path:
    """Write a file of channels, mode 0600; `severities` by channel where it states its own."""
    lines = []
    for name, url in urls.items():
        lines += [f"[channels.{name}]", f'url = "{url}"']
        if name in severities:
            lines.append(f"severities = {severities[name]}")
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def draft(mark: str = "m", **changes: Any) -> AlertDraft:
    """An alert of a rule that nobody else has."""
    usual: dict[str, Any] = {
        "fingerprint": mark,
        "rule": "DAILY_LOSS_LIMIT",
        "severity": Severity.CRITICAL,
        "scope": Scope.parse("strategy:arbitrage"),
        "message": "Strategy arbitrage lost 12 ETH today.",
    }
    return AlertDraft(**(usual | changes))


async def raised(app: App, *drafts: AlertDraft) -> list[Alert]:
    """Raise alerts in one transaction."""
    async with app.runtime.database.transaction() as session:
        return [(await alerts.raise_alert(session, app.runtime, RULE, one))[0] for one in drafts]


async def cleared(app: App, alert: Alert) -> None:
    """End an alert."""
    async with app.runtime.database.transaction() as session:
        await alerts.clear_alert(session, app.runtime, RULE, alert.id, why="back within the limit")


async def followed(app: App) -> float | None:
    """Have the history looked at once, as the monitor does."""
    async with app.runtime.database.transaction() as session:
        return await following.tick(session, app.runtime)


async def delivered(app: App, channel: str) -> int:
    """Send what is due to one channel, as the duty does; returns how many tries there were."""
    deliverer, tries = Deliverer(app.runtime, AloneLead()), 0
    while await deliverer.send_one(channels_now(app.runtime.settings)[channel]):
        tries += 1
    return tries


async def told(app: App, *channels: str) -> None:
    """Both of it."""
    await followed(app)
    for channel in channels:
        await delivered(app, channel)


async def rows(app: App) -> list[NotificationRow]:
    """The queue and the log of deliveries, oldest first."""
    async with app.runtime.database.read() as session:
        return list(await session.scalars(select(NotificationRow).order_by(NotificationRow.id)))
