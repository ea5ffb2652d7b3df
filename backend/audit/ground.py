"""What a search stands on: how large every log is, which partitions there are, the newest signed heads, what waits.

All of it is of one instant, read in one statement: what waits in the outbox then is in no log of that size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.asking import ask
from backend.audit.events import UNHURRIED
from backend.audit.windows import Span
from contract.audit import WAITING_CAP

USUAL_LAG_S: Final = 0.15
"""How long an entry may wait for its place while all is well: the sequencer's look at the outbox, and a batch."""

_STATEMENT: Final = """
SELECT 'log', head.log, head.size, NULL, NULL, NULL, NULL, (
    SELECT note FROM audit_checkpoints
    WHERE origin = ledger.name || '/' || head.log || CASE WHEN generation > 1 THEN '/r' || generation ELSE '' END
    ORDER BY size DESC LIMIT 1)
FROM audit_heads AS head LEFT JOIN audit_ledger AS ledger ON true
UNION ALL
SELECT 'part', log, seq_from, seq_until, quote_ident(table_name), time_min, time_max, NULL
FROM audit_spans WHERE time_max IS NOT NULL
UNION ALL
SELECT 'ledger', name, generation, NULL, NULL, NULL, NULL, NULL FROM audit_ledger
"""
_WAITING: Final = """
UNION ALL
SELECT 'waiting', NULL, count(*), count(*) FILTER (WHERE hurried), NULL, NULL, NULL, NULL FROM (
    SELECT filed_at < clock_timestamp() - :lag * interval '1 s' OR (
        position(convert_to(:own, 'UTF8') IN canon) > 0 AND NOT EXISTS (
            SELECT FROM unnest(CAST(:aside AS text[])) AS kind WHERE position(convert_to(kind, 'UTF8') IN canon) > 0)
    ) AS hurried
    FROM audit_outbox WHERE emitted_at <= :now LIMIT :cap) AS waiting
"""
_OF_READING: Final = [f'"event_type":"{kind}"' for kind in sorted(UNHURRIED)]
"""As the bytes of entries about reading have it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The ledger and its outbox at one instant."""

    sizes: Mapping[str, int]
    spans: Sequence[Span]
    notes: Mapping[str, bytes]
    """The newest signed head of each log that has one."""
    generation: int
    waiting: int = 0
    """Entries committed before and not yet in the ledger."""
    awaited: int = 0
    """Those of them that a search must not miss without having waited."""

    def is_closed(self, span: Span) -> bool:
        """Whether nothing can come to a partition any more."""
        return self.sizes.get(span.log, 0) >= span.seq_until


@dataclass(frozen=True, slots=True)
class Asker:
    """Who must find what they have done themselves, from when on."""

    own: str
    """Stands in the bytes of each entry by them, or about them."""
    now: datetime
    readings: bool
    """Also what says that they searched and read: entries like others, which only who looks for such would miss."""


async def read(session: AsyncSession, asker: Asker | None = None) -> Ground:
    """See how the ledger stands; without an asker nothing is told of what waits."""
    values = {}
    if asker is not None:
        aside = [] if asker.readings else _OF_READING
        values = {"lag": USUAL_LAG_S, "own": asker.own, "aside": aside, "now": asker.now, "cap": WAITING_CAP}
    found = await ask(session, _STATEMENT + (_WAITING if values else ""), values)
    sizes: dict[str, int] = {}
    notes: dict[str, bytes] = {}
    spans: list[Span] = []
    generation = waiting = awaited = 0
    for what, log, first, second, table, oldest, newest, note in found:
        if what == "log":
            sizes[log] = first
            if note is not None:
                notes[log] = note
        elif what == "part":
            spans.append(Span(log, first, second, table, oldest, newest))
        elif what == "ledger":
            generation = first
        else:
            waiting, awaited = first, second
    return Ground(sizes, spans, notes, generation, waiting, awaited)
