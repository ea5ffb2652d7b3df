"""Blows with kill -9 and SIGSTOP under load, a few of them; `make soak` deals out 200."""

from tests.support.ledger_soak import soak
from tests.support.places import public_directory

BLOWS = 2


def test_nothing_acknowledged_is_lost_and_nothing_comes_twice() -> None:
    with public_directory() as directory:
        outcome = soak(directory, BLOWS, seed=7)
    assert outcome.faults == []
    assert outcome.acknowledged > 0
