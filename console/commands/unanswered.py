"""`watchfloor freezes unanswered`: what became of freezes that were sent from here and whose answer never came."""

import asyncio
from datetime import UTC
from typing import Final

import click

from console.client.api import Api
from console.client.unanswered import SETTLED_S, Became, Fate, Note, Notes, ask, settle
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
    notes, ends = call.ask(_ends)
    body = {"items": [_body(one) for one in ends]}
    call.answer(body, lambda: _lines(ends))
    if notes is not None:
        for one in ends:
            if one.fate is not Fate.UNKNOWN:  # only now: what could not be printed has not been read
                notes.forget(one.note.key)
    fates = {one.fate for one in ends}
    if Fate.UNKNOWN in fates:
        finish(ExitCode.TIMED_OUT)
    finish(ExitCode.CHECK_FAILED if Fate.NOT_TAKEN in fates else ExitCode.OK)


async def _ends(api: Api) -> tuple[Notes | None, list[Became]]:
    notes = api.notes
    if notes is None:
        return None, []
    # all at once: one that cannot be told must not make the others wait
    ends = await asyncio.gather(*(_end(api, notes, note) for note in notes.all()))
    return notes, [one for one in ends if one is not None]


async def _end(api: Api, notes: Notes, note: Note) -> Became | None:
    try:
        return await asyncio.wait_for(settle(api, notes, note, doubt=lambda _: None), _PATIENCE_S)
    except TimeoutError:
        return (await ask(api, note))._replace(fate=Fate.UNKNOWN, again=False)


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
