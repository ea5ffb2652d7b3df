"""`watchfloor audit search|show`, and the group that `verifying` and `heads` join."""

import json
from typing import Any

import click

from console.commands.base import Call, command, glyph_set, paging, sign
from console.commands.heads import heads, key
from console.commands.output import instant, now_of, outside, padded, wrapped
from console.commands.privacy import reveal
from console.commands.retention import retention
from console.commands.times import SINCE_HELP, instant_option
from console.commands.verifying import bundle, prove, verify
from console.widgets import words
from contract.audit import AuditEntry, AuditResult

_ROUTE_NAMES = {"since": "from", "until": "to", "event": "event_type", "text": "q"}
"""Options whose name differs from the route's parameter."""


@click.group()
def audit() -> None:
    """The audit log: who did what to which resource, from where, with what result."""


for joined in (verify, prove, bundle, key, heads, retention, reveal):
    audit.add_command(joined)


@audit.command("search")
@click.argument("text", nargs=-1, metavar="[WORDS]...")
@click.option("--user", default="", metavar="NAME", help="Only what this account did.")
@click.option("--event", default="", metavar="TYPE", help="Only this event type.")
@click.option("--category", default="", metavar="NAME", help="Only this category of the policy.")
@click.option("--resource", default="", metavar="TYPE[/ID]", help="Only this kind of resource, or this one.")
@click.option("--result", type=click.Choice([r.value for r in AuditResult]), default=None, help="Only this result.")
@click.option("--since", callback=instant_option, default="", metavar="TIME", help=SINCE_HELP)
@click.option("--until", callback=instant_option, default="", metavar="TIME", help="Only before this time.")
@paging
@command("audit.search")
def search(
    call: Call, /, *, text: tuple[str, ...], resource: str, limit: int, cursor: str | None, **where: str | None
) -> None:
    """Search, newest first; WORDS are looked for in the full text. A search is itself recorded."""
    kind, _, ident = resource.partition("/")
    where |= {"text": " ".join(text), "resource_type": kind, "resource_id": ident}
    wanted = {_ROUTE_NAMES.get(name, name): value for name, value in where.items() if value}
    page = call.ask(lambda api: api.audit(limit=limit, cursor=cursor, **wanted))

    def lines() -> list[str]:
        if not page.items:
            return [f"No entries. As of {instant(now_of(page.as_of))}."]
        return [line for entry in page.items for line in _entry(entry)]

    call.answer_page(page, lines)


def _entry(entry: AuditEntry) -> list[str]:
    """Two lines: what happened, then the id that `show` takes and what it happened to."""
    result = sign(words.result(entry.result, glyph_set()), 8)
    event = padded(outside(entry.event_type, 30), 30)
    return [
        f"{entry.timestamp:%Y-%m-%d %H:%M:%S}Z  {result}  {event}  {outside(entry.user_id, 16)}",
        f"  {outside(entry.id, 36)}  {outside(_resource(entry), 40)}",
    ]


def _resource(entry: AuditEntry) -> str:
    return "/".join(filter(None, (entry.resource_type, entry.resource_id)))


@audit.command("show")
@click.argument("ident", metavar="ID")
@command("audit.show")
def show(call: Call, ident: str) -> None:
    """One entry, whole."""
    entry = call.ask(lambda api: api.audit_entry(ident))
    call.answer(entry, lambda: _details(entry))


def _details(entry: AuditEntry) -> list[str]:
    lines = [
        f"{sign(words.result(entry.result, glyph_set()))} {outside(entry.event_type)}  {instant(entry.timestamp)}",
        f"  id        {outside(entry.id)}",
        f"  category  {outside(entry.category)}",
        f"  who       {outside(entry.user_id)}",
        f"  from      {outside(entry.ip_address)}  {outside(entry.user_agent, 50)}",
        f"  did       {outside(entry.action, 68)}",
        f"  to        {outside(_resource(entry), 68)}",
        f"  hash      {outside(entry.hash, 68)}",
    ]
    if entry.error_message:
        lines += wrapped(f"error: {outside(entry.error_message, 500)}", 2)
    for name, value in (("before", entry.old_value), ("after", entry.new_value), ("more", entry.metadata)):
        lines += _values(name, value)
    return lines


def _values(name: str, value: dict[str, Any] | None) -> list[str]:
    if not value:
        return []
    facts = [f"    {outside(key, 30)}: {outside(_plain(inner), 400)}" for key, inner in value.items()]
    return [f"  {name}", *(line for fact in facts for line in wrapped(fact.strip(), 4))]


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
