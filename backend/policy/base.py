"""Building blocks of the policy's shape: strict, immutable tables and exact scalars. Owns no table of a policy."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

E = TypeVar("E", bound=StrEnum)
V = TypeVar("V")


class PolicyTable(BaseModel):
    """One table of a policy file: immutable; a key it does not know is a mistake and is named."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _exact(value: Any) -> Any:
    """Refuse what is not an exact number; TOML numbers arrive as int or Decimal, never as float."""
    if isinstance(value, bool | float) or not isinstance(value, int | str | Decimal):
        raise ValueError("must be a number, or a number in quotes")  # noqa: TRY004  pydantic collects ValueError
    return value


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be blank")
    return value.strip()


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that names something twice.

    Raises:
        ValueError: naming it.
    """
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"names {', '.join(twice)} more than once")
    return values


Exact = Annotated[Decimal, BeforeValidator(_exact)]
PositiveAmount = Annotated[Exact, Field(gt=0)]
Ratio = Annotated[Exact, Field(ge=0, le=1)]
Percent = Annotated[Exact, Field(ge=0, le=100)]
Count = Annotated[int, Field(strict=True, ge=0)]
PositiveCount = Annotated[int, Field(strict=True, gt=0)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, AfterValidator(_not_blank)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1), AfterValidator(unique)]
"""At least one line of text, none twice."""


def _network(value: Any) -> IPv4Network | IPv6Network:
    if not isinstance(value, str):
        raise ValueError('must be a network in quotes, such as "10.0.0.0/8"')  # noqa: TRY004  pydantic collects it
    return ip_network(value)


Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]


def _retention(value: Any) -> int | str:
    if value == "forever":
        return "forever"
    if type(value) is int and value > 0:
        return value
    raise ValueError('must be a number of days greater than 0, or "forever"')


Retention = Annotated[int | Literal["forever"], PlainValidator(_retention)]
"""Days, or for ever."""


def each_of(kind: type[E]) -> Callable[[Mapping[E, V]], Mapping[E, V]]:
    """A validator for tables that must have an entry for every member of an enumeration."""

    def check(value: Mapping[E, V]) -> Mapping[E, V]:
        absent = [member.value for member in kind if member not in value]
        if absent:
            raise ValueError(f"lacks {', '.join(absent)}")
        return value

    return check


def in_one_place(lists: Mapping[Any, tuple[str, ...]]) -> None:
    """Refuse a word that stands in two of several lists.

    Raises:
        ValueError: naming the word and both lists.
    """
    seen: dict[str, str] = {}
    for name, words in lists.items():
        for word in words:
            other = seen.setdefault(word.lower(), str(name))
            if other != str(name):
                raise ValueError(f"{word!r} stands under both {other} and {name}")
