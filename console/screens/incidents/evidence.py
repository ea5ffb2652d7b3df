"""What is kept with an incident: files and answers, each with its hash; attaching more, and saving one."""

import asyncio
import mimetypes
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from console.actions import Context
from console.asking import Call, Question
from console.client import incidents
from console.client.errors import ClientError
from console.client.new_file import write_new
from console.screens.form import SEND, Entry, FormScreen
from console.screens.reading.screen import Row
from console.screens.reading.watched import WatchedScreen
from console.state.new_file import why_not
from console.widgets.incident_parts import evidence_rows, size_text
from console.widgets.lines import Line, line, outside, wrap
from console.widgets.view import View
from contract.alerts import Link
from contract.incidents import MAX_EVIDENCE_BYTES, Evidence, EvidenceQueryRequest
from contract.reasons import MAX_REASON_CHARS

if TYPE_CHECKING:
    from console.client.api import Api

_KINDS = ("alert", "freeze", "executors", "risk", "audit")
_NEEDS_QUERY = frozenset({"alert", "freeze", "audit"})
_OCTETS = "application/octet-stream"


async def attach(api: "Api", ident: str, path: Path, description: str) -> Evidence:
    """Read a file and keep it with an incident.

    Raises:
        ClientError: the file cannot be read or is too large, or the backend refused.
    """
    try:
        content = await asyncio.to_thread(_read, path)
    except OSError as error:
        raise ClientError(f"The file cannot be read: {error.strerror or error}.") from error
    if len(content) > MAX_EVIDENCE_BYTES:
        raise ClientError(f"The file is larger than {size_text(MAX_EVIDENCE_BYTES)}.")
    media_type = mimetypes.guess_type(path.name)[0] or _OCTETS
    return await incidents.attach(api, ident, content, name=path.name, media_type=media_type, description=description)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_EVIDENCE_BYTES + 1)


async def save(api: "Api", ident: str, evidence_id: str, target: Path) -> int:
    """Fetch a piece of evidence and write it; returns its bytes.

    Raises:
        ClientError: the backend refused, or the file cannot be written.
    """
    content = await incidents.content(api, ident, evidence_id)
    return await write_new(target, content)


class EvidenceListScreen(WatchedScreen):
    """All of it, the newest first."""

    CONTEXTS: ClassVar[tuple[Context, ...]] = (Context.EVIDENCE, Context.READING)
    ASKING = "Asking for the evidence."
    IS_PAGE = False

    def __init__(self, ident: str) -> None:
        super().__init__(f"{outside(ident, 20)} Evidence")
        self._ident = ident
        self._known: list[Evidence] = []

    def list_call(self) -> Call:
        """All of it."""
        return lambda api: incidents.evidence(api, self._ident)

    def take(self, items: list[Evidence]) -> None:
        """Keep it."""
        self._known = items

    def said(self) -> tuple[str, str]:
        """How much there is."""
        count, size = len(self._known), sum(one.size_bytes for one in self._known)
        if not count:
            return "", "Nothing is kept with this incident yet."
        pieces = f"{count:,} piece{'' if count == 1 else 's'} of evidence"
        return "ok", f"{pieces}, {size_text(size)}; their hashes are in the ledger."

    def listed(self, now: datetime, view: View) -> list[Row]:
        """Each with its hash."""
        if not self._known:
            return [(line(("n attaches a file, x what Watchfloor answers to a question.", "dim")), None)]
        rows: list[Row] = []
        for one in self._known:
            link = Link(kind="evidence", id=one.id, label="")
            rows += [(row, link) for row in evidence_rows(one, now, view)]
        return rows

    async def follow(self, link: Link) -> None:
        """Save it: a console cannot show a picture."""
        await self.do_evidence_save(link.id)

    # actions

    async def do_evidence_attach(self, _: str) -> None:
        """Attach a file."""
        await self.desk.push_screen(AttachDialog(self._ident))

    async def do_evidence_query(self, _: str) -> None:
        """Attach an answer."""
        await self.desk.push_screen(QueryDialog(self._ident))

    async def do_evidence_save(self, _: str) -> None:
        """Save the selected piece."""
        selected = next((one for one in self._known if self.followed(one.id)), None)
        if selected is None:
            self.desk.say("refused", "Select a piece of evidence.")
        else:
            await self.desk.push_screen(SaveDialog(self._ident, selected))


class _Dialog(FormScreen):
    """A dialog about the evidence of one incident."""

    AUTO_FOCUS = "Field"
    FACTS: ClassVar[str] = ""

    def __init__(self, title: str, ident: str) -> None:
        super().__init__(title)
        self.ident = ident

    def about(self, view: View) -> list[Line]:
        """What it does."""
        return [line((row, "dim")) for row in wrap(self.FACTS, view.width)]

    def answered(self, question: Question, value: object) -> None:  # noqa: ARG002  one topic
        """It is kept."""
        if isinstance(value, Evidence):
            self.done(f"Kept {outside(value.name, 100)}, {size_text(value.size_bytes)}, sha256 {value.sha256[:16]}.")


class AttachDialog(_Dialog):
    """A file of this machine."""

    FIELDS = (
        Entry("file", "File", "on the machine where this console runs", 400),
        Entry("description", "What", "what it shows", MAX_REASON_CHARS),
    )
    BUTTON = "Attach"
    FACTS = "It is kept as it is now, at most 10 MB; its hash goes into the ledger. It cannot be taken away again."

    def __init__(self, ident: str) -> None:
        super().__init__("Attach a file", ident)

    def _path(self) -> Path:
        return Path(self.text("file")).expanduser()

    def missing(self) -> str:
        """A file that is there."""
        if not self.text("file"):
            return "name the file"
        try:
            return "" if self._path().is_file() else "name a file that is there"
        except (OSError, RuntimeError, ValueError):  # too long, of nobody's home directory, with NUL in it
            return "name a file that is there"

    def send(self) -> None:
        """Attach it."""
        path, description = self._path(), self.text("description")
        self.ask(SEND, lambda api: attach(api, self.ident, path, description))


class QueryDialog(_Dialog):
    """What Watchfloor answers now."""

    FIELDS = (
        Entry("kind", "About", ", ".join(_KINDS), 10),
        Entry("query", "Which", "id of the alert or freeze; words for the audit log", 1_000),
        Entry("description", "What", "what it shows", MAX_REASON_CHARS),
    )
    BUTTON = "Attach"
    FACTS = "The backend asks itself and keeps the answer as it is now, with its hash in the ledger."

    def __init__(self, ident: str) -> None:
        super().__init__("Attach an answer", ident)

    def missing(self) -> str:
        """What is asked."""
        if self.text("kind") not in _KINDS:
            return f"write one of {', '.join(_KINDS)}"
        return "say which" if self.text("kind") in _NEEDS_QUERY and not self.text("query") else ""

    def send(self) -> None:
        """Attach it."""
        wanted = EvidenceQueryRequest(
            kind=self.text("kind"), query=self.text("query"), description=self.text("description")
        )
        self.ask(SEND, lambda api: incidents.attach_query(api, self.ident, wanted))


class SaveDialog(_Dialog):
    """Into a file of this machine."""

    FIELDS = (Entry("file", "File", "a new file on the machine where this console runs", 400),)
    BUTTON = "Save"
    FACTS = "The file is written as it was attached. Nothing in it is trustworthy because it is kept here."

    def __init__(self, ident: str, one: Evidence) -> None:
        super().__init__("Save evidence", ident)
        self._one = one

    def sentence(self, view: View) -> Line:  # noqa: ARG002  it says nothing that depends on the room
        """Which piece."""
        return self.headline_line("near", f"{outside(self._one.name, 200)}, sha256 {self._one.sha256}")

    def missing(self) -> str:
        """Where to."""
        return why_not(self.text("file"))

    def send(self) -> None:
        """Save it."""
        target = Path(self.text("file")).expanduser()
        self.ask(SEND, lambda api: save(api, self.ident, self._one.id, target), str(target))

    def answered(self, question: Question, value: object) -> None:
        """Where it is."""
        if isinstance(value, int):
            self.done(f"Wrote {value:,} bytes to {outside(question.about, 200)}.")
