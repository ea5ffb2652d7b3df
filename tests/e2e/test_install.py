"""`scripts/install.sh`: what it says when a machine lacks something, and that a second run does nothing.

A stand-in for Python plays pip's part, so that no test needs a network.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Answers the version check, makes a "virtual environment" of itself, and lets the test decide what pip says.
STAND_IN = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$1 $2" in
"-V "*) echo "Python $VERSION" ;;
"-c import"*) case $VERSION in 3.9*) exit 1 ;; esac ;;
"-c "*) exit 0 ;;
"-m venv") [ -z "$VENV_SAYS" ] || { echo "$VENV_SAYS"; exit 1; }; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
"-m pip") [ -z "$PIP_SAYS" ] || { printf '%s\\n' "$PIP_SAYS"; exit 1; } ;;
esac
"""


class Machine:
    """A checkout with a blank in its path, on a machine with one stand-in Python."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "two words"
        (self.root / "scripts").mkdir(parents=True)
        for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock", "scripts/install.sh", "Makefile"):
            shutil.copy(ROOT / name, self.root / name)
        self.python = directory / "python3"
        self.python.write_text(STAND_IN)
        self.python.chmod(0o755)
        self.calls = directory / "calls"
        self.environment = {"VERSION": "3.12.1", "PYTHON": str(self.python), "PATH": "/usr/bin:/bin"}

    def install(self, kind: str = "runtime", **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls.write_text("")
        everything = {**self.environment, "CALLS": str(self.calls), "VENV_SAYS": "", "PIP_SAYS": "", **environment}
        command = ["sh", str(self.root / "scripts" / "install.sh"), kind]
        return subprocess.run(command, cwd="/", env=everything, capture_output=True, text=True, check=False)

    def pip_calls(self) -> list[str]:
        return [line for line in self.calls.read_text().splitlines() if line.startswith("-m pip")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal: after what it is doing, nothing but the reason."""
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    progress = ("watchfloor: making", "watchfloor: installing the packages")
    lines = [line for line in done.stderr.splitlines() if not line.startswith(progress)]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_it_installs_with_hashes_and_a_second_run_does_nothing(machine: Machine) -> None:
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert machine.pip_calls() == [
        "-m pip install --require-hashes -r requirements.lock",
        "-m pip install --no-deps --no-build-isolation -e .",
    ]
    again = machine.install()
    assert (again.returncode, again.stderr, machine.pip_calls()) == (0, "", [])


def test_the_development_environment_holds_the_runtime_one(machine: Machine) -> None:
    assert machine.install("dev").returncode == 0
    assert machine.install("runtime").stderr == ""
    assert machine.pip_calls() == []


def test_a_changed_lock_file_is_installed(machine: Machine) -> None:
    machine.install()
    with (machine.root / "requirements.lock").open("a") as file:
        file.write("# changed\n")
    machine.install()
    assert len(machine.pip_calls()) == 2


def test_a_moved_checkout_gets_a_new_environment(machine: Machine) -> None:
    machine.install()
    machine.root = machine.root.rename(machine.root.with_name("elsewhere"))
    assert machine.install().returncode == 0
    assert any(line.startswith("-m venv") for line in machine.calls.read_text().splitlines())


def test_a_python_that_is_too_old(machine: Machine) -> None:
    line = refused(machine.install(VERSION="3.9.2"))
    assert line == "watchfloor: Python 3.11 or newer is needed; found Python 3.9.2 (set PYTHON=/path/to/python)"
    assert not (machine.root / ".venv").exists()


def test_no_python_at_all(machine: Machine) -> None:
    assert "found none" in refused(machine.install(PYTHON="/nonexistent/python"))


def test_a_python_without_venv(machine: Machine) -> None:
    line = refused(
        machine.install(VENV_SAYS="The virtual environment was not created because ensurepip is not available.")
    )
    assert "apt-get install python3-venv" in line
    assert not (machine.root / ".venv").exists()


@pytest.mark.parametrize(
    ("pip_says", "expected"),
    [
        ("error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'", "there is no compiler"),
        ("error: command 'gcc' failed: No such file or directory", "there is no compiler"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "differs from the lock file"),
        ("ERROR: No matching distribution found for alembic==9", "No matching distribution found for alembic==9"),
        ("ERROR: something else went wrong", "something else went wrong"),
    ],
)
def test_what_pip_says_becomes_one_line(machine: Machine, pip_says: str, expected: str) -> None:
    line = refused(machine.install(PIP_SAYS=f"Collecting things\n{pip_says}"))
    assert expected in line
    assert line.endswith("details in .venv/install.log")
    assert machine.install().returncode == 0, "the next run, with the cause gone, succeeds"


def test_make_adds_only_its_own_line(machine: Machine) -> None:
    everything = {**machine.environment, "CALLS": str(machine.calls), "VERSION": "3.9.2"}
    done = subprocess.run(
        ["make", "demo"], cwd=machine.root, env=everything, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    ours, makes = done.stderr.splitlines()
    assert ours.startswith("watchfloor: Python 3.11 or newer is needed")
    assert makes.endswith("Error 3")
