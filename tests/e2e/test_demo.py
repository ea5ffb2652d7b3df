"""The demo as scripts and people meet it: ready in one line, stopped in every way, refused in one line."""

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pyotp
import pytest

from simulator.fleet import DEFAULT_EXECUTORS
from tests.support import databases
from tests.support.demo import HeadlessDemo, command, environment, headless_demo, refused
from tests.support.places import public_directory
from tests.support.processes import marked, until, until_gone
from tests.support.terminal import Terminal
from watchfloor.demo.run import PREFERRED_PORT

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
ROLES = {
    "operator1": "mev_operator",
    "admin1": "mev_admin",
    "admin2": "mev_admin",
    "officer1": "compliance_officer",
    "officer2": "compliance_officer",
    "auditor1": "external_auditor",
}
WITH_KEYS = {"admin1", "admin2", "officer1", "officer2"}


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with public_directory() as directory:
        yield directory / "data dir"


@pytest.fixture
def demo(data_dir: Path) -> Iterator[HeadlessDemo]:
    with headless_demo(data_dir) as running:
        yield running


def pid_of(data_dir: Path, module: str) -> int:
    """The process that runs one module of this demo."""
    lines = [line for line in marked(str(data_dir)) if "demo.child" in line and f" {module} " in f"{line} "]
    assert len(lines) == 1, lines
    return int(lines[0].split()[0])


def transactions(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM mev_transactions").fetchone()
    assert row is not None
    return int(row[0])


def sign_in(demo: HeadlessDemo, name: str) -> httpx.Response:
    user = demo.ready["users"][name]
    body = {"username": name, "password": user["password"], "totp": pyotp.TOTP(user["totp_secret"]).now()}
    return httpx.post(f"{demo.url}/v1/auth/login", json=body)


def _without_sockets(demo: HeadlessDemo) -> dict[str, dict[str, str]]:
    return {
        name: {field: value for field, value in user.items() if field != "ssh_auth_sock"}
        for name, user in demo.ready["users"].items()
    }


def test_a_person_with_a_software_key_signs_in_at_the_command_line(demo: HeadlessDemo, tmp_path: Path) -> None:
    user = demo.ready["users"]["officer1"]
    arguments = ["login", "--user", "officer1", "--password-file", "-", "--url", demo.url, "--json", "--totp"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "watchfloor", *arguments, pyotp.TOTP(user["totp_secret"]).now()],
        env=environment(tmp_path, {"XDG_STATE_HOME": str(tmp_path), "SSH_AUTH_SOCK": user["ssh_auth_sock"]}),
        input=user["password"], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Touch your hardware key now" in done.stderr
    token = json.loads(done.stdout)["token"]
    me = httpx.get(f"{demo.url}/v1/auth/whoami", headers={"authorization": f"Bearer {token}"})
    assert me.json()["username"] == "officer1"


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr.strip()


def test_ready_means_usable_and_a_restart_keeps_everything(data_dir: Path) -> None:
    with headless_demo(data_dir) as first:
        assert set(first.ready) == {"url", "database_url", "users"}
        assert {name: user["role"] for name, user in first.ready["users"].items()} == ROLES
        assert httpx.get(f"{first.url}/readyz").status_code == 200
        for name in ROLES:
            signs = "ssh_auth_sock" in first.ready["users"][name]
            assert sign_in(first, name).status_code == (202 if signs else 200), name
        assert {name for name, user in first.ready["users"].items() if "ssh_auth_sock" in user} == WITH_KEYS
        until(lambda: transactions(first.ready["database_url"]) > 0, "simulated trades in the database")
        first.process.terminate()
        assert first.process.wait(30) == 0
        assert first.process.stdout is not None
        assert first.process.stdout.read() == ""
        assert not marked(str(data_dir))
    with headless_demo(data_dir) as second:
        assert _without_sockets(second) == _without_sockets(first)
        assert transactions(second.ready["database_url"]) > 0
        refusal = one_line(refused(data_dir))
        assert f"pid {second.process.pid}" in refusal
        assert second.url in refusal


def test_killing_the_demo_leaves_nothing_and_loses_nothing(demo: HeadlessDemo, data_dir: Path) -> None:
    until(lambda: transactions(demo.ready["database_url"]) > 0, "simulated trades in the database")
    before = transactions(demo.ready["database_url"])
    demo.process.kill()
    until_gone(str(data_dir))
    with headless_demo(data_dir) as again:
        assert transactions(again.ready["database_url"]) >= before


def test_a_stop_during_the_start(data_dir: Path) -> None:
    with subprocess.Popen(
        command(data_dir), env=environment(data_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as early:
        until((data_dir / "logs" / "backend.log").exists, "the start of the backend")
        early.terminate()
        assert early.wait(30) == 0
    assert not marked(str(data_dir))


def test_a_part_that_is_killed_comes_back(demo: HeadlessDemo, data_dir: Path) -> None:
    for module in ("watchfloor.demo.backend", "simulator", "simulator.security_keys", "signer", "evm"):
        kill_and_await_successor(data_dir, module)
    until(lambda: answers(demo.url), "the new backend's answer")
    until(lambda: "held by 1 of 1" in ledger_state(demo.url), "a head that is signed and witnessed")


def test_a_freeze_of_everything_is_verified_by_the_demos_second_source(demo: HeadlessDemo, data_dir: Path) -> None:
    user = demo.ready["users"]["officer1"]
    code = pyotp.TOTP(user["totp_secret"]).now()
    beside = environment(data_dir, {"XDG_STATE_HOME": str(data_dir / "state"), "SSH_AUTH_SOCK": user["ssh_auth_sock"]})

    def run(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "watchfloor", *arguments, "--url", demo.url]
        return subprocess.run(argv, env=beside, input=given, capture_output=True, text=True, check=False, timeout=120)

    signed_in = run("login", "--user", "officer1", "--password-file", "-", "--totp", code, given=user["password"])
    assert signed_in.returncode == 0, signed_in.stderr
    until(lambda: executors_trading(demo.ready["database_url"]) == DEFAULT_EXECUTORS, "everybody trades")
    frozen = run("freeze", "--scope", "global", "--reason", "test", "--wait", "verified", "--json")
    watcher = (data_dir / "logs" / "watcher.log").read_text()
    assert frozen.returncode == 0, f"{frozen.stdout}{frozen.stderr}{watcher}"
    body = json.loads(frozen.stdout)
    assert (body["covered"], body["verified"], body["not_confirmed"]) == (DEFAULT_EXECUTORS, DEFAULT_EXECUTORS, [])


def executors_trading(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM executors WHERE permit_until > now()").fetchone()
    assert row is not None
    return int(row[0])


def ledger_state(url: str) -> str:
    try:
        return str(httpx.get(f"{url}/readyz", timeout=1).json().get("ledger"))
    except httpx.TransportError:
        return ""


def kill_and_await_successor(data_dir: Path, module: str) -> None:
    old = pid_of(data_dir, module)
    os.kill(old, signal.SIGKILL)

    def is_replaced() -> bool:
        running = [line for line in marked(str(data_dir)) if f" {module} " in f"{line} "]
        return len(running) == 1 and not running[0].startswith(f"{old} ")

    until(is_replaced, f"a new {module}")


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def test_an_external_database_is_used_as_it_is(data_dir: Path) -> None:
    name, url = databases.create_database()
    try:
        with headless_demo(data_dir, more={"WATCHFLOOR_DATABASE_URL": url}) as demo:
            assert demo.ready["database_url"] == url
            assert sign_in(demo, "operator1").status_code == 200
            assert not (data_dir / "postgres").exists()
    finally:
        databases.drop_database(name)


def test_a_taken_port(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port} cannot be used" in one_line(refused(data_dir, "--port", port))


def test_the_usual_port_taken_and_no_wish_is_a_free_port_and_one_line(data_dir: Path) -> None:
    with usual_port_taken(), headless_demo(data_dir, any_port=False) as demo:
        assert not demo.url.endswith(f":{PREFERRED_PORT}")
        assert httpx.get(f"{demo.url}/readyz").status_code == 200
        assert "--data-dir" in one_line(refused(data_dir, any_port=False))
        demo.process.terminate()
        assert demo.process.wait(30) == 0
        assert demo.process.stderr is not None
        said = demo.process.stderr.read().splitlines()
    assert len(said) == 1, said
    assert said[0].startswith(f"Port {PREFERRED_PORT} is in use")
    assert f"WATCHFLOOR_URL={demo.url}" in said[0]


@contextlib.contextmanager
def usual_port_taken() -> Iterator[None]:
    """Hold the port that a demo prefers, unless somebody on this machine holds it already."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(socket.create_server(("127.0.0.1", PREFERRED_PORT)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        yield


def test_data_of_a_newer_version(data_dir: Path) -> None:
    with headless_demo(data_dir) as demo, psycopg.connect(demo.ready["database_url"]) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999_from_the_future'")
    assert "newer" in one_line(refused(data_dir))
    with Terminal(command(data_dir, headless=False), env=environment(data_dir)) as terminal:
        assert terminal.wait_exit() == 3
        assert "Watchfloor" in terminal.text
        assert "newer" in terminal.text
    assert not marked(str(data_dir))


def test_a_console_that_is_killed_leaves_a_usable_terminal(data_dir: Path) -> None:
    with Terminal(command(data_dir, headless=False), env=environment(data_dir)) as terminal:
        terminal.wait_for("admin1")
        os.kill(pid_of(data_dir, "watchfloor"), signal.SIGKILL)
        terminal.wait_exit()
        assert bytes(terminal.received).rfind(b"\x1b[?1049l") > bytes(terminal.received).rfind(b"\x1b[?1049h")
    assert not marked(str(data_dir))


def test_without_a_terminal_there_is_no_console(data_dir: Path) -> None:
    done = subprocess.run(command(data_dir, headless=False), env=environment(data_dir), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert "needs a terminal" in one_line(done)


@pytest.mark.parametrize("end", ["quit", "hang up", "terminate", "kill"])
def test_the_end_of_the_console_is_the_end_of_everything(data_dir: Path, end: str) -> None:
    argv = command(data_dir, headless=False)
    with Terminal(argv, env=environment(data_dir)) as terminal:
        terminal.wait_for("admin1")
        until((data_dir / "simulator.token").exists, "the backend's start")
        match end:
            case "quit":
                terminal.press("ctrl+c")
            case "hang up":
                terminal.hang_up()
            case "terminate":
                os.kill(terminal.pid, signal.SIGTERM)
            case _:
                os.kill(terminal.pid, signal.SIGKILL)

        def is_over() -> bool:
            terminal.pump()  # an unread terminal would hold the program back
            return not marked(str(data_dir))

        until(is_over, "the end of every process")


def test_the_wheel_alone_runs_from_an_empty_directory(data_dir: Path) -> None:
    base = data_dir.parent
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(base / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    wheel = next((base / "dist").glob("*.whl"))
    site = str(base / "site")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    where = [sys.executable, "-P", "-c", "import backend; print(backend.__file__)"]
    found = subprocess.run(where, env={"PYTHONPATH": site}, capture_output=True, text=True, check=True).stdout
    assert found.startswith(site)
    empty = base / "empty"
    empty.mkdir()
    with headless_demo(data_dir, more={"PYTHONPATH": site}, cwd=empty) as demo:
        assert sign_in(demo, "operator1").status_code == 200
    assert list(empty.iterdir()) == []
