"""Numbers of processes noted many at a time against noting them one by one."""

from hypothesis import example, given
from hypothesis import strategies as st

from backend.audit.verification.numbers import Numbers

RUNS = st.tuples(st.integers(1, 13_000), st.integers(1, 9_000)).map(lambda run: list(range(run[0], run[0] + run[1])))
FAR = st.lists(st.integers(1, 2**53 - 1) | st.integers(1, 9_000), min_size=1, max_size=20)
BATCHES = st.lists(st.tuples(st.sampled_from(["a", "b"]), FAR | RUNS, st.integers(0, 9_000)), max_size=4)


@given(BATCHES)
@example([("a", list(range(1, 4097)), 4096), ("a", [4096], 9), ("a", [4097, 8192, 8193], 8193), ("a", [5, 6, 5], 0)])
def test_noting_many_is_noting_each(batches: list[tuple[str, list[int], int]]) -> None:
    together, alone = Numbers(), Numbers()
    for boot, numbers, settled in batches:
        before = together.to_tree()
        new = together.see_all(boot, numbers, settled)
        assert new == (len(set(numbers)) == len(numbers) and not _known(alone, boot, numbers))
        if new:
            assert all(alone.see(boot, n, settled, ()) for n in numbers)
        else:
            assert together.to_tree() == before
        assert together.to_tree() == alone.to_tree()
        assert together.seen == alone.seen


def _known(numbers: Numbers, boot: str, wanted: list[int]) -> bool:
    """Whether any of these numbers was noted, by noting them in a copy."""
    copy = Numbers.from_tree(numbers.to_tree())
    return not all(copy.see(boot, n, 0, ()) for n in set(wanted))
