"""What a permit says, and the messages in which it travels."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from backend.context import Runtime
from backend.executors.process import Process
from backend.executors.signing import PermitSigner
from backend.freeze import service as freeze
from contract.freeze import LATCHED_REF
from contract.gate import Hold, Permit, RenewRequest, Revocation
from contract.states import FreezeMode

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Granted:
    """One signed permit, and what else the answer to its request says."""

    claims: dict[str, Any]
    permit: str
    acked_epoch: int
    fates_taken: int

    def message(self) -> bytes:
        """The answer over the connection."""
        return orjson.dumps(
            {
                "type": "permit",
                "permit": self.permit,
                "request_no": self.claims["request_no"],
                "acked_epoch": self.acked_epoch,
                "fates_taken": self.fates_taken,
            }
        )

    def spelled_out(self) -> Permit:
        """The answer over HTTP."""
        mode = self.claims["mode"]
        return Permit(
            permit=self.permit,
            request_no=self.claims["request_no"],
            acked_epoch=self.acked_epoch,
            fates_taken=self.fates_taken,
            executor=self.claims["executor"],
            may_trade=mode is None or not FreezeMode(mode).stops,
            mode=mode,
            epoch=self.claims["epoch"],
            ttl_ms=self.claims["ttl_ms"],
            renew_ms=self.claims["renew_ms"],
            holds=[Hold.model_validate(hold) for hold in self.claims["holds"]],
        )


class Granter:
    """Signs what a read says of an executor. Asks the latch once more: a freeze may have come since the read."""

    def __init__(self, runtime: Runtime, signer: PermitSigner) -> None:
        self._latched = runtime.latched
        self._signer = signer
        self._ttl_ms = runtime.policy.permits.ttl_ms
        self._renew_ms = runtime.policy.permits.renew_ms
        self._max_trade_eth = runtime.policy.executor_max_trade_eth

    def latched_over(self, place: RenewRequest) -> FreezeMode | None:
        """What freezes that wait for the database do to an executor; None while none waits."""
        return self._latched.mode_over(
            chain=place.chain, strategy=place.strategy, wallet=place.wallet, executor=place.executor
        )

    def _limit(self, of_token: Decimal | None) -> str | None:
        known = [limit for limit in (of_token, self._max_trade_eth) if limit is not None]
        return format(min(known).normalize(), "f") if known else None

    def grant(
        self,
        process: Process,
        request: RenewRequest,
        *,
        holds: tuple[freeze.Hold, ...],
        epoch: int,
        now: datetime,
        latched: FreezeMode | None,
        max_trade_eth: Decimal | None,
    ) -> Granted:
        """Sign what the holds over an executor leave it to do.

        `latched` is what was latched before they were read, `max_trade_eth` the limit of the executor's token: the
        policy of today may have a lower one.
        """
        latched = latched or self.latched_over(request)
        shown = [_shown(hold) for hold in holds]
        mode = freeze.effective_mode(holds)
        if latched is not None:  # it stops, so that only a hold that takes orders back as well is stricter
            mode = mode if mode is FreezeMode.CANCEL_ALL else latched
            shown.append({"freeze_ref": LATCHED_REF, "epoch": epoch, "mode": latched.value, "drill": False})
        claims = {
            "v": _VERSION,
            "executor": process.name,
            "boot_id": process.boot_id,
            "chain": process.chain,
            "strategy": process.strategy,
            "wallet": process.wallet,
            "request_no": request.request_no,
            "mode": None if mode is None else mode.value,
            "epoch": epoch,
            "ttl_ms": self._ttl_ms,
            "renew_ms": self._renew_ms,
            "max_trade": self._limit(max_trade_eth),
            "issued_at": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "holds": shown,
        }
        return Granted(
            claims=claims,
            permit=self._signer.sign(claims),
            acked_epoch=process.acked_epoch,
            fates_taken=request.request_no if request.fates else 0,
        )


def _shown(hold: freeze.Hold) -> dict[str, Any]:
    return {"freeze_ref": hold.ref, "epoch": hold.epoch, "mode": hold.mode.value, "drill": hold.drill}


def revocation(holds: tuple[freeze.Hold, ...], *, latched: FreezeMode | None = None) -> bytes:
    """What an executor under these holds is told at once; `latched` is a freeze that has no epoch yet."""
    return _revocation(holds, latched).model_dump_json().encode()


def _revocation(holds: tuple[freeze.Hold, ...], latched: FreezeMode | None) -> Revocation:
    shown = [Hold.model_validate(_shown(hold)) for hold in holds]
    mode = freeze.effective_mode(holds)
    if latched is not None:
        return Revocation(
            epoch=None, mode=latched, holds=[*shown, Hold(freeze_ref=LATCHED_REF, epoch=None, mode=latched)]
        )
    assert mode is not None  # noqa: S101  nobody is revoked for nothing
    return Revocation(epoch=max(hold.epoch for hold in holds), mode=mode, holds=shown)
