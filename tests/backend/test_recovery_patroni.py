"""The plans through a real Patroni cluster, run by the engine over HTTP: a switchover, and the loss of a whole node."""

import pytest

from contract.recovery import StepState
from tests.support.recovery_patroni import ABORTS, PLANS, drilled


@pytest.mark.long
def test_a_switchover_and_a_failover_by_kill_pass_and_lose_nothing() -> None:
    with drilled() as cluster:
        for plan in PLANS:
            found = cluster.round(plan)
            assert not found.wrong, found
            assert {step.state for step in found.drill.steps} == {StepState.PASSED}
            measured = found.drill.measured
            assert measured.rto_met, measured
            assert (measured.markers_lost, measured.rpo_ms) == (0, 0)
            assert measured.transactions_lost is None, "Patroni shows nobody a node's log: not counted is not 0"


@pytest.mark.long
def test_an_abort_after_the_kill_and_after_the_failover_has_the_first_node_lead_again() -> None:
    with drilled() as cluster:
        for plan, step in ABORTS:
            found = cluster.aborted(plan, step)
            assert not found.wrong, found
