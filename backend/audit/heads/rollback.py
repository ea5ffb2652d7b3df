"""Compares the database with what the signer and every witness hold. They are believed, the database is not.

A database that is smaller or other than a head they hold was restored or changed: the fault is written down, and
while it is open the sequencer appends nothing. Must never resolve one: that takes two people (see `restore`).
"""

import asyncio
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
from backend.audit.checkpoints import key_chain
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.http import SignerClient
from backend.audit.heads.parties import Party, PartyError, Witness, opened
from backend.audit.heads_tables import LedgerFault
from backend.audit.identity import origin_of
from backend.audit.meta import META_LOG
from backend.audit.pruning import pruned_edge
from backend.audit.tables import Ledger, LedgerHead
from backend.context import Runtime
from ledger import checkpoint, note
from ledger.checkpoint import Checkpoint, CheckpointError, EpochCertificate
from ledger.merkle import EMPTY_ROOT, ProofError, verify_consistency
from ledger.note import NoteError, VerifierKey

log = structlog.get_logger(__name__)

SMALLER: Final = "smaller"
OTHER: Final = "other"
BEFORE_CUT: Final = "before the cut"
"""The head is older than what retention has dropped: nothing is left to compare it with."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signed head that a party holds."""

    source: str
    log: str
    head: Checkpoint
    note: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a check found: contradictions, and parties that could not be asked or believed."""

    contradictions: tuple[tuple[Evidence, str, int], ...]
    """Evidence, kind of fault, and the size of the log in the database."""
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    """What has to be known before anybody is asked."""

    ledger: str
    origins: Mapping[str, str]
    """Log by origin, also of logs of which the database holds nothing."""
    keys: tuple[VerifierKey, ...]
    genesis: str


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
        known = await _known(session, runtime)
    if known is None:
        return Comparison((), {})
    asked = await asyncio.gather(*(_ask(party, known, signer) for party in (signer, *witnesses)))
    problems = {party.name: problem for party, (_, problem) in zip((signer, *witnesses), asked, strict=True) if problem}
    evidence = [one for found, _ in asked for one in found]
    # only now the database is looked at: it can have grown since, but it cannot have shrunk without a fault
    async with runtime.database.transaction() as session:
        contradictions = await _contradictions(session, known, evidence)
        for one, kind, size in contradictions:
            await _store(session, runtime, one, kind, size)
    for one, kind, size in contradictions:
        log.critical("ledger_fault", log=one.log, kind=kind, source=one.source, size=size, witnessed=one.head.size)
    return Comparison(tuple(contradictions), problems)


async def _known(session: AsyncSession, runtime: Runtime) -> _Known | None:
    ledger = await session.scalar(select(Ledger))
    if ledger is None:
        return None
    logs = {META_LOG, *runtime.policy.audit_logs, *(await session.scalars(select(LedgerHead.log)))}
    chain = await key_chain(session)
    keys: tuple[VerifierKey, ...] = ()
    if chain is not None:
        try:
            keys = tuple(chain.keys().values())
        except (NoteError, CheckpointError):
            log.exception("epoch_keys_damaged")
    return _Known(ledger.name, {origin_of(ledger, one): one for one in logs}, keys, chain.genesis if chain else "")


async def _ask(party: Party, known: _Known, signer: SignerClient) -> tuple[list[Evidence], str | None]:
    """Everything one party holds of the ledger's logs; nothing and why not when it cannot be asked or believed."""
    found: list[Evidence] = []
    try:
        keys = await _keys_of(party, known, signer)
        for origin, name in known.origins.items():
            signed = await party.latest(origin)
            if signed is None:
                continue
            head = opened(signed)
            if head.origin != origin or not _believed(party, signed, keys):
                return found, "It holds a head that no known key of this ledger has signed."
            found.append(Evidence(party.name, name, head, signed))
    except PartyError as error:
        return found, str(error)
    return found, None


async def _keys_of(party: Party, known: _Known, signer: SignerClient) -> list[VerifierKey]:
    """The keys a party's heads may be signed with: an older database knows fewer of them than the party does."""
    if party is signer:
        told = await signer.keys(0)
        if not told.genesis:
            return list(known.keys)
        if known.genesis and told.genesis != known.genesis:
            raise PartyError("It holds other keys than those this ledger began with.")
        try:
            return list(checkpoint.verify_chain(told.genesis, told.certificates).values())
        except (NoteError, CheckpointError) as error:
            raise PartyError(f"Its keys form no chain: {error}.") from error
    keys = list(known.keys)
    while keys:
        named = checkpoint.epoch_of(keys[-1].name)
        following = await party.certificate(known.ledger, named[1] + 1) if named else None
        if following is None:
            break
        try:
            keys.append(EpochCertificate.parse(note.open_note(following, [keys[-1]]).text).key)
        except (NoteError, CheckpointError) as error:
            raise PartyError(f"It holds a certificate that does not hold: {error}.") from error
    return keys


def _believed(party: Party, signed: bytes, keys: Iterable[VerifierKey]) -> bool:
    try:
        checkpoint.open_checkpoint(signed, list(keys))
    except (NoteError, CheckpointError):
        vouches = getattr(party, "vouches", None)
        return bool(vouches and vouches(signed))
    return True


async def _contradictions(
    session: AsyncSession, known: _Known, evidence: Sequence[Evidence]
) -> list[tuple[Evidence, str, int]]:
    ledger = await session.scalar(select(Ledger))
    if ledger is None or origin_of(ledger, META_LOG) not in known.origins:
        return []  # a restore was approved meanwhile: what was asked for belongs to the generation before
    heads = {head.log: (head.size, head.root) for head in await session.scalars(select(LedgerHead))}
    worst: dict[str, tuple[Evidence, str, int]] = {}
    held_up: set[str] = set()
    for one in sorted(evidence, key=lambda one: one.head.size, reverse=True):
        size, root = heads.get(one.log, (0, EMPTY_ROOT))
        kind = await _verdict(session, one, size, root)
        if kind == BEFORE_CUT and one.log in held_up:
            continue  # a party that was away for long; a newer head, which is after the cut, is continued
        if kind is None:
            held_up.add(one.log)
        elif one.log not in worst:
            worst[one.log] = (one, OTHER if kind == BEFORE_CUT else kind, size)
    return list(worst.values())


async def _verdict(session: AsyncSession, one: Evidence, size: int, root: bytes) -> str | None:
    """What is wrong with the log in the light of a head; None: the database continues it."""
    if one.head.size > size:
        return SMALLER
    try:
        edge = await pruned_edge(session, one.log)
        if one.head.size < edge.size:
            return BEFORE_CUT
        proof = await nodes.consistency_proof(session, one.log, one.head.size, size, edge)
        verify_consistency(one.head.size, size, one.head.root, root, proof)
    except ProofError:
        return OTHER
    return None


async def _store(session: AsyncSession, runtime: Runtime, one: Evidence, kind: str, size: int) -> None:
    values = {
        "id": runtime.clock.new_id(),
        "log": one.log,
        "origin": one.head.origin,
        "kind": kind,
        "source": one.source,
        "witnessed_size": one.head.size,
        "own_size": size,
        "evidence": one.note,
        "found_at": runtime.clock.now(),
    }
    await session.execute(insert(LedgerFault).values(values).on_conflict_do_nothing())
