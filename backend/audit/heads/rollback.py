"""Compares the database with what the signer and every witness hold. They are believed, the database is not.

A database that is smaller or other than a head they hold, in whichever generation, was restored or changed, unless an
approved restore accounts for that head: the fault is written down, and while it is open the sequencer appends nothing.
Must never resolve one: that takes two people (see `backend.audit.restore`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import nodes
from backend.audit.heads import generations
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.holding import Evidence, Held, gather, known_of
from backend.audit.heads.http import SignerClient
from backend.audit.heads.parties import Witness
from backend.audit.heads_tables import LedgerFault
from backend.audit.meta import META_LOG
from backend.audit.pruning import pruned_edge
from backend.audit.tables import Ledger, LedgerHead
from backend.context import Runtime
from ledger.checkpoint import Checkpoint
from ledger.merkle import ProofError, verify_consistency
from ledger.restored import EMPTY, Origin, Restoration, Size, released_by

log = structlog.get_logger(__name__)

SMALLER: Final = "smaller"
OTHER: Final = "other"
GENERATION: Final = "generation"
"""The database is of another generation than approved restores lead to, or than a party knows of."""
BEFORE_CUT: Final = "before the cut"
"""The head is older than what retention has dropped: nothing is left to compare it with."""
ITSELF: Final = "the ledger itself"
"""Source of a fault that needs nobody outside to be seen."""

Contradiction = tuple[Evidence, str, int]
"""Evidence, kind of fault, and the size of the log in the database."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a check found: contradictions, and parties that could not be asked or believed."""

    contradictions: tuple[Contradiction, ...]
    problems: Mapping[str, str]


async def check_before_append(runtime: Runtime) -> None:
    """Compare before anything is appended; for whoever is about to. Faults found are in the database afterwards.

    Parties that are away keep nobody from appending: that would let an outage of theirs stop trading.

    Raises:
        ConnectionError: the database is away, so that nothing was compared.
    """
    signer, witnesses = signer_of(runtime.settings), witnesses_of(runtime.settings)
    try:
        await check(runtime, signer, witnesses)
    except (OperationalError, InterfaceError, SQLAlchemyTimeoutError) as error:
        raise ConnectionError("the database is away") from error
    finally:
        for party in (signer, *witnesses):
            await party.close()


async def check(runtime: Runtime, signer: SignerClient, witnesses: Sequence[Witness]) -> Comparison:
    """Ask everybody, compare, and write down what is wrong."""
    async with runtime.database.read() as session:
        known = await known_of(session, runtime)
    if known is None:
        return Comparison((), {})
    held = await gather(known, signer, witnesses)
    # only now the database is looked at: it can have grown since, but it cannot have shrunk without a fault
    async with runtime.database.transaction() as session:
        ledger = await session.scalar(select(Ledger))
        if ledger is None or ledger.generation != known.generation:
            return Comparison((), held.problems)  # a restore was approved meanwhile: what was asked for is of before
        found = await write_down(session, runtime, ledger, held)
    for one, kind, size in found:
        log.critical("ledger_fault", origin=str(one.origin), kind=kind, source=one.source, size=size)
    return Comparison(tuple(found), held.problems)


async def write_down(session: AsyncSession, runtime: Runtime, ledger: Ledger, held: Held) -> list[Contradiction]:
    """Compare what was gathered with the database, and write down what is wrong with which origin."""
    heads = {head.log: (head.size, head.root) for head in await session.scalars(select(LedgerHead))}
    restores = await generations.counted(session, runtime.keyring.verification, heads.get(META_LOG, EMPTY))
    found = await _contradictions(session, ledger, held, heads, restores)
    for one, kind, size in found:
        await _store(session, runtime, one, kind, size)
    return found


async def _contradictions(
    session: AsyncSession, ledger: Ledger, held: Held, heads: Mapping[str, Size], restores: Sequence[Restoration]
) -> list[Contradiction]:
    worst: dict[Origin, Contradiction] = {}
    held_up: set[str] = set()
    judged: dict[tuple[str, Size], str | None] = {}
    evidence = sorted((*held.evidence, *_left(restores)), key=lambda one: (one.head.size, one.note), reverse=True)
    for one in evidence:
        own = heads.get(one.origin.log, EMPTY)
        said = one.origin.log, (one.head.size, one.head.root)
        if said not in judged:  # most parties hold the same heads
            judged[said] = await _verdict(session, one, own)
        kind = judged[said]
        if kind is None:
            held_up.add(one.origin.log)
            kind = GENERATION if one.origin.generation > ledger.generation else None
        elif released_by(restores, one.head, held.keys) is not None:
            kind = None
        elif kind == BEFORE_CUT:
            # a party that was away for long, or an old restore; a newer head, which is after the cut, is continued
            kind = None if one.origin.log in held_up or one.source == ITSELF else OTHER
        if kind is not None and (one.origin not in worst or worst[one.origin][1] == GENERATION):
            worst[one.origin] = (one, kind, own[0])
    if generations.generation_of(restores) != ledger.generation:
        itself = Origin(ledger.name, META_LOG, ledger.generation)
        told = Evidence(ITSELF, itself, Checkpoint(str(itself), *EMPTY), b"")
        worst.setdefault(itself, (told, GENERATION, heads.get(META_LOG, EMPTY)[0]))
    return list(worst.values())


def _left(restores: Sequence[Restoration]) -> Iterable[Evidence]:
    """What was left of each log that lost something, as the newest restore says: nobody may have signed it yet."""
    newest = generations.generation_of(restores)
    for one in restores:
        if one.generation == newest:
            for loss in one.lost:
                origin = Origin(one.ledger, loss.origin.log, newest)
                yield Evidence(ITSELF, origin, Checkpoint(str(origin), *loss.present), b"")


async def _verdict(session: AsyncSession, one: Evidence, own: Size) -> str | None:
    """What is wrong with the log in the light of a head; None: the database continues it."""
    log_name, (size, root) = one.origin.log, own
    if one.head.size > size:
        return SMALLER
    try:
        edge = await pruned_edge(session, log_name)
        if one.head.size < edge.size:
            return BEFORE_CUT
        proof = await nodes.consistency_proof(session, log_name, one.head.size, size, edge)
        verify_consistency(one.head.size, size, one.head.root, root, proof)
    except ProofError:
        return OTHER
    return None


async def _store(session: AsyncSession, runtime: Runtime, one: Evidence, kind: str, size: int) -> None:
    """One open fault an origin, with the largest head that shows it."""
    values = {
        "id": runtime.clock.new_id(),
        "log": one.origin.log,
        "origin": str(one.origin),
        "kind": kind,
        "source": one.source,
        "witnessed_size": one.head.size,
        "own_size": size,
        "evidence": one.note,
        "found_at": runtime.clock.now(),
    }
    new = insert(LedgerFault).values(values)
    shown = {name: new.excluded[name] for name in ("kind", "source", "witnessed_size", "own_size", "evidence")}
    await session.execute(
        new.on_conflict_do_update(
            index_elements=["origin"],
            index_where=LedgerFault.resolved_at.is_(None),
            set_=shown,
            where=new.excluded.witnessed_size > LedgerFault.witnessed_size,
        )
    )
