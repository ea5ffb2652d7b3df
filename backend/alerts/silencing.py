"""What the beginning and the end of silences do to alerts: one step a silence, many steps in one transaction.

A step is planned without a lock. Then the alerts of all steps are locked together in the order of their ids, as
whoever else works on several does: nobody waits in a circle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts import muting_core
from backend.alerts.matched import matching
from backend.alerts.muting import change_mutes, mute_of, note_turns, standing_of
from backend.alerts.muting_core import SILENCE, Turn
from backend.alerts.rows import GRAVITY, LIVE, announce
from backend.alerts.setting_aside import note
from backend.alerts.tables import AlertRow, SilenceRow
from backend.audit import service as audit
from backend.context import Caller, Runtime

AT_ONCE: Final = 2_000
"""Alerts that one step mutes or raises again; the clock goes on with the rest at once."""
_CHUNK: Final = 500
"""Alerts that are locked with one statement."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done to alerts because of one silence; its row is locked or new."""

    silence: SilenceRow
    ends: bool
    idents: Sequence[UUID]

    @property
    def last(self) -> bool:
        """Whether the silence has begun, or ended, with it."""
        return len(self.idents) < AT_ONCE


async def beginning(session: AsyncSession, row: SilenceRow, *also: ColumnElement[bool]) -> Step:
    """Plan to mute alerts that a silence matches and does not mute yet.

    Raises:
        TooLongError: trying its regular expressions takes too long.
    """
    unmuted = ~AlertRow.muted_by.contains([{"kind": SILENCE, "id": str(row.id)}])
    found = await matching(session, standing_of(row).matchers, AT_ONCE, unmuted, *also)
    return Step(row, ends=False, idents=found)


async def ending(session: AsyncSession, row: SilenceRow) -> Step:
    """Plan to take a silence off the alerts that it mutes."""
    muted = AlertRow.muted_by.contains([{"kind": SILENCE, "id": str(row.id)}])
    query = select(AlertRow.id).where(LIVE, muted).order_by(GRAVITY, AlertRow.raised_at.desc(), AlertRow.id)
    return Step(row, ends=True, idents=list(await session.scalars(query.limit(AT_ONCE))))


async def carry_out(session: AsyncSession, runtime: Runtime, caller: Caller, steps: Sequence[Step]) -> None:
    """Do what was planned, in its order; a silence has begun or ended with its last step."""
    alerts = await _locked(session, {ident for step in steps for ident in step.idents})
    for step in steps:
        rows = [alerts[ident] for ident in sorted(step.idents) if ident in alerts]
        await (_lift if step.ends else _mute)(session, runtime, caller, step, rows)


async def _mute(session: AsyncSession, runtime: Runtime, caller: Caller, step: Step, rows: Sequence[AlertRow]) -> None:
    silence = standing_of(step.silence)
    turned = [
        (row, change_mutes(session, runtime, caller, row, muting_core.with_mute(row.muted_by, silence.mute)))
        for row in rows
    ]
    await note_turns(session, runtime, caller, turned, f"silence {silence.id}")
    if rows:
        await announce(session, runtime, rows)
    if step.last and step.silence.begun_at is None:
        step.silence.begun_at = runtime.clock.now()


async def _lift(session: AsyncSession, runtime: Runtime, caller: Caller, step: Step, rows: Sequence[AlertRow]) -> None:
    silence = step.silence
    gone = [mute_of(silence)]
    turned = [
        (row, change_mutes(session, runtime, caller, row, muting_core.without_mutes(row.muted_by, gone)))
        for row in rows
    ]
    if step.last:
        silence.lifted_at = runtime.clock.now()
        again = sum(turn is Turn.RAISED_AGAIN for _, turn in turned)
        told = note(silence, "ended", early=silence.ended_by is not None, raised_again=again)
        await audit.record(session, runtime, caller, told)
    await note_turns(session, runtime, caller, turned, f"silence {silence.id}")
    await announce(session, runtime, rows)


async def _locked(session: AsyncSession, idents: Iterable[UUID]) -> Mapping[UUID, AlertRow]:
    """Alerts that are still live, locked in the order of their ids and read anew."""
    ordered, rows = sorted(idents), dict[UUID, AlertRow]()
    for start in range(0, len(ordered), _CHUNK):
        found = await session.scalars(
            select(AlertRow)
            .where(AlertRow.id.in_(ordered[start : start + _CHUNK]), LIVE)
            .order_by(AlertRow.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        rows.update((row.id, row) for row in found)
    return rows
