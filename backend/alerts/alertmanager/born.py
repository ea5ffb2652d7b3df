"""What an alert from elsewhere is stored as: its rule, severity, scope, wording and runbook. Labels are strangers'."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.tables import AlertRule
from backend.context import Runtime
from contract.alertmanager import MAX_NAME_CHARS, ForeignAlert
from contract.scope import GLOBAL, TERM_ORDER, Scope, intersection

NAMELESS: Final = "UNNAMED"
"""Rule of an alert without an `alertname`: the API of Alertmanager takes such."""
MAX_MESSAGE_CHARS: Final = 1_000
"""A screenful; the annotation itself is kept whole."""
_MESSAGES: Final = ("summary", "message", "description", "title")
"""Annotations that say in words what is the matter, the shortest first."""
_RUNBOOKS: Final = ("runbook_url", "runbook")
_ADDRESSES: Final = ("http://", "https://")


async def runbooks_of(session: AsyncSession, names: Collection[str]) -> Mapping[str, str]:
    """The runbooks that imported rule files name for rules: the last imported, where several have one name."""
    found = await session.execute(
        select(AlertRule.name, AlertRule.runbook_url)
        .where(AlertRule.name.in_(sorted(names)), AlertRule.runbook_url.is_not(None))
        .order_by(AlertRule.imported_at, AlertRule.id)
    )
    return {name: url for name, url in found if url is not None}


def born(runtime: Runtime, alert: ForeignAlert, runbook: str | None) -> dict[str, Any]:
    """What a new alert is stored with, by the columns' names."""
    severity = runtime.policy.alertmanager.severity_of(alert.labels)
    rule = alert.name[:MAX_NAME_CHARS] or NAMELESS
    scope = scope_of(alert.labels)
    return {
        "rule": rule,
        "severity": severity.value,
        "category": runtime.policy.alerts.category_of(rule, severity, alert.labels).value,
        "scope_kind": scope.kind.value,
        "scope_name": scope.name,
        "facts": {"generator": alert.generator_url} if alert.generator_url else {},
        "links": [],
        "labels": dict(alert.labels),
        **changed_texts(runtime, alert, runbook),
    }


def changed_texts(runtime: Runtime, alert: ForeignAlert, runbook: str | None) -> dict[str, Any]:
    """What of an alert may change while it lives, by the columns' names."""
    return {
        "annotations": dict(alert.annotations),
        "message": _message(alert),
        "runbook_url": _runbook(runtime, alert, runbook),
    }


def scope_of(labels: Mapping[str, str]) -> Scope:
    """What labels say an alert is about: chain, strategy, wallet and executor; everything if they name none of them."""
    terms: list[Scope] = []
    for kind in TERM_ORDER:
        name = labels.get(kind.value, "").strip()
        if name and "+" not in name:
            try:
                terms.append(Scope(kind=kind, name=name.lower() if kind.value == "wallet" else name))
            except ValueError:
                continue  # no freeze could be typed for such a name: the alert keeps it among its labels
    return intersection(*terms) if terms else GLOBAL


def _message(alert: ForeignAlert) -> str:
    said = next((alert.annotations[name] for name in _MESSAGES if alert.annotations.get(name, "").strip()), "")
    text = said.strip() or f"{alert.name or NAMELESS} fires."
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"


def _runbook(runtime: Runtime, alert: ForeignAlert, imported: str | None) -> str | None:
    """Where to read what to do: what the alert says, what the imported rule says, what the policy says."""
    stated = [alert.annotations.get(name) for name in _RUNBOOKS]
    stated += [imported, runtime.policy.alerts.runbooks.get(alert.name)]
    return next((one for one in stated if one and one.startswith(_ADDRESSES)), None)
