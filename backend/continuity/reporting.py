"""Reports of recovery drills: written out, signed off by somebody else, their findings made follow-up actions.

A service as the area's others: it never commits, and what it changes is in the ledger with it.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Literal

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from backend import events
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.continuity import core, kept, paper
from backend.continuity.mirroring import RESOURCE
from backend.continuity.paper import Around, Signature, document_of
from backend.continuity.report import Facts, canonical, facts_of, proposed_findings, ran_by, sha256_of
from backend.continuity.tables import RecoveryDrillRow
from backend.documents.document import Document, markdown_of
from backend.documents.webpage import html_of
from backend.errors import WatchfloorError
from backend.incidents import service as incidents
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.incidents import FollowUp, FollowUpRequest
from contract.recovery import DrillReport, FindingRequest, RecoveryDrill, SignRequest
from contract.stream import Topic

log = structlog.get_logger(__name__)

_SIGNED: Final = "recovery.report.signed"
Form = Literal["md", "html", "json"]
MAX_FINDINGS: Final = 200
"""Of one report: whoever has more has not decided what matters."""
MIRRORED_S: Final = 2.0
"""Who runs a drill says that it has ended a moment before the tables have its last line."""
_LOOK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Read:
    """A report as the tables have it now."""

    ref: str
    facts: Facts
    around: Around

    @property
    def document(self) -> Document:
        """As a document."""
        return document_of(self.facts, self.around)


async def read(session: AsyncSession, runtime: Runtime, ref: str) -> Read:
    """The report of a drill that has ended: as it was signed, or as its journal tells.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT while it runs.
    """
    row = await kept.row_of(session, ref)
    facts = row.report if row.report is not None else await _facts(session, row)
    findings: list[FollowUp] = []
    if row.incident is not None:
        page = await incidents.follow_ups(
            session, runtime, which="all", owner=None, incident=row.incident, cursor=None, limit=MAX_FINDINGS
        )
        findings = page.items
    return Read(row.ref, facts, Around(row.incident, findings, _signature(row)))


async def _facts(session: AsyncSession, row: RecoveryDrillRow) -> Facts:
    until = asyncio.get_running_loop().time() + MIRRORED_S
    while (run := core.fold(told := await kept.told_of(session, row.ref))).ended is None:
        if asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        raise WatchfloorError(
            ErrorCode.CONFLICT, f"{row.ref} has not ended.", hint="A drill has a report once it has ended."
        )
    return facts_of(run, told)


def _signature(row: RecoveryDrillRow) -> Signature | None:
    if row.signed_by is None or row.signed_at is None:
        return None
    return Signature(row.signed_by, row.signed_at, row.statement or "", row.report_sha256 or "")


async def written(report: Read, form: Form) -> DrillReport:
    """A report in one of its forms; holds no database connection."""
    signature = report.around.signature
    return DrillReport(
        ref=report.ref,
        format=form,
        text=await _text(report, form),
        sha256=sha256_of(report.facts),
        signed_by=None if signature is None else signature.by,
        signed_at=None if signature is None else signature.at,
        proposed_findings=proposed_findings(report.facts),
    )


async def _text(report: Read, form: Form) -> str:
    match form:
        case "md":
            return markdown_of(report.document)
        case "html":
            return await asyncio.to_thread(html_of, report.document)
        case "json":
            return _json(report)


def _json(report: Read) -> str:
    around = report.around
    told = {
        "facts": report.facts,
        "facts_sha256": sha256_of(report.facts),
        "incident": around.incident,
        "findings": [one.model_dump(mode="json") for one in around.findings],
        "proposed_findings": proposed_findings(report.facts),
        "signature": around.signature,
        "standing": paper.standing(report.facts, around.signature),
    }
    return orjson.dumps(told, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()


async def exported(session: AsyncSession, runtime: Runtime, caller: Caller, report: Read, *, sha256: str) -> None:
    """Record that a report left as a file."""
    told = {"format": "pdf", "report_sha256": sha256_of(report.facts), "sha256": sha256}
    draft = _draft(report.ref, "recovery.report.exported", "export report of recovery drill", told)
    await audit.record(session, runtime, caller, draft)


# signing off


async def sign(
    session: AsyncSession, runtime: Runtime, caller: Caller, ref: str, request: SignRequest
) -> RecoveryDrill:
    """Sign off the report that was read, once, as another person than who ran the drill.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT while it runs, once it is signed, and if the report is another one than was
            read; SECOND_PERSON_REQUIRED for whoever had a hand in the drill.
    """
    row = await kept.row_of(session, ref, lock=True)
    if row.signed_by is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{row.ref} is signed already, by {row.signed_by}.")
    facts = await _facts(session, row)
    if caller.subject in ran_by(facts):
        raise _own_drill(row)
    found = sha256_of(facts)
    if found != request.report_sha256:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"That is not the report of {row.ref}: its SHA-256 is {found}, and {request.report_sha256} was signed.",
            hint="Read it again, and sign what you have read.",
        )
    row.signed_by, row.signed_at = caller.subject, runtime.clock.now()
    row.statement, row.report_sha256, row.report = request.statement, found, facts
    told = {"report_sha256": found, "statement": request.statement, "state": row.state}
    draft = _draft(row.ref, _SIGNED, "sign report of recovery drill", told, row.incident)
    await audit.record(session, runtime, caller, draft)
    await _attach(session, runtime, caller, row, facts)
    return await _changed(session, row)


def _own_drill(row: RecoveryDrillRow) -> WatchfloorError:
    told = "A drill's report is signed by somebody who has neither started, stepped nor ended the drill."
    refused = AuditDraft(
        _SIGNED, "sign report of recovery drill", RESOURCE, row.ref,
        result=AuditResult.DENIED, error_message=told, incident=row.incident,
    )  # fmt: skip
    return WatchfloorError(ErrorCode.SECOND_PERSON_REQUIRED, told, audit=refused)


async def _attach(session: AsyncSession, runtime: Runtime, caller: Caller, row: RecoveryDrillRow, facts: Facts) -> None:
    """Keep what was signed as evidence of the drill's incident, byte for byte; a closed record takes none."""
    if row.incident is None:
        return
    named = incidents.Named(f"{row.ref}.json", "application/json", "The facts of the drill's report, as signed")
    try:
        await incidents.attach(session, runtime, caller, row.incident, canonical(facts), named)
    except WatchfloorError as error:
        log.warning("recovery_report_not_attached", drill=row.ref, incident=row.incident, why=error.message)


# findings


async def keep_finding(
    session: AsyncSession, runtime: Runtime, caller: Caller, ref: str, request: FindingRequest
) -> FollowUp:
    """Make a finding a follow-up action of the drill's incident, once for each key.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT for a drill that touched nothing, and past the most there may be.
    """
    row = await kept.row_of(session, ref, lock=True)
    if row.incident is None:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"{row.ref} has no incident that an action could belong to: nothing was touched, or it only begins.",
        )
    key = request.idempotency_key
    if key and (number := row.finding_keys.get(key)) is not None:
        return await incidents.follow_up(session, runtime, row.incident, number)
    if row.findings >= MAX_FINDINGS:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{row.ref} has {MAX_FINDINGS} findings already.")
    wanted = FollowUpRequest(text=request.action, owner=request.owner, due_on=request.due)
    made = await incidents.add_follow_up(session, runtime, caller, row.incident, wanted)
    row.findings += 1
    if key:
        row.finding_keys = {**row.finding_keys, key: made.number}
    told = {"follow_up": made.id, "action": made.text, "owner": made.owner, "due": request.due.isoformat()}
    draft = _draft(row.ref, "recovery.finding.kept", "keep finding of recovery drill", told, row.incident)
    await audit.record(session, runtime, caller, draft)
    await _changed(session, row)
    return made


async def _changed(session: AsyncSession, row: RecoveryDrillRow) -> RecoveryDrill:
    await session.flush()
    drill = kept.shown(row)
    events.publish(session, Topic.RECOVERY, drill)
    return drill


def _draft(ref: str, event: str, action: str, told: Facts, incident: str | None = None) -> AuditDraft:
    return AuditDraft(event, action, RESOURCE, ref, new_value=told, incident=incident)
