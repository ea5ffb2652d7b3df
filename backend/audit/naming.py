"""Keeps the names of people out of the canonical bytes: in what an entry tells, a name becomes the person's surrogate.

Readers see the name again as long as it is known; once it is forgotten, the surrogate is all that is left. Free text
stays readable. Must never put a name into an entry, and never drop a text because a name is in it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.canonical import clean_text
from backend.audit.subjects import PREFIX
from backend.audit.tables import Subject
from backend.context import Runtime
from backend.db import after_commit
from ledger.canon import MAX_KEY_CHARS
from ledger.entry import Detail

OUR_WORDS: Final = frozenset({
    "category", "chain", "event_type", "executor", "log", "mode", "outcome", "permission", "permissions",
    "resource_type", "result", "role", "rule", "scope", "severity", "status", "strategy", "wallet",
})  # fmt: skip
"""Keys whose values are ours or name machines: an account called "halt" does not change what a freeze's mode says."""
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")
"""What an account's name can be part of."""
_JOINT = re.compile(r"([._@-])")
_SURROGATE = re.compile(r"p(?:erson:p|(?<![A-Za-z0-9]p))([a-z2-7]{16})(?![A-Za-z0-9])")
"""Begins with a letter of its own: a page of a search is looked through for it, and the engine skips to the next p."""
_SHORTEST_CHARS: Final = 17
"""A surrogate without its prefix: most values are shorter, and a page has hundreds of them."""
_EVERYBODY: Final = "everybody"
"""The one key of the memory of names."""


async def names_known(session: AsyncSession, runtime: Runtime) -> Mapping[str, str]:
    """Surrogates by name, of everybody the ledger knows; at most a second old."""
    known = runtime.names.get(_EVERYBODY)
    if known is None:
        rows = await session.execute(select(Subject.name, Subject.pid).where(Subject.name.is_not(None)))
        known = {name: pid for name, pid in rows if name is not None}
        found = known
        after_commit(session, lambda: runtime.names.put(_EVERYBODY, found))
    return known


def without_names(detail: Detail, names: Mapping[str, str]) -> Detail:
    """What an entry tells, with a surrogate for every name of a person."""
    if not names:
        return detail

    def told(text: str) -> str:
        return _forgettable(text, names)

    return replace(
        detail,
        old_value=_mapped(detail.old_value, told),
        new_value=_mapped(detail.new_value, told),
        metadata=_mapped(detail.metadata, told),
        error_message=None if detail.error_message is None else told(detail.error_message),
    )


def taken_out(detail: Detail, personal: frozenset[str]) -> tuple[Detail, dict[str, str]]:
    """Take the values out that the policy has sealed: what is left of the detail, and the values by their path."""
    out: dict[str, str] = {}
    left = replace(
        detail,
        old_value=_left_of(detail.old_value, personal, "old", out),
        new_value=_left_of(detail.new_value, personal, "new", out),
        metadata=_left_of(detail.metadata, personal, "more", out),
    )
    return left, out


def _left_of(value: Any, personal: frozenset[str], path: str, out: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_left_of(item, personal, f"{path}_{place}", out) for place, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    left = {}
    for key, item in value.items():
        where = f"{path}_{key}"[:MAX_KEY_CHARS]
        if key in personal and item is not None and where not in out:
            out[where] = item if isinstance(item, str) else orjson.dumps(item).decode()
        else:
            left[key] = _left_of(item, personal, where, out)
    return left


def line_without_names(text: str, names: Mapping[str, str]) -> str:
    """The same for one line, e.g. an address that somebody asked for."""
    return _forgettable(text, names) if names else text


def with_names(value: Any, names: Mapping[str, str]) -> Any:
    """The reverse, by the names still known: what a reader sees."""
    return _mapped(value, lambda text: _named(text, names), ours=frozenset()) if names else value


def surrogates_in(canon: bytes) -> set[str]:
    """Every surrogate that canonical bytes may hold."""
    return {f"{PREFIX}p{word}" for word in _SURROGATE.findall(canon.decode())}


def _mapped(value: Any, change: Callable[[str], str], *, ours: frozenset[str] = OUR_WORDS) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(item, change, ours=ours) for item in value]
    if isinstance(value, dict):
        return {key: item if key in ours else _mapped(item, change, ours=ours) for key, item in value.items()}
    return value


def _forgettable(text: str, names: Mapping[str, str]) -> str:
    """A value that is a name becomes the surrogate; within a sentence the surrogate's word stands for it.

    The bare word takes one place in the full text as the name did, so that phrases are still found.
    """
    whole = names.get(text.lower())
    if whole is not None:
        return whole
    longest = max(map(len, names))
    changed = _WORD.sub(lambda match: _word_without_names(match.group(), names, longest), text)
    return text if changed == text else clean_text(changed)


def _word_without_names(word: str, names: Mapping[str, str], longest: int) -> str:
    """Replace names in a word, the longest first: `jane.doe` before `jane`, and `jane` in `jane-approved` too."""
    pieces = _JOINT.split(word)
    told, start = [], 0
    while start < len(pieces):
        end, pid = _name_at(pieces, start, names, longest)
        told.append(pieces[start] if pid is None else pid.removeprefix(PREFIX))
        start = end
    return "".join(told)


def _name_at(pieces: list[str], start: int, names: Mapping[str, str], longest: int) -> tuple[int, str | None]:
    """Where the longest name that begins at a piece ends, and whose it is."""
    candidate = ""
    best: tuple[int, str | None] = (start + 1, None)
    for end in range(start, len(pieces)):
        candidate += pieces[end].lower()
        if len(candidate) > longest:
            break
        pid = names.get(candidate)
        if pid is not None:
            best = (end + 1, pid)
    return best


def _named(text: str, names: Mapping[str, str]) -> str:
    if len(text) < _SHORTEST_CHARS:
        return text
    return _SURROGATE.sub(lambda match: names.get(f"{PREFIX}p{match.group(1)}", match.group()), text)
