"""What tests of hardware keys share: software keys, statements, and the programs of OpenSSH as peers."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backend.auth.hardware.keys import HardwareKey, parse_blob
from contract.hardware import HardwareAct, HardwareStatement
from simulator.security_key import Behaviour, SecurityKey, listening

NOW = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)
ORIGIN = "https://floor-1.example"
PATIENCE_S = 60.0
"""For a program of OpenSSH on a busy machine."""


def statement(**changed: object) -> HardwareStatement:
    """A statement about a sign-in, with some fields other."""
    fields: dict[str, object] = {
        "challenge_id": "ch-1",
        "user": "officer1",
        "origin": ORIGIN,
        "act": HardwareAct.SIGN_IN,
        "about": "",
        "nonce": "n" * 43,
        "expires_at": NOW + timedelta(seconds=60),
    }
    return HardwareStatement.model_validate(fields | changed)


@dataclass
class Desk:
    """A software key and how it behaves, with the directory of its socket."""

    directory: Path
    key: SecurityKey
    behaviour: Behaviour = field(default_factory=Behaviour)

    @property
    def socket(self) -> Path:
        """Where its agent listens."""
        return self.directory / "agent"

    def public(self, kind: str) -> HardwareKey:
        """The public half, as the backend reads it."""
        return parse_blob(self.key.blob(kind))

    def sign(self, kind: str, message: bytes) -> bytes:
        """A signature, without an agent between."""
        return self.key.sign(kind, message, self.behaviour)


@contextmanager
def desk() -> Iterator[Desk]:
    """A new software key in a directory of its own; short, because the path of a socket has 107 bytes at most."""
    directory = Path(tempfile.mkdtemp(prefix="wf-sk-"))
    try:
        yield Desk(directory, SecurityKey(directory / "state"))
    finally:
        shutil.rmtree(directory)


@contextmanager
def fixed_desk() -> Iterator[Desk]:
    """A software key that is the same in each run, so that what a fuzzer finds can be shown again."""
    directory = Path(tempfile.mkdtemp(prefix="wf-sk-"))
    kept = {"version": 1, "application": "ssh:", "counter": 0, "ed25519": "11" * 32, "p256": "22" * 32}
    state = directory / "state"
    state.touch(mode=0o600)
    state.write_text(json.dumps(kept))
    try:
        yield Desk(directory, SecurityKey(state))
    finally:
        shutil.rmtree(directory)


@asynccontextmanager
async def agent_of(held: Desk) -> AsyncIterator[str]:
    """The path of a running agent that has the software key."""
    async with listening(held.socket, held.key, held.behaviour):
        yield str(held.socket)


def need_openssh() -> None:
    """Skip the test where the programs of OpenSSH are missing."""
    missing = [name for name in ("ssh-agent", "ssh-add", "ssh-keygen") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"OpenSSH absent: {', '.join(missing)}")


@dataclass(frozen=True)
class Ran:
    """How a program ended and what it said."""

    code: int
    said: str


async def run(*command: str, agent: str = "", given: bytes = b"", cwd: Path | None = None) -> Ran:
    """Run a program of OpenSSH against an agent, without a terminal to ask at."""
    environment: Mapping[str, str] = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "DISPLAY"))},
        "SSH_AUTH_SOCK": agent,
        "SSH_ASKPASS_REQUIRE": "never",
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        cwd=cwd,
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(given), PATIENCE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ran(process.returncode or 0, said.decode(errors="replace"))


@asynccontextmanager
async def real_agent(directory: Path) -> AsyncIterator[str]:
    """The path of a real ssh-agent without keys."""
    path = directory / "real"
    process = await asyncio.create_subprocess_exec(
        "ssh-agent", "-D", "-a", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)  # it says where it listens, once it does
        yield str(path)
    finally:
        process.terminate()
        await process.communicate()
