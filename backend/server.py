"""Runs one backend process on a socket. Owns the order of stopping; knows no route."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator

import uvicorn
from fastapi import FastAPI

from backend.door import Door, ask_for_files
from backend.errors import ConfigurationError
from backend.logging import configure_logging
from backend.main import create_app
from backend.settings import Settings
from backend.wire import Wire
from contract.gate import MAX_MESSAGE_BYTES

STOP_LIMIT_S = 3
"""Requests still running this long after the signal are cancelled, so that the process is gone within five seconds."""
_NEW_OBJECTS = 10_000
"""How many more objects than before call for a collection. With Python's 700, what a thousand executors say counts as
old before it is done with, and all that is old is looked through every two seconds: a fifth of a second in which
nothing is revoked."""
_BACKLOG = 2_048
"""A thousand executors that come back at once are all heard; the kernel may keep fewer."""


class BackendServer(uvicorn.Server):
    """Ends the event streams first: uvicorn alone would wait for them for ever.

    A guest serves an application that somebody else in this process has started and will stop.
    """

    def __init__(self, app: FastAPI, *, ready: Callable[[], None] = lambda: None, guest: bool = False) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # on by default: who sits on this machine could then name any address as its own
                timeout_graceful_shutdown=STOP_LIMIT_S,
                http=Door,
                ws=Wire,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_ping_interval=None,  # executors renew twice a second; one that is silent is noticed by that
                ws_per_message_deflate=False,
                lifespan="off" if guest else "on",
            )
        )
        self._app = app
        self._ready = ready
        self._guest = guest

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT, unless the host decides about them."""
        with contextlib.nullcontext() if self._guest else super().capture_signals():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so.

        Raises:
            ConfigurationError: this process may not write to the ledger; said before the framework would print it
                with a traceback.
        """
        if not self._guest:
            await self._app.state.check_ledger()
        await super().startup(sockets)
        if self.started:
            if not self._guest:
                gc.collect()
                gc.freeze()  # what start-up made stays for good: looking through it again would hold up answers
                gc.set_threshold(_NEW_OBJECTS)
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams and the executors' connections, then let the other requests finish."""
        self._app.state.broker.close()
        await self._app.state.gates.close()
        await super().shutdown(sockets)


def listening_socket(host: str, port: int) -> socket.socket:
    """Take the port before anything else starts, so that a taken one is one clear line.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # connections inherit it; asyncio sets it only on sockets made with the protocol named, and without it the second
    # part of every answer waits up to 40 ms for the client to acknowledge the first
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigurationError(f"Cannot listen on {host}:{port}: {error.strerror}.") from error
    sock.listen(_BACKLOG)
    sock.set_inheritable(False)
    return sock


def url_of(sock: socket.socket) -> str:
    """The base URL under which a listening socket is reached."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    settings: Settings, *, listening: socket.socket | None = None, on_ready: Callable[[str], None] | None = None
) -> bool:
    """Run a backend until SIGTERM or SIGINT; False when it could not start.

    `listening` replaces the host and port of the settings by a socket that is already bound. `on_ready` is called with
    the base URL once requests are answered.

    Raises:
        ConfigurationError: the port is taken, or the policy is wrong.
    """
    configure_logging(settings.log_level)
    ask_for_files()
    app = create_app(settings)
    sock = listening or listening_socket(settings.host, settings.port)
    server = BackendServer(app, ready=lambda: on_ready(url_of(sock)) if on_ready else None)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=[sock]))
    return server.started
