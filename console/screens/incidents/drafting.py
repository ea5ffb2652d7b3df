"""Owns how what is being typed is kept on the server, so that a lost line costs at most a second of it."""

from typing import TYPE_CHECKING, Final

from console.asking import Question
from console.client import postmortems
from console.screens.base import FloorScreen
from console.widgets.lines import Line, line, outside
from contract.postmortem import Draft, DraftRequest

if TYPE_CHECKING:
    from console.client.errors import ClientError

KEEP_S: Final = 1.0
"""How often a text that has changed is sent: what a lost line may cost."""
KEEP: Final = "keep draft"
LOOK: Final = "draft"
DROP: Final = "drop draft"


class DraftingScreen(FloorScreen):
    """A screen on which somebody types what must not be lost."""

    def __init__(self) -> None:
        super().__init__()
        self._draft_key = ""
        """Empty while nothing is being typed."""
        self._kept = ""
        """The text that the server has."""
        self._kept_note = ""
        self._keep_problem = ""

    def typed(self) -> str:
        """The text as it stands."""
        raise NotImplementedError

    def typed_from(self) -> int:
        """The version that the typing began from."""
        return 0

    def draft_found(self, draft: Draft) -> None:
        """There is a draft from before."""
        raise NotImplementedError

    def begin_draft(self, key: str, text: str = "") -> None:
        """Keep what is typed from now on; what was typed before is looked for."""
        self._draft_key, self._kept, self._kept_note, self._keep_problem = key, text, "", ""
        self.ask(LOOK, lambda api: postmortems.draft(api, key), key)

    def on_mount(self) -> None:
        """Look at the text again and again."""
        self.set_interval(KEEP_S, self.keep_draft)

    def keep_draft(self) -> None:
        """Send the text, if it has changed since the server got it."""
        key, busy = self._draft_key, any(self.questions.is_waiting(one) for one in (KEEP, LOOK, DROP))
        if not key or busy or self.desk.api is None or self.typed() == self._kept:
            return
        wanted = DraftRequest(text=self.typed(), base_version=self.typed_from())
        self.ask(KEEP, lambda api: postmortems.keep_draft(api, key, wanted), key)

    def pause_draft(self) -> None:
        """Stop typing; what was typed stays on the server."""
        self.keep_draft()
        self._draft_key = ""

    def end_draft(self) -> None:
        """The text was sent: forget the draft."""
        key, self._draft_key = self._draft_key, ""
        if key and self.desk.api is not None:
            self.questions.forget(KEEP)
            self.ask(DROP, lambda api: postmortems.drop_draft(api, key), key)

    def draft_answered(self, question: Question, value: object) -> bool:
        """Take in what became of a draft; False if the answer is about something else."""
        if question.topic not in {KEEP, LOOK, DROP}:
            return False
        if not isinstance(value, Draft) or question.about != self._draft_key:
            return True
        self._kept, self._keep_problem = value.text, ""
        self._kept_note = f"draft kept {value.updated_at:%H:%M:%S} UTC"
        if question.topic == LOOK:
            self.draft_found(value)
        return True

    def draft_refused(self, question: Question, error: "ClientError") -> bool:
        """A draft that is not kept is said beside the text, again and again tried, and never an error of its own."""
        from console.state.problems import describe, ends_session

        if question.topic not in {KEEP, LOOK, DROP} or ends_session(error):
            return False
        self._keep_problem = describe(error) if question.topic != DROP else ""
        return True

    def draft_note(self) -> Line:
        """Whether what is typed is safe."""
        if self._keep_problem:
            return line((f"draft NOT kept: {outside(self._keep_problem, 200)}", "near"))
        if self.typed() != self._kept:
            return line(("draft not kept yet", "dim"))
        return line((self._kept_note, "dim"))
