"""What a backend remembers of one executor's process, and the rules of its reports, pure.

Nothing here decides what an executor may do: who holds a name and what covers it is read from the database each time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from backend.errors import WatchfloorError
from backend.executors.signing import StatementError, read_acknowledgement, read_key
from backend.freeze import service as freeze
from backend.roster import service as roster
from contract.errors import ErrorCode
from contract.gate import HaltClaims, RenewRequest

_REPORTED: Final = ("position_eth", "open_orders", "in_flight", "last_order_seq", "halted_epoch")


@dataclass(slots=True)
class Process:
    """One process under an executor's name, and what this backend has written about it. Times are the database's."""

    name: str
    boot_id: str
    chain: str
    strategy: str
    wallet: str
    public_key: str | None
    """What it was registered with."""
    bounded: bool = True
    in_drills: bool = True
    reported: tuple[Any, ...] | None = None
    written_at: datetime | None = None
    changed_at: datetime | None = None
    permit_until: datetime | None = None
    seen_epoch: int = 0
    acked_epoch: int = 0
    """Up to here its acknowledgements are stored."""
    acknowledgement: str | None = None
    """The one that was stored last, which it repeats until it hears so."""
    storing: bool = False
    """One is being stored: what it repeats meanwhile is not taken again."""
    _over: tuple[Sequence[freeze.Hold], tuple[freeze.Hold, ...]] = field(default=((), ()))

    @classmethod
    def of(cls, request: RenewRequest, public_key: str | None) -> "Process":
        """The process that asks."""
        return cls(
            request.executor, request.boot_id, request.chain, request.strategy, request.wallet, public_key=public_key,
            bounded=request.bounded, in_drills=request.in_drills,
        )  # fmt: skip

    def is_asking(self, request: RenewRequest, public_key: str | None) -> bool:
        """Whether this is the process that asks, where it always was."""
        mine = (self.boot_id, self.chain, self.strategy, self.wallet, self.bounded, self.in_drills)
        return mine == standing(request) and public_key == self.public_key

    def held_by(self, holds: tuple[freeze.Hold, ...]) -> tuple[freeze.Hold, ...]:
        """Those of the holds that cover it; the same holds, as the very same object, are gone through once."""
        if self._over[0] is not holds:
            self._over = (holds, freeze.covering(holds, self))
        return self._over[1]

    def must_write(self, request: RenewRequest, *, now: datetime, permit_life: timedelta | None) -> bool:
        """Whether this renewal has to reach the table before it is answered.

        `permit_life` is that of the permit about to be given, None for none that allows sending. A permit is given
        only if the stored `permit_until` outlives it. That it was read at `now`, and lives from an earlier instant, is
        why `now` plus its life bounds it; that the stored bound is renewed each second, why a quiet floor writes one
        row an executor and second and no more. A permit that was read before a freeze committed, and whose bound is
        not stored yet, is dead one life after that commit: `core.halt_state` waits for both.
        """
        if self.written_at is None or not self.written_at <= now < self.written_at + freeze.REPORT_EVERY:
            return True  # also on a clock that was put back: nothing would be written until it has caught up
        if request.seen_epoch > self.seen_epoch:
            return True
        if permit_life is not None and (self.permit_until is None or self.permit_until < now + permit_life):
            return True
        recently = self.changed_at is not None and now < self.changed_at + freeze.REPORT_EVERY
        return not recently and self.says_anything_new(request)

    def says_anything_new(self, request: RenewRequest) -> bool:
        """Whether the report differs from the one that was written."""
        return self.reported != _reported(request)

    def report(
        self, request: RenewRequest, *, epoch: int, now: datetime, permit_life: timedelta | None
    ) -> roster.Report:
        """The report as it is to be stored."""
        if max(request.seen_epoch, request.halted_epoch) > epoch:  # nobody knows of a freeze that is not made yet
            request = request.model_copy(update={"seen_epoch": self.seen_epoch, "halted_epoch": 0})
        until = None if permit_life is None else now + permit_life + freeze.REPORT_EVERY
        return roster.Report(request, changed=self.says_anything_new(request), permit_until=until)

    def wrote(self, report: roster.Report, now: datetime) -> None:
        """Note that a report is stored."""
        self.written_at = now
        self.seen_epoch = max(self.seen_epoch, report.request.seen_epoch)
        if report.changed:
            self.changed_at = now if self.reported is not None else None
            self.reported = _reported(report.request)
        if report.permit_until is not None:
            self.permit_until = report.permit_until


def standing(of: roster.Odd | RenewRequest) -> tuple[Any, ...]:
    """What a process says of itself at its start and may never change: which it is, where, and what stops it."""
    return (of.boot_id, of.chain, of.strategy, of.wallet, of.bounded, of.in_drills)


def _reported(request: RenewRequest) -> tuple[Any, ...]:
    return tuple(getattr(request, name) for name in _REPORTED)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a process acknowledges with one renewal."""

    epoch: int
    answers: tuple[freeze.Acknowledgement, ...]


def acknowledged(
    process: Process, request: RenewRequest, *, holds: tuple[freeze.Hold, ...], epoch: int
) -> Answered | None:
    """What a renewal newly acknowledges of the holds over its process; `epoch` is the newest of all holds.

    Nobody obeys a freeze before it is made. A process that signs is taken at its signature alone.

    Raises:
        StatementError: it is not the process's own word, or cannot be true.
    """
    if request.acknowledgement is not None and request.acknowledgement != process.acknowledgement:
        claims = _claims(process, request, epoch)
        return Answered(claims.epoch, tuple(_signed(hold, request, claims) for hold in _obeyed(holds, claims)))
    if process.public_key is None and process.acked_epoch < request.halted_epoch <= epoch:
        news = (hold for hold in holds if process.acked_epoch < hold.epoch <= request.halted_epoch)
        return Answered(request.halted_epoch, tuple(_unsigned(hold, request) for hold in news))
    return None


def _claims(process: Process, request: RenewRequest, epoch: int) -> HaltClaims:
    if process.public_key is None or request.acknowledgement is None:
        raise StatementError("the process has registered no key")
    claims = read_acknowledgement(request.acknowledgement, kid=process.boot_id, key=read_key(process.public_key))
    if (claims.executor, claims.boot_id) != (process.name, process.boot_id):
        raise StatementError("it speaks of another process")
    if not 0 < claims.epoch <= epoch:
        raise StatementError("it speaks of a freeze that is not made yet")
    return claims


def _obeyed(holds: Sequence[freeze.Hold], claims: HaltClaims) -> list[freeze.Hold]:
    """Named, no newer than what was known when it was signed, and not stricter than what is obeyed."""
    named = set(claims.holds)
    return [
        hold
        for hold in holds
        if hold.ref in named and hold.epoch <= claims.epoch and freeze.at_least_as_strict(claims.mode, hold.mode)
    ]


def _signed(hold: freeze.Hold, request: RenewRequest, claims: HaltClaims) -> freeze.Acknowledgement:
    return freeze.Acknowledgement(
        hold=hold,
        request=request,
        last_order_seq=claims.last_order_seq,
        in_flight=claims.in_flight_count,
        open_orders=claims.open_orders,
        nonces={wallet.lower(): nonce for wallet, nonce in claims.nonces.items()},
        in_flight_ids=tuple(dict.fromkeys(claims.in_flight)),
        paused={contract.lower(): block for contract, block in claims.paused.items()},
        statement=request.acknowledgement,
    )


def _unsigned(hold: freeze.Hold, request: RenewRequest) -> freeze.Acknowledgement:
    return freeze.Acknowledgement(
        hold=hold, request=request, last_order_seq=request.last_order_seq, in_flight=request.in_flight
    )


def refusal_of(odd: roster.Odd, request: RenewRequest) -> WatchfloorError | None:
    """Why a process is refused; None if it is new and may take the name.

    The caller has a closer look at one whose only oddity is that it does not repeat its key.
    """
    if odd.boot_id != request.boot_id:
        return displaced(request) if odd.has_run else None
    if (odd.chain, odd.strategy, odd.wallet) != (request.chain, request.strategy, request.wallet):
        return WatchfloorError(
            ErrorCode.CONFLICT,
            f"{request.executor} trades {odd.strategy} on {odd.chain}; a running process cannot move.",
            hint="Restart the executor to move it.",
        )
    if (odd.bounded, odd.in_drills) != (request.bounded, request.in_drills):
        return WatchfloorError(
            ErrorCode.CONFLICT,
            f"{request.executor} has said otherwise whether a permit bounds it and whether drills do.",
            hint="Restart the executor to change that.",
        )
    return WatchfloorError(
        ErrorCode.CONFLICT,
        f"{request.executor} was registered with another key; a running process cannot change it.",
        hint="Restart the executor.",
    )


def displaced(request: RenewRequest) -> WatchfloorError:
    """The refusal of a process whose name another one has taken."""
    return WatchfloorError(
        ErrorCode.CONFLICT,
        f"A newer process runs as {request.executor}; this one gets no more permits.",
        hint="Stop this process, or give it a name of its own.",
    )
