"""Which live alerts matchers match: the database decides what it can, regular expressions are tried in a thread.

Bounded in how many are found and in how long their regular expressions are tried. Changes nothing.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.expression import ColumnElement

from backend.alerts.matching import MAX_TRIED_CHARS, REGEXES, TooLongError, Trial, UnusableMatcherError, refuse_unusable
from backend.alerts.rows import GRAVITY, LIVE
from backend.alerts.tables import AlertRow
from backend.errors import WatchfloorError
from contract.alert_work import Matcher, MatchOp
from contract.errors import ErrorCode

_CHUNK: Final = 500
"""Alerts whose values are tried at a time."""


@contextmanager
def usable(matchers: Sequence[Matcher]) -> Iterator[None]:
    """Refuse matchers that a silence cannot have, before they are tried and while they are.

    Raises:
        WatchfloorError: INVALID_REQUEST, saying why.
    """
    try:
        refuse_unusable(matchers)
        yield
    except UnusableMatcherError as error:
        raise WatchfloorError(ErrorCode.INVALID_REQUEST, f"These matchers cannot be used: {error}.") from error
    except TooLongError as error:
        raise WatchfloorError(
            ErrorCode.INVALID_REQUEST,
            "These matchers cannot be used: trying their regular expressions on all alerts takes too long.",
            hint="Ask for one label exactly too, or write shorter repeats.",
        ) from error


async def matching(
    session: AsyncSession, matchers: Sequence[Matcher], most: int, *also: ColumnElement[bool]
) -> list[UUID]:
    """The ids of the live alerts that matchers match, the most urgent first, up to a number.

    Raises:
        TooLongError: trying the regular expressions takes too long.
    """
    tried = [matcher for matcher in matchers if matcher.op in REGEXES]
    values = [_value(matcher).label(f"value_{place}") for place, matcher in enumerate(tried)]
    query = (
        select(AlertRow.id, *values)
        .where(*_narrowed(matchers), *also)
        .order_by(GRAVITY, AlertRow.raised_at.desc(), AlertRow.id.desc())
    )
    if not tried:
        return list(await session.scalars(query.limit(most)))
    trial, found = Trial(), list[UUID]()
    result = await session.stream(query.execution_options(yield_per=_CHUNK))
    try:
        async for chunk in result.partitions():
            found += await asyncio.to_thread(_fitting, trial, tried, [tuple(row) for row in chunk])
            if len(found) >= most:
                break
    finally:
        await result.close()
    return found[:most]


def _narrowed(matchers: Sequence[Matcher]) -> list[ColumnElement[bool]]:
    """What the database decides of the matchers."""
    found: list[ColumnElement[bool]] = [LIVE]
    for matcher in matchers:
        value = func.coalesce(AlertRow.labels[matcher.name].astext, "")
        if matcher.op is MatchOp.IS:
            found.append(value == matcher.value)
        elif matcher.op is MatchOp.IS_NOT:
            found.append(value != matcher.value)
    return found


def _value(matcher: Matcher) -> ColumnElement[str]:
    return func.left(func.coalesce(AlertRow.labels[matcher.name].astext, ""), MAX_TRIED_CHARS)


def _fitting(trial: Trial, tried: Sequence[Matcher], rows: Sequence[tuple[Any, ...]]) -> list[UUID]:
    return [row[0] for row in rows if all(map(trial.holds, tried, row[1:]))]
