"""`python -m simulator.security_key` as a process: what it prints, how it misbehaves on request, how it ends."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from backend.auth.hardware.keys import parse_line
from backend.auth.hardware.signatures import verify
from console.client.agent import Agent, AgentRefusedError
from simulator.security_key import SecurityKey, main
from tests.support.hardware import PATIENCE_S, desk


@asynccontextmanager
async def _running(directory: Path, *options: str) -> AsyncIterator[list[str]]:
    """The two lines that a process prints once it listens; ended by a signal, which is no failure."""
    where = ("--socket", str(directory / "agent"), "--state", str(directory / "state"))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulator.security_key",
        *where,
        *options,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield [(await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)).decode() for _ in range(2)]
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert said.decode().splitlines() == [
        f"SOFTWARE, not a hardware key: whoever reads {directory / 'state'} has the key"
    ]
    assert not (directory / "agent").exists()


async def test_misbehaves_as_told_and_keeps_its_counter() -> None:
    with desk() as held:
        async with _running(held.directory, "--untouched", "--verified", "--counter", "7") as lines:
            keys = [parse_line(line)[0] for line in lines]
            assert [key.blob for key in keys] == [held.key.blob(key.kind) for key in keys]
            agent = Agent(str(held.socket), answer_limit_s=PATIENCE_S, touch_limit_s=PATIENCE_S)
            for offered, public, counter in zip(await agent.keys(), keys, (8, 9), strict=True):
                found = verify(public, await agent.sign(offered, b"message"), b"message")
                assert (found.present, found.verified, found.counter) == (False, True, counter)
        async with _running(held.directory, "--refuse"):
            kept, talking = await asyncio.open_unix_connection(held.socket)  # still open when the process ends
            with pytest.raises(AgentRefusedError):
                await agent.sign((await agent.keys())[0], b"message")
        assert await kept.read() == b""
        talking.close()
        await talking.wait_closed()
        assert SecurityKey(held.directory / "state").counter == 9


@pytest.mark.parametrize("options", [["--counter", "-1"], ["--delay", "-1"], ["--delay", "nan"], ["--counting", "x"]])
def test_values_out_of_range_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--socket", "s", "--state", "t", *options])
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_a_state_file_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    state.touch(mode=0o600)
    state.write_text("notes")
    assert main(["--socket", str(tmp_path / "s"), "--state", str(state)]) == 3
    assert "no state of a software key" in capsys.readouterr().err
    assert state.read_text() == "notes"
