"""Wire types of changes to the platform that others report: deploys."""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, AwareDatetime, Field, field_validator, model_validator

from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.scope import MAX_STORED_CHARS, Scope

MAX_URL_CHARS: Final = 500
_SCHEMES: Final = ("https://", "http://")


def _worded(value: str) -> str:
    if not value.strip():
        raise ValueError("it has to say something")
    return storable(value).strip()


Label = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_worded)]
"""The name of a service, a version or an environment."""


class DeployRequest(WireRequest):
    """Say that a version of a service was brought out: what a CI system posts."""

    service: Label
    version: Label
    environment: Annotated[str, Field(max_length=100), AfterValidator(storable)] = ""
    url: Annotated[str, Field(max_length=MAX_URL_CHARS), AfterValidator(storable)] | None = None
    """Of the pipeline's run or the release."""
    started_at: AwareDatetime | None = None
    """Absent: when it was finished; without that, now."""
    finished_at: AwareDatetime | None = None
    scope: Annotated[str, Field(max_length=MAX_STORED_CHARS)] | None = None
    """What of the floor runs it: chain:NAME, strategy:NAME; None: nobody has said."""
    idempotency_key: Annotated[str, Field(max_length=64), AfterValidator(storable)] = ""
    """The same key of the same caller is the same deploy: the number of the pipeline's run."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(_SCHEMES):
            raise ValueError("an address begins with https:// or http://")
        return value

    @field_validator("scope")
    @classmethod
    def _is_a_scope(cls, value: str | None) -> str | None:
        return None if value is None else str(Scope.parse(storable(value)))

    @model_validator(mode="after")
    def _ends_after_it_began(self) -> Self:
        if self.started_at is not None and self.finished_at is not None and self.finished_at < self.started_at:
            raise ValueError("it was finished before it was started")
        return self


class Deploy(Wire):
    """A version of a service that was brought out."""

    id: str
    service: str
    version: str
    environment: str = ""
    url: str | None = None
    scope: Scope | None = None
    started_at: UtcDatetime
    finished_at: UtcDatetime | None = None
    recorded_by: str
    recorded_at: UtcDatetime
