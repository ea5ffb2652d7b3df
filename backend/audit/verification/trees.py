"""The edge of a log's tree at any size, from stored hashes. As true as the database: hold it against a signed head."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import nodes
from backend.audit.pruning import pruned_edge
from ledger.merkle import CompactRange, Coordinate


def edge_coordinates(size: int) -> tuple[Coordinate, ...]:
    """The perfect subtrees that a tree of so many leaves consists of, largest first."""
    levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
    return tuple(Coordinate(level, (size >> level) - 1) for level in levels)


async def edge_at(session: AsyncSession, log: str, size: int) -> CompactRange:
    """The edge of the tree as it was at some size.

    Raises:
        ProofError: a hash it needs is gone.
    """
    wanted = edge_coordinates(size)
    subtree = await nodes.subtrees(session, log, wanted, await pruned_edge(session, log))
    return CompactRange(size, [subtree(level, position) for level, position in wanted])
