"""The simulated nodes over HTTP on loopback: `POST /CHAIN`. Owns the bounds of what a client may cost; no answer."""

import http
import socket
from typing import Final

from gate import local_http
from simulator.chains import Chains

MAX_BODY_BYTES: Final = 65_536
"""A hundred calls with room to spare."""
MAX_CONNECTIONS: Final = 32
"""A watcher keeps one a chain; each costs a thread."""
LOOK_FOR_END_S: Final = 0.5


class _Handler(local_http.LocalHandler):
    """One connection."""

    server_version = "simulated-node"
    server: "_Server"

    def do_POST(self) -> None:  # noqa: N802  the base class calls it so
        """Answer one request or batch."""
        name = self.path.removeprefix("/")
        length = self.stated_length()
        if length is None or length > MAX_BODY_BYTES:
            self._refuse(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE if length else http.HTTPStatus.LENGTH_REQUIRED)
        elif name not in self.server.chains.names():
            self._refuse(http.HTTPStatus.NOT_FOUND)
        elif self.is_from_a_page or not self.is_json:
            self._refuse(http.HTTPStatus.FORBIDDEN)
        else:
            self.reply(http.HTTPStatus.OK, self.server.chains.ask(name, self.rfile.read(length)))

    def _refuse(self, status: http.HTTPStatus) -> None:
        self.close_connection = True
        self.reply(status, b"")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what the base class refuses (an endless line, another method) without a page of HTML."""
        self._refuse(http.HTTPStatus(code))


class _Server(local_http.LocalServer):
    def __init__(self, chains: Chains, listening: socket.socket) -> None:
        self.chains = chains
        super().__init__(_Handler, listening, max_connections=MAX_CONNECTIONS)


class Serving(local_http.Serving):
    """Nodes that answer on a listening socket until the context is left."""

    def __init__(self, chains: Chains, listening: socket.socket) -> None:
        super().__init__(_Server(chains, listening), "nodes", look_for_end_s=LOOK_FOR_END_S)
