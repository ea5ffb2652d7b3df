"""Writes one section of a post-mortem while others write too: nothing typed is lost, what is contested is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import ComposeResult

from console.actions import Context
from console.asking import Question
from console.client import postmortems
from console.client.errors import ClientError
from console.screens.incidents.drafting import DraftingScreen
from console.term.external import EditorRefusedError, edit_outside, editor_command
from console.widgets.lines import Line, line, outside, spread
from console.widgets.markdown import markdown_lines
from console.widgets.panel import Panel
from console.widgets.rows import Rows
from console.widgets.sheet import Sheet
from console.widgets.view import View
from contract.postmortem import Draft, EditOutcome, PostmortemSection, SectionAnswer, SectionEdit

if TYPE_CHECKING:
    from console.app import WatchfloorApp

_SAVE: Final = "save"
_OUTSIDE: Final = "editor"


async def _edited(desk: "WatchfloorApp", text: str, screen: "EditorScreen") -> str:
    try:
        return await edit_outside(desk, text, editor_command(desk.environ), screen.lend)
    except EditorRefusedError as error:
        raise ClientError(str(error)) from error


class EditorScreen(DraftingScreen):
    """The text of a section, or how it will be read."""

    CSS_PATH: ClassVar = ["../base.tcss", "editor.tcss"]
    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.EDITOR,)
    CLOSED = True
    AUTO_FOCUS = "#section"

    def __init__(self, ident: str, part: PostmortemSection) -> None:
        super().__init__()
        self.TITLE_TEXT = f"{outside(ident, 20)} {outside(part.title, 60)}"  # type: ignore[misc]
        self._ident = ident
        self._part = part
        self._base = part.version
        """The version of the section that the text began from."""
        self._told = ("", "")
        self._previewed: tuple[str, int] | None = None
        """Text and width of the preview that is drawn: drawing a long one again every second would be felt."""
        self._lent: Path | None = None
        """The file, while the operator's own editor has the text."""
        self._stays = False
        """It was to be closed, and stays because the text is not kept."""

    def compose_body(self) -> ComposeResult:
        """The text, its preview, whether it is safe."""
        yield Sheet(self._part.text, id="section")
        yield Rows(id="preview")
        yield Panel(id="draft-note", grows=False)

    def on_mount(self) -> None:
        """Begin where the saved text ends, or with what was typed before."""
        self.query_one("#preview", Rows).display = False
        self._sheet.put(self._part.text)
        self.begin_draft(f"postmortem:{self._ident}:{self._part.key}", self._part.text)

    @property
    def _sheet(self) -> Sheet:
        return self.query_one("#section", Sheet)

    @property
    def _previewing(self) -> bool:
        return bool(self.query_one("#preview", Rows).display)

    # the draft

    def typed(self) -> str:
        """The text as it stands, in the operator's own editor as well once it is written there."""
        if self._lent is not None:
            try:
                return self._lent.read_text(encoding="utf-8", errors="replace").replace("\x00", "").removesuffix("\n")
            except OSError:
                pass  # the editor is about to put another file in its place
        return self._sheet.text

    def typed_from(self) -> int:
        """The version that it began from."""
        return self._base

    def draft_found(self, draft: Draft) -> None:
        """Go on where somebody was cut off; what they have typed meanwhile stands below it."""
        typed, saved = self._sheet.text, self._part.text
        if draft.text in {saved, typed}:
            return
        more = typed.removeprefix(saved) if typed.startswith(saved) else f"\n\n{typed}"
        self._sheet.put(draft.text + more)
        self._base = draft.base_version
        self._told = ("near", f"This is your draft of {draft.updated_at:%H:%M:%S} UTC; F8 takes the saved text again.")

    def not_kept(self, why: str) -> None:  # noqa: ARG002  it stands below the text
        """It stays open: closing it would throw away what is typed."""
        self._stays = True

    # drawing

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """What to know about this text."""
        if self._stays and self._keep_problem:
            return self.headline_line("bad", "NOT kept, so your text stays here. Esc tries again, F8 drops it.")
        if self._told[1]:
            return self.headline_line(*self._told)
        by = f"edited by {outside(self._part.edited_by, 60)}" if self._part.edited_by else "made from the record"
        return self.headline_line("ok", f"Version {self._part.version}, {by}. Others can write it at the same time.")

    def draw(self, view: View) -> None:
        """Say whether the text is safe, and show how it will be read."""
        name = " PREVIEW" if self._previewing else " MARKDOWN"
        waiting = f"saving{view.glyphs.ellipsis}" if self.questions.is_waiting(_SAVE) else ""
        head = line((name, "head"), (f"  {waiting}", "dim"))
        row = spread(head, (*self.draft_note(), (" ", "")), view.width, view.glyphs)
        self.query_one("#draft-note", Panel).show([row])
        if self._previewing and self._previewed != (wanted := (self._sheet.text, view.width)):
            self._previewed = wanted
            rows = markdown_lines(self._sheet.text, view.sized(view.width - 2))
            ids = [str(index) for index in range(len(rows))]
            self.query_one("#preview", Rows).load(ids, lambda ident, _: rows[int(ident)])

    def keep_draft(self) -> None:
        """Keep it, and say whether it is kept."""
        super().keep_draft()
        self.redraw()

    # answers

    def answered(self, question: Question, value: object) -> None:
        """What became of the draft, the section, or the text in the operator's own editor."""
        self._settled(question)
        if question.topic == _OUTSIDE and isinstance(value, str):
            self._sheet.put(value)
        elif isinstance(value, SectionAnswer):
            self._saved(value)
        else:
            self.draft_answered(question, value)

    def refused(self, question: Question, error: ClientError) -> bool:
        """The text stays whatever was refused."""
        self._settled(question)
        return self.draft_refused(question, error)

    def died(self, question: Question) -> None:
        """The text is here again."""
        self._settled(question)
        self.draft_died(question)

    def _settled(self, question: Question) -> None:
        if question.topic == _OUTSIDE:
            self._lent = None
        if question.topic == _SAVE:
            self._sheet.read_only = False

    def _saved(self, answer: SectionAnswer) -> None:
        self._part, self._base = answer.section, answer.section.version
        if answer.outcome is EditOutcome.CONFLICT:
            self._sheet.put(answer.conflict or answer.section.text)
            by = outside(answer.section.edited_by or "somebody", 20)
            self._told = ("bad", f"NOT saved: {by} wrote the same lines. Keep what is right, then F3.")
        elif answer.outcome is EditOutcome.MERGED:
            self._sheet.put(answer.section.text)
            self._told = ("near", "Saved together with what others have written meanwhile: read it again.")
            self.renew_draft(self._part.text)
        else:
            self._sheet.read_only = True
            title = outside(answer.section.title, 60)
            self.end_draft(lambda: self._leave(f"Saved: {title}, version {answer.section.version}."))

    def _leave(self, told: str = "") -> None:
        self.desk.call_later(self.desk.leave, self)
        if told:
            self.desk.call_later(self.desk.say, "done", told)

    # actions

    @property
    def _is_busy(self) -> bool:
        """Whether the text is somewhere else just now; that is said."""
        if self.questions.is_waiting(_SAVE):
            self.desk.say("refused", "The section is being saved: wait for the answer.")
        return self._lent is not None or self.questions.is_waiting(_SAVE)

    def do_section_save(self, _: str) -> None:
        """Save it; until the answer is there nothing can be typed that it would not hold."""
        text = self._sheet.text
        if self._is_busy:
            return
        if text == self._part.text:
            self.desk.say("refused", "Nothing has changed since it was saved.")
            return
        wanted = SectionEdit(text=text, base_version=self._base)
        self.ask(_SAVE, lambda api: postmortems.edit(api, self._ident, self._part.key, wanted))
        self._sheet.read_only = self.questions.is_waiting(_SAVE)
        self.redraw()

    def do_section_preview(self, _: str) -> None:
        """Show how it will be read, or the text again."""
        previewing = not self._previewing
        self.query_one("#preview", Rows).display = previewing
        self._sheet.display = not previewing
        self.set_focus(self.query_one("#preview", Rows) if previewing else self._sheet)
        self.redraw()

    def do_section_external(self, _: str) -> None:
        """Write it in the operator's own editor."""
        if not self._is_busy and not self.questions.is_waiting(_OUTSIDE):
            desk, text = self.desk, self._sheet.text
            self.ask(_OUTSIDE, lambda _api: _edited(desk, text, self))

    def lend(self, path: Path) -> None:
        """The operator's own editor has the text in this file; what it writes there is kept as a draft."""
        self._lent = path

    async def do_section_drop(self, _: str) -> None:
        """Take the saved text again, once it is said what is thrown away."""
        from console.screens.incidents.dropping import DropDialog

        if self._is_busy:
            return
        if self._sheet.text == self._part.text:
            self.desk.say("refused", "This is the saved text: there is nothing to drop.")
        else:
            await self.desk.push_screen(DropDialog(self._sheet.text, self._drop))

    def _drop(self) -> None:
        self._sheet.put(self._part.text)
        self._base, self._told, self._stays = self._part.version, ("", ""), False
        self.renew_draft(self._part.text)
        self.redraw()

    def do_section_close(self, _: str) -> None:
        """Close once what is typed is kept as a draft; until then it stays."""
        if self._is_busy:
            return
        if self._sheet.text == self._part.text:
            self.close_draft(self._leave)
        else:
            self.leave_draft(lambda: self._leave("What you have typed is kept as a draft: e goes on with it."))
        self.redraw()
