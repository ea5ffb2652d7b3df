"""Fetches the hashes that proofs are made of: stored nodes and leaves, never a whole tree. Reads only.

A node the database lacks is a ProofError, as is one that lies in a dropped prefix: neither can be proved.
What comes out is as true as the database; whoever relies on it verifies the proof against a signed head.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.pruning import pruned_edge
from ledger.merkle import (
    TILE_LEVELS,
    CompactRange,
    Coordinate,
    ProofError,
    StoredRange,
    SubtreeHash,
    consistency_path,
    fold_perfect,
    inclusion_path,
    nodes_needed_for_consistency,
    nodes_needed_for_inclusion,
    stored_range,
    with_pruned,
)

_LEAVES = text("SELECT seq, leaf FROM audit_entries WHERE log = :log AND seq = ANY(CAST(:places AS bigint[]))")
_NODES = text("""
SELECT position, hash FROM audit_nodes
WHERE log = :log AND level = :level AND position = ANY(CAST(:places AS bigint[]))
""")
"""Places one by one, a few hundred at most: over ranges the planner expects so many rows that it reads the table."""

Hashes = dict[Coordinate, bytes]


async def inclusion_proof(
    session: AsyncSession, log: str, index: int, size: int, pruned: CompactRange | None = None
) -> list[bytes]:
    """Prove that entry `index` is in the log's tree of `size` entries; for `ledger.merkle.verify_inclusion`.

    Raises:
        ProofError: there is no such entry, or a hash it needs is gone.
    """
    return inclusion_path(index, size, await subtrees(session, log, nodes_needed_for_inclusion(index, size), pruned))


async def consistency_proof(
    session: AsyncSession, log: str, old: int, new: int, pruned: CompactRange | None = None
) -> list[bytes]:
    """Prove that the log's tree of `old` entries is a prefix of the one of `new`; for `verify_consistency`.

    Raises:
        ProofError: `old` is larger than `new`, or a hash it needs is gone.
    """
    return consistency_path(old, new, await subtrees(session, log, nodes_needed_for_consistency(old, new), pruned))


async def subtrees(
    session: AsyncSession, log: str, needed: Iterable[Coordinate], pruned: CompactRange | None = None
) -> SubtreeHash:
    """Fetch some nodes at once, at most one statement a stored level, for the functions of `ledger.merkle`.

    `pruned` is the edge of a prefix whose entries were dropped; its nodes come from there. None: as it is stored.
    """
    edge = await pruned_edge(session, log) if pruned is None else pruned
    wanted = {node for one in needed for node in _beyond(one, edge.size)}
    by_level: dict[int, set[StoredRange]] = defaultdict(set)
    for node in wanted:
        part = stored_range(*node)
        by_level[part.level].add(part)
    found: Hashes = {}
    for level, parts in sorted(by_level.items()):
        found |= await _stored(session, log, level, sorted(parts))

    def kept(level: int, position: int) -> bytes:
        part = stored_range(level, position)
        try:
            hashes = [found[Coordinate(part.level, one)] for one in range(part.first, part.stop)]
        except KeyError as missing:
            raise ProofError(f"{log} lacks the hash of node {missing.args[0]}") from None
        return fold_perfect(hashes)

    return with_pruned(edge, kept)


def _beyond(node: Coordinate, cut: int) -> Iterator[Coordinate]:
    """The parts of a node that `with_pruned` will ask for: the node itself, unless it straddles the cut."""
    first, stop = node.position << node.level, (node.position + 1) << node.level
    if first >= cut:
        yield node
    elif stop > cut:
        for half in (2 * node.position, 2 * node.position + 1):
            yield from _beyond(Coordinate(node.level - 1, half), cut)


async def _stored(session: AsyncSession, log: str, level: int, parts: list[StoredRange]) -> Hashes:
    values = {"log": log, "places": [place for part in parts for place in range(part.first, part.stop)]}
    if level in TILE_LEVELS:
        rows = await session.execute(_NODES, {**values, "level": level})
    else:
        rows = await session.execute(_LEAVES, values)
    return {Coordinate(level, position): bytes(one) for position, one in rows}
