"""The post-mortem of one incident: its sections, who has written them, and its way to the second person's approval."""

import hashlib
from typing import TYPE_CHECKING, ClassVar, Final

from console.actions import Context
from console.asking import Call, Question
from console.client import postmortems
from console.screens.reading.screen import ReadingScreen, Row
from console.state.floor import Floor
from console.widgets import postmortem as draw
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View
from contract.alerts import Link
from contract.errors import ErrorCode
from contract.postmortem import ExportFormat, Postmortem, PostmortemSection, PostmortemState

if TYPE_CHECKING:
    from console.client.errors import ClientError

LOOK_S: Final = 5.0
"""How often it is asked for: others write at the same time."""
_LOOK: Final = "post-mortem"
_ACT: Final = "act"
_READ: Final = "read"


_OPEN, _EDIT, _SUBMIT, _APPROVE, _SEND_BACK = (
    f"postmortem.{name}" for name in ("open", "edit", "submit", "approve", "send-back")
)
_WORKS_IN_OTHERS: Final[dict[PostmortemState | None, frozenset[str]]] = {
    None: frozenset({_EDIT, _SUBMIT, _APPROVE, _SEND_BACK, "postmortem.read", "postmortem.version"}),
    PostmortemState.DRAFT: frozenset({_OPEN, _APPROVE, _SEND_BACK}),
    PostmortemState.REVIEW: frozenset({_OPEN, _EDIT, _SUBMIT}),
    PostmortemState.APPROVED: frozenset({_EDIT, _SUBMIT, _APPROVE, _SEND_BACK}),
}
"""What each state of a post-mortem, None for one that nobody has opened, takes no part in."""


class PostmortemScreen(ReadingScreen):
    """The newest version, or an earlier one."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.POSTMORTEM, Context.READING)
    CLOSED = False

    def __init__(self, ident: str) -> None:
        super().__init__(f"{outside(ident, 20)} Post-mortem", self._page)
        self._ident = ident
        self._known: Postmortem | None = None
        self._asked = False
        self._version: int | None = None
        """Which one is looked at; None for the newest."""
        self._problem = ""
        self._refusal = ""
        """Why the last act was refused, in full: it says what is still to be written."""
        self.read: str | None = None
        """The hash of the text that was last read here: only that can be approved."""

    def on_mount(self) -> None:
        """Look at once, then again and again."""
        self.look()
        self.set_interval(LOOK_S, self._look_again)

    def on_screen_resume(self) -> None:
        """A section may have been written."""
        self.look()

    def look(self) -> None:
        """Ask for it."""
        if self.desk.api is None:
            return
        version = self._version
        if version is None:
            self.ask(_LOOK, lambda api: postmortems.find(api, self._ident))
        else:
            self.ask(_LOOK, lambda api: postmortems.postmortem(api, self._ident, version))

    def _look_again(self) -> None:
        if self.is_current and not self.questions.is_waiting(_LOOK):
            self.look()

    def answered(self, question: Question, value: object) -> None:
        """It, what became of an act, or its whole text."""
        if question.topic == _READ and isinstance(value, bytes):
            self._show_text(value)
            return
        if question.topic == _LOOK or isinstance(value, Postmortem):
            self._known, self._asked, self._problem = value if isinstance(value, Postmortem) else None, True, ""
        if question.topic == _ACT:
            self.desk.say("done", question.about)

    def refused(self, question: Question, error: "ClientError") -> bool:
        """A missed look is followed by another; the sentence says so meanwhile."""
        from console.state.problems import describe, ends_session

        if question.topic == _READ and self._may_not_export(error):
            self._show_sections()
            return True
        if ends_session(error) or question.topic == _READ:
            return False
        if question.topic == _ACT:
            self._refusal = describe(error)
        else:
            self._problem = describe(error)
        return True

    # drawing

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Whose turn it is."""
        if self._problem:
            return self.headline_line("near", f"What you see may be old: {self._problem}")
        if not self._asked:
            return self.headline_line("unknown", "Asking for the post-mortem.")
        if self._known is None:
            return self.headline_line("near", "Nobody has opened it yet: n opens it, filled in from the record.")
        return self.headline_line(*draw.sentence(self._known, self.desk.who.name))

    def _page(self, view: View) -> list[Row]:
        if self._known is None:
            hint = "Duration, services, loss, users and timeline come from the record; the why comes from you."
            return [(line((row, "dim")), None) for row in wrap(hint, view.width)] if self._asked else []
        refusal = draw.refusal_rows(self._refusal, view) if self._refusal else []
        return refusal + draw.rows(self._known, (self.desk.latest or Floor()).now(view.desk_now), view)

    async def follow(self, link: Link) -> None:  # noqa: ARG002  only sections lead anywhere
        """Write the section, or read it where it cannot be written any more."""
        if self._known is not None and self._known.state is PostmortemState.DRAFT:
            await self.do_postmortem_edit("")
        else:
            self.do_postmortem_read("")

    def copy_text(self) -> str:
        """The selected section."""
        part = self._section()
        return part.text if part is not None else super().copy_text()

    def _section(self) -> PostmortemSection | None:
        link = self.chosen
        if link is None or self._known is None:
            return None
        return next((one for one in self._known.sections if one.key == link.id), None)

    def _opened_one(self) -> Postmortem | None:
        """It; that nobody has opened it is said."""
        if self._known is None:
            self.desk.say("refused", "Nobody has opened the post-mortem yet: n opens it.")
        return self._known

    def _act(self, call: Call, told: str) -> None:
        self._refusal = ""
        self.ask(_ACT, call, told)

    # actions

    async def do_postmortem_open(self, _: str) -> None:
        """Open it, or its next version."""
        from console.screens.incidents.postmortem_dialogs import AmendDialog, OpenDialog

        if not self._asked:
            self.desk.say("refused", "The post-mortem is not loaded yet.")
        elif self._known is None:
            await self.desk.push_screen(OpenDialog(self._ident))
        elif self._known.state is PostmortemState.APPROVED:
            self._version = None
            await self.desk.push_screen(AmendDialog(self._ident, self._known))
        else:
            self.desk.say("refused", "It is open already: e writes the selected section.")

    async def do_postmortem_edit(self, _: str) -> None:
        """Write the selected section, or the first one that waits to be written."""
        from console.screens.incidents.editor import EditorScreen

        known, self._refusal = self._opened_one(), ""
        if known is None:
            return
        part = self._section() or next((one for one in known.sections if one.unwritten), known.sections[0])
        if known.state is not PostmortemState.DRAFT:
            word = "approved" if known.state is PostmortemState.APPROVED else "in review"
            self.desk.say("refused", f"It is {word}: only a draft can be written.")
        else:
            await self.desk.push_screen(EditorScreen(self._ident, part))

    def do_postmortem_read(self, _: str) -> None:
        """Read all of it: the very text that an approval is about."""
        known = self._opened_one()
        if known is not None:
            self.ask(_READ, lambda api: postmortems.export(api, self._ident, ExportFormat.MARKDOWN, known.version))

    def _show_text(self, content: bytes) -> None:
        self.read = hashlib.sha256(content).hexdigest()
        text, digest = content.decode(errors="replace"), self.read
        page = ReadingScreen(self.TITLE_TEXT, lambda view: draw.reading_rows(text, digest, view))
        self.desk.call_later(self.desk.push_screen, page)

    @staticmethod
    def _may_not_export(error: "ClientError") -> bool:
        from console.client.errors import ApiError

        return isinstance(error, ApiError) and error.code is ErrorCode.NOT_ALLOWED

    def _show_sections(self) -> None:
        """Whoever may take nothing out reads it all the same, and cannot approve what has no hash."""
        known = self._known
        if known is not None:
            page = ReadingScreen(self.TITLE_TEXT, lambda view: draw.section_rows(known, view))
            self.desk.call_later(self.desk.push_screen, page)

    def do_postmortem_submit(self, _: str) -> None:
        """Ask for its approval."""
        known = self._opened_one()
        if known is None:
            return
        if why := draw.not_in(known, PostmortemState.DRAFT, "submitted"):
            self.desk.say("refused", why)
        else:
            told = "Submitted: somebody who has not written it has to approve it (T)."
            self._act(lambda api: postmortems.submit(api, self._ident), told)

    async def do_postmortem_approve(self, _: str) -> None:
        """Approve what was read."""
        from console.screens.incidents.postmortem_dialogs import ApproveDialog, writers

        known = self._opened_one()
        if known is None:
            return
        if why := draw.not_in(known, PostmortemState.REVIEW, "approved"):
            self.desk.say("refused", why)
        elif self.desk.who.name in writers(known):
            self.desk.say("refused", "You wrote or submitted it: somebody else has to approve it.")
        elif self.read is None:
            self.desk.say("refused", "Read it first (r): you approve the text that you have read, and no other.")
        else:
            await self.desk.push_screen(ApproveDialog(self._ident, known, self.read))

    async def do_postmortem_send_back(self, _: str) -> None:
        """Turn it down."""
        from console.screens.incidents.postmortem_dialogs import SendBackDialog

        known = self._opened_one()
        if known is None:
            return
        if why := draw.not_in(known, PostmortemState.REVIEW, "sent back"):
            self.desk.say("refused", why)
        else:
            await self.desk.push_screen(SendBackDialog(self._ident, known))

    def hidden(self) -> frozenset[str]:
        """Only what works in this state is offered."""
        state = self._known.state if self._known is not None else None
        return _WORKS_IN_OTHERS.get(state, frozenset()) if self._asked else frozenset()

    def do_postmortem_version(self, _: str) -> None:
        """The version before this one; from the first one back to the newest."""
        known = self._opened_one()
        if known is None:
            return
        earlier = [number for number in known.versions if number < known.version]
        if not earlier and self._version is None:
            self.desk.say("refused", "There is only this version.")
            return
        self._version, self.read = (max(earlier) if earlier else None), None
        self.look()

    async def do_postmortem_export(self, _: str) -> None:
        """Write it into a file."""
        from console.screens.incidents.postmortem_dialogs import ExportDialog

        await self.desk.push_screen(ExportDialog(self._ident, self._known))
