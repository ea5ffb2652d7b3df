"""Which legal holds on people cover entries of a partition: their surrogates may stand anywhere in its bytes.

Two answers. `found_by_index` is quick, may say that it does not know yet, and is enough to leave a partition alone.
`Reading` reads every byte and alone allows a partition to be dropped. Must never believe an index that says no.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.retention.survey import Partition

LOOK_S: Final = 1.0
"""Spent on one partition's holds by index: a report that somebody waits for asks this."""
MAX_TOLD: Final = 20
"""One is enough to keep a partition; more only tell whom to ask."""
BATCH_HOLDS: Final = 100
"""Looked for in one statement."""
UNKNOWN: Final = "whether a legal hold is on a person who stands in it is not yet known"
"""Its beginning; said instead of an answer that would take too long."""
_SURROGATE = re.compile(rb"p(?=([a-z2-7]{16}))")
"""Every place where one may begin, also inside of another word: rather kept too long than dropped."""

_ON_PEOPLE = text("""
SELECT id, split_part(subject, ':', 2) AS word, since, until FROM legal_holds
WHERE lifted_at IS NULL AND subject IS NOT NULL AND (log IS NULL OR log = :log) ORDER BY placed_at, id
""")
_FIND = text("""
SELECT hold.n FROM ROWS FROM (
    unnest(CAST(:words AS text[])), unnest(CAST(:sinces AS timestamptz[])), unnest(CAST(:untils AS timestamptz[]))
) WITH ORDINALITY AS hold (word, since, until, n)
CROSS JOIN LATERAL (
    SELECT FROM audit_entries AS entry
    WHERE entry.log = :log AND entry.seq >= :seq_from AND entry.seq < :seq_until
        AND entry.words @@ CAST(hold.word AS tsquery)
        AND (hold.since IS NULL OR entry.occurred_at >= hold.since)
        AND (hold.until IS NULL OR entry.occurred_at < hold.until)
    LIMIT 1) AS entry
ORDER BY hold.n
""")
_SETTINGS = text("""
SELECT set_config('statement_timeout', :limit, true), set_config('enable_seqscan', 'off', true),
    set_config('enable_indexscan', 'off', true), set_config('enable_indexonlyscan', 'off', true)
""")
"""The planner takes any word for a common one, which some of the first entries must have: it would read them all."""


@dataclass(frozen=True, slots=True)
class PersonHold:
    """A legal hold in force on a person."""

    id: UUID
    word: str
    """Their surrogate as it may stand in bytes."""
    since: datetime | None
    until: datetime | None

    def covers(self, at: datetime) -> bool:
        """Whether an entry of that time is within it."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def __str__(self) -> str:
        return f"legal hold {self.id} is on a person who stands in it"


async def in_force(session: AsyncSession, log: str) -> list[PersonHold]:
    """Every legal hold on a person that may cover entries of a log."""
    return [PersonHold(*row) for row in await session.execute(_ON_PEOPLE, {"log": log})]


class Reading:
    """Finds, entry by entry, which of some holds cover what is read."""

    def __init__(self, holds: Iterable[PersonHold]) -> None:
        self.asked = tuple(holds)
        self.covering: dict[UUID, PersonHold] = {}
        self._left: dict[bytes, list[PersonHold]] = {}
        for hold in self.asked:
            self._left.setdefault(hold.word.encode(), []).append(hold)
        self._odd = [word for word in self._left if not re.fullmatch(rb"p[a-z2-7]{16}", word)]
        """Surrogates of another make, which are looked for one by one."""

    def feed(self, canons: Sequence[bytes]) -> None:
        """Read entries."""
        for canon in canons if self._left else ():
            words = {b"p" + rest for rest in _SURROGATE.findall(canon)} & self._left.keys()
            words |= {word for word in self._odd if word in canon}
            if words:
                self._note(words, datetime.fromisoformat(orjson.loads(canon)["index"]["occurred_at"]))

    def _note(self, words: set[bytes], at: datetime) -> None:
        for word in words:
            self.covering |= {hold.id: hold for hold in self._left[word] if hold.covers(at)}

    def judge(self, holds: Iterable[PersonHold]) -> list[str]:
        """In words, what of the holds now in force speaks against dropping what was read."""
        reasons, asked = [], set(self.asked)
        for hold in holds:
            if hold.id in self.covering:
                reasons.append(str(hold))
            elif hold not in asked:
                reasons.append(f"legal hold {hold.id} was placed meanwhile: the entries are read again")
        return reasons[:MAX_TOLD]


@dataclass(frozen=True, slots=True)
class Patience:
    """Until when somebody waits."""

    ends: float
    """Seconds of the monotonic clock."""

    @classmethod
    def of(cls, seconds: float) -> "Patience":
        """From now on."""
        return cls(time.monotonic() + seconds)

    @property
    def left_ms(self) -> int:
        """Milliseconds."""
        return max(int((self.ends - time.monotonic()) * 1_000), 0)


async def found_by_index(session: AsyncSession, partition: Partition, patience: Patience) -> list[str]:
    """In words, holds on people that the index of words finds in a partition; or that it is not known yet."""
    holds = await in_force(session, partition.log)
    told: list[str] = []
    for start in range(0, len(holds), BATCH_HOLDS):
        batch = holds[start : start + BATCH_HOLDS]
        found = await _within(session, partition, batch, patience) if patience.left_ms else None
        if found is None:
            told.append(f"{UNKNOWN}: {len(holds) - start:,} of {len(holds):,} have not been looked for")
            break
        told += [str(hold) for hold in found]
        if len(told) >= MAX_TOLD:
            break
    return told[:MAX_TOLD]


async def _within(
    session: AsyncSession, partition: Partition, holds: Sequence[PersonHold], patience: Patience
) -> list[PersonHold] | None:
    """Which of the holds cover; None when the time is up. A statement that takes too long harms nothing else."""
    nested = await session.begin_nested()
    try:
        await session.execute(_SETTINGS, {"limit": f"{max(patience.left_ms, 1)}"})  # 0 would be: without limit
        return [holds[n - 1] for n in await session.scalars(_FIND, asked_for(partition, holds))]
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.errors.QueryCanceled):
            raise
        return None
    finally:
        await nested.rollback()  # nothing was written: this gives the settings back


def asked_for(partition: Partition, holds: Sequence[PersonHold]) -> dict[str, object]:
    """Values of the statement that looks for holds."""
    return {
        "log": partition.log,
        "seq_from": partition.seq_from,
        "seq_until": partition.seq_until,
        "words": [_quoted(hold.word) for hold in holds],
        "sinces": [hold.since for hold in holds],
        "untils": [hold.until for hold in holds],
    }


def _quoted(word: str) -> str:
    """One word of a full-text query, whatever signs are in it."""
    doubled = word.replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
