"""Reads many entries of one log at once. Must never accept what `entry.parse` refuses: it accepts less, and says which
entries are left for `parse` to judge.

One expression describes the bytes of a usual entry but for its detail; the detail is read and written again by itself
as canonical JSON. If both hold, the whole is what `parse` accepts: where the detail begins and ends cannot be mistaken,
because it is an object by itself and what stands around it is literal.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import orjson

from ledger import canon
from ledger.entry import INDEX_FIELDS, are_details

_DETAIL_DEPTH = 3
"""The entry is 1, its body 2."""
_LINE = b"\n"
_NOTHING_SEALED = b"{}"

_CHAR = rb'[^"\\\x00-\x1f]'
"""Of a string without escapes; whether the bytes are UTF-8 is looked at once for all."""
_TEXT = rb'"' + _CHAR + rb'++"'
_TEXT_OR_NULL = rb'(?:null|"' + _CHAR + rb'*+")'
_COUNT = rb"[1-9][0-9]{0,14}+"
"""Less than 53 bits; the few numbers between are left to `parse`."""
_COMMITMENT = rb'"[a-z0-9_]{1,64}+":"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]="'
"""A name and 32 bytes in base64: the last digit holds four of its six bits."""
_OFTEN_NULL = frozenset({"actor", "actor_type", "incident", "request_id", "resource_id", "resource_type"})


@dataclass(frozen=True, slots=True)
class Stamps:
    """Which processes wrote the usual ones of some entries, under which numbers."""

    places: Sequence[int]
    """Which entries these are."""
    boots: Sequence[bytes]
    numbers: Sequence[int]
    settled: Sequence[int]
    unusual: Sequence[int]
    """The other entries."""


def read(log: str, canons: Sequence[bytes]) -> Stamps:
    """Read what are usual entries of a log; each that is not among `unusual` is one that `entry.parse` accepts."""
    lines = _LINE.join(canons)
    found = _usual(log).findall(lines) if _is_text(lines) else []
    if not found or len(found) != len(canons):  # every line gives one, also an empty one: some entry has two lines
        return Stamps((), (), (), (), range(len(canons)))
    details, boots, numbers, settled, sealed, dates = zip(*found, strict=True)
    wrong = {*_not_details(set(details)), *_not_in_order(set(sealed)), *_not_dates(set(dates))}
    places: Sequence[int] = range(len(canons))
    if wrong or max(map(len, canons)) > canon.MAX_ENTRY_BYTES:
        places = [at for at in places if wrong.isdisjoint(found[at]) and len(canons[at]) <= canon.MAX_ENTRY_BYTES]
        usual = [found[at][1:4] for at in places]
        boots, numbers, settled = zip(*usual, strict=True) if usual else ((), (), ())
    unusual = sorted({*range(len(canons))}.difference(places)) if len(places) < len(canons) else ()
    return Stamps(places, boots, _counts(numbers), _counts(settled), unusual)


def _counts(texts: Sequence[bytes]) -> list[int]:
    counts: list[int] = orjson.loads(b"[" + b",".join(texts) + b"]")
    return counts


def _is_text(lines: bytes) -> bool:
    if lines.isascii():
        return True
    try:
        lines.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_details(details: set[bytes]) -> set[bytes]:
    """Those that are not canonical, or not in the shape of a detail; that of an entry that is not usual is empty."""
    wanted = list(details - {b""})
    trees = canon.decode_all(wanted, _DETAIL_DEPTH)
    if trees is not None and are_details(trees):
        return details & {b""}
    return {raw for raw in details if not _is_one_detail(raw)}


def _is_one_detail(raw: bytes) -> bool:
    trees = canon.decode_all([raw], _DETAIL_DEPTH)
    return trees is not None and are_details(trees)


def _not_in_order(sealed: set[bytes]) -> set[bytes]:
    """Those whose names are not sorted, or not different."""
    named = sealed - {_NOTHING_SEALED}
    return {one for one in named if not _is_in_order(tuple(one.split(b'"')[1::4]))}


def _not_dates(texts: set[bytes]) -> set[bytes]:
    return {text for text in texts if not _is_date(text)}


@lru_cache(maxsize=256)
def _is_in_order(names: tuple[bytes, ...]) -> bool:
    return list(names) == sorted(set(names))


@lru_cache(maxsize=512)
def _is_date(text: bytes) -> bool:
    try:
        date.fromisoformat(text.decode())
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)
def _usual(log: str) -> re.Pattern[bytes]:
    """What a line is: the six parts of a usual entry (detail, boot, n, settled, sealed, date); of any other, none."""
    if not re.fullmatch(_CHAR + rb"++", log.encode()):  # such a name is escaped: never usual
        return re.compile(rb"^()()()()()()[^\n]*+$", re.MULTILINE)
    inner = rb"\{[^{}\n]*+\}"
    for _ in range(canon.MAX_DEPTH - _DETAIL_DEPTH):
        inner = rb"\{[^{}\n]*+(?:" + inner + rb"[^{}\n]*+)*+\}"
    index = b",".join(b'"' + name.encode() + b'":' + _index_value(name, log) for name in INDEX_FIELDS)
    sealed = _COMMITMENT + rb"(?:," + _COMMITMENT + rb")*+"
    emitter = (
        rb'"boot":"(' + _CHAR + rb'++)","n":(' + _COUNT + rb'),"node":' + _TEXT
        + rb',"settled":(0|' + _COUNT + rb'),"void":\[\]'
    )  # fmt: skip
    usual = (
        rb'\{"body":\{"actor_role":' + _TEXT_OR_NULL + rb',"detail":(' + inner + rb'),"emitter":\{' + emitter
        + rb'\},"sealed":(\{(?:' + sealed + rb')?+\})\},"index":\{' + index + rb'\},"v":1\}'
    )  # fmt: skip
    return re.compile(rb"^(?:" + usual + rb"|[^\n]*+)$", re.MULTILINE)


def _index_value(name: str, log: str) -> bytes:
    if name == "log":
        return b'"' + re.escape(log.encode()) + b'"'
    if name == "occurred_at":
        return rb'"([0-9]{4}-[0-9]{2}-[0-9]{2})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"'
    return _TEXT_OR_NULL if name in _OFTEN_NULL else _TEXT
