"""The agent's process: its HTTP on a Unix socket, and the order of its start and end. Knows no rule of a pair."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from watchfloor.embedded import ConfigurationError
from watchfloor.pair.agent import Pair
from watchfloor.pair.asked import Asked, deadline_of
from watchfloor.pair.errors import PairError
from watchfloor.pair.keeping import Keeper
from watchfloor.pair.lagging import Limits
from watchfloor.pair.showing import Showing
from watchfloor.pair.state import DIRECTORY
from witness.files import DirectoryTakenError, take_directory
from witness.sockets import AddressError, unix_socket

STOP_LIMIT_S: Final = 2
MAX_NAME_CHARS: Final = 100
Act = Callable[[str | None, Asked], Awaitable[Any]]
_GONE: Final = "http.disconnect"


def serve(
    data_dir: Path, path: Path, *, name: str, synchronous: bool, limits: Limits, now: Callable[[], datetime]
) -> None:
    """Run a pair until SIGTERM or SIGINT; its servers end with this process, however it ends.

    Raises:
        ConfigurationError: something here has to be changed by a person first.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = take_directory(data_dir / DIRECTORY)
    except DirectoryTakenError as error:
        raise ConfigurationError(f"{error}.") from error
    except OSError as error:
        raise ConfigurationError(f"{data_dir} cannot be used: {error.strerror}.") from error
    try:
        with unix_socket(path) as listening:
            pair = Pair(data_dir, synchronous=synchronous, limits=limits, now=now)
            asyncio.run(_run(pair, name, listening, now))
    except AddressError as error:
        raise ConfigurationError(f"{error}.") from error
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


class AgentServer(uvicorn.Server):
    """Stops on signals without dying of them afterwards: the two servers are stopped in order first."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs this."""
        yield


async def _run(pair: Pair, name: str, listening: socket.socket, now: Callable[[], datetime]) -> None:
    keeper = Keeper(pair)
    config = uvicorn.Config(
        application(pair, Showing(pair, keeper, name, now)), access_log=False, log_config=None, server_header=False,
        proxy_headers=False, lifespan="off", ws="none", timeout_graceful_shutdown=STOP_LIMIT_S,
    )  # fmt: skip
    server = AgentServer(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.handle_exit, number, None)
    try:
        await pair.begin()
        keeping = asyncio.create_task(keeper.run(), name="keeper")
        try:
            await server.serve(sockets=[listening])
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping
    finally:
        await pair.end()


def application(pair: Pair, showing: Showing) -> Starlette:
    """The routes of one pair. Every act may be asked for again: what is so already is not done again."""

    async def topology(_request: Request) -> Response:
        return JSONResponse((await showing.topology()).model_dump(mode="json"))

    async def only_there(request: Request) -> Response:
        loss = await pair.only_there(str(request.query_params.get("node", ""))[:MAX_NAME_CHARS])
        return JSONResponse(None if loss is None else asdict(loss))

    async def kill(_node: str | None, asked: Asked) -> Any:
        return asdict(await pair.kill_primary(asked))

    async def fail_over(node: str | None, asked: Asked) -> Any:
        return {"primary": await pair.fail_over(node, asked)}

    async def switch_over(node: str | None, asked: Asked) -> Any:
        return {"primary": await pair.switch_over(node, asked)}

    async def rejoin(node: str | None, asked: Asked) -> Any:
        return {"how": await pair.rejoin(_named(node), asked)}

    async def restart(node: str | None, asked: Asked) -> Any:
        await pair.restart(_named(node), asked)
        return {}

    acts = {
        "kill-primary": kill,
        "fail-over": fail_over,
        "switch-over": switch_over,
        "rejoin": rejoin,
        "restart": restart,
    }
    return Starlette(
        routes=[
            Route("/topology", topology),
            Route("/only-there", only_there),
            *(Route(f"/{word}", _acting(act), methods=["POST"]) for word, act in acts.items()),
        ],
        exception_handlers={PairError: _refused},
    )


def _acting(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        node = request.query_params.get("node")
        asked = Asked(deadline_of(request.query_params.get("before", "")))
        doing = asyncio.ensure_future(act(node[:MAX_NAME_CHARS] if node else None, asked))
        leaving = asyncio.create_task(_gone(request), name="who has asked")
        try:
            await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done() and not asked.begun:
                raise PairError("whoever asked for it is gone")  # and does not read this
            return JSONResponse(await doing)
        finally:
            doing.cancel()
            leaving.cancel()
            await asyncio.gather(doing, leaving, return_exceptions=True)

    return answer


async def _gone(request: Request) -> None:
    """Wait until whoever has asked hangs up."""
    while (await request.receive())["type"] != _GONE:
        pass


def _named(node: str | None) -> str:
    if node is None:
        raise PairError("which node? say ?node=NAME")
    return node


def _refused(_request: Request, error: Exception) -> Response:
    return JSONResponse({"message": str(error)}, HTTPStatus.CONFLICT)
