"""The Merkle tree of RFC 6962/9162: hashing, appending, proofs. Must never know what a leaf says or where it is stored.

A node is named by (level, position): the root of the perfect subtree over the leaves from position << level up to
(position + 1) << level. "Index" is always the number of a leaf.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
TILE_LEVELS = (8, 16, 24)  # the levels whose nodes are stored: any other node is at most 128 hashes away
LARGEST_SIZE_LEAVES = 2**63 - 1  # tree sizes are kept in signed 64-bit columns
_SIZE_BYTES = 8
_LEAF = b"\x00"
_NODE = b"\x01"

SubtreeHash = Callable[[int, int], bytes]


class ProofError(ValueError):
    """A proof, a root or a stored tree edge does not hold."""


class Coordinate(NamedTuple):
    """The place of one perfect subtree."""

    level: int
    position: int


class Node(NamedTuple):
    """One perfect subtree with its hash."""

    level: int
    position: int
    hash: bytes


class StoredRange(NamedTuple):
    """Nodes in a row at one stored level, `stop` excluded: what has to be read to know one node."""

    level: int
    first: int
    stop: int


def leaf_hash(data: bytes) -> bytes:
    """Hash one leaf; the prefix keeps a leaf from ever passing for a node."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent."""
    return sha256(_NODE + left + right).digest()


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    """Hash neighbours pairwise; an odd last one is left out."""
    pairs = iter(nodes)
    # strict=False: the odd one out is the caller's to keep
    return [sha256(_NODE + left + right).digest() for left, right in zip(pairs, pairs, strict=False)]


class CompactRange:
    """The right edge of a growing tree: enough to append and to give the root, in at most 63 hashes."""

    __slots__ = ("_pending", "_size")

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        """Start empty, or from the edge of a tree of `size` leaves, its largest subtree first.

        Raises:
            ProofError: `hashes` cannot be the edge of such a tree.
        """
        if not 0 <= size <= LARGEST_SIZE_LEAVES or len(hashes) != size.bit_count():
            raise ProofError(f"{len(hashes)} hashes cannot be the edge of a tree of {size} leaves")
        if any(len(one) != HASH_BYTES for one in hashes):
            raise ProofError("an edge hash is not 32 bytes")
        self._size = size
        largest_last = iter(reversed(hashes))
        self._pending = [next(largest_last) if size >> level & 1 else b"" for level in range(size.bit_length())]

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The perfect subtrees the tree consists of, largest first."""
        return tuple(one for one in reversed(self._pending) if one)

    def copy(self) -> "CompactRange":
        """Give an independent edge, to append to without committing to it."""
        return CompactRange(self._size, self.hashes)

    def root(self) -> bytes:
        """Root of the whole tree (RFC 9162 §2.1.1); `EMPTY_ROOT` when there are no leaves."""
        return fold_edge(self.hashes) if self._size else EMPTY_ROOT

    def append(self, leaf: bytes) -> tuple[Node, ...]:
        """Append one leaf hash; the stored-level nodes it completes, lowest first (nearly always none)."""
        return self.append_subtree(0, leaf)

    def append_subtree(self, level: int, subtree: bytes) -> tuple[Node, ...]:
        """Append a perfect subtree of 2^level leaves known by its hash only, e.g. a dropped partition.

        Raises:
            ProofError: the tree does not end on a multiple of 2^level leaves, or the hash is not one.
        """
        size = self._size
        if len(subtree) != HASH_BYTES or size & ((1 << level) - 1):
            raise ProofError(f"no subtree of level {level} fits after {size} leaves")
        if size + (1 << level) > LARGEST_SIZE_LEAVES:
            raise ProofError("the tree is full")
        self._size = size + (1 << level)
        pending, position = self._pending, size >> level
        done: tuple[Node, ...] = ()
        pending.extend([b""] * (level + 1 - len(pending)))
        while True:
            if level in TILE_LEVELS:
                done = (*done, Node(level, position, subtree))
            if not position & 1:
                break
            subtree = sha256(_NODE + pending[level] + subtree).digest()
            pending[level] = b""
            level += 1
            position >>= 1
            if level == len(pending):
                pending.append(b"")
        pending[level] = subtree
        return done

    def extend(self, leaves: Sequence[bytes]) -> tuple[Node, ...]:
        """Append many leaf hashes, a level at a time; the stored-level nodes they complete, lowest level first.

        The hashes are trusted to be 32 bytes each: this is the hot path of the sequencer and the verifier.
        """
        if self._size + len(leaves) > LARGEST_SIZE_LEAVES:
            raise ProofError("the tree is full")
        pending, done = self._pending, list[Node]()
        nodes, position, level = list(leaves), self._size, 0
        self._size += len(nodes)
        while nodes:
            if level in TILE_LEVELS:
                done += [Node(level, position + offset, one) for offset, one in enumerate(nodes)]
            if level == len(pending):
                pending.append(b"")
            if position & 1:
                nodes.insert(0, pending[level])
            pending[level] = nodes[-1] if len(nodes) & 1 else b""
            nodes = _parents(nodes)
            position >>= 1
            level += 1
        return tuple(done)

    def to_bytes(self) -> bytes:
        """Serialise: size as 8 bytes big-endian, then the hashes, largest subtree first."""
        return self._size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.hashes)

    @classmethod
    def from_bytes(cls, raw: bytes) -> "CompactRange":
        """Read what `to_bytes` wrote.

        Raises:
            ProofError: not such bytes.
        """
        edge = raw[_SIZE_BYTES:]
        if len(raw) < _SIZE_BYTES or len(edge) % HASH_BYTES:
            raise ProofError("a stored tree edge has an impossible length")
        hashes = [edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES)]
        return cls(int.from_bytes(raw[:_SIZE_BYTES], "big"), hashes)

    def subtree(self, level: int, position: int) -> bytes:
        """Hash of one perfect subtree of the edge: what a dropped prefix keeps of itself serves later proofs.

        Raises:
            KeyError: the edge has no such node.
        """
        if level >= len(self._pending) or not self._pending[level] or position != (self._size >> level) - 1:
            raise KeyError((level, position))
        return self._pending[level]


def fold_edge(hashes: Sequence[bytes]) -> bytes:
    """Hash perfect subtrees, largest first, into the root of what they cover together; at least one."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def fold_perfect(hashes: Sequence[bytes]) -> bytes:
    """Hash a row of 2^k equal subtrees into the root of the perfect subtree they form.

    Raises:
        ProofError: their number is not a power of two.
    """
    if len(hashes).bit_count() != 1:
        raise ProofError(f"{len(hashes)} subtrees form no perfect one")
    while len(hashes) > 1:
        hashes = _parents(hashes)
    return hashes[0]


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes (not leaf data)."""
    edge = CompactRange()
    edge.extend(list(leaves))
    return edge.root()


def stored_range(level: int, position: int) -> StoredRange:
    """Say which stored nodes (leaf hashes or `TILE_LEVELS`) make up one node: at most 128, for `fold_perfect`.

    Above the highest stored level the count doubles with each level.
    """
    stored = max(one for one in (0, *TILE_LEVELS) if one <= level)
    return StoredRange(stored, position << (level - stored), (position + 1) << (level - stored))


def with_pruned(pruned: CompactRange, kept: SubtreeHash) -> SubtreeHash:
    """Serve proofs of a log whose prefix was dropped: the prefix from its edge, the rest from `kept`.

    A node that straddles the cut is hashed from its halves, so whatever was at or after the cut stays provable.
    The callback raises ProofError for a node that needs a dropped leaf.
    """

    def subtree(level: int, position: int) -> bytes:
        if position << level >= pruned.size:
            return kept(level, position)
        try:
            return pruned.subtree(level, position)
        except KeyError:
            if (position + 1) << level <= pruned.size:
                raise ProofError(f"node ({level}, {position}) lies in the dropped prefix") from None
        return node_hash(subtree(level - 1, 2 * position), subtree(level - 1, 2 * position + 1))

    return subtree


def inclusion_path(index: int, size: int, subtree: SubtreeHash) -> list[bytes]:
    """Prove leaf `index` of a tree of `size` leaves (RFC 9162 §2.1.3.1), the leaf's sibling first.

    Raises:
        ProofError: there is no such leaf.
    """
    return [_range_hash(start, stop, subtree) for start, stop in _inclusion_ranges(index, size)]


def consistency_path(old: int, new: int, subtree: SubtreeHash) -> list[bytes]:
    """Prove that the tree of `old` leaves is a prefix of the one of `new` (RFC 9162 §2.1.4.1); empty from size 0.

    Raises:
        ProofError: `old` is larger than `new`.
    """
    return [_range_hash(start, stop, subtree) for start, stop in _consistency_ranges(old, new)]


def nodes_needed_for_inclusion(index: int, size: int) -> tuple[Coordinate, ...]:
    """Plan `inclusion_path`: exactly the nodes its callback will be asked for, to be fetched first.

    Raises:
        ProofError: there is no such leaf.
    """
    return tuple(node for start, stop in _inclusion_ranges(index, size) for node in _perfect(start, stop))


def nodes_needed_for_consistency(old: int, new: int) -> tuple[Coordinate, ...]:
    """Plan `consistency_path`: exactly the nodes its callback will be asked for, to be fetched first.

    Raises:
        ProofError: `old` is larger than `new`.
    """
    return tuple(node for start, stop in _consistency_ranges(old, new) for node in _perfect(start, stop))


def _range_hash(start: int, stop: int, subtree: SubtreeHash) -> bytes:
    return fold_edge([subtree(level, position) for level, position in _perfect(start, stop)])


def _perfect(start: int, stop: int) -> Iterator[Coordinate]:
    """Cut the leaves [start, stop) of one RFC 9162 subtree into perfect subtrees, largest first."""
    while start < stop:
        level = (stop - start).bit_length() - 1
        yield Coordinate(level, start >> level)
        start += 1 << level


def _split(start: int, stop: int) -> int:
    """Where RFC 9162 splits a tree: the largest power of two smaller than its number of leaves."""
    return start + (1 << (stop - start - 1).bit_length() - 1)


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    if not 0 <= index < size <= LARGEST_SIZE_LEAVES:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    ranges, start, stop = [], 0, size
    while stop - start > 1:
        middle = _split(start, stop)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return ranges[::-1]


def _consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    if not 0 <= old <= new <= LARGEST_SIZE_LEAVES:
        raise ProofError(f"a tree of {old} leaves is no prefix of one of {new}")
    ranges, start, stop = [], 0, new
    while 0 < old < stop:
        middle = _split(start, stop)
        if old <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    if start:  # the old root itself is known to the verifier only when it is a subtree of the new tree
        ranges.append((start, stop))
    return ranges[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that `leaf` (a leaf hash) is at `index` under `root` (RFC 9162 §2.1.3.2).

    Raises:
        ProofError: it is not shown to be.
    """
    if not 0 <= index < size <= LARGEST_SIZE_LEAVES:
        raise ProofError(f"no leaf {index} in a tree of {size}")
    _check_hashes(leaf, root, *path)
    result = leaf
    for is_left, sibling in _climb(index, size - 1, path):
        result = node_hash(sibling, result) if is_left else node_hash(result, sibling)
    if result != root:
        raise ProofError("the proof does not lead to the root")


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves is a prefix of the one of `new` (RFC 9162 §2.1.4.2).

    Size 0 has one root and is a prefix of every tree; equal sizes need equal roots; both take an empty proof.

    Raises:
        ProofError: it is not shown to be.
    """
    if not 0 <= old <= new <= LARGEST_SIZE_LEAVES:
        raise ProofError(f"a tree of {old} leaves is no prefix of one of {new}")
    _check_hashes(old_root, new_root, *path)
    if old in (0, new):
        expected = new_root if old else EMPTY_ROOT
        if path or old_root != expected or (not new and new_root != EMPTY_ROOT):
            raise ProofError("the roots or the proof do not fit their sizes")
        return
    if not path:
        raise ProofError("the proof is empty")
    node, last = old - 1, new - 1
    shared = (~node & (node + 1)).bit_length() - 1  # levels below the old tree's last perfect subtree
    node, last = node >> shared, last >> shared
    start, siblings = (path[0], path[1:]) if node else (old_root, path)
    first = second = start
    for is_left, sibling in _climb(node, last, siblings):
        first = node_hash(sibling, first) if is_left else first
        second = node_hash(sibling, second) if is_left else node_hash(second, sibling)
    if first != old_root or second != new_root:
        raise ProofError("the proof does not lead to the roots")


def _climb(node: int, last: int, path: Sequence[bytes]) -> Iterator[tuple[bool, bytes]]:
    """Walk a proof from the bottom to the root of a tree whose last node is `last`: (is it the left one, sibling)."""
    for sibling in path:
        if last == 0:
            raise ProofError("the proof is too long")
        is_left = bool(node & 1) or node == last
        yield is_left, sibling
        while is_left and not node & 1 and node:
            node >>= 1
            last >>= 1
        node >>= 1
        last >>= 1
    if last:
        raise ProofError("the proof is too short")


def _check_hashes(*hashes: bytes) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofError("a hash is not 32 bytes")
