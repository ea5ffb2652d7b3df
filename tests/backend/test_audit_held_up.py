"""What holds the sequencer up for a moment must not cost it its connection: beginning anew asks everybody."""

import asyncio
from collections.abc import Collection
from typing import cast

import psycopg
import pytest

from backend.audit.heads.holding import Known, gather
from backend.audit.heads.http import SignerClient, SignerKeys
from backend.audit.heads.parties import PartyError, Witness
from backend.audit.sequencer import Sequencer
from backend.audit.service import AuditDraft, record
from tests.support.app import SYSTEM, AloneLead, started_app

FREEZE = AuditDraft("freeze.hold.created", "freeze")
LOCK_LIMIT_MS = 100


async def test_a_lock_not_given_in_time_is_asked_for_again_on_the_same_connection(database_url: str) -> None:
    async with started_app(database_url, sequence=False) as app:
        async with app.runtime.database.transaction() as session:
            await record(session, app.runtime, SYSTEM, FREEZE)
        sequencer = Sequencer(app.runtime, AloneLead())
        async with await app.runtime.database.dedicated("sequencer") as connection:
            await connection.execute(f"SET lock_timeout = {LOCK_LIMIT_MS}")
            async with (
                await psycopg.AsyncConnection.connect(database_url) as other,
                other.transaction(force_rollback=True),
            ):
                await other.execute("LOCK TABLE audit_entries IN SHARE UPDATE EXCLUSIVE MODE")
                assert await sequencer.guarded_step(connection) == 0
            assert await sequencer.guarded_step(connection) > 0


class _Asked:
    """A party that is away unless another is asked meanwhile."""

    def __init__(self, name: str, barrier: asyncio.Barrier) -> None:
        self.name = name
        self._barrier = barrier

    async def keys(self, _known: int) -> SignerKeys:
        return SignerKeys("", (), ())

    async def origins(self, _ledger: str) -> Collection[str]:
        try:
            async with asyncio.timeout(5.0):
                await self._barrier.wait()
        except (TimeoutError, asyncio.BrokenBarrierError) as error:
            raise PartyError("It was asked alone.") from error
        return ()


@pytest.mark.parametrize("witnesses", [1, 3])
async def test_signer_and_witnesses_are_asked_at_once(witnesses: int) -> None:
    barrier = asyncio.Barrier(1 + witnesses)
    signer, *others = (_Asked(f"party {number}", barrier) for number in range(1 + witnesses))
    known = Known("ledger", 1, frozenset({"meta"}), (), "")
    held = await gather(known, cast("SignerClient", signer), cast("list[Witness]", others))
    assert held.problems == {}
