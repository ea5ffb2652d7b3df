"""Recovery drills on a real Patroni cluster: the plans of `patroni_plan.toml`, started over HTTP at a real backend.

Rows, trades and permits go on meanwhile, and a freeze is in force. Must never signal a process that it did not start.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contract.recovery import DrillState, RecoveryDrill
from tests.support.backends import eventually
from tests.support.patroni import ROOT, STOP_LIMIT_S, credentials, patroni_cluster
from tests.support.patroni_rounds import LIMIT_S, Floor
from tests.support.people import ADMIN
from tests.support.recovery_at_demo import RecoveryDesk
from tests.support.recovery_mishaps import Round

PLANS = ("switchover", "failover")
ABORTS = (("failover", 2), ("failover", 3), ("failover", 6), ("switchover", 2))
"""Before which step each plan is aborted: the node is dead, replaced, and up again; and the two have changed places."""


@contextmanager
def signer(directory: Path) -> Iterator[Path]:
    """A signer of its own: a drill wants the ledger signed and witnessed."""
    path = directory / "signer.sock"
    argv = [sys.executable, "-P", "-m", "watchfloor", "signer", "serve", "--data-dir", str(directory)]
    process = subprocess.Popen(
        [*argv, "--socket", str(path)], env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(lambda: path.exists() or None, LIMIT_S, "a signer")
        yield path
    finally:
        process.terminate()
        process.wait(STOP_LIMIT_S)


class Drilled:
    """The cluster, what runs on it, and an admin."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.desk = RecoveryDesk(floor.at.url, floor.token(ADMIN), floor.cluster.url())

    def round(self, plan: str) -> Round:
        """Run a plan hands-off, and say what is wrong afterwards."""
        first = self._floor.cluster.until_healthy().name
        drill = self.desk.ended(self.desk.start(plan).ref)
        return self._judged(f"{plan} through Patroni", first, drill, DrillState.PASSED)

    def aborted(self, plan: str, step: int) -> Round:
        """Abort while a step waits to be let run, and say what is wrong afterwards."""
        first = self._floor.cluster.until_healthy().name
        drill = self.desk.start(plan, hands_off=False)
        for number in range(1, step):
            self.desk.step(self._waiting(drill, number), number)
        self.desk.abort(self._waiting(drill, step))
        what = f"{plan} through Patroni, aborted after step {step - 1}"
        return self._judged(what, first, self.desk.ended(drill.ref), DrillState.ABORTED)

    def _waiting(self, drill: RecoveryDrill, step: int) -> RecoveryDrill:
        return self.desk.until(drill.ref, lambda one: one.step == step and one.state is DrillState.WAITING)

    def _judged(self, what: str, first: str, drill: RecoveryDrill, state: DrillState) -> Round:
        wrong = [] if drill.state is state else [f"it {drill.state.value}"]
        wrong += [f"left to do: {one}" for one in drill.left_to_do]
        if not self.desk.is_whole(first):
            wrong.append(f"the cluster is not as before: {self.desk.stands()}")
        self._floor.until_all_go_on()
        lost, of = self._floor.lost()
        if lost:
            wrong.append(f"{lost} of {of} acknowledged writes are lost")
        if self._floor.frozen_let or self._floor.frozen() != ["active"]:
            wrong.append("the freeze did not hold")
        return Round(what, drill, tuple(wrong))


@contextmanager
def drilled(*, synchronous: bool = True) -> Iterator[Drilled]:
    """A cluster with a running backend that can be drilled; everything is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="wf-drilled-") as place, patroni_cluster(synchronous=synchronous) as made:
        directory = Path(place)
        with signer(directory) as path:
            env = {
                "WATCHFLOOR_POLICY": str(made.plan(directory)),
                "WATCHFLOOR_CLUSTER": made.setting,
                "WATCHFLOOR_CLUSTER_USER_FILE": str(credentials(directory)),
                "WATCHFLOOR_SIGNER_SOCKET": str(path),
                "WATCHFLOOR_WITNESSES": f"dir:{directory / 'witness'}",
            }
            with Floor(made, directory).running(env) as floor:
                yield Drilled(floor)
