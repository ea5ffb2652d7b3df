"""The route of acts on alerts. It stands here because it asks for people: the area of accounts raises alerts itself.

Decides nothing about alerts: see `backend.alerts.acts`.
"""

from fastapi import APIRouter

from backend.alerts import acts
from backend.auth import service as auth
from backend.context import CurrentRuntime
from backend.db import Tx
from backend.guard import CurrentCaller, needs
from backend.openapi import refusals
from contract.alert_work import AlertActAnswer, AlertActRequest
from contract.errors import ErrorCode
from contract.permissions import Permission

router = APIRouter(tags=["alerts"])


@router.post("/v1/alerts/acts", responses=refusals(ErrorCode.NOT_FOUND), **needs(Permission.ACKNOWLEDGE_ALERTS))
async def act_on_alerts(
    body: AlertActRequest, session: Tx, runtime: CurrentRuntime, caller: CurrentCaller
) -> AlertActAnswer:
    """Acknowledge, assign, note or escalate one alert or many; those it cannot be done to are named with the reason."""
    acts.refuse_senseless(body)
    to = None if body.to is None else (await auth.account_named(session, body.to)).username
    return await acts.act(session, runtime, caller, body, to=to)
