"""The list of copies: what was found when each was last read back. What changes for good is told in the `meta` log."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.events import AuditEvent
from backend.audit.meta import META_LOG
from backend.audit.retention.archives import Copy
from backend.audit.retention.survey import Partition
from backend.audit.retention_tables import ArchiveCopy
from backend.audit.service import AuditDraft
from backend.context import Runtime, system_caller
from backend.stores import Store
from contract.audit import AuditResult
from contract.retention import CopyState

CALLER: Final = system_caller("retention")
RETRY_AFTER: Final = timedelta(minutes=10)
"""A place that failed is left alone so long: one that is away does not answer sooner for being asked."""
_LOST: Final = frozenset({CopyState.MISSING, CopyState.DAMAGED})
_KEY: Final = ("log", "seq_from", "place")


async def note_sound(session: AsyncSession, runtime: Runtime, partition: Partition, copy: Copy) -> None:
    """Note that a copy was read back and is as it was written."""
    now = runtime.clock.now()
    known = await _locked(session, partition, copy.place)
    found: dict[str, object] = {
        "manifest": copy.manifest,
        "sha256": copy.sha256,
        "root": copy.root,
        "size_bytes": copy.size_bytes,
        "checked_sound": now,
        "last_checked": now,
        "state": CopyState.SOUND.value,
        "problem": None,
    }
    first = known is None or known.sha256 is None
    if first:
        found["written_at"] = now
    await _store(session, partition, copy.place, found)
    if first:
        facts = {**_named(partition, copy.place), "root": copy.root.hex(), "sha256": copy.sha256.hex()}
        await _announce(session, runtime, AuditEvent.ARCHIVE_WRITTEN, facts)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a copy lies, or is to lie."""

    place: str
    manifest: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a copy."""

    state: CopyState
    problem: str


async def note_problem(
    session: AsyncSession, runtime: Runtime, partition: Partition, spot: Spot, found: Finding
) -> None:
    """Note that a copy could not be stored or read, or is not what was written."""
    known = await _locked(session, partition, spot.place)
    values: dict[str, object] = {
        "last_checked": runtime.clock.now(),
        "state": found.state.value,
        "problem": found.problem,
    }
    await _store(session, partition, spot.place, values, {"manifest": spot.manifest, "size_bytes": 0})
    if found.state in _LOST and known is not None and known.sha256 is not None and known.state != found.state:
        facts = {**_named(partition, spot.place), "state": found.state.value, "problem": found.problem}
        await _announce(session, runtime, AuditEvent.ARCHIVE_LOST, facts)


def _named(partition: Partition, place: str) -> dict[str, object]:
    return {
        "log": partition.log,
        "seq_from": partition.seq_from,
        "seq_until": partition.seq_until,
        "place": place,
    }


async def _announce(session: AsyncSession, runtime: Runtime, event: AuditEvent, facts: dict[str, object]) -> None:
    lost = event is AuditEvent.ARCHIVE_LOST
    draft = AuditDraft(
        event_type=event,
        action="archive copy found lost" if lost else "archive copy written",
        resource_type="partition",
        resource_id=f"{facts['log']}/{facts['seq_from']}",
        new_value=facts,
        result=AuditResult.FAILURE if lost else AuditResult.SUCCESS,
        log=META_LOG,
    )
    await audit.record(session, runtime, CALLER, draft)


async def _locked(session: AsyncSession, partition: Partition, place: str) -> ArchiveCopy | None:
    return await session.get(
        ArchiveCopy, (partition.log, partition.seq_from, place), with_for_update=True, populate_existing=True
    )


async def _store(
    session: AsyncSession,
    partition: Partition,
    place: str,
    values: dict[str, object],
    at_first: dict[str, object] | None = None,
) -> None:
    key = {"log": partition.log, "seq_from": partition.seq_from, "place": place}
    statement = insert(ArchiveCopy).values(**key, seq_until=partition.seq_until, **(at_first or {}), **values)
    await session.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=values))


def is_due(copy: ArchiveCopy, runtime: Runtime, now: datetime) -> bool:
    """Whether a copy should be read back now."""
    every = timedelta(days=runtime.policy.ledger.archive_check_days)
    return now - copy.last_checked >= (every if copy.state == CopyState.SOUND else RETRY_AFTER)


async def copies(session: AsyncSession, log: str | None = None, seq_from: int | None = None) -> Sequence[ArchiveCopy]:
    """Every copy, or those of one log or partition, in their order."""
    wanted = select(ArchiveCopy).order_by(ArchiveCopy.log, ArchiveCopy.seq_from, ArchiveCopy.place)
    if log is not None:
        wanted = wanted.where(ArchiveCopy.log == log)
    if seq_from is not None:
        wanted = wanted.where(ArchiveCopy.seq_from == seq_from)
    return (await session.scalars(wanted)).all()


def too_few(runtime: Runtime, stores: Sequence[Store], found: Sequence[ArchiveCopy], now: datetime) -> str | None:
    """In words, why the copies of a partition do not allow it to be dropped; None when they do."""
    needed, places = runtime.policy.ledger.archive_copies, {store.place for store in stores}
    every = timedelta(days=runtime.policy.ledger.archive_check_days)
    sound = [
        copy
        for copy in found
        if copy.place in places
        and copy.state == CopyState.SOUND
        and copy.checked_sound is not None
        and now - copy.checked_sound <= every
    ]
    if len(sound) >= needed:
        return None
    if len(places) < needed:
        return f"{needed} copies are needed and {len(places)} places are set (WATCHFLOOR_ARCHIVES)"
    failing = "".join(f"; {copy.place}: {copy.problem or copy.state}" for copy in found if copy not in sound)
    return f"{len(sound)} of {needed} copies were read back and are sound{failing}"


@dataclass(frozen=True, slots=True)
class Failing:
    """Copies in one place that are not as they should be."""

    place: str
    count: int
    log: str
    seq_from: int
    problem: str
    """Of the one named."""


async def failing_by_place(session: AsyncSession, states: Collection[CopyState]) -> list[Failing]:
    """What fails in which place, with the first copy as an example."""
    wanted = (
        select(ArchiveCopy)
        .where(ArchiveCopy.state.in_([state.value for state in states]))
        .order_by(ArchiveCopy.place, ArchiveCopy.log, ArchiveCopy.seq_from)
    )
    found: dict[str, Failing] = {}
    for copy in await session.scalars(wanted):
        known = found.setdefault(copy.place, Failing(copy.place, 0, copy.log, copy.seq_from, copy.problem or ""))
        found[copy.place] = replace(known, count=known.count + 1)
    return list(found.values())
