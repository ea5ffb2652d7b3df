"""Two people at one command line: each shows by a one-time code that they are there. For acts beside the database."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import totp
from backend.auth.tables import User
from backend.context import Runtime
from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from contract.permissions import Permission


async def confirm(session: AsyncSession, runtime: Runtime, name: str, code: str, permission: Permission) -> str:
    """Check that an account exists, may do something, and that its holder has just read this code; returns its name.

    Raises:
        WatchfloorError: LOGIN_FAILED, whatever of it is wrong; NOT_ALLOWED without the permission.
    """
    username = name.strip().lower()
    user = await session.scalar(select(User).where(User.username == username).with_for_update())
    step = None
    if user is not None and not user.disabled:
        rules = runtime.policy.sign_in.watchfloor
        step = totp.matching_step(
            user.totp_secret,
            code,
            now=runtime.clock.now(),
            tolerance=rules.totp_steps_of_tolerance,
            after=user.last_totp_step,
        )
    if user is None or step is None:
        raise WatchfloorError(ErrorCode.LOGIN_FAILED, f"The code of {username!r} does not hold.")
    role = runtime.policy.roles.get(user.role)
    if role is None or permission not in role.permissions:
        raise WatchfloorError(ErrorCode.NOT_ALLOWED, f"{username!r} lacks the permission {permission.value}.")
    user.last_totp_step = step
    return username
