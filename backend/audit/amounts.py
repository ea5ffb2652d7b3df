"""Counts what the ledger has of a person, or in a part of a log. No further than the counting cap, along indexes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.tables import LedgerEntry, SealedField
from backend.paging import count_capped


@dataclass(frozen=True, slots=True)
class Amount:
    """How much there is; a number that is the counting cap means: that many or more."""

    entries: int
    """Written by the person, or in the part of the log."""
    sealed_values: int | None
    """Of the person; None where nobody is meant: no index leads to the values of a log."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the ledger: a log, a time, or all of it."""

    log: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self, table: type[LedgerEntry] | type[SealedField]) -> list[ColumnElement[bool]]:
        """What a row that belongs to it satisfies."""
        wanted = [table.log == self.log] if self.log is not None else []
        wanted += [table.occurred_at >= self.since] if self.since is not None else []
        return wanted + ([table.occurred_at < self.until] if self.until is not None else [])


async def amount_of(session: AsyncSession, subject: str | None, part: Part) -> Amount:
    """How many entries a person wrote within a part of the ledger and how many values of theirs are sealed there."""
    entries, sealed = part.conditions(LedgerEntry), part.conditions(SealedField)
    if subject is None:
        return Amount(await count_capped(session, LedgerEntry, entries), None)
    return Amount(
        await count_capped(session, LedgerEntry, [LedgerEntry.actor == subject, *entries]),
        await count_capped(session, SealedField, [SealedField.subject == subject, *sealed]),
    )
