"""Taking in what second sources see, and telling them where to look. A source is never the executor itself."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.executor_names import speaks_for
from backend.freeze import core, evidence, store
from backend.freeze.views import permit_life
from backend.roster import service as roster
from contract.errors import ErrorCode
from contract.observing import (
    Looked,
    Observation,
    ObservationRequest,
    Observed,
    ObservedFate,
    ToWatch,
    WatchedContract,
    WatchedWallet,
)
from contract.permissions import Permission

_KEEP = text(
    "INSERT INTO halt_observations AS kept"
    " (freeze_id, source, looked_at, chain, subject, value, pending, unchanged_blocks, block, seen_at, ceiling)"
    " SELECT freeze_id, :source, looked_at, chain, subject, value, pending, unchanged_blocks, block, clock_timestamp(),"
    "  CASE WHEN after THEN greatest(value, coalesce(pending, 0)) END"
    " FROM unnest(CAST(:freezes AS uuid[]), CAST(:after AS boolean[]), CAST(:looked AS text[]),"
    "  CAST(:chains AS text[]), CAST(:subjects AS text[]), CAST(:values AS bigint[]), CAST(:pending AS bigint[]),"
    "  CAST(:blocks AS integer[]), CAST(:at AS bigint[]))"
    "  AS q(freeze_id, after, looked_at, chain, subject, value, pending, unchanged_blocks, block)"
    " ON CONFLICT (freeze_id, source, looked_at, chain, subject) DO UPDATE SET value = excluded.value,"
    "  pending = excluded.pending, unchanged_blocks = excluded.unchanged_blocks, block = excluded.block,"
    "  seen_at = excluded.seen_at,"
    "  ceiling = coalesce(kept.ceiling, excluded.ceiling)"
)
_KEEP_FATES = text(
    "INSERT INTO halt_fates (freeze_id, executor, in_flight_id, fate, source, told_at)"
    " SELECT acks.freeze_id, acks.executor, q.id, q.fate, :source, clock_timestamp()"
    " FROM unnest(CAST(:ids AS text[]), CAST(:fates AS text[])) AS q(id, fate)"
    " JOIN halt_acks AS acks ON jsonb_exists(acks.in_flight_ids, q.id)"
    " WHERE acks.freeze_id = ANY(CAST(:freezes AS uuid[]))"
    "  AND (CAST(:executors AS text[]) IS NULL OR acks.executor = ANY(CAST(:executors AS text[])))"
    " ON CONFLICT DO NOTHING RETURNING in_flight_id"
)


async def record(session: AsyncSession, runtime: Runtime, caller: Caller, request: ObservationRequest) -> Observed:
    """Keep what a second source saw of executors under holds in force; what concerns none of them is not kept.

    A source whose token is bound to executors is heard about these alone.

    Raises:
        WatchfloorError: NOT_ALLOWED for a caller that may renew permits: nobody vouches for itself.
    """
    if Permission.RENEW_PERMIT in caller.permissions:
        raise WatchfloorError(
            ErrorCode.NOT_ALLOWED,
            "A token that renews permits cannot be a second source.",
            hint="Give the watcher a token of its own that holds observe_halts only.",
        )
    holds = await store.holds_in_force(session)
    if not holds:
        return Observed(observations=0, fates=0)
    people = await roster.everyone(session)
    own = [facts for facts in people.executors if speaks_for(caller, facts.name)]
    found = await evidence.read(session, [hold.id for hold in holds])
    kept = []
    for hold in holds:
        places = _watched(hold, own, found[hold.id])
        dead = evidence.dead_at(hold.created_at, permit_life(runtime)) < people.now
        kept += [(hold.id, dead, seen) for seen in request.observations if _place(seen) in places]
    await _keep(session, caller.subject, kept)
    ids = [hold.id for hold in holds]
    bound_to = [facts.name for facts in own] if caller.executors else None
    fates = await _keep_fates(session, caller.subject, ids, request.fates, bound_to)
    return Observed(observations=len({_place(seen) for _, _, seen in kept}), fates=fates)


async def to_watch(session: AsyncSession, caller: Caller) -> ToWatch:
    """The wallets, executors and ids in flight that a second source should look at now, of those it may report of."""
    holds = await store.holds_in_force(session)
    if not holds:  # as it mostly is, and asked for every second: nobody is read for it
        return ToWatch(wallets=[], contracts=[], executors=[], in_flight=[], as_of=await roster.database_now(session))
    people = await roster.everyone(session)
    own = [facts for facts in people.executors if speaks_for(caller, facts.name)]
    found = await evidence.read(session, [hold.id for hold in holds])
    places: set[tuple[str, str, str]] = set()
    waiting: set[str] = set()
    for hold in holds:
        places |= _watched(hold, own, found[hold.id])
        for name, ack in found[hold.id].acks.items():
            if not speaks_for(caller, name):
                continue
            waiting |= set(ack.in_flight_ids) - set(found[hold.id].fates.get(name, {}))
    wallets = sorted((chain, subject) for kind, chain, subject in places if kind == Looked.NONCE.value)
    contracts = sorted((chain, subject) for kind, chain, subject in places if kind == Looked.PAUSED.value)
    return ToWatch(
        wallets=[WatchedWallet(chain=chain, wallet=wallet) for chain, wallet in wallets],
        contracts=[WatchedContract(chain=chain, contract=contract) for chain, contract in contracts],
        executors=sorted(subject for kind, _, subject in places if kind == Looked.OPEN_ORDERS.value),
        in_flight=sorted(waiting),
        as_of=people.now,
    )


def _watched(hold: core.Hold, people: Iterable[roster.Facts], found: evidence.Evidence) -> set[tuple[str, str, str]]:
    """Kind, chain and subject of everything that can be seen of the executors under a hold."""
    places = set()
    for facts in people:
        if not core.covering([hold], facts):
            continue
        chain, ack = facts.chain.casefold(), found.acks.get(facts.name)
        wallets = {facts.wallet.casefold(), *(ack.nonces if ack else ())}
        places |= {(Looked.NONCE.value, chain, wallet) for wallet in wallets}
        places |= {(Looked.PAUSED.value, chain, contract) for contract in (ack.paused if ack else ())}
        places.add((Looked.OPEN_ORDERS.value, chain, facts.name.casefold()))
    return places


def _place(seen: Observation) -> tuple[str, str, str]:
    return seen.looked_at.value, seen.chain.casefold(), seen.subject.casefold()


async def _keep(session: AsyncSession, source: str, kept: Sequence[tuple[UUID, bool, Observation]]) -> None:
    newest = {(freeze, _place(seen)): (freeze, after, seen) for freeze, after, seen in kept}
    rows = sorted(newest.values(), key=lambda row: (row[0], _place(row[2])))  # one order for all: nobody deadlocks
    if not rows:
        return
    columns = {
        "freezes": [freeze for freeze, _, _ in rows],
        "after": [after for _, after, _ in rows],
        "looked": [seen.looked_at.value for _, _, seen in rows],
        "chains": [seen.chain.casefold() for _, _, seen in rows],
        "subjects": [seen.subject.casefold() for _, _, seen in rows],
        "values": [seen.value for _, _, seen in rows],
        "pending": [seen.pending for _, _, seen in rows],
        "blocks": [seen.unchanged_blocks for _, _, seen in rows],
        "at": [seen.block for _, _, seen in rows],
    }
    await session.execute(_KEEP, {"source": source, **columns})


async def _keep_fates(
    session: AsyncSession, source: str, freezes: Sequence[UUID], fates: Iterable[ObservedFate], own: list[str] | None
) -> int:
    told = {one.id: one.fate.value for one in fates}
    if not told:
        return 0
    values: dict[str, Any] = {"source": source, "freezes": list(freezes), "executors": own}
    values |= {"ids": list(told), "fates": list(told.values())}
    return len((await session.execute(_KEEP_FATES, values)).all())
