"""Changing one incident's record: locked, every line numbered, one audit entry and one stream event for each act.

Everything that changes an incident goes through `Writing`, so that nothing of it can be forgotten.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from backend.events import publish
from backend.incidents import timeline, views
from backend.incidents.numbering import parse_incident_id
from backend.incidents.tables import IncidentEntry, IncidentMilestone, IncidentRow
from contract.alerts import Link
from contract.errors import ErrorCode
from contract.incidents import Incident, IncidentChanged, MilestoneName
from contract.states import IncidentStatus
from contract.stream import Topic

INCIDENT = "incident"
"""Resource type of the audit entries."""


async def row_of(session: AsyncSession, ident: str, *, lock: bool = False) -> IncidentRow:
    """The incident that somebody named; if asked, locked against other changes and read anew.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    parsed = parse_incident_id(ident)
    query = select(IncidentRow).where(IncidentRow.id == parsed).execution_options(populate_existing=lock)
    row = None if parsed is None else await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise not_found("incident", ident)
    return row


@dataclass
class Writing:
    """One act on one locked incident."""

    session: AsyncSession
    runtime: Runtime
    caller: Caller
    row: IncidentRow
    now: datetime
    entries: list[IncidentEntry] = field(default_factory=list)
    """Lines written so far, to be told to the ledger."""

    def refuse_closed(self) -> None:
        """Nothing is added to a record that was put away.

        Raises:
            WatchfloorError: CONFLICT.
        """
        if self.row.status == IncidentStatus.CLOSED.value:
            raise WatchfloorError(
                ErrorCode.CONFLICT,
                f"{self.row.id} is closed: its record does not change any more.",
                hint="Declare another incident, or amend its post-mortem.",
            )

    async def entry(
        self,
        kind: str,
        text: str,
        *,
        occurred_at: datetime | None = None,
        actor: str | None = None,
        auto: bool = False,
        link: Link | None = None,
        corrects: UUID | None = None,
        source_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> IncidentEntry:
        """Append a line."""
        self.row.last_entry += 1
        line = IncidentEntry(
            id=self.runtime.clock.new_id(),
            incident=self.row.id,
            number=self.row.last_entry,
            occurred_at=(occurred_at or self.now).astimezone(UTC),
            recorded_at=self.now,
            actor=actor or self.caller.subject,
            auto=auto,
            kind=kind,
            text=text[: timeline.MAX_TEXT_CHARS],
            link=None if link is None else link.model_dump(),
            corrects=corrects,
            source_key=source_key,
            idempotency_key=idempotency_key or None,
        )
        self.session.add(line)
        self.entries.append(line)
        await self.session.flush()
        return line

    async def milestone(self, name: MilestoneName, at: datetime, *, auto: bool, by: str | None = None) -> None:
        """Write down when a milestone was reached, beside what was said of it before."""
        self.session.add(
            IncidentMilestone(
                incident=self.row.id,
                name=name.value,
                occurred_at=at.astimezone(UTC),
                recorded_at=self.now,
                recorded_by=by or self.caller.subject,
                auto=auto,
            )
        )
        await self.session.flush()

    async def known(self) -> Mapping[MilestoneName, datetime]:
        """When it reached what, as far as anybody has said and it still stands."""
        return (await views.known_milestones(self.session, [self.row]))[self.row.id]

    async def first(self, name: MilestoneName, at: datetime, *, by: str | None = None) -> bool:
        """Stamp a milestone, unless it is known; an earlier stamp of Watchfloor's own is put right, never a person's.

        True: it was written.
        """
        query = (
            select(IncidentMilestone)
            .where(IncidentMilestone.incident == self.row.id, IncidentMilestone.name == name.value)
            .order_by(IncidentMilestone.id.desc())
            .limit(1)
        )
        known = await self.session.scalar(query)
        if known is not None and (not known.auto or known.occurred_at <= at):
            return False
        await self.milestone(name, at, auto=True, by=by)
        await self._say_if_before_start(name, at)
        return True

    async def _say_if_before_start(self, name: MilestoneName, at: datetime) -> None:
        """A person's start is not overridden, and what has happened is not denied: that they contradict is told."""
        started = (await self.known()).get(MilestoneName.STARTED)
        if started is None or started <= at:
            return
        text = (
            f"{name.value} at {at:%Y-%m-%d %H:%M:%S} UTC, before it started ({started:%Y-%m-%d %H:%M:%S} UTC): one of "
            "the two has to be put right. Until then a time that would run backwards counts as missing."
        )
        await self.entry("milestone", text, auto=True)

    def changed(self, *facts: str) -> None:
        """Note that facts of the record have changed: whoever had an older version on the screen is told."""
        self.row.version += 1
        self.row.field_versions = {**self.row.field_versions, **dict.fromkeys(facts, self.row.version)}

    async def finish(
        self,
        event_type: str,
        action: str,
        told: Mapping[str, Any] | None = None,
        *,
        old: Mapping[str, Any] | None = None,
    ) -> Incident:
        """Tell the ledger and the consoles of the act."""
        self.row.updated_at = self.now
        await self.session.flush()
        await audit.record(self.session, self.runtime, self.caller, self._draft(event_type, action, told or {}, old))
        incident = await views.show(self.session, self.runtime, self.row)
        publish(self.session, Topic.INCIDENT, IncidentChanged(incident=incident, entries=self.row.last_entry))
        return incident

    def _draft(
        self, event_type: str, action: str, told: Mapping[str, Any], old: Mapping[str, Any] | None
    ) -> AuditDraft:
        lines = {}
        if self.entries:
            lines = {
                "first_entry": self.entries[0].number,
                "last_entry": self.entries[-1].number,
                "entries_sha256": timeline.digest_of(self.entries),
            }
        return AuditDraft(
            event_type=event_type,
            action=action,
            resource_type=INCIDENT,
            resource_id=self.row.id,
            incident=self.row.id,
            old_value=None if old is None else dict(old),
            new_value={**told, **lines},
        )


async def writing(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> Writing:
    """Lock an incident for one act.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_of(session, ident, lock=True)
    return Writing(session, runtime, caller, row, runtime.clock.now())
