"""Finds the signed head that vouches for everything before a cut, and proves that the entries at hand are under it."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import nodes
from backend.audit.checkpoints import (
    KeyChain,
    cosigned,
    held_sizes,
    key_chain,
    latest_checkpoint,
    witnessed_size,
)
from backend.audit.faults import open_faults
from backend.audit.heads.configured import witness_names
from backend.audit.heads_tables import SignedHead
from backend.audit.identity import ledger_of, origin_of
from backend.context import Runtime
from backend.errors import LedgerFaultError
from ledger import checkpoint
from ledger.checkpoint import CheckpointError
from ledger.merkle import CompactRange, ProofError, verify_consistency
from ledger.note import NoteError
from ledger.restored import FIRST_GENERATION, Origin


@dataclass(frozen=True, slots=True)
class Voucher:
    """A signed and witnessed head, and the proof that a tree of `size` entries is a prefix of its tree."""

    log: str
    cut: int
    origin: str
    size: int
    root: bytes
    note: bytes
    """Signed and cosigned."""
    path: Sequence[bytes]
    keys: Sequence[str]
    """The ledger's first signing key, and the certificates to that of the head."""

    def check(self, edge: CompactRange) -> None:
        """Hold a tree worked out from entries against the signed head.

        Raises:
            LedgerFaultError: these are not the entries that were signed.
        """
        try:
            verify_consistency(self.cut, self.size, edge.root(), self.root, self.path)
        except ProofError as error:
            told = f"the first {self.cut:,} entries of {self.log} are not those that its signed head is over: {error}"
            raise LedgerFaultError(self.log, told) from error

    def to_tree(self) -> dict[str, Any]:
        """Give it as JSON values: with them a copy proves itself."""
        return {
            "origin": self.origin,
            "size": self.size,
            "note": b64encode(self.note).decode(),
            "consistency": [one.hex() for one in self.path],
            "keys": list(self.keys),
        }


async def voucher_for(session: AsyncSession, runtime: Runtime, log: str, cut: int) -> Voucher | str:
    """The newest head that enough witnesses hold, if it covers everything before a cut; or in words why not."""
    if any(fault.log == log for fault in await open_faults(session)):
        return "the log is not what a witness holds: its fault has to be resolved first"
    origin = origin_of(await ledger_of(session, runtime), log)
    size = await witnessed_size(session, origin, runtime.policy.ledger.witnesses)
    problem = await _uncovered(session, runtime, origin, cut, size) or await _left_behind(session, runtime, origin, cut)
    signed = await session.scalar(select(SignedHead).where(SignedHead.origin == origin, SignedHead.size == size))
    if problem is not None or signed is None:
        return problem or "the head that witnesses hold is not in the database"
    chain = await key_chain(session)
    if chain is None:
        return "no key is known that signs heads"
    forged = _signature_problem(chain, signed)
    if forged is not None:
        return forged
    try:
        path = tuple(await nodes.consistency_proof(session, log, cut, size))
    except ProofError as error:
        return f"the head that covers it cannot be proved: {error}"
    keys = [chain.genesis, *(one.decode() for one in chain.certificates)]
    return Voucher(log, cut, origin, size, bytes(signed.root), await cosigned(session, signed), path, keys)


async def _uncovered(session: AsyncSession, runtime: Runtime, origin: str, cut: int, witnessed: int) -> str | None:
    if witnessed >= cut:
        return None
    newest = await latest_checkpoint(session, origin)
    if newest is None or newest.size < cut:
        return "no signed head covers it"
    return f"fewer than {runtime.policy.ledger.witnesses} witnesses hold a signed head that covers it"


async def _left_behind(session: AsyncSession, runtime: Runtime, origin: str, cut: int) -> str | None:
    """A witness in use whose last head lies before the cut could never again be shown that the log continues it."""
    sizes = await held_sizes(session, origin)
    own = Origin.parse(origin)
    before = [str(replace(own, generation=one)) for one in range(FIRST_GENERATION, own.generation)]
    earlier = {name for one in before for name in await held_sizes(session, one)}
    for name in witness_names(runtime.settings.witnesses):
        if name in earlier - sizes.keys():
            return f"the witness {name} holds heads of an earlier generation only"
        if sizes.get(name, cut) < cut:
            return f"the witness {name} holds no newer head than that of {sizes[name]:,} entries"
    return None


def _signature_problem(chain: KeyChain, signed: SignedHead) -> str | None:
    try:
        head = checkpoint.open_checkpoint(bytes(signed.note), list(chain.keys().values())).checkpoint
    except (NoteError, CheckpointError) as error:
        return f"the signature of the head that covers it does not hold: {error}"
    if (head.origin, head.size, head.root) != (signed.origin, signed.size, bytes(signed.root)):
        return "the head that covers it is not the one that was signed"
    return None
