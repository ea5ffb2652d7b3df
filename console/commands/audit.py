"""`watchfloor audit search|show`, and the group that others join."""

import json
from typing import Any, NamedTuple

import click

from console.client.api import Api
from console.commands.audit_exchange import COMMANDS
from console.commands.audit_filters import answer_entries, filters, resource_of, search_all, wanted_of
from console.commands.base import Call, command, glyph_set, paging, sign
from console.commands.heads import heads, key
from console.commands.output import instant, outside, wrapped
from console.commands.privacy import reveal
from console.commands.retention import archive, retention
from console.commands.verifying import bundle, prove, verify
from console.widgets import words
from contract.audit import AuditEntry, AuditPage


@click.group()
def audit() -> None:
    """The audit log: who did what to which resource, from where, with what result."""


for joined in (verify, prove, bundle, key, heads, retention, archive, reveal, *COMMANDS):
    audit.add_command(joined)


@audit.command("search")
@filters
@click.option("--save", default="", metavar="NAME", help="Keep this search under a name.")
@click.option("--saved", default="", metavar="NAME", help="The search kept under this name; options narrow it.")
@paging
@command("audit.search")
def search(call: Call, /, *, save: str, saved: str, limit: int, cursor: str | None, **where: Any) -> None:
    """Search, newest first; WORDS are looked for in the full text. A search is itself recorded.

    Words must all occur: "a phrase", a beginning*, -without, or between alternatives; a person's name finds the person.
    """
    page = call.ask(lambda api: _search(api, wanted_of(**where), Kept(save, saved), cursor, limit))
    answer_entries(call, page)


class Kept(NamedTuple):
    """Under which names a search is kept, or was."""

    save: str
    saved: str


async def _search(api: Api, wanted: dict[str, str], kept: Kept, cursor: str | None, limit: int) -> AuditPage:
    if kept.saved:
        known = {one.name: one.filters for one in (await api.saved_searches()).items}
        if kept.saved not in known:
            raise click.UsageError(f"You have no saved search {kept.saved!r}: watchfloor audit saved lists them.")
        wanted = {**known[kept.saved], **wanted}
    page = await search_all(lambda at, rows: api.audit(limit=rows, cursor=at, **wanted), cursor, limit)
    if kept.save:
        await api.save_search(kept.save, wanted)
    return page


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
        f"  to        {outside(resource_of(entry), 68)}",
        f"  entry     {outside(entry.log, 40)} {'not in the ledger yet' if entry.seq is None else entry.seq}",
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
