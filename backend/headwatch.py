"""Raises and clears the alerts about the ledger: its heads, and verifications that failed. Owns no rule of the ledger:
it reads how things stand.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.audit.heads.status import HeadStatus, KeeperState, head_status
from backend.audit.verification.runs import unanswered_failure
from backend.audit.verification_tables import VerificationRun
from backend.context import Runtime, system_caller
from backend.monitors import Monitor
from contract.alerts import Severity
from contract.scope import Scope, ScopeKind

CHECK_EVERY_S: Final = 5.0
"""How late an alert may be; what it reads is a handful of rows."""
FAULT: Final = "LEDGER_FAULT"
UNSIGNED: Final = "LEDGER_UNSIGNED"
UNWITNESSED: Final = "LEDGER_UNWITNESSED"
WITNESS_AWAY: Final = "WITNESS_AWAY"
NOT_AS_WRITTEN: Final = "LEDGER_NOT_AS_WRITTEN"
RULES: Final = (FAULT, UNSIGNED, UNWITNESSED, WITNESS_AWAY, NOT_AS_WRITTEN)
_CALLER = system_caller("ledger")
_EVERYWHERE: Final = Scope(kind=ScopeKind.GLOBAL)


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alerts in line with how things stand."""
    status = await head_status(session, runtime)
    wanted = {draft.fingerprint: draft for draft in _drafts(status, runtime)}
    failed = await unanswered_failure(session)
    if failed is not None:
        draft = _failed_verification(failed)
        wanted[draft.fingerprint] = draft
    for fingerprint, alert in await alerts.live_of_rules(session, RULES):
        if fingerprint not in wanted:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="no longer so")
    for draft in wanted.values():
        await alerts.raise_alert(session, runtime, _CALLER, draft)


def _drafts(status: HeadStatus, runtime: Runtime) -> Iterator[AlertDraft]:
    for fault in status.faults:
        facts = {"log": fault.log, "witnessed": f"{fault.witnessed_size}", "present": f"{fault.own_size}"}
        yield _draft(FAULT, fault.origin, Severity.CRITICAL, str(fault), facts)
    late = runtime.clock.now() - timedelta(seconds=runtime.policy.ledger.witnessed_within_s)
    if _fails_since(status.signer, late):
        yield _draft(UNSIGNED, "signer", Severity.CRITICAL, f"The ledger's heads are unsigned. {status.signer.problem}")
    unwitnessed = [log for log in status.logs if log.unwitnessed_since and log.unwitnessed_since < late]
    if unwitnessed:
        names = ", ".join(log.log for log in unwitnessed)
        message = (
            f"Signed heads are held by fewer than {status.required} witnesses"
            f" ({status.working} of {len(status.witnesses)} do their work): {names}."
        )
        yield _draft(UNWITNESSED, "heads", Severity.CRITICAL, message)
    for witness in status.witnesses:
        if _fails_since(witness, late):
            yield _draft(
                WITNESS_AWAY, witness.name, Severity.HIGH, f"The witness {witness.name} fails. {witness.problem}"
            )


def _failed_verification(run: VerificationRun) -> AlertDraft:
    against = [name for name, verdict in run.verdicts.items() if verdict["outcome"] == "failed"]
    message = f"A verification found that the ledger is not as it was written: {', '.join(sorted(against))}."
    return _draft(NOT_AS_WRITTEN, "ledger", Severity.CRITICAL, message, {"verification": str(run.id)})


def _fails_since(keeper: KeeperState, late: datetime) -> bool:
    return keeper.problem is not None and keeper.since is not None and keeper.since < late


def _draft(rule: str, what: str, severity: Severity, message: str, facts: dict[str, str] | None = None) -> AlertDraft:
    return AlertDraft(
        fingerprint=f"{rule}:{what}",
        rule=rule,
        severity=severity,
        scope=_EVERYWHERE,
        message=message,
        facts=facts or {},
    )


MONITOR = Monitor(name="headwatch", interval_s=CHECK_EVERY_S, tick=tick)
