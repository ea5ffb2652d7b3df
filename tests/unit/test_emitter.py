"""The numbers of one process: what is lost shows, and nothing else does."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from backend.emitter import Doubt, Emitter, Stamp


def _lost(kept: list[Stamp]) -> set[int]:
    """What a verifier concludes: numbers called settled that are neither there nor void."""
    there = {stamp.n for stamp in kept}
    void = {n for stamp in kept for n in stamp.void}
    settled = max((stamp.settled for stamp in kept), default=0)
    return set(range(1, settled + 1)) - there - void


@given(st.lists(st.tuples(st.sampled_from(["take", "settle", "withdraw"]), st.integers(0, 5)), max_size=60))
def test_a_roll_back_never_looks_like_a_loss_and_a_loss_always_shows(steps: list[tuple[str, int]]) -> None:
    emitter, flying, committed = Emitter("node", "boot"), list[Stamp](), list[Stamp]()
    for step, which in steps:
        if step == "take":
            flying.append(emitter.take())
        elif flying:
            stamp = flying.pop(which % len(flying))
            if step == "settle":
                emitter.settle(stamp)
                committed.append(stamp)
            else:
                emitter.withdraw(stamp)
        assert _lost(committed) == set()
    for stamp in flying:
        emitter.withdraw(stamp)
    last = emitter.take()
    emitter.settle(last)
    complete = [*committed, last]
    assert _lost(complete) == set()
    assert last.settled == last.n - 1 or len(last.void) > 0
    for missing in committed:
        rest = [stamp for stamp in complete if stamp is not missing]
        assert missing.n in _lost(rest)


def test_many_void_numbers_are_told_in_portions() -> None:
    emitter = Emitter("node", "boot")
    for _ in range(500):
        emitter.withdraw(emitter.take())
    told: set[int] = set()
    stamps = []
    for _ in range(4):
        stamp = emitter.take()
        emitter.settle(stamp)
        stamps.append(stamp)
        told |= set(stamp.void)
        assert _lost(stamps) == set()
    assert told == set(range(1, 501))
    assert stamps[-1].settled == stamps[-1].n - 1


def _told(emitter: Emitter) -> Stamp:
    stamp = emitter.take(settling=True)
    emitter.settle(stamp)
    return stamp


def test_a_witness_is_needed_once_after_an_entry_and_never_after_a_told() -> None:
    emitter = Emitter("node", "boot")
    assert not emitter.needs_settling
    assert not emitter.has_spoken
    emitter.settle(emitter.take())
    assert emitter.needs_settling
    assert emitter.has_spoken
    assert _told(emitter).settled == 1
    assert not emitter.needs_settling
    emitter.withdraw(emitter.take())
    assert not emitter.needs_settling, "nobody misses a number that was rolled back"
    emitter.settle(emitter.take())
    assert emitter.needs_settling


def test_a_settling_entry_is_no_use_while_an_earlier_number_is_open_and_is_needed_again_once_it_is_not() -> None:
    emitter = Emitter("node", "boot")
    emitter.settle(emitter.take())
    stuck = emitter.take()
    emitter.settle(emitter.take())
    assert emitter.needs_settling, "the first entry has none"
    assert _told(emitter).settled == 1
    assert not emitter.needs_settling, "it could only say the same again"
    emitter.settle(stuck)
    assert emitter.needs_settling
    assert _told(emitter).settled == 4
    assert not emitter.needs_settling


def test_a_settling_entry_that_was_rolled_back_settles_nothing() -> None:
    emitter = Emitter("node", "boot")
    emitter.settle(emitter.take())
    emitter.withdraw(emitter.take(settling=True))
    assert emitter.needs_settling


def test_after_a_restore_a_process_goes_on_as_another_and_promises_nothing_of_before() -> None:
    emitter = Emitter("node", "before")
    assert not emitter.notice(1, "unused")
    for _ in range(3):
        emitter.settle(emitter.take())
    flying, doubted = emitter.take(), emitter.take()
    assert not emitter.notice(1, "unused")
    assert emitter.notice(2, "after")
    first = emitter.take()
    assert (first.boot, first.n, first.settled, first.void) == ("after", 1, 0, ())
    emitter.withdraw(flying)
    emitter.doubt(Doubt(doubted, UUID(int=1), 1))
    assert emitter.take_doubts() == []
    second = emitter.take()
    assert (second.boot, second.n, second.settled, second.void) == ("after", 2, 0, ())
    emitter.settle(first)
    assert emitter.take().settled == 1
