"""A freeze while PostgreSQL is killed, as people at the command line and a console see it until the server is back."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from console.client.api import Api
from console.client.stream import Change, ConnectionState, Feed, Line, Snapshot
from contract.errors import ExitCode
from contract.freeze import FreezeStatus, LatchedFreezes
from tests.support.backends import eventually
from tests.support.commands import Commands
from tests.support.floor import Floor
from tests.support.freeze_outage import PATIENCE_S, ground, is_one_hold
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
