"""Accounts for tests: one or two of every role of the policy, and a machine. Signing in costs no password hash."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import accounts, login
from backend.auth.access_tables import AccessWindow
from backend.auth.challenges import needs_key
from backend.auth.tables import User
from backend.context import Caller, Runtime, system_caller
from contract.auth import Factor
from contract.permissions import Permission

PASSWORD = "a test person's password"
PASSWORD_HASH = "$argon2id$v=19$m=65536,t=3,p=4$Merfod2+ZKjJZpwbcFqJqg$yqL5nd8iibO0V+67JPHoUJOQoNzovOaxjJhP31rAkXg"
"""The hash of PASSWORD: made once, because making one takes as long as a small test."""
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
EXECUTOR_TOKEN = "wfs_a-test-machines-token"
EXECUTOR_PERMISSIONS = frozenset({Permission.RENEW_PERMIT, Permission.IMPORT_TRANSACTIONS})


@dataclass(frozen=True)
class Person:
    """A test account; its role is one of the policy's, or `service` for a machine."""

    name: str
    role: str
    kind: Literal["user", "service"] = "user"


OPERATOR = Person("olga", "mev_operator")
ADMIN = Person("adam", "mev_admin")
ADMIN2 = Person("anna", "mev_admin")
OFFICER = Person("oscar", "compliance_officer")
OFFICER2 = Person("ophelia", "compliance_officer")
AUDITOR = Person("aurora", "external_auditor")
EXECUTOR = Person("test-executors", "service", "service")
PEOPLE = (OPERATOR, ADMIN, ADMIN2, OFFICER, OFFICER2, AUDITOR)
"""Every role is held by at least one."""
_LONG = timedelta(days=365)
_NOBODY = Caller(
    subject="anonymous", kind="anonymous", role="anonymous", permissions=frozenset(), request_id="test", ip="127.0.0.1"
)


async def sign_in(runtime: Runtime, person: Person) -> str:
    """Create the account if needed and return a session token, or a machine's token."""
    async with runtime.database.transaction() as session:
        if person.kind == "service":
            return await accounts.ensure_service_token(
                session,
                runtime,
                system_caller("test"),
                name=person.name,
                permissions=EXECUTOR_PERMISSIONS,
                token=f"{EXECUTOR_TOKEN}-{person.name}",
            )
        user = await session.scalar(select(User).where(User.username == person.name))
        if user is None:
            user = User(
                id=runtime.clock.new_id(),
                username=person.name,
                role=person.role,
                password_hash=PASSWORD_HASH,
                totp_secret=TOTP_SECRET,
                last_totp_step=0,
                failed_logins=0,
                disabled=False,
                created_at=runtime.clock.now(),
            )
            session.add(user)
            await session.flush()
            await let_in(session, runtime, user)
        answer = await login.open_session(session, runtime, _NOBODY, user, all_factors(runtime, person.role))
        return answer.token


async def let_in(session: AsyncSession, runtime: Runtime, user: User) -> None:
    """Open an access window for somebody whose role needs one, from long ago until long from now."""
    role = runtime.policy.roles.get(user.role)
    if role is not None and role.restrictions.time_based_access:
        now = runtime.clock.now()
        session.add(
            AccessWindow(
                id=runtime.clock.new_id(),
                user_id=user.id,
                starts_at=now - _LONG,
                ends_at=now + _LONG,
                reason="the tests",
                granted_at=now,
            )
        )


def all_factors(runtime: Runtime, role: str) -> tuple[Factor, ...]:
    """What somebody of a role shows to sign in."""
    both = (Factor.PASSWORD, Factor.TOTP)
    return (*both, Factor.HARDWARE_KEY) if needs_key(runtime, role) else both
