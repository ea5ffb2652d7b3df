"""Merkle trees against a naive reading of RFC 6962: roots, edges, stored levels, proofs, dropped prefixes."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import merkle
from ledger.merkle import TILE_LEVELS, CompactRange, Coordinate, Node, ProofError

LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(300)]
SMALL_SIZES = range(34)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 §2.1, word by word."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return merkle.node_hash(naive_root(leaves[:middle]), naive_root(leaves[middle:]))


@cache
def root_at(size: int) -> bytes:
    return naive_root(LEAVES[:size])


def subtree(level: int, position: int) -> bytes:
    leaves = LEAVES[position << level : (position + 1) << level]
    assert len(leaves) == 1 << level, "a proof asked for a subtree that is not perfect"
    return naive_root(leaves)


def edge_at(size: int) -> CompactRange:
    edge = CompactRange()
    edge.extend(LEAVES[:size])
    return edge


@pytest.mark.parametrize("size", [*range(70), 255, 256, 257, 300])
def test_every_way_to_append_gives_the_naive_root(size: int) -> None:
    one_by_one = CompactRange()
    for leaf in LEAVES[:size]:
        one_by_one.append(leaf)
    assert one_by_one.root() == edge_at(size).root() == merkle.root_of(LEAVES[:size]) == root_at(size)
    assert one_by_one.hashes == edge_at(size).hashes
    assert one_by_one.size == size


@given(st.lists(st.integers(0, 90), max_size=6))
def test_batches_of_any_size_give_the_same_edge(batches: list[int]) -> None:
    edge, done = CompactRange(), 0
    for count in batches:
        edge.extend(LEAVES[done : done + count][: 300 - done])
        done = min(300, done + count)
        assert edge.to_bytes() == edge_at(done).to_bytes()
        assert CompactRange.from_bytes(edge.to_bytes()).root() == root_at(done)


@given(st.integers(0, 600), st.lists(st.integers(0, 700), max_size=4))
def test_the_stored_levels_are_told_as_they_are_completed(start: int, batches: list[int]) -> None:
    leaves = [merkle.leaf_hash(number.to_bytes(2, "big")) for number in range(start + sum(batches))]
    edge, by_one = CompactRange(), CompactRange()
    seen: list[Node] = []
    told = [node for leaf in leaves for node in by_one.append(leaf)]
    for count in [start, *batches]:
        seen += edge.extend(leaves[edge.size : edge.size + count])
    assert sorted(seen) == sorted(told)
    assert [node.position for node in seen] == list(range(len(leaves) >> 8))
    for node in seen:
        assert node.level == TILE_LEVELS[0]
        assert node.hash == merkle.root_of(leaves[node.position << 8 : (node.position + 1) << 8])


def test_a_level_16_node_is_told_once_and_is_its_256_level_8_nodes() -> None:
    edge = CompactRange()
    leaf = merkle.leaf_hash(b"")
    told = [node for _ in range(70) for node in edge.extend([leaf] * 1000)]
    level_8 = [node.hash for node in told if node.level == 8]
    assert [(node.position, node.hash) for node in told if node.level == 16] == [
        (0, merkle.fold_perfect(level_8[:256]))
    ]
    assert len(level_8) == 70_000 >> 8


@pytest.mark.parametrize("size", SMALL_SIZES)
def test_every_inclusion_proof_of_every_small_tree_holds_and_only_there(size: int) -> None:
    for index in range(size):
        asked: list[Coordinate] = []

        def counting(level: int, position: int, asked: list[Coordinate] = asked) -> bytes:
            asked.append(Coordinate(level, position))
            return subtree(level, position)

        path = merkle.inclusion_path(index, size, counting)
        assert tuple(asked) == merkle.nodes_needed_for_inclusion(index, size)
        for claimed in range(size):
            if claimed == index:
                merkle.verify_inclusion(LEAVES[index], claimed, size, path, root_at(size))
            else:
                with pytest.raises(ProofError):
                    merkle.verify_inclusion(LEAVES[index], claimed, size, path, root_at(size))


@pytest.mark.parametrize("new", SMALL_SIZES)
def test_every_consistency_proof_of_every_small_tree_holds_and_only_there(new: int) -> None:
    for old in range(new + 1):
        path = merkle.consistency_path(old, new, subtree)
        merkle.verify_consistency(old, new, root_at(old), root_at(new), path)
        for node in merkle.nodes_needed_for_consistency(old, new):
            assert (node.position + 1) << node.level <= new
        for claimed in range(new + 1):
            if claimed != old:
                with pytest.raises(ProofError):
                    merkle.verify_consistency(claimed, new, root_at(old), root_at(new), path)


def corruptions(hashes: list[bytes]) -> list[list[bytes]]:
    """Every byte changed, every hash of the path left out, one put in at every place; leaf or roots come first."""
    changed = [
        [*hashes[:at], one[:byte] + bytes([one[byte] ^ 1]) + one[byte + 1 :], *hashes[at + 1 :]]
        for at, one in enumerate(hashes)
        for byte in range(32)
    ]
    dropped = [hashes[:at] + hashes[at + 1 :] for at in range(2, len(hashes))]
    added = [[*hashes[:at], bytes(32), *hashes[at:]] for at in range(len(hashes) + 1)]
    return changed + dropped + added


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (5, 8), (12, 13), (17, 29), (255, 300)])
def test_an_inclusion_proof_changed_in_any_byte_fails(index: int, size: int) -> None:
    path = merkle.inclusion_path(index, size, subtree)
    for leaf, root, *wrong in corruptions([LEAVES[index], root_at(size), *path]):
        with pytest.raises(ProofError):
            merkle.verify_inclusion(leaf, index, size, wrong, root)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (4, 8), (6, 8), (7, 29), (128, 300), (299, 300)])
def test_a_consistency_proof_changed_in_any_byte_fails(old: int, new: int) -> None:
    path = merkle.consistency_path(old, new, subtree)
    for first, second, *wrong in corruptions([root_at(old), root_at(new), *path]):
        with pytest.raises(ProofError):
            merkle.verify_consistency(old, new, first, second, wrong)


def test_the_empty_tree_has_one_root_and_is_a_prefix_of_every_tree() -> None:
    merkle.verify_consistency(0, 0, merkle.EMPTY_ROOT, merkle.EMPTY_ROOT, [])
    merkle.verify_consistency(0, 5, merkle.EMPTY_ROOT, root_at(5), [])
    for old_root, new, new_root, path in [
        (root_at(1), 0, root_at(1), []),
        (root_at(1), 5, root_at(5), []),
        (merkle.EMPTY_ROOT, 5, root_at(5), [root_at(5)]),
    ]:
        with pytest.raises(ProofError):
            merkle.verify_consistency(0, new, old_root, new_root, path)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(merkle.EMPTY_ROOT, 0, 0, [], merkle.EMPTY_ROOT)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_plans_of_the_largest_trees_stay_small(one: int, other: int) -> None:
    old, new = sorted((one, other))
    nodes = merkle.nodes_needed_for_consistency(old, new)
    assert all((node.position + 1) << node.level <= new for node in nodes)
    assert len(nodes) <= 2 * 63
    if old < new:
        assert len(merkle.nodes_needed_for_inclusion(old, new)) <= 2 * 63


def test_a_proof_at_a_hundred_million_entries_is_below_a_kilobyte() -> None:
    path = merkle.inclusion_path(77_777_777, 100_000_000, lambda _level, _position: bytes(32))
    assert len(path) * 32 <= 27 * 32 == 864


@given(st.integers(0, 30), st.integers(0, 1000))
def test_a_stored_range_covers_exactly_its_node(level: int, position: int) -> None:
    stored = merkle.stored_range(level, position)
    assert stored.level in (0, *TILE_LEVELS)
    assert stored.first << stored.level == position << level
    assert stored.stop << stored.level == (position + 1) << level
    if level < 32:
        assert stored.stop - stored.first <= 128


def test_folding_a_stored_range_gives_the_node() -> None:
    for level, position in [(0, 3), (3, 7), (7, 1), (8, 0)]:
        stored = merkle.stored_range(level, position)
        row = [subtree(stored.level, at) for at in range(stored.first, stored.stop)]
        assert merkle.fold_perfect(row) == subtree(level, position)
    for count in (0, 3):
        with pytest.raises(ProofError):
            merkle.fold_perfect(LEAVES[:count])


@given(st.data())
def test_a_log_whose_prefix_was_dropped_still_proves_the_rest(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 300))
    dropped = data.draw(st.integers(0, size - 1))

    def kept(level: int, position: int) -> bytes:
        assert position << level >= dropped, "a dropped leaf was asked for"
        return subtree(level, position)

    stored = merkle.with_pruned(edge_at(dropped), kept)
    index = data.draw(st.integers(dropped, size - 1))
    path = merkle.inclusion_path(index, size, stored)
    merkle.verify_inclusion(LEAVES[index], index, size, path, root_at(size))
    old = data.draw(st.integers(dropped, size))
    path = merkle.consistency_path(old, size, stored)
    merkle.verify_consistency(old, size, root_at(old), root_at(size), path)


def test_a_dropped_leaf_cannot_be_asked_for() -> None:
    with pytest.raises(ProofError, match="dropped"):
        merkle.inclusion_path(3, 20, merkle.with_pruned(edge_at(16), subtree))


def test_dropped_partitions_are_appended_by_their_hash_alone() -> None:
    edge = CompactRange()
    for partition in range(5):
        edge.append_subtree(4, subtree(4, partition))
    assert edge.root() == root_at(80)
    edge.extend(LEAVES[80:83])
    assert edge.to_bytes() == edge_at(83).to_bytes()
    with pytest.raises(ProofError):
        edge.append_subtree(1, subtree(1, 42))


def test_a_copy_goes_its_own_way() -> None:
    edge = edge_at(7)
    other = edge.copy()
    other.extend(LEAVES[7:9])
    assert (edge.root(), other.root()) == (root_at(7), root_at(9))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_edge_are_refused(raw: bytes) -> None:
    try:
        edge = CompactRange.from_bytes(raw)
    except ProofError:
        return
    assert edge.to_bytes() == raw


def test_impossible_edges_and_hashes_are_refused() -> None:
    for size, hashes in [(2, []), (-1, []), (1, [b"short"]), (2**63, [bytes(32)])]:
        with pytest.raises(ProofError):
            CompactRange(size, hashes)
    with pytest.raises(ProofError):
        CompactRange().append(b"short")
    full = CompactRange(2**63 - 1, [bytes(32)] * 63)
    with pytest.raises(ProofError, match="full"):
        full.append(bytes(32))
    with pytest.raises(ProofError, match="full"):
        full.extend([bytes(32)])
