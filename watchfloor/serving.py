"""Serves the backend from this process. Owns the HTTP server's settings; must hold no rule and know no demo."""

import socket
from collections.abc import Callable

import uvicorn

from backend.main import create_app
from backend.settings import Settings

GRACEFUL_SHUTDOWN_SECONDS = 1  # event streams never end by themselves; clients resume them elsewhere


class _Server(uvicorn.Server):
    """Reports when requests can be answered."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready()


def serve(
    settings: Settings, *, listening: socket.socket | None = None, on_ready: Callable[[], None] | None = None
) -> bool:
    """Serve until SIGTERM or SIGINT; False when the server could not start.

    `listening` replaces the host and port of the settings by a socket that is already bound.

    Raises:
        ConfigurationError: the policy file is wrong.
    """
    config = uvicorn.Config(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        lifespan="on",
        ws="none",
        access_log=False,
        server_header=False,
        log_level=settings.log_level,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
    )
    server = _Server(config, on_ready)
    server.run(sockets=None if listening is None else [listening])
    return server.started
