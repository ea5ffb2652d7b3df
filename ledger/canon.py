"""Canonical bytes of an entry: profile "audit-jcs-1", a subset of RFC 8785. Must never repair what does not fit it.

Objects, arrays, strings, booleans, null and integers of at most 53 bits; keys of `[a-z0-9_]`, so that every order of
keys (UTF-16, code point, byte) is the same one; no floats, no lone surrogates, no U+0000; bounded depth and size.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

PROFILE = "audit-jcs-1"
MAX_ENTRY_BYTES = 32 * 1024  # an entry of a C2SP tile is at most 65,535 bytes: half of it leaves room
MAX_DEPTH = 8  # the outermost object is 1
MAX_INTEGER = 2**53 - 1  # the largest every JSON reader keeps exact
MAX_KEY_CHARS = 64
_KEY = re.compile(r"[a-z0-9_]{1,64}")
_FEW_KEYS = 32  # an object with more takes the slow way, so that remembered shapes stay small
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_UTC_OFFSET = timedelta(0)
_PLAIN = frozenset({str, type(None), bool, int, dict, list})
_NUL_ESCAPE = b"\\u0000"
_OPTIONS = (
    orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)  # fmt: skip


class CanonError(ValueError):
    """Something that has no place in the profile; `code` for a program, `path` ("$.body.detail") for a person."""

    def __init__(self, code: str, path: str = "$", reason: str = "") -> None:
        """Name the rule that was broken and where."""
        super().__init__(f"{code} at {path}" + (f": {reason}" if reason else ""))
        self.code = code
        self.path = path
        self.reason = reason


def encode(value: Mapping[str, Any]) -> bytes:
    """Give the canonical bytes of an object.

    Raises:
        CanonError: `type`, `float`, `integer`, `surrogate`, `nul`, `key`, `depth` or `size`.
    """
    tree = value if type(value) is dict else dict(value)
    if not _is_plain(tree):
        _explain(tree, "$", 1, [MAX_ENTRY_BYTES])
    try:
        raw = orjson.dumps(tree, option=_OPTIONS)
    except TypeError as error:
        _explain(tree, "$", 1, [MAX_ENTRY_BYTES])
        raise CanonError("type", reason=str(error)) from error
    if len(raw) > MAX_ENTRY_BYTES:
        raise CanonError("size", reason=f"{len(raw)} bytes, at most {MAX_ENTRY_BYTES}")
    if _NUL_ESCAPE in raw:  # also an escaped backslash followed by u0000: the walk knows
        _explain(tree, "$", 1, [MAX_ENTRY_BYTES])
    return raw


def decode(raw: bytes) -> dict[str, Any]:
    """Read canonical bytes; nothing but exactly what `encode` gives is accepted.

    Raises:
        CanonError: `syntax`, `duplicate`, `not_canonical`, or any code of `encode`.
    """
    if len(raw) > MAX_ENTRY_BYTES:
        raise CanonError("size", reason=f"{len(raw)} bytes, at most {MAX_ENTRY_BYTES}")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise CanonError("syntax", reason=str(error)) from error
    if type(value) is not dict:
        raise CanonError("type", reason="not an object")
    if encode(value) != raw:
        raise CanonError(*_why_different(raw))
    return value


def decode_all(raws: Sequence[bytes], depth: int = 1) -> list[dict[str, Any]] | None:
    """Read many canonical objects that stand `depth` deep in entries; None unless `encode` would give each as it is.

    They are written again together: an object's text is never the beginning of another's, so that all are the same only
    if each is. Their size is the caller's to look at. A None may also be an escape that only looks like U+0000.
    """
    try:
        trees = list(map(orjson.loads, raws))
        if not all(type(tree) is dict for tree in trees):
            return None
        again = orjson.dumps(trees, option=_OPTIONS)
    except (orjson.JSONDecodeError, TypeError):
        return None
    if again != b"[" + b",".join(raws) + b"]" or _NUL_ESCAPE in again:
        return None
    return trees if _are_plain(trees, MAX_DEPTH + 1 - depth) else None


def _are_plain(objects: list[dict[str, Any]], levels: int) -> bool:
    """Say of many trees that were just read, a level of all at a time, whether they certainly fit the profile."""
    arrays: list[list[Any]] = []
    for _ in range(levels):
        if not all(map(_are_few_keys, set(map(tuple, objects)))):
            return False
        values = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
        kinds = set(map(type, values))
        if not kinds <= _PLAIN:
            return False
        if int in kinds and not all(-MAX_INTEGER <= value <= MAX_INTEGER for value in values if type(value) is int):
            return False
        objects = [value for value in values if type(value) is dict] if dict in kinds else []
        arrays = [value for value in values if type(value) is list] if list in kinds else []
        if not objects and not arrays:
            return True
    return False


def _are_few_keys(keys: tuple[Any, ...]) -> bool:
    try:
        return len(keys) <= _FEW_KEYS and _known_keys(keys)
    except ValueError:
        return False


def _is_plain(tree: dict[Any, Any]) -> bool:
    """Say quickly whether a tree certainly fits the profile, strings apart; `_explain` has the last word on a no."""
    level: list[Any] = [tree]
    room = MAX_ENTRY_BYTES  # every value takes a byte: bounds the walk over an object that shares parts of itself
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            room -= len(container)
            if type(container) is list:
                values: Any = container
            elif _are_keys(container):
                values = container.values()
            else:
                return False
            if room < 0 or not _are_values(values, below):
                return False
        if not below:
            return True
        level = below
    return False


def _are_values(values: Iterable[Any], below: list[Any]) -> bool:
    """Say whether members fit by themselves; objects and arrays are added to `below` for later."""
    for value in values:
        kind = type(value)
        if kind is str or value is None:
            continue
        if kind is dict or kind is list:
            below.append(value)
        elif kind is int:
            if not -MAX_INTEGER <= value <= MAX_INTEGER:
                return False
        elif kind is not bool:
            return False
    return True


def _are_keys(container: dict[Any, Any]) -> bool:
    try:
        return len(container) <= _FEW_KEYS and _known_keys(tuple(container))
    except (TypeError, ValueError):  # a key that cannot be hashed, or is none
        return False


@lru_cache(maxsize=512)
def _known_keys(keys: tuple[Any, ...]) -> bool:
    """Check a set of keys once per shape of object; a failure raises, so that nothing hostile stays in the memory."""
    if not all(type(key) is str and _KEY.fullmatch(key) for key in keys):
        raise ValueError
    return True


def _explain(value: object, path: str, depth: int, room: list[int]) -> None:
    """Walk a tree by the rules one at a time and raise the first that is broken, with its place.

    `room` is what is left of the values that fit an entry: an object that shares parts of itself ends the walk too.
    """
    if type(value) is str:
        _explain_string(value, path)
    elif type(value) is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            raise CanonError("integer", path, "more than 53 bits")
    elif type(value) is float:
        raise CanonError("float", path, "write decimals as strings")
    elif type(value) is dict or type(value) is list:
        _explain_container(value, path, depth, room)
    elif value is not None and type(value) is not bool:
        raise CanonError("type", path, type(value).__name__)


def _explain_container(value: dict[Any, Any] | list[Any], path: str, depth: int, room: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise CanonError("depth", path, f"deeper than {MAX_DEPTH}")
    room[0] -= len(value)
    if room[0] < 0:
        raise CanonError("size", path, "more values than an entry has bytes")
    if isinstance(value, list):
        for position, member in enumerate(value):
            _explain(member, f"{path}[{position}]", depth + 1, room)
        return
    for key, member in value.items():
        if type(key) is not str or not _KEY.fullmatch(key):
            raise CanonError("key", path, f"{key!r:.80} is not [a-z0-9_]{{1,{MAX_KEY_CHARS}}}")
        _explain(member, f"{path}.{key}", depth + 1, room)


def _explain_string(value: str, path: str) -> None:
    if "\0" in value:
        raise CanonError("nul", path, "U+0000 in a string")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise CanonError("surrogate", path, "a lone surrogate in a string")


def _why_different(raw: bytes) -> tuple[str, str, str]:
    """Tell apart the two ways to be valid and not canonical: a key given twice, and other bytes for the same value."""
    repeated: list[str] = []

    def members(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        repeated.extend(name for name in names if names.count(name) > 1)

    try:
        json.loads(raw, object_pairs_hook=members)
    except (ValueError, RecursionError):  # what a repeated key hid may be anything
        return "not_canonical", "$", "other bytes than the canonical ones"
    if repeated:
        return "duplicate", "$", f"key {repeated[0]!r:.80} is given twice"
    return "not_canonical", "$", "other bytes than the canonical ones"


def format_instant(instant: datetime) -> str:
    """Write an instant as `YYYY-MM-DDTHH:MM:SS.ffffffZ`: always microseconds, always UTC.

    Raises:
        CanonError: `instant`: it is not aware, or not UTC.
    """
    if instant.utcoffset() != _UTC_OFFSET:
        raise CanonError("instant", reason="not an aware UTC instant")
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_instant(text: str) -> datetime:
    """Read what `format_instant` wrote.

    Raises:
        CanonError: `instant`: another form, or no such time.
    """
    if not _INSTANT.fullmatch(text):
        raise CanonError("instant", reason="not YYYY-MM-DDTHH:MM:SS.ffffffZ")
    try:
        return datetime.fromisoformat(text[:-1]).replace(tzinfo=UTC)
    except ValueError as error:
        raise CanonError("instant", reason=str(error)) from error
