"""Heads over days: new keys reach every witness, lost answers are asked for again, other keys are not taken."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select, text

from backend.audit.checkpoints import key_chain
from backend.audit.faults import ledger_fault
from backend.audit.heads import rollback
from backend.audit.heads.http import HttpWitness, SignerClient
from backend.audit.heads.keeping import HeadKeeper
from backend.audit.heads.parties import Witness
from backend.audit.heads.shelf import ShelfWitness
from backend.audit.heads.shelves import DirectoryShelf
from backend.audit.tables import LedgerHead
from ledger.checkpoint import Checkpoint
from ledger.note import VerifierKey
from tests.support.app import App, started_app
from tests.support.grown import grow
from tests.support.keeping import LOG, keeping, origin, round_of, status
from tests.support.logs import HandClock
from witness.asgi import Service, SignerService, WitnessService, application
from witness.cosigner import Cosigner
from witness.signer import Signer


class Days:
    """A signer and a witness whose days pass when a test says so, spoken to as over the network."""

    def __init__(self, place: Path) -> None:
        self.place, self.clock = place, HandClock()
        self.signer = Signer(place / "signer", self.clock.now, self.clock.random_bytes)

    def signer_client(self, signer: Signer | None = None) -> SignerClient:
        client = SignerClient(self.place / "signer.sock")
        client._transport = _transport(SignerService(signer or self.signer))
        return client

    def http_witness(self) -> HttpWitness:
        """A witness that was given the first key only."""
        genesis = self.signer.keys()["genesis"]
        clock = self.clock
        cosigner = Cosigner(self.place / "w", "auditor.example/w", [genesis], clock.now, clock.random_bytes)
        return HttpWitness(
            "http://127.0.0.1/w", VerifierKey.parse(cosigner.vkey), _transport(WitnessService(cosigner), "/w")
        )

    def directory_witness(self) -> ShelfWitness:
        return ShelfWitness("dir:kept", DirectoryShelf(self.place / "kept"))


def _transport(service: Service, prefix: str = "") -> httpx.ASGITransport:
    return httpx.ASGITransport(application(service, prefix))


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Days:
    monkeypatch.setenv("WATCHFLOOR_SIGNER_SOCKET", str(tmp_path / "nobody.sock"))
    return Days(tmp_path)


@asynccontextmanager
async def keeper_of(app: App, days: Days) -> AsyncIterator[HeadKeeper]:
    async with keeping(app) as keeper:
        await keeper._signer.close()
        keeper._signer = days.signer_client()
        yield keeper


async def test_new_days_keys_reach_every_witness(database_url: str, days: Days) -> None:
    async with started_app(database_url) as app, keeper_of(app, days) as keeper:
        name = await origin(app)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        witnesses: list[Witness] = [days.http_witness(), days.directory_witness()]
        for passed in (0, 1, 3):
            days.clock.pass_days(passed)
            await grow(app.runtime, LOG, 5)
            await keeper.sign_all()
            for witness in witnesses:
                await keeper.hand_all(witness)
                held = await witness.latest(name)
                assert held is not None
                assert b"epoch " in held
        async with app.runtime.database.read() as session:
            chain = await key_chain(session)
            sizes = await session.execute(
                text("SELECT witness, max(size) FROM audit_cosignatures WHERE origin = :o GROUP BY 1"), {"o": name}
            )
        assert chain is not None
        assert sorted(chain.keys()) == list(range(20513, 20518))
        assert {row[0]: row[1] for row in sizes} == {"auditor.example/w": 20, "dir:kept": 20}
        for witness in witnesses:
            await witness.close()


async def test_an_older_database_learns_from_the_witness_whose_keys_they_were(database_url: str, days: Days) -> None:
    async with started_app(database_url, sequence=False) as app, keeper_of(app, days) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        days.clock.pass_days(2)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        kept = days.directory_witness()
        await keeper.hand_all(kept)
        async with app.runtime.database.transaction() as session:  # as the database was two days ago, but for its head
            await session.execute(text("ALTER TABLE audit_epochs DISABLE TRIGGER ALL"))
            await session.execute(text("DELETE FROM audit_epochs WHERE certificate IS NOT NULL"))
        away = SignerClient(days.place / "nobody.sock")
        found = await rollback.check(app.runtime, away, [kept])
        assert found.contradictions == ()
        assert list(found.problems) == ["the signer"]
        async with app.runtime.database.transaction() as session:
            await session.execute(text("UPDATE audit_heads SET size = 9 WHERE log = :log"), {"log": LOG})
        await rollback.check(app.runtime, away, [kept])
        async with app.runtime.database.read() as session:
            fault = await ledger_fault(session)
        await away.close()
    assert fault is not None
    assert (fault.kind, fault.witnessed_size, fault.own_size) == ("smaller", 10, 9)


async def test_a_head_whose_answer_was_lost_is_signed_again(database_url: str, days: Days) -> None:
    async with started_app(database_url) as app, keeper_of(app, days) as keeper:
        name = await origin(app)
        await grow(app.runtime, LOG, 5)
        async with app.runtime.database.read() as session:
            head = (await session.scalars(select(LedgerHead).where(LedgerHead.log == LOG))).one()
        await keeper._signer.sign(Checkpoint(name, head.size, head.root), 0, [])
        await round_of(keeper)
        assert ((await status(app)).signer.problem, (await status(app)).logs[0].signed) == (None, 5)


async def test_another_signers_keys_are_not_taken(database_url: str, days: Days) -> None:
    async with started_app(database_url) as app, keeper_of(app, days) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        other = HandClock()
        other.random_bytes(1)
        for replaced, words in (("empty", "no key"), ("foreign", "other keys")):
            signer = Signer(days.place / replaced, other.now, other.random_bytes)
            if replaced == "foreign":
                async with app.runtime.database.read() as session:
                    head = (await session.scalars(select(LedgerHead).where(LedgerHead.log == LOG))).one()
                await days.signer_client(signer).sign(Checkpoint(await origin(app), head.size, head.root), 0, [])
            keeper._signer = days.signer_client(signer)
            await grow(app.runtime, LOG, 1)
            await keeper.sign_all()
            problem = (await status(app)).signer.problem
            assert problem is not None
            assert words in problem
