"""Makes what an act wants to say fit for the ledger's canonical form (`ledger.canon`). Pure.

Hostile or odd values are settled here rather than refused: NUL, halves of surrogate pairs, numbers beyond 2^53, keys
that are names, spellings of addresses.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import UUID

MAX_TEXT_CHARS = 4_000
"""An entry tells what happened; longer text is cut, with an ellipsis."""
MAX_DEPTH = 5
"""Deeper values are a mistake of the writer; the canonical form takes eight levels, of which three are the entry's."""
MAX_EXACT_INT = 2**53 - 1
"""Readers of JSON in other languages lose digits beyond; such numbers are stored as text."""
MAX_KEY_CHARS = 200
"""Longer than any name we accept."""
PAIRS = "pairs__"
"""Stands for an object with keys the canonical form does not take, e.g. names of strategies."""
_PLAIN_KEY = re.compile(r"[a-z0-9_]{1,64}")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
Json = dict[str, Any]


def clean_text(text: str, limit_chars: int = MAX_TEXT_CHARS) -> str:
    """Text as PostgreSQL can store it, cut to its column's width."""
    text = _UNSTORABLE.sub("\ufffd", text)
    return text if len(text) <= limit_chars else text[: limit_chars - 1] + "…"


def clean_address(address: str | None) -> str | None:
    """One spelling for each address; IPv4 inside IPv6 becomes IPv4."""
    if address is None:
        return None
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


def clean_values(values: Mapping[str, Any]) -> Json:
    """A JSON object that comes back from jsonb as it went in.

    Raises:
        TypeError: a float (write Decimal: money is never a float), or a type without a JSON form.
        ValueError: too deep nesting.
    """
    return _clean_object(values, 1)


def _clean_object(values: Mapping[str, Any], depth: int) -> Json:
    """An object whose keys the ledger's canonical form takes; any other is kept as a list of its pairs."""
    if all(_PLAIN_KEY.fullmatch(key) for key in values):
        return {key: _clean(value, depth) for key, value in values.items()}
    pairs = [[clean_text(key, MAX_KEY_CHARS), _clean(value, depth + 2)] for key, value in sorted(values.items())]
    return {PAIRS: pairs}


def plain(value: Any) -> Any:
    """Give back what `clean_values` took: lists of pairs become objects again."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {PAIRS}:
        return {key: plain(item) for key, item in value[PAIRS]}
    return {key: plain(item) for key, item in value.items()}


def _clean(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"audit values nest at most {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return _clean_object(value, depth + 1)
    if isinstance(value, list | tuple):
        return [_clean(item, depth + 1) for item in value]
    return _clean_scalar(value.value if isinstance(value, Enum) else value)


def _clean_scalar(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return clean_text(value)
        case int():
            return value if abs(value) <= MAX_EXACT_INT else str(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case Decimal() | UUID():
            return format(value, "f") if isinstance(value, Decimal) else str(value)
    raise TypeError(f"{type(value).__name__} cannot be written to the audit log")
