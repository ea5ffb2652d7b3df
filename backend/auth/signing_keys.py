"""Replacing the key that signs session tokens, by hand: out of turn, or because it may have leaked."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import tokens
from backend.auth.tables import Session, SigningKey
from backend.context import Caller, Runtime
from backend.db import after_commit
from contract.sessions import SessionEnd

ROTATED: Final = "auth.signing_key.rotated"


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a rotation has done."""

    kid: str
    """The key that signs from now on."""
    replaced: tuple[str, ...]
    sessions_ended: int


async def rotate(session: AsyncSession, runtime: Runtime, caller: Caller, *, compromised: bool) -> Rotation:
    """Sign session tokens with a new key. The ones before verify until the last session they signed is over.

    `compromised`: whoever holds an old key can sign for any session. All keys lie in one table, so none of them counts
    from now on and is kept: every session ends, at once on every backend.
    """
    now = runtime.clock.now()
    keys = (await session.scalars(select(SigningKey).order_by(SigningKey.kid).with_for_update())).all()
    present = [key for key in keys if key.retired_at is None]
    replaced = tuple(key.kid for key in (keys if compromised else present))
    for key in present:
        key.retired_at = now
    ended = await _end_all(session, runtime) if compromised else 0
    if compromised:
        for key in keys:
            await session.delete(key)
    fresh = tokens.new_key(runtime)
    session.add(fresh)
    told = {"kid": fresh.kid, "replaced": list(replaced), "compromised": compromised, "sessions_ended": ended}
    draft = AuditDraft(ROTATED, "rotate signing key", "signing_key", fresh.kid, new_value=told)
    await audit.record(session, runtime, caller, draft)
    after_commit(session, runtime.callers.stale.set)
    return Rotation(fresh.kid, replaced, ended)


async def _end_all(session: AsyncSession, runtime: Runtime) -> int:
    now = runtime.clock.now()
    ended = await session.scalars(
        update(Session)
        .where(Session.ended_at.is_(None), Session.expires_at > now)
        .values(ended_at=now, end_reason=SessionEnd.KEY_REPLACED.value)
        .returning(Session.id)
    )
    return len(ended.all())
