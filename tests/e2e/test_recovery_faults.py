"""Wrong plans and bad circumstances on the demo's pair: a drill fails with the step, the reason and the way back."""

from collections.abc import Iterator

import httpx
import pytest

from contract.recovery import DrillState, StepState
from tests.support.demo import refused
from tests.support.places import public_directory
from tests.support.recovery_faults import Faults, faulty_demo, full_disk_demo

pytestmark = pytest.mark.e2e
CONFIGURATION = 3


@pytest.fixture(scope="module")
def faults() -> Iterator[Faults]:
    with public_directory() as directory, faulty_demo(directory) as one:
        yield one


def test_a_plan_that_expects_what_is_not_so_fails_and_everything_is_brought_back(faults: Faults) -> None:
    found = faults.wrong_answer()
    assert not found.wrong, found
    assert found.drill.measured.rto_ms is None, "no step has shown that the outage was over"


def test_a_probe_that_hangs_is_cut_off_and_everything_is_brought_back(faults: Faults) -> None:
    found = faults.hanging_probe()
    assert not found.wrong, found


def test_a_standby_that_lags_keeps_a_drill_from_touching_anything(faults: Faults) -> None:
    for found in (faults.lags_from_the_start(), faults.lags_before_the_first_step()):
        assert not found.wrong, found


def test_a_plan_whose_program_is_missing_cannot_be_started(faults: Faults) -> None:
    answer = faults.desk.ask_once("POST", "drills", faults.desk.wanted("no-program"))
    assert answer.status_code == httpx.codes.CONFLICT, answer.text
    assert "there-is-no-such-program is no program that can be run here" in answer.json()["message"]


def test_real_executors_halt_in_a_step_and_are_let_go(faults: Faults) -> None:
    drill = faults.desk.ended(faults.desk.start("halt-canary").ref)
    assert drill.steps[0].state is StepState.PASSED, drill.steps[0]
    assert "1 of 1 halted, 0 orders after that" in drill.steps[0].summary
    assert drill.state is DrillState.PASSED, drill.sentence


@pytest.mark.long
def test_a_standby_that_replays_nothing_has_everything_once_it_is_promoted(faults: Faults) -> None:
    found = faults.replay_is_paused()
    assert not found.wrong, found


@pytest.mark.long
def test_a_promotion_that_fails_is_taken_back(faults: Faults) -> None:
    found = faults.promotion_fails()
    assert not found.wrong, found


@pytest.mark.long
def test_a_promotion_that_fails_in_a_switchover_leaves_the_primary_as_it_was(faults: Faults) -> None:
    found = faults.promotion_fails_in_order()
    assert not found.wrong, found


@pytest.mark.long
def test_a_full_disk_on_the_standby_is_no_pass() -> None:
    with public_directory() as directory, full_disk_demo(directory) as faults:
        found = faults.disk_full()
        assert not found.wrong, found


WRONG = """
extends = "mev"

[[watchfloor.recovery.plans]]
name = "failover"
title = "Kill it and see"
protects = "everything"
data = ["transaction_data"]
preconditions = ["ledger"]

[[watchfloor.recovery.plans.steps]]
name = "one"
title = "Kill it"
kind = "cluster"
action = "kill_primary"
passes_when = "it is gone"
timeout_seconds = 1
"""


def test_the_demo_does_not_start_on_a_plan_that_fits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with public_directory() as directory:
        file = directory / "wrong.toml"
        file.write_text(WRONG)
        monkeypatch.setenv("WATCHFLOOR_POLICY", str(file))
        done = refused(directory / "demo")
    assert done.returncode == CONFIGURATION, done.stderr
    assert "wrong.toml" in done.stderr
    assert "everything" in done.stderr
