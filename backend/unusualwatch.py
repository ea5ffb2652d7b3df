"""Raises an alert about what the audit log has unusually often of one account, and clears it once that is over.

What counts as unusual is the policy's. An alert names nobody: its fact `account` is the surrogate that the audit log is
searched by, so that an erased person is named nowhere.
"""

from collections.abc import Iterator
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.audit import service as audit
from backend.context import Runtime, system_caller
from backend.monitors import Monitor
from backend.policy.alerting import Unusual, UnusualRules
from contract.alerts import Link
from contract.scope import GLOBAL

CHECK_EVERY_S: Final = 15.0
"""How late an alert may be: little beside the minutes that are counted."""
_CALLER = system_caller("unusual-acts")
_NOBODY: Final = "no account"


def rule_of(kind: Unusual) -> str:
    """The alert's rule."""
    return f"UNUSUAL_{kind.value.upper()}"


_EVENTS: Final = {
    Unusual.SIGN_INS: "auth.login.failed",
    Unusual.DENIALS: "auth.permission.denied",
    Unusual.ELEVATIONS: "access.elevation.requested",
}
"""Types of the entries that are counted."""
_ABOUT: Final = frozenset({Unusual.SIGN_INS})
"""Counted by the account that they are about: whoever was refused is nobody yet."""
_SAID: Final = {
    Unusual.SIGN_INS: "sign-ins of one account were refused",
    Unusual.DENIALS: "requests of one account were denied",
    Unusual.ELEVATIONS: "times one account asked for further permissions",
}


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alerts in line with what the audit log has of the last minutes."""
    wanted: dict[str, AlertDraft] = {}
    for kind, rules in runtime.policy.alerts.unusual.items():
        since = runtime.clock.now() - rules.within
        found = await audit.done_often(
            session, runtime.policy.audit_logs, [_EVENTS[kind]], since, rules.count, about=kind in _ABOUT
        )
        wanted |= {draft.fingerprint: draft for draft in _drafts(kind, rules, found)}
    for mark, alert in await alerts.live_of_rules(session, [rule_of(kind) for kind in Unusual]):
        if mark not in wanted:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="it has stopped")
    for draft in wanted.values():
        await alerts.raise_alert(session, runtime, _CALLER, draft)


def _drafts(kind: Unusual, rules: UnusualRules, found: list[audit.Often]) -> Iterator[AlertDraft]:
    for one in found:
        whose = one.who or _NOBODY
        what = _SAID[kind] if one.who else _SAID[kind].replace("of one account", "for names without an account")
        yield AlertDraft(
            fingerprint=f"{rule_of(kind)}|{whose}",
            rule=rule_of(kind),
            severity=rules.severity,
            scope=GLOBAL,
            message=f"{one.number:,} {what} within {rules.minutes:,} minutes; {rules.count:,} are unusual.",
            facts={"account": whose, "number": str(one.number), "minutes": str(rules.minutes)},
            links=[Link(kind="audit", id=f"event_type={_EVENTS[kind]}", label=_EVENTS[kind])],
        )


MONITOR = Monitor(name="unusualwatch", interval_s=CHECK_EVERY_S, tick=tick)
