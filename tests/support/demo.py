"""A running `watchfloor demo --headless` for tests. Must leave no process behind when a test fails."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import until_gone

ROOT = Path(__file__).resolve().parents[2]
MARK_VARIABLE = "WATCHFLOOR_TEST_MARK"
START_PATIENCE_SECONDS = 120


@dataclass
class HeadlessDemo:
    """One demo process and what it said when it was ready."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        """The backend's address."""
        return str(self.ready["url"])


def command(data_dir: Path, *arguments: str, headless: bool = True, any_port: bool = True) -> list[str]:
    """The command line of a demo on any free port, on the one the arguments name, or on the usual one."""
    options = ["--headless"] if headless else []
    port = ["--port", "0"] if any_port and "--port" not in arguments else []
    return [sys.executable, "-P", "-m", "watchfloor", "demo", *options, *port, "--data-dir", str(data_dir), *arguments]


def environment(data_dir: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which every process of this demo can be found by its data directory."""
    return {**os.environ, "PYTHONPATH": str(ROOT), MARK_VARIABLE: str(data_dir), **(more or {})}


def refused(data_dir: Path, *arguments: str, any_port: bool = True) -> subprocess.CompletedProcess[str]:
    """Start a demo that is expected to refuse."""
    return subprocess.run(
        command(data_dir, *arguments, any_port=any_port), env=environment(data_dir), capture_output=True, text=True,
        check=False, timeout=START_PATIENCE_SECONDS,
    )  # fmt: skip


@contextmanager
def headless_demo(
    data_dir: Path,
    *arguments: str,
    more: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    any_port: bool = True,
) -> Iterator[HeadlessDemo]:
    """A demo that is ready; killed, and waited for with all its processes, at the end."""
    process = subprocess.Popen(
        command(data_dir, *arguments, any_port=any_port), env=environment(data_dir, more), cwd=cwd, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the demo ended: {process.communicate()[1]}\n{_logs(data_dir)}")
        yield HeadlessDemo(process, json.loads(line))
    finally:
        process.kill()
        process.communicate()
        until_gone(str(data_dir))


def _logs(data_dir: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[-3000:] for path in data_dir.glob("logs/*.log"))
