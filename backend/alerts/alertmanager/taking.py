"""Takes in what an Alertmanager says of its alerts, many at once: each occurrence is stored exactly once.

Reports that are taken together share their statements: everything they may be about is looked up and locked at once, in
the order of the ids, as whoever else works on many alerts does.

Whatever comes from one source is taken in turn: the row of the source is the lock. Texts are strangers'; they are
stored as the parser bounded them and cleaned where they are shown.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CollectionAggregate, Text, any_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import muting
from backend.alerts.alertmanager.born import born, changed_texts, runbooks_of
from backend.alerts.alertmanager.mutes import foreign_mutes, is_foreign, source_named
from backend.alerts.alertmanager.occurrences import Fate, Heard, Known, judge
from backend.alerts.bulk import insert_many
from backend.alerts.history import MUTED, Happening, Kind, happened
from backend.alerts.muting_core import Mute
from backend.alerts.practising import DRILL
from backend.alerts.rows import LIVE, announce, clock_values, put
from backend.alerts.tables import AlertmanagerSource, AlertRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from contract.alertmanager import ForeignAlert
from contract.alerts import AlertStatus, Severity

SEEN_GAP: Final = timedelta(seconds=60)
"""That an alert goes on is written down so often: a delivery that repeats a thousand alerts is no news of any."""
TEXT_GAP: Final = timedelta(seconds=10)
"""Shortest time between two changes of an alert's texts: many carry a value that moves all the time."""
MAX_TOLD: Final = 200
"""Alerts named in one audit entry; what changes more writes more entries."""
_FOLLOWED_BY: Final = "_sa_instance_state"
_QUIET: Final = "yes"
"""Value of the fact that nobody is to be told."""
_TOLD_OF: Final = (Fate.RAISED, Fate.RAISED_AGAIN, Fate.CLEARED, Fate.PAST)


@dataclass(frozen=True, slots=True)
class Report:
    """What one source says at one time."""

    caller: Caller
    """Who tells it."""
    source: str
    alerts: Sequence[ForeignAlert]
    group: str = ""
    """Its key of the group, of a delivery."""
    receiver: str = ""
    current: bool = False
    """An answer of the API: how things stand now, as far as it names them."""
    silences: Mapping[str, Mute | None] = field(default_factory=dict)
    """What its silences mute with, by their ids there; None for copies of silences made here."""


@dataclass
class Taken:
    """What a report changed."""

    fates: Counter[Fate] = field(default_factory=Counter)
    told: list[tuple[Fate, AlertRow]] = field(default_factory=list)


async def note_delivery(session: AsyncSession, name: str, now: datetime, *, error: str | None = None) -> None:
    """Write down that a source has delivered; whatever else is taken from it waits until this transaction ends."""
    values: dict[str, Any] = {"last_delivery_at": now}
    if error is not None:
        values |= {"last_error": error, "last_error_at": now}
    added = insert(AlertmanagerSource).values(name=name, **values)
    await session.execute(added.on_conflict_do_update(index_elements=["name"], set_=values))


async def occurrences_taken(session: AsyncSession, runtime: Runtime, reports: Sequence[Report]) -> list[Taken]:
    """Store what reports of one source say of alerts, in their order; its row must be locked by this transaction.

    What is told twice, late or out of order changes nothing that is known better (`alertmanager.occurrences`).
    """
    taking = await _begun(session, runtime, reports)
    taken = [await taking.take(report) for report in reports]
    await taking.write()
    for report, of_one in zip(reports, taken, strict=True):
        await _record(session, runtime, report, of_one)
    if taking.changed:
        await announce(session, runtime, list(taking.changed.values()))
    return taken


async def cleared_as_gone(session: AsyncSession, runtime: Runtime, report: Report, rows: Sequence[AlertRow]) -> None:
    """Clear alerts that their source no longer knows; the rows must be locked."""
    for row in rows:
        _clear(session, runtime, report.caller, row, why=f"no longer known to {report.source}", ends_at=None)
    await _record(session, runtime, report, Taken(told=[(Fate.CLEARED, row) for row in rows]))
    if rows:
        await announce(session, runtime, rows)


async def _begun(session: AsyncSession, runtime: Runtime, reports: Sequence[Report]) -> "_Taking":
    """Look up and lock everything that reports may be about."""
    told = [alert for report in reports for alert in report.alerts]
    source = source_named(reports[0].source)
    fingerprints = sorted({alert.fingerprint for alert in told})
    rows = await _locked(session, reports[0].source, told)
    latest = await session.execute(
        select(AlertRow.source_fingerprint, func.max(AlertRow.starts_at))
        .where(AlertRow.source == source, AlertRow.source_fingerprint == _any_of(fingerprints))
        .group_by(AlertRow.source_fingerprint)
    )
    now = runtime.clock.now()
    return _Taking(
        session=session,
        runtime=runtime,
        report=reports[0],
        now=now,
        own_mutes=await _own_mutes(session, runtime, reports[0].source, told, now),
        runbooks=await runbooks_of(session, {alert.name for alert in told if alert.firing}),
        by_occurrence={str(row.occurrence): row for row in rows},
        latest={str(fingerprint): starts_at for fingerprint, starts_at in latest if starts_at is not None},
    )


async def _locked(session: AsyncSession, name: str, told: Sequence[ForeignAlert]) -> Sequence[AlertRow]:
    """The occurrences that are told of, and what else is live of them."""
    live = LIVE & (
        AlertRow.fingerprint == _any_of({fingerprint_here(source_named(name), one.fingerprint) for one in told})
    )
    found = await session.scalars(
        select(AlertRow)
        .where(or_(AlertRow.occurrence == _any_of({one.occurrence(name) for one in told}), live))
        .order_by(AlertRow.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


def _any_of(texts: Collection[str]) -> CollectionAggregate[bool]:
    """Any of some texts, as one parameter: a list of hundreds takes longer to read than to find."""
    return any_(literal(sorted(texts), ARRAY(Text)))


async def _own_mutes(
    session: AsyncSession, runtime: Runtime, name: str, told: Sequence[ForeignAlert], now: datetime
) -> Mapping[str, Sequence[Mute]]:
    silences = await muting.standing(session, now)
    if not silences:
        return {}
    firing = list({alert.occurrence(name): alert for alert in told if alert.firing}.items())
    mutes = await muting.mutes_over(session, runtime, silences, [alert.labels for _, alert in firing])
    return {occurrence: of_one for (occurrence, _), of_one in zip(firing, mutes, strict=True)}


def fingerprint_here(source: str, fingerprint: str) -> str:
    """What at most one live alert is known by."""
    return f"{source}|{fingerprint}"


@dataclass
class _Taking:
    """Reports being taken, one after another."""

    session: AsyncSession
    runtime: Runtime
    report: Report
    """The one that is being taken."""
    now: datetime
    own_mutes: Mapping[str, Sequence[Mute]]
    """By occurrence: what mutes it of the silences made here."""
    runbooks: Mapping[str, str]
    by_occurrence: dict[str, AlertRow]
    latest: dict[str, datetime]
    taken: Taken = field(default_factory=Taken)
    """Of this report."""
    changed: dict[UUID, AlertRow] = field(default_factory=dict)
    """What consoles have to be told of."""
    new: list[AlertRow] = field(default_factory=list)
    muted: list[tuple[Caller, AlertRow, list[Mute]]] = field(default_factory=list)
    """What else is to be said of what mutes an alert, and by whom, once it is stored."""
    live: dict[str, AlertRow] = field(init=False)

    def __post_init__(self) -> None:
        rows = self.by_occurrence.values()
        self.live = {str(row.source_fingerprint): row for row in rows if row.status != AlertStatus.CLEARED.value}

    async def take(self, report: Report) -> Taken:
        """Take one report."""
        self.report, self.taken = report, Taken()
        for alert in report.alerts:
            await self._take(alert)
        return self.taken

    async def _take(self, alert: ForeignAlert) -> None:
        occurrence = alert.occurrence(self.report.source)
        current = (alert.updated_at or self.now) if self.report.current else None
        ends_at = None if alert.firing else alert.ends_at or self.now
        heard = Heard(occurrence, alert.starts_at, alert.firing, ends_at, current)
        live = self.live.get(alert.fingerprint)
        verdict = judge(
            heard,
            _known(self.by_occurrence.get(occurrence)),
            _known(live),
            self.latest.get(alert.fingerprint),
        )
        if verdict.clears is not None and live is not None:
            self._over(live, alert, "it fires again" if alert.firing else "it has ended", None)
            if verdict.fate is Fate.RAISED_AGAIN:
                await self.session.flush()  # of two rows of one fingerprint the database lets one live
        self.taken.fates[verdict.fate] += 1
        if verdict.fate in {Fate.RAISED, Fate.PAST}:
            self._add(alert, occurrence, ends_at, past=verdict.fate is Fate.PAST)
        else:
            self._change(verdict.fate, self.by_occurrence[verdict.about], alert, ends_at)

    def _add(self, alert: ForeignAlert, occurrence: str, ends_at: datetime | None, *, past: bool) -> None:
        source = source_named(self.report.source)
        values = born(self.runtime, alert, self.runbooks.get(alert.name))
        mutes = [] if past else self._mutes(alert, occurrence, ())
        status = AlertStatus.CLEARED if past else AlertStatus.OPEN
        row = AlertRow(
            id=self.runtime.clock.new_id(),
            fingerprint=fingerprint_here(source, alert.fingerprint),
            source=source,
            occurrence=occurrence,
            source_fingerprint=alert.fingerprint,
            status=status.value,
            raised_at=self.now,
            updated_at=self.now,
            seen_at=self.now,
            starts_at=alert.starts_at,
            ends_at=ends_at,
            cleared_at=self.now if past else None,
            group_key=self.report.group or values["rule"],
            muted_by=[],
            times_raised=1,
            **values,
            **clock_values(self.runtime, Severity(values["severity"]), self.now, muted=bool(mutes) or past),
        )
        self.new.append(row)
        if mutes:
            self.muted.append((self.report.caller, row, mutes))
        self.by_occurrence[occurrence] = row
        self.latest[alert.fingerprint] = max(self.latest.get(alert.fingerprint, alert.starts_at), alert.starts_at)
        if not past:
            self.live[alert.fingerprint] = row
        self._tell(row, Fate.PAST if past else Fate.RAISED, quiet=bool(mutes) or past)

    def _mutes(self, alert: ForeignAlert, occurrence: str, before: Sequence[Mute]) -> list[Mute]:
        """All that mutes an alert: silences made here, and what its source says if it says how things stand."""
        own = self.own_mutes.get(occurrence, ())
        drills = [mute for mute in before if mute["kind"] == DRILL]
        if self.report.current:
            return [*own, *drills, *foreign_mutes(alert, self.report.source, self.report.silences)]
        return [*own, *drills, *(mute for mute in before if is_foreign(mute))]

    def _tell(self, row: AlertRow, fate: Fate, *, quiet: bool) -> None:
        facts = {"source": row.source, "severity": row.severity} | ({MUTED: _QUIET} if quiet else {})
        lines = [Happening(row.id, Kind.RAISED, row.message, facts, at=row.starts_at)]
        if fate is Fate.PAST:
            text = "It was over before it was heard of."
            lines.append(Happening(row.id, Kind.CLEARED, text, facts, at=row.ends_at))
        happened(self.session, self.runtime, self.report.caller, *lines)
        self._note(fate, row)

    def _note(self, fate: Fate, row: AlertRow) -> None:
        self.changed[row.id] = row
        self.taken.told.append((fate, row))

    def _change(self, fate: Fate, row: AlertRow, alert: ForeignAlert, ends_at: datetime | None) -> None:
        match fate:
            case Fate.SEEN:
                self._seen(row, alert)
            case Fate.CLEARED:
                self._over(row, alert, "it has ended", ends_at)
            case Fate.ENDED:
                row.ends_at = ends_at
            case Fate.RAISED_AGAIN:
                self._again(row, alert)

    def _seen(self, row: AlertRow, alert: ForeignAlert) -> None:
        if row.seen_at is None or self.now - row.seen_at >= SEEN_GAP:
            row.seen_at = self.now
        if self.report.group and row.group_key != self.report.group:
            row.group_key = self.report.group
        if row.annotations != alert.annotations and self.now - row.updated_at >= TEXT_GAP:
            put(row, changed_texts(self.runtime, alert, self.runbooks.get(alert.name)))
            row.updated_at = self.now
            self.changed[row.id] = row
        if self.report.current:
            kept = [mute for mute in row.muted_by if not is_foreign(mute)]
            mutes = [*kept, *foreign_mutes(alert, self.report.source, self.report.silences)]
            if mutes != row.muted_by:
                self.muted.append((self.report.caller, row, mutes))

    def _again(self, row: AlertRow, alert: ForeignAlert) -> None:
        """It had been given up, and goes on."""
        mutes = self._mutes(alert, str(row.occurrence), row.muted_by)
        row.status, row.cleared_at, row.ends_at = AlertStatus.OPEN.value, None, None
        row.acknowledged_by = row.acknowledged_at = row.acknowledge_comment = None
        row.times_raised, row.updated_at, row.seen_at, row.muted_by = (
            row.times_raised + 1,
            self.now,
            self.now,
            [dict(mute) for mute in mutes],
        )
        put(row, clock_values(self.runtime, Severity(row.severity), self.now, muted=bool(mutes)))
        self.live[alert.fingerprint] = row
        text = f"{self.report.source} goes on telling of it."
        facts = {MUTED: _QUIET} if mutes else {}
        happened(self.session, self.runtime, self.report.caller, Happening(row.id, Kind.RAISED_AGAIN, text, facts))
        self._note(Fate.RAISED_AGAIN, row)

    def _over(self, row: AlertRow, alert: ForeignAlert, why: str, ends_at: datetime | None) -> None:
        _clear(self.session, self.runtime, self.report.caller, row, why=why, ends_at=ends_at)
        if self.live.get(alert.fingerprint) is row:
            del self.live[alert.fingerprint]
        self._note(Fate.CLEARED, row)

    async def write(self) -> None:
        """Write what is over first: of two occurrences of one fingerprint the database lets one live."""
        await self.session.flush()
        worked_on = {row.id for _, row, _ in self.muted}
        self.session.add_all(row for row in self.new if row.id in worked_on)
        await self.session.flush()
        await insert_many(
            self.session, AlertRow.__tablename__, [_values(row) for row in self.new if row.id not in worked_on]
        )
        for caller, row, mutes in self.muted:
            await muting.set_mutes(self.session, self.runtime, caller, row, mutes)
            self.changed[row.id] = row
        await self.session.flush()


def _values(row: AlertRow) -> dict[str, Any]:
    """A new row by its columns' names: nobody works on it in this transaction, so that it need not be followed."""
    return {name: value for name, value in row.__dict__.items() if name != _FOLLOWED_BY}


def _known(row: AlertRow | None) -> Known | None:
    if row is None or row.occurrence is None or row.starts_at is None:
        return None
    live = row.status != AlertStatus.CLEARED.value
    return Known(row.occurrence, row.starts_at, None if live else row.ends_at, live)


def _clear(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, *, why: str, ends_at: datetime | None
) -> None:
    now = runtime.clock.now()
    row.status, row.cleared_at, row.updated_at = AlertStatus.CLEARED.value, now, now
    row.ends_at, row.escalates_at = ends_at, None
    facts = {MUTED: _QUIET} if row.muted_by else {}
    happened(session, runtime, caller, Happening(row.id, Kind.CLEARED, why, facts, at=ends_at))


async def _record(session: AsyncSession, runtime: Runtime, report: Report, taken: Taken) -> None:
    """Write audit entries of what changed: the alerts' ids, by what became of them."""
    told = [(fate, row) for fate, row in taken.told if fate in _TOLD_OF]
    for first in range(0, len(told), MAX_TOLD):
        ids: dict[str, list[str]] = {}
        for fate, row in told[first : first + MAX_TOLD]:
            ids.setdefault(fate.value, []).append(str(row.id))
        draft = AuditDraft(
            event_type="alerts.delivery.taken",
            action="take alerts of an Alertmanager",
            resource_type="alertmanager",
            resource_id=report.source,
            new_value=ids,
            metadata={"receiver": report.receiver, "by": "api" if report.current else "webhook"},
        )
        await audit.record(session, runtime, report.caller, draft)
