"""How many sign-ins through SSO may wait for their people, and which makes room for another. Asks no provider.

Nobody is refused because others wait: whoever begins many loses their own oldest ones, and only those.
"""

import hashlib
from ipaddress import ip_address
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth.oidc_tables import SsoSignIn
from backend.context import Runtime
from backend.limits_core import address_group
from backend.policy.sso import SsoRules

PER_ADDRESS: Final = 5
"""A person begins anew a few times before a code is entered; people behind one address rarely do so in one minute."""
_DIGEST_BYTES: Final = 16
_LOCAL: Final = "local"
_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('sso sign-ins', 0))")


def whence(runtime: Runtime, ip: str | None) -> str:
    """What stands for an address in the table: says whose it is to nobody without the backends' key."""
    group = _LOCAL if _is_local(runtime, ip) else address_group(str(ip))
    key = runtime.keyring.limits[: hashlib.blake2b.MAX_KEY_SIZE]
    return hashlib.blake2b(f"sso {group}".encode(), key=key, digest_size=_DIGEST_BYTES).hexdigest()


async def make_room(session: AsyncSession, runtime: Runtime, rules: SsoRules, ip: str | None) -> None:
    """End what keeps one more sign-in from waiting: expired ones, the address's own, the oldest of the most crowded.

    The backend's own host, which everybody there shares, has no bound of its own. Others wait until this transaction
    ends, so that the bounds hold.
    """
    await session.execute(_ONE_AT_A_TIME)
    await session.execute(delete(SsoSignIn).where(SsoSignIn.expires_at <= runtime.clock.now()))
    if not _is_local(runtime, ip):
        await _end_oldest(session, whence(runtime, ip), keeping=PER_ADDRESS - 1)
    waiting = await session.scalar(select(func.count()).select_from(SsoSignIn)) or 0
    for _ in range(waiting - rules.sign_ins_at_once + 1):
        many = func.count()
        of = await session.execute(
            select(SsoSignIn.whence, many).group_by(SsoSignIn.whence).order_by(many.desc(), SsoSignIn.whence).limit(1)
        )
        crowded, there = of.one()
        await _end_oldest(session, crowded, keeping=there - 1)


async def _end_oldest(session: AsyncSession, of: str, *, keeping: int) -> None:
    newest_first = select(SsoSignIn.ticket_hash).where(SsoSignIn.whence == of)
    beyond = newest_first.order_by(SsoSignIn.created_at.desc(), SsoSignIn.ticket_hash).offset(keeping)
    await session.execute(delete(SsoSignIn).where(SsoSignIn.ticket_hash.in_(beyond)))


def _is_local(runtime: Runtime, ip: str | None) -> bool:
    if ip is None:
        return True
    return any(ip_address(ip) in local for local in runtime.policy.sign_in.watchfloor.local_networks)
