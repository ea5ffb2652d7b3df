"""Turns filters into what the rows of one partition must fulfil, as SQL with values bound. Runs no search."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import subjects
from backend.audit.canonical import clean_address
from backend.audit.events import BOOKKEEPING, AuditEvent
from backend.audit.query import AuditFilter
from backend.audit.wording import joined, text_query
from backend.context import Runtime
from ledger import seal

FOREIGN: Final = "import:"
"""How the names of logs begin that hold imported entries."""
_ANY_BELOW: Final = ".*"
_EQUAL: Final = {
    "category": "category",
    "action": "action",
    "resource_type": "resource_type",
    "resource_id": "resource_id",
    "result": "outcome",
    "request_id": "request_id",
    "incident": "incident",
}
"""Filters that compare a column, by the name of each."""
_ASKING: Final = ("user", "event_type", "action", "resource_type", "resource_id", "request_id", "incident", "log")
"""Who says any of these asks for what matches, whatever it is."""
_NO_BOOKKEEPING: Final = "event_type <> ALL(:bookkeeping)"
_FROM_ADDRESS: Final = (
    "id IN (SELECT entry_id FROM audit_sealed WHERE blind = :blind AND field = 'ip_address'"
    " AND audit_sealed.occurred_at BETWEEN {time_min} AND {time_max})"
)
"""The partition's span bounds the look-up: an address may occur in half of all entries."""
_WORDS: Final = "words @@ CAST(:words AS tsquery)"
_WORDS_OR_NAMED: Final = f"({_WORDS} OR id = :named OR request_id = ANY(:requests))"
"""Ids of entries and requests are no words of theirs: somebody who pastes one finds it all the same."""


@dataclass(frozen=True, slots=True)
class Where:
    """What the rows must fulfil, and the part of it that whole partitions can be left out by."""

    clauses: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    log: str | None = None
    sought: bool = False
    """Text or an address is looked for: no index has its entries in the order of time, and their number varies."""
    without_bookkeeping: bool = False
    """Entries are left out that nobody looks for who looks around."""
    words_joined: int = 1
    """How many words must occur together: the planner takes them for independent, which they seldom are."""

    def sql(self, log: str, time_min: str, time_max: str) -> list[str]:
        """The clauses for a partition of a log whose entries lie between two instants, given as names of values.

        An account of ours is known by its surrogate, one of a foreign log by its name. Two possible values in one
        clause would keep the database from reading an index in its order.
        """
        actor = ":foreign_actor" if log.startswith(FOREIGN) else ":actor"
        clauses = [clause.format(actor=actor, time_min=time_min, time_max=time_max) for clause in self.clauses]
        return [*clauses, _NO_BOOKKEEPING] if self.without_bookkeeping and not log.startswith(FOREIGN) else clauses


def without_bookkeeping(where: Where, wanted: AuditFilter) -> Where:
    """Leave out what who looks around does not look for: names learnt, processes whose entries are settled, reads."""
    if any(getattr(wanted, name) is not None for name in _ASKING):
        return where
    return replace(where, without_bookkeeping=True, values={**where.values, "bookkeeping": sorted(BOOKKEEPING)})


async def conditions(session: AsyncSession, runtime: Runtime, wanted: AuditFilter) -> Where:
    """What entries must fulfil to be found by the filters."""
    clauses: list[str] = []
    values: dict[str, Any] = {}
    for name, column in _EQUAL.items():
        value = getattr(wanted, name)
        if value is not None:
            clauses.append(f"{column} = :{column}")
            values[column] = str(value)
    if wanted.user is not None:
        clauses.append("actor = {actor}")
        values |= {"actor": await subjects.find(session, wanted.user) or wanted.user, "foreign_actor": wanted.user}
    if wanted.event_type is not None:
        clauses.append("event_type = ANY(:event_types)")
        values["event_types"] = _event_types(wanted.event_type)
    if wanted.ip is not None:
        clauses.append(_FROM_ADDRESS)
        values["blind"] = seal.blind(runtime.keyring.blinding, "ip_address", clean_address(str(wanted.ip)) or "")
    if wanted.q is not None:
        values["words"] = await text_query(session, wanted.q)
        named = _uuid(wanted.q)
        clauses.append(_WORDS if named is None else _WORDS_OR_NAMED)
        values |= {} if named is None else {"named": named, "requests": [wanted.q.strip(), str(named), named.hex]}
    return Where(
        tuple(clauses), values, wanted.since, wanted.until, wanted.log,
        sought=wanted.q is not None or wanted.ip is not None, words_joined=joined(values.get("words", "")),
    )  # fmt: skip


def _uuid(asked: str) -> UUID | None:
    """The id that a question consists of, if it is one."""
    try:
        return UUID(asked.strip())
    except ValueError:
        return None


def _event_types(asked: str) -> list[str]:
    """A prefix becomes the list of its event types: an index over equal values stays usable."""
    if not asked.endswith(_ANY_BELOW):
        return [asked]
    prefix = asked.removesuffix("*")
    return [event.value for event in AuditEvent if event.value.startswith(prefix)]
