"""Putting holds on: by a person at once, or by a risk rule."""

from datetime import UTC
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.context import Caller, Runtime, system_caller
from backend.errors import WatchfloorError
from backend.freeze import core, store, views
from backend.freeze.journal import Entry
from backend.freeze.tables import FreezeDrillRow, FreezeRow
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeMode, FreezeRequest, FreezeStatus
from contract.scope import Scope
from ledger.canon import format_instant

AUTOMATIC_FREEZER = "risk"
"""In whose name a risk rule freezes: `system:risk`, never a person's."""


async def create(
    session: AsyncSession, runtime: Runtime, caller: Caller, request: FreezeRequest, *, ident: UUID | None = None
) -> Freeze:
    """Stop what a scope covers, from this commit on. Never needs a second person and never an executor's consent.

    `ident` becomes the hold's id, for whoever may have to ask later whether it was stored.

    Raises:
        WatchfloorError: CONFLICT if the idempotency key was used for another freeze.
    """
    counters = await store.lock_counters(session)
    scope = core.normalised(request.scope)
    if request.idempotency_key:
        earlier = await store.row_by_key(session, caller.subject, request.idempotency_key)
        if earlier is not None and not _is_same(earlier, scope, request.mode):
            raise _taken(earlier)
        if earlier is not None and _stands(earlier):
            [freeze] = await views.show(session, runtime, [earlier])
            return freeze
        ident = await _passed_on(session, earlier, ident)
    row = await _add(
        session, runtime, caller, counters, scope=scope, mode=request.mode, reason=request.reason,
        idempotency_key=request.idempotency_key or None, ident=ident,
    )  # fmt: skip
    return await views.announce(session, runtime, row, new=True)


async def create_for_drill(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, scope: Scope, mode: FreezeMode, drill: FreezeDrillRow
) -> Freeze:
    """Put a drill's hold on a scope, in the same way as one in earnest."""
    counters = await store.lock_counters(session)
    row = await _add(session, runtime, caller, counters, scope=scope, mode=mode, reason=drill.reason, drill_id=drill.id)
    return await views.announce(session, runtime, row, new=True)


async def store_latched(session: AsyncSession, runtime: Runtime, entry: Entry) -> None:
    """Have the database take a freeze that was latched, once: an attempt in doubt may have stored it before.

    It is in force even if its idempotency key has come to belong to another freeze: people were told that it is. So it
    is if the key was used before, for a freeze that was lifted before this one was asked for.
    """
    counters = await store.lock_counters(session)
    request, key, ident = entry.request, entry.request.idempotency_key or None, entry.id
    scope = core.normalised(request.scope)
    for ident in (entry.id, uuid5(entry.id, entry.at.isoformat())):
        known = await session.get(FreezeRow, ident)
        if known is None:
            break
        if not _lifted_before(known, entry):
            return
    if key is not None and (earlier := await store.row_by_key(session, entry.caller.subject, key)) is not None:
        if _stands(earlier) and _is_same(earlier, scope, request.mode):
            return
        if _stands(earlier):
            key = None
        else:
            await _passed_on(session, earlier, None)
    row = await _add(
        session, runtime, entry.caller, counters, scope=scope, mode=request.mode,
        reason=request.reason, idempotency_key=key, ident=ident, latched=entry,
    )  # fmt: skip
    await views.announce(session, runtime, row, new=True)


async def freeze_automatically(
    session: AsyncSession,
    runtime: Runtime,
    *,
    scope: Scope,
    mode: FreezeMode,
    rule: str,
    reason: str,
    alert_id: str | None = None,
) -> Freeze:
    """Put a rule's hold on a scope, once: while it is in force the same rule and scope answer with the same hold.

    Two people lift it like any other: one asks, another approves.
    """
    counters = await store.lock_counters(session)
    scope = core.normalised(scope)
    for standing in await store.automatic_rows(session, rule, scope):
        if core.at_least_as_strict(FreezeMode(standing.mode), mode):
            [freeze] = await views.show(session, runtime, [standing])
            return freeze
    caller = system_caller(AUTOMATIC_FREEZER)
    row = await _add(
        session, runtime, caller, counters, scope=scope, mode=mode, reason=reason, rule=rule, alert_id=alert_id
    )
    return await views.announce(session, runtime, row, new=True)


def _is_same(earlier: FreezeRow, scope: Scope, mode: FreezeMode) -> bool:
    return store.scope_of(earlier) == scope and earlier.mode == mode.value


def _stands(row: FreezeRow) -> bool:
    """Whether it holds everything it covers: one that is lifted, or being lifted, is no answer to who freezes now."""
    return row.status not in {FreezeStatus.THAWED.value, FreezeStatus.THAWING.value}


def _lifted_before(row: FreezeRow, entry: Entry) -> bool:
    return not _stands(row) and (row.thawed_at is None or row.thawed_at < entry.at)


def _taken(earlier: FreezeRow) -> WatchfloorError:
    return WatchfloorError(
        ErrorCode.CONFLICT,
        f"This idempotency key belongs to {core.ref_of(earlier.number)}, a freeze of {store.scope_of(earlier)}.",
        hint="Send a fresh key with every new freeze.",
    )


async def _passed_on(session: AsyncSession, earlier: FreezeRow | None, ident: UUID | None) -> UUID | None:
    """Take the key from a freeze that no longer stands; returns the id that the next one under the key may have."""
    if earlier is not None:
        earlier.idempotency_key = None
        await session.flush()  # before the next one is added: the key is unique
    return None if ident is not None and await session.get(FreezeRow, ident) is not None else ident


async def _add(
    session: AsyncSession,
    runtime: Runtime,
    caller: Caller,
    counters: store.Counters,
    *,
    scope: Scope,
    mode: FreezeMode,
    reason: str,
    idempotency_key: str | None = None,
    rule: str | None = None,
    alert_id: str | None = None,
    ident: UUID | None = None,
    latched: Entry | None = None,
    drill_id: UUID | None = None,
) -> FreezeRow:
    row = FreezeRow(
        id=ident or runtime.clock.new_id(),
        number=counters.number + 1,
        epoch=counters.epoch + 1,
        scope_kind=scope.kind.value,
        scope_name=scope.name,
        mode=mode.value,
        status=FreezeStatus.ACTIVE.value,
        reason=reason,
        created_by=caller.subject,
        created_at=counters.now,
        held_since=counters.now,
        automatic_rule=rule,
        idempotency_key=idempotency_key,
        drill_id=drill_id,
        version=1,
    )
    await store.raise_counters(session, epoch=row.epoch, number=row.number)
    session.add(row)
    metadata: dict[str, Any] = {"rule": rule, "alert_id": alert_id} if rule else {}
    if drill_id is not None:
        metadata = {"drill": str(drill_id)}
    if latched is not None:
        metadata = {
            "latched_at": format_instant(latched.at.astimezone(UTC)),
            "latched_by": latched.node,
            "known_by": latched.known_by.value,
        }
    await audit.record(
        session,
        runtime,
        caller,
        audit.AuditDraft(
            event_type="freeze.hold.created",
            action="freeze",
            resource_type="freeze",
            resource_id=core.ref_of(row.number),
            new_value={"scope": str(scope), "mode": mode.value, "reason": reason, "epoch": row.epoch},
            metadata=metadata,
        ),
    )
    return row
