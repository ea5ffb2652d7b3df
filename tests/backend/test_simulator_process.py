"""The simulator as a process: it trades through a real backend, obeys a freeze, goes on after a restart, and ends."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg

from simulator.fleet import fleet
from tests.support.backends import Backend, backend, eventually
from tests.support.holds import tokens
from tests.support.people import ADMIN, EXECUTOR

LIMIT_S = 60.0
"""For things that must happen; how soon is measured elsewhere."""
HISTORY_ROWS = 1_000
"""Fewer than the smallest floor in here tells of its past."""

AFTER_THEIR_WORD = (
    "SELECT t.executor, t.block_time FROM mev_transactions t JOIN halt_acks a USING (executor)"
    " WHERE t.block_time > a.acked_at"
)


@contextlib.contextmanager
def simulator(server: Backend, token: str, directory: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "token").write_text(token)
    argv = [sys.executable, "-m", "simulator", "--url", server.url, "--token-file", str(directory / "token"), *options]
    with (directory / "simulator.log").open("ab") as log:
        process = subprocess.Popen(argv, stderr=log)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def fetch(database_url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(sql.encode()).fetchall()


def trades(database_url: str) -> int:
    [[count]] = fetch(database_url, "SELECT count(*) FROM mev_transactions WHERE source = 'simulator'")
    return int(count)


def has_more_than(database_url: str, count: int) -> bool | None:
    return trades(database_url) > count or None


def test_it_trades_obeys_a_freeze_and_ends_on_a_signal(database_url: str, tmp_path: Path) -> None:
    token, admin = tokens(database_url, EXECUTOR, ADMIN)
    live = "SELECT 1 FROM mev_transactions WHERE block_time > now() - interval '3 s' LIMIT 1"
    with (
        backend(database_url, tmp_path / "backend.log") as server,
        httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {admin}"}, timeout=LIMIT_S) as client,
        simulator(server, token, tmp_path, "--seed", "5", "--speed", "5", "--executors", "6") as process,
    ):
        eventually(lambda: fetch(database_url, live) or None, LIMIT_S, "it trades")
        assert trades(database_url) > HISTORY_ROWS
        frozen = client.post("/v1/freezes", json={"scope": {"kind": "global"}, "reason": "stop"}).json()["id"]

        def all_halted() -> dict[str, Any] | None:
            found: dict[str, Any] = client.get(f"/v1/freezes/{frozen}").json()
            return found if found["halted"] == found["covered"] == 6 else None

        eventually(all_halted, LIMIT_S, "six executors halt")
        time.sleep(2)  # everything that was sent has been reported
        assert fetch(database_url, AFTER_THEIR_WORD) == []
        shown = {each["name"] for each in client.get("/v1/executors").json()["items"]}
        assert shown == {spec.name for spec in fleet(5, 6)}
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


def test_a_second_run_on_the_same_database_goes_on_instead_of_repeating(database_url: str, tmp_path: Path) -> None:
    [token] = tokens(database_url, EXECUTOR)
    with backend(database_url, tmp_path / "backend.log") as server:
        for _ in range(2):
            enough = functools.partial(has_more_than, database_url, max(trades(database_url), HISTORY_ROWS) + 5)
            with simulator(server, token, tmp_path, "--speed", "10", "--executors", "4") as process:
                eventually(enough, LIMIT_S, "it trades")
                process.terminate()
                process.wait(LIMIT_S)
    log = (tmp_path / "simulator.log").read_text()
    assert log.count("trading with 4 executors") == 2
    assert "the backend answers" not in log


def test_it_waits_for_a_backend_that_is_away_and_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("wfs_nobody")
    script = (
        "import subprocess, sys, time;"
        "p = subprocess.Popen([sys.executable, '-m', 'simulator', *sys.argv[1:]]);"
        "print(p.pid, flush=True); time.sleep(600)"
    )
    argv = ["--url", "http://127.0.0.1:9", "--token-file", str(tmp_path / "token")]
    parent = subprocess.Popen([sys.executable, "-c", script, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with parent, contextlib.ExitStack() as stack:
        stack.callback(parent.kill)
        assert parent.stdout is not None
        assert parent.stderr is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert b"does not answer" in parent.stderr.readline()
        assert child.is_running()
        parent.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            child.wait(LIMIT_S)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_wrong_command_line_says_so_in_one_line(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    here = "http://127.0.0.1:1"
    for arguments, code, word in (
        (["--url", here, "--token-file", str(tmp_path / "none")], 3, "none"),
        (["--url", "http://10.0.0.1:1", "--token-file", str(token)], 3, "https"),
        (["--url", here, "--token-file", str(token), "--speed", "0"], 2, "--speed"),
        (["--url", here, "--token-file", str(token), "--executors", "0"], 2, "--executors"),
    ):
        argv = [sys.executable, "-m", "simulator", *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, env=os.environ, timeout=LIMIT_S, check=False)
        assert (done.returncode, word in done.stderr.splitlines()[-1]) == (code, True)
        assert "Traceback" not in done.stderr
