"""The built-in plan on the demo's pair: the primary is really killed, and everything is as it was afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.recovery import DrillState, StepState
from tests.support.demo import headless_demo
from tests.support.places import public_directory
from tests.support.recovery_at_demo import RecoveryDesk, signed_in
from tests.support.recovery_console import killed_in_each_step
from tests.support.recovery_mishaps import FIRST, STEPS, Mishaps
from watchfloor.backup.restoring import restore_test
from watchfloor.backup.taking import take

pytestmark = pytest.mark.e2e
SEED = 7


@pytest.fixture(scope="module")
def data_dir() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory / "demo"


@pytest.fixture(scope="module")
def desk(data_dir: Path) -> Iterator[RecoveryDesk]:
    with headless_demo(data_dir, "--with-standby") as demo:
        yield signed_in(demo, data_dir)


@pytest.fixture(scope="module")
def happens(desk: RecoveryDesk, data_dir: Path) -> Mishaps:
    return Mishaps(desk, data_dir, SEED)


def test_the_primary_is_killed_and_nothing_is_lost(desk: RecoveryDesk) -> None:
    drill = desk.ended(desk.start().ref)
    assert drill.state is DrillState.PASSED, drill.sentence
    assert [step.state for step in drill.steps] == [StepState.PASSED] * STEPS
    assert drill.measured.rto_ms is not None
    assert drill.measured.rto_ms > 0
    assert (drill.measured.markers_lost, drill.measured.rpo_ms) == (0, 0)
    assert desk.is_whole(FIRST)
    assert drill.left_to_do == []


@pytest.mark.parametrize("kind", ["pg_dump", "pg_basebackup"])
def test_a_backup_of_a_demo_that_trades_restores_with_its_rows_and_its_ledger(
    kind: str, desk: RecoveryDesk, tmp_path: Path
) -> None:
    taken = take(desk.database_url, tmp_path / "kept", kind)
    entries = sum(head.size for head in taken.manifest.heads)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = restore_test(tmp_path / "kept", None, scratch)
    assert found.ok is True, found.found
    assert found.ledger_entries is not None
    assert found.ledger_entries >= entries > 0  # nobody can say in which snapshot a base backup ends
    assert kind == "pg_basebackup" or found.ledger_entries == entries
    assert found.rows is not None
    assert found.rows > found.ledger_entries
    assert list(scratch.iterdir()) == []


def test_an_abort_after_the_promotion_brings_the_first_primary_back(happens: Mishaps) -> None:
    found = happens.aborted_after(2)
    assert not found.wrong, found
    assert found.drill.state is DrillState.ABORTED
    assert [step.number for step in found.drill.steps if step.undone_at is not None] == [1, 2]


@pytest.mark.long
def test_a_backend_killed_in_the_promotion_leaves_nothing_unknown(happens: Mishaps) -> None:
    found = happens.killed_within(2)
    assert not found.wrong, found


@pytest.mark.long
def test_consoles_that_are_killed_in_each_step_change_nothing(desk: RecoveryDesk, data_dir: Path) -> None:
    found = killed_in_each_step(desk, data_dir)
    assert not found.wrong, found
    assert found.drill.state is DrillState.PASSED


@pytest.mark.long
@pytest.mark.parametrize("step", range(STEPS + 1))
def test_an_abort_after_any_step_rolls_back_what_ran(happens: Mishaps, step: int) -> None:
    found = happens.aborted_after(step)
    assert not found.wrong, found


@pytest.mark.long
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_an_abort_in_any_step_rolls_back_what_ran(happens: Mishaps, step: int) -> None:
    found = happens.aborted_within(step)
    assert not found.wrong, found


@pytest.mark.long
@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_backend_killed_in_any_step_leaves_nothing_unknown(happens: Mishaps, step: int) -> None:
    found = happens.killed_within(step)
    assert not found.wrong, found
