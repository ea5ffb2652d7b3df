"""Access reviews: who has what, since when, last used; what is decided about each. Decisions act at once.

What a review shows is as it was when it was opened. Nothing of a review is ever deleted or decided twice.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.auth import access_people as people
from backend.auth import review_acts
from backend.auth.access_tables import AccessReview as ReviewRow
from backend.auth.access_tables import AccessReviewItem as ItemRow
from backend.auth.review_completion import counts_of
from backend.auth.review_core import findings_of, period_of, unused_of
from backend.auth.tables import ServiceToken, Session, User
from backend.context import Caller, Runtime, system_caller
from backend.errors import WatchfloorError, not_found
from backend.lookup import row_named
from backend.paging import cut_page, newest_first
from contract.access import (
    AccessReview,
    AccessReviewExport,
    AccessReviewItem,
    ReviewDecision,
    ReviewDecisionRequest,
    ReviewFinding,
)
from contract.base import Page
from contract.errors import ErrorCode

ACCOUNT, SERVICE_TOKEN = "account", "service_token"
_REVIEW_CLOSED = "access.review.closed"
_REVIEW_DECIDED = "access.review.decided"
_REVIEW_EXPORTED = "access.review.exported"
_REVIEW_OPENED = "access.review.opened"
_CALLER = system_caller("access-monitor")
_ACTIONS = {
    _REVIEW_OPENED: "open an access review",
    _REVIEW_DECIDED: "decide in an access review",
    _REVIEW_CLOSED: "close an access review",
    _REVIEW_EXPORTED: "export an access review",
}


async def open_review(session: AsyncSession, runtime: Runtime, caller: Caller) -> AccessReview:
    """Open a review out of turn.

    Raises:
        WatchfloorError: CONFLICT while another is open; NOT_ALLOWED for anything but a person.
    """
    ident = runtime.clock.new_id()
    by = await people.acting(session, caller, _draft(_REVIEW_OPENED, str(ident)))
    open_one = await session.scalar(select(ReviewRow.id).where(ReviewRow.closed_at.is_(None)).limit(1))
    if open_one is not None:
        raise WatchfloorError(
            ErrorCode.CONFLICT, f"A review is open already: {open_one}.", hint="Close that one first."
        )
    row = await _open(session, runtime, caller, ident, period=None, by=by)
    assert row is not None  # noqa: S101  only a period can be taken
    return (await _wire(session, [row]))[0]


async def open_if_due(session: AsyncSession, runtime: Runtime) -> None:
    """Open the review that the policy's schedule wants in the present period, once."""
    named = runtime.policy.access.reviews.scheduled_as
    every = next(one.every for one in runtime.policy.audit_schedule if one.name == named)
    period = period_of(every, runtime.clock.now())
    if await session.scalar(select(ReviewRow.id).where(ReviewRow.period == period)) is None:
        await _open(session, runtime, _CALLER, runtime.clock.new_id(), period=period, by=None)


async def decide(  # noqa: PLR0917  a decision about an item of a review
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: str, number: int, asked: ReviewDecisionRequest
) -> AccessReviewItem:
    """Decide what becomes of one account or token, and have it so: a change of role or a revocation counts at once.

    Raises:
        WatchfloorError: NOT_FOUND; SECOND_PERSON_REQUIRED for one's own account; CONFLICT if the review is closed, the
            item decided, or the account something else by now; INVALID_REQUEST for a role that cannot be; and what
            `review_acts.carry_out` refuses.
    """
    row = await row_named(session, ReviewRow, "access review", ident, lock=True)
    draft = _draft(_REVIEW_DECIDED, str(row.id))
    by = await people.acting(session, caller, draft)
    item = await session.scalar(select(ItemRow).where(ItemRow.review_id == row.id, ItemRow.number == number))
    if item is None:
        raise not_found("item", str(number))
    if item.user_id == by:
        raise people.refused(ErrorCode.SECOND_PERSON_REQUIRED, "Nobody decides about their own access.", draft)
    if row.closed_at is not None or item.decision is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, "That is decided already, or its review is closed.")
    await review_acts.carry_out(session, runtime, caller, item, asked)
    item.decision, item.new_role = asked.decision.value, asked.role
    item.decided_by, item.decided_at = by, runtime.clock.now()
    item.reason = await people.kept_reason(session, runtime, asked.reason)
    await session.flush()
    (shown,) = await _items(session, [item])
    told = {"item": number, "name": shown.name, "decision": asked.decision.value, "reason": asked.reason}
    told |= {"new_role": asked.role} if asked.role else {}
    await audit.record(session, runtime, caller, _draft(_REVIEW_DECIDED, str(row.id), told))
    return shown


async def close(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> AccessReview:
    """Finish a review in which everything is decided.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT if it is closed or something is undecided; NOT_ALLOWED for machines.
    """
    row = await row_named(session, ReviewRow, "access review", ident, lock=True)
    by = await people.acting(session, caller, _draft(_REVIEW_CLOSED, str(row.id)))
    if row.closed_at is not None:
        raise WatchfloorError(ErrorCode.CONFLICT, "That review is closed already.")
    total, decided = (await counts_of(session, [row.id])).get(row.id, (0, 0))
    if decided < total:
        raise WatchfloorError(ErrorCode.CONFLICT, f"{total - decided} of {total} are not decided yet.")
    row.closed_at, row.closed_by = runtime.clock.now(), by
    await session.flush()
    told = {"total": total, "period": row.period}
    await audit.record(session, runtime, caller, _draft(_REVIEW_CLOSED, str(row.id), told))
    return (await _wire(session, [row]))[0]


async def list_reviews(session: AsyncSession, *, cursor: str | None, limit: int) -> Page[AccessReview]:
    """Reviews, the newest first, without their items."""
    query = newest_first(select(ReviewRow), ReviewRow.opened_at, ReviewRow.id, cursor, limit)
    rows, more = cut_page((await session.scalars(query)).all(), limit, lambda row: (row.opened_at, row.id))
    return Page(items=await _wire(session, rows), next_cursor=more)


async def show(session: AsyncSession, ident: str) -> AccessReview:
    """One review with all its items.

    Raises:
        WatchfloorError: NOT_FOUND.
    """
    row = await row_named(session, ReviewRow, "access review", ident)
    rows = (await session.scalars(select(ItemRow).where(ItemRow.review_id == row.id).order_by(ItemRow.number))).all()
    return (await _wire(session, [row]))[0].model_copy(update={"items": await _items(session, rows)})


async def export(session: AsyncSession, runtime: Runtime, caller: Caller, ident: str) -> AccessReviewExport:
    """A finished review to be kept elsewhere. Recorded, with the hash of what was taken.

    Raises:
        WatchfloorError: NOT_FOUND; CONFLICT while it is open.
    """
    review = await show(session, ident)
    if review.closed_at is None:
        raise WatchfloorError(ErrorCode.CONFLICT, "Only a finished review is exported.", hint="Close it first.")
    canonical = orjson.dumps(review.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(canonical).hexdigest()
    await audit.record(session, runtime, caller, _draft(_REVIEW_EXPORTED, review.id, {"sha256": digest}))
    now = runtime.clock.now()
    return AccessReviewExport(review=review, exported_at=now, exported_by=caller.subject, sha256=digest)


async def _open(
    session: AsyncSession, runtime: Runtime, caller: Caller, ident: UUID, *, period: str | None, by: UUID | None
) -> ReviewRow | None:
    now = runtime.clock.now()
    values = {
        "id": ident, "period": period, "opened_at": now, "opened_by": by,
        "due_at": now + timedelta(days=runtime.policy.access.reviews.days_to_decide),
    }  # fmt: skip
    made = insert(ReviewRow).values(values).on_conflict_do_nothing().returning(ReviewRow.id)
    if await session.scalar(made) is None:
        return None
    items = [*await _accounts(session, runtime, now), *await _service_tokens(session, runtime, now)]
    session.add_all(
        ItemRow(id=runtime.clock.new_id(), review_id=ident, number=number, **item)
        for number, item in enumerate(items, start=1)
    )
    await session.flush()
    orphaned = sum(bool(item["findings"]) for item in items)
    told = {"period": period, "total": len(items), "orphaned": orphaned}
    await audit.record(session, runtime, caller, _draft(_REVIEW_OPENED, str(ident), told))
    return await session.get_one(ReviewRow, ident)


async def _accounts(session: AsyncSession, runtime: Runtime, now: datetime) -> list[dict[str, Any]]:
    used = select(func.max(Session.created_at)).where(Session.user_id == User.id).scalar_subquery()
    rows = await session.execute(
        select(User.id, User.role, func.coalesce(User.role_since, User.created_at), used)
        .where(User.disabled.is_(False))
        .order_by(User.username)
    )
    days, break_glass = runtime.policy.access.reviews.unused_days, runtime.policy.identity.break_glass_role
    accounts = []
    for user_id, role_name, since, last_used_at in rows:
        role = runtime.policy.roles.get(role_name)
        findings = findings_of(role, last_used_at, now, days, sealed=role_name == break_glass)
        accounts.append(
            {
                "user_id": user_id,
                "role": role_name,
                "permissions": sorted(role.permissions) if role else [],
                "since": since,
                "last_used_at": last_used_at,
                "findings": [found.value for found in findings],
            }
        )
    return accounts


async def _service_tokens(session: AsyncSession, runtime: Runtime, now: datetime) -> list[dict[str, Any]]:
    days = runtime.policy.access.reviews.unused_days
    rows = await session.scalars(
        select(ServiceToken)
        .where(ServiceToken.disabled.is_(False), ServiceToken.expires_at > now)
        .order_by(ServiceToken.name)
    )
    return [
        {
            "service_token_id": row.id,
            "role": "service",
            "permissions": row.permissions,
            "since": row.created_at,
            "last_used_at": row.last_used_at,
            "findings": [found.value for found in unused_of(row.last_used_at, now, days)],
        }
        for row in rows
    ]


async def _wire(session: AsyncSession, rows: Sequence[ReviewRow]) -> list[AccessReview]:
    named = await people.names_of(session, [one for row in rows for one in (row.opened_by, row.closed_by)])
    counts = await counts_of(session, [row.id for row in rows])
    return [
        AccessReview(
            id=str(row.id),
            period=row.period,
            opened_at=row.opened_at,
            opened_by=named.get(row.opened_by),
            due_at=row.due_at,
            closed_at=row.closed_at,
            closed_by=named.get(row.closed_by),
            total=counts.get(row.id, (0, 0))[0],
            decided=counts.get(row.id, (0, 0))[1],
        )
        for row in rows
    ]


async def _items(session: AsyncSession, rows: Sequence[ItemRow]) -> list[AccessReviewItem]:
    named = await people.names_of(session, [one for row in rows for one in (row.user_id, row.decided_by)])
    tokens = await session.execute(
        select(ServiceToken.id, ServiceToken.name).where(ServiceToken.id.in_({row.service_token_id for row in rows}))
    )
    machines = {token.id: token.name for token in tokens}
    reasons = await people.told_reasons(session, {str(row.number): row.reason for row in rows})
    return [
        AccessReviewItem(
            number=row.number,
            kind=ACCOUNT if row.service_token_id is None else SERVICE_TOKEN,
            name=named[row.user_id] if row.service_token_id is None else machines[row.service_token_id],
            role=row.role,
            permissions=row.permissions,
            since=row.since,
            last_used_at=row.last_used_at,
            findings=[ReviewFinding(one) for one in row.findings],
            decision=ReviewDecision(row.decision) if row.decision else None,
            new_role=row.new_role,
            decided_by=named.get(row.decided_by),
            decided_at=row.decided_at,
            reason=reasons.get(str(row.number)),
        )
        for row in rows
    ]


def _draft(event: str, ident: str, told: dict[str, Any] | None = None) -> AuditDraft:
    return AuditDraft(event, _ACTIONS[event], "access_review", ident, new_value=told)
