"""The servers of one database, where its address names several: which took writes last, and what is connected where.

Where the address names one server nothing here does anything. Must never decide who the primary is: a server that takes
a connection for writing is, and the cluster behind it sees to it that no other does.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

import psycopg
import structlog
from psycopg.conninfo import conninfo_to_dict

log = structlog.get_logger(__name__)

Line = psycopg.AsyncConnection[Any]
Place = tuple[str, str]
"""A host, or the directory of a socket, and a port."""
DRIVER: Final = "postgresql+psycopg://"
_WRITING: Final = frozenset({"read-write", "primary"})
_PORT: Final = "5432"


class Nodes:
    """What one process knows of the servers of its database."""

    def __init__(self, database_url: str) -> None:
        named = conninfo_to_dict(database_url.replace(DRIVER, "postgresql://", 1))
        several = len(_places(named)) > 1 and not named.get("hostaddr")
        self._follows = several and named.get("target_session_attrs") in _WRITING
        self._last: Place | None = None
        self._lines: WeakKeyDictionary[Line, Place] = WeakKeyDictionary()

    def order(self, parameters: Mapping[str, Any]) -> dict[str, str]:
        """Hosts and ports with the one first that took the last connection.

        libpq asks them in turn, each for as long as a connection may take: one that hangs would cost all others that.
        """
        places = _places(parameters)
        if not self._follows or self._last not in places:
            return {}
        places.sort(key=lambda place: place != self._last)
        return {"host": ",".join(host for host, _ in places), "port": ",".join(port for _, port in places)}

    def connected(self, line: Line) -> None:
        """A server has taken a connection for writing; connections to any other lead to what is no primary any more.

        They are cut: a server that stands still would not end them, and what waits for it would wait for ever.
        """
        if not self._follows:
            return
        place = (line.info.host, str(line.info.port))
        elsewhere = [one for one, where in self._lines.items() if where != place and not one.closed]
        self._lines[line] = self._last = place
        for one in elsewhere:
            del self._lines[one]  # it may take a while to see that it is cut
            cut(one)
        if elsewhere:
            log.warning("primary_moved", to=":".join(place), connections_cut=len(elsewhere))


def cut(line: Line) -> None:
    """Break a connection under its driver, which then sees that the server is gone."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(line.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _places(parameters: Mapping[str, Any]) -> list[Place]:
    hosts = str(parameters.get("host") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    if len(ports) != len(hosts):  # one is for all of them
        ports = ports[:1] * len(hosts)
    return [(host, port or _PORT) for host, port in zip(hosts, ports, strict=True)]
