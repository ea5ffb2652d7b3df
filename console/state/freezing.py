"""Owns the freeze dialog's rules: what must be known and typed before it freezes, and how it has ended. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from console.state.scopes import typed_name
from contract.freeze import BlastRadius, Freeze, FreezeMode, FreezeStatus, HaltState
from contract.scope import HOW_TO_WRITE, Scope

UNKNOWN_AFTER_S: Final = 15.0
"""Executors answer within a second or two and permits die soon after: later than this nobody can tell."""

POLL_S: Final = 0.5
"""How often the effect of a freeze is looked at until it is proven."""


_UNANSWERED = frozenset({HaltState.REQUESTED, HaltState.DELIVERED})


@dataclass(frozen=True)
class Draft:
    """What the dialog holds."""

    scope_text: str = ""
    mode: FreezeMode = FreezeMode.HALT
    reason: str = ""
    typed: str = ""
    blast: BlastRadius | None = None
    unasked: str = ""
    """The scope whose blast radius could not be learned: it may be frozen all the same, with that said."""

    @property
    def scope(self) -> Scope | None:
        """The scope, once the text is one."""
        try:
            return Scope.parse(self.scope_text)
        except ValueError:
            return None

    @property
    def knows_blast(self) -> bool:
        """Whether what is shown is the blast radius of the scope as it is typed now."""
        return self.blast is not None and self.scope is not None and str(self.blast.scope) == str(self.scope)

    @property
    def may_go_on(self) -> bool:
        """Whether the blast radius is shown, or known not to be had: a broken preview must not keep anybody trading."""
        return self.knows_blast or (bool(self.unasked) and self.unasked == str(self.scope))

    @property
    def missing(self) -> str:
        """What the dialog still waits for, in plain words; empty when it may freeze."""
        scope = self.scope
        if not self.scope_text.strip():
            return "choose what to freeze"
        if scope is None:
            return HOW_TO_WRITE
        if not self.may_go_on:
            return "waiting for what this would stop"
        if not self.reason.strip():
            return "say why"
        if self.typed.strip().casefold() != typed_name(scope).casefold():
            return f"type {typed_name(scope)} to confirm"
        return ""


class Outcome(StrEnum):
    """How a freeze has ended, as far as anybody can know."""

    SENDING = "sending"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Effect:
    """What a freeze has done so far."""

    outcome: Outcome
    unproven: tuple[str, ...] = ()
    """Executors that have not confirmed."""
    unbounded: tuple[str, ...] = ()
    """Of these, those that a dead permit does not stop."""
    gone_on: tuple[str, ...] = ()
    """Executors that did more than they acknowledged."""
    still_open: tuple[str, ...] = ()
    """Executors that have halted with something still in flight or resting."""
    verified: int = 0
    dead_at: datetime | None = None
    """When the last permit is dead of those that have not confirmed."""


def effect_of(freeze: Freeze, waited_s: float) -> Effect:
    """Judge a freeze by what is known of its executors, never by the fact that it was sent."""
    silent = [proof for proof in freeze.proofs if proof.exercised and proof.state in _UNANSWERED]
    unproven = tuple(proof.executor for proof in silent)
    gone_on = tuple(proof.executor for proof in freeze.proofs if proof.state is HaltState.VIOLATION)
    found = Effect(
        Outcome.DONE,
        unproven=unproven,
        unbounded=tuple(proof.executor for proof in silent if not proof.bounded),
        gone_on=gone_on,
        still_open=tuple(proof.executor for proof in freeze.proofs if proof.state is HaltState.ACKED),
        verified=freeze.verified,
        dead_at=max((proof.permit_dead_at for proof in freeze.proofs if proof.permit_dead_at), default=None),
    )
    if freeze.status is FreezeStatus.THAWED:
        return found
    if freeze.status is FreezeStatus.LATCHED:
        return replace(found, outcome=Outcome.WAITING)
    if gone_on or freeze.violations:
        return replace(found, outcome=Outcome.FAILED)
    if freeze.halted >= freeze.covered and not unproven:
        return found
    return replace(found, outcome=Outcome.UNKNOWN if waited_s >= UNKNOWN_AFTER_S else Outcome.WAITING)


class Wanted(StrEnum):
    """How far somebody waits."""

    ACKED = "acked"
    VERIFIED = "verified"


def unmet(freeze: Freeze, wanted: Wanted) -> tuple[str, ...]:
    """The executors that are not there yet; one that can send nothing any more counts as acked, never as verified."""
    if freeze.status is FreezeStatus.LATCHED:
        return ("not in the database yet",)
    enough = {HaltState.VERIFIED} if wanted is Wanted.VERIFIED else {state for state in HaltState if state.is_halted}
    names = tuple(proof.executor for proof in freeze.proofs if proof.exercised and proof.state not in enough)
    missing = freeze.covered - (freeze.verified if wanted is Wanted.VERIFIED else freeze.halted)
    return names or ((f"{missing} not named",) if missing > 0 else ())


def latched_text(freeze: Freeze) -> str:
    """What a freeze does that the database has not taken: everywhere the same words."""
    where = "kept by this backend" if freeze.kept else "NOT KEPT anywhere, lost if this backend ends"
    return f"{where}, waiting for the database; permits {revoked_text(freeze)}."


def revoked_text(freeze: Freeze) -> str:
    """How many have lost their permits at once to a freeze that is latched."""
    told = "1 connected executor is" if freeze.revoked == 1 else f"{freeze.revoked or 0:,} connected executors are"
    return f"of {told} revoked"
