"""Sets silences aside whose regular expressions take too long, and says so: they mute nothing that comes from then on.

What one mutes already it mutes until its end. Whoever made it makes another one that asks for less.
"""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.alerts.tables import SilenceRow
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Runtime, system_caller
from contract.alert_work import Matcher

log = structlog.get_logger(__name__)
_CALLER: Final = system_caller("silences")


async def set_aside(session: AsyncSession, runtime: Runtime, idents: Collection[str]) -> None:
    """Have silences tried no more; one that somebody works on is left for the next time.

    Whoever calls has locked alerts, which others take after the silence: nobody is waited for here.
    """
    found = await session.scalars(
        select(SilenceRow)
        .where(SilenceRow.id.in_([UUID(ident) for ident in idents]), SilenceRow.set_aside_at.is_(None))
        .order_by(SilenceRow.id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    for row in found:
        await set_one_aside(session, runtime, row)


async def set_one_aside(session: AsyncSession, runtime: Runtime, row: SilenceRow) -> None:
    """Have a silence tried no more; its row must be locked."""
    if row.set_aside_at is None:
        row.set_aside_at = runtime.clock.now()
        log.warning("silence_set_aside", silence=str(row.id), reason="its regular expressions take too long")
        await audit.record(session, runtime, _CALLER, note(row, "set_aside"))


def note(row: SilenceRow, act: str, **more: Any) -> AuditDraft:
    """The audit entry of an act on a silence."""
    matchers = [str(Matcher.model_validate(one)) for one in row.matchers]
    told = {"matchers": matchers, "from": row.starts_at.isoformat(), "until": row.ends_at.isoformat()}
    return AuditDraft(
        event_type=f"alerts.silence.{act}",
        action=f"silence {act}",
        resource_type="silence",
        resource_id=str(row.id),
        new_value={**told, "comment": row.comment, **more},
    )
