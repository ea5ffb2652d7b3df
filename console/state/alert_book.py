"""Owns the alerts that are known: those of the floor, and the pages loaded beside them. Pure.

Sorting ten thousand alerts takes milliseconds, so it is done only when an alert has changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, NamedTuple

from console.state.floor import urgent, waits
from console.state.matching import matches
from contract.alerts import Alert, AlertStatus, Severity
from contract.base import Page

PAGE_ROWS: Final = 500
"""The most that the backend gives at once."""
CLEARED_ROWS: Final = 50
"""The cleared alerts that are listed below the others: what happened before you sat down, not an archive."""

STAGES: Final = ("open", "acknowledged", "cleared")
"""What the list holds: loaded one status after the other; of the cleared ones the newest only."""


def _no_alerts() -> Mapping[str, Alert]:
    return MappingProxyType({})


@dataclass(frozen=True)
class AlertBook:
    """Alerts loaded so far, and where to go on."""

    loaded: Mapping[str, Alert] = field(default_factory=_no_alerts)
    stage: int = 0
    """Which of `STAGES` is being loaded; its length when all is loaded."""
    cursor: str | None = None

    @property
    def next_page(self) -> tuple[str, str | None, int] | None:
        """Status, cursor and rows of the page to load next; None when all are loaded."""
        if self.stage == len(STAGES):
            return None
        status = STAGES[self.stage]
        return status, self.cursor, CLEARED_ROWS if status == "cleared" else PAGE_ROWS

    def with_page(self, page: Page[Alert]) -> "AlertBook":
        """The book after one more page."""
        loaded = {**self.loaded, **{alert.id: alert for alert in page.items}}
        goes_on = page.next_cursor is not None and STAGES[self.stage] != "cleared"
        return AlertBook(
            MappingProxyType(loaded), self.stage if goes_on else self.stage + 1, page.next_cursor if goes_on else None
        )

    def is_as_full_as(self, other: "AlertBook") -> bool:
        """Whether it can take the place of another one without a row vanishing for no reason."""
        return self.next_page is None or len(self.loaded) >= max(len(other.loaded), PAGE_ROWS)

    def with_alert(self, alert: Alert) -> "AlertBook":
        """The book after one alert was read by itself."""
        return replace(self, loaded=MappingProxyType({**self.loaded, alert.id: alert}))


def current(book: AlertBook, live: Mapping[str, Alert], cleared: Mapping[str, Alert]) -> dict[str, Alert]:
    """Every known alert by id, most urgent first, then the last that cleared: what the stream said last counts."""
    known = dict(book.loaded)
    for ident, alert in (*live.items(), *cleared.items()):
        before = known.get(ident)
        if before is None or alert.updated_at >= before.updated_at:
            known[ident] = alert
    still = {ident: alert for ident, alert in known.items() if alert.status is not AlertStatus.CLEARED}
    gone = [alert for ident, alert in known.items() if ident not in still]
    gone.sort(key=lambda alert: (alert.cleared_at or alert.updated_at, alert.id), reverse=True)
    return {alert.id: alert for alert in (*urgent(still), *gone[:CLEARED_ROWS])}


class Tally(NamedTuple):
    """How many alerts are known, counted once for every change: there may be ten thousand."""

    live: int = 0
    """Not cleared, muted ones among them."""
    muted: int = 0
    waiting: int = 0
    critical: int = 0
    """Of those that wait."""


def tally(alerts: Mapping[str, Alert]) -> Tally:
    """Count them."""
    live = [alert for alert in alerts.values() if alert.status is not AlertStatus.CLEARED]
    waiting = [alert for alert in live if waits(alert)]
    return Tally(
        live=len(live),
        muted=sum(bool(alert.muted_by) for alert in live),
        waiting=len(waiting),
        critical=sum(alert.severity is Severity.CRITICAL for alert in waiting),
    )


def filtered(alerts: Mapping[str, Alert], text: str) -> list[str]:
    """Ids of the alerts in which every word occurs."""
    words = text.split()
    if not words:
        return list(alerts)
    return [
        alert.id
        for alert in alerts.values()
        if matches(
            words,
            alert.rule,
            alert.message,
            str(alert.scope),
            alert.severity.value,
            alert.status.value,
            alert.acknowledged_by,
            alert.assigned_to,
            alert.incident,
            alert.source,
            alert.category.value,
            *alert.labels.values(),
            *(text for one in alert.muted_by for text in ("muted", one.id, one.by, one.comment)),
        )
    ]
