"""Callers while the database is away: a token counts by its signature and expiry, and by what was last known of it.

For freezing, for seeing what is latched, and for the recovery drill that runs here, alone: refusing a freeze, or the
end of a drill that has the database down, for lack of a database would be the wrong way to fail. What could not be
looked up, a session ended elsewhere in the last seconds, is accepted until the token expires, and every entry says so.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
import structlog
from fastapi import Request
from sqlalchemy import or_, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth import machine_rows, tokens
from backend.auth.access_tables import AccessWindow, Elevation
from backend.auth.restrictions import Barrier, Standing, judge
from backend.auth.standing import elevated_of
from backend.auth.tables import ServiceToken, Session, SigningKey, User
from backend.context import Caller, Runtime
from backend.demand import Demand
from backend.errors import ConfigurationError, WatchfloorError
from backend.http import caller_of
from backend.known_callers import Known, KnownKey, KnownMachine, KnownPerson
from backend.peer import comes_over
from contract.access import ElevationStatus
from contract.errors import ErrorCode
from contract.permissions import Permission
from ledger.seal import NONCE_BYTES

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 3.0
"""How old what is known may be when the database goes away: four small questions."""
ENDED_EVERY_S: Final = 0.5
"""How long a session that another backend has ended may still be taken for a good one: one small question."""
_ENDED_LATELY: Final = timedelta(minutes=1)
"""What ended before that is in the last whole look, also where clocks differ."""
LOOK_LIMIT_S: Final = 3.0
"""A database that takes longer is away."""
_PAUSE_S: Final = 0.2
"""A burst of sign-ins is looked at together."""
_ACTS: Final = {
    Permission.FREEZE_OPERATIONS: "freeze",
    Permission.VIEW_FREEZES: "see freezes",
    Permission.VIEW_RECOVERY: "see recovery drills",
    Permission.RUN_RECOVERY_DRILLS: "run recovery drills",
}
_WHY: Final = {
    Barrier.ADDRESS: "may not be used from there",
    Barrier.WINDOW: "belongs to somebody whose access window is closed",
}
_AHEAD: Final = timedelta(days=1)
"""Windows that open later than this are known in time, or the outage is no outage any more."""
MAX_KNOWN: Final = 20_000
"""Accounts, ended sessions and machines each; several times what a large floor has."""


async def _look(session: AsyncSession, runtime: Runtime) -> Known:
    """What the database knows of callers now."""
    now = runtime.clock.now()
    longest = timedelta(hours=runtime.policy.session_hours)
    keys = await session.execute(
        select(SigningKey.kid, SigningKey.private_key, SigningKey.retired_at).where(
            or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > now - longest)
        )
    )
    people = await _people(session, runtime, now)
    ended = await session.scalars(
        select(Session.id)
        .where(Session.expires_at > now, Session.ended_at.is_not(None))
        .order_by(Session.expires_at.desc())
        .limit(MAX_KNOWN)
    )
    freezing = ServiceToken.permissions.contains([Permission.FREEZE_OPERATIONS.value])
    machines = await session.execute(
        select(*machine_rows.COLUMNS)
        .where(freezing, ServiceToken.disabled.is_(False), ServiceToken.expires_at > now)
        .limit(MAX_KNOWN)
    )
    return Known(
        keys={kid: KnownKey(tokens.public_key_of(private), retired) for kid, private, retired in keys},
        people=people,
        ended=frozenset(str(ident) for ident in ended),
        machines=dict(one for row in machines for one in _secrets(row)),
    )


def _secrets(row: machine_rows.Row) -> Iterator[tuple[str, KnownMachine]]:
    """What each secret of a token that works makes of its holder: the one before for as long as it may be used."""
    subject = machine_rows.subject_of(row.name, row.permissions)
    yield row.token_hash, KnownMachine(subject, row.expires_at, row.client_certificate)
    if row.previous_hash is not None and row.previous_until is not None and row.taken_up_at is None:
        until = min(row.expires_at, row.previous_until)
        yield row.previous_hash, KnownMachine(subject, until, row.client_certificate)


async def _people(session: AsyncSession, runtime: Runtime, now: datetime) -> dict[str, KnownPerson]:
    """Accounts, with the windows that may still open and the elevations in force."""
    timed = {name for name, role in runtime.policy.roles.items() if role.restrictions.time_based_access}
    windows: defaultdict[UUID, list[tuple[datetime, datetime]]] = defaultdict(list)
    elevations: defaultdict[UUID, list[tuple[str, datetime]]] = defaultdict(list)
    for user_id, starts_at, ends_at in await session.execute(
        select(AccessWindow.user_id, AccessWindow.starts_at, AccessWindow.ends_at)
        .where(AccessWindow.ends_at > now, AccessWindow.starts_at < now + _AHEAD)
        .limit(MAX_KNOWN)
    ):
        windows[user_id].append((starts_at, ends_at))
    for user_id, names, until in await session.execute(
        select(Elevation.user_id, Elevation.permissions, Elevation.ends_at)
        .where(Elevation.ends_at > now, Elevation.status == ElevationStatus.APPROVED.value)
        .limit(MAX_KNOWN)
    ):
        elevations[user_id] += [(name, until) for name in names if until is not None]
    rows = await session.execute(select(User.id, User.username, User.role, User.disabled).limit(MAX_KNOWN))
    return {
        name: KnownPerson(role, disabled, tuple(windows[ident]) if role in timed else None, tuple(elevations[ident]))
        for ident, name, role, disabled in rows
    }


def caller_by_token_alone(runtime: Runtime, request: Request, token: str, demand: Demand) -> Caller:
    """Who sends a token, as far as can be told without the database.

    Raises:
        WatchfloorError: UNAVAILABLE if it cannot be told, or if they do not hold the permission: what concerns security
            is refused while nothing can be recorded of it.
    """
    try:
        return _told(runtime, token, caller_of(request), demand)
    except tokens.BadTokenError as error:
        log.warning("caller_not_known_by_token", why=str(error))
        act = _ACTS[demand.permission]
        raise WatchfloorError(
            ErrorCode.UNAVAILABLE,
            f"The database is not answering; without it your token does not let you {act}: it {error}.",
            hint="Ask somebody who is signed in, or try again in a moment.",
        ) from error


def _told(runtime: Runtime, token: str, anonymous: Caller, demand: Demand) -> Caller:
    if not token:
        raise tokens.BadTokenError("was not sent")
    known, now = runtime.callers.known, runtime.clock.now()
    if token.startswith(tokens.SERVICE_PREFIX):
        machine = known.machines.get(tokens.service_token_hash(token))
        if machine is None or now >= machine.expires_at:
            raise tokens.BadTokenError("is no machine's token that may freeze, or has ended")
        if not comes_over(anonymous.peer, machine.certificate, now):
            raise tokens.BadTokenError("came without the certificate it is bound to")
        held = frozenset({Permission.FREEZE_OPERATIONS})
        if demand.permission not in held:
            raise tokens.BadTokenError("is a machine's, of which only is known that it may freeze")
        return replace(anonymous, subject=machine.subject, kind="service", role="service", permissions=held)
    return _person(runtime, known, token, anonymous, now, demand)


def _person(  # noqa: PLR0917  all of it is one question
    runtime: Runtime, known: Known, token: str, anonymous: Caller, now: datetime, demand: Demand
) -> Caller:
    claimed = tokens.read_unverified(token)
    key = known.keys.get(claimed.kid)
    if key is None:
        raise tokens.BadTokenError("was signed with a key that was never seen here")
    if key.retired_at is not None and now > key.retired_at + timedelta(hours=runtime.policy.session_hours):
        raise tokens.BadTokenError("was signed with a key retired long ago")
    claims = tokens.verify_public(token, key.public, now)
    name, person = str(claims["username"]), _account(known, claims)
    if str(claimed.session_id) in known.ended:
        raise tokens.BadTokenError("belongs to a session that has ended")
    role = runtime.policy.roles.get(person.role)
    if role is None:
        raise tokens.BadTokenError("names a role that the policy does not have")
    standing = Standing(
        role=role,
        ip=anonymous.ip,
        factors=None,
        window_open=None if person.windows is None else any(one <= now < until for one, until in person.windows),
        elevated=elevated_of(role, (permission for permission, until in person.elevations if now < until)),
    )
    refusal = judge(demand, standing, runtime.policy.sign_in.watchfloor)
    if refusal is not None:
        why = _WHY.get(refusal.barrier, f"belongs to somebody who may not {_ACTS[demand.permission]}")
        raise tokens.BadTokenError(why)
    return replace(
        anonymous, subject=name, kind="user", role=person.role, permissions=standing.permissions,
        session_id=str(claimed.session_id),
    )  # fmt: skip


def _account(known: Known, claims: Any) -> KnownPerson:
    """The account where it is known; a token of one made in the last seconds states its role itself.

    Raises:
        BadTokenError: it is disabled.
    """
    person = known.people.get(str(claims["username"]))
    if person is None:
        return KnownPerson(str(claims.get("role", "")), disabled=False)
    if person.disabled:
        raise tokens.BadTokenError("belongs to a disabled account")
    return person


@asynccontextmanager
async def keeping_known(runtime: Runtime) -> AsyncIterator[None]:
    """Keep what is known of callers in step with the database while the context is open."""
    try:
        await runtime.callers.load()
    except ConfigurationError as error:
        log.critical("known_callers_refused", why=str(error))
    except OSError as error:
        log.warning("known_callers_not_read", why=str(error))
    await _look_once(runtime)  # else nobody is known to a process whose database goes away in its first seconds
    task = asyncio.create_task(_keep_for_ever(runtime), name="known callers")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        runtime.callers.end()


async def _keep_for_ever(runtime: Runtime) -> None:
    stale, looked_s = runtime.callers.stale, runtime.clock.monotonic()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDED_EVERY_S):
                await stale.wait()
        if stale.is_set() or runtime.clock.monotonic() - looked_s >= LOOK_EVERY_S:
            stale.clear()
            looked_s = runtime.clock.monotonic()
            await _look_once(runtime)
            await asyncio.sleep(_PAUSE_S)
        else:
            await _look_once(runtime, only_ended=True)


async def _ended_lately(session: AsyncSession, runtime: Runtime) -> frozenset[str]:
    """Sessions that were ended a short time ago, here or elsewhere."""
    since = runtime.clock.now() - _ENDED_LATELY
    lately = await session.scalars(select(Session.id).where(Session.ended_at > since).limit(MAX_KNOWN))
    return frozenset(str(ident) for ident in lately)


async def _look_once(runtime: Runtime, *, only_ended: bool = False) -> None:
    callers = runtime.callers
    try:
        if only_ended:
            lately = await runtime.reserve.attempt(lambda session: _ended_lately(session, runtime), LOOK_LIMIT_S)
            if not lately <= callers.known.ended:
                callers.known = replace(callers.known, ended=callers.known.ended | lately)
        else:
            callers.known = await runtime.reserve.attempt(lambda session: _look(session, runtime), LOOK_LIMIT_S)
        await callers.keep(runtime.clock.random_bytes(NONCE_BYTES))
    except (SQLAlchemyError, psycopg.Error, OSError, TimeoutError) as error:
        log.debug("known_callers_not_refreshed", why=str(error).strip())
    # the task's boundary: it must outlive whatever it meets
    except Exception:
        log.exception("known_callers_failed")
