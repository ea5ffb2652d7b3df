"""A database on two servers: whoever waits for the one that stands still is freed once the other takes writes."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from backend.db import Database
from backend.nodes import Nodes
from backend.reserve import Reserve
from backend.settings import Settings
from tests.support.servers import Server, servers

LIMIT_S = 60.0


@contextmanager
def stood_still(server: Server) -> Iterator[None]:
    """Every process of a server is stopped: it takes connections, and answers nobody."""
    assert server._process is not None
    first = server._process.pid
    os.kill(first, signal.SIGSTOP)
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def both(first: Server, second: Server) -> Settings:
    url = f"postgresql://watchfloor@/postgres?host={first._sockets},{second._sockets}"
    return Settings(database_url=url, pool_size=1)


async def test_who_waits_for_a_server_that_stands_still_goes_on_with_the_other() -> None:
    with servers(2) as (old, new):
        old.create().start()
        new.create().start()
        database = Database(both(old, new))
        reserve = Reserve(both(old, new), database.nodes)
        try:
            async with database.read() as session:
                assert await session.scalar(text("SHOW unix_socket_directories")) == str(old._sockets)
                with stood_still(old):
                    waiting = asyncio.create_task(session.execute(text("SELECT 1")))
                    async with asyncio.timeout(LIMIT_S), await database.dedicated("a test") as line:
                        assert line.info.host == str(new._sockets)
                        with pytest.raises(OperationalError):
                            await waiting
                    # the one that hangs is not asked first any more: this would take longer than it may
                    where = text("SHOW unix_socket_directories")
                    found = await reserve.attempt(lambda one: one.scalar(where), within_s=2.5)
                    assert found == str(new._sockets)
        finally:
            await reserve.close()
            await database.close()


async def test_connections_to_one_server_are_left_alone() -> None:
    with servers(2) as (one, other):
        one.create().start()
        other.create().start()
        for url in (one.url_of("postgres"), both(one, other).database_url.replace("read-write", "any")):
            nodes = Nodes(url)
            async with (
                await psycopg.AsyncConnection.connect(one.url_of("postgres")) as first,
                await psycopg.AsyncConnection.connect(other.url_of("postgres")) as second,
            ):
                for line in (first, second):
                    nodes.connected(line)
                assert nodes.order({"host": f"{one._sockets},{other._sockets}", "port": ""}) == {}
                await first.execute("SELECT 1")


@pytest.mark.parametrize(
    ("parameters", "ordered"),
    [
        ({"host": "a,b", "port": "1,2"}, {"host": "b,a", "port": "2,1"}),
        ({"host": "a,b", "port": "2"}, {"host": "b,a", "port": "2,2"}),
        ({"host": "b,a", "port": "2,1"}, {"host": "b,a", "port": "2,1"}),
        ({"host": "a,c", "port": "1,3"}, {}),
    ],
)
def test_the_server_that_took_the_last_connection_is_asked_first(
    parameters: dict[str, str], ordered: dict[str, str]
) -> None:
    nodes = Nodes("postgresql://a:1,b:2/x?target_session_attrs=read-write")
    assert nodes.order(parameters) == {}
    nodes._last = ("b", "2")
    assert nodes.order(parameters) == ordered


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgresql://u:p%40ss@h1:1,h2:2/db", "u:p%40ss@/db?host=h1,h2&port=1,2&target_session_attrs=read-write"),
        (
            "postgres://u@h1,h2:7/db?sslmode=require",
            "u@/db?sslmode=require&host=h1,h2&port=,7&target_session_attrs=read-write",
        ),
        ("postgresql://u@[::1]:5,[::2]/db", "u@/db?host=::1,::2&port=5,&target_session_attrs=read-write"),
        ("postgresql://u@/db?host=/a,/b", "u@/db?host=/a,/b&target_session_attrs=read-write"),
        ("postgresql://u@/db?host=/a,/b&target_session_attrs=any", "u@/db?host=/a,/b&target_session_attrs=any"),
        ("postgresql://u@/db?host=/a%20b", "u@/db?host=/a%20b"),
        ("postgresql://u@h:5432/db", "u@h:5432/db"),
    ],
)
def test_an_address_of_several_servers_means_the_one_that_takes_writes(given: str, read: str) -> None:
    assert Settings(database_url=given).database_url == f"postgresql+psycopg://{read}"
