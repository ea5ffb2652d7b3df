"""One function per route about post-mortems and drafts: typed arguments in, contract models out. No rule lives here."""

from typing import Final
from urllib.parse import quote

from console.client.api import Api
from console.client.errors import ApiError
from console.client.incidents import of
from contract.base import Page
from contract.errors import ErrorCode
from contract.postmortem import (
    ApprovePostmortemRequest,
    Draft,
    DraftRequest,
    ExportFormat,
    ImportedReport,
    OpenPostmortemRequest,
    Postmortem,
    PostmortemTemplates,
    ReportImportRequest,
    ReportText,
    SectionAnswer,
    SectionEdit,
    SendBackRequest,
)

_POSTMORTEM: Final = "postmortem"
_REPORTS: Final = "incidents/reports"


async def templates(api: Api) -> PostmortemTemplates:
    """What a post-mortem can be opened from."""
    return await api.ask("incidents/templates", PostmortemTemplates)


async def open_one(api: Api, ident: str, template: str = "incident") -> Postmortem:
    """Open the post-mortem of an incident, or the next version of an approved one."""
    return await api.act(of(ident, _POSTMORTEM), Postmortem, OpenPostmortemRequest(template=template))


async def postmortem(api: Api, ident: str, version: int | None = None) -> Postmortem:
    """A post-mortem, its newest version unless told otherwise."""
    return await api.ask(of(ident, _POSTMORTEM), Postmortem, {"version": version})


async def find(api: Api, ident: str) -> Postmortem | None:
    """The newest version of a post-mortem; None where nobody has opened one."""
    try:
        return await postmortem(api, ident)
    except ApiError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        raise


async def edit(api: Api, ident: str, key: str, wanted: SectionEdit) -> SectionAnswer:
    """Put the text of a section in place; others' edits of other lines are kept."""
    return await api.change(of(ident, _POSTMORTEM, "sections", key), SectionAnswer, wanted, method="PUT")


async def submit(api: Api, ident: str) -> Postmortem:
    """Ask for it to be approved."""
    return await api.act(of(ident, _POSTMORTEM, "submit"), Postmortem)


async def send_back(api: Api, ident: str, wanted: SendBackRequest) -> Postmortem:
    """Turn a submitted one down."""
    return await api.act(of(ident, _POSTMORTEM, "send-back"), Postmortem, wanted)


async def approve(api: Api, ident: str, wanted: ApprovePostmortemRequest) -> Postmortem:
    """Approve the text that was read."""
    return await api.act(of(ident, _POSTMORTEM, "approve"), Postmortem, wanted)


async def export(api: Api, ident: str, form: ExportFormat, version: int | None = None) -> bytes:
    """An incident with its post-mortem in a format."""
    return await api.fetch(of(ident, "export"), {"format": form.value, "version": version})


async def draft(api: Api, key: str) -> Draft | None:
    """What the caller had typed and not sent; None without any."""
    try:
        return await api.ask(_draft(key), Draft)
    except ApiError as error:
        if error.code is ErrorCode.NOT_FOUND:
            return None
        raise


async def keep_draft(api: Api, key: str, wanted: DraftRequest) -> Draft:
    """Keep what is being typed."""
    return await api.change(_draft(key), Draft, wanted, method="PUT")


async def drop_draft(api: Api, key: str) -> None:
    """Forget what was typed."""
    await api.drop(_draft(key))


def _draft(key: str) -> str:
    return f"drafts/{quote(key, safe='')}"


async def import_report(api: Api, wanted: ReportImportRequest) -> ImportedReport:
    """Take in a report that was written elsewhere."""
    return await api.act(_REPORTS, ImportedReport, wanted)


async def reports(
    api: Api, *, limit: int | None = None, cursor: str | None = None, **where: str | None
) -> Page[ImportedReport]:
    """Reports written elsewhere, newest import first; `where` names q and collection."""
    return await api.ask(_REPORTS, Page[ImportedReport], {"limit": limit, "cursor": cursor, **where})


async def report(api: Api, ident: str) -> ReportText:
    """A report written elsewhere, with its text."""
    return await api.ask(f"{_REPORTS}/{quote(ident, safe='')}", ReportText)
