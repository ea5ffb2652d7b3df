"""Which account somebody at the provider of SSO has: found, made or refused; linked and unlinked beside the database.

A name proves nothing: the provider may give one person's name to another. Somebody is who their subject says, and an
account that exists is never given to whoever comes with its name.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import accounts
from backend.auth.oidc_identity import Identity
from backend.auth.oidc_tables import MAX_ISSUER_CHARS, MAX_SUBJECT_CHARS, SsoIdentity
from backend.auth.tables import Session, User
from backend.context import Caller, Runtime
from backend.db import after_commit
from backend.errors import WatchfloorError, not_found
from backend.policy.sso import SsoAccounts
from contract.auth import Factor
from contract.errors import ErrorCode
from contract.sessions import SessionEnd

_LINKED: Final = "auth.sso.linked"
_UNLINKED: Final = "auth.sso.unlinked"
_ACTION: Final = {_LINKED: "account linked with SSO", _UNLINKED: "account unlinked with SSO"}


@dataclass(frozen=True, slots=True)
class NoAccount:
    """Why somebody whom the provider vouches for has no account here, for the person and for the audit log."""

    message: str
    hint: str
    told: str


async def account_of(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, identity: Identity
) -> User | NoAccount:
    """The account of somebody at the provider, its row locked; made now if the policy says so.

    The role of a made account is what the groups say at each sign-in; a linked one keeps its own, and its holder needs
    a group that stands for it.
    """
    role = runtime.policy.sso.role_of(identity.groups)
    if role is None:
        return NoAccount(
            "None of your groups at the provider stands for a role here.",
            "Ask whoever runs the provider for one of the groups that the policy names.",
            "no group stands for a role",
        )
    link = await session.scalar(
        select(SsoIdentity)
        .where(SsoIdentity.issuer == identity.issuer, SsoIdentity.subject == identity.subject)
        .with_for_update()
    )
    if link is None:
        return await _first(session, runtime, anonymous, identity, role)
    link.signed_in_at = runtime.clock.now()
    user = (await session.scalars(select(User).where(User.id == link.user_id).with_for_update())).one()
    if user.role == role:
        return user
    if not link.made_account:
        return NoAccount(
            f"Your groups at the provider stand for {role}, and {user.username} is {user.role} here.",
            "Ask whoever runs Watchfloor for the role, or whoever runs the provider for the group.",
            "the groups stand for another role",
        )
    await accounts.change_role(session, runtime, _by(anonymous, user), name=user.username, role=role)
    return user


async def link(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, subject: str) -> SsoIdentity:
    """Let somebody at the provider sign in to an account; the same link again is left alone.

    Raises:
        WatchfloorError: INVALID_REQUEST without a provider, or for what cannot be a subject; NOT_FOUND; CONFLICT when
            the account or the person is linked otherwise.
    """
    issuer = _issuer(runtime)
    if not 1 <= len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, "That cannot be a subject: it has 1 to 255 characters.")
    user = await _account(session, runtime, name)
    held = await session.scalars(
        select(SsoIdentity)
        .where(SsoIdentity.issuer == issuer, (SsoIdentity.subject == subject) | (SsoIdentity.user_id == user.id))
        .with_for_update()
    )
    for one in held:
        if (one.subject, one.user_id) == (subject, user.id):
            return one
        whose = "belongs to another account" if one.subject == subject else "is not the one that the account has"
        raise WatchfloorError(
            ErrorCode.CONFLICT, f"That subject {whose}.", hint="Cut the other link first: watchfloor user unlink-sso"
        )
    return await _linked(session, runtime, caller, user, issuer=issuer, subject=subject, made=False)


async def unlink(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str) -> int:
    """Cut an account's link with the provider and end the sessions that came through it; returns how many were open.

    Raises:
        WatchfloorError: INVALID_REQUEST without a provider; NOT_FOUND for no such account, or none that is linked.
    """
    user = await _account(session, runtime, name)
    gone = await session.scalar(
        delete(SsoIdentity)
        .where(SsoIdentity.user_id == user.id, SsoIdentity.issuer == _issuer(runtime))
        .returning(SsoIdentity.user_id)
    )
    if gone is None:
        raise not_found("link of account", name)
    now = runtime.clock.now()
    ended = await session.scalars(
        update(Session)
        .where(
            Session.user_id == user.id,
            Session.ended_at.is_(None),
            Session.expires_at > now,
            Session.factors.contains([Factor.SSO.value]),
        )
        .values(ended_at=now, end_reason=SessionEnd.REVOKED.value)
        .returning(Session.id)
    )
    count = len(ended.all())
    after_commit(session, runtime.callers.stale.set)
    await _record(session, runtime, caller, _UNLINKED, name=name, new={"sessions_ended": count})
    return count


async def _first(
    session: AsyncSession, runtime: Runtime, anonymous: Caller, identity: Identity, role: str
) -> User | NoAccount:
    link_it = f"Whoever runs the backend links it: watchfloor user link-sso NAME --subject {identity.subject}"
    if runtime.policy.sso.accounts is not SsoAccounts.MADE:
        return NoAccount("No account here is linked with you at the provider.", link_it, "not linked with an account")
    name = identity.name.lower()
    if await session.scalar(select(User.id).where(User.username == name)) is not None:
        return NoAccount(
            f"There is already an account {name!r}, and it is not linked with you at the provider.",
            link_it,
            "the name is taken by an account that is not linked",
        )
    try:
        user = await accounts.add_without_password(session, runtime, anonymous, name=name, role=role)
    except WatchfloorError as error:
        if error.code not in {ErrorCode.INVALID_REQUEST, ErrorCode.CONFLICT}:
            raise
        return NoAccount(error.message, link_it, "the account could not be made")
    caller = _by(anonymous, user)
    await _linked(session, runtime, caller, user, issuer=identity.issuer, subject=identity.subject, made=True)
    return user


async def _linked(
    session: AsyncSession, runtime: Runtime, caller: Caller, user: User, *, issuer: str, subject: str, made: bool
) -> SsoIdentity:
    now = runtime.clock.now()
    row = SsoIdentity(
        issuer=issuer,
        subject=subject,
        user_id=user.id,
        made_account=made,
        linked_at=now,
        signed_in_at=now if made else None,
    )
    session.add(row)
    await _record(
        session,
        runtime,
        caller,
        _LINKED,
        name=user.username,
        new={"issuer": issuer, "made_account": made},
    )
    return row


async def _account(session: AsyncSession, runtime: Runtime, name: str) -> User:
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        raise not_found("account", name)
    if user.role == runtime.policy.identity.break_glass_role:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "The break-glass account is for when the provider is away: it has no link."
        )
    return user


def _issuer(runtime: Runtime) -> str:
    issuer = runtime.settings.oidc_issuer
    if not issuer or len(issuer) > MAX_ISSUER_CHARS:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "No provider is set.", hint="WATCHFLOOR_OIDC_ISSUER names it here as well."
        )
    return issuer


def _by(anonymous: Caller, user: User) -> Caller:
    """The caller as the person the provider vouched for."""
    return replace(anonymous, subject=user.username, kind="user", role=user.role)


async def _record(
    session: AsyncSession, runtime: Runtime, caller: Caller, event: str, *, name: str, new: dict[str, Any]
) -> None:
    draft = AuditDraft(event, _ACTION[event], "user", name, new_value=new)
    await audit.record(session, runtime, caller, draft)
