"""Finding alerts: what a page is narrowed to, and reading it. Changes nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import String, cast, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts.rows import UNMUTED, wire
from backend.alerts.tables import AlertRow
from backend.paging import count_capped, cut_page, newest_first
from contract.alerts import Alert, AlertCategory, AlertStatus, Severity
from contract.base import Page
from contract.scope import Scope

UNASSIGNED: Final = "-"
"""Asks for alerts that are nobody's; no account is called so."""
_GROUP_BYTES: Final = func.decode(
    func.replace(AlertRow.group_key, literal_column(r"'\'"), literal_column(r"'\\'")), literal_column("'escape'")
)
"""The group's text in UTF-8, in words that an index takes: `convert_to` counts as depending on settings."""
GROUP_HASH: Final = func.sha256(_GROUP_BYTES)
"""As `ix_alerts_group` has it."""
GROUP_ID: Final = func.encode(GROUP_HASH, "hex")
"""Names a group in an address: its text has up to 10,000 characters."""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """What a page of alerts is narrowed to; empty leaves a field open."""

    status: Collection[AlertStatus] = ()
    severity: Collection[Severity] = ()
    rule: str | None = None
    scope: Scope | None = None
    words: str | None = None
    """In its message, rule, scope or labels, in any case."""
    source: str | None = None
    category: Collection[AlertCategory] = ()
    labels: Collection[tuple[str, str]] = ()
    assigned: str | None = None
    muted: bool | None = None
    incident: str | None = None
    group: str | None = None
    """A group's id, see `GROUP_ID`."""
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL conditions."""
        found: list[ColumnElement[bool]] = []
        if self.status:
            found.append(AlertRow.status.in_([status.value for status in self.status]))
        if self.severity:
            found.append(AlertRow.severity.in_([severity.value for severity in self.severity]))
        if self.category:
            found.append(AlertRow.category.in_([category.value for category in self.category]))
        if self.scope is not None:
            found += [AlertRow.scope_kind == self.scope.kind.value, AlertRow.scope_name == self.scope.name]
        if self.words is not None:
            found.append(_holds_words(self.words))
        if self.labels:
            found += [func.coalesce(AlertRow.labels[name].astext, "") == value for name, value in self.labels]
        if self.assigned is not None:
            wanted = None if self.assigned == UNASSIGNED else self.assigned
            found.append(AlertRow.assigned_to.is_not_distinct_from(wanted))
        if self.muted is not None:
            found.append(~UNMUTED if self.muted else UNMUTED)
        return found + self._exact()

    def _exact(self) -> list[ColumnElement[bool]]:
        columns: tuple[tuple[ColumnElement[Any] | InstrumentedAttribute[Any], str | bytes | None], ...] = (
            (AlertRow.rule, self.rule),
            (AlertRow.source, self.source),
            (AlertRow.incident, self.incident),
            (GROUP_HASH, None if self.group is None else bytes.fromhex(self.group)),
        )
        found: list[ColumnElement[bool]] = [column == value for column, value in columns if value is not None]
        if self.since is not None:
            found.append(AlertRow.raised_at >= self.since)
        if self.until is not None:
            found.append(AlertRow.raised_at < self.until)
        return found


def _holds_words(words: str) -> ColumnElement[bool]:
    columns = (AlertRow.message, AlertRow.rule, AlertRow.scope_name, cast(AlertRow.labels, String))
    return or_(*(column.icontains(words, autoescape=True) for column in columns))


async def list_alerts(
    session: AsyncSession, wanted: AlertFilter, *, cursor: str | None, limit: int, as_of: datetime
) -> Page[Alert]:
    """One page of alerts, newest first, with the count of matches up to the cap on the first page.

    Raises:
        WatchfloorError: INVALID_REQUEST for a cursor that is not ours.
    """
    conditions = wanted.conditions()
    query = newest_first(select(AlertRow).where(*conditions), AlertRow.raised_at, AlertRow.id, cursor, limit)
    rows = (await session.scalars(query)).all()
    total = await count_capped(session, AlertRow, conditions) if cursor is None else None
    page, more = cut_page(rows, limit, lambda row: (row.raised_at, row.id))
    return Page(items=[wire(row) for row in page], next_cursor=more, total=total, as_of=as_of)
