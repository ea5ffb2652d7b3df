"""Silences: what is muted, until when, by whom and why; and where else each of them is."""

from datetime import datetime
from typing import ClassVar, Final

from console.actions import Context
from console.asking import Call
from console.client import alert_work
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.widgets.lines import EMPTY, line
from console.widgets.silences import silence_rows
from console.widgets.view import View
from contract.alert_work import Silence, SilenceState
from contract.alerts import Link

_ORDER: Final = (SilenceState.SET_ASIDE, SilenceState.ACTIVE, SilenceState.PENDING, SilenceState.ENDED)


class SilencesScreen(WatchedScreen):
    """Those in force first, the one that ends first on top."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.SILENCES, Context.READING)
    ASKING = "Asking what is muted."

    def __init__(self) -> None:
        super().__init__("Silences")
        self._known: list[Silence] = []
        self._ended = False
        """Whether ended ones are shown too."""

    def list_call(self) -> Call:
        """The newest ones."""
        states = [one.value for one in _ORDER if self._ended or one is not SilenceState.ENDED]
        return lambda api: alert_work.silences(api, state=states, limit=PAGE_ROWS)

    def take(self, items: list[Silence]) -> None:
        """Keep them."""
        self._known = items

    def said(self) -> tuple[str, str]:
        """How many are in force, what they mute, and whether one is missing somewhere."""
        active = [one for one in self._known if one.state is SilenceState.ACTIVE]
        if not active:
            return "ok", "No silence is in force."
        mood = "near" if any(one.muted_now for one in active) else "unknown"
        failed = sum(copy.error is not None for one in active for copy in one.copies)
        if failed:
            where = "its source" if failed == 1 else "their sources"
            return "bad", f"{_muted(active)}; {failed:,} could not be made at {where}."
        return mood, f"{_muted(active)} at present."

    def listed(self, now: datetime, view: View) -> list[Row]:
        """Those in force first, then those to come, then those that are over."""
        if not self._known:
            more = "." if self._ended else ", a shows ended ones."
            return [(line((f"No silence. n makes one{more}", "dim")), None)]
        rows: list[Row] = []
        for one in sorted(self._known, key=_place):
            link = Link(kind="silence", id=one.id, label="")
            rows += [(row, link) for row in silence_rows(one, now, view)]
            rows.append((EMPTY, None))
        return rows[:-1]

    # actions

    async def follow(self, link: Link) -> None:
        """Show the alerts that it mutes."""
        (await self.desk.go("alerts")).set_filter(link.id)

    async def do_silence_end(self, _: str) -> None:
        """End the selected silence."""
        from console.screens.silences.dialogs import EndScreen

        selected = next((one for one in self._known if self.followed(one.id)), None)
        if selected is None:
            self.desk.say("refused", "Select the silence that is to end.")
        elif selected.state is SilenceState.ENDED:
            self.desk.say("refused", "It has ended already.")
        else:
            await self.desk.push_screen(EndScreen(selected))

    async def do_silence_new(self, _: str) -> None:
        """Make a silence."""
        from console.screens.silences.dialogs import SilenceScreen

        await self.desk.push_screen(SilenceScreen())

    def do_silence_all(self, _: str) -> None:
        """Show ended ones too, or no longer."""
        self._ended = not self._ended
        self.questions.forget("list")
        self.look()


def _muted(active: list[Silence]) -> str:
    """What they mute; of several no sum, because one alert may be muted by more than one of them."""
    if len(active) > 1:
        at_work = sum(bool(one.muted_now) for one in active)
        some = "all" if at_work == len(active) else f"{at_work:,}" if at_work else "none"
        return f"{len(active):,} silences are in force, {some} of which mute{'s' if at_work == 1 else ''} something"
    count = active[0].muted_now
    alerts = "no alert" if not count else f"{count:,} alert{'' if count == 1 else 's'}"
    return f"1 silence mutes {alerts}"


def _place(one: Silence) -> tuple[int, float, str]:
    soonest = one.ends_at.timestamp()
    return _ORDER.index(one.state), -soonest if one.state is SilenceState.ENDED else soonest, one.id
