"""Runs recovery drills on the demo's pair: `python -m tests.support.recovery_rounds DRILLS [ABORTS] [KILLS]`.

DRILLS run the built-in plan hands-off. ABORTS times, each step in turn is passed and the drill then aborted. KILLS
times, the backend is killed -9 in each step in turn. Ends with 1 unless every drill passed, and every other one ended
with the cluster as it was or says what is left to do.
"""

import os
import signal
import statistics
import sys
from pathlib import Path
from typing import Final

from contract.recovery import DrillState, RecoveryDrill, StepState
from tests.support.demo import headless_demo
from tests.support.places import public_directory
from tests.support.processes import marked
from tests.support.recovery_at_demo import RecoveryDesk, signed_in

STEPS: Final = 5
HEALTHY: Final = {"a": "primary", "b": "standby"}
BACKEND: Final = "watchfloor.demo.backend"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  a measurement


def passed(desk: RecoveryDesk, drills: int) -> bool:
    """Run the plan so many times and print what it measured."""
    found = [desk.ended(desk.start().ref) for _ in range(drills)]
    for drill in found:
        _say(f"{drill.ref}: {drill.sentence}")
    for name, values in (
        ("RTO ms", [drill.measured.rto_ms for drill in found]),
        ("RPO ms", [drill.measured.rpo_ms for drill in found]),
        ("markers lost", [drill.measured.markers_lost for drill in found]),
    ):
        known = [value for value in values if value is not None]
        if known:
            spread = f"min {min(known)}, median {statistics.median(known):.0f}, max {max(known)}"
            _say(f"{name}: {spread}, n {len(known)} of {len(values)}")
    return all(drill.state is DrillState.PASSED for drill in found)


def aborted(desk: RecoveryDesk, after: int) -> bool:
    """Let so many steps pass, then abort."""
    drill = desk.start(hands_off=False)
    for number in range(1, after + 1):
        desk.step(_waiting(desk, drill, number), number)
    drill = _waiting(desk, drill, after + 1)
    if drill.state is DrillState.WAITING:
        desk.abort(drill)
    return _ended_well(desk, desk.ended(drill.ref), f"aborted after step {after}")


def _waiting(desk: RecoveryDesk, drill: RecoveryDrill, number: int) -> RecoveryDrill:
    return desk.until(drill.ref, lambda one: one.step == number and one.state is DrillState.WAITING)


def killed(desk: RecoveryDesk, data_dir: Path, within: int) -> bool:
    """Kill the backend in the middle of a step."""
    drill = desk.start()
    desk.until(drill.ref, lambda one: one.steps[within - 1].state is not StepState.PENDING)
    (line,) = [line for line in marked(str(data_dir)) if "demo.child" in line and BACKEND in line]
    os.kill(int(line.split()[0]), signal.SIGKILL)
    return _ended_well(desk, desk.ended(drill.ref), f"backend killed in step {within}")


def _ended_well(desk: RecoveryDesk, drill: RecoveryDrill, what: str) -> bool:
    stands = desk.stands()
    is_well = stands == HEALTHY or bool(drill.left_to_do)
    _say(f"{drill.ref}, {what}: {drill.state.value}, {stands}: {drill.sentence}")
    return is_well


def main(drills: int, aborts: int, kills: int) -> int:
    """Run everything on one demo."""
    with public_directory() as directory:
        data_dir = directory / "demo"
        with headless_demo(data_dir, "--with-standby") as demo:
            desk = signed_in(demo, data_dir)
            well = [passed(desk, drills)]
            well += [aborted(desk, after) for _ in range(aborts) for after in range(1, STEPS)]
            well += [killed(desk, data_dir, within) for _ in range(kills) for within in range(1, STEPS + 1)]
    _say("every drill ended as it should" if all(well) else "NOT every drill ended as it should")
    return 0 if all(well) else 1


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    sys.exit(main(*(numbers + [20, 1, 1][len(numbers) :])))
