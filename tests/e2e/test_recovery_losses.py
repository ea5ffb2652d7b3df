"""A drill on an asynchronous pair: what it says is lost is what the lost primary's own data say, to the transaction."""

import pytest

from tests.support.demo import headless_demo
from tests.support.places import public_directory
from tests.support.recovery_at_demo import signed_in
from tests.support.recovery_losses import lose, wrong_with

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_what_is_lost_without_waiting_is_counted_exactly() -> None:
    with public_directory() as directory:
        data_dir = directory / "demo"
        with headless_demo(data_dir, "--with-standby", "--replication", "asynchronous") as demo:
            found = lose(signed_in(demo, data_dir), demo, data_dir, directory)
    assert list(wrong_with(found)) == [], found
    lost = found.drill.measured
    assert lost.transactions_lost
    assert lost.rpo_ms
