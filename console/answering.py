"""Owns how a console that begins learns what became of freezes that nobody had answered.

What it has learned is forgotten only once somebody has read it: see `console.telling`.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from textual.message import Message
from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from console.client.api import Api
    from console.client.unanswered import Became, Notes


class Learned(Message):
    """What became of unanswered freezes, or that it is not known yet."""

    def __init__(self, kind: str, text: str, have_read: Callable[[], None]) -> None:
        super().__init__()
        self.kind = kind
        self.text = text
        self.have_read = have_read
        """What is due once somebody has read it."""


async def learn(poster: MessagePump, api: "Api") -> None:
    """Ask what became of this account's unanswered freezes until it is certain, and post it."""
    from console.client.errors import ClientError
    from console.client.unanswered import settle
    from console.state.unanswered import became_text

    notes = api.notes
    found = await asyncio.to_thread(notes.all) if notes is not None else []
    if notes is None or not found:
        return

    said: set[str] = set()

    def doubt(became: "Became") -> None:
        text = became_text(became)
        if text not in said:  # once: what somebody has put away does not come back until more is known
            said.add(text)
            poster.post_message(Learned("error", text, lambda: None))

    try:
        ends = await asyncio.gather(*(settle(api, notes, note, doubt=doubt) for note in found))
    except ClientError:
        return  # nobody is signed in any more: it is asked again when somebody is
    poster.post_message(_learned(notes, ends))


def _learned(notes: "Notes", ends: "list[Became]") -> Learned:
    from console.client.unanswered import Fate
    from console.state.unanswered import became_text

    worst_first = sorted(ends, key=lambda one: one.fate is Fate.TAKEN)
    kind = "error" if worst_first[0].fate is Fate.NOT_TAKEN else "done"
    return Learned(kind, " ".join(map(became_text, worst_first)), partial(_forget, notes, ends))


def _forget(notes: "Notes", ends: "list[Became]") -> None:
    for one in ends:
        notes.forget(one.note.key)
