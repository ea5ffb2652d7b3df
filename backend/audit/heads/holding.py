"""Asks the signer and every witness which heads of the ledger they hold, in every generation. Owns no judgement but
whether a head was signed; must never take one that no known key signed.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.checkpoints import key_chain
from backend.audit.heads.http import SignerClient
from backend.audit.heads.parties import Party, PartyError, Witness, opened
from backend.audit.meta import META_LOG
from backend.audit.tables import Ledger, LedgerHead
from backend.context import Runtime
from ledger import checkpoint, note
from ledger.checkpoint import Checkpoint, CheckpointError, EpochCertificate
from ledger.note import NoteError, VerifierKey
from ledger.restored import FIRST_GENERATION, Origin, RestorationError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A signed head that a party holds."""

    source: str
    origin: Origin
    head: Checkpoint
    note: bytes


@dataclass(frozen=True, slots=True)
class Held:
    """What everybody holds of a ledger."""

    evidence: tuple[Evidence, ...]
    problems: Mapping[str, str]
    """Parties that could not be asked or believed, and why."""
    origins: frozenset[Origin]
    """Every origin that somebody knows, believed or not."""
    keys: tuple[VerifierKey, ...]
    """The keys that sign the ledger's heads: the signer's word, or the database's while it is away."""


@dataclass(frozen=True, slots=True)
class Known:
    """What has to be known before anybody is asked."""

    ledger: str
    generation: int
    logs: frozenset[str]
    """Also logs of which the database holds nothing."""
    keys: tuple[VerifierKey, ...]
    genesis: str

    def origins(self) -> list[str]:
        """Where to look at a party that lists nothing: every generation there has been, and the one after."""
        generations = range(FIRST_GENERATION, self.generation + 2)
        return [str(Origin(self.ledger, log, one)) for log in sorted(self.logs) for one in generations]


@dataclass(slots=True)
class _Answer:
    """What one party holds."""

    found: list[Evidence]
    origins: set[Origin]
    keys: list[VerifierKey]
    problem: str | None = None


async def known_of(session: AsyncSession, runtime: Runtime) -> Known | None:
    """What the database says; None while it holds no ledger."""
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
    return Known(ledger.name, ledger.generation, frozenset(logs), keys, chain.genesis if chain else "")


async def gather(known: Known, signer: SignerClient, witnesses: Sequence[Witness]) -> Held:
    """Ask everybody at once; only the signer's keys come first, which are believed before those in the database."""
    first = _Answer([], set(), [])
    known_to_signer = await _asked(first, _signers_keys(signer, known, first))
    theirs = list({key.encode(): key for key in (*known.keys, *first.keys)}.values())
    answers = [first, *(_Answer([], set(), []) for _ in witnesses)]
    asking = [
        _asked(one, _all_of(party, known, theirs, one)) for party, one in zip(witnesses, answers[1:], strict=True)
    ]
    if known_to_signer:
        asking.append(_asked(first, _heads_of(signer, known, first)))
    await asyncio.gather(*asking)
    parties: tuple[Party, ...] = (signer, *witnesses)
    problems = {party.name: one.problem for party, one in zip(parties, answers, strict=True) if one.problem}
    return Held(
        evidence=tuple(evidence for one in answers for evidence in one.found),
        problems=problems,
        origins=frozenset().union(*(one.origins for one in answers)),
        keys=tuple(first.keys or known.keys),
    )


async def _asked(answer: _Answer, asking: Awaitable[None]) -> bool:
    """Whether a party answered everything; else the answer says why it did not."""
    try:
        await asking
    except PartyError as error:
        answer.problem = str(error)
        return False
    return True


async def _all_of(party: Witness, known: Known, keys: Sequence[VerifierKey], answer: _Answer) -> None:
    await _witnesses_keys(party, known, keys, answer)
    await _heads_of(party, known, answer)


async def _heads_of(party: Party, known: Known, answer: _Answer) -> None:
    """Everything one party holds of the ledger's logs."""
    listed = await party.origins(known.ledger)
    for line in known.origins() if listed is None else sorted(listed):
        await _ask_of(party, known, line, answer)


async def _ask_of(party: Party, known: Known, line: str, answer: _Answer) -> None:
    """The head that a party holds of one origin."""
    try:
        origin = Origin.parse(line)
    except RestorationError:
        answer.problem = "It holds heads of something that is no log."
        return
    if origin.ledger != known.ledger:
        answer.problem = f"It holds heads of another ledger, {origin.ledger}."
        return
    signed = await party.latest(line)
    if signed is None:
        return
    answer.origins.add(origin)
    head = opened(signed)
    if head.origin != line or not _believed(party, signed, answer.keys):
        answer.problem = "It holds a head that no known key of this ledger has signed."
        return
    answer.found.append(Evidence(party.name, origin, head, signed))


async def _signers_keys(signer: SignerClient, known: Known, answer: _Answer) -> None:
    """The keys that the signer says are its own: whoever has the database can have put others there."""
    told = await signer.keys(0)
    if not told.genesis:
        answer.keys = list(known.keys)
        return
    if known.genesis and told.genesis != known.genesis:
        answer.problem = "It holds other keys than those this ledger began with."
    try:
        answer.keys = list(checkpoint.verify_chain(told.genesis, told.certificates).values())
    except (NoteError, CheckpointError) as error:
        raise PartyError(f"Its keys form no chain: {error}.") from error


async def _witnesses_keys(party: Party, known: Known, keys: Sequence[VerifierKey], answer: _Answer) -> None:
    """The keys a witness's heads may be signed with: an older database knows fewer of them than the witness does."""
    answer.keys = list(keys)
    newest = answer.keys[-1] if answer.keys else None
    while newest is not None:
        named = checkpoint.epoch_of(newest.name)
        following = await party.certificate(known.ledger, named[1] + 1) if named else None
        if following is None:
            return
        try:
            newest = EpochCertificate.parse(note.open_note(following, [newest]).text).key
        except (NoteError, CheckpointError) as error:
            raise PartyError(f"It holds a certificate that does not hold: {error}.") from error
        answer.keys.append(newest)


def _believed(party: Party, signed: bytes, keys: Iterable[VerifierKey]) -> bool:
    try:
        checkpoint.open_checkpoint(signed, list(keys))
    except (NoteError, CheckpointError):
        vouches = getattr(party, "vouches", None)
        return bool(vouches and vouches(signed))
    return True
