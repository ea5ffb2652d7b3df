"""Owns the one sentence on line 2 of the overview: what matters most right now, in plain English.

A pure function of the floor and the time. Must never call something unknown good.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from console.state.floor import SEVERITIES, Floor, Link, all_executors, latched_holds, urgent, waits
from console.state.freshness import Freshness, coarse_age, exact_age, seconds_between
from contract.states import (
    ElevationStatus,
    ExecutorState,
    FreezeMode,
    FreezeStatus,
    MeasureState,
    RiskRule,
    ScopeKind,
    Severity,
)

if TYPE_CHECKING:
    from contract.access import Elevation
    from contract.freeze import Freeze
    from contract.risk import Measure
    from contract.scope import Scope


@dataclass(frozen=True)
class Headline:
    """The sentence and how bad it is: ok, near, bad, frozen or unknown."""

    mood: str
    text: str


_NAMES: Final = {
    RiskRule.POSITION: "position",
    RiskRule.DAILY_LOSS: "daily loss",
    RiskRule.SUCCESS_RATE: "success rate",
    RiskRule.GAS_SPEND: "gas spend",
}


def headline(floor: Floor, desk_now: datetime) -> Headline:
    """The sentence that matters most: a lost line, then what is crossed, missing, frozen or close; calm comes last."""
    now = floor.now(desk_now)
    for found in (
        _line(floor, desk_now),
        latched(floor),
        _crossed(floor, desk_now),
        _critical(floor, now),
        _silent(floor),
        _frozen(floor),
        _unknown(floor, desk_now),
        _near(floor, now),
        _elevated(floor, now),
        _open(floor, now),
        _handled(floor),
    ):
        if found is not None:
            return found
    return _calm(floor)


MODE_WORDS = {
    FreezeMode.HALT: "halt",
    FreezeMode.REDUCE_ONLY: "reduce only",
    FreezeMode.CANCEL_ALL: "cancel all",
}
"""What a hold leaves to do, in the words of the screens."""


DRILL = "DRILL"
"""The tag of everything that is practice."""

WAITING = "LATCHED, waiting for the database"
"""What is said of a freeze that the database has not taken, in place of how many have halted."""


def scope_words(scope: Scope) -> str:
    """A scope as it reads in a sentence."""
    match scope.kind:
        case ScopeKind.GLOBAL:
            return "everything"
        case ScopeKind.WALLET:
            return f"wallet {_short(scope.name)}"
        case ScopeKind.INTERSECTION:
            return scope.name.replace(":", " ").replace("+", " and ")
        case _:
            return scope.name


def amount(rule: RiskRule, value: Decimal) -> str:
    """A measured value with its unit, as precise as a person reads it."""
    if rule is RiskRule.SUCCESS_RATE:
        return f"{value * 100:.1f} %"
    digits = 1 if abs(value) >= 1 or value == 0 else 3
    return f"{value:,.{digits}f} ETH"


def _short(name: str) -> str:
    long = 14
    return f"{name[:6]}…{name[-4:]}" if len(name) > long else name


def _line(floor: Floor, desk_now: datetime) -> Headline | None:
    if floor.loaded_at is None:
        if floor.connection.link is Link.LOST:
            return Headline("bad", f"The backend cannot be reached: {floor.connection.problem or 'no answer'}")
        return Headline("unknown", "Connecting: nothing is known yet.")
    if floor.connection.link is not Link.LOST:
        return None
    heard_s = floor.heard_s(desk_now)
    since = f" for {exact_age(heard_s)}" if heard_s is not None else ""
    shown = floor.now(floor.connection.heard_at or desk_now).strftime("%H:%M:%S")
    if waiting := latched_holds(floor):
        return Headline("bad", f"{_latched_text(waiting)}; this is the floor as of {shown} UTC.")
    return Headline("bad", f"Backend unreachable{since}; this is the floor as of {shown} UTC.")


def latched(floor: Floor) -> Headline | None:
    """That freezes wait for the database, here or beside this backend; None when none does."""
    waiting = latched_holds(floor)
    if waiting:
        return Headline("bad", f"{_latched_text(waiting)}; no permit until then.")
    if floor.journals_elsewhere:
        journals = "A journal" if floor.journals_elsewhere == 1 else f"{floor.journals_elsewhere} journals"
        return Headline("near", f"{journals} beside this backend's: freezes wait there for a database.")
    return None


def _latched_text(waiting: list[Freeze]) -> str:
    names = ", ".join(scope_words(hold.scope) for hold in waiting[:3]) + ("…" if len(waiting) > 3 else "")  # noqa: PLR2004  as above
    return f"LATCHED: freeze of {names} waits for the database"


def _crossed(floor: Floor, desk_now: datetime) -> Headline | None:
    if floor.risk is None or floor.risk_freshness(desk_now) is Freshness.LOST:
        return None
    crossed = [one for one in floor.risk.measures if one.state is MeasureState.CROSSED and one.value is not None]
    if not crossed:
        return None
    first = max(crossed, key=lambda one: (one.used or Decimal(0), one.scope.kind is not ScopeKind.GLOBAL))
    more = f" {len(crossed) - 1} more crossed." if len(crossed) > 1 else ""
    return Headline("bad", _crossed_text(first) + more)


def _crossed_text(measure: Measure) -> str:
    value = measure.value if measure.value is not None else Decimal(0)
    where = "" if measure.scope.kind is ScopeKind.GLOBAL else f" on {scope_words(measure.scope)}"
    what = _NAMES[measure.rule].capitalize()
    shown, limit = amount(measure.rule, value), amount(measure.rule, measure.limit)
    if measure.rule is RiskRule.SUCCESS_RATE:
        return f"{what}{where} is {shown}, below the {limit} it must keep."
    return f"{what}{where} is {shown}, over the limit of {limit}."


def _critical(floor: Floor, now: datetime) -> Headline | None:
    waiting = [one for one in urgent(floor.alerts) if one.severity is Severity.CRITICAL]
    unseen = [one for one in waiting if waits(one)]
    if not unseen:
        return None
    age = coarse_age(seconds_between(unseen[0].raised_at, now) or 0.0)
    # few words before the alert's own: a narrow screen has to show what it is about
    count = f"{len(unseen)} critical, unseen up to {age}" if len(unseen) > 1 else f"Critical, unseen {age}"
    return Headline("bad", f"{count}: {unseen[0].message}")


def _silent(floor: Floor) -> Headline | None:
    silent = sorted(one.name for one in floor.executors.values() if one.state is ExecutorState.SILENT)
    if not silent:
        return None
    names = ", ".join(silent[:3]) + ("…" if len(silent) > 3 else "")  # noqa: PLR2004  what fits the line
    verb = "is" if len(silent) == 1 else "are"
    return Headline("bad", f"{names} {verb} silent: no permit, no answer, state not known.")


def _frozen(floor: Floor) -> Headline | None:
    holds = list(floor.freezes.values())
    if not holds:
        return None
    broken = next((hold for hold in holds if hold.violations), None)
    if broken is not None:
        who = "1 executor" if broken.violations == 1 else f"{broken.violations} executors"
        return Headline("bad", f"{_scope_title(broken.scope)} freeze: {who} went on after it; its board (3) says how.")
    unproven = [hold for hold in holds if hold.halted < hold.covered]
    if unproven:
        first = unproven[0]
        return Headline(
            "bad", f"{_scope_title(first.scope)} freeze: only {first.halted} of {first.covered} executors have halted."
        )
    return Headline("frozen", _frozen_text(holds))


def _frozen_text(holds: list[Freeze]) -> str:
    lifting = [hold for hold in holds if hold.status is FreezeStatus.THAWING]
    waiting = [hold for hold in holds if hold.status is FreezeStatus.THAW_REQUESTED]
    names = ", ".join(scope_words(hold.scope) for hold in holds[:3]) + ("…" if len(holds) > 3 else "")  # noqa: PLR2004
    covered = sum(hold.covered for hold in holds)
    if lifting:
        return f"{lifting[0].ref} is being lifted: its first executors trade. 3, then S puts it back."
    if waiting:
        return f"Trading is stopped on {names}; {waiting[0].ref} waits for a second person."
    if not covered:
        return f"Trading is stopped on {names}: no executor is covered at present."
    return f"Trading is stopped on {names}: all {covered} executors have halted."


def _scope_title(scope: Scope) -> str:
    return "Global" if scope.kind is ScopeKind.GLOBAL else scope_words(scope).capitalize()


def of_executors(floor: Floor) -> Headline:
    """What the executors do, the worst first."""
    counted = all_executors(floor)
    if counted.wedged:
        bots = "bot hangs" if counted.wedged == 1 else "bots hang"
        return Headline("bad", f"{counted.wedged} {bots} under a freeze: only the gate answers, no halt is confirmed.")
    if counted.silent:
        plural = "s are" if counted.silent > 1 else " is"
        return Headline("bad", f"{counted.silent} executor{plural} silent: what they do is not known.")
    if counted.freezing:
        have = "executor has" if counted.freezing == 1 else "executors have"
        return Headline("near", f"{counted.freezing} {have} not confirmed their freeze yet.")
    if not counted.executors:
        return Headline("unknown", "No executor has registered.")
    text = f"{counted.trading} of {floor.executors_total} executors trade"
    if counted.frozen:
        return Headline("frozen", f"{text}, {counted.frozen} {'is' if counted.frozen == 1 else 'are'} frozen.")
    return Headline("ok", f"{text}. F F stops a scope; Tab goes to the freezes.")


def _unknown(floor: Floor, desk_now: datetime) -> Headline | None:
    if floor.risk is None or floor.risk.assessed_at is None:
        return Headline("unknown", "Risk has not been assessed yet; nothing is known about the limits.")
    if floor.risk_freshness(desk_now) in {Freshness.STALE, Freshness.LOST}:
        age_s = seconds_between(floor.risk.assessed_at, floor.now(desk_now)) or 0.0
        return Headline("unknown", f"Risk was last assessed {coarse_age(age_s)} ago: the limits are not being watched.")
    unknown = [one for one in floor.risk.measures if one.state is MeasureState.UNKNOWN]
    overall = [one for one in unknown if one.scope.kind is ScopeKind.GLOBAL]
    if overall:
        names = ", ".join(_NAMES[one.rule] for one in overall)
        return Headline("unknown", f"Not known: {names}. Nothing has been reported to measure it by.")
    return None


def _near(floor: Floor, now: datetime) -> Headline | None:
    if floor.risk is None:
        return None
    near = [one for one in floor.risk.measures if one.state is MeasureState.NEAR and one.value is not None]
    if not near:
        return None
    first = max(near, key=lambda one: (one.projected_hit_at is not None, one.used or Decimal(0)))
    where = "Overall" if first.scope.kind is ScopeKind.GLOBAL else scope_words(first.scope).capitalize()
    value = amount(first.rule, first.value or Decimal(0))
    limit = amount(first.rule, first.limit)
    text = f"{where} {_NAMES[first.rule]} stands at {value} of {limit}"
    if first.projected_hit_at is not None and first.projected_hit_at > now:
        return Headline("near", f"{text}; at this pace the limit is hit {first.projected_hit_at:%H:%M} UTC.")
    return Headline("near", f"{text}.")


def _elevated(floor: Floor, now: datetime) -> Headline | None:
    held = [one for one in floor.elevations.values() if one.ends_at is not None and one.ends_at > now]
    asked = [
        one for one in floor.elevations.values() if one.status is ElevationStatus.REQUESTED and one.lapses_at > now
    ]
    if not held and not asked:
        return None
    more = f" And {len(held) + len(asked) - 1} more." if len(held) + len(asked) > 1 else ""
    if held:
        first = min(held, key=lambda one: (one.ends_at or now, one.id))
        until = f"{first.ends_at:%H:%M} UTC, granted by {first.decided_by}"
        return Headline("near", f"ELEVATED: {first.account} holds {_permissions(first)} until {until}.{more}")
    first = min(asked, key=lambda one: (one.lapses_at, one.id))
    return Headline("near", f"{first.account} asks for {_permissions(first)} for {first.minutes} min.{more}")


def _permissions(elevation: Elevation) -> str:
    return ", ".join(permission.value for permission in elevation.permissions)


def _open(floor: Floor, now: datetime) -> Headline | None:
    unseen = [one for one in urgent(floor.alerts) if waits(one)]
    if not unseen:
        return None
    age_s = seconds_between(unseen[0].raised_at, now) or 0.0
    count = "1 alert has" if len(unseen) == 1 else f"{len(unseen)} alerts have"
    return Headline("near", f"{count} not been seen by anybody, the first raised {coarse_age(age_s)} ago.")


def _handled(floor: Floor) -> Headline | None:
    """What is being handled: nothing is quiet while an incident is open."""
    going = [one for one in floor.incidents.values() if not one.drill]
    if not going:
        return None
    first = min(going, key=lambda one: (SEVERITIES.index(one.severity), one.declared_at, one.id))
    more = f"; {len(going) - 1} more" if len(going) > 1 else ""
    who = f"{first.commander} commands it" if first.commander else "nobody commands it"
    return Headline("near", f"{first.id} is open: {first.severity.value}, {first.step}, {who}{more}.")


def _calm(floor: Floor) -> Headline:
    counted = all_executors(floor)
    acknowledged = floor.counts.total
    if not floor.executors_total:
        return Headline("unknown", "Every limit holds, but no executor has registered.")
    idle = floor.executors_total - counted.trading
    if idle:
        verb = "does" if idle == 1 else "do"
        return Headline("near", f"Every limit holds, but {idle} of {floor.executors_total} executors {verb} not trade.")
    if muted := [alert for alert in floor.alerts.values() if alert.muted_by]:
        critical = sum(alert.severity is Severity.CRITICAL for alert in muted)
        plural, worst = "s" if len(muted) > 1 else "", f", {critical} of them critical" if critical else ""
        return Headline("near", f"Every limit holds; {len(muted)} alert{plural} muted{worst}.")
    text = f"All quiet: every limit holds, all {floor.executors_total} executors trade"
    if acknowledged:
        plural = "s" if acknowledged > 1 else ""
        return Headline("ok", f"{text}, {acknowledged} acknowledged alert{plural} still open.")
    return Headline("ok", f"{text}, no alerts.")
