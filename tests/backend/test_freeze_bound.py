"""Nothing is sent later than a permit's life after a freeze: a few runs of `tests.support.freeze_bound`."""

from collections.abc import Iterator

import pytest

from tests.support.freeze_bound import BOUND_S, Outcome, Plant, one_round, plant

SEED = 20261122


@pytest.fixture(scope="module")
def made() -> Iterator[Plant]:
    with plant() as found:
        yield found


def traded(outcomes: list[Outcome]) -> bool:
    return all(one.before for one in outcomes)


@pytest.mark.parametrize("number", [1, 2])
def test_no_order_reaches_the_venue_later_than_a_permits_life_after_a_freeze(made: Plant, number: int) -> None:
    outcomes = one_round(made, number, SEED)
    assert traded(outcomes)
    assert [(one.bot, one.late) for one in outcomes if one.late] == []
    assert max(one.until_halt_s for one in outcomes) <= BOUND_S


def test_a_bot_that_goes_on_with_an_old_permit_is_counted_and_turned_away(made: Plant) -> None:
    outcomes = one_round(made, 0, SEED, defiant=True)
    assert traded(outcomes)
    assert sum(one.late for one in outcomes) == 0
    assert all(one.late_at_the_door for one in outcomes)
