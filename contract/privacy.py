"""Wire types of personal data: revealing sealed values, erasing people, legal holds."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.reasons import MAX_REASON_CHARS, has_words

PersonName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
"""As long as an account's name may be."""


class Reasoned(WireRequest):
    """An act that wants a reason."""

    reason: str = Field(max_length=MAX_REASON_CHARS)

    _reason = field_validator("reason")(has_words)


class RevealRequest(Reasoned):
    """Open the sealed values of one audit entry."""


class Revealed(Wire):
    """The sealed values of one audit entry; None for a value whose person was erased."""

    entry: str
    values: dict[str, str | None]
    recorded_as: str
    """The audit entry that says who revealed them and why."""


class ErasureStatus(StrEnum):
    """What became of a request to erase a person."""

    REQUESTED = "requested"
    ERASED = "erased"
    WITHDRAWN = "withdrawn"


class Whose(WireRequest):
    """A person, named in a body so that no address holds a name."""

    subject: PersonName
    """The name of their account, or their surrogate."""


class ErasurePreview(Wire):
    """What erasing a person would destroy and what would stay. Nothing is done by asking."""

    subject: str
    """Their name for as long as it is known."""
    surrogate: str
    entries: int
    """Written by them: they stay, under the surrogate. A number that is `count_cap` means that many or more."""
    sealed_values: int
    """Destroyed: addresses, programs and whatever else of theirs is sealed. Capped in the same way."""
    count_cap: int
    legal_holds: int
    """In force and covering them: while there is one, nobody can erase them."""


class ErasureRequest(Reasoned):
    """Ask for a person to be erased; somebody else has to approve."""

    subject: PersonName
    """The name of their account."""


class Erasure(Wire):
    """One request to erase a person. Names are shown for as long as they are known."""

    id: str
    subject: str
    surrogate: str
    reason: str
    status: ErasureStatus
    requested_by: str
    requested_at: UtcDatetime
    decided_by: str | None = None
    decided_at: UtcDatetime | None = None
    values_erased: int | None = None


class LegalHoldRequest(Reasoned):
    """Keep a person's data, or a log between two instants, until two people lift the legal hold."""

    subject: PersonName | None = None
    log: Annotated[str, Field(min_length=1, max_length=40), AfterValidator(storable)] | None = None
    since: UtcDatetime | None = None
    until: UtcDatetime | None = None

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.subject is None and self.log is None:
            raise ValueError("say whose data or which log is to be kept")
        if self.since and self.until and self.since >= self.until:
            raise ValueError("since must be before until")
        return self


class LegalHoldState(StrEnum):
    """Where a legal hold stands."""

    IN_FORCE = "in_force"
    LIFT_REQUESTED = "lift_requested"
    """Still in force: another person has to lift it."""
    LIFTED = "lifted"


class LegalHoldReach(Wire):
    """What a legal hold keeps, as far as it is counted."""

    entries: int
    """Of a person: those they wrote (those that only name them are kept too); else all of the log in that time.
    A number that is `count_cap` means that many or more."""
    sealed_values: int | None = None
    """Of the person; None for a hold on a log alone."""
    count_cap: int


class LegalHold(Wire):
    """A legal hold; in force until it is lifted."""

    id: str
    state: LegalHoldState
    subject: str | None = None
    log: str | None = None
    since: UtcDatetime | None = None
    until: UtcDatetime | None = None
    reason: str
    placed_by: str
    placed_at: UtcDatetime
    lift_reason: str | None = None
    lift_requested_by: str | None = None
    lift_requested_at: UtcDatetime | None = None
    lifted_by: str | None = None
    lifted_at: UtcDatetime | None = None
    reach: LegalHoldReach | None = None
    """Only where one legal hold is asked for, not in lists."""
