"""`watchfloor freezes unanswered`: what became of freezes that were sent from here and whose answer never came."""

import asyncio
from datetime import UTC
from typing import Final

import click

from console.client.api import Api
from console.client.unanswered import SETTLED_S, Became, Fate, ask, settle
from console.commands.base import Call, command, finish
from console.commands.output import outside, wrapped
from console.state.unanswered import became_text
from contract.errors import ExitCode

_PATIENCE_S: Final = 2 * SETTLED_S
"""What is not certain by then may be asked again."""


@click.command()
@command("freezes.unanswered")
def unanswered(call: Call) -> None:
    """What became of freezes sent from here whose answer never came; exit code 1 if one was not taken."""
    ends = call.ask(_ends)
    body = {"items": [_body(one) for one in ends]}
    call.answer(body, lambda: _lines(ends))
    fates = {one.fate for one in ends}
    if Fate.UNKNOWN in fates:
        finish(ExitCode.TIMED_OUT)
    finish(ExitCode.CHECK_FAILED if Fate.NOT_TAKEN in fates else ExitCode.OK)


async def _ends(api: Api) -> list[Became]:
    notes = api.notes
    if notes is None:
        return []
    ends = []
    for note in notes.all():
        try:
            became = await asyncio.wait_for(settle(api, notes, note, doubt=lambda _: None), _PATIENCE_S)
        except TimeoutError:
            became = (await ask(api, note))._replace(fate=Fate.UNKNOWN)
        if became.fate is not Fate.UNKNOWN:
            notes.forget(note.key)
        ends.append(became)
    return ends


def _body(became: Became) -> dict[str, object]:
    note = became.note
    return {
        "scope": note.scope,
        "mode": note.mode,
        "sent_at": note.sent_at.astimezone(UTC).isoformat(),
        "fate": became.fate.value,
        "freeze": became.freeze.model_dump(mode="json") if became.freeze is not None else None,
        "why": became.why,
    }


def _lines(ends: list[Became]) -> list[str]:
    rows = [row for one in ends for row in wrapped(outside(became_text(one)), 0)]
    return rows or ["Every freeze that was sent from here has been answered."]
