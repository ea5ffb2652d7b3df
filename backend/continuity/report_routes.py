"""HTTP routes of the reports of recovery drills."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.context import CurrentRuntime
from backend.continuity import reporting
from backend.continuity.reporting import Form
from backend.db import Tx
from backend.demand import Demand, Effect
from backend.documents.pressing import Presses
from backend.guard import Admit, CurrentCaller, needs, states
from backend.openapi import refusals
from contract.errors import ErrorCode
from contract.incidents import FollowUp
from contract.permissions import Permission
from contract.recovery import DrillReport, FindingRequest, RecoveryDrill, SignRequest

router = APIRouter(prefix="/v1/recovery/drills", tags=["recovery"])
_PDF = "application/pdf"
_TAKES = Demand(Permission.VIEW_RECOVERY, Effect.READS, exports=True)
_REFUSED = refusals(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT)


@router.get("/{ref}/report", responses=_REFUSED, **needs(Permission.VIEW_RECOVERY))
async def get_report(
    session: Tx, runtime: CurrentRuntime, ref: str, form: Annotated[Form, Query(alias="format")] = "md"
) -> DrillReport:
    """The report of a drill that has ended, with the hash that is signed."""
    return await reporting.written(await reporting.read(session, runtime, ref), form)


@router.get(
    "/{ref}/report.pdf",
    response_class=Response,
    responses={**_REFUSED, 200: {"content": {_PDF: {}}, "description": "The file"}},
    **states(Permission.VIEW_RECOVERY, exports=True),
)
async def get_report_pdf(request: Request, runtime: CurrentRuntime, ref: str) -> Response:
    """The report of a drill that has ended, as PDF; recorded. No database connection is held while it is printed."""
    admit: Admit = request.app.state.admit
    async with runtime.database.transaction() as session:
        caller = await admit(session, runtime, request, _TAKES)
        report = await reporting.read(session, runtime, ref)
    presses: Presses = request.app.state.presses
    content = await presses.printed(report.document, ())
    sha256 = hashlib.sha256(content).hexdigest()
    async with runtime.database.transaction() as session:
        await reporting.exported(session, runtime, caller, report, sha256=sha256)
    headers = {"content-disposition": f'attachment; filename="{report.ref}.pdf"', "x-content-sha256": sha256}
    return Response(content, media_type=_PDF, headers=headers)


@router.post("/{ref}/sign", responses=_REFUSED, **needs(Permission.SIGN_RECOVERY_REPORTS))
async def sign(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ref: str, request: SignRequest
) -> RecoveryDrill:
    """Sign off the report that was read, named by its SHA-256; not by whoever had a hand in the drill."""
    return await reporting.sign(session, runtime, caller, ref, request)


@router.post("/{ref}/findings", status_code=201, responses=_REFUSED, **needs(Permission.HANDLE_INCIDENTS))
async def keep_finding(
    session: Tx, runtime: CurrentRuntime, caller: CurrentCaller, ref: str, request: FindingRequest
) -> FollowUp:
    """Make a finding of a drill a follow-up action of its incident."""
    return await reporting.keep_finding(session, runtime, caller, ref, request)
