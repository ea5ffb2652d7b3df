"""Which hardware keys belong to an account: enrolled, listed and removed beside the database. Verifies no answer."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth.challenges import keys_of
from backend.auth.hardware.errors import KeyRefusedError
from backend.auth.hardware.keys import parse_line
from backend.auth.identity_tables import HardwareKeyRow
from backend.auth.tables import User
from backend.context import Caller, Runtime
from backend.errors import WatchfloorError, not_found
from contract.errors import ErrorCode


async def enrol(session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, line: str) -> HardwareKeyRow:
    """Give an account the key of one line of a `.pub` file; one it has already is left alone.

    Raises:
        WatchfloorError: NOT_FOUND; INVALID_REQUEST for anything but a hardware key; CONFLICT for a key that is somebody
            else's, that was cloned, or one too many.
    """
    rules = runtime.policy.identity
    user = await _account(session, runtime, name)
    try:
        key, comment = parse_line(line, applications=rules.key_applications)
    except KeyRefusedError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, str(error)) from error
    last_counter = 0
    for row in await session.scalars(select(HardwareKeyRow).where(HardwareKeyRow.blob == key.blob).with_for_update()):
        if row.cloned_at is not None:
            raise WatchfloorError(ErrorCode.CONFLICT, "A copy of that key was used: it is not taken again.")
        if row.removed_at is None and row.user_id == user.id:
            return row
        if row.removed_at is None:
            raise WatchfloorError(ErrorCode.CONFLICT, "That key belongs to another account.")
        last_counter = max(last_counter, row.last_counter)
    if len(await keys_of(session, user.id)) >= rules.keys_per_account:
        raise WatchfloorError(
            ErrorCode.CONFLICT,
            f"{name} has {rules.keys_per_account} keys already, as many as the policy allows.",
            hint="Remove one: watchfloor user remove-key NAME FINGERPRINT",
        )
    row = HardwareKeyRow(
        id=runtime.clock.new_id(),
        user_id=user.id,
        blob=key.blob,
        kind=key.kind,
        fingerprint=key.fingerprint,
        comment=comment,
        last_counter=last_counter,
        enrolled_at=runtime.clock.now(),
    )
    session.add(row)
    await _record(session, runtime, caller, row, name=name, act="enrolled")
    return row


async def remove(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, name: str, fingerprint: str
) -> HardwareKeyRow:
    """Take a key from an account.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    user = await _account(session, runtime, name)
    found = [row for row in await keys_of(session, user.id, locked=True) if row.fingerprint == fingerprint]
    if not found:
        raise not_found("hardware key", fingerprint)
    (row,) = found
    row.removed_at = runtime.clock.now()
    await _record(session, runtime, caller, row, name=name, act="removed")
    return row


async def of_account(session: AsyncSession, runtime: Runtime, *, name: str) -> list[HardwareKeyRow]:
    """The keys of an account, oldest first.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    return list(await keys_of(session, (await _account(session, runtime, name)).id))


async def _account(session: AsyncSession, runtime: Runtime, name: str) -> User:
    user = await session.scalar(select(User).where(User.username == name).with_for_update())
    if user is None:
        raise not_found("account", name)
    if user.role == runtime.policy.identity.break_glass_role:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST, "The break-glass account has no hardware key: it replaces one."
        )
    return user


async def _record(
    session: AsyncSession, runtime: Runtime, caller: Caller, row: HardwareKeyRow, *, name: str, act: str
) -> None:
    new = {"fingerprint": row.fingerprint, "type": row.kind}
    draft = AuditDraft(f"auth.hardware_key.{act}", f"hardware key {act}", "user", name, new_value=new)
    await audit.record(session, runtime, caller, draft)
