"""Writes down when machines' tokens were used, and warns before they end. Lets nobody in and keeps nobody out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Final

import psycopg
import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.auth import machine_rows
from backend.auth.tables import ServiceToken
from backend.context import Runtime, system_caller
from backend.monitors import Monitor
from contract.alerts import Severity
from contract.scope import Scope, ScopeKind

log = structlog.get_logger(__name__)

EXPIRING: Final = "SERVICE_TOKEN_EXPIRING"
"""The alert about a token that ends soon."""
CHECK_EVERY_S: Final = 60.0
"""Tokens end in days."""
WRITE_EVERY_S: Final = 5.0
"""How late a use is written that nobody waits for."""
_PAUSE_S: Final = 0.2
"""A burst of first uses is written together."""
_WRITE_LIMIT_S: Final = 2.0
"""A database that takes longer is away; the end of the process waits for it at most so long."""
_URGENT_DAYS: Final = 2
"""Days before its end on which a token is no longer just something to plan."""
_CALLER: Final = system_caller("access-monitor")
# In one order for all, so that backends that write the same tokens wait for one another and never in a circle.
_WRITE = text(
    "WITH used AS (SELECT * FROM unnest(CAST(:digests AS text[]), CAST(:at AS timestamptz[])) AS q(digest, at)),"
    " found AS ("
    "  SELECT kept.id, used.at, used.digest FROM used JOIN service_tokens AS kept ON kept.token_hash = used.digest"
    "  UNION ALL"
    "  SELECT kept.id, used.at, NULL FROM used JOIN service_tokens AS kept ON kept.previous_hash = used.digest"
    " ), due AS (SELECT id, max(at) AS at, max(digest) AS present FROM found GROUP BY id),"
    " locked AS (SELECT due.* FROM service_tokens AS kept JOIN due USING (id)"
    "  WHERE kept.last_used_at IS NULL OR kept.last_used_at <= due.at - interval '1 minute'"
    "   OR (due.present IS NOT NULL AND kept.taken_up_at IS NULL)"
    "  ORDER BY id FOR NO KEY UPDATE OF kept)"
    # the secret is compared again: the token may have been rotated while its lock was waited for
    " UPDATE service_tokens AS kept SET last_used_at = greatest(kept.last_used_at, locked.at),"
    "  taken_up_at = CASE WHEN kept.token_hash = locked.present THEN coalesce(kept.taken_up_at, locked.at)"
    "   ELSE kept.taken_up_at END"
    " FROM locked WHERE kept.id = locked.id"
)


async def write_uses(session: AsyncSession, uses: dict[str, datetime]) -> None:
    """Write uses down, by the hash of the secret: at most one a minute and token, however many backends saw some.

    The first use of a new secret is always written, and ends the one before.
    """
    if uses:
        await session.execute(_WRITE, {"digests": list(uses), "at": list(uses.values())})


@asynccontextmanager
async def writing_uses(runtime: Runtime) -> AsyncIterator[None]:
    """Write uses down while the context is open, and the last ones at its end."""
    task = asyncio.create_task(_write_for_ever(runtime), name="token uses")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await _write(runtime)


async def _write_for_ever(runtime: Runtime) -> None:
    due = runtime.token_use.due
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_EVERY_S):
                await due.wait()
        due.clear()
        await _write(runtime)
        await asyncio.sleep(_PAUSE_S)


async def _write(runtime: Runtime) -> None:
    uses = runtime.token_use.taken()
    if not uses:
        return
    try:
        async with asyncio.timeout(_WRITE_LIMIT_S), runtime.database.transaction() as session:
            await write_uses(session, uses)
    except (SQLAlchemyError, psycopg.Error, OSError, TimeoutError) as error:
        runtime.token_use.again(uses)
        log.debug("token_uses_not_written", error=type(error).__name__)
    # the task's boundary: it must outlive whatever it meets
    except Exception:
        log.exception("token_uses_failed")


async def tick(session: AsyncSession, runtime: Runtime) -> None:
    """Bring the alerts about tokens that end soon in line with the tokens."""
    now, rules = runtime.clock.now(), runtime.policy.service_tokens
    rows = await session.scalars(
        select(ServiceToken)
        .where(ServiceToken.disabled.is_(False), ServiceToken.expires_at <= now + timedelta(days=rules.warning_days))
        .where(ServiceToken.expires_at > now - timedelta(days=rules.warning_days))
        .order_by(ServiceToken.expires_at, ServiceToken.name)
        .limit(alerts.MAX_LIVE_OF_RULE)
    )
    wanted = {draft.fingerprint: draft for draft in (_expiring(row, now) for row in rows)}
    for fingerprint, alert in await alerts.live_of_rules(session, [EXPIRING]):
        if fingerprint not in wanted:
            await alerts.clear_alert(session, runtime, _CALLER, alert.id, why="no longer so")
    for draft in wanted.values():
        await alerts.raise_alert(session, runtime, _CALLER, draft)


def _expiring(row: ServiceToken, now: datetime) -> AlertDraft:
    ends = "ended" if row.expires_at <= now else "ends"
    urgent = row.expires_at - now <= timedelta(days=_URGENT_DAYS)
    subject = machine_rows.subject_of(row.name, row.permissions)
    return AlertDraft(
        # another one for the last days, so that an alert somebody has acknowledged does not keep quiet until the end
        fingerprint=f"{EXPIRING}:{row.id}:{row.expires_at:%Y-%m-%d}:{'last' if urgent else 'soon'}",
        rule=EXPIRING,
        severity=Severity.HIGH if urgent else Severity.MEDIUM,
        scope=Scope(kind=ScopeKind.GLOBAL),
        message=f"The token of {subject} {ends} at {row.expires_at:%Y-%m-%d %H:%M} UTC. Rotate it.",
        facts={"token": row.name, "expires_at": row.expires_at.isoformat()},
    )


MONITOR = Monitor(name="service tokens", interval_s=CHECK_EVERY_S, tick=tick)
