"""Puts the demo together and takes it apart again. Must leave no process behind, whichever way it ends."""

import contextlib
import json
import os
import shlex
import signal
import socket
import sys
import termios
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from console.client.session import URL_VARIABLE
from console.demo_users import KEYS_VARIABLE
from console.term.firstframe import restore_terminal
from simulator.fleet import CHAINS
from watchfloor.demo import people
from watchfloor.demo.backing import POLICY_VARIABLE, has_backup, policy_of, take_backup
from watchfloor.demo.pairing import DemoPair
from watchfloor.demo.supervisor import Child, Supervisor
from watchfloor.demo.workspace import DEFAULT_DIRECTORY, Workspace
from watchfloor.embedded import ConfigurationError, EmbeddedPostgres
from watchfloor.embedded.errors import refusal
from watchfloor.pair.state import primary_alone

HOST = "127.0.0.1"
PREFERRED_PORT = 8420
BACKLOG = 128
START_SECONDS = 90.0  # a first migration on a slow disk; usually 2
CONSOLE_STOP_SECONDS = 1.2  # the console restores the terminal in 0.5
SERVERS_STOP_SECONDS = 2.0  # requests that run; usually 0.1
WATCH_SECONDS = 1.0  # how often the starter and the database are looked at
PAIR_STOP_SECONDS = 8.0  # two servers in order; usually 0.3
RESTART_SECONDS = 1.0
POLL_SECONDS = 0.05
RESTARTS_AT_MOST = 5  # within a minute; after that it is a fault that restarting does not mend
RESTART_WINDOW_SECONDS = 60.0
EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 3

DEFAULT_SEED = 7
REAL_TIME = 1.0

DATABASE_VARIABLE = "WATCHFLOOR_DATABASE_URL"
PREPARED_VARIABLE = "WATCHFLOOR_DEMO_PREPARED"
WITHOUT_STANDBY = {"synchronous_standby_names": ""}  # a pair may have been here, and nobody is to wait for its standby
USERS_FILE_VARIABLE = "WATCHFLOOR_DEMO_USERS_FILE"


class DemoFaultError(Exception):
    """A part of the demo ended by itself, and nothing a person can configure would have kept it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What a person chose. `port` None prefers the usual one and takes a free one when that is in use; 0 is any."""

    headless: bool = False
    port: int | None = None
    data_dir: Path = field(default_factory=lambda: Path(DEFAULT_DIRECTORY))
    scenario: str | None = None
    seed: int = DEFAULT_SEED
    speed: float = REAL_TIME
    replication: str | None = None
    """How the standby follows, `synchronous` or `asynchronous`; None: there is no standby."""


def run_demo(options: DemoOptions) -> int:
    """Run the demo until the console or a signal ends it; the exit code of the command line."""
    try:
        if not options.headless:
            require_terminal()
        with (
            contextlib.closing(listen(options.port)) as listening,
            contextlib.closing(listen(0)) as nodes,
            Workspace(options.data_dir) as workspace,
        ):
            return Demo(options, workspace, listening, nodes).run()
    except ConfigurationError as error:
        say(f"watchfloor: {error}")
        return EXIT_CONFIGURATION
    except DemoFaultError as error:
        say(f"watchfloor: {error}")
        return EXIT_FAILED
    except OSError as error:
        say(f"watchfloor: {refusal('run the demo', error)}")
        return EXIT_CONFIGURATION


class Demo:
    """One run: its children, in the order in which they need each other."""

    def __init__(
        self, options: DemoOptions, workspace: Workspace, listening: socket.socket, nodes: socket.socket
    ) -> None:
        self._options = options
        self._workspace = workspace
        self._listening = listening
        self._nodes = nodes
        self._url = f"http://{HOST}:{listening.getsockname()[1]}"
        self._supervisor = Supervisor()
        self._postgres: EmbeddedPostgres | None = None
        self._pair = DemoPair(self._supervisor, workspace, options.replication) if options.replication else None
        self._agent: Child | None = None
        self._is_prepared = False
        self._database_url = ""
        self._starter = os.getppid()
        self._restarts: list[float] = []
        self._terminal: list[Any] | None = None

    def run(self) -> int:
        """Start everything, stay until the end, stop everything."""
        users, new = people.load_or_make(self._workspace.users_file)
        self._introduce(users, new=new)
        with self._supervisor.signals():
            try:
                console = None if self._options.headless else self._start_console()
                return self._serve(users, console)
            finally:
                self._stop()

    def _serve(self, users: dict[str, people.DemoUser], console: Child | None) -> int:
        servers = self._start_servers(console)
        if servers is None:
            return self._early_end(console)
        self._workspace.announce(self._url)
        if self._options.headless:
            shown = people.as_json(users, self._workspace.keys, self._workspace.agents)
            ready: dict[str, Any] = {"url": self._url, "database_url": self._database_url, "users": shown}
            if self._pair is not None:
                ready["cluster"] = self._pair.setting
            print(json.dumps(ready), flush=True)  # noqa: T201  the one line that scripts wait for
        return self._watch(console, servers)

    def _watch(self, console: Child | None, servers: list[Child]) -> int:
        while not self._supervisor.stop_requested:
            if console is not None and console.exit_code() is not None:
                return console.process.returncode if console.process.returncode > 0 else EXIT_OK
            if console is not None and self._starter not in (1, os.getppid()):
                return EXIT_OK  # whoever opened the console is gone, and with it whoever could look at it
            if self._postgres is not None and not self._postgres.running():
                raise DemoFaultError(f"the database has ended; see {self._postgres.home / 'postgres.log'}")
            ended = [child for child in servers if child.exit_code() is not None]
            if ended:
                servers = self._restart(servers, ended, console)
            self._supervisor.wait(WATCH_SECONDS)
        return EXIT_OK

    def _start_console(self) -> Child:
        self._terminal = termios.tcgetattr(sys.stdin)
        environment = {
            USERS_FILE_VARIABLE: str(self._workspace.users_file),
            KEYS_VARIABLE: str(self._workspace.agents),
        }
        arguments = ["console", "--url", self._url]
        return self._supervisor.start("console", "watchfloor", arguments, environment=environment, log=None)

    def _start_database(self, console: Child | None) -> None:
        if self._database_url:
            return
        self._database_url = os.environ.get(DATABASE_VARIABLE, "")
        if self._pair is not None:
            self._start_pair(self._pair, console)
        elif not self._database_url:
            home = primary_alone(self._workspace.directory)
            self._postgres = EmbeddedPostgres(home, settings=WITHOUT_STANDBY).start()
            self._database_url = self._postgres.database_url

    def _start_pair(self, pair: DemoPair, console: Child | None) -> None:
        if self._database_url:
            raise ConfigurationError(f"--with-standby brings its own database: unset {DATABASE_VARIABLE}")
        self._agent = pair.start()
        found = pair.database_url(self._agent, lambda: self._ended(console))
        if found is None and not self._ended(console):
            raise self._why(self._agent)
        self._database_url = found or ""

    def _start_servers(self, console: Child | None) -> list[Child] | None:
        """Start backend, keys, simulator, signer and watcher; None when the demo was ended meanwhile."""
        backend = self._start_backend(console)
        if backend is None:
            return None
        further = (self._start_keys, self._start_simulator, self._start_signer, self._start_watcher)
        servers = [backend, *(start() for start in further)]
        if self._pair is None or self._agent is None:
            return servers
        if not self._pair.await_standby(self._agent, lambda: self._ended(console)) and not self._ended(console):
            say(f"The standby does not follow yet; see {self._agent.log}")
        take_backup(self._supervisor, self._workspace, self._database_url)
        return [*servers, self._agent]

    def _start_backend(self, console: Child | None) -> Child | None:
        ours, theirs = socket.socketpair()
        environment = {
            USERS_FILE_VARIABLE: str(self._workspace.users_file),
            "WATCHFLOOR_DEMO_TOKEN_FILE": str(self._workspace.token_file),
            "WATCHFLOOR_DEMO_WATCHER_TOKEN_FILE": str(self._workspace.watcher_token_file),
            "WATCHFLOOR_DEMO_LISTEN_FD": str(self._listening.fileno()),
            "WATCHFLOOR_DEMO_CHANNEL_FD": str(theirs.fileno()),
            "WATCHFLOOR_DEMO_KEYS_DIR": str(self._workspace.keys),
            "WATCHFLOOR_DATA_DIR": str(self._workspace.backend),
            "WATCHFLOOR_SIGNER_SOCKET": str(self._workspace.signer_socket),
            "WATCHFLOOR_WITNESSES": shlex.quote(f"dir:{self._workspace.witness}"),
            PREPARED_VARIABLE: "1" if self._is_prepared else "",
        }
        if self._pair is not None:
            environment["WATCHFLOOR_CLUSTER"] = self._pair.setting
            if has_backup(self._workspace):
                environment[POLICY_VARIABLE] = policy_of(self._workspace)
        with ours:
            with theirs:
                backend = self._supervisor.start(
                    "backend", "watchfloor.demo.backend", environment=environment,
                    log=self._workspace.logs / "backend.log", pass_fds=[self._listening.fileno(), theirs.fileno()],
                )  # fmt: skip
            self._start_database(console)  # while the backend imports
            with contextlib.suppress(BrokenPipeError):  # it has ended; waiting for it finds out why
                ours.sendall(self._database_url.encode())
                ours.shutdown(socket.SHUT_WR)
            return self._await_ready(backend, ours, console)

    def _await_ready(self, backend: Child, channel: socket.socket, console: Child | None) -> Child | None:
        deadline = time.monotonic() + START_SECONDS
        while not self._ended(console):
            if channel.fileno() in self._supervisor.wait(WATCH_SECONDS, channel.fileno()):
                if _said(channel):
                    self._is_prepared = True
                    return backend
                backend.process.wait()
                raise self._why(backend)
            if time.monotonic() > deadline:
                raise DemoFaultError(f"the backend is not ready after {START_SECONDS:.0f} s; see {backend.log}")
        return None

    def _start_keys(self) -> Child:
        """Software security keys of the users whose role needs one; their agents listen when this returns."""
        arguments = ["--keys", str(self._workspace.keys), "--agents", str(self._workspace.agents)]
        log = self._workspace.logs / "keys.log"
        child = self._supervisor.start("keys", "simulator.security_keys", arguments, environment={}, log=log)
        deadline = time.monotonic() + START_SECONDS
        while not people.agents_listen(self._workspace.keys, self._workspace.agents):
            if child.exit_code() is not None or time.monotonic() > deadline:
                raise self._why(child)
            self._supervisor.wait(POLL_SECONDS)
        return child

    def _start_simulator(self) -> Child:
        options = self._options
        arguments = ["--url", self._url, "--token-file", str(self._workspace.token_file), "--seed", str(options.seed),
                     "--speed", str(options.speed), "--chains-file", str(self._workspace.chains_file),
                     "--nodes-fd", str(self._nodes.fileno())]  # fmt: skip
        if options.scenario:
            arguments += ["--scenario", options.scenario]
        log = self._workspace.logs / "simulator.log"
        return self._supervisor.start(
            "simulator", "simulator", arguments, environment={}, log=log, pass_fds=[self._nodes.fileno()]
        )

    def _start_signer(self) -> Child:
        """Last of all: nobody waits for the first signed head, and the backend needs both cores for its start."""
        arguments = ["signer", "serve", "--data-dir", str(self._workspace.signer)]
        arguments += ["--socket", str(self._workspace.signer_socket)]
        log = self._workspace.logs / "signer.log"
        return self._supervisor.start("signer", "watchfloor", arguments, environment={}, log=log)

    def _start_watcher(self) -> Child:
        """The second source of any installation: it knows the chains' nodes and not that they are simulated."""
        arguments = ["watch", "evm", "--url", self._url, "--token-file", str(self._workspace.watcher_token_file)]
        for chain in CHAINS.values():
            node = f"http://{HOST}:{self._nodes.getsockname()[1]}/{chain.name}#{chain.chain_id}"
            arguments += ["--chain", f"{chain.name}={node}"]
        log = self._workspace.logs / "watcher.log"
        return self._supervisor.start("watcher", "watchfloor", arguments, environment={}, log=log)

    def _restart(self, servers: list[Child], ended: list[Child], console: Child | None) -> list[Child]:
        now = time.monotonic()
        self._restarts = [moment for moment in self._restarts if now - moment < RESTART_WINDOW_SECONDS] + [now]
        if len(self._restarts) > RESTARTS_AT_MOST or ended[0].exit_code() == EXIT_CONFIGURATION:
            raise self._why(ended[0])
        self._supervisor.stop(*ended, seconds=0)
        self._supervisor.wait(RESTART_SECONDS)
        replaced = [child for child in servers if child not in ended]
        for child in ended:
            starts = {
                "simulator": self._start_simulator,
                "signer": self._start_signer,
                "watcher": self._start_watcher,
                "keys": self._start_keys,
            }
            if self._pair is not None:
                starts["pair"] = partial(self._restart_agent, self._pair)
            fresh = starts[child.name]() if child.name in starts else self._start_backend(console)
            replaced += [] if fresh is None else [fresh]
        return replaced

    def _restart_agent(self, pair: DemoPair) -> Child:
        """Both servers have ended with it; it starts those again that a drill has not killed."""
        self._agent = pair.start()
        return self._agent

    def _ended(self, console: Child | None) -> bool:
        return self._supervisor.stop_requested or (console is not None and console.exit_code() is not None)

    def _early_end(self, console: Child | None) -> int:
        code = console.exit_code() if console is not None else None
        return code if code is not None and code > 0 else EXIT_OK

    def _why(self, child: Child) -> Exception:
        line = child.last_line().removeprefix("watchfloor: ")
        if child.exit_code() == EXIT_CONFIGURATION and line:
            return ConfigurationError(line)
        return DemoFaultError(
            f"the {child.name} ended with exit code {child.exit_code()}: {line or 'it said nothing'}; see {child.log}"
        )

    def _stop(self) -> None:
        """Stop in the reverse order of need: nobody sees a database vanish while it still writes."""
        self._workspace.retire()
        running = self._supervisor.running()
        for console in (child for child in running if child.name == "console"):
            self._supervisor.stop(console, seconds=CONSOLE_STOP_SECONDS)
            if console.exit_code() == -signal.SIGKILL:
                restore_terminal(self._terminal)
        others = (child for child in running if child.name != "console" and child is not self._agent)
        self._supervisor.stop(*others, seconds=SERVERS_STOP_SECONDS)
        if self._agent is not None:
            self._supervisor.stop(self._agent, seconds=PAIR_STOP_SECONDS)
        if self._postgres is not None:
            self._postgres.stop()
        self._supervisor.close()

    def _introduce(self, users: dict[str, people.DemoUser], *, new: bool) -> None:
        if self._options.port is None and self._listening.getsockname()[1] != PREFERRED_PORT:
            say(
                f"Port {PREFERRED_PORT} is in use: the backend of this demo listens on {self._url}"
                f" (for commands beside it: export {URL_VARIABLE}={self._url})"
            )
        if self._options.headless:
            return
        if new:
            say(f"Demo users of {self._workspace.directory} (shown once; kept in {self._workspace.users_file.name}):")
            for name, user in users.items():
                say(f"  {name:<10} {user.role:<18} password {user.password}  TOTP secret {user.totp_secret}")
        else:
            say(f"Demo users: {self._workspace.users_file}")


def _said(channel: socket.socket) -> bytes:
    try:
        return channel.recv(10)
    except ConnectionResetError:  # it ended before it read what we sent
        return b""


def listen(port: int | None) -> socket.socket:
    """Take the port before anything else starts, so that a taken one costs nothing and nobody can take it meanwhile.

    Without a wish, a free port does when the usual one is in use (docs/decisions/0007). Raises ConfigurationError when
    the port that was asked for is in use or not allowed.
    """
    candidates = (PREFERRED_PORT, 0) if port is None else (port,)
    for candidate in candidates:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, candidate))
            listening.listen(BACKLOG)
        except OSError as error:
            listening.close()
            if candidate == candidates[-1]:
                raise ConfigurationError(
                    f"port {candidate} cannot be used ({error.strerror}):"
                    " choose another with --port, or any free one with --port 0"
                ) from error
        else:
            return listening
    raise AssertionError("unreachable: the last candidate either listens or raises")


def require_terminal() -> None:
    """Refuse early what the console would refuse late. Raises ConfigurationError without a terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigurationError("the console needs a terminal; use --headless to run all but the console")


def say(line: str) -> None:
    """Tell a person, if there still is one: after a hang-up the terminal refuses."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode())
