"""A backend that runs a drill is killed with SIGKILL in each of its states; the next one on its directory goes on."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from contract.recovery import ENDED, DrillState, RecoveryDrill, StepState
from tests.support.backends import Backend, backend, eventually
from tests.support.holds import tokens
from tests.support.people import ADMIN
from tests.support.recovery import CLUSTER

LIMIT_S = 60.0
"""Processes start slowly on a busy machine."""


class Desk:
    """One person at whichever backend runs now."""

    def __init__(self, http: httpx.Client, work: Path) -> None:
        self.http, self.work = http, work

    def start(self, **request: Any) -> str:
        whole = {"plan": "failover", "reason": "the quarterly test", "hands_off": True, "cluster": CLUSTER, **request}
        answer = self.http.post("/v1/recovery/drills", json=whole)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ref"])

    def get(self, ref: str) -> RecoveryDrill:
        answer = self.http.get(f"/v1/recovery/drills/{ref}")
        assert answer.status_code == 200, answer.text
        return RecoveryDrill.model_validate(answer.json())

    def happened(self) -> list[str]:
        path = self.work / "happened"
        return path.read_text().splitlines() if path.exists() else []

    def until_happened(self, what: str) -> None:
        eventually(lambda: what in self.happened() or None, LIMIT_S, what)

    def until(self, ref: str, state: DrillState) -> RecoveryDrill:
        return eventually(lambda: _if(self.get(ref), state), LIMIT_S, f"{ref} {state}")[0]

    def until_at(self, ref: str, step: int) -> None:
        eventually(lambda: self.get(ref).step == step or None, LIMIT_S, f"step {step} waits")

    def ended(self, ref: str) -> RecoveryDrill:
        def look() -> RecoveryDrill | None:
            drill = self.get(ref)
            return drill if drill.state in ENDED else None

        return eventually(look, LIMIT_S, f"the end of {ref}")[0]


def _if(drill: RecoveryDrill, state: DrillState) -> RecoveryDrill | None:
    return drill if drill.state is state else None


@contextmanager
def desks(database_url: str, directory: Path) -> Iterator["Starter"]:
    with ExitStack() as stack:
        yield Starter(database_url, directory, stack)


class Starter:
    """Starts one backend after the other on the same data directory."""

    def __init__(self, database_url: str, directory: Path, stack: ExitStack) -> None:
        self.work = directory / "work"
        self.work.mkdir()
        self._url, self._stack, self._log = database_url, stack, directory / "backend.log"
        [self._token] = tokens(database_url, ADMIN)
        self._server: Backend | None = None

    def start(self) -> Desk:
        program = ("tests.support.recovery", str(self.work))
        self._server = self._stack.enter_context(backend(self._url, self._log, program=program))
        bearer = {"authorization": f"Bearer {self._token}"}
        http = httpx.Client(base_url=self._server.url, headers=bearer, timeout=10)
        return Desk(self._stack.enter_context(http), self.work)

    def kill(self) -> None:
        assert self._server is not None
        self._server.send(signal.SIGKILL)
        self._server.wait()

    def let(self, *names: str) -> None:
        for name in names:
            (self.work / f"go-{name}").touch()


def journals(directory: Path) -> list[Path]:
    return list((directory / "recovery").glob("*/*.journal"))


@pytest.mark.parametrize(
    "at_step", [pytest.param("first", marks=pytest.mark.long), "second", pytest.param("third", marks=pytest.mark.long)]
)
def test_killed_in_a_step_it_is_rolled_back_by_the_next_process(
    at_step: str, database_url: str, directory: Path
) -> None:
    names = ["first", "second", "third"]
    ran = names[: names.index(at_step) + 1]
    with desks(database_url, directory) as starter:
        desk = starter.start()
        starter.let(*ran[:-1])
        ref = desk.start()
        desk.until_happened(f"run {at_step}")
        starter.kill()
        assert journals(directory)
        desk = starter.start()
        drill = desk.ended(ref)
        assert drill.state is DrillState.FAILED, drill.sentence
        assert drill.steps[len(ran) - 1].state is StepState.INTERRUPTED
        assert desk.happened() == [
            *(f"run {one}" for one in ran), f"look {at_step}", *(f"undo {one}" for one in reversed(ran)),
        ]  # fmt: skip
        eventually(lambda: not journals(directory) or None, LIMIT_S, "the journal is taken away")


@pytest.mark.long
def test_killed_in_a_step_that_turns_out_to_be_done_it_goes_on(database_url: str, directory: Path) -> None:
    with desks(database_url, directory) as starter:
        (starter.work / "found").touch()
        desk = starter.start()
        starter.let("first", "third")
        ref = desk.start()
        desk.until_happened("run second")
        starter.kill()
        desk = starter.start()
        drill = desk.ended(ref)
        assert [step.state for step in drill.steps] == [StepState.PASSED] * 3
        assert desk.happened() == ["run first", "run second", "look second", "run third"]
        assert drill.state in {DrillState.PASSED, DrillState.FAILED}  # what was lost may not be known any more
        assert drill.state is DrillState.PASSED or "could not be" in drill.sentence


def test_killed_while_it_waits_for_a_person_it_waits_on(database_url: str, directory: Path) -> None:
    with desks(database_url, directory) as starter:
        desk = starter.start()
        starter.let("first", "second", "third")
        ref = desk.start(hands_off=False)
        desk.until(ref, DrillState.WAITING)
        starter.kill()
        desk = starter.start()
        waiting = desk.until(ref, DrillState.WAITING)
        assert waiting.step == 1
        assert desk.happened() == []
        for number in (1, 2, 3):
            desk.until_at(ref, number)
            said = desk.http.post(f"/v1/recovery/drills/{ref}/step", json={"number": number})
            assert said.status_code == 200, said.text
        assert [step.state for step in desk.ended(ref).steps] == [StepState.PASSED] * 3


@pytest.mark.long
def test_killed_while_it_rolls_back_it_rolls_back_to_the_end(database_url: str, directory: Path) -> None:
    with desks(database_url, directory) as starter:
        desk = starter.start()
        starter.let("first")
        ref = desk.start()
        desk.until_happened("run second")
        (starter.work / "hold-undo").touch()
        answer = desk.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "somebody trades"})
        assert answer.status_code == 200, answer.text
        desk.until_happened("undo second")
        starter.kill()
        (starter.work / "hold-undo").unlink()
        desk = starter.start()
        drill = desk.ended(ref)
        assert drill.state is DrillState.ABORTED, drill.sentence
        assert "somebody trades" in drill.sentence
        assert desk.happened()[-3:] == ["undo second", "undo second", "undo first"]


@pytest.mark.long
def test_killed_twice_with_a_rollback_that_fails_it_says_what_is_left(database_url: str, directory: Path) -> None:
    with desks(database_url, directory) as starter:
        (starter.work / "undo-fails").touch()
        desk = starter.start()
        ref = desk.start()
        desk.until_happened("run first")
        (starter.work / "hold-undo").touch()
        starter.kill()
        desk = starter.start()
        desk.until_happened("undo first")
        starter.kill()
        (starter.work / "hold-undo").unlink()
        desk = starter.start()
        drill = desk.ended(ref)
        assert drill.state is DrillState.UNRESOLVED
        assert drill.left_to_do == ["run the other thing"]
        assert "left to do" in drill.sentence
