"""The demo's database as a pair: its agent's process, and what the demo knows of it. Must never promote anybody."""

import http.client
import json
import socket
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from watchfloor.demo.supervisor import Child, Supervisor
from watchfloor.demo.workspace import Workspace
from watchfloor.embedded import cluster as clusters
from watchfloor.pair.state import ASYNCHRONOUS, NODES

START_SECONDS: Final = 120.0  # crash recovery of a large log, or a copy of a large database; usually 3
ASK_SECONDS: Final = 30.0
KILLED: Final = "killed"
BROKEN: Final = ("left behind", "data incomplete")
"""What the agent calls nodes that somebody has to start, or to bring back."""
POLL_SECONDS: Final = 0.05
_AGENT: Final = "pair"


class DemoPair:
    """The agent of a demo's pair."""

    def __init__(self, supervisor: Supervisor, workspace: Workspace, replication: str) -> None:
        self._supervisor = supervisor
        self._workspace = workspace
        self._replication = replication

    @property
    def setting(self) -> str:
        """What the backend is told about its cluster."""
        return f"pair:{self._workspace.pair_socket}"

    def start(self) -> Child:
        """Start the agent."""
        arguments = ["pair", "serve", "--data-dir", str(self._workspace.directory), "--replication", self._replication]
        arguments += ["--socket", str(self._workspace.pair_socket)]
        log = self._workspace.logs / "pair.log"
        return self._supervisor.start(_AGENT, "watchfloor", arguments, environment={}, log=log)

    def database_url(self, agent: Child, ended: Callable[[], bool]) -> str | None:
        """Wait for a primary and give the URL that names both; None when that does not come to be.

        One that was killed on demand, by a drill of which nothing runs any more, is started again.
        """
        nodes = self._await(agent, ended, lambda found: _has(found, "primary") or _has(found, "stopped"))
        for node in nodes:
            if node["state"] == KILLED:
                self._ask("POST", f"/restart?node={node['name']}")
        nodes = self._await(agent, ended, lambda found: _has(found, "primary"))
        if not nodes:
            return None
        places = {node["name"]: node["address"] for node in nodes}
        hosts = ",".join(quote(places[name]) for name in NODES)
        return f"postgresql://{clusters.SUPERUSER}@/{clusters.DATABASE}?host={hosts}&target_session_attrs=read-write"

    def await_standby(self, agent: Child, ended: Callable[[], bool]) -> bool:
        """Wait until the standby follows, and commits wait for it where they shall; False when it does not.

        One that a failover left behind is brought back; what only it had has been counted by then.
        """
        for node in self._await(agent, ended, bool):
            if node["state"] in BROKEN:
                self._ask("POST", f"/rejoin?node={node['name']}", seconds=START_SECONDS)

        def follows(nodes: list[dict[str, Any]]) -> bool:
            waits = self._replication == ASYNCHRONOUS or any(node["synchronous"] for node in nodes)
            return waits and any(node["state"] == "streaming" for node in nodes)

        return bool(self._await(agent, ended, follows))

    def _await(
        self, agent: Child, ended: Callable[[], bool], enough: Callable[[list[dict[str, Any]]], bool]
    ) -> list[dict[str, Any]]:
        deadline = time.monotonic() + START_SECONDS
        while agent.exit_code() is None and not ended() and time.monotonic() < deadline:
            nodes: list[dict[str, Any]] = (self._ask("GET", "/topology") or {}).get("nodes", [])
            if enough(nodes):
                return nodes
            self._supervisor.wait(POLL_SECONDS)
        return []

    def _ask(self, method: str, path: str, *, seconds: float = ASK_SECONDS) -> dict[str, Any] | None:
        connection = _Connection(str(self._workspace.pair_socket), seconds)
        try:
            connection.request(method, path)
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return None
        else:
            return found
        finally:
            connection.close()


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__(_AGENT, timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _has(nodes: list[dict[str, Any]], role: str) -> bool:
    return any(node["role"] == role for node in nodes)
