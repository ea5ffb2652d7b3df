"""Challenges to hardware keys as rows: made, answered once, judged by `hardware`. Opens no session, allows no act."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import loud
from backend.auth.hardware import challenge as asking
from backend.auth.hardware.challenge import NONCE_BYTES, Enrolled
from backend.auth.hardware.errors import ChallengeExpiredError, ClonedKeyError, HardwareRefusedError
from backend.auth.hardware.keys import parse_blob
from backend.auth.identity_tables import HardwareChallengeRow, HardwareKeyRow
from backend.auth.tables import User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from contract.alerts import Severity
from contract.audit import AuditResult
from contract.errors import ErrorCode
from contract.hardware import HardwareAct, HardwareAnswer, HardwareChallenge, HardwareStatement
from contract.sshwire import MalformedError, decode64

RULE_CLONED = "hardware_key_cloned"
_KEPT = timedelta(days=1)
"""Spent and expired challenges are of no use to anybody; a day helps whoever looks into something."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of an answer. With a refusal nothing is proved; without, the key of `user` was touched for `row`."""

    row: HardwareChallengeRow | None
    user: User | None
    refusal: HardwareRefusedError | None


def needs_key(runtime: Runtime, role_name: str) -> bool:
    """Whether holders of a role sign in, and approve, with a hardware key."""
    role = runtime.policy.roles.get(role_name)
    return role is not None and role.needs_hardware_key


async def issue(
    session: AsyncSession,
    runtime: Runtime,
    user: User,
    *,
    act: HardwareAct,
    about: str = "",
    origin: str,
    session_id: UUID | None = None,
    factors: Sequence[str] = (),
) -> HardwareChallenge:
    """Make a challenge that one of the account's keys may answer, once and soon.

    Raises:
        WatchfloorError: NOT_ALLOWED, the account has no key that counts.
    """
    now, rules = runtime.clock.now(), runtime.policy.identity
    keys = [row for row in await keys_of(session, user.id) if row.cloned_at is None]
    if not keys:
        raise _no_key(user)
    old = delete(HardwareChallengeRow).where(
        HardwareChallengeRow.user_id == user.id, HardwareChallengeRow.expires_at < now - _KEPT
    )
    await session.execute(old)
    row = HardwareChallengeRow(
        id=runtime.clock.new_id(),
        user_id=user.id,
        session_id=session_id,
        act=act.value,
        about=about,
        origin=origin,
        nonce=base64.urlsafe_b64encode(runtime.clock.random_bytes(NONCE_BYTES)).decode().rstrip("="),
        factors=list(factors),
        created_at=now,
        expires_at=now + timedelta(seconds=rules.challenge_seconds),
    )
    session.add(row)
    return asking.challenge(
        _statement(row, user.username),
        [parse_blob(key.blob, applications=rules.key_applications) for key in keys],
        needs_verification=rules.key_verification,
    )


async def answered(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    answer: HardwareAnswer,
    *,
    session_id: UUID | None,
) -> Answered:
    """Judge an answer to a challenge of one session, or of none: a sign-in's. The challenge is spent whatever comes.

    A refusal is an answer, not an exception, so that what was spent and counted is committed.
    """
    row = await _spend(session, runtime, answer.challenge_id, session_id)
    if row is None:
        return Answered(None, None, ChallengeExpiredError("There is no such challenge, or it was answered. Try again."))
    user = (await session.scalars(select(User).where(User.id == row.user_id).with_for_update())).one()
    held = await keys_of(session, user.id, locked=True)
    try:
        key, now = _held(held, answer), runtime.clock.now()
        rules = runtime.policy.identity
        enrolled = [Enrolled(parse_blob(each.blob, applications=rules.key_applications), each.last_counter)
                    for each in held if each.cloned_at is None]  # fmt: skip
        accepted = asking.check(
            answer, _statement(row, user.username), enrolled, now=now, needs_verification=rules.key_verification
        )
    except ClonedKeyError as error:
        await _cloned(session, runtime, caller, user=user, key=_held(held, answer), why=str(error))
        return Answered(row, user, error)
    except HardwareRefusedError as error:
        return Answered(row, user, error)
    if key is not None:
        key.last_counter, key.last_used_at = accepted.counter, now
    return Answered(row, user, None)


async def keys_of(session: AsyncSession, user_id: UUID, *, locked: bool = False) -> Sequence[HardwareKeyRow]:
    """The keys that an account has, cloned ones too, oldest first."""
    query = (
        select(HardwareKeyRow)
        .where(HardwareKeyRow.user_id == user_id, HardwareKeyRow.removed_at.is_(None))
        .order_by(HardwareKeyRow.enrolled_at, HardwareKeyRow.id)
    )
    return (await session.scalars(query.with_for_update() if locked else query)).all()


async def _spend(
    session: AsyncSession, runtime: Runtime, ident: str, session_id: UUID | None
) -> HardwareChallengeRow | None:
    try:
        wanted = UUID(ident)
    except ValueError:
        return None
    row: HardwareChallengeRow | None = await session.scalar(
        update(HardwareChallengeRow)
        .where(
            HardwareChallengeRow.id == wanted,
            HardwareChallengeRow.spent_at.is_(None),
            HardwareChallengeRow.session_id.is_not_distinct_from(session_id),
        )
        .values(spent_at=runtime.clock.now())
        .returning(HardwareChallengeRow)
    )
    return row


def _statement(row: HardwareChallengeRow, username: str) -> HardwareStatement:
    return HardwareStatement(
        challenge_id=str(row.id),
        user=username,
        origin=row.origin,
        act=HardwareAct(row.act),
        about=row.about,
        nonce=row.nonce,
        expires_at=row.expires_at,
    )


def _held(held: Sequence[HardwareKeyRow], answer: HardwareAnswer) -> HardwareKeyRow | None:
    try:
        blob = decode64(answer.key, "the key")
    except MalformedError:
        return None
    return next((each for each in held if each.blob == blob), None)


async def _cloned(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, user: User, key: HardwareKeyRow | None, why: str
) -> None:
    if key is None:
        return
    key.cloned_at = runtime.clock.now()
    draft = AuditDraft(
        "auth.hardware_key.cloned",
        "refuse cloned hardware key",
        "user",
        user.username,
        result=AuditResult.DENIED,
        error_message=why,
        new_value={"fingerprint": key.fingerprint},
    )
    await audit.record(session, runtime, caller, draft)
    message = f"A copy of {user.username}'s hardware key {key.fingerprint} may be in use: it is refused from now on"
    await loud.say(
        session, runtime, rule=RULE_CLONED, account=user.username, severity=Severity.CRITICAL, message=message
    )


def _no_key(user: User) -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        f"{user.role} signs in with a hardware key, and {user.username} has none that counts.",
        hint="Whoever runs the backend enrols one: watchfloor user enroll-key NAME --public-key FILE",
        audit=AuditDraft(
            "auth.login.failed",
            "ask for hardware key",
            "user",
            user.username,
            result=AuditResult.FAILURE,
            error_message="no hardware key enrolled",
        ),
    )
