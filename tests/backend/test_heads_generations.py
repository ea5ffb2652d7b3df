"""A generation is no way around the witnesses: a ledger written anew under another one is refused by everybody."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from backend.audit import restore
from backend.audit.faults import open_faults
from backend.audit.heads import rollback
from backend.audit.heads.holding import Held, gather, known_of
from backend.audit.heads.http import HttpWitness
from backend.audit.heads.keeping import HeadKeeper
from backend.audit.heads.parties import Witness
from backend.audit.retention.vouching import _left_behind
from ledger import checkpoint
from ledger.note import SignerKey, VerifierKey
from tests.support.app import App, started_app
from tests.support.grown import grow
from tests.support.keeping import LOG, keeping, origin, round_of, signed, status
from tests.support.ledger import settled
from tests.support.logs import HandClock
from tests.support.restoring import account_of, bump, put_restore, signed_heads, write_anew
from witness.asgi import WitnessService, application
from witness.cosigner import Cosigner


async def auditor(app: App, keeper: HeadKeeper, place: Path) -> HttpWitness:
    """A witness of ours, spoken to as over the network."""
    genesis = (await keeper._signer.keys(0)).genesis
    clock = HandClock()
    cosigner = Cosigner(place / "auditor", "auditor.example/w", [genesis], app.runtime.clock.now, clock.random_bytes)
    transport = httpx.ASGITransport(application(WitnessService(cosigner)))
    return HttpWitness("http://127.0.0.1", VerifierKey.parse(cosigner.vkey), transport)


async def kinds(app: App) -> dict[str, str]:
    """Open faults, by origin without the ledger's name."""
    async with app.runtime.database.read() as session:
        return {fault.origin.partition("/")[2]: fault.kind for fault in await open_faults(session)}


async def approve(app: App) -> int:
    async with app.runtime.database.transaction() as session:
        done = await restore.restore(session, app.runtime, reason="why", requested_by="a", approved_by="b")
    return done.generation


async def problem_of(app: App, witness: Witness | None = None) -> str:
    """What keeps the signer, or a witness, from its work."""
    state = await status(app)
    name = witness.name if witness else None
    problems = [state.signer.problem] if name is None else [one.problem for one in state.witnesses if one.name == name]
    return problems[0] or ""


@pytest.mark.parametrize("generation", [2, 5])
async def test_a_ledger_written_anew_under_another_generation_is_refused(
    database_url: str, place: Path, generation: int
) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await bump(app, generation)
        await write_anew(app, LOG, 45)
        await write_anew(app, "meta", 3)
        await round_of(keeper)
        assert "not a restore" in await problem_of(app)
        told = await keeper._signer.keys(0)
        assert not [one for one in told.origins if "/r" in one]
        assert await signed_heads(app, f"{before}/r{generation}") == []
        await rollback.check_before_append(app.runtime)
        found = await kinds(app)
    assert found[LOG] == "other"
    assert found[f"meta/r{generation}"] == "generation"
    assert found["meta"] in {"other", "smaller"}


async def test_the_generation_alone_is_a_fault_without_anybody_outside(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WATCHFLOOR_SIGNER_SOCKET", str(tmp_path / "nobody.sock"))
    async with started_app(database_url) as app:
        await origin(app)
        await grow(app.runtime, LOG, 4)
        await bump(app, 2)
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {"meta/r2": "generation"}
        assert await approve(app) == 3
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {}


async def test_a_forged_restore_that_names_an_older_head_is_refused_by_everybody(
    database_url: str, place: Path
) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await grow(app.runtime, LOG, 10)
        await signed(app, keeper)
        outside = await auditor(app, keeper, place)
        await keeper.hand_all(outside)
        await settled(app)
        older, newest = await signed_heads(app, before)
        assert (older.size, newest.size) == (40, 50)
        await write_anew(app, LOG, 60)
        # approved even: as if the key of approvals had been stolen too
        lost = [await account_of(app, older)]
        await put_restore(app, 2, lost, key=app.runtime.keyring.verification)
        await bump(app, 2)
        await keeper.sign_all()
        assert "does not name the head of 50" in await problem_of(app)
        assert keeper._doubted.is_set()
        assert not [one for one in (await keeper._signer.keys(0)).origins if "/r" in one]
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {LOG: "other"}
        await outside.close()


async def test_a_forged_restore_that_names_the_newest_head_is_found(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await write_anew(app, LOG, 60)
        await put_restore(app, 2, [await account_of(app, (await signed_heads(app, before))[-1])])
        await bump(app, 2)
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {LOG: "other", "meta/r2": "generation"}
        # two people look, and let it go on: what is forged stays in the log, and counts for nothing
        assert await approve(app) == 3
        await signed(app, keeper)
        await rollback.check_before_append(app.runtime)
        assert (await kinds(app), await problem_of(app)) == ({}, "")


async def test_a_generation_that_is_lowered_again_is_found(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        outside = await auditor(app, keeper, place)
        await keeper.hand_all(outside)
        await write_anew(app, LOG, 20)
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {LOG: "smaller"}
        assert await approve(app) == 2
        await signed(app, keeper, outside)
        assert (await kinds(app), await problem_of(app)) == ({}, "")
        held = await outside.origins(before.partition("/")[0])
        assert held is not None
        assert f"{before}/r2" in held
        await bump(app, 1)
        await grow(app.runtime, LOG, 5)
        await keeper.sign_all()
        assert "has ended" in await problem_of(app)
        await rollback.check_before_append(app.runtime)
        found = await kinds(app)
        assert found["meta"] == "generation"
        assert (found[f"{LOG}/r2"], found["meta/r2"]) == ("generation", "generation")
        assert await approve(app) == 3
        await signed(app, keeper, outside)
        await rollback.check_before_append(app.runtime)
        assert (await kinds(app), await problem_of(app)) == ({}, "")
        latest = await outside.latest(f"{before}/r3")
        assert latest is not None
        await outside.close()


async def test_what_was_left_at_a_restore_is_held_before_anybody_signs_it(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await write_anew(app, LOG, 20)
        await rollback.check_before_append(app.runtime)
        await approve(app)
        await write_anew(app, LOG, 30)
        await keeper.sign_all()
        assert keeper._doubted.is_set()
        assert await signed_heads(app, f"{before}/r2") == []
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {f"{LOG}/r2": "other"}


async def test_a_witness_that_cannot_list_is_asked_for_every_generation(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        witness = keeper._witnesses[0]

        async def lists_nothing(ledger: str) -> None:
            return None

        witness.origins = lists_nothing  # type: ignore[method-assign]
        await bump(app, 2)
        await write_anew(app, LOG, 45)
        await keeper._signer.close()
        (place / "signer.sock").unlink()
        found = await rollback.check(app.runtime, keeper._signer, [witness])
    seen = {(str(one.origin).partition("/")[2], one.source.partition(":")[0]) for one, _, _ in found.contradictions}
    assert seen == {(LOG, "dir"), ("meta/r2", "the ledger itself")}


async def test_a_log_nobody_here_knows_of_is_missed(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        await origin(app, "import:x")
        await grow(app.runtime, "import:x", 12)
        await signed(app, keeper)
        async with app.runtime.database.transaction() as session:
            await session.execute(text("DELETE FROM audit_heads WHERE log = 'import:x'"))
        await rollback.check_before_append(app.runtime)
        assert await kinds(app) == {"import:x": "smaller"}


async def test_keys_put_into_the_database_do_not_discredit_the_signer(database_url: str, place: Path) -> None:
    async with started_app(database_url) as app, keeping(app) as keeper:
        name = (await origin(app)).partition("/")[0]
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        await write_anew(app, LOG, 45)
        forged = SignerKey(checkpoint.epoch_key_name(name, 20_000), b"\1" * 32).verifier.encode()
        async with app.runtime.database.transaction() as session:
            await session.execute(text("ALTER TABLE audit_epochs DISABLE TRIGGER ALL"))
            await session.execute(text("DELETE FROM audit_epochs"))
            await session.execute(
                text("INSERT INTO audit_epochs (epoch, vkey, learned_at) VALUES (20000, :key, now())"), {"key": forged}
            )
        found = await rollback.check(app.runtime, keeper._signer, keeper._witnesses)
        assert "other keys" in found.problems["the signer"]
        assert await kinds(app) == {LOG: "other"}
        held = await gather_held(app, keeper)
    assert {one.source.partition(":")[0] for one in held.evidence} == {"the signer", "dir"}


async def gather_held(app: App, keeper: HeadKeeper) -> Held:
    async with app.runtime.database.read() as session:
        known = await known_of(session, app.runtime)
    assert known is not None
    return await gather(known, keeper._signer, keeper._witnesses)


async def test_nothing_is_dropped_before_a_witness_was_shown_the_restore(database_url: str, place: Path) -> None:
    """It continues what it holds of the generation before, which could not be proved to it from beyond the cut."""
    async with started_app(database_url) as app, keeping(app) as keeper:
        before = await origin(app)
        await grow(app.runtime, LOG, 40)
        await signed(app, keeper)
        async with app.runtime.database.read() as session:
            assert await _left_behind(session, app.runtime, before, 30) is None
            told = await _left_behind(session, app.runtime, f"{before}/r2", 30)
        assert told is not None
        assert "earlier generation only" in told
