"""How long each imported log is kept: settled by its first import, never changed. Must never guess a shorter time."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.retention_tables import ImportedLog
from backend.context import Runtime
from backend.errors import WatchfloorError
from contract.errors import ErrorCode

_SETTLED_HINT: Final = "Leave --retention out to go on with it, or import under another name."


async def settle(session: AsyncSession, runtime: Runtime, log: str, asked: str | None) -> str:
    """The retention class of an imported log, settled now if this is its first import; the caller holds the log's lock.

    Raises:
        WatchfloorError: INVALID_REQUEST for a class that the policy does not have; CONFLICT if the log has another.
    """
    classes = runtime.policy.retention_classes
    if asked is not None and asked not in classes:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, f"There is no retention {asked!r}: the policy has {', '.join(classes)}."
        )
    known = await session.get(ImportedLog, log)
    if known is None:
        days = classes[asked or runtime.policy.import_retention]
        session.add(ImportedLog(log=log, retention_days=days, first_imported_at=runtime.clock.now()))
        await session.flush()
        return asked or runtime.policy.import_retention
    if asked is not None and classes[asked] != known.retention_days:
        settled = runtime.policy.retention_class(known.retention_days)
        told = f"{log} is kept {settled} since its first import, not {asked}: what is settled stays."
        raise WatchfloorError(ErrorCode.CONFLICT, told, hint=_SETTLED_HINT)
    return runtime.policy.retention_class(known.retention_days)


async def stated_days(session: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """How many days each log is kept; one that is not named, such as `meta`, is kept for ever."""
    imported = await session.execute(select(ImportedLog.log, ImportedLog.retention_days))
    return {log: days for log, days in imported if days is not None} | dict(runtime.policy.audit_days)
