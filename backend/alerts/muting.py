"""Puts what mutes an alert onto it and takes it off again, with what follows: history, audit, clocks, raising again.

Silences made here are matched here. What an Alertmanager says mutes an alert of its own comes through `set_mutes`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import muting_core
from backend.alerts.history import Happening, Kind, happened
from backend.alerts.matching import matches
from backend.alerts.muting_core import SILENCE, Mute, Standing, Turn
from backend.alerts.rows import clock_values, note, put
from backend.alerts.tables import OWN_SOURCE, AlertRow, SilenceRow
from backend.audit import service as audit
from backend.context import Caller, Runtime
from contract.alert_work import Matcher
from contract.alerts import AlertStatus, Severity

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


async def standing(session: AsyncSession, now: datetime) -> list[Standing]:
    """The silences made here that are in force at an instant."""
    rows = await session.scalars(
        select(SilenceRow)
        .where(SilenceRow.source == OWN_SOURCE, SilenceRow.lifted_at.is_(None))
        .where(SilenceRow.starts_at <= now, SilenceRow.ends_at > now)
        .order_by(SilenceRow.id)
        .limit(MAX_STANDING)
    )
    return [standing_of(row) for row in rows]


def mutes_over(silences: Sequence[Standing], labels: Mapping[str, str]) -> list[Mute]:
    """What mutes an alert with such labels."""
    return [one.mute for one in silences if matches(one.matchers, labels)]


async def set_mutes(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, mutes: Sequence[Mute]
) -> Turn:
    """Say all that mutes an alert from now on; the row has to be locked. What follows is told by `rows.announce`.

    When the last of it goes and the alert goes on, it is raised again: open, its clocks from the beginning.
    """
    before, after = list(row.muted_by), [dict(mute) for mute in mutes]
    come, gone = muting_core.differences(before, after)
    cleared = row.status == AlertStatus.CLEARED.value
    turn = muting_core.turn(before, after, cleared=cleared)
    row.muted_by = after
    happened(session, runtime, caller, *_lines(row, come, gone))
    if turn is Turn.MUTED:
        row.escalates_at = None
        await audit.record(session, runtime, caller, note(row, "muted", by=[_named(mute) for mute in after]))
    if turn is Turn.RAISED_AGAIN:
        await _raise_again(session, runtime, caller, row, gone)
    return turn


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


async def _raise_again(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: AlertRow, gone: Sequence[Mute]
) -> None:
    now = runtime.clock.now()
    ended = ", ".join(map(_named, gone))
    if row.acknowledged_at is not None:
        happened(session, runtime, caller, Happening(row.id, Kind.ACKNOWLEDGEMENT_ENDED))
    row.status, row.times_raised, row.updated_at = AlertStatus.OPEN.value, row.times_raised + 1, now
    row.acknowledged_by = row.acknowledged_at = row.acknowledge_comment = None
    put(row, clock_values(runtime, Severity(row.severity), now, muted=False))
    happened(session, runtime, caller, Happening(row.id, Kind.RAISED_AGAIN, facts={"ended": ended}))
    await audit.record(session, runtime, caller, note(row, "raised_again", ended=ended, times=row.times_raised))
