"""Owns how a request that breaks the contract reads to whoever typed it: which field, and what it takes. Pure.

Must never show the error itself: it says what a program needs, over several lines, with what was typed in it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

_NO_NAMES: Final[Mapping[str, str]] = {}


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
    match kind:
        case "string_too_long":
            return f"takes at most {context['max_length']:,} characters"
        case "too_long":
            return f"takes at most {context['max_length']:,}, and there are {context['actual_length']:,}"
        case "string_too_short" | "too_short" | "missing":
            return "is wanted"
        case "less_than_equal":
            return f"is at most {context['le']:,}"
        case "greater_than_equal":
            return f"is at least {context['ge']:,}"
        case "value_error":
            return f"is refused: {context['error']}"
        case _:
            return "cannot be read"
