"""Owns the audit screen's search: what was typed, as filters for the backend, and the pages that came back. Pure."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from console.state.instants import parse_instant
from console.state.matching import matches
from contract.audit import AuditEntry, AuditPage, AuditResult, RelatedBy

PAGE_ROWS: Final = 100
LOOK_ON_S: Final = 30.0
"""How long a search goes on by itself when the backend's time was up before it had looked through everything."""

FILTERS: Final = {
    "user": "user",
    "event": "event_type",
    "category": "category",
    "action": "action",
    "result": "result",
    "request": "request_id",
    "incident": "incident",
    "log": "log",
    "ip": "ip",
    "since": "since",
    "until": "until",
}
"""Filter names as typed, and as the backend's route names them; `resource:TYPE/ID` becomes two of its own."""


def suggestions() -> list[str]:
    """What a search can be narrowed by, the likeliest first, as it is typed."""
    likely = [
        f"result:{AuditResult.DENIED}",
        f"result:{AuditResult.FAILURE}",
        "since:1h",
        "since:24h",
        "user:",
        "event:",
    ]
    return [*likely, "action:", "resource:", "ip:", "until:", "request:", "incident:", "category:", "log:"]


TEXT: Final = "q"
"""The route's name for the words to be found anywhere in an entry."""


class SearchError(ValueError):
    """What was typed is not a search; the message says which part and why."""


SAVED: Final = "saved"
"""The filter that stands for a saved search: what is typed beside it narrows it."""
_TYPED_NAMES: Final = {"from": "since", "to": "until"}
"""How saved searches name what is typed otherwise."""

Saved = Mapping[str, Mapping[str, str]]
"""Saved searches by name: each with filters as the route names them."""


def parse_search(text: str, now: datetime, saved: Saved | None = None) -> dict[str, str]:
    """Read words and filters into what the route takes.

    Raises:
        SearchError: a filter that does not exist, or a value it cannot have.
    """
    where: dict[str, str] = {}
    words: list[str] = []
    for part in _split(text):
        name, colon, value = part.partition(":")
        if not colon or not value or not name.isalpha():
            words.append(f'"{part}"' if " " in part else part)
        elif name.lower() == SAVED:
            kept = _saved(value, saved or {})
            words += [kept[TEXT]] if TEXT in kept else []
            where.update({key: filter_ for key, filter_ in kept.items() if key != TEXT})
        elif name.lower() == "resource":
            where.update(_resource(value))
        else:
            where[_route_name(name)] = _value(name.lower(), value, now)
    if words:
        where[TEXT] = " ".join(words)
    return where


def _saved(name: str, saved: Saved) -> dict[str, str]:
    if name not in saved:
        known = f"yours are {', '.join(sorted(saved))}" if saved else "you have none; :save keeps one"
        raise SearchError(f"There is no saved search {name}: {known}.")
    return {_TYPED_NAMES.get(key, key): value for key, value in saved[name].items()}


def saved_words(saved: Saved) -> list[str]:
    """What is typed for each saved search."""
    return [f"{SAVED}:{shlex.quote(name)}" for name in sorted(saved)]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _route_name(name: str) -> str:
    try:
        return FILTERS[name.lower()]
    except KeyError:
        known = ", ".join([*FILTERS, "resource", SAVED])
        raise SearchError(f"There is no filter {name}: the filters are {known}.") from None


def _resource(value: str) -> dict[str, str]:
    kind, slash, ident = value.partition("/")
    if not slash:
        return {"resource_id": value}
    return {"resource_type": kind, "resource_id": ident} if ident else {"resource_type": kind}


def _value(name: str, value: str, now: datetime) -> str:
    if name in {"since", "until"}:
        try:
            return parse_instant(value, now).isoformat()
        except (ValueError, OverflowError) as error:
            raise SearchError(str(error)) from None
    if name == "result" and value not in set(AuditResult):
        raise SearchError(f"result is one of {', '.join(AuditResult)}, not {value}.")
    return value


@dataclass(frozen=True)
class Found:
    """The entries of one search, loaded so far."""

    text: str = ""
    where: dict[str, str] = field(default_factory=dict)
    related: tuple[RelatedBy, str] | None = None
    """Instead of a search: what entries share with which one."""
    label: str = ""
    """What is followed, in words."""
    entries: tuple[AuditEntry, ...] = ()
    cursor: str | None = None
    complete: bool = False
    total: int | None = None
    total_cap: int = 0
    searched_at: datetime | None = None
    back_to: datetime | None = None
    """Down to when the last page looked before its time was up; None when it looked through everything it had to."""

    wanted_rows: int = PAGE_ROWS
    """How many entries were asked for in all; with fewer an unfinished search goes on by itself."""
    look_until: datetime | None = None
    """How long it goes on by itself; None while it does not."""

    def looking_on(self, now: datetime) -> "Found":
        """For one more page, and as long as that takes within the bound."""
        until = now + timedelta(seconds=LOOK_ON_S)
        return replace(self, wanted_rows=len(self.entries) + PAGE_ROWS, look_until=until)

    def stopped(self) -> "Found":
        """Where it stands; it can be taken up again."""
        return replace(self, look_until=None)

    def goes_on(self, now: datetime) -> bool:
        """Whether to ask for the next page without being told to."""
        unfinished = self.back_to is not None and self.cursor is not None
        return (
            unfinished
            and len(self.entries) < self.wanted_rows
            and self.look_until is not None
            and now < self.look_until
        )

    @property
    def about(self) -> str:
        """What tells this search from another."""
        return f"{self.related[0].value}:{self.related[1]}" if self.related else self.text

    def with_page(self, page: AuditPage, now: datetime) -> "Found":
        """After one more page of older entries."""
        known = {entry.id for entry in self.entries}
        new = tuple(entry for entry in page.items if entry.id not in known)
        return replace(
            self,
            entries=(*self.entries, *new),
            cursor=page.next_cursor,
            complete=page.next_cursor is None,
            total=page.total if page.total is not None else self.total,
            total_cap=page.total_cap,
            searched_at=self.searched_at or now,
            back_to=page.searched_back_to if page.unfinished else None,
        )

    @property
    def count(self) -> str:
        """How many entries there are, as far as that is known."""
        if self.searched_at is None:
            return "--"
        if self.total is not None:
            return f"{self.total:,}{'+' if self.total >= self.total_cap else ''}"
        return f"{len(self.entries):,}{'' if self.complete else '+'}"


def narrowed(entries: tuple[AuditEntry, ...], text: str) -> list[str]:
    """Ids of the loaded entries in which every word occurs."""
    words = text.split()
    return [
        entry.id
        for entry in entries
        if not words
        or matches(
            words,
            entry.user_id,
            entry.event_type,
            entry.action,
            entry.resource_type,
            entry.resource_id,
            entry.result.value,
            entry.error_message,
        )
    ]


def changes(entry: AuditEntry) -> list[tuple[str, str, str]]:
    """What an entry changed: name, old value (empty where there was nothing before), new value; only what differs."""
    if entry.old_value is None:
        return [(name, "", _plain(value)) for name, value in (entry.new_value or {}).items() if value is not None]
    old, new = entry.old_value or {}, entry.new_value or {}
    names = [*old, *(name for name in new if name not in old)]
    return [(name, _plain(old.get(name)), _plain(new.get(name))) for name in names if old.get(name) != new.get(name)]


def _plain(value: Any) -> str:
    """A value as a person reads it; what exactly was recorded is in the entry's own bytes."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{name}: {_plain(inner)}" for name, inner in value.items()) or "nothing"
        case list():
            return ", ".join(_plain(inner) for inner in value) or "nothing"
        case _:
            return str(value)
