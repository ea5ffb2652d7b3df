"""Base classes and scalar types of everything that crosses the wire. Owns no domain type."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Generic, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, PlainSerializer

from contract import building

T = TypeVar("T")


def _plain_decimal(value: Decimal) -> str:
    return format(value, "f")


Money = Annotated[Decimal, PlainSerializer(_plain_decimal, return_type=str, when_used="json")]
"""An exact decimal amount; the field's name carries the unit (eth, usd). Travels as a JSON string, never a float."""

UtcDatetime = AwareDatetime
"""An aware instant; the backend always sends UTC."""


def storable(value: str) -> str:
    """Refuse text that no database takes: NUL, and halves of a surrogate pair.

    Raises:
        ValueError: naming which of the two.
    """
    if "\x00" in value:
        raise ValueError("text cannot contain NUL")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("text cannot contain half of a surrogate pair") from None
    return value


class Wire(BaseModel):
    """An answer: immutable; unknown fields are ignored so that an older console reads a newer backend."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=building.DEFERRED)


class WireRequest(BaseModel):
    """A request: immutable; unknown fields are refused so that a typing mistake is never silently dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=building.DEFERRED)


class Page(Wire, Generic[T]):
    """One page of a keyset-paged list, newest first unless the route says otherwise."""

    items: list[T]
    next_cursor: str | None = None
    """Opaque; pass it back as `cursor`. None on the last page."""
    total: int | None = None
    """Exact count of matches where counting is cheap, capped at `total_cap`; None when not counted."""
    total_cap: int = 10_000
    as_of: datetime | None = None
