"""Owns how states are shown: each as a glyph, a word and a style's name, so that colour is never the only carrier."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from console.state.freshness import Freshness
from console.state.headline import DRILL
from console.widgets.glyphs import Glyphs
from console.widgets.lines import Line
from contract.states import AlertStatus, AuditResult, ExecutorState, HaltState, MeasureState, RiskLevel, Severity

if TYPE_CHECKING:
    from contract.freeze import HaltProof
    from contract.freeze_drills import CanaryOutcome


class Sign(NamedTuple):
    """One state as it is shown."""

    glyph: str
    word: str
    style: str

    def spans(self) -> Line:
        """Glyph and word in the state's style."""
        return ((f"{self.glyph} {self.word}", self.style),)


def measure(state: MeasureState, g: Glyphs) -> Sign:
    """Where a value stands against its limit."""
    match state:
        case MeasureState.OK:
            return Sign(g.ok, "ok", "ok")
        case MeasureState.NEAR:
            return Sign(g.near, "near", "near")
        case MeasureState.CROSSED:
            return Sign(g.bad, "CROSSED", "bad")
        case MeasureState.UNKNOWN:
            return Sign(g.unknown, "unknown", "dim")


def level(value: RiskLevel, g: Glyphs) -> Sign:
    """An indicator."""
    match value:
        case RiskLevel.LOW:
            return Sign(g.ok, "LOW", "ok")
        case RiskLevel.MEDIUM:
            return Sign(g.near, "MEDIUM", "near")
        case RiskLevel.HIGH:
            return Sign(g.bad, "HIGH", "bad")
        case RiskLevel.CRITICAL:
            return Sign(g.bad, "CRITICAL", "bad")
        case RiskLevel.UNKNOWN:
            return Sign(g.unknown, "UNKNOWN", "dim")


def severity(value: Severity, g: Glyphs) -> Sign:
    """An alert's severity, in at most four letters."""
    match value:
        case Severity.CRITICAL:
            return Sign(g.bad, "CRIT", "bad")
        case Severity.HIGH:
            return Sign(g.near, "HIGH", "near")
        case Severity.MEDIUM:
            return Sign(g.partial, "MED", "")
        case Severity.LOW:
            return Sign(g.idle, "LOW", "dim")


def alert_status(value: AlertStatus, g: Glyphs) -> Sign:
    """Who has seen it."""
    match value:
        case AlertStatus.OPEN:
            return Sign(g.near, "open", "near")
        case AlertStatus.ACKNOWLEDGED:
            return Sign(g.done, "acked", "")
        case AlertStatus.CLEARED:
            return Sign(g.ok, "cleared", "ok")


def drill(g: Glyphs) -> Sign:
    """That something is practice: quiet, and counted apart."""
    return Sign(g.muted, DRILL, "near")


def executor(value: ExecutorState, g: Glyphs) -> Sign:
    """What a trading bot is doing."""
    match value:
        case ExecutorState.TRADING:
            return Sign(g.ok, "trading", "ok")
        case ExecutorState.REDUCING:
            return Sign(g.partial, "reducing", "near")
        case ExecutorState.FROZEN:
            return Sign(g.frozen, "FROZEN", "frozen")
        case ExecutorState.FREEZING:
            return Sign(g.partial, "freezing", "near")
        case ExecutorState.WEDGED:
            return Sign(g.bad, "WEDGED", "bad")
        case ExecutorState.SILENT:
            return Sign(g.bad, "SILENT", "bad")


def halt(value: HaltState, g: Glyphs, *, late: bool) -> Sign:
    """What is known of one executor under a freeze; `late` once its answer should have come."""
    if late and value in {HaltState.REQUESTED, HaltState.DELIVERED}:
        return Sign(g.bad, "NO ANSWER", "bad")
    return {
        HaltState.REQUESTED: Sign(g.partial, "waiting", "near"),
        HaltState.DELIVERED: Sign(g.partial, "told", "near"),
        HaltState.ACKED: Sign(g.done, "HALTED", "ok"),
        HaltState.QUIESCED: Sign(g.done, "QUIET", "ok"),
        HaltState.VERIFIED: Sign(g.ok, "VERIFIED", "ok"),
        HaltState.EXPIRED: Sign(g.frozen, "EXPIRED", "near"),
        HaltState.VIOLATION: Sign(g.bad, "VIOLATION", "bad"),
    }[value]


def halted(proof: HaltProof, g: Glyphs, *, late: bool = False) -> Sign:
    """`halt` of one proof: what no permit bounds is never merely waited for, and who is left out misses nothing."""
    unanswered = proof.state in {HaltState.REQUESTED, HaltState.DELIVERED}
    if unanswered and not proof.exercised:
        return Sign(g.idle, "left out", "dim")
    if unanswered and not proof.bounded:
        return Sign(g.bad, "UNBOUNDED", "bad")
    return halt(proof.state, g, late=late)


def outcome(one: CanaryOutcome, g: Glyphs) -> Sign:
    """What is known of one canary once its drill is over."""
    if not one.exercised:
        return Sign(g.idle, "left out", "dim")
    return halt(one.state, g, late=True)


def result(value: AuditResult, g: Glyphs) -> Sign:
    """How an act ended."""
    match value:
        case AuditResult.SUCCESS:
            return Sign(g.ok, "ok", "ok")
        case AuditResult.FAILURE:
            return Sign(g.bad, "failed", "bad")
        case AuditResult.DENIED:
            return Sign(g.near, "denied", "near")


def stale(value: Freshness, age: str) -> Line:
    """What a panel says beside its title when its source has fallen behind; nothing while it is live."""
    match value:
        case Freshness.LIVE:
            return ()
        case Freshness.STALE:
            return ((f"STALE {age}", "near"),)
        case Freshness.LOST:
            return ((f"LOST {age}", "bad"),)
        case Freshness.NEVER:
            return (("no data", "dim"),)


def eth(value: Decimal | None, digits: int = 1) -> str:
    """An amount of ETH without its unit; what is not known is `--`."""
    return "--" if value is None else f"{value:,.{digits}f}"


def number(value: int | None) -> str:
    """A count; what is not known is `--`."""
    return "--" if value is None else f"{value:,}"


def sparkline(values: list[Decimal | None], width: int, glyphs: Glyphs) -> str:
    """The last `width` values as rising bars; a missing value is a gap, never the lowest bar."""
    shown = values[-width:] if width > 0 else []
    known = [value for value in shown if value is not None]
    low, high = (min(known), max(known)) if known else (Decimal(0), Decimal(0))
    low = min(low, Decimal(0)) if low >= 0 and low < high / 2 else low
    span = high - low
    top = len(glyphs.bars) - 1
    bars = [
        glyphs.gap if value is None else glyphs.bars[int((value - low) / span * top) if span else 0] for value in shown
    ]
    return "".join(bars).rjust(width)
