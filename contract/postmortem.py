"""Wire types of post-mortems: sections that several people write at once, approval, exports, drafts, imports."""

from enum import StrEnum

from pydantic import Field, field_validator

from contract.base import UtcDatetime, Wire, WireRequest, storable
from contract.incidents import Why
from contract.states import PostmortemState as PostmortemState  # noqa: PLC0414  part of what this module offers

MAX_SECTION_CHARS = 100_000
"""Far above any section of the reports we have seen."""
MAX_VERSION = 2**31 - 1
"""What the database counts to."""
MAX_REPORT_CHARS = 1_000_000
"""Of an imported report."""
DRAFT_KEY = r"^[a-z]+(:[A-Za-z0-9 _.-]{1,80}){0,4}$"
"""note:INC-2026-001, postmortem:INC-2026-001:root_cause."""


class PostmortemSection(Wire):
    """One section as it stands."""

    key: str
    """root_cause"""
    title: str
    text: str
    """Markdown."""
    version: int
    edited_by: str | None = None
    """None: made from the record, and nobody has changed it."""
    edited_at: UtcDatetime | None = None
    unwritten: bool = False
    """It is empty, or tells what no record knows and nobody has written it: so it cannot be submitted."""


class Postmortem(Wire):
    """One version of an incident's post-mortem."""

    incident: str
    version: int
    """1; an amendment of an approved one is the next."""
    template: str
    """incident (the document's), or sre."""
    state: PostmortemState
    sections: list[PostmortemSection]
    created_by: str
    created_at: UtcDatetime
    submitted_by: str | None = None
    submitted_at: UtcDatetime | None = None
    approved_by: str | None = None
    approved_at: UtcDatetime | None = None
    sent_back_why: str | None = None
    sha256: str | None = None
    """Of the approved Markdown; also in the audit ledger."""
    versions: list[int] = []
    """All there are, this one among them."""


class PostmortemTemplate(Wire):
    """What a post-mortem can be opened from."""

    name: str
    sections: list[str]
    """Their titles, in order."""


class PostmortemTemplates(Wire):
    """The templates of the policy, the compliance document's own first."""

    items: list[PostmortemTemplate]


class OpenPostmortemRequest(WireRequest):
    """Open the post-mortem of an incident, or amend the approved one."""

    template: str = Field(default="incident", max_length=50)


class SectionEdit(WireRequest):
    """The text of a section after somebody has edited it."""

    text: str = Field(max_length=MAX_SECTION_CHARS)
    base_version: int = Field(ge=0, le=MAX_VERSION)
    """The section's version that the editing began from."""

    _text = field_validator("text")(storable)


class EditOutcome(StrEnum):
    """What became of an edit."""

    SAVED = "saved"
    MERGED = "merged"
    """Others had edited other lines since: both are in `section`."""
    CONFLICT = "conflict"
    """Others have edited the same lines: nothing was saved; `conflict` has both, to be resolved and sent again."""


class SectionAnswer(Wire):
    """What became of an edit, and the section as it stands."""

    outcome: EditOutcome
    section: PostmortemSection
    conflict: str | None = None
    """The merged text, both versions of each contested passage between marks."""


class SendBackRequest(WireRequest):
    """Turn a submitted post-mortem down."""

    why: Why


class ApprovePostmortemRequest(WireRequest):
    """Approve what one has read."""

    sha256: str = Field(min_length=64, max_length=64)
    """Of the Markdown export that was read: an approval of anything else is refused."""


class ExportFormat(StrEnum):
    """What an incident can be written out as."""

    MARKDOWN = "markdown"
    HTML = "html"
    PDF = "pdf"
    JSON = "json"
    OCSF = "ocsf"


class ReportImportRequest(WireRequest):
    """A report in Markdown that was written elsewhere."""

    name: str = Field(min_length=1, max_length=300)
    """Its file's path, which may hold its date; the same name and text again changes nothing."""
    text: str = Field(min_length=1, max_length=MAX_REPORT_CHARS)
    collection: str = Field(default="imported", max_length=100)

    _texts = field_validator("name", "text", "collection")(storable)


class ImportedReport(Wire):
    """What was found in an imported report."""

    id: str
    """IMP-0001"""
    name: str
    collection: str
    title: str
    date: str | None = None
    """2021-05-26; None: it names none."""
    sections: list[str]
    sha256: str
    chars: int
    unchanged: bool = False


class ReportText(Wire):
    """An imported report with its text, as it was given."""

    report: ImportedReport
    text: str


class Draft(Wire):
    """What somebody had typed and not sent; only they can read it."""

    key: str
    text: str
    base_version: int = 0
    updated_at: UtcDatetime


class DraftRequest(WireRequest):
    """Keep what is being typed."""

    text: str = Field(max_length=MAX_SECTION_CHARS)
    base_version: int = Field(default=0, ge=0, le=MAX_VERSION)

    _text = field_validator("text")(storable)
