"""Owns how what is being typed is kept on the server, so that a lost line costs at most a second of it.

One request at a time, so that none overtakes another: what is there is looked at before it is written over, and a
draft is dropped only after the last text that was on its way to it. Must never say that a text is kept before it is.
"""

from collections.abc import Callable
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
_TOPICS: Final = frozenset({KEEP, LOOK, DROP})
_DIED: Final = "the console failed while it was being sent"


class DraftingScreen(FloorScreen):
    """A screen on which somebody types what must not be lost."""

    def __init__(self) -> None:
        super().__init__()
        self._draft_key = ""
        """Empty while nothing is being typed."""
        self._looked = False
        """Whether it is known what the server had: until then nothing is written over it."""
        self._kept = ""
        """The text that the server has."""
        self._kept_note = ""
        self._keep_problem = ""
        self._drop_key = ""
        """The draft that is to be dropped as soon as nothing is on its way to it."""
        self._then: Callable[[], None] | None = None
        """What waits until the server has done what it was asked for."""

    def typed(self) -> str:
        """The text as it stands."""
        raise NotImplementedError

    def typed_from(self) -> int:
        """The version that the typing began from."""
        return 0

    def draft_found(self, draft: Draft) -> None:
        """There is a draft from before."""
        raise NotImplementedError

    def not_kept(self, why: str) -> None:
        """Whoever wanted to leave stays, because the text is not kept."""
        raise NotImplementedError

    # beginning and ending

    def begin_draft(self, key: str, text: str = "") -> None:
        """Keep what is typed from now on; what was typed before is looked for."""
        self._draft_key, self._kept, self._kept_note, self._keep_problem = key, text, "", ""
        self._looked, self._then = False, None
        self._go_on()

    def leave_draft(self, then: Callable[[], None]) -> None:
        """Stop typing and do something else once the server has the text; else `not_kept` says why it has not."""
        if self.desk.api is None:
            self.not_kept("nobody is signed in.")
            return
        self._then = then
        self._go_on()

    def renew_draft(self, text: str) -> None:
        """The text was sent, or is not wanted: forget its draft, and go on typing from another."""
        self._drop_key = self._seen_key
        self._kept, self._kept_note, self._keep_problem = text, "", ""
        self._go_on()

    def end_draft(self, then: Callable[[], None] | None = None) -> None:
        """The text was sent: forget its draft, then do something else, whatever became of it."""
        self._drop_key, self._draft_key = self._seen_key or self._drop_key, ""
        self._then = then
        self._go_on()

    @property
    def _seen_key(self) -> str:
        """The draft, if it is known what it held: one that nobody has seen is not dropped."""
        return self._draft_key if self._looked else ""

    def close_draft(self, then: Callable[[], None]) -> None:
        """Nothing is typed, then do something else; a draft that was not seen yet stays."""
        if self._kept_note:
            self.end_draft(then)
        else:
            self._draft_key, self._then = "", None
            then()

    # one request after the other

    def on_mount(self) -> None:
        """Look at the text again and again."""
        self.set_interval(KEEP_S, self.keep_draft)

    def keep_draft(self) -> None:
        """Send the text, if it has changed since the server got it."""
        self._go_on()

    def _go_on(self) -> None:
        """Do what is due next, unless something is under way; its answer comes here again."""
        api, key = self.desk.api, self._draft_key
        if any(self.questions.is_waiting(one) for one in _TOPICS):
            return
        if api is not None and (dropped := self._drop_key):
            self.ask(DROP, lambda api: postmortems.drop_draft(api, dropped), dropped)
        elif api is not None and key and not self._looked:
            self.ask(LOOK, lambda api: postmortems.draft(api, key), key)
        elif api is not None and key and self.typed() != self._kept:
            wanted = DraftRequest(text=self.typed(), base_version=self.typed_from())
            self.ask(KEEP, lambda api: postmortems.keep_draft(api, key, wanted), key)
        elif self._then is not None:
            then, self._then, self._draft_key = self._then, None, ""
            then()

    def draft_answered(self, question: Question, value: object) -> bool:
        """Take in what became of a draft; False if the answer is about something else."""
        if question.topic not in _TOPICS:
            return False
        if question.topic == DROP:
            self._drop_key = ""
        elif question.about == self._draft_key and not self._drop_key:
            self._taken_in(question.topic, value)
        if self._then is not None or self._drop_key:
            self._go_on()
        return True

    def _taken_in(self, topic: str, value: object) -> None:
        self._looked, self._keep_problem = True, ""
        if not isinstance(value, Draft):
            return
        self._kept, self._kept_note = value.text, f"draft kept {value.updated_at:%H:%M:%S} UTC"
        if topic == LOOK:
            self.draft_found(value)

    def draft_refused(self, question: Question, error: "ClientError") -> bool:
        """A draft that is not kept is said beside the text, again and again tried, and never an error of its own."""
        from console.state.problems import describe, ends_session

        if question.topic not in _TOPICS:
            return False
        if ends_session(error):
            self._then = None
            return False
        self._keep_failed(question.topic, describe(error))
        return True

    def draft_died(self, question: Question) -> None:
        """Nobody knows what became of it: the text counts as not kept."""
        if question.topic in _TOPICS:
            self._keep_failed(question.topic, _DIED)

    def _keep_failed(self, topic: str, why: str) -> None:
        if topic == DROP:
            self._drop_failed(why)
            return
        self._keep_problem = why
        if self._drop_key:
            self._go_on()
        elif self._then is not None:
            self._then = None
            self.not_kept(why)

    def _drop_failed(self, why: str) -> None:
        """One that is left over is offered again: nothing is lost, and nobody has to wait for it."""
        self._drop_key = ""
        if self._then is not None:
            self._go_on()
        else:
            self.desk.say("error", f"The draft is still kept, and will be offered again: {outside(why, 200)}")

    def draft_note(self) -> Line:
        """Whether what is typed is safe."""
        if self._keep_problem:
            return line((f"draft NOT kept: {outside(self._keep_problem, 200)}", "near"))
        if self._then is not None and self._draft_key:
            return line(("keeping what you have typed", "dim"))
        if self.typed() != self._kept:
            return line(("draft not kept yet", "dim"))
        return line((self._kept_note, "dim"))
