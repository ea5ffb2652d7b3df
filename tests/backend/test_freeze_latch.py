"""A freeze is accepted whatever the database does, holds at once, and becomes one hold once the database is back."""

import asyncio
import os
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Runtime
from backend.freeze import holds
from backend.freeze.draining import Keeper
from backend.freeze.journal import Entry
from backend.latched import LatchedHold
from backend.spool import SpoolError
from contract.freeze import Freeze, FreezeMode, FreezeStatus
from tests.support.app import App, started_app
from tests.support.cutting import Where, through_a_line
from tests.support.freeze_outage import ground, one_run
from tests.support.holds import approve, ask_for_thaw, renew, stored
from tests.support.latching import latched, lock_held, post, rows, signed_in, until
from tests.support.ledger import settled
from tests.support.ledger_check import look
from tests.support.outage import outage
from tests.support.people import ADMIN, OFFICER

RUNS, SEED = 2, 3
"""One server that stands still and one that is killed; many more: `python -m tests.support.freeze_outage`."""


pytestmark = pytest.mark.usefixtures("directory")


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    async with started_app(database_url) as running:
        yield running


def entries(url: str, *about: str) -> dict[str, int]:
    found = rows(
        url,
        "SELECT event_type, count(*) FROM audit_entries WHERE resource_id = ANY(%s)"
        " AND event_type LIKE 'freeze.hold.%%' GROUP BY 1",
        list(about),
    )
    return dict(found)


async def test_a_freeze_without_a_database_holds_and_becomes_one_hold(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    told: list[LatchedHold] = []

    def revoke(hold: LatchedHold) -> int:
        told.append(hold)
        return 3

    app.runtime.latched.on_latch(revoke)
    with outage(database_url):
        made = await latched(officer, mode="cancel-all")
        assert made.kept
        assert made.revoked is not None
        assert made.revoked >= 3
        assert made.created_by == OFFICER.name
        assert [(str(hold.scope), hold.mode) for hold in told] == [("chain:arbitrum", FreezeMode.CANCEL_ALL)]
        assert app.runtime.latched.pending()
        ready = await app.http.get("/readyz")
        assert ready.status_code == 503
        assert "1 latched" in ready.json()["hint"]
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    hold = await stored(officer, made)
    assert (hold.id, hold.ref, hold.epoch, hold.created_by) == (made.id, "FRZ-0001", 1, OFFICER.name)
    assert (await app.http.get("/readyz")).json()["freezes"]["latched"] == 0
    await until(lambda: len(entries(database_url, "FRZ-0001", made.id)) == 2, "both entries in the ledger")
    assert entries(database_url, "FRZ-0001", made.id) == {"freeze.hold.created": 1, "freeze.hold.latched": 1}
    ((canon,),) = rows(database_url, "SELECT canon FROM audit_entries WHERE event_type = 'freeze.hold.created'")
    assert b'"known_by":"token"' in bytes(canon)
    assert b'"latched_at":"' in bytes(canon)
    assert look(database_url).faults == []


async def test_a_lock_that_somebody_keeps_holds_no_freeze_up_and_nobody_sends_meanwhile(
    app: App, database_url: str
) -> None:
    (officer,) = await signed_in(app, OFFICER)
    with lock_held(database_url):
        assert (await renew(app.runtime, "bot-1")).may_trade
        made = await latched(officer)
        covered, other = await renew(app.runtime, "bot-1"), await renew(app.runtime, "bot-2", chain="base")
        assert not covered.may_trade
        assert not other.may_trade, "the holds that the database tells of are not all there are"
        assert {hold.freeze_ref for hold in covered.holds} == {"LATCHED"}
        assert (await officer.get(f"/v1/freezes/{made.id}")).json()["status"] == "latched"
        refused = await ask_for_thaw(officer, made.id)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    hold = await stored(officer, made)
    assert hold.status is FreezeStatus.ACTIVE
    assert not (await renew(app.runtime, "bot-1")).may_trade
    assert (await renew(app.runtime, "bot-2", chain="base")).may_trade
    assert (await ask_for_thaw(officer, made.id)).status_code == 200


async def test_the_strictest_mode_that_is_latched_counts_for_whom_it_covers(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    with lock_held(database_url):
        await latched(officer, mode="reduce-only")
        assert (await renew(app.runtime, "bot-1")).mode is FreezeMode.HALT
        await latched(officer, "strategy:arbitrage", mode="cancel-all")
        assert (await renew(app.runtime, "bot-1")).mode is FreezeMode.CANCEL_ALL
        assert (await renew(app.runtime, "bot-2", strategy="sandwich")).mode is FreezeMode.HALT
    await until(lambda: not app.runtime.latched.pending(), "the holds in the database")


async def test_a_crowd_on_the_database_does_not_keep_a_freeze_out_of_it(app: App) -> None:
    (officer,) = await signed_in(app, OFFICER)
    async with AsyncExitStack() as crowd:
        for _ in range(app.runtime.settings.pool_size):
            session = await crowd.enter_async_context(app.runtime.database.read())
            await session.execute(text("SELECT 1"))
        assert (await post(officer)).status_code == 201
        for _ in range(2):
            session = await crowd.enter_async_context(app.runtime.reserve.database.read())
            await session.execute(text("SELECT 1"))
        made = await latched(officer, "chain:base")
    assert (await stored(officer, made)).ref == "FRZ-0002"


async def test_an_attempt_that_is_given_up_leaves_nothing_behind(app: App, database_url: str) -> None:
    reserve = app.runtime.reserve

    async def take_the_lock(session: AsyncSession) -> int:
        await session.execute(text("SET LOCAL lock_timeout = 0"))
        return int(await session.scalar(text("UPDATE freeze_state SET epoch = epoch + 1 RETURNING epoch")) or 0)

    with lock_held(database_url):
        for _ in range(3):  # more than there are connections
            with pytest.raises(TimeoutError):
                await reserve.attempt(take_the_lock, 0.2)
        await until(lambda: not reserve._given_up, "the end of attempts that were given up")
    assert await reserve.attempt(take_the_lock, 30.0) == 1


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_commit_that_is_cut_off_never_doubles_a_freeze(database_url: str, where: Where) -> None:
    with tempfile.TemporaryDirectory() as short, through_a_line(database_url, Path(short)) as line:
        async with started_app(line.url) as app:
            (officer,) = await signed_in(app, OFFICER)
            line.cut = where
            made = await latched(officer, idempotency_key="once")
            assert line.was_cut.is_set()
            assert (await stored(officer, made)).ref == "FRZ-0001"
            again = await post(officer, idempotency_key="once")
            assert (again.status_code, again.json()["id"]) == (201, made.id)
            await settled(app)
    assert rows(database_url, "SELECT id, epoch, number FROM freezes") == [(UUID(made.id), 1, 1)]
    assert entries(database_url, "FRZ-0001")["freeze.hold.created"] == 1


async def test_asked_again_it_is_the_same_freeze_wherever_it_waits(app: App, database_url: str) -> None:
    (officer,) = await signed_in(app, OFFICER)
    with lock_held(database_url):
        first, second = await asyncio.gather(
            latched(officer, idempotency_key="same"), latched(officer, idempotency_key="same")
        )
        assert first.id == second.id
        other = await latched(officer, "chain:base", idempotency_key="same")
        assert other.id != first.id
    both = [await stored(officer, one) for one in (first, other)]
    assert {str(hold.scope) for hold in both} == {"chain:arbitrum", "chain:base"}, "people were told that both hold"
    assert rows(database_url, "SELECT count(*) FROM freezes") == [(2,)]


async def test_two_backends_latch_and_both_holds_arrive(
    app: App, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHFLOOR_MASTER_KEY_FILE", str(tmp_path / "master.key"))
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path / "second"))
    async with started_app(database_url) as second:
        (here,), (there,) = await signed_in(app, OFFICER), await signed_in(second, ADMIN)
        with outage(database_url):
            made = await asyncio.gather(latched(here), latched(there, "chain:base"))
        both = [await stored(client, one) for client, one in zip((here, there), made, strict=True)]
        assert {hold.ref for hold in both} == {"FRZ-0001", "FRZ-0002"}
        assert {hold.epoch for hold in both} == {1, 2}
        assert {hold.created_by for hold in both} == {OFFICER.name, ADMIN.name}


async def test_what_cannot_be_kept_holds_all_the_same_and_is_said(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (officer,) = await signed_in(app, OFFICER)
    keeper: Keeper = app.app.state.latch

    async def full(_: object) -> None:
        raise SpoolError("the spool is full")

    with outage(database_url):
        with monkeypatch.context() as broken:
            broken.setattr(keeper._own.journal, "keep", full)
            made = await latched(officer)
            assert made.kept is False
            assert app.runtime.latched.pending()
        await until(lambda: (one := keeper.find(made.id)) is not None and one.kept is True, "kept once there is room")
    assert (await stored(officer, made)).ref == "FRZ-0001"


async def test_one_that_the_database_never_takes_holds_on_and_holds_no_other_up(
    app: App, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (officer,) = await signed_in(app, OFFICER)
    genuine, taken = holds.store_latched, set[str]()

    async def refuse_some(session: AsyncSession, runtime: Runtime, entry: Entry) -> None:
        if str(entry.request.scope) not in taken:
            raise TypeError("a mistake of ours")
        await genuine(session, runtime, entry)

    with lock_held(database_url):
        monkeypatch.setattr(holds, "store_latched", refuse_some)
        stuck, other = await latched(officer), await latched(officer, "chain:base")
    taken.add("chain:base")
    assert (await stored(officer, other)).ref == "FRZ-0001"
    assert [hold.id for hold in app.runtime.latched.latched_holds()] == [UUID(stuck.id)]
    assert not (await renew(app.runtime, "bot-3", chain="optimism")).may_trade
    taken.add("chain:arbitrum")
    assert (await stored(officer, stuck)).ref == "FRZ-0002"


async def test_what_an_earlier_process_left_holds_before_anybody_gets_a_permit(
    database_url: str, directory: Path
) -> None:
    async with started_app(database_url) as first:
        (officer,) = await signed_in(first, OFFICER)
        with lock_held(database_url):
            made = await latched(officer)
            keeper: Keeper = first.app.state.latch
            path = keeper._own.journal.path
            left = path.read_bytes()
        await stored(officer, made)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DELETE FROM freezes")
    path.write_bytes(left + b"forged\n" + left[:40])
    with lock_held(database_url):
        async with started_app(database_url) as second:
            assert [hold.id for hold in second.runtime.latched.latched_holds()] == [UUID(made.id)]
            assert second.runtime.latched.refused_lines == 1
            assert not (await renew(second.runtime, "bot-1")).may_trade
    async with started_app(database_url) as third:
        await until(lambda: not third.runtime.latched.pending(), "the hold in the database")
        assert rows(database_url, "SELECT id, created_by FROM freezes") == [(UUID(made.id), OFFICER.name)]
        await until(lambda: not path.exists(), "the end of a journal that is in the database")
        assert set(path.with_suffix(".refused").read_bytes().split()) == {b"forged"}
        told = "SELECT count(*) FROM audit_entries WHERE event_type = 'freeze.journal.refused'"
        await until(lambda: rows(database_url, told)[0][0] >= 1, "the refusal in the ledger")


async def test_a_journal_that_cannot_be_read_stops_everybody_until_it_can(
    database_url: str, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = Keeper._take

    async def sick(_: Keeper, __: object) -> None:
        raise SpoolError("input/output error")

    async with started_app(database_url) as first:
        keeper: Keeper = first.app.state.latch
        beside = keeper._own.journal.path.with_name("dead.journal")
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.write_bytes(b"something\n")
    monkeypatch.setattr(Keeper, "_take", sick)
    async with started_app(database_url) as second:
        assert "input/output error" in (await second.http.get("/readyz")).json()["freezes"]["unread"]
        assert not (await renew(second.runtime, "bot-1")).may_trade
        monkeypatch.setattr(Keeper, "_take", genuine)
        await until(lambda: not second.runtime.latched.pending(), "a journal that can be read")
        assert (await renew(second.runtime, "bot-1")).may_trade


@pytest.mark.parametrize("kind", ["link", "dangling", "directory", "pipe", "noise"])
async def test_what_lies_among_the_journals_and_is_none_stops_everybody_until_it_is_gone(
    database_url: str, directory: Path, kind: str
) -> None:
    async with started_app(database_url) as first:
        keeper: Keeper = first.app.state.latch
        odd = keeper._own.journal.path.with_name("odd.journal")
    odd.parent.mkdir(parents=True, exist_ok=True)
    elsewhere = directory / "elsewhere"
    elsewhere.write_bytes(b"of somebody else\n")
    match kind:
        case "link":
            odd.symlink_to(elsewhere)
        case "dangling":
            odd.symlink_to(directory / "nowhere")
        case "directory":
            (odd / "below").mkdir(parents=True)
        case "pipe":
            os.mkfifo(odd)
        case _:
            odd.write_bytes(os.urandom(2 << 20))  # larger than any journal of ours
    async with started_app(database_url) as second:
        state = (await second.http.get("/readyz")).json()["freezes"]
        if kind in {"pipe", "noise"}:  # an empty one holds nothing; what nobody of ours wrote is set aside
            assert state["unread"] is None
        else:
            assert state["unread"] is not None
            assert not (await renew(second.runtime, "bot-1")).may_trade
            assert elsewhere.read_bytes() == b"of somebody else\n"
            odd.rename(directory / "away")
            await until(lambda: not second.runtime.latched.pending(), "journals that can be read")
        assert (await renew(second.runtime, "bot-1")).may_trade


def test_the_server_dies_or_hangs_the_backend_dies_and_the_hold_is_there_once() -> None:
    chance = random.Random(SEED)  # noqa: S311  a plan of runs, no secret
    with ground() as made:
        for number in range(1, RUNS + 1):
            one_run(made, number, chance)


async def lifted(app: App, ref: str) -> None:
    asking, approving = await app.as_(ADMIN), await app.as_(OFFICER)
    assert (await ask_for_thaw(asking, ref)).is_success
    assert (await approve(approving, ref)).json()["status"] == "thawed"


async def test_a_key_that_is_used_again_after_its_freeze_was_lifted_freezes_again(app: App, database_url: str) -> None:
    (officer, _) = await signed_in(app, OFFICER, ADMIN)
    key = {"idempotency_key": "the-watchdogs-only-one"}
    first = await stored(officer, Freeze.model_validate((await post(officer, **key)).json()))
    await lifted(app, first.ref)
    assert (await renew(app.runtime)).may_trade
    second = await post(officer, **key)
    assert (second.status_code, second.json()["ref"], second.json()["status"]) == (201, "FRZ-0002", "active")
    assert (await post(officer, **key)).json()["id"] == second.json()["id"]
    assert not (await renew(app.runtime)).may_trade
    await lifted(app, "FRZ-0002")
    with lock_held(database_url):
        again = await latched(officer, **key)
        assert again.id == (await latched(officer, **key)).id
    await until(lambda: not app.runtime.latched.pending(), "the hold in the database")
    in_force = "SELECT number, idempotency_key FROM freezes WHERE status <> 'thawed'"
    assert rows(database_url, in_force) == [(3, key["idempotency_key"])]
    assert not (await renew(app.runtime)).may_trade, "people were told that it is in force"


async def test_a_journal_that_outlived_its_freeze_does_not_freeze_again(app: App, database_url: str) -> None:
    (officer, _) = await signed_in(app, OFFICER, ADMIN)
    keeper: Keeper = app.app.state.latch
    with lock_held(database_url):
        made = await latched(officer, idempotency_key="once")
        (left,) = (await keeper._own.journal.read()).entries
    await stored(officer, made)
    await lifted(app, "FRZ-0001")
    async with app.runtime.database.transaction() as session:
        await holds.store_latched(session, app.runtime, left)
    assert rows(database_url, "SELECT status FROM freezes") == [("thawed",)]
