"""Fetches the hashes that proofs are made of: stored nodes and leaves, never a whole tree. Reads only.

A node the database lacks is a ProofError, as is one that lies in a dropped prefix: neither can be proved.
What comes out is as true as the database; whoever relies on it verifies the proof against a signed head.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.pruning import pruned_edge
from ledger.merkle import (
    HASH_BYTES,
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

_LEVELS = (0, *TILE_LEVELS)
_LEAVES = """
SELECT 0, array_agg(seq ORDER BY seq), string_agg(leaf, ''::bytea ORDER BY seq)
FROM audit_entries WHERE log = :log AND seq = ANY(CAST(:level_0 AS bigint[]))
"""
_NODES = """
SELECT {level}, array_agg(position ORDER BY position), string_agg(hash, ''::bytea ORDER BY position)
FROM audit_nodes WHERE log = :log AND level = {level} AND position = ANY(CAST(:level_{level} AS bigint[]))
"""
_HASHES = text(" UNION ALL ".join([_LEAVES, *(_NODES.format(level=level) for level in TILE_LEVELS)]))
"""Places one by one, a few hundred at most: over ranges the planner expects so many rows that it reads the table. One
row a level, because taking hundreds of rows apart costs more than finding them."""

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
    """Fetch some nodes with one statement, for the functions of `ledger.merkle`.

    `pruned` is the edge of a prefix whose entries were dropped; its nodes come from there. None: as it is stored.
    """
    edge = await pruned_edge(session, log) if pruned is None else pruned
    wanted = {node for one in needed for node in _beyond(one, edge.size)}
    found = await _stored(session, log, {stored_range(*node) for node in wanted})

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


async def _stored(session: AsyncSession, log: str, parts: Iterable[StoredRange]) -> Hashes:
    places: dict[int, list[int]] = {level: [] for level in _LEVELS}
    for part in parts:
        places[part.level] += range(part.first, part.stop)
    if not any(places.values()):
        return {}
    wanted = {f"level_{level}": "{" + ",".join(map(str, some)) + "}" for level, some in places.items()}
    rows = await session.execute(_HASHES, {"log": log, **wanted})
    found: Hashes = {}
    for level, positions, joined in rows:
        if positions is not None and len(joined) != HASH_BYTES * len(positions):
            raise ProofError(f"{log} holds hashes of level {level} that are none")
        for at, position in enumerate(positions or ()):
            found[Coordinate(level, position)] = joined[at * HASH_BYTES : (at + 1) * HASH_BYTES]
    return found
