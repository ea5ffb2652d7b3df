"""The built-in plan on the demo's pair: the primary is really killed, and everything is as it was afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.recovery import DrillState, StepState
from tests.support.demo import headless_demo
from tests.support.places import public_directory
from tests.support.recovery_at_demo import RecoveryDesk, signed_in
from tests.support.recovery_rounds import HEALTHY, aborted, killed

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory / "demo"


@pytest.fixture(scope="module")
def desk(data_dir: Path) -> Iterator[RecoveryDesk]:
    with headless_demo(data_dir, "--with-standby") as demo:
        yield signed_in(demo, data_dir)


def test_the_primary_is_killed_and_nothing_is_lost(desk: RecoveryDesk) -> None:
    drill = desk.ended(desk.start().ref)
    assert drill.state is DrillState.PASSED, drill.sentence
    assert [step.state for step in drill.steps] == [StepState.PASSED] * 5
    assert drill.measured.rto_ms is not None
    assert drill.measured.rto_ms > 0
    assert (drill.measured.markers_lost, drill.measured.rpo_ms) == (0, 0)
    assert desk.stands() == HEALTHY
    assert drill.left_to_do == []


def test_an_abort_after_the_promotion_brings_the_first_primary_back(desk: RecoveryDesk) -> None:
    assert aborted(desk, 2)
    assert desk.stands() == HEALTHY


def test_a_backend_killed_in_the_promotion_leaves_nothing_unknown(desk: RecoveryDesk, data_dir: Path) -> None:
    assert killed(desk, data_dir, 2)
