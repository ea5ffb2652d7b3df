"""The duty that has heads signed and witnessed, each witness apart from the others. Must never sign anything itself."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog
from sqlalchemy import select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import nodes
from backend.audit.authentic import is_our_head
from backend.audit.checkpoints import KeyChain, held_sizes, key_chain, latest_heads
from backend.audit.heads import generations, rollback, thinning
from backend.audit.heads.configured import signer_of, witnesses_of
from backend.audit.heads.http import KnownSizeError, SignerClient
from backend.audit.heads.parties import (
    AheadError,
    ContradictionError,
    Offer,
    PartyError,
    UnknownGenerationError,
    Witness,
)
from backend.audit.heads.writing import NewKey, fenced, note_keeper, store_head, store_keys, store_receipt
from backend.audit.heads_tables import SignedHead
from backend.audit.identity import origin_of
from backend.audit.meta import META_LOG
from backend.audit.pruning import pruned_edge
from backend.audit.tables import Ledger, LedgerHead
from backend.context import Runtime
from backend.monitors import Duty, Lead
from ledger import checkpoint
from ledger.checkpoint import Checkpoint, CheckpointError
from ledger.merkle import ProofError
from ledger.note import NoteError
from ledger.restored import ProvedEntry

log = structlog.get_logger(__name__)

SIGNER = "signer"
WITNESS = "witness"
FIRST_CHECK_AFTER_S = 60.0
"""Whoever begins to append compares first and usually leads this too: entries must not wait while both ask everybody.

A signer or witness that refuses a head still has everything compared at once.
"""
_TRIES = 3
"""A signer that says another size once has signed for a leader before us; twice, for one beside us."""


class HeadKeeper:
    """Signing and handing out, as long as this process leads."""

    def __init__(self, runtime: Runtime, lead: Lead) -> None:
        self._runtime = runtime
        self._lead = lead
        self._signer: SignerClient = signer_of(runtime.settings)
        self._witnesses = witnesses_of(runtime.settings)
        self._signed = {witness.name: asyncio.Event() for witness in self._witnesses}
        self._doubted = asyncio.Event()
        self._thinner = thinning.Thinner(runtime, lead)
        self._thick = asyncio.Event()
        self._certificates_known = -1

    async def run(self) -> None:
        """Work for ever; returns only by an exception."""
        rules = self._runtime.policy.ledger
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check_at_times(rules.rollback_check_minutes * 60))
                group.create_task(self._repeat(self.thin, thinning.INTERVAL_S, self._thick))
                group.create_task(self._repeat(self.sign_all, rules.checkpoint_interval_s, asyncio.Event()))
                for witness in self._witnesses:
                    work = partial(self.hand_all, witness)
                    group.create_task(self._repeat(work, rules.checkpoint_interval_s, self._signed[witness.name]))
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed
        finally:
            for party in (self._signer, *self._witnesses):
                await party.close()

    async def _check_at_times(self, interval_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_CHECK_AFTER_S):
                await self._doubted.wait()
        await self._repeat(self.check, interval_s, self._doubted)

    async def _repeat(self, work: Callable[[], Awaitable[None]], interval_s: float, early: asyncio.Event) -> None:
        while True:
            early.clear()
            try:
                await work()
            except (OperationalError, InterfaceError, SQLAlchemyTimeoutError) as error:
                log.warning("heads_wait_for_the_database", error=type(error).__name__)
            try:
                async with asyncio.timeout(interval_s):
                    await early.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(min(1.0, interval_s))  # woken early again and again, it still rests

    async def check(self) -> None:
        """Compare the database with everybody; see `backend.audit.heads.rollback`."""
        await rollback.check(self._runtime, self._signer, self._witnesses)

    async def thin(self) -> None:
        """Let go of some old heads; see `backend.audit.heads.thinning`."""
        if await self._thinner.step():
            self._thick.set()

    async def sign_all(self) -> None:
        """Have every head signed that moved; note how the signer does."""
        problem: str | None = None
        try:
            await self._sign_moved()
        except (AheadError, ContradictionError) as error:
            problem = str(error)
            self._doubted.set()
        except PartyError as error:
            problem = str(error)
        except ProofError as error:
            problem = f"The database cannot prove its own growth: {error}."
            self._doubted.set()
        await self._note(self._signer.name, SIGNER, problem)
        for event in self._signed.values():
            event.set()

    async def _sign_moved(self) -> None:
        async with self._runtime.database.read() as session:
            ledger = await session.scalar(select(Ledger))
            heads = (await session.scalars(select(LedgerHead).where(LedgerHead.size > 0))).all()
            ours = [origin_of(ledger, head.log) for head in heads] if ledger is not None else []
            signed = {head.origin: head.size for head in await latest_heads(session, ours)}
        if ledger is None or not heads:
            return
        await self._learn_keys()
        forged = []
        for head in sorted(heads, key=lambda head: (head.log != META_LOG, head.log)):  # a generation begins with meta
            origin = origin_of(ledger, head.log)
            if not is_our_head(self._runtime.keyring.outbox, head.log, head.size, head.root, head.mac):
                forged.append(head.log)
            elif head.size != signed.get(origin):
                await self._sign(origin, head, signed.get(origin, 0))
        if forged:
            raise ProofError(f"the head of {', '.join(forged)} was not written by a process that holds the master key")

    async def _learn_keys(self) -> KeyChain | None:
        """Take the signer's keys that the database lacks; None while it has none.

        Raises:
            PartyError: the signer is away, or is another one than the ledger began with.
        """
        async with self._runtime.database.read() as session:
            chain = await key_chain(session)
        known = chain.certificates if chain else ()
        told = await self._signer.keys(len(known))
        if not told.genesis:
            if chain is not None:
                raise PartyError("It has no key: its directory was lost or is another one.")
            return None
        if chain is not None and chain.genesis != told.genesis:
            raise PartyError("It holds other keys than those this ledger began with.")
        together = KeyChain(told.genesis, (*known, *told.certificates))
        try:
            keys = together.keys()
        except (NoteError, CheckpointError) as error:
            raise PartyError(f"Its keys form no chain: {error}.") from error
        certified = dict(zip(sorted(keys), (None, *together.certificates), strict=True))
        fresh = [NewKey(epoch, keys[epoch], certified[epoch]) for epoch in sorted(keys)]
        fresh = fresh[len(known) + 1 :] if chain else fresh
        if fresh:
            async with fenced(self._runtime, self._lead) as session:
                await store_keys(session, self._runtime, fresh)
        return together

    async def _sign(self, origin: str, head: LedgerHead, old: int) -> None:
        asked = Checkpoint(origin, head.size, head.root)
        for _ in range(_TRIES):
            async with self._runtime.database.read() as session:
                proof = await self._proof(session, head.log, old, head.size)
            try:
                signed = await self._ask_signer(asked, head.log, old, proof)
            except KnownSizeError as known:
                if known.size > head.size:
                    await self._refuse_to_be_older(head.log, known.size)
                    return
                old = known.size
                continue
            await self._store(asked, head.log, signed)
            return
        raise PartyError("It changes its mind about what it has signed.")

    async def _ask_signer(self, asked: Checkpoint, name: str, old: int, proof: Sequence[bytes]) -> bytes:
        """Have a head signed; the first one of a generation with the restores that led to it."""
        try:
            return await self._signer.sign(asked, old, proof)
        except UnknownGenerationError:
            if name != META_LOG:
                raise
        return await self._signer.restore(asked, old, proof, await self._restores(asked.size))

    async def _restores(self, size: int) -> list[ProvedEntry]:
        async with self._runtime.database.read() as session:
            return await generations.proved(session, self._runtime.keyring.verification, size)

    async def _refuse_to_be_older(self, name: str, signed_size: int) -> None:
        """The signer has signed more than we asked for: either others were faster, or the database lost something."""
        async with self._runtime.database.read() as session:
            size = await session.scalar(select(LedgerHead.size).where(LedgerHead.log == name)) or 0
        if size < signed_size:
            raise AheadError(f"It has signed a head of {signed_size:,} entries of {name}; the database has {size:,}.")

    async def _store(self, asked: Checkpoint, name: str, signed: bytes) -> None:
        """Keep what the signer gave, if it is what was asked for and signed by the key of its epoch."""
        chain = await self._learn_keys()
        try:
            keys = list(chain.keys().values()) if chain else []
            head = checkpoint.open_checkpoint(signed, keys).checkpoint
        except (NoteError, CheckpointError) as error:
            raise PartyError(f"What it signs does not verify: {error}.") from error
        if (head.origin, head.size, head.root) != (asked.origin, asked.size, asked.root) or head.epoch is None:
            raise PartyError("It has signed something else than it was asked to.")
        row = SignedHead(
            origin=head.origin,
            size=head.size,
            log=name,
            root=head.root,
            epoch=head.epoch,
            note=signed,
            signed_at=self._runtime.clock.now(),
        )
        async with fenced(self._runtime, self._lead) as session:
            await store_head(session, row)

    async def hand_all(self, witness: Witness) -> None:
        """Hand one witness the newest head of every log that it has not confirmed; note how it does."""
        problem: str | None = None
        try:
            for offer in await self._offers(witness.name):
                receipt = await witness.add(offer)
                async with fenced(self._runtime, self._lead) as session:
                    await store_receipt(session, self._runtime, witness.name, offer, receipt)
        except (AheadError, ContradictionError) as error:
            problem = str(error)
            self._doubted.set()
        except PartyError as error:
            problem = str(error)
        except ProofError as error:
            problem = f"The database cannot prove its own growth: {error}."
            self._doubted.set()
        await self._note(witness.name, WITNESS, problem)

    async def _offers(self, witness: str) -> list[Offer]:
        async with self._runtime.database.read() as session:
            ledger = await session.scalar(select(Ledger))
            logs = (await session.scalars(select(LedgerHead.log))).all()
            if ledger is None or not logs:
                return []
            heads = await latest_heads(session, [origin_of(ledger, one) for one in logs])
            sizes = {head.origin: (await held_sizes(session, head.origin)).get(witness) for head in heads}
            chain = await key_chain(session)
        certificates = chain.certificates if chain else ()
        return [
            Offer(
                ledger=ledger.name,
                origin=head.origin,
                size=head.size,
                note=head.note,
                certificates=certificates,
                prove=partial(self._prove, head),
                restores=partial(self._restores, head.size),
            )
            for head in sorted(heads, key=lambda head: (head.log != META_LOG, head.log))
            if head.size != sizes.get(head.origin)
        ]

    async def _prove(self, head: SignedHead, old: int) -> list[bytes]:
        async with self._runtime.database.read() as session:
            return await self._proof(session, head.log, old, head.size)

    async def _proof(self, session: AsyncSession, name: str, old: int, new: int) -> list[bytes]:
        return await nodes.consistency_proof(session, name, old, new, await pruned_edge(session, name))

    async def _note(self, name: str, kind: str, problem: str | None) -> None:
        self._runtime.metrics.audit_keeper_up.labels(name).set(problem is None)
        if problem is not None:
            log.warning("head_keeper_fails", name=name, problem=problem)
        async with fenced(self._runtime, self._lead) as session:
            await note_keeper(session, self._runtime, name, kind, problem)


async def _run(runtime: Runtime, lead: Lead) -> None:
    await HeadKeeper(runtime, lead).run()


HEADS = Duty("heads", _run)
