"""The people in windows, elevations and reviews: kept by their accounts' ids, told by name. Owns no table."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth.tables import User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from contract.audit import AuditResult
from contract.errors import ErrorCode


async def acting(session: AsyncSession, caller: Caller, draft: AuditDraft) -> UUID:
    """The account of a person who acts.

    Raises:
        WatchfloorError: NOT_ALLOWED for anything but a person.
    """
    found = None
    if caller.kind == "user":
        found = await session.scalar(select(User.id).where(User.username == caller.subject))
    if found is None:
        raise refused(ErrorCode.NOT_ALLOWED, "Only a signed-in person may do this.", draft)
    return found


def refused(code: ErrorCode, message: str, draft: AuditDraft, hint: str | None = None) -> WatchfloorError:
    """A refusal that is itself recorded."""
    denied = replace(draft, result=AuditResult.DENIED, error_message=message, new_value=None)
    return WatchfloorError(code, message, hint=hint, audit=denied)


async def account_named(session: AsyncSession, name: str, *, lock: bool = False) -> User:
    """An account that can be used.

    Raises:
        WatchfloorError: NOT_FOUND if there is none of that name, or it is disabled.
    """
    wanted = select(User).where(User.username == name.strip().lower(), User.disabled.is_(False))
    user = await session.scalar(wanted.with_for_update() if lock else wanted)
    if user is None:
        raise not_found("account", name)
    return user


async def names_of(session: AsyncSession, idents: Iterable[UUID | None]) -> Mapping[UUID | None, str]:
    """The names of accounts; those of erased people are stand-ins."""
    wanted = {ident for ident in idents if ident is not None}
    rows = await session.execute(select(User.id, User.username).where(User.id.in_(wanted)))
    return {row.id: row.username for row in rows}


async def kept_reason(session: AsyncSession, runtime: Runtime, reason: str) -> str:
    """A reason as it is stored: with surrogates for the names of people in it, so that they can be erased."""
    return await audit.stored_without_names(session, runtime, reason)


async def told_reasons(session: AsyncSession, reasons: Mapping[str, str | None]) -> dict[str, str]:
    """Stored reasons as people wrote them, by whatever names them; with every name that is still known."""
    stored = {ident: reason for ident, reason in reasons.items() if reason}
    return await audit.shown_with_names(session, stored) if stored else {}
