"""A backend on a standby gives nobody a permit, and does once that is promoted; two primaries at once are noticed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.errors import WatchfloorError
from backend.freeze import service as freezes
from backend.known_callers import Known
from contract.errors import ErrorCode
from contract.gate import Permit
from tests.support.app import DESKS, App, started_app
from tests.support.grown import grow
from tests.support.holds import MACHINE, freeze, renewal, stored
from tests.support.keeping import LOG, keeping, origin, round_of, rules
from tests.support.latching import latched, signed_in
from tests.support.ledger import settled
from tests.support.people import OFFICER, sign_in
from tests.support.servers import Server, migrated, servers

TURNS = 1_200
"""A minute of looks."""


@dataclass
class Pair:
    """A primary, the standby that streams from it, and what backends on both share."""

    primary: Server
    standby: Server
    place: Path
    patch: pytest.MonkeyPatch

    @asynccontextmanager
    async def backend(self, on: Server, name: str, *, sequence: bool = False) -> AsyncIterator[App]:
        """A backend on one of them, with a data directory of its own."""
        self.patch.setenv("WATCHFLOOR_MASTER_KEY_FILE", str(self.place / "master.key"))
        self.patch.setenv("WATCHFLOOR_DATA_DIR", str(self.place / name))
        async with started_app(on.url, sequence=sequence) as app:
            yield app


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    with servers(2) as (primary, standby):
        migrated(primary.create().start())
        yield Pair(primary, standby, tmp_path, monkeypatch)


async def asked(app: App, name: str = "bot-1", chain: str = "arbitrum") -> Permit | ErrorCode:
    """The answer to one renewal, or why there is none."""
    try:
        return (await DESKS[id(app.runtime)].renew(MACHINE, renewal(name, chain=chain))).spelled_out()
    except WatchfloorError as refusal:
        return refusal.code


async def answered(app: App, name: str = "bot-1", chain: str = "arbitrum") -> Permit:
    """A renewal that is asked again until it is answered by a state that no latched freeze stands beside."""
    for _ in range(TURNS):
        found = await asked(app, name, chain)
        if isinstance(found, Permit) and "LATCHED" not in {hold.freeze_ref for hold in found.holds}:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} was never answered")


async def ready(app: App) -> httpx.Response:
    return await app.http.get("/readyz")


async def test_no_permit_comes_from_a_standby_and_a_freeze_at_it_holds_after_its_promotion(pair: Pair) -> None:
    async with pair.backend(pair.primary, "a") as first:
        (officer,) = await signed_in(first, OFFICER)
        token = officer.headers["authorization"].removeprefix("Bearer ")
        known: Known = first.runtime.callers.known
        assert (await answered(first)).may_trade
        assert (await answered(first, "bot-2", "base")).may_trade
        pair.standby.copy(of=pair.primary).start()
    async with pair.backend(pair.standby, "b") as app:
        for _ in range(3):
            assert await asked(app) is ErrorCode.UNAVAILABLE
        told = await ready(app)
        assert told.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "standby" in told.json()["message"]
        async with app.runtime.database.read() as session:
            assert await freezes.fence(session) is None
        app.runtime.callers.known = known
        there = app.with_token(token)
        made = await latched(there)
        assert await asked(app) is ErrorCode.UNAVAILABLE
        pair.standby.promote()
        assert (await stored(there, made)).ref == "FRZ-0001"
        assert not (await answered(app)).may_trade
        assert (await answered(app, "bot-2", "base")).may_trade
        assert await app.app.state.fences._state(None) is not None
        for _ in range(TURNS):
            if (await ready(app)).is_success:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError((await ready(app)).text)


async def test_two_primaries_are_noticed_by_who_signs_the_ledger_and_by_nobody_else(pair: Pair, place: Path) -> None:
    assert place
    async with pair.backend(pair.primary, "a", sequence=True) as old:
        await sign_in(old.runtime, OFFICER)
        await origin(old)
        await grow(old.runtime, LOG, 20)
        async with keeping(old) as keeper:
            await round_of(keeper)
        await settled(old)
        pair.standby.copy(of=pair.primary).start()
        pair.standby.promote()
        async with pair.backend(pair.standby, "b", sequence=True) as new:
            await answered(old)
            await answered(new)
            await freeze(await new.as_(OFFICER))
            assert not (await answered(new)).may_trade
            assert (await answered(old)).may_trade, "the old primary has never heard of it: see decision 0011, Limits"
            for app, count in ((old, 30), (new, 35)):
                await grow(app.runtime, LOG, count)
            async with keeping(old) as one, keeping(new) as other:
                await round_of(one)
                assert "LEDGER_FAULT" not in await rules(old)
                await round_of(other)
                await other.check()
                assert "LEDGER_FAULT" in await rules(new)
