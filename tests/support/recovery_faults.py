"""Plans and circumstances that no recovery drill may pass, on a demo's pair: what happens is real, and put right after.

Must never signal a process that is not a server of this demo.
"""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from contract.recovery import DrillState, NodeRole, RecoveryDrill, StepState
from simulator.fleet import fleet
from tests.support.demo import headless_demo
from tests.support.pair import child_of, walreceiver
from tests.support.processes import until, until_gone
from tests.support.recovery_at_demo import RecoveryDesk, signed_in
from tests.support.recovery_mishaps import Mishaps, Round, judged, writing
from watchfloor.embedded.cluster import SUPERUSER

PLANS: Final = Path(__file__).with_name("recovery_faults.toml")
STANDBY: Final = "postgres-b"
DISK_MB: Final = 640
"""Room for the standby's data and its log, and for little more."""
_UNREPLAYED: Final = "SELECT pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn() > 100000"
"""Bytes that were taken and not replayed."""
_REFUSED: Final = frozenset({DrillState.REFUSED})
_FAILED: Final = frozenset({DrillState.FAILED})


@contextmanager
def deaf_address() -> Iterator[int]:
    """A port of loopback that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def policy(directory: Path, port: int) -> Path:
    """The policy with these plans."""
    file = directory / "faults.toml"
    executor = next(iter(fleet(7))).name
    file.write_text(PLANS.read_text().replace("PORT", str(port)).replace("EXECUTOR", executor))
    file.chmod(0o644)
    return file


class Faults:
    """One demo with these plans."""

    def __init__(self, desk: RecoveryDesk, data_dir: Path) -> None:
        self.desk, self._data_dir = desk, data_dir
        self._mishaps = Mishaps(desk, data_dir)

    def all(self) -> tuple[Callable[[], Round], ...]:
        """Everything that can be had on a disk that is not full."""
        return (
            self.wrong_answer, self.hanging_probe, self.lags_from_the_start, self.lags_before_the_first_step,
            self.replay_is_paused, self.promotion_fails, self.promotion_fails_in_order,
        )  # fmt: skip

    def wrong_answer(self) -> Round:
        """A plan that expects what is not so."""
        return self._fails("wrong-answer", 3, StepState.FAILED, "3")

    def hanging_probe(self) -> Round:
        """A probe that is never answered."""
        return self._fails("hanging-probe", 3, StepState.TIMED_OUT, "4 s")

    def _fails(self, plan: str, step: int, state: StepState, says: str) -> Round:
        with writing(self.desk) as writer:
            drill = self.desk.ended(self.desk.start(plan).ref)
            return failed_at(judged(self.desk, writer, drill, plan, _FAILED), step, state, says)

    def lags_from_the_start(self) -> Round:
        """The standby's receiver stands still before somebody starts a drill."""
        with self._standing_still(), writing(self.desk) as writer:
            self._until_out_of_step()
            answer = self.desk.ask("POST", "drills", self.desk.wanted("failover"))
            drill = self.desk.ended(RecoveryDrill.model_validate(answer.json()).ref)
        return refused_for(judged(self.desk, writer, drill, "a standby that lags", _REFUSED), "follow")

    def lags_before_the_first_step(self) -> Round:
        """The standby's receiver stands still after everything was found good."""
        drill = self._mishaps.up_to(1)
        with self._standing_still(), writing(self.desk) as writer:
            self._until_out_of_step()
            self.desk.step(drill, 1)
            drill = self.desk.ended(drill.ref)
        what = "a standby that lags before the first step"
        return refused_for(judged(self.desk, writer, drill, what, _REFUSED), "follow")

    def replay_is_paused(self) -> Round:
        """The standby takes everything and replays nothing: promoted, it has all of it. The one that may pass."""
        with writing(self.desk) as writer:
            drill = self._mishaps.up_to(1)
            with psycopg.connect(self._standby_url(), autocommit=True) as standby:
                standby.execute("SELECT pg_wal_replay_pause()")
                until(lambda: standby.execute(_UNREPLAYED).fetchone() == (True,), "a backlog that nobody replays")
            self.desk.step(drill, 1)
            self._mishaps.to_the_end(drill)
            drill = self.desk.ended(drill.ref)
            return judged(self.desk, writer, drill, "a standby whose replay is paused", {DrillState.PASSED})

    def promotion_fails(self) -> Round:
        """The standby's process that replays the log stands still: it cannot become the primary."""
        with writing(self.desk) as writer:
            drill = self._mishaps.up_to(2)
            os.kill(child_of(self._standby(), b"startup"), signal.SIGSTOP)
            self.desk.step(drill, 2)
            drill = self.desk.ended(drill.ref)
            found = judged(self.desk, writer, drill, "a promotion that fails", _FAILED)
        return failed_at(found, 2, StepState.FAILED, "nothing was promoted: start a again")

    def promotion_fails_in_order(self) -> Round:
        """The same in a switchover: the primary was shut down, and is the primary again."""
        with writing(self.desk) as writer:
            drill = self.desk.start("switchover", hands_off=False)
            drill = self.desk.until(drill.ref, lambda one: one.step == 1 and one.state is DrillState.WAITING)
            os.kill(child_of(self._standby(), b"startup"), signal.SIGSTOP)
            self.desk.step(drill, 1)
            drill = self.desk.ended(drill.ref)
            found = judged(self.desk, writer, drill, "a promotion that fails in a switchover", _FAILED)
        return failed_at(found, 1, StepState.FAILED, "nothing has changed, a is primary as before")

    def disk_full(self) -> Round:
        """Nothing more fits on the standby's disk once the primary is gone."""
        filling = self._data_dir / STANDBY / "filling"
        with writing(self.desk) as writer:
            drill = self._mishaps.up_to(2)
            with filling.open("wb") as file, suppress(OSError):
                while True:
                    file.write(bytes(1 << 20))
            self.desk.step(drill, 2)
            self._mishaps.to_the_end(drill)
            drill = self.desk.ended(drill.ref)
            filling.unlink()
            found = judged(self.desk, writer, drill, "a full disk on the standby", _FAILED | {DrillState.UNRESOLVED})
        return failed_on_a_full_disk(found)

    def _standby_url(self) -> str:
        hosts = conninfo_to_dict(self.desk.database_url)["host"]
        return make_conninfo(host=str(hosts).split(",")[1], user=SUPERUSER, dbname="postgres")

    def _standby(self) -> int:
        file = self._data_dir / STANDBY / "data" / "postmaster.pid"
        return int(file.read_text().split("\n", 1)[0])

    @contextmanager
    def _standing_still(self) -> Iterator[None]:
        receiver = walreceiver(self._standby())
        os.kill(receiver, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(receiver, signal.SIGKILL)  # the server starts another one

    def _until_out_of_step(self) -> None:
        until(lambda: "commits do not wait for" in self.desk.cluster().problem, "a standby that is given up")


def failed_at(found: Round, step: int, state: StepState, says: str) -> Round:
    """The round, and what its drill does not say of the step, the reason and the way back."""
    drill = found.drill
    it = drill.steps[step - 1]
    wrong = []
    if it.state is not state or says not in it.summary:
        wrong.append(f"step {step} is {it.state.value}: {it.summary}")
    if f"{step}" not in drill.sentence or it.title not in drill.sentence:
        wrong.append("the sentence does not name the step")
    if any(one.started_at is not None and not one.undo_summary for one in drill.steps):
        wrong.append("a step that ran does not say how it was undone")
    return replace(found, wrong=(*found.wrong, *wrong))


def failed_on_a_full_disk(found: Round) -> Round:
    """The round, and what its drill does not say: which step, that the disk is full, and how what is down gets up."""
    drill = found.drill
    failed = next((step for step in drill.steps if step.state not in {StepState.PASSED, StepState.PENDING}), None)
    wrong = [] if failed is not None and failed.title in drill.sentence else ["the sentence does not name the step"]
    if not any("disk is full" in one or "No space left" in one for one in (drill.sentence, *drill.left_to_do)):
        wrong.append("nobody says that the disk is full")
    commands = [one for one in drill.left_to_do if "http://pair/" in one]
    if drill.left_to_do and not (commands and all(_is_of(one, drill) for one in commands)):
        wrong.append(f"the way back does not fit what is down: {commands}")
    return replace(found, wrong=(*found.wrong, *wrong))


def _is_of(command: str, drill: RecoveryDrill) -> bool:
    """Whether a command starts or brings back a node that is not up as what it should be."""
    roles = {node.name: node.role for node in (drill.topology.nodes if drill.topology else [])}
    node = command.rpartition("node=")[2].rstrip("'")
    up = roles.get(node) is NodeRole.PRIMARY
    return not up or "switch-over" in command


def refused_for(found: Round, says: str) -> Round:
    """The round, and what is wrong with how its drill was refused."""
    drill = found.drill
    wrong = [] if says in drill.sentence else ["the sentence does not say why"]
    wrong += ["a step has run"] if any(step.started_at is not None for step in drill.steps) else []
    return replace(found, wrong=(*found.wrong, *wrong))


@contextmanager
def faulty_demo(directory: Path) -> Iterator[Faults]:
    """A demo with these plans, below a directory that every account may enter."""
    data_dir = directory / "demo"
    with deaf_address() as port:
        more = {"WATCHFLOOR_POLICY": str(policy(directory, port))}
        with headless_demo(data_dir, "--with-standby", more=more) as demo:
            yield Faults(signed_in(demo, data_dir), data_dir)


@contextmanager
def full_disk_demo(directory: Path) -> Iterator[Faults]:
    """The same with a small disk for the standby; skips where nothing may be mounted."""
    home = directory / "demo" / STANDBY
    home.mkdir(parents=True, mode=0o755)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "none", str(home)]
    if subprocess.run(argv, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        with faulty_demo(directory) as faults:
            yield faults
    finally:
        until_gone(str(directory))
        subprocess.run(["umount", str(home)], check=True)
