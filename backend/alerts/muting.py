"""Puts what mutes an alert onto it and takes it off again, with what follows: history, audit, clocks, raising again.

Silences made here are matched here. What an Alertmanager says mutes an alert of its own comes through `set_mutes`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts import muting_core
from backend.alerts.history import Happening, Kind, happened
from backend.alerts.matching import TooLongError, Trials
from backend.alerts.muting_core import SILENCE, Mute, Standing, Standings, Turn
from backend.alerts.rows import clock_values, note, put
from backend.alerts.setting_aside import set_aside
from backend.alerts.tables import OWN_SOURCE, AlertRow, SilenceRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from contract.alert_work import Matcher
from contract.alerts import AlertStatus, Severity

log = structlog.get_logger(__name__)

TAKING_TRIAL_S: Final = 0.25
"""How long alerts that are taken wait for regular expressions: with those of people it is a millisecond."""
SLOW_S: Final = 0.1
"""A silence that takes longer over the alerts that come at once is set aside, and costs the others nothing."""
_NAMED_AT_ONCE: Final = 100
"""Alerts that one audit entry names: it stays below what an entry may hold."""
MAX_STANDING: Final = 1_000
"""Silences in force that are looked at; a floor with more has another problem."""


def mute_of(row: SilenceRow) -> dict[str, Any]:
    """What an alert keeps of a silence over it."""
    return {
        "kind": SILENCE,
        "id": str(row.id),
        "by": row.created_by,
        "comment": row.comment,
        "until": row.ends_at.isoformat(),
    }


def standing_of(row: SilenceRow) -> Standing:
    """A silence as it is matched."""
    return Standing(tuple(Matcher.model_validate(one) for one in row.matchers), mute_of(row))


async def standing(session: AsyncSession, now: datetime, *also: ColumnElement[bool]) -> list[Standing]:
    """The silences made here that are in force at an instant."""
    rows = await session.scalars(
        select(SilenceRow)
        .where(SilenceRow.source == OWN_SOURCE, SilenceRow.lifted_at.is_(None), SilenceRow.set_aside_at.is_(None))
        .where(SilenceRow.starts_at <= now, SilenceRow.ends_at > now, *also)
        .order_by(SilenceRow.id)
        .limit(MAX_STANDING)
    )
    return [standing_of(row) for row in rows]


async def mutes_over(
    session: AsyncSession, runtime: Runtime, silences: Sequence[Standing], many: Sequence[Mapping[str, str]]
) -> list[list[Mute]]:
    """What mutes each of several alerts, by their labels.

    Regular expressions are tried in a thread. A silence that takes too long by itself is set aside; what of the others
    is not through in its time mutes nothing: somebody is told.
    """
    standings = Standings(silences)
    asked = [standings.for_labels(labels) for labels in many]
    trials = Trials(SLOW_S, TAKING_TRIAL_S)
    if not any(one.tries for silences_of_one in asked for one in silences_of_one):
        return _all_tried(trials, asked, many)
    found = await asyncio.to_thread(_all_tried, trials, asked, many)
    if trials.slow:
        await set_aside(session, runtime, trials.slow)
    return found


def _all_tried(
    trials: Trials, asked: Sequence[Sequence[Standing]], many: Sequence[Mapping[str, str]]
) -> list[list[Mute]]:
    found: list[list[Mute]] = []
    late = 0
    for silences, labels in zip(asked, many, strict=True):
        mutes: list[Mute] = []
        for silence in silences:
            try:
                if trials.matches(silence.id, silence.matchers, labels):
                    mutes.append(silence.mute)
            except TooLongError:
                late += 1
        found.append(mutes)
    if late:
        log.warning("silences_not_tried", reason="their regular expressions take too long", tries=late)
    return found


async def set_mutes(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, mutes: Sequence[Mute]
) -> Turn:
    """Say all that mutes an alert from now on; the row has to be locked. What follows is told by `rows.announce`.

    When the last of it goes and the alert goes on, it is raised again: open, its clocks from the beginning.
    """
    turn = change_mutes(session, runtime, caller, row, mutes)
    if turn is Turn.MUTED:
        await audit.record(session, runtime, caller, note(row, "muted", by=[_named(mute) for mute in row.muted_by]))
    if turn is Turn.RAISED_AGAIN:
        await audit.record(session, runtime, caller, note(row, "raised_again", times=row.times_raised))
    return turn


def change_mutes(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, mutes: Sequence[Mute]) -> Turn:
    """`set_mutes` without its audit entry: see `note_turns`."""
    before, after = list(row.muted_by), [dict(mute) for mute in mutes]
    come, gone = muting_core.differences(before, after)
    cleared = row.status == AlertStatus.CLEARED.value
    turn = muting_core.turn(before, after, cleared=cleared)
    row.muted_by = after
    happened(session, runtime, caller, *_lines(row, come, gone))
    if turn is Turn.MUTED:
        row.escalates_at = None
    if turn is Turn.RAISED_AGAIN:
        _raise_again(session, runtime, caller, row, gone)
    return turn


async def note_turns(
    session: AsyncSession, runtime: Runtime, caller: Caller, turned: Sequence[tuple[AlertRow, Turn]], why: str
) -> None:
    """The audit entries of what one silence did to many alerts: each entry names up to a hundred of them."""
    for turn, act in ((Turn.MUTED, "muted"), (Turn.RAISED_AGAIN, "raised_again")):
        idents = [str(row.id) for row, its_turn in turned if its_turn is turn]
        for start in range(0, len(idents), _NAMED_AT_ONCE):
            named = idents[start : start + _NAMED_AT_ONCE]
            entry = AuditDraft(
                event_type=f"alerts.alert.{act}",
                action=f"alert {act}",
                resource_type="alert",
                resource_id=named[0] if len(named) == 1 else None,
                new_value={"alerts": named, "by": why},
            )
            await audit.record(session, runtime, caller, entry)


def _lines(row: AlertRow, come: Sequence[Mute], gone: Sequence[Mute]) -> list[Happening]:
    begun = [Happening(row.id, _kind(mute, Kind.SILENCED, Kind.MUTED), **_told(mute)) for mute in come]
    return begun + [Happening(row.id, _kind(mute, Kind.SILENCE_ENDED, Kind.UNMUTED), **_told(mute)) for mute in gone]


def _kind(mute: Mute, silence: Kind, other: Kind) -> Kind:
    return silence if mute["kind"] == SILENCE else other


def _told(mute: Mute) -> dict[str, Any]:
    facts = {name: str(mute[name]) for name in ("kind", "id", "until") if mute.get(name)}
    return {"text": str(mute.get("comment") or ""), "facts": facts}


def _named(mute: Mute) -> str:
    return f"{mute['kind']} {mute['id']}"


def _raise_again(session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, gone: Sequence[Mute]) -> None:
    now = runtime.clock.now()
    ended = ", ".join(map(_named, gone))
    if row.acknowledged_at is not None:
        happened(session, runtime, caller, Happening(row.id, Kind.ACKNOWLEDGEMENT_ENDED))
    row.status, row.times_raised, row.updated_at = AlertStatus.OPEN.value, row.times_raised + 1, now
    row.acknowledged_by = row.acknowledged_at = row.acknowledge_comment = None
    put(row, clock_values(runtime, Severity(row.severity), now, muted=False))
    happened(session, runtime, caller, Happening(row.id, Kind.RAISED_AGAIN, facts={"ended": ended}))
