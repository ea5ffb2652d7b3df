"""A real OpenSSH server on loopback with the recipe that is shipped, and people who come to it with keys of their own.

The recipe is changed only where it must be for a test: whom it is for, which program, where files lie, how soon things
end. Each change has to find its line, so that the recipe and its tests cannot part.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.places import public_directory
from tests.support.processes import marked, until, until_gone
from tests.support.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "deploy" / "ssh" / "watchfloor.conf"
SERVER = Path("/usr/sbin/sshd")
_MARK = "wf-over-ssh"
"""In the environment of everything that runs on the bastion, and of nothing else."""
_RUN = Path("/run/sshd")
_LOG_CHARS = 4000
_MAIN = """\
HostKey {directory}/host
PidFile none
LogLevel VERBOSE
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
X11Forwarding yes
AcceptEnv LANG LC_* WATCHFLOOR_*
Subsystem sftp internal-sftp
Include {directory}/recipe.conf
"""
"""As lax as a careless administrator's: what is refused is refused by the recipe."""


def need_sshd() -> None:
    """Skip the test where OpenSSH's server or client is missing."""
    missing = [name for name in ("ssh", "ssh-keygen", "scp", "sftp") if shutil.which(name) is None]
    missing += [] if SERVER.exists() else ["sshd (Debian's openssh-server)"]
    if missing:
        pytest.skip(f"OpenSSH absent: {', '.join(missing)}")


@dataclass
class Bastion:
    """A running server, for one account of this machine: that of the test."""

    directory: Path
    port: int
    user: str
    mark: str

    def key(self, name: str) -> Path:
        """The private key of a person who may come; made when first asked for."""
        path = self.directory / f"{name}.key"
        if not path.exists():
            _keygen(path)
            with (self.directory / "authorized" / self.user).open("a") as file:
                file.write(path.with_suffix(".key.pub").read_text())
        return path

    def ssh(self, name: str, *arguments: str, program: str = "ssh", port: int | None = None) -> list[str]:
        """The command by which a person connects; arguments stand before the host."""
        options = [
            "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "BatchMode=yes",
            f"UserKnownHostsFile={self.directory}/known_hosts", f"HostKeyAlias={self.user}-bastion", "EscapeChar=none",
        ]  # fmt: skip
        told = [part for option in options for part in ("-o", option)]
        where = f"-{'p' if program == 'ssh' else 'P'}{port or self.port}"
        return [program, "-F", "none", *told, where, "-i", str(self.key(name)), *arguments]

    @property
    def host(self) -> str:
        """The account on this machine, as it is written behind the options."""
        return f"{self.user}@127.0.0.1"

    def ran(self, name: str, *arguments: str, after: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Connect without a terminal and wait for the end."""
        return subprocess.run(
            [*self.ssh(name, *arguments), self.host, *after], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=120,
        )  # fmt: skip

    def terminal(self, name: str, *arguments: str, agent: Path | None = None, port: int | None = None) -> Terminal:
        """A person's terminal, in which they connect; with an agent to forward, it is forwarded."""
        forwarding = ["-A"] if agent is not None else []
        env = {"SSH_AUTH_SOCK": str(agent or "")}
        return Terminal([*self.ssh(name, *forwarding, *arguments, port=port), self.host], env=env, columns=120)

    def processes(self) -> list[str]:
        """What runs on the bastion for those who are connected."""
        return marked(self.mark)

    def until_left(self) -> None:
        """Wait until nothing of any connection is left."""
        until_gone(self.mark)

    def state(self) -> Path:
        """Where the account keeps its state."""
        return self.directory / "state"


@contextmanager
def bastion(url: str, *, more: str = "") -> Iterator[Bastion]:
    """A server whose console speaks to a backend; ended with all its connections."""
    need_sshd()
    with public_directory() as directory:
        made = Bastion(directory, _free_port(), getpass.getuser(), f"{_MARK}-{directory.name}")
        _prepare(made, url, more)
        config = str(directory / "sshd_config")
        command = [str(SERVER), "-D", "-e", "-f", config, "-o", f"ListenAddress=127.0.0.1:{made.port}"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        try:
            until(lambda: process.poll() is not None or _answers(made.port), "an answer of sshd")
            assert process.poll() is None, (directory / "log").read_text()[-_LOG_CHARS:]
            yield made
        finally:
            process.terminate()
            process.wait(30)
            made.until_left()


def effective(made: Bastion, user: str | None = None) -> dict[str, str]:
    """What sshd itself says holds for a connection."""
    asked = f"user={user or made.user},host=localhost,addr=127.0.0.1"
    command = [str(SERVER), "-T", "-f", str(made.directory / "sshd_config"), "-C", asked]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.partition(" ")[::2] for line in said.splitlines())


def _prepare(made: Bastion, url: str, more: str) -> None:
    if os.geteuid() == 0:
        _RUN.mkdir(mode=0o755, exist_ok=True)  # where the unprivileged part of sshd is locked in; a service makes it
    directory = made.directory
    for name in ("authorized", "state"):
        (directory / name).mkdir(mode=0o755)
    _keygen(directory / "host")
    public = (directory / "host.pub").read_text()
    (directory / "known_hosts").write_text(f"{made.user}-bastion {public}")
    (directory / "sshd_config").write_text(_MAIN.format(directory=directory) + more)
    (directory / "recipe.conf").write_text(_adapted(made, url))
    (directory / "authorized" / made.user).touch(mode=0o644)


def _adapted(made: Bastion, url: str) -> str:
    recipe = RECIPE.read_text()
    program = f"env PYTHONPATH={ROOT} PYTHONUNBUFFERED=1 {sys.executable} -P -m watchfloor"
    environment = f"WATCHFLOOR_URL={url} XDG_STATE_HOME={made.state()} WATCHFLOOR_TEST_MARK={made.mark}"
    for shipped, here in (
        ("Match Group watchfloor\n", f"Match User {made.user}\n"),
        ("ForceCommand exec /opt/watchfloor/bin/watchfloor ", f"ForceCommand exec {program} "),
        ("SetEnv WATCHFLOOR_URL=unix:/run/watchfloor/wf.sock\n", f"SetEnv {environment}\n"),
        ("/etc/ssh/watchfloor/%u", f"{made.directory}/authorized/%u"),
        ("ClientAliveInterval 15\n", "ClientAliveInterval 1\n"),
        ("UnusedConnectionTimeout 30s\n", "UnusedConnectionTimeout 2s\n"),
    ):
        assert recipe.count(shipped) == 1, f"the recipe has no line, or several: {shipped}"
        recipe = recipe.replace(shipped, here)
    return recipe


def _keygen(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a test", "-f", str(path)],
        check=True,
        capture_output=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            return line.recv(4) == b"SSH-"
    except OSError:
        return False
