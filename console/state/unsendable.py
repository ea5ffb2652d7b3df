"""Owns how a request that breaks the contract reads to whoever typed it: which field, and what it takes. Pure.

Must never show the error itself: it says what a program needs, over several lines, with what was typed in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

_NO_NAMES: Final[Mapping[str, str]] = {}
_LIMITS: Final[Mapping[str, str]] = {
    "string_too_long": "takes at most {max_length:,} characters",
    "too_long": "takes at most {max_length:,}, and there are {actual_length:,}",
    "string_too_short": "is wanted",
    "too_short": "is wanted",
    "missing": "is wanted",
    "less_than_equal": "is at most {le:,}",
    "greater_than_equal": "is at least {ge:,}",
    "value_error": "is refused: {error}",
}
"""By the kind that pydantic gives a refusal."""


def why_not_sent(error: Exception, labels: Mapping[str, str] = _NO_NAMES) -> str:
    """Name the field and what it takes; `labels` are what a form calls the fields of its request."""
    if not isinstance(error, ValidationError):
        return f"Cannot be sent as typed: {type(error).__name__}."
    problems = error.errors(include_url=False, include_input=False)
    first = problems[0]
    more = f", and {len(problems) - 1:,} more of what is typed does not fit" if len(problems) > 1 else ""
    return f"{_field(first['loc'], labels)}{_limit(first['type'], first.get('ctx', {}))}{more}. Nothing was sent."


def _field(place: Sequence[str | int], labels: Mapping[str, str]) -> str:
    if not place:
        return ""
    name, numbers = str(place[0]), [one + 1 for one in place[1:] if isinstance(one, int)]
    label = labels.get(name) or name.replace("_", " ").capitalize()
    return f"{label}, number {numbers[0]:,}, " if numbers else f"{label} "


def _limit(kind: str, context: Mapping[str, Any]) -> str:
    return _LIMITS.get(kind, "cannot be read").format(**context)
