"""Makes an entry fit the ledger's canonical form, whatever it has to say: an act is never lost for being long. Pure.

What is left out is stated in its place with its size and SHA-256, the largest first.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from backend.audit.canonical import clean_text
from ledger.canon import MAX_ENTRY_BYTES, CanonError
from ledger.entry import Detail, Entry

LEFT_OUT: Final = "left_out"
_PARTS: Final = ("old_value", "new_value", "metadata")
_ROOM_BYTES: Final = MAX_ENTRY_BYTES - 6 * 1024
"""For all of `detail`: the other fields of an entry take less than the rest."""
_MARK_BYTES: Final = 150
"""A little more than a mark takes."""
_SHORT_CHARS: Final = 500
"""What stays of an error message that is too long even alone."""


def fitted(entry: Entry) -> bytes:
    """Give an entry's canonical bytes, with parts of its detail left out if it has no room for them.

    Raises:
        CanonError: it cannot be said even without any detail.
    """
    try:
        return entry.to_canon()
    except CanonError as error:
        reason = error
    for detail in _smaller(entry.detail, reason.code):
        try:
            return replace(entry, detail=detail).to_canon()
        except CanonError as error:
            reason = error
    raise reason


def _smaller(detail: Detail, code: str) -> Iterator[Detail]:
    """The detail with its largest members left out; with none of its parts; with hardly any words."""
    if code == "size":
        yield _without_largest(detail, code)
    bare = Detail(
        old_value=_mark(detail.old_value, code),
        new_value=_mark(detail.new_value, code),
        metadata=_mark(detail.metadata, code),
        error_message=detail.error_message,
    )
    yield bare
    yield replace(bare, error_message=detail.error_message and clean_text(detail.error_message, _SHORT_CHARS))


def _without_largest(detail: Detail, code: str) -> Detail:
    parts = {part: getattr(detail, part) for part in _PARTS}
    sizes = {(part, key): len(_bytes(member)) for part in _PARTS for key, member in _members(parts[part])}
    too_much = len(_bytes([*parts.values(), detail.error_message])) - _ROOM_BYTES
    for (part, key), size in sorted(sizes.items(), key=lambda item: item[1], reverse=True):
        if too_much <= 0 or size <= _MARK_BYTES:
            break
        parts[part] = {**parts[part], key: _mark(parts[part][key], code)}
        too_much -= size - _MARK_BYTES
    return Detail(**parts, error_message=detail.error_message)


def _members(part: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(part, Mapping):
        yield from part.items()


def _mark(value: Any, code: str) -> dict[str, Any] | None:
    if value is None:
        return None
    raw = _bytes(value)
    return {LEFT_OUT: code, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}


def _bytes(value: Any) -> bytes:
    """The value as sorted JSON: what its hash is taken of."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
