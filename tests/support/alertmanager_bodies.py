"""Webhook deliveries as an Alertmanager makes them, for tests that have none. Owns no test."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from backend.auth import accounts
from backend.context import Runtime
from contract.alertmanager import fingerprint_of
from contract.permissions import Permission
from tests.support.app import SYSTEM, App

BEGAN = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOOK = "/v1/hooks/alertmanager"
_ZERO = "0001-01-01T00:00:00Z"


def go_time(moment: datetime) -> str:
    """An instant with nanoseconds, as Go writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}123Z"


def told(
    name: str,
    labels: Mapping[str, str] | None = None,
    *,
    begun: float = 0,
    over: float | None = None,
    summary: str = "",
) -> dict[str, Any]:
    """One alert of a delivery; `begun` and `over` in minutes after BEGAN."""
    whole = {"alertname": name, "severity": "warning", **(labels or {})}
    return {
        "status": "firing" if over is None else "resolved",
        "labels": whole,
        "annotations": {"summary": summary or f"{name} is the matter"},
        "startsAt": go_time(BEGAN + timedelta(minutes=begun)),
        "endsAt": _ZERO if over is None else go_time(BEGAN + timedelta(minutes=over)),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": fingerprint_of(whole),
    }


def delivery(*alerts: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of one call of the webhook."""
    usual = {
        "version": "4",
        "groupKey": '{}:{alertname="x"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "watchfloor",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(alerts),
    }
    return usual | changes


TOKEN = "wfs_" + "alertmanager" * 3


async def receiver_token(
    runtime: Runtime, *permissions: Permission, name: str = "alertmanager", token: str = TOKEN
) -> str:
    """The token of an Alertmanager; the one of this name delivers for the source without a name."""
    async with runtime.database.transaction() as session:
        return await accounts.ensure_service_token(
            session,
            runtime,
            SYSTEM,
            name=name,
            permissions=permissions or (Permission.RECEIVE_ALERTS,),
            token=token,
        )


async def deliverer(app: App, source: str | None = None) -> httpx.AsyncClient:
    """A client that delivers for a source."""
    if source is None:
        return app.with_token(await receiver_token(app.runtime))
    return app.with_token(await receiver_token(app.runtime, name=source, token=f"{TOKEN}-{source}"))
