"""Heads of the ledger with real signers and witnesses: signed, witnessed, and each party's failure its own."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.audit.checkpoints import checkpoint_covering, cosigned, key_chain, latest_checkpoint, witnessed_size
from backend.audit.heads_tables import EpochKey
from backend.audit.tables import LedgerEntry
from ledger import checkpoint
from ledger.note import KeyType, VerifierKey
from tests.support import databases
from tests.support.app import started_app
from tests.support.clocks import SetClock
from tests.support.grown import grow
from tests.support.keeping import LOG, keeping, origin, round_of, rules, status
from tests.support.ledger import settled
from tests.support.parties import Running, signing, witnessing


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the signer of a test listens."""
    monkeypatch.setenv("WATCHFLOOR_SIGNER_SOCKET", str(tmp_path / "signer.sock"))
    return tmp_path


@pytest.fixture
def signer(place: Path) -> Iterator[Running]:
    with signing(place) as process:
        yield process


@pytest.fixture
def other_database() -> Iterator[str]:
    """A second, empty database, under somebody else's administration."""
    name, url = databases.create_database()
    yield url
    databases.drop_database(name)


async def test_heads_are_signed_with_a_key_that_is_announced(database_url: str, signer: Running) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 30)
        await keeper.sign_all()
        await grow(app.runtime, LOG, 300)
        await keeper.sign_all()
        async with app.runtime.database.read() as session:
            chain = await key_chain(session)
            head = await latest_checkpoint(session, await origin(app))
            assert chain is not None
            assert head is not None
            keys = list(chain.keys().values())
            opened = checkpoint.open_checkpoint(head.note, keys).checkpoint
            assert (opened.size, opened.root) == (330, head.root)
            covering = await checkpoint_covering(session, await origin(app), 29)
            assert covering is not None
            assert covering.size == 30
        await settled(app)
        async with app.runtime.database.read() as session:
            announced = await session.scalars(select(LedgerEntry).where(LedgerEntry.event_type == "ledger.key.rotated"))
            assert [(row.log, row.resource_id) for row in announced] == [("meta", keys[0].name)]
            assert (await session.scalars(select(EpochKey))).one().vkey == chain.genesis
        assert (await status(app)).signer.problem is None


async def test_without_a_signer_the_backend_runs_and_says_so(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 3)
        await keeper.sign_all()
        ready = await app.http.get("/readyz")
        assert ready.status_code == 200
        assert "unsigned" in ready.json()["ledger"]
        with signing(place):
            await keeper.sign_all()
        assert "unsigned" not in (await app.http.get("/readyz")).json()["ledger"]


async def test_a_killed_signer_goes_on_where_it_was(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        for count in range(1, 5):
            await grow(app.runtime, LOG, count)
            with signing(place) as process:
                await keeper.sign_all()
                process.kill()
            await keeper.sign_all()  # away
        with signing(place):
            await grow(app.runtime, LOG, 1)
            await keeper.sign_all()
        assert (await status(app)).signer.problem is None
        assert (await status(app)).logs[0].signed == 11


async def test_every_kind_of_witness_holds_the_head(
    database_url: str, other_database: str, signer: Running, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        name = await origin(app)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        async with app.runtime.database.read() as session:
            chain = await key_chain(session)
    assert chain is not None
    with witnessing(place / "auditor", chain.genesis) as (_, spoken):
        monkeypatch.setenv("WATCHFLOOR_WITNESSES", f"dir:{place / 'kept'} {other_database} {spoken}")
        async with started_app(database_url) as app, keeping(app) as keeper:
            for count in (1, 200):
                await round_of(keeper)
                await grow(app.runtime, LOG, count)
            await round_of(keeper)
            assert [one.problem for one in (await status(app)).witnesses] == [None, None, None]
            async with app.runtime.database.read() as session:
                head = await latest_checkpoint(session, name)
                assert head is not None
                assert head.size >= 5 + 1 + 200, "the backend may have had something to say itself"
                assert await witnessed_size(session, name, 3) == head.size
            for witness in keeper._witnesses:
                held = await witness.latest(name)
                assert held is not None
                assert checkpoint.open_checkpoint(held, list(chain.keys().values())).checkpoint.size == head.size
            async with app.runtime.database.read() as session:
                auditor = VerifierKey.parse(spoken.split()[1])
                both = checkpoint.open_checkpoint(await cosigned(session, head), [*chain.keys().values(), auditor])
            assert {one.key.kind for one in both.note.verified} == {KeyType.ED25519, KeyType.COSIGNATURE}


async def test_a_stopped_witness_fails_alone(
    database_url: str, signer: Running, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        async with app.runtime.database.read() as session:
            chain = await key_chain(session)
    assert chain is not None
    with witnessing(place / "auditor", chain.genesis) as (process, spoken):
        monkeypatch.setenv("WATCHFLOOR_WITNESSES", f"{spoken} dir:{place / 'kept'}")
        async with started_app(database_url) as app, keeping(app) as keeper:
            process.send(signal.SIGSTOP)
            await round_of(keeper)
            stopped, kept = (await status(app)).witnesses
            assert stopped.problem is not None
            assert "does not answer" in stopped.problem
            assert kept.problem is None
            process.send(signal.SIGCONT)
            await round_of(keeper)
            assert [one.problem for one in (await status(app)).witnesses] == [None, None]


async def test_alerts_follow_how_things_stand(database_url: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_WITNESSES", f"dir:{place / 'kept'}")
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 5)
        await round_of(keeper)
        assert await rules(app) == []
        time.pass_(seconds=61)
        await round_of(keeper)
        assert await rules(app) == ["LEDGER_UNSIGNED"]
        with signing(place):
            await keeper.sign_all()
            time.pass_(seconds=61)
            assert await rules(app) == ["LEDGER_UNWITNESSED"]
            await round_of(keeper)
            assert await rules(app) == []
