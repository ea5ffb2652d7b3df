"""Alerts that acts around signing in raise: whoever is on duty has to look, and clears them by acknowledging."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import ACKNOWLEDGEMENT, CLEARS_ON, AlertDraft
from backend.context import Runtime, system_caller
from contract.alerts import Severity
from contract.scope import Scope, ScopeKind

_CALLER = system_caller("sign-in")


async def say(
    session: AsyncSession, runtime: Runtime, *, rule: str, account: str, severity: Severity, message: str
) -> None:
    """Raise an alert about an account, in the transaction of what it is about."""
    draft = AlertDraft(
        fingerprint=f"{rule}|{account}|{runtime.clock.now():%Y-%m-%dT%H:%M:%S.%f}",
        rule=rule,
        severity=severity,
        scope=Scope(kind=ScopeKind.GLOBAL),
        message=message,
        facts={CLEARS_ON: ACKNOWLEDGEMENT, "account": account},
    )
    await alerts.raise_alert(session, runtime, _CALLER, draft)
