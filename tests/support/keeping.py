"""Heads kept by hand: a test says when something is signed and handed out, and asks how things stand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.alerts.service import live_of_rules
from backend.audit.heads.keeping import HeadKeeper
from backend.audit.heads.parties import Witness
from backend.audit.heads.status import HeadStatus, head_status
from backend.audit.identity import ledger_of, origin_of
from backend.headwatch import RULES, tick
from tests.support.app import AloneLead, App
from tests.support.ledger import settled

LOG = "1y"


@asynccontextmanager
async def keeping(app: App) -> AsyncIterator[HeadKeeper]:
    """A keeper of heads that is the only one; a test moves it by hand."""
    keeper = HeadKeeper(app.runtime, AloneLead())
    try:
        yield keeper
    finally:
        for party in (keeper._signer, *keeper._witnesses):
            await party.close()


async def origin(app: App, log: str = LOG) -> str:
    async with app.runtime.database.transaction() as session:
        return origin_of(await ledger_of(session, app.runtime), log)


async def status(app: App) -> HeadStatus:
    async with app.runtime.database.read() as session:
        return await head_status(session, app.runtime)


async def round_of(keeper: HeadKeeper) -> None:
    """Sign and hand out once."""
    await keeper.sign_all()
    for witness in keeper._witnesses:
        await keeper.hand_all(witness)


async def signed(app: App, keeper: HeadKeeper, *more: Witness) -> None:
    """Sign and hand out what is there, and what that brings with it."""
    await round_of(keeper)
    await settled(app)  # the first head brings a key, which `meta` tells of
    await round_of(keeper)
    for witness in more:
        await keeper.hand_all(witness)


async def rules(app: App) -> list[str]:
    """Rules with a live alert, after a look at how things stand."""
    async with app.runtime.database.transaction() as session:
        await tick(session, app.runtime)
    async with app.runtime.database.read() as session:
        return sorted(alert.rule for _, alert in await live_of_rules(session, RULES))
