"""The shape of one entry, and nothing about where it is kept: `{"body": {...}, "index": {...}, "v": 1}`.

`index` holds exactly the fields that become search columns; `body` the rest. Keys sort body < index < v, so the index
is the tail of the canonical bytes and can be cut out of them without reading the body.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, NoReturn

from ledger import canon
from ledger.canon import CanonError

VERSION = 1
COMMITMENT_BYTES = 32
_TAIL = b'},"v":1}'
_INDEX_START = b',"index":{'
_ENTRY_FIELDS = frozenset({"body", "index", "v"})
_BODY_FIELDS = frozenset({"actor_role", "detail", "emitter", "sealed"})
_ALWAYS_KNOWN = ("action", "category", "event_type", "id", "log", "occurred_at", "outcome")
_TEXT_OR_NULL = frozenset({str, type(None)})


def _wrong(path: str, reason: str) -> NoReturn:
    raise CanonError("shape", path, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What can be searched for: the fields in the order of their canonical bytes, strings or nothing."""

    action: str
    actor: str | None = None
    actor_type: str | None = None
    category: str
    event_type: str
    id: str
    incident: str | None = None
    log: str
    occurred_at: str
    outcome: str
    request_id: str | None = None
    resource_id: str | None = None
    resource_type: str | None = None

    def to_tree(self) -> dict[str, str | None]:
        """Give the `index` object."""
        return {name: getattr(self, name) for name in INDEX_FIELDS}

    def to_canon(self) -> bytes:
        """Give the bytes that `index_fragment` finds in an entry with this index: what search columns must equal."""
        return canon.encode(self.to_tree())


INDEX_FIELDS = tuple(one.name for one in fields(Index))
_INDEX_FIELDS = frozenset(INDEX_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitter:
    """Which process wrote an entry and the number it gave it: what makes lost entries show.

    `boot` names one start of the process, `n` counts its entries from 1, `settled` is the number up to which all are
    known to be committed or void, `void` the numbers whose transactions were rolled back.
    """

    boot: str
    n: int
    node: str
    settled: int
    void: tuple[int, ...] = ()

    def to_tree(self) -> dict[str, Any]:
        """Give the `emitter` object."""
        return {"boot": self.boot, "n": self.n, "node": self.node, "settled": self.settled, "void": list(self.void)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What an entry says beyond its index, as far as it is not personal."""

    old_value: Any = None
    new_value: Any = None
    metadata: Any = None
    error_message: str | None = None

    def to_tree(self) -> dict[str, Any]:
        """Give the `detail` object."""
        return {name: getattr(self, name) for name in _DETAIL_FIELDS}


_EMITTER_FIELDS = frozenset(one.name for one in fields(Emitter))
_DETAIL_FIELDS = frozenset(one.name for one in fields(Detail))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; `sealed` maps the name of each sealed field to its 32-byte commitment."""

    index: Index
    emitter: Emitter
    actor_role: str | None = None
    detail: Detail = field(default_factory=Detail)
    sealed: Mapping[str, bytes] = field(default_factory=dict)

    def to_canon(self) -> bytes:
        """Give the canonical bytes: what is stored and hashed.

        Raises:
            CanonError: a value has no place in the profile.
        """
        body = {
            "actor_role": self.actor_role,
            "detail": self.detail.to_tree(),
            "emitter": self.emitter.to_tree(),
            "sealed": {name: b64encode(value).decode() for name, value in self.sealed.items()},
        }
        return canon.encode({"body": body, "index": self.index.to_tree(), "v": VERSION})

    @classmethod
    def from_canon(cls, raw: bytes) -> "Entry":
        """Read canonical bytes, strictly.

        Raises:
            CanonError: as `parse`.
        """
        tree = parse(raw)
        body = tree["body"]
        emitter = body["emitter"]
        return cls(
            index=Index(**tree["index"]),
            emitter=Emitter(**{**emitter, "void": tuple(emitter["void"])}),
            actor_role=body["actor_role"],
            detail=Detail(**body["detail"]),
            sealed={name: b64decode(text) for name, text in body["sealed"].items()},
        )


def parse(raw: bytes) -> dict[str, Any]:
    """Read canonical bytes strictly and give the tree: what the sequencer refuses here goes to quarantine.

    Raises:
        CanonError: not canonical, or not the shape of an entry; its text is the reason for the quarantine.
    """
    tree = canon.decode(raw)
    if tree.keys() != _ENTRY_FIELDS or type(tree["v"]) is not int or tree["v"] != VERSION:
        _wrong("$", "not an entry of version 1")
    body = tree["body"]
    if type(body) is not dict or body.keys() != _BODY_FIELDS:
        _wrong("$.body", "not exactly the body fields")
    if type(body["actor_role"]) not in _TEXT_OR_NULL:
        _wrong("$.body.actor_role", "neither a string nor null")
    _check_index(tree["index"])
    _check_emitter(body["emitter"])
    _check_detail(body["detail"])
    _check_sealed(body["sealed"])
    return tree


def _check_index(tree: Any) -> None:
    if type(tree) is not dict or tree.keys() != _INDEX_FIELDS:
        _wrong("$.index", "not exactly the index fields")
    if not _TEXT_OR_NULL.issuperset(map(type, tree.values())):
        _wrong("$.index", "a field is neither a string nor null")
    for name in _ALWAYS_KNOWN:
        if not tree[name]:
            _wrong(f"$.index.{name}", "missing")
    canon.parse_instant(tree["occurred_at"])


def _check_emitter(tree: Any) -> None:
    if type(tree) is not dict or tree.keys() != _EMITTER_FIELDS:
        _wrong("$.body.emitter", "not exactly the emitter fields")
    boot, node, void = tree["boot"], tree["node"], tree["void"]
    if type(boot) is not str or not boot or type(node) is not str or not node:
        _wrong("$.body.emitter", "boot or node is missing")
    if not (_is_count(tree["n"]) and tree["n"] and _is_count(tree["settled"])):
        _wrong("$.body.emitter", "n or settled is not a count")
    if type(void) is not list or not all(map(_is_count, void)):
        _wrong("$.body.emitter.void", "not a list of counts")


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def are_details(trees: Iterable[Mapping[str, Any]]) -> bool:
    """Whether objects of canonical values have the shape of a detail: the rule of `parse`, for reading in bulk."""
    return all(tree.keys() == _DETAIL_FIELDS and type(tree["error_message"]) in _TEXT_OR_NULL for tree in trees)


def _check_detail(tree: Any) -> None:
    if type(tree) is not dict or tree.keys() != _DETAIL_FIELDS:
        _wrong("$.body.detail", "not exactly the detail fields")
    if type(tree["error_message"]) not in _TEXT_OR_NULL:
        _wrong("$.body.detail.error_message", "neither a string nor null")


def _check_sealed(tree: Any) -> None:
    if type(tree) is not dict:
        _wrong("$.body.sealed", "not an object")
    for name, text in tree.items():
        try:
            value = b64decode(text, validate=True)
        except (TypeError, ValueError):
            value = b""
        if len(value) != COMMITMENT_BYTES or b64encode(value).decode() != text:
            _wrong(f"$.body.sealed.{name}", "not 32 bytes in base64")


def build(
    *,
    id: str,  # noqa: A002  the name of the field in the entry
    log: str,
    occurred_at: datetime,
    event_type: str,
    category: str,
    action: str,
    outcome: str,
    emitter: Emitter,
    actor: str | None = None,
    actor_type: str | None = None,
    actor_role: str | None = None,
    resource_type: str | None = None,
    resource_id: str | None = None,
    request_id: str | None = None,
    incident: str | None = None,
    detail: Detail | None = None,
    sealed: Mapping[str, bytes] | None = None,
) -> Entry:
    """Put an entry together from what a writer knows.

    Raises:
        CanonError: `instant`: `occurred_at` is not aware UTC.
    """
    index = Index(
        action=action, actor=actor, actor_type=actor_type, category=category, event_type=event_type, id=id,
        incident=incident, log=log, occurred_at=canon.format_instant(occurred_at), outcome=outcome,
        request_id=request_id, resource_id=resource_id, resource_type=resource_type,
    )  # fmt: skip
    return Entry(
        index=index, emitter=emitter, actor_role=actor_role, detail=detail or Detail(), sealed=dict(sealed or {})
    )


def index_fragment(raw: bytes) -> bytes:
    """Cut the canonical bytes of the `index` object out of an entry that `parse` accepts, without parsing it.

    Why no text inside the entry can mislead the search: within a JSON string every quote is escaped, so a quote after
    a comma either opens a string or closes one, and a closing one is never followed by a letter. The bytes found are
    hence a real key `index`; the last is the entry's own: index values are never objects and only `v` follows.

    Raises:
        CanonError: `shape`: not the bytes of an entry.
    """
    start = raw.rfind(_INDEX_START)
    if start < 0 or not raw.endswith(_TAIL):
        _wrong("$.index", "not found")
    return raw[start + len(_INDEX_START) - 1 : 1 - len(_TAIL)]
