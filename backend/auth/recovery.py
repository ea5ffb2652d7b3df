"""Recovery codes: what lets somebody in whose authenticator is lost. Stored hashed, shown once, each works once."""

import base64
import hashlib
import re
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth.identity_tables import RecoveryCode
from backend.context import Runtime

_BYTES = 10
"""80 bits, 16 letters and digits: beyond guessing, so that their hash needs no stretching and no wait."""
_CODE = re.compile(r"[a-z2-7]{16}")
_GROUP_CHARS = 4


def new_code(runtime: Runtime) -> str:
    """A code as it is printed: four groups of four."""
    text = base64.b32encode(runtime.clock.random_bytes(_BYTES)).decode().lower()
    return "-".join(text[start : start + _GROUP_CHARS] for start in range(0, len(text), _GROUP_CHARS))


def looks_like_one(typed: str) -> bool:
    """Whether what stands in the field of the one-time code is meant as a recovery code."""
    return _CODE.fullmatch(_plain(typed)) is not None


def hash_of(typed: str) -> str:
    """What is stored of a code, however its groups were typed."""
    return hashlib.sha256(_plain(typed).encode()).hexdigest()


def _plain(typed: str) -> str:
    return "".join(typed.split()).replace("-", "").lower()


async def replace_all(session: AsyncSession, runtime: Runtime, user_id: UUID) -> list[str]:
    """Make an account's codes anew, so that the old ones end; returns them, to be shown once."""
    await session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = [new_code(runtime) for _ in range(runtime.policy.identity.recovery_codes)]
    now = runtime.clock.now()
    session.add_all(RecoveryCode(user_id=user_id, code_hash=hash_of(code), made_at=now) for code in codes)
    return codes


async def unused(session: AsyncSession, user_id: UUID, typed: str) -> RecoveryCode | None:
    """The account's code that was typed, locked, if it has not been used."""
    return await session.scalar(
        select(RecoveryCode)
        .where(
            RecoveryCode.user_id == user_id,
            RecoveryCode.code_hash == hash_of(typed),
            RecoveryCode.used_at.is_(None),
        )
        .with_for_update()
    )
