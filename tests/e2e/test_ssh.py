"""Over a real OpenSSH server with the shipped recipe: signing in with all factors, and nothing but the console."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support.floor import Floor, running_floor
from tests.support.lines import line_to
from tests.support.over_ssh import resize, sign_in
from tests.support.people import OFFICER, OFFICER2, OPERATOR
from tests.support.processes import until
from tests.support.sshd import ROOT, Bastion, bastion, effective, need_sshd
from tests.support.terminal import Terminal
from tests.support.touches import agents

pytestmark = pytest.mark.e2e
HOLDS = {
    "authenticationmethods": "publickey",
    "acceptenv": "LANG",
    "permituserrc": "no",
    "permittty": "yes",
    "exposeauthinfo": "yes",
    "allowagentforwarding": "yes",
    "allowtcpforwarding": "no",
    "allowstreamlocalforwarding": "no",
    "permitopen": "none",
    "permitlisten": "none",
    "gatewayports": "no",
    "permittunnel": "no",
    "x11forwarding": "no",
    "maxsessions": "1",
    "clientalivecountmax": "3",
    "authorizedkeyscommand": "none",
}
NO_TERMINAL = "watchfloor: the console needs a terminal, and takes no command: connect with ssh -t "


@pytest.fixture(scope="module")
def floor(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    need_sshd()
    with running_floor(template_database, tmp_path_factory.mktemp("floor")) as running:
        yield running


@pytest.fixture(scope="module")
def gate(floor: Floor) -> Iterator[Bastion]:
    with bastion(floor.url) as running:
        yield running


@contextmanager
def at_the_login(gate: Bastion, *, port: int | None = None) -> Iterator[Terminal]:
    """Somebody whom the console does not know yet."""
    with gate.terminal("stranger", port=port) as terminal:
        terminal.wait_for("Log in to", "One-time code")
        yield terminal


def test_the_recipe_is_what_sshd_takes_it_for_and_concerns_nobody_else(gate: Bastion) -> None:
    found = effective(gate)
    assert {name: found[name] for name in HOLDS} == HOLDS
    assert found["forcecommand"].endswith("watchfloor console --per-key")
    others = effective(gate, "somebody-else")
    assert (others["forcecommand"], others["allowtcpforwarding"]) == ("none", "yes")


def test_signing_in_with_three_factors_and_two_people_under_one_account(gate: Bastion, floor: Floor) -> None:
    with gate.terminal("oscar", agent=agents() / OFFICER.name) as terminal:
        sign_in(terminal, OFFICER)
        terminal.press("q")
        assert terminal.wait_exit() == 0
    kept = list(gate.state().rglob("sessions.json"))
    assert [path.parents[2].name for path in kept] == ["keys"]
    assert kept[0].stat().st_mode & 0o777 == 0o600
    assert [one["username"] for one in json.loads(kept[0].read_text())["sessions"].values()] == [OFFICER.name]
    with gate.terminal("oscar") as terminal:
        terminal.wait_for("Overview", OFFICER.name, "live", gone="One-time code")
    with gate.terminal("olga") as terminal:
        sign_in(terminal, OPERATOR)
    assert len(list(gate.state().rglob("sessions.json"))) == 2
    with gate.terminal("oscar") as terminal:
        terminal.wait_for("Overview", OFFICER.name)
    factors = floor_factors(floor)
    assert factors == {OFFICER.name: ["password", "totp", "hardware_key"], OPERATOR.name: ["password", "totp"]}


def floor_factors(floor: Floor) -> dict[str, list[str]]:
    newest = (
        "SELECT DISTINCT ON (username) username, s.factors FROM sessions s JOIN users u ON u.id = s.user_id"
        " WHERE username = ANY(%s) ORDER BY username, s.created_at DESC"
    )
    with psycopg.connect(floor.database_url) as connection:
        return dict(connection.execute(newest, [[OFFICER.name, OPERATOR.name]]).fetchall())


def test_without_a_forwarded_agent_the_sign_in_says_what_is_missing(gate: Bastion) -> None:
    with gate.terminal("stranger") as terminal:
        sign_in(terminal, OFFICER2, waits_for="There is no SSH agent")


def test_without_a_terminal_it_says_in_one_line_what_is_missing(gate: Bastion) -> None:
    for arguments, command in ((("-T",), ()), ((), ("sh",)), ((), ("watchfloor", "freeze", "--help"))):
        done = gate.ran("stranger", *arguments, after=command)
        assert (done.returncode, done.stdout) == (3, ""), done
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.startswith(NO_TERMINAL)


def test_a_command_opens_the_console_and_no_shell(gate: Bastion, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    argv = [*gate.ssh("stranger", "-tt"), gate.host, f"touch {trace}; exec sh"]
    with Terminal(argv, columns=120) as terminal:
        terminal.wait_for("Log in to")
        terminal.press("ctrl+c")
        terminal.wait_exit()
    gate.until_left()
    assert not trace.exists()


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("scp", ("{host}:{source}", "{target}")),
        ("scp", ("{source}", "{host}:{target}")),
        ("scp", ("-O", "{source}", "{host}:{target}")),
        ("sftp", ("{host}",)),
    ],
)
def test_no_file_is_carried(gate: Bastion, tmp_path: Path, program: str, arguments: tuple[str, ...]) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("x")
    written = [one.format(host=gate.host, source=source, target=target) for one in arguments]
    done = subprocess.run(
        gate.ssh("stranger", *written, program=program), input=f"put {source} {target}\n", capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert not target.exists()


@pytest.mark.parametrize("option", ["-L", "-D"])
def test_nothing_is_tunnelled_and_a_connection_without_a_console_ends(gate: Bastion, floor: Floor, option: str) -> None:
    port, beyond = free_port(), int(floor.url.rpartition(":")[2])
    wanted = f"127.0.0.1:{port}" + (f":127.0.0.1:{beyond}" if option == "-L" else "")
    argv = [*gate.ssh("stranger", "-N", option, wanted), gate.host]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: process.poll() is not None or can_connect(port), "the local end of a tunnel")
            assert process.poll() is None
            assert asked_through(port, option, beyond) == b""
            assert process.wait(60) == 255
        finally:
            process.kill()
        assert process.stderr is not None
        assert "administratively prohibited" in process.stderr.read()


def test_nothing_is_tunnelled_the_other_way_or_through_standard_input(gate: Bastion, floor: Floor) -> None:
    beyond = floor.url.removeprefix("http://")
    there = gate.ran("stranger", "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"0:{beyond}")
    assert (there.returncode, "remote port forwarding failed" in there.stderr) == (255, True)
    through = gate.ran("stranger", "-W", beyond)
    assert (through.returncode, "prohibited" in through.stderr) == (255, True)


def test_a_token_in_the_clients_environment_stays_there(gate: Bastion, floor: Floor) -> None:
    sent = ("-o", f"SetEnv WATCHFLOOR_TOKEN={floor.token(OFFICER)} WATCHFLOOR_URL=http://127.0.0.1:1 PYTHONSTARTUP=x")
    with gate.terminal("stranger", *sent) as terminal:
        terminal.wait_for("Log in to", floor.url)


def test_a_dropped_client_leaves_no_process(gate: Bastion) -> None:
    with at_the_login(gate) as terminal:
        assert gate.processes()
        os.kill(terminal.pid, signal.SIGKILL)
        gate.until_left()


@pytest.mark.parametrize("how", ["cut", "fall_silent"])
def test_a_line_that_ends_leaves_no_process(gate: Bastion, how: str) -> None:
    with line_to(gate.port) as line, at_the_login(gate, port=line.port):
        getattr(line, how)()
        gate.until_left()


def test_it_follows_the_size_of_the_terminal(gate: Bastion) -> None:
    with at_the_login(gate) as terminal:
        assert max(map(len, terminal.text.splitlines())) <= 120
        resize(terminal, columns=160, rows=50)
        terminal.wait_until(lambda text: max(map(len, text.splitlines())) > 120, "a wider screen")


def test_who_came_without_a_key_that_is_known_gets_no_common_session(tmp_path: Path) -> None:
    """As under a recipe without ExposeAuthInfo."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    environ.pop("SSH_USER_AUTH", None)
    with Terminal([sys.executable, "-P", "-m", "watchfloor", "console", "--per-key"], environ, 120) as terminal:
        assert terminal.wait_exit() == 3
        assert "Cannot tell whose SSH key this is" in terminal.text
    assert not list(tmp_path.iterdir())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def asked_through(port: int, option: str, beyond: int) -> bytes:
    """What comes back through a tunnel after asking a backend for its health."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
        if option == "-D":  # SOCKS 4a, as a browser asks
            line.sendall(b"\x04\x01" + beyond.to_bytes(2, "big") + socket.inet_aton("127.0.0.1") + b"\x00")
            granted = line.recv(8)
            if granted[:2] != b"\x00\x5a":
                return b""
        try:
            line.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            return line.recv(100)
        except OSError:
            return b""
