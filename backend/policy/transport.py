"""The policy's transport part: who may come over the local socket, certificates, and how much a caller may ask."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from backend.policy.base import Count, PolicyTable, PositiveCount, each_of

MICROSECONDS_A_MINUTE = 60_000_000


class RequestClass(StrEnum):
    """What a request costs, in kind. What stops trading or keeps a permit alive belongs to none: never limited."""

    SIGN_INS = "sign_ins"
    """Each costs a password hash."""
    READS = "reads"
    WRITES = "writes"
    EXPORTS = "exports"
    """Each may read a whole log."""


class Allowance(PolicyTable):
    """How many requests of one kind a caller may make: so many at once, and then so many a minute."""

    burst: PositiveCount
    per_minute: Annotated[PositiveCount, Field(le=MICROSECONDS_A_MINUTE)]
    taken_ahead: PositiveCount = 1
    """How many a backend takes from the common account at a time: each backend may be late by so many."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.taken_ahead > self.burst:
            raise ValueError("taken_ahead must not be greater than burst")
        return self

    @property
    def interval_us(self) -> int:
        """Time after which another request is allowed, rounded up: never more than the policy says."""
        return -(-MICROSECONDS_A_MINUTE // self.per_minute)


class Limits(PolicyTable):
    """The allowances of one class of requests."""

    token: Allowance | None = None
    """Of one token; None where there is none yet."""
    address: Allowance
    """Of one address, whoever asks from there."""


class TransportRules(PolicyTable):
    """Watchfloor's own numbers of the line between it and whoever asks."""

    socket_uids: tuple[Count, ...] = ()
    """Accounts of the machine that may use the Unix socket; empty: whoever can open it."""
    certificate_warning_days: PositiveCount
    """From how many days before its end on a certificate is warned about."""
    limits: Annotated[dict[RequestClass, Limits], AfterValidator(each_of(RequestClass))]


class Transport(PolicyTable):
    """The line between Watchfloor and whoever asks; no compliance document states numbers of it."""

    watchfloor: TransportRules
