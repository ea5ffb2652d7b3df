"""Lets go of old signed heads: everything of two days stays, then the last of each hour, after thirty days of each day.

A head covers everything before it, so that a smaller one adds nothing. Must never let go of the last head of a log, of
what a party holds last, or of a head that a record of the ledger names; triggers refuse what the rule does not allow.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson
from sqlalchemy import delete, func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.checkpoints import held_sizes, origins_signed
from backend.audit.events import AuditEvent
from backend.audit.heads.writing import fenced
from backend.audit.heads_tables import Cosignature, SignedHead
from backend.audit.meta import META_LOG
from backend.context import Runtime
from backend.monitors import Lead
from ledger.restored import Origin, RestorationError

INTERVAL_S: Final = 600.0
"""An hour has a few hundred heads: nobody waits for them to go."""
BATCH_HEADS: Final = 2_000
"""Heads of one log looked at in one step: some hundredths of a second."""

Place = tuple[datetime, int]
"""Time and size of a head: the order in which heads are looked at."""
_BEGINNING: Final[Place] = (datetime(1970, 1, 1, tzinfo=UTC), 0)
_NAMED: Final = text("""
SELECT seq_end FROM audit_periods WHERE log = :log AND seq_end = ANY(CAST(:sizes AS bigint[]))
UNION SELECT (to_heads -> :log ->> 'size')::bigint FROM audit_verifications WHERE to_heads ? :log
""")
_PURGES: Final = text("SELECT canon FROM audit_entries WHERE log = :log AND event_type = :event")


@dataclass(frozen=True, slots=True)
class Rule:
    """From some age on, one head of each stretch of time stays."""

    age: timedelta
    width: timedelta

    def until(self, now: datetime) -> datetime:
        """Up to when stretches are old enough as a whole."""
        return self.begins(now - self.age)

    def begins(self, instant: datetime) -> datetime:
        """When the stretch began that an instant lies in."""
        return _BEGINNING[0] + (instant - _BEGINNING[0]) // self.width * self.width


RULES: Final = (Rule(timedelta(hours=48), timedelta(hours=1)), Rule(timedelta(days=30), timedelta(days=1)))


def superfluous(rule: Rule, heads: Iterable[Place]) -> set[int]:
    """The sizes of heads of which a larger one lies in the same stretch of time."""
    sizes: dict[datetime, list[int]] = {}
    for signed_at, size in heads:
        sizes.setdefault(rule.begins(signed_at), []).append(size)
    return {size for together in sizes.values() for size in together if size < max(together)}


class Thinner:
    """Goes through the heads of all logs from the oldest on, and remembers how far it came while it leads."""

    def __init__(self, runtime: Runtime, lead: Lead) -> None:
        self._runtime = runtime
        self._lead = lead
        self._places: dict[tuple[str, Rule], Place] = {}

    async def step(self) -> bool:
        """Look at the next heads of every log; gives whether there are more right away."""
        places: dict[tuple[str, Rule], Place] = {}
        more = False
        async with fenced(self._runtime, self._lead) as session:
            now = (await session.scalars(select(func.clock_timestamp()))).one()
            for origin in await origins_signed(session):
                for rule in RULES:
                    heads = await self._next(session, origin, rule, now)
                    if not heads:
                        continue
                    await _let_go(session, origin, superfluous(rule, heads))
                    places[origin, rule] = heads[-1]
                    more |= len(heads) == BATCH_HEADS
        self._places |= places
        return more

    async def _next(self, session: AsyncSession, origin: str, rule: Rule, now: datetime) -> Sequence[Place]:
        """The last head looked at, with which a stretch may go on, and those after it."""
        place = tuple_(SignedHead.signed_at, SignedHead.size)
        wanted = (
            select(SignedHead.signed_at, SignedHead.size)
            .where(SignedHead.origin == origin, SignedHead.signed_at < rule.until(now))
            .where(place >= self._places.get((origin, rule), _BEGINNING))
            .order_by(SignedHead.signed_at, SignedHead.size)
            .limit(BATCH_HEADS)
        )
        return [(row.signed_at, row.size) for row in await session.execute(wanted)]


async def _let_go(session: AsyncSession, origin: str, sizes: set[int]) -> None:
    if not sizes:
        return
    going = sorted(sizes - await _named(session, origin, sizes) - set((await held_sizes(session, origin)).values()))
    for table in (SignedHead, Cosignature):  # a receipt goes only when its head has gone
        await session.execute(delete(table).where(table.origin == origin, table.size.in_(going)))


async def _named(session: AsyncSession, origin: str, sizes: Collection[int]) -> set[int]:
    """Sizes that a sealed period, a verification or the announcement of a purge names."""
    try:
        log = Origin.parse(origin).log
    except RestorationError:
        return set(sizes)  # no head of ours: verification tells of it
    named = set(await session.scalars(_NAMED, {"log": log, "sizes": sorted(sizes)}))
    for canon in await session.scalars(_PURGES, {"log": META_LOG, "event": str(AuditEvent.PARTITION_PURGED)}):
        with suppress(KeyError, TypeError, ValueError):
            head = orjson.loads(canon)["body"]["detail"]["new_value"]["checkpoint"]
            named |= {head["size"]} if head["origin"] == origin else set()
    return named
