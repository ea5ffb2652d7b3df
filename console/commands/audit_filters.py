"""The filters of commands that look into the audit log, and how entries are listed. Owns no command."""

import functools
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar

import click

from console.commands.base import Call, glyph_set, sign
from console.commands.output import instant, note, now_of, outside, padded
from console.commands.times import SINCE_HELP, instant_option
from console.state.audit_search import LOOK_ON_S
from console.widgets import words
from contract.audit import WAITING_CAP, AuditEntry, AuditPage, AuditResult

T = TypeVar("T")
P = ParamSpec("P")

_ROUTE_NAMES: Final = {"since": "from", "until": "to", "event": "event_type", "text": "q", "request": "request_id"}
"""Options whose name differs from the route's parameter."""
_TEXT_OPTIONS: Final = (
    ("--user", "NAME", "Only what this account did."),
    ("--event", "TYPE", "Only this event type; area.* for all below."),
    ("--category", "NAME", "Only this category of the policy."),
    ("--action", "TEXT", "Only this action, word for word."),
    ("--resource", "TYPE[/ID]", "Only this kind of resource, or this one."),
    ("--ip", "ADDRESS", "Only from this address."),
    ("--request", "ID", "Only this request."),
    ("--incident", "ID", "Only this incident."),
    ("--log", "NAME", "Only this log: 7y, import:NAME, meta."),
)


def filters(function: Callable[P, T]) -> Callable[P, T]:
    """Give a command the words and options that narrow a search; `wanted_of` reads them."""
    options = [click.option(name, default="", metavar=metavar, help=told) for name, metavar, told in _TEXT_OPTIONS]
    options += [
        click.option("--result", type=click.Choice([r.value for r in AuditResult]), default=None, help="Only this."),
        click.option("--since", callback=instant_option, default="", metavar="TIME", help=SINCE_HELP),
        click.option("--until", callback=instant_option, default="", metavar="TIME", help="Only before this time."),
    ]
    decorated = functools.reduce(lambda made, option: option(made), reversed(options), function)
    return click.argument("text", nargs=-1, metavar="[WORDS]...")(decorated)


def wanted_of(*, text: tuple[str, ...], resource: str, **where: Any) -> dict[str, str]:
    """The options of `filters` as the route's parameters."""
    kind, _, ident = resource.partition("/")
    where |= {"text": " ".join(text), "resource_type": kind, "resource_id": ident}
    return {_ROUTE_NAMES.get(name, name): value for name, value in where.items() if value}


async def search_all(
    ask: Callable[[str | None, int], Awaitable[AuditPage]], cursor: str | None, limit: int
) -> AuditPage:
    """One page; where the backend's time was up before it was full, go on until it is, or a while has passed."""
    deadline = time.monotonic() + LOOK_ON_S
    page = await ask(cursor, limit)
    items = list(page.items)
    while page.unfinished and len(items) < limit and time.monotonic() < deadline:
        page = await ask(page.next_cursor, limit - len(items))
        items += page.items
    return page.model_copy(update={"items": items})


def answer_entries(call: Call, page: AuditPage) -> None:
    """List the entries of a page."""

    def lines() -> list[str]:
        if not page.items:
            return [f"No entries. As of {instant(now_of(page.as_of))}."]
        return [line for entry in page.items for line in entry_lines(entry)]

    call.answer_page(page, lines)
    if page.waiting and not call.as_json:
        count = f"{page.waiting:,}" + (" or more" if page.waiting >= WAITING_CAP else "")
        note(f"Waiting: {count} newer entries had no place in the ledger yet and are not among these.")
    if page.unfinished and page.searched_back_to and not call.as_json:
        note(f"Not searched to the end: complete back to {instant(page.searched_back_to)}.")


def entry_lines(entry: AuditEntry) -> list[str]:
    """Two lines: what happened, then the id that `show` takes and what it happened to."""
    result = sign(words.result(entry.result, glyph_set()), 8)
    event = padded(outside(entry.event_type, 30), 30)
    return [
        f"{entry.timestamp:%Y-%m-%d %H:%M:%S}Z  {result}  {event}  {outside(entry.user_id, 16)}",
        f"  {outside(entry.id, 36)}  {outside(resource_of(entry), 40)}",
    ]


def resource_of(entry: AuditEntry) -> str:
    """What an entry is about."""
    return "/".join(filter(None, (entry.resource_type, entry.resource_id)))
