"""Remembers of closed partitions what a search has seen: that from some instant on none of its entries matches.

Nothing comes to a closed partition any more, so that a question asked again, or paged through, need not look there
once more. Kept for a while only, under what the question asks and not under its words. Must never be told of a
partition that still grows.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from backend.audit.conditions import Where
from backend.audit.windows import Span
from backend.timed import TimedCache

Known = TimedCache[tuple[bytes, str], datetime]
"""From when on a partition has no match, by the question and the partition's table."""


@dataclass(frozen=True, slots=True)
class Barren:
    """What is known for one question."""

    known: Known
    question: bytes

    def since(self, span: Span) -> datetime | None:
        """From when on no entry of a partition matches; None when nobody has looked."""
        return self.known.get((self.question, span.table))

    def learn(self, span: Span, oldest: datetime, newest: datetime) -> None:
        """Between two instants, the newer one excluded, no entry matches; worth keeping if nothing newer does."""
        known = self.since(span)
        begins = newest > span.time_max if known is None else newest >= known > oldest
        if begins:
            self.known.put((self.question, span.table), oldest)


def asked(known: Known, generation: int, where: Where) -> Barren:
    """What is known for a question about one generation of the ledger; its times and its log are no part of it."""
    whole = repr((generation, where.clauses, where.without_bookkeeping, sorted(where.values.items())))
    return Barren(known, sha256(whole.encode()).digest())
