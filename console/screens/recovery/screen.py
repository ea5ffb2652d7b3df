"""Recovery drills: the newest first, their trend, who is primary, and when the next one is due."""

from datetime import datetime
from typing import ClassVar, Final

from console.actions import Context
from console.asking import Call, Question
from console.client import recovery
from console.client.errors import ClientError
from console.screens.reading.screen import Row
from console.screens.reading.watched import PAGE_ROWS, WatchedScreen
from console.state.recovery import merged
from console.widgets import recovery as draw
from console.widgets.lines import EMPTY, line, outside
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.recovery import (
    BackupMatrix,
    DrillHistory,
    RecoveryDrill,
    Topology,
)

_CLUSTER: Final = "cluster"
_BACKUPS: Final = "backups"


class RecoveryScreen(WatchedScreen):
    """What has been tried, and whether it would work now."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.RECOVERY, Context.READING)
    ASKING = "Asking for recovery drills."
    SAYS_ALL = True

    def __init__(self) -> None:
        super().__init__("Recovery")
        self._history: DrillHistory | None = None
        self._topology: Topology | None = None
        self._matrix: BackupMatrix | None = None
        self._no_matrix = ""
        self._no_topology = ""

    def list_call(self) -> Call:
        """The newest drills."""
        return lambda api: recovery.history(api, limit=PAGE_ROWS)

    def look(self) -> None:
        """Ask for the drills, the cluster and the backups."""
        super().look()
        if self.desk.api is not None:
            self.ask(_CLUSTER, recovery.cluster)
            self.ask(_BACKUPS, recovery.backups)

    def answered(self, question: Question, value: object) -> None:
        """Each part for itself."""
        match value:
            case DrillHistory():
                self._history = value
                page = Page[RecoveryDrill](items=value.items, next_cursor=value.next_cursor)
                super().answered(question, page)
            case Topology():
                self._topology, self._no_topology = value, ""
            case BackupMatrix():
                self._matrix, self._no_matrix = value, ""
            case _:
                super().answered(question, value)

    def refused(self, question: Question, error: ClientError) -> bool:
        """A part that nobody tells is said in its place."""
        from console.state.problems import describe, ends_session

        if question.topic == _CLUSTER and not ends_session(error):
            self._no_topology = describe(error)
            return True
        if question.topic == _BACKUPS and not ends_session(error):
            self._no_matrix = describe(error)
            return True
        return super().refused(question, error)

    def take(self, items: list[RecoveryDrill]) -> None:
        """Kept already, with its figures."""

    def redraw(self) -> None:
        """Take in what the stream has told since."""
        latest = self.desk.latest if self.is_attached else None
        if self._history is not None and latest is not None and latest.recovery is not None:
            self._history = merged(self._history, latest.recovery)
        super().redraw()

    def said(self) -> tuple[str, str]:
        """The drill that runs, or when the next is due."""
        assert self._history is not None  # noqa: S101  an answer came
        return draw.said(self._history, self._topology, self._now(self.view()))

    def listed(self, now: datetime, view: View) -> list[Row]:
        """What is due, the trend, the list, the cluster."""
        history = self._history
        if history is None:
            return []
        top = [
            draw.schedule_line(history, now),
            self._backups_line(view),
            *draw.trend_lines(history.trend, view),
            EMPTY,
        ]
        rows: list[Row] = [(row, None) for row in top]
        if history.items:
            rows.append((draw.head(view), None))
            rows += [
                (draw.row(one, now, view), Link(kind="recovery_drill", id=one.ref, label=one.ref))
                for one in history.items
            ]
        else:
            rows += [(row, None) for row in draw.none_yet(view)]
        cluster = draw.topology_lines(self._topology, now, view)
        if self._no_topology:
            cluster.append(line((f"{view.glyphs.near} ", "near"), outside(self._no_topology)))
        return [*rows, (EMPTY, None), *((row, None) for row in cluster)]

    def _backups_line(self, view: View) -> tuple[tuple[str, str], ...]:
        if self._matrix is not None:
            return draw.backups_line(self._matrix, view)
        return line(("backups ", "dim"), (outside(self._no_matrix) or "asking", "near" if self._no_matrix else "dim"))

    # actions

    async def follow(self, link: Link) -> None:
        """Show one drill."""
        from console.screens.recovery.detail import RecoveryDrillScreen

        one = next((one for one in self._history.items if one.ref == link.id), None) if self._history else None
        if one is not None:
            await self.desk.push_screen(RecoveryDrillScreen(one))

    async def do_recovery_start(self, argument: str) -> None:
        """Open the dialog that starts a drill."""
        from console.screens.recovery.start import StartScreen

        running = self._history.running if self._history is not None else None
        if running is not None:
            self.desk.say("refused", f"{running} runs: one drill at a time. Wait for its end, or abort it.")
            return
        await self.desk.push_screen(StartScreen(argument))

    async def do_recovery_backups(self, _: str) -> None:
        """Show the backups."""
        from console.screens.recovery.backups import BackupsScreen

        await self.desk.push_screen(BackupsScreen())
