"""The backup matrix: which backups there are, how old the newest is, when one was last restored and compared."""

from datetime import datetime
from typing import ClassVar, Final

from console.actions import Context
from console.asking import Call, Question
from console.client import recovery
from console.screens.reading.screen import ReadingScreen, Row
from console.screens.reading.watched import WatchedScreen
from console.widgets import backups as draw
from console.widgets.view import View
from contract.alerts import Link
from contract.base import Page
from contract.recovery import BackupCheck, BackupCheckRequest, BackupMatrix

_CHECK: Final = "check"


class BackupsScreen(WatchedScreen):
    """Every row of the policy's matrix."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.BACKUPS, Context.READING)
    ASKING = "Asking for the backups."
    SAYS_ALL = True

    def __init__(self) -> None:
        super().__init__("Backups")
        self._matrix: BackupMatrix | None = None

    def list_call(self) -> Call:
        """The matrix."""
        return recovery.backups

    def answered(self, question: Question, value: object) -> None:
        """The matrix, or what one look at a row has found."""
        if isinstance(value, BackupMatrix):
            self._matrix = value
            super().answered(question, Page[BackupCheck](items=value.rows))
        elif isinstance(value, BackupCheck):
            self.desk.say("done", f"{value.data}: {value.found or value.state.value}")
            self.look()

    def take(self, items: list[BackupCheck]) -> None:
        """Kept already, with its age."""

    def said(self) -> tuple[str, str]:
        """The worst of them."""
        assert self._matrix is not None  # noqa: S101  an answer came
        return draw.said(self._matrix)

    def listed(self, now: datetime, view: View) -> list[Row]:
        """Row by row, each with what was found."""
        rows: list[Row] = [(draw.head(view), None)]
        for one in self._matrix.rows if self._matrix is not None else []:
            first, *rest = draw.row_lines(one, now, view)
            rows += [(first, Link(kind="backup", id=one.data, label=one.data)), *((row, None) for row in rest)]
        return rows

    # actions

    async def follow(self, link: Link) -> None:
        """Everything that is known of one row."""
        one = next((one for one in self._matrix.rows if one.data == link.id), None) if self._matrix else None
        if one is not None:
            page = ReadingScreen(
                f"Backup {link.label}", lambda view: [(row, None) for row in draw.detail_lines(one, view)]
            )
            await self.desk.push_screen(page)

    def do_backup_check(self, _: str) -> None:
        """Look at the selected one now."""
        self._check(restore=False)

    def do_backup_restore(self, _: str) -> None:
        """Restore the selected one into a scratch server and compare."""
        self._check(restore=True)

    def _check(self, *, restore: bool) -> None:
        link = self.chosen
        if link is None:
            self.desk.say("refused", "Select a backup first.")
            return
        request = BackupCheckRequest(data=link.id, restore=restore)
        self.desk.say("done", f"Looking at the backup of {link.label}.")
        self.ask(_CHECK, lambda api: recovery.check_backup(api, request))
