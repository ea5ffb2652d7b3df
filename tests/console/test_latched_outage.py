"""A freeze while PostgreSQL is killed, as people at the command line and a console see it until the server is back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from console.client.api import Api
from console.client.stream import Change, ConnectionState, Feed, Line, Snapshot, Update
from contract.errors import ExitCode
from contract.freeze import Freeze, FreezeStatus, LatchedFreezes
from tests.support.backends import Backend, eventually
from tests.support.commands import Commands
from tests.support.floor import Floor
from tests.support.freeze_outage import PATIENCE_S, Ground, ground, is_one_hold, post_freeze
from tests.support.people import OFFICER


def test_while_the_server_is_killed_it_is_said_everywhere_and_after_it_is_a_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ground() as made, made.backend() as process:
        run = Commands(Floor(process, made.url, made.tokens), capsys, monkeypatch, tmp_path)
        made.server.kill()
        frozen = run(OFFICER, "freeze", "--scope", "chain:arbitrum", "--reason", "losses", "--json")
        assert (frozen.code, frozen.body["outcome"]) == (ExitCode.OK, "latched")
        ran = run(OFFICER, "freezes", "list")
        assert (ran.code, "LATCHED  chain:arbitrum  halt  waiting for the database" in ran.out) == (ExitCode.OK, True)
        assert "The database cannot be read" in ran.err
        shown = run(OFFICER, "freezes", "show", frozen.body["id"], "--json")
        assert (shown.code, shown.body["status"]) == (ExitCode.OK, "latched")
        status = run(OFFICER, "status")
        assert (status.code, "1 latched freeze waits for the database" in status.err) == (ExitCode.UNREACHABLE, True)
        assert asyncio.run(_heard(process.url, made.tokens[OFFICER.name])) == [frozen.body["id"]]
        made.server.start()
        eventually(lambda: is_one_hold(made, frozen.body["id"]), PATIENCE_S, "the hold in the database")
        listed, _ = eventually(lambda: _stored(run), PATIENCE_S, "a list from the database")
        assert "FRZ-0001  chain:arbitrum  halt  active" in listed
        assert asyncio.run(_known(process.url, made.tokens[OFFICER.name])) == [FreezeStatus.ACTIVE]


def _stored(run: Commands) -> str | None:
    ran = run(OFFICER, "freezes", "list")
    return ran.out if "FRZ-" in ran.out else None


async def _heard(url: str, token: str) -> list[str]:
    """What a console that starts now hears of freezes, once the line is said to be lost."""
    lost = False
    async with asyncio.timeout(PATIENCE_S), Api(url, token) as api, aclosing(Feed(api).updates()) as updates:
        async for update in updates:
            lost = lost or (isinstance(update, ConnectionState) and update.line is Line.LOST)
            if lost and isinstance(update, Change) and isinstance(update.model, LatchedFreezes):
                return [one.id for one in update.model.items]
    raise AssertionError("the feed ended")


async def _known(url: str, token: str) -> list[FreezeStatus]:
    async with asyncio.timeout(PATIENCE_S), Api(url, token) as api, aclosing(Feed(api).updates()) as updates:
        async for update in updates:
            if isinstance(update, Snapshot):
                return [one.status for one in update.overview.freezes]
    raise AssertionError("the feed ended")


def test_while_the_server_stands_still_open_consoles_hear_of_it_and_of_its_end() -> None:
    with ground() as made, made.backend() as process:
        try:
            asyncio.run(_through_a_hang(made, process))
        finally:
            made.server.go_on()


async def _through_a_hang(made: Ground, process: Backend) -> None:
    token = made.tokens[OFFICER.name]
    async with (
        asyncio.timeout(2 * PATIENCE_S),
        Api(process.url, token) as api,
        aclosing(Feed(api).updates()) as updates,
    ):
        await _until(updates, lambda update: isinstance(update, ConnectionState) and update.line is Line.LIVE)
        made.server.stand_still()
        _, frozen = await asyncio.to_thread(post_freeze, made, process, "chain:base")
        await _until(updates, lambda update: _tells(update, LatchedFreezes, frozen.id))
        made.server.go_on()
        await _until(updates, lambda update: _tells(update, Freeze, frozen.id) or _holds(update, frozen.id))


async def _until(updates: AsyncIterator[Update], wanted: Callable[[Update], bool]) -> None:
    async for update in updates:
        if wanted(update):
            return
    raise AssertionError("the feed ended")


def _tells(update: Update, kind: type, ident: str) -> bool:
    model = update.model if isinstance(update, Change) else None
    items = model.items if isinstance(model, LatchedFreezes) else [model]
    return isinstance(model, kind) and ident in {getattr(one, "id", None) for one in items}


def _holds(update: Update, ident: str) -> bool:
    known = update.overview.freezes if isinstance(update, Snapshot) else []
    return any(one.id == ident and one.status is FreezeStatus.ACTIVE for one in known)
