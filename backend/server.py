"""Runs one backend process on its sockets. Owns the order of starting and stopping; knows no route."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator, Sequence

import structlog
import uvicorn
from fastapi import FastAPI

from backend.clock import SYSTEM_CLOCK
from backend.connection import Connection
from backend.door import ask_for_files
from backend.errors import ConfigurationError
from backend.listening import NO_HOST, UnixSocket, listening_socket, url_of
from backend.logging import configure_logging
from backend.main import create_app
from backend.settings import Settings
from backend.tls import Certificate, certificate_of
from backend.wire import Wire
from contract.gate import MAX_MESSAGE_BYTES

__all__ = ["BackendServer", "listening_socket", "serve", "url_of"]

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 3
"""Requests still running this long after the signal are cancelled, so that the process is gone within five seconds."""
_NEW_OBJECTS = 10_000
"""How many more objects than before call for a collection. With Python's 700, what a thousand executors say counts as
old before it is done with, and all that is old is looked through every two seconds: a fifth of a second in which
nothing is revoked."""


class BackendServer(uvicorn.Server):
    """Ends the event streams first: uvicorn alone would wait for them for ever.

    A guest serves an application that somebody else in this process has started and will stop.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        ready: Callable[[], None] = lambda: None,
        guest: bool = False,
        certificate: Certificate | None = None,
        renewed: Callable[[], Certificate | None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """`renewed` reads the certificate again when SIGHUP says that it has changed.

        `ended` is called once nobody is served any more: a signal that stopped the server then ends the process.
        """
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,  # on by default: who sits on this machine could then name any address as its own
                timeout_graceful_shutdown=STOP_LIMIT_S,
                http=Connection,
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
        self._certificate = certificate
        self._renewed = renewed
        self._ended = ended
        self._encrypted: list[tuple[asyncio.base_events.Server, socket.socket]] = []

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
        await super().startup([])  # starts the application; its own listeners all have the same encryption or none
        if self.started:
            for sock in sockets or []:
                await self._listen(sock)
            if self._certificate is not None and not self._guest:
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload)
            self._app.state.certificate = self._certificate
            if not self._guest:
                gc.collect()
                gc.freeze()  # what start-up made stays for good: looking through it again would hold up answers
                gc.set_threshold(_NEW_OBJECTS)
            self._ready()

    async def _listen(self, sock: socket.socket) -> None:
        encrypted = self._certificate is not None and sock.family != socket.AF_UNIX
        server = await self._serving(sock, self._certificate if encrypted else None)
        self.servers.append(server)
        if encrypted:
            self._encrypted.append((server, sock))

    async def _serving(self, sock: socket.socket, certificate: Certificate | None) -> asyncio.base_events.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Connection(self.config, self.server_state, self.lifespan.state, loop),
            sock=sock,
            ssl=certificate.context if certificate else None,
            backlog=self.config.backlog,
        )

    def _reload(self) -> None:
        """Take up the certificate of the files as they are now, or keep the old one and say why."""
        try:
            certificate = self._renewed()
        except ConfigurationError as error:
            log.error("certificate_not_reloaded", why=str(error))  # noqa: TRY400  one line says it all
            return
        if certificate is not None:
            task = asyncio.create_task(self._swap(certificate), name="new certificate")
            self.server_state.tasks.add(task)
            task.add_done_callback(self.server_state.tasks.discard)

    async def _swap(self, certificate: Certificate) -> None:
        """Listen with the new certificate beside the old one, then stop the old: at no time does nobody listen.

        Connections that stand stay as they are, and those that wait in the kernel are taken by the new listener.
        """
        old, self._encrypted = self._encrypted, []
        for server, sock in old:
            another = sock.dup()  # the first one ends with its listener
            again = await self._serving(another, certificate)
            self.servers.append(again)
            self.servers.remove(server)
            self._encrypted.append((again, another))
            server.close()
        self._certificate = self._app.state.certificate = certificate
        log.info("certificate_reloaded", until=certificate.until.isoformat())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams and the executors' connections, then let the other requests finish."""
        if self._certificate is not None and not self._guest:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        self._app.state.broker.close()
        await self._app.state.gates.close()
        await super().shutdown(sockets)
        self._ended()


def serve(
    settings: Settings, *, listening: socket.socket | None = None, on_ready: Callable[[str], None] | None = None
) -> bool:
    """Run a backend until SIGTERM or SIGINT; False when it could not start.

    `listening` replaces the host and port of the settings by a socket that is already bound. `on_ready` is called with
    the base URL once requests are answered.

    Raises:
        ConfigurationError: the port is taken or could be reached in the clear, the certificate is of no use, or the
            policy is wrong.
    """
    configure_logging(settings.log_level)
    ask_for_files()
    certificate = certificate_of(settings, SYSTEM_CLOCK.now())
    app = create_app(settings)
    with contextlib.ExitStack() as stack:
        sockets = _sockets(settings, stack, listening, encrypted=certificate is not None)
        url = url_of(sockets[0], encrypted=certificate is not None)
        server = BackendServer(
            app,
            ready=lambda: on_ready(url) if on_ready else None,
            certificate=certificate,
            renewed=lambda: certificate_of(settings, SYSTEM_CLOCK.now()),
            ended=stack.close,
        )
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(server.serve(sockets=list(sockets)))
    return server.started


def _sockets(
    settings: Settings, stack: contextlib.ExitStack, listening: socket.socket | None, *, encrypted: bool
) -> Sequence[socket.socket]:
    """Take every place to listen at, the port first."""
    found: list[socket.socket] = []
    if listening is not None:
        found.append(listening)
    elif settings.host != NO_HOST:
        found.append(listening_socket(settings.host, settings.port, encrypted=encrypted))
    if settings.socket is not None:
        unix = UnixSocket(settings.socket)
        stack.callback(unix.close)
        found.append(unix.sock)
    if not found:
        raise ConfigurationError("WATCHFLOOR_HOST is none and WATCHFLOOR_SOCKET is not set: nobody could connect.")
    return found
