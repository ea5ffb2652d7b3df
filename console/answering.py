"""Owns how a console that begins learns what became of freezes that nobody had answered, and where it says so.

A verdict has a place of its own that no other message takes. It is forgotten only once whoever sent the freeze has put
it away: not while the console is locked, and by no key but Esc.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from textual import on
from textual.message import Message
from textual.message_pump import MessagePump

from console.locking import Locking

if TYPE_CHECKING:
    from console.client.api import Api
    from console.client.unanswered import Became, Note, Notes


class Learned(Message):
    """What became of one unanswered freeze, or that it is not known yet; None: somebody else has learned it."""

    def __init__(self, notes: "Notes", key: str, became: "Became | None") -> None:
        super().__init__()
        self.notes = notes
        self.key = key
        self.became = became


async def learn(poster: MessagePump, api: "Api") -> None:
    """Ask what became of this account's unanswered freezes until it is certain, and post it; each for itself."""
    notes = api.notes
    found = await asyncio.to_thread(notes.all) if notes is not None else []
    if notes is not None:
        await asyncio.gather(*(_learn_of(poster, api, notes, note) for note in found))


async def _learn_of(poster: MessagePump, api: "Api", notes: "Notes", note: "Note") -> None:
    from console.client.errors import ApiError
    from console.client.unanswered import Became, Fate, settle
    from contract.errors import ErrorCode

    def tell(became: "Became | None") -> None:
        poster.post_message(Learned(notes, note.key, became))

    try:
        tell(await settle(api, notes, note, doubt=tell))
    except ApiError as error:
        if error.code is not ErrorCode.NOT_AUTHENTICATED:  # else it is asked again when somebody is signed in
            tell(Became(note, Fate.UNKNOWN, why=error.message, again=False))


class Verdicts:
    """What became of one account's unanswered freezes, as far as nobody has put it away."""

    def __init__(self, notes: "Notes | None" = None) -> None:
        self.notes = notes
        self._open: dict[str, Became] = {}
        self._doubted: set[str] = set()

    def learn(self, key: str, became: "Became | None") -> None:
        """Take in what is known now of one; a doubt that somebody has put away does not come back until more is."""
        from console.client.unanswered import Fate
        from console.state.unanswered import became_text

        if became is None:
            self._open.pop(key, None)
            return
        if became.fate is Fate.UNKNOWN:
            text = became_text(became)
            if text in self._doubted and key not in self._open:
                return
            self._doubted.add(text)
        self._open[key] = became

    def lines(self) -> list[tuple[str, str]]:
        """Kind and text of each, the worst first."""
        if not self._open:
            return []
        from console.client.unanswered import Fate
        from console.state.unanswered import became_text

        return [("taken" if one.fate is Fate.TAKEN else "error", became_text(one)) for one in self._sorted()]

    def put_away(self, count: int) -> list[str]:
        """Somebody has read the first of them; returns the keys of those that are certain."""
        from console.client.unanswered import Fate

        read = self._sorted()[:count]
        for one in read:
            del self._open[one.note.key]
        return [one.note.key for one in read if one.fate is not Fate.UNKNOWN]

    def _sorted(self) -> "list[Became]":
        from console.client.unanswered import Fate

        order = (Fate.NOT_TAKEN, Fate.UNKNOWN, Fate.TAKEN)
        return sorted(self._open.values(), key=lambda one: order.index(one.fate))


class Answering(Locking):
    """The verdicts of the application."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._verdicts = Verdicts()

    def learn_of_freezes(self, api: "Api") -> None:
        """Find out what became of freezes that were sent and not answered before the line or the console ended."""
        self.run_worker(learn(self, api), name="unanswered", group="unanswered", exclusive=True, exit_on_error=False)

    @on(Learned)
    def _learned(self, event: Learned) -> None:
        if self._verdicts.notes is not event.notes:
            self._verdicts = Verdicts(event.notes)
        self._verdicts.learn(event.key, event.became)
        self.redraw()

    def verdict_lines(self) -> list[tuple[str, str]]:
        """Kind and text of what became of unanswered freezes; of nobody's while nobody is signed in."""
        api = self.api
        mine = api is not None and self.session_token() is not None and api.notes is self._verdicts.notes
        return self._verdicts.lines() if mine else []

    def put_verdicts_away(self, count: int) -> bool:
        """Whoever sent the freezes has read the first verdicts: forget these; False if none is shown to them."""
        notes = self._verdicts.notes
        if self.is_locked or notes is None or not self.verdict_lines():
            return False
        for key in self._verdicts.put_away(count):
            notes.forget_soon(key)
        self.repaint()
        return True
