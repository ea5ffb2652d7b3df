"""`watchfloor silences list|show|end`; `watchfloor alerts silence` makes one."""

import sys
from typing import Final

import click

from console.client import alert_work as client
from console.client.api import Api
from console.commands.base import Call, command, glyph_set, paging
from console.commands.output import counted, instant, note, outside, wrapped
from console.widgets import words
from contract.alert_work import CopyState, Silence, SilenceCopy, SilenceState
from contract.alerts import Alert, AlertStatus
from contract.base import Page

_LIVE: Final = (AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED)
_LOOKED_AT: Final = 500
"""Muted alerts that are looked through for those of one silence: the most that the backend gives at once."""
_SHOWN: Final = 10
"""Alerts that fit above the question."""


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
@click.option("--yes", is_flag=True, help="Do not ask: for scripts.")
@command("silences.end")
def end(call: Call, ident: str, *, yes: bool) -> None:
    """End a silence early; what it muted and goes on is raised again at once. Shows first what that is, and asks."""
    if not yes:
        _ask(call, ident)
    one = call.ask(lambda api: client.end_silence(api, ident))
    call.answer(one, lambda: _entry(one))


def _ask(call: Call, ident: str) -> None:
    """Show which silence it is and what sounds again without it, and ask; a script says it wants no question.

    Raises:
        UsageError: nobody is there to ask.
    """
    if not _is_terminal():
        raise click.UsageError("Nobody is there to ask: give --yes to end it without a question.")
    known, found = call.ask(lambda api: _looked_at(api, ident))
    for row in [*_entry(known), *_raised_again(known, found)]:
        note(row)
    if known.state is not SilenceState.ENDED and not click.confirm("End it now?", err=True):
        raise click.Abort


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


async def _looked_at(api: Api, ident: str) -> tuple[Silence, Page[Alert]]:
    """A silence, and the alerts that anything mutes."""
    return await client.silence_named(api, ident), await api.alerts(status=_LIVE, muted="true", limit=_LOOKED_AT)


def _raised_again(known: Silence, found: Page[Alert]) -> list[str]:
    """What sounds again without the silence; what something else mutes too stays quiet."""
    idents = {known.id, *(copy.id for copy in known.copies)}
    by_it = [alert for alert in found.items if any(one.id in idents for one in alert.muted_by)]
    again = [alert for alert in by_it if all(one.id in idents for one in alert.muted_by)]
    quiet = len(by_it) - len(again)
    more = max(known.muted_now - len(by_it), 0)
    if not by_it and not more:
        return ["Nothing sounds again: it mutes no alert now."]
    lines = [f"{counted(len(again) + more, 'alert')} {'sounds' if len(again) + more == 1 else 'sound'} again at once:"]
    for alert in again[:_SHOWN]:
        severity = words.severity(alert.severity, glyph_set()).word
        lines += wrapped(f"{severity} {outside(alert.rule, 40)} {outside(str(alert.scope), 60)}", 2)
    if (hidden := len(again) + more - min(len(again), _SHOWN)) > 0:
        lines.append(f"  and {hidden:,} more")
    return [*lines, f"  and {quiet:,} more that something else mutes too: quiet as before"] if quiet else lines


def _entry(one: Silence) -> list[str]:
    ended = f", ended by {outside(one.ended_by, 60)}" if one.ended_by else ""
    head = f"{one.state.value.ljust(8)} until {instant(one.ends_at)}{ended}  {outside(one.id, 40)}"
    lines = [head, *wrapped(" ".join(outside(str(matcher), 200) for matcher in one.matchers), 2)]
    told = f"{outside(one.created_by, 60)}, {outside(one.source, 60)}: {outside(one.comment, 500)}"
    lines += wrapped(f"mutes {counted(one.muted_now, 'alert')}; by {told}", 2)
    for copy in one.copies:
        lines += wrapped(f"in {outside(copy.source, 60)}: {_stands(copy)}", 2)
    return lines


def _stands(copy: SilenceCopy) -> str:
    ident, error = copy.id and outside(copy.id, 100), copy.error and outside(copy.error, 200)
    match copy.state:
        case CopyState.ENDED_THERE:
            return f"ended there by somebody, not created again ({ident})"
        case CopyState.ENDED:
            return f"ended ({ident})" if ident else "ended"
        case CopyState.STANDING:
            return f"{ident}, may still mute there: {error}" if error else f"{ident}"
        case CopyState.PENDING:
            return f"not created: {error}" if error else "not created yet"
