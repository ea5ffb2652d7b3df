"""Recovery drills on a running demo or backend, as a person runs them over HTTP. Waits, and judges nothing."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import httpx
import pyotp

from contract.recovery import ENDED, DryRun, NodeRole, RecoveryDrill, Topology
from tests.support.demo import HeadlessDemo, environment

T = TypeVar("T")

PATIENCE_S: Final = 240.0
"""Of a whole drill on a loaded machine; usually 7."""
POLL_S: Final = 0.1
SETTLE_S: Final = 0.5
SOON_S: Final = 20.0
"""A standby that has just connected is in step within three."""
PERSON: Final = "admin1"


@dataclass
class RecoveryDesk:
    """An admin who is signed in."""

    url: str
    token: str
    database_url: str

    def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        """One request; a backend that is just being started again is asked anew."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self.ask_once(method, path, body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code not in (409, 503):
                assert answer.is_success, answer.text
                return answer
            assert time.monotonic() < deadline, "nobody answers" if answer is None else answer.text
            time.sleep(POLL_S)

    def ask_once(self, method: str, path: str, body: object = None) -> httpx.Response:
        """One request and whatever is answered.

        Raises:
            httpx.TransportError: nobody answers.
        """
        return httpx.request(
            method, f"{self.url}/v1/recovery/{path}", json=body, timeout=15,
            headers={"authorization": f"Bearer {self.token}"},
        )  # fmt: skip

    def ready(self, plan: str) -> DryRun:
        """Wait until a drill of the plan would start, and still would a moment later."""

        def look() -> DryRun:
            return DryRun.model_validate(self.ask("GET", f"plans/{plan}/dry-run").json())

        while True:
            self._until(look, lambda dry: dry.would_start)
            time.sleep(SETTLE_S)
            if (found := look()).would_start:
                return found

    def start(self, plan: str = "failover", *, hands_off: bool = True) -> RecoveryDrill:
        """Start a drill once its preconditions are met."""
        self.ready(plan)
        return RecoveryDrill.model_validate(self.ask("POST", "drills", self.wanted(plan, hands_off=hands_off)).json())

    def wanted(self, plan: str, *, hands_off: bool = True) -> dict[str, object]:
        """What is asked for to start a drill."""
        return {
            "plan": plan, "reason": "practice", "hands_off": hands_off, "cluster": self.cluster().cluster,
            "idempotency_key": f"round {time.monotonic_ns()}",
        }  # fmt: skip

    def step(self, drill: RecoveryDrill, number: int) -> None:
        """Let the step run that waits."""
        self.ask("POST", f"drills/{drill.ref}/step", {"number": number, "cluster": drill.cluster})

    def abort(self, drill: RecoveryDrill) -> None:
        """End a drill."""
        self.ask("POST", f"drills/{drill.ref}/abort", {"reason": "practice"})

    def abort_if_it_runs(self, drill: RecoveryDrill) -> bool:
        """End a drill that may just be ending by itself; whether it was in time."""
        answer = self.ask_once("POST", f"drills/{drill.ref}/abort", {"reason": "practice"})
        assert answer.is_success or answer.status_code == httpx.codes.CONFLICT, answer.text
        return answer.is_success

    def drill(self, ref: str) -> RecoveryDrill:
        """The drill as it stands."""
        return RecoveryDrill.model_validate(self.ask("GET", f"drills/{ref}").json())

    def until(self, ref: str, is_so: Callable[[RecoveryDrill], bool]) -> RecoveryDrill:
        """Wait for something about a drill, or for its end."""
        return self._until(lambda: self.drill(ref), lambda drill: is_so(drill) or drill.state in ENDED)

    def ended(self, ref: str) -> RecoveryDrill:
        """Wait for a drill's end."""
        return self.until(ref, lambda _: False)

    def cluster(self) -> Topology:
        """Who is what."""
        return Topology.model_validate(self.ask("GET", "cluster").json())

    def stands(self) -> dict[str, str]:
        """What each node is."""
        return {node.name: node.role.value for node in self.cluster().nodes}

    def is_whole(self, primary: str) -> bool:
        """Whether a node is the primary, and all others soon follow it, in step where commits are meant to wait."""

        def so(now: Topology) -> bool:
            others = [node for node in now.nodes if node.name != primary]
            follow = [
                node.role is NodeRole.STANDBY and node.state == "streaming" and node.synchronous >= now.synchronous_mode
                for node in others
            ]
            return now.primary is not None and now.primary.name == primary and bool(follow) and all(follow)

        deadline = time.monotonic() + SOON_S
        while not so(self.cluster()):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _until(self, look: Callable[[], T], is_so: Callable[[T], bool]) -> T:
        deadline = time.monotonic() + PATIENCE_S
        while not is_so(found := look()):
            assert time.monotonic() < deadline, found
            time.sleep(POLL_S)
        return found


def signed_in(demo: HeadlessDemo, data_dir: Path) -> RecoveryDesk:
    """Sign the admin in, with the demo's software key."""
    user = demo.ready["users"][PERSON]
    beside = environment(data_dir, {"XDG_STATE_HOME": str(data_dir / "state"), "SSH_AUTH_SOCK": user["ssh_auth_sock"]})
    code = pyotp.TOTP(user["totp_secret"]).now()
    argv = [sys.executable, "-P", "-m", "watchfloor", "login", "--json", "--user", PERSON, "--password-file", "-"]
    done = subprocess.run(
        [*argv, "--totp", code, "--url", demo.url], env=beside, input=user["password"], capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return RecoveryDesk(demo.url, json.loads(done.stdout)["token"], demo.ready["database_url"])
