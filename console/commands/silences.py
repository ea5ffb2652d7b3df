"""`watchfloor silences list|show|end`; `watchfloor alerts silence` makes one."""

import click

from console.client import alert_work as client
from console.commands.base import Call, command, paging
from console.commands.output import counted, instant, outside, wrapped
from contract.alert_work import Silence, SilenceState


@click.group()
def silences() -> None:
    """Times in which some alerts are not told about."""


@silences.command("list")
@click.option("--state", type=click.Choice([one.value for one in SilenceState]), multiple=True, help="Only these.")
@paging
@command("silences.list")
def list_silences(call: Call, *, state: tuple[str, ...], limit: int, cursor: str | None) -> None:
    """Silences, newest first."""
    page = call.ask(lambda api: client.silences(api, state=list(state) or None, limit=limit, cursor=cursor))
    call.answer_page(page, lambda: [line for one in page.items for line in _entry(one)] or ["No silences."])


@silences.command("show")
@click.argument("ident", metavar="ID")
@command("silences.show")
def show(call: Call, ident: str) -> None:
    """One silence."""
    one = call.ask(lambda api: client.silence_named(api, ident))
    call.answer(one, lambda: _entry(one))


@silences.command("end")
@click.argument("ident", metavar="ID")
@command("silences.end")
def end(call: Call, ident: str) -> None:
    """End a silence early; what it muted and goes on is raised again at once."""
    one = call.ask(lambda api: client.end_silence(api, ident))
    call.answer(one, lambda: _entry(one))


def _entry(one: Silence) -> list[str]:
    ended = f", ended by {outside(one.ended_by, 60)}" if one.ended_by else ""
    head = f"{one.state.value.ljust(8)} until {instant(one.ends_at)}{ended}  {outside(one.id, 40)}"
    lines = [head, *wrapped(" ".join(outside(str(matcher), 200) for matcher in one.matchers), 2)]
    told = f"{outside(one.created_by, 60)}, {outside(one.source, 60)}: {outside(one.comment, 500)}"
    lines += wrapped(f"mutes {counted(one.muted_now, 'alert')}; by {told}", 2)
    for copy in one.copies:
        state = copy.id or copy.error or "not created yet"
        lines += wrapped(f"in {outside(copy.source, 60)}: {outside(state, 200)}", 2)
    return lines
