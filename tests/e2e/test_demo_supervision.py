"""No child outlives its supervisor, however that one ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import marked, until, until_gone
from watchfloor.demo.supervisor import Supervisor

REPOSITORY = Path(__file__).resolve().parents[2]
OWNER = """
import sys
from pathlib import Path
from watchfloor.demo.supervisor import Supervisor
supervisor, logs = Supervisor(), Path(sys.argv[1])
with supervisor.signals():
    for kind in sys.argv[2:]:
        supervisor.start(kind, "tests.support.standin", [kind, str(logs)], environment={}, log=logs / kind)
    while not supervisor.stop_requested:
        supervisor.wait(5)
    supervisor.stop(*supervisor.running(), seconds=0.3)
"""
STANDIN = "tests.support.standin"


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own with an obedient and a stubborn child, both running."""
    kinds = ("obedient", "stubborn")
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), *kinds], cwd=REPOSITORY, env={"PYTHONPATH": str(REPOSITORY)}
    )
    until(lambda: all("ready" in read(tmp_path / kind) for kind in kinds), "both children are ready")
    yield process
    process.kill()
    process.wait()
    until_gone(str(tmp_path))


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_killed_supervisor_takes_every_child_along(owner: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert len(marked(f"standin\0obedient\0{tmp_path}")) == 1
    owner.kill()
    until_gone(str(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_stop_everything(owner: subprocess.Popen[bytes], tmp_path: Path, number: signal.Signals) -> None:
    owner.send_signal(number)
    assert owner.wait(30) == 0
    assert not marked(str(tmp_path))


def test_the_end_of_a_child_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    supervisor = Supervisor()
    with supervisor.signals():
        child = supervisor.start("brief", STANDIN, ["brief"], environment={}, log=tmp_path / "log")
        until(lambda: bool(supervisor.wait(0.2)) or child.exit_code() is not None, "the child's end")
    assert child.exit_code() == 7
    assert child.last_line() == "brief ready"
    assert not supervisor.stop_requested
    supervisor.stop(child, seconds=0)
    assert supervisor.running() == []
    supervisor.close()


def test_an_ignored_hang_up_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with supervisor.signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            signal.raise_signal(signal.SIGHUP)
            assert not supervisor.stop_requested
            signal.raise_signal(signal.SIGTERM)
            assert supervisor.stop_requested
    finally:
        signal.signal(signal.SIGHUP, before)
        supervisor.close()
