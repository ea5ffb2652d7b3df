"""What executors acknowledge over the connection: signed words, forged ones, and hundreds at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from backend.context import Runtime
from backend.executors import storing
from contract.gate import CloseCode
from tests.support.app import App
from tests.support.backends import serving
from tests.support.gate_line import Line, line
from tests.support.holds import freeze
from tests.support.people import ADMIN, EXECUTOR, sign_in


@pytest.fixture
async def url(app: App) -> AsyncIterator[str]:
    """The address of the application under test."""
    async with serving(app.app) as address:
        yield address


@pytest.fixture
async def token(app: App) -> str:
    """A machine's token."""
    return await sign_in(app.runtime, EXECUTOR)


async def rows(app: App, sql: str) -> list[Any]:
    async with app.runtime.database.read() as session:
        return list((await session.execute(text(sql))).all())


async def denied(app: App, event_type: str) -> int:
    [(count,)] = await rows(
        app,
        f"SELECT count(*) FROM audit_logs WHERE event_type = '{event_type}' AND result = 'denied'",  # noqa: S608
    )
    return int(count)


async def test_a_signed_acknowledgement_is_stored_as_it_came_and_its_fates_after_it(
    app: App, url: str, token: str
) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        made = await freeze(await app.as_(ADMIN))
        await bot.until("revoke")
        said = bot.acknowledgement(made.epoch, made.ref)
        answer = await bot.answer(seen_epoch=made.epoch, acknowledgement=said)
        assert answer["acked_epoch"] == made.epoch
        [ack] = await rows(app, "SELECT * FROM halt_acks")
        assert (ack.executor, ack.statement, ack.last_order_seq, ack.in_flight) == ("bot-1", said, 7, 2)
        assert (ack.nonces, ack.in_flight_ids, ack.open_orders) == ({"0xabc": 3}, ["0x01", "0x02"], 0)
        fates = [{"id": "0x01", "fate": "landed"}, {"id": "0xother", "fate": "expired"}]
        answer = await bot.answer(seen_epoch=made.epoch, acknowledgement=said, fates=fates)
        assert answer["fates_taken"] == answer["request_no"]
        assert await rows(app, "SELECT in_flight_id, fate, source FROM halt_fates") == [("0x01", "landed", "executor")]
    [entry] = await rows(app, "SELECT * FROM audit_logs WHERE event_type = 'freeze.halt.acknowledged'")
    [told] = entry.new_value["executors"]
    assert (told["executor"], told["signed"], entry.result) == ("bot-1", True, "success")


FORGERIES: dict[str, Callable[[Line, int, str], str]] = {
    "by another key": lambda bot, epoch, ref: bot.acknowledgement(epoch, ref, key=Ed25519PrivateKey.generate()),
    "of another executor": lambda bot, epoch, ref: bot.acknowledgement(epoch, ref, executor="bot-2"),
    "of another process": lambda bot, epoch, ref: bot.acknowledgement(epoch, ref, boot_id="earlier"),
    "of a freeze to come": lambda bot, epoch, ref: bot.acknowledgement(epoch + 1, ref),
    "of no freeze": lambda bot, _epoch, ref: bot.acknowledgement(0, ref),
    "with a changed word": lambda bot, epoch, ref: bot.acknowledgement(epoch, ref).replace(".", ".e30", 1),
    "of another version": lambda bot, epoch, ref: bot.acknowledgement(epoch, ref, v=2),
    "with a member too many": lambda bot, epoch, ref: bot.acknowledgement(epoch, ref, more=1),
    "that is none": lambda _bot, _epoch, _ref: "…",
    "that is a permit": lambda bot, _epoch, _ref: jwt.encode({}, bot.key, "EdDSA", {"kid": bot.boot_id}),
}


async def test_a_forged_acknowledgement_is_refused_told_and_never_counted(app: App, url: str, token: str) -> None:
    made = await freeze(await app.as_(ADMIN))
    for number, forge in enumerate(FORGERIES.values()):
        async with line(url, token, f"forger-{number}") as bot:
            await bot.renew()
            last, code = await bot.refused(acknowledgement=forge(bot, made.epoch, made.ref))
            assert last is not None
            assert (last["type"], last["code"], code) == ("refused", "not_allowed", CloseCode.REFUSED)
    assert await rows(app, "SELECT executor FROM halt_acks") == []
    assert await denied(app, "freeze.halt.acknowledged") == len(FORGERIES)


async def test_a_forger_that_goes_on_is_refused_each_time_and_told_of_once(app: App, url: str, token: str) -> None:
    made = await freeze(await app.as_(ADMIN))
    async with line(url, token) as own:
        await own.renew()
        word = own.acknowledgement(made.epoch, made.ref)
        await own.renew(acknowledgement=word)
    for _ in range(3):  # the old word again, from the process that took the name over
        async with line(url, token, boot_id="newer") as bot:
            bot.key = own.key
            _, code = await bot.refused(acknowledgement=word)
            assert code == CloseCode.REFUSED
    assert await denied(app, "freeze.halt.acknowledged") == 1


async def test_an_acknowledgement_counts_only_for_holds_it_names_and_obeys(app: App, url: str, token: str) -> None:
    admin = await app.as_(ADMIN)
    async with line(url, token) as bot:
        await bot.renew()
        first, second = await freeze(admin), await freeze(admin, "strategy:arbitrage")
        mild = bot.acknowledgement(second.epoch, first.ref, second.ref, mode="reduce-only")
        await bot.answer(acknowledgement=mild)
        assert await rows(app, "SELECT executor FROM halt_acks") == []
        early = bot.acknowledgement(first.epoch, first.ref, second.ref)
        await bot.answer(acknowledgement=early)
        assert await rows(app, "SELECT f.number FROM halt_acks a JOIN freezes f ON f.id = a.freeze_id") == [(1,)]


async def test_a_process_that_signs_is_not_taken_at_its_bare_word(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        made = await freeze(await app.as_(ADMIN))
        await bot.renew(halted_epoch=made.epoch)
        bot.signs = False  # nor when it keeps quiet about its key
        await bot.renew(halted_epoch=made.epoch)
    assert await rows(app, "SELECT executor FROM halt_acks") == []


async def test_a_process_keeps_its_key(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        bot.key = Ed25519PrivateKey.generate()
        last, code = await bot.refused()
        assert (last or {})["code"] == "conflict"
        assert code == CloseCode.REFUSED
    assert await denied(app, "executors.process.moved") == 1


async def test_what_is_repeated_while_it_is_stored_is_answered_and_stored_once(
    app: App, url: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, go_on = storing.acknowledge, asyncio.Event()
    batches: list[int] = []

    async def slow(runtime: Runtime, said: Sequence[Any]) -> None:
        batches.append(len(said))
        await go_on.wait()
        await real(runtime, said)

    monkeypatch.setattr(storing, "acknowledge", slow)
    async with line(url, token) as bot:
        await bot.renew()
        made = await freeze(await app.as_(ADMIN))
        word = bot.acknowledgement(made.epoch, made.ref)
        await bot.send(acknowledgement=word)
        for _ in range(3):  # a halt is told also while the word for it is on its way
            answer = await bot.answer(acknowledgement=word)
            assert (bot.claims(answer)["mode"], answer["acked_epoch"]) == ("halt", 0)
        go_on.set()
        while (await bot.answer(acknowledgement=word))["acked_epoch"] != made.epoch:
            pass
    assert batches == [1]


async def test_many_who_come_at_once_all_get_permits_and_halt_with_few_audit_entries(
    app: App, url: str, token: str
) -> None:
    count = 200
    async with contextlib.AsyncExitStack() as stack:
        bots = await asyncio.gather(
            *(stack.enter_async_context(line(url, token, f"bot-{number:03}")) for number in range(count))
        )
        permits = await asyncio.gather(*(bot.renew() for bot in bots))
        assert [permit["mode"] for permit in permits] == [None] * count
        made = await freeze(await app.as_(ADMIN), "global")
        await asyncio.gather(*(bot.until("revoke") for bot in bots))

        async def obey(bot: Line) -> int:
            said = bot.acknowledgement(made.epoch, made.ref)
            return int((await bot.answer(acknowledgement=said))["acked_epoch"])

        assert set(await asyncio.gather(*map(obey, bots))) == {made.epoch}
    assert await rows(app, "SELECT count(*) FROM halt_acks") == [(count,)]
    entries = await rows(app, "SELECT new_value FROM audit_logs WHERE event_type = 'freeze.halt.acknowledged'")
    told = [one["executor"] for entry in entries for one in entry.new_value["executors"]]
    assert sorted(told) == sorted(bot.name for bot in bots)
    assert len(entries) < count / 2
