"""A backend on a real Patroni cluster goes on by itself after a switchover and after the loss of a whole node."""

import pytest

from tests.support.patroni_rounds import floor


@pytest.mark.long
def test_nothing_acknowledged_is_lost_freezes_hold_and_permits_come_back_by_themselves() -> None:
    with floor() as one:
        for what in ("switchover", "kill -9"):
            found = one.round(what)  # waits for writes, trades, permits and readiness with the new primary
            assert found.lost == 0, found
            assert found.of > 0
            assert found.permits_s > 0.5, found  # permits did stop meanwhile
        assert one.frozen_let == 0
        assert one.frozen() == ["active"]
        assert not one.may_send("frozen-chain")
