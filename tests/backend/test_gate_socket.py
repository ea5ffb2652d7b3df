"""The connection of an executor: permits, revocations, refusals, and everything that must not pass."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI, WebSocket
from sqlalchemy import text, update
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from backend.auth.tables import ServiceToken
from backend.executors import socket
from backend.executors.signing import PERMIT_TYPE
from backend.guard import refuse_unguarded_routes
from contract.gate import CloseCode
from contract.states import FreezeMode
from tests.support.app import App, started_app
from tests.support.backends import serving
from tests.support.gate_line import LIMIT_S, line
from tests.support.holds import approve, ask_for_thaw, freeze, renew
from tests.support.people import ADMIN, EXECUTOR, OFFICER, sign_in


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


async def test_a_permit_is_signed_and_says_what_was_asked(url: str, token: str) -> None:
    async with line(url, token) as bot:
        answer = await bot.answer()
        claims = bot.claims(answer)
        assert (answer["acked_epoch"], answer["fates_taken"]) == (0, 0)
        said = {"v": 1, "executor": "bot-1", "boot_id": bot.boot_id, "request_no": 1, "mode": None, "epoch": 0}
        assert claims.items() >= said.items()
        assert claims["holds"] == []
        assert claims["issued_at"].endswith("Z")
        [key] = bot.trusted.values()
        # somebody else's reader, which is told the algorithm and never asks the header
        assert jwt.decode(answer["permit"], Ed25519PublicKey.from_public_bytes(key), algorithms=["EdDSA"]) == claims
        assert jwt.get_unverified_header(answer["permit"])["typ"] == PERMIT_TYPE
        again = await bot.renew()
        assert again["request_no"] == 2


async def test_a_freeze_at_one_backend_is_pushed_by_the_other(app: App, database_url: str, token: str) -> None:
    async with started_app(database_url) as second, serving(second.app) as there, line(there, token) as bot:
        assert (await bot.renew())["mode"] is None
        made = await freeze(await app.as_(ADMIN), mode="cancel-all")
        pushed = await bot.until("revoke")
        held = [{"freeze_ref": made.ref, "epoch": made.epoch, "mode": "cancel-all", "drill": False}]
        assert pushed == {"type": "revoke", "epoch": made.epoch, "mode": "cancel-all", "holds": held}
        claims = await bot.renew(seen_epoch=made.epoch)
        assert (claims["mode"], claims["epoch"], claims["holds"]) == ("cancel-all", made.epoch, held)
        [(seen,)] = await rows(app, "SELECT seen_epoch FROM executors")
        assert seen == made.epoch


async def test_what_is_not_covered_hears_nothing_and_a_lifted_hold_lets_go(app: App, url: str, token: str) -> None:
    admin = await app.as_(ADMIN)
    async with line(url, token, "here") as here, line(url, token, "there") as there:
        assert (await here.renew())["mode"] is (await there.renew(chain="base"))["mode"] is None
        made = await freeze(admin, "chain:arbitrum")
        assert (await here.until("revoke"))["epoch"] == made.epoch
        number = await there.send(chain="base")
        first = await there.heard()
        assert (first["type"], first["request_no"]) == ("permit", number)
        assert (await here.renew())["mode"] == "halt"
    async with line(url, token, "here", boot_id=here.boot_id, key=here.key, asked=here.asked) as back:
        assert (await back.renew())["mode"] == "halt"


async def test_a_second_hold_is_pushed_and_says_both(app: App, url: str, token: str) -> None:
    admin = await app.as_(ADMIN)
    async with line(url, token) as bot:
        await bot.renew()
        await freeze(admin, mode="reduce-only")
        assert (await bot.until("revoke"))["mode"] == "reduce-only"
        assert (await bot.renew())["mode"] == "reduce-only"
        await freeze(admin, "strategy:arbitrage")
        pushed = await bot.until("revoke")
        assert (pushed["epoch"], pushed["mode"], [hold["epoch"] for hold in pushed["holds"]]) == (2, "halt", [1, 2])


async def test_a_takeover_ends_the_old_process_on_whichever_backend_it_is(
    app: App, url: str, database_url: str, token: str
) -> None:
    async with (
        started_app(database_url) as second,
        serving(second.app) as there,
        line(url, token) as old,
        line(there, token) as new,
    ):
        await old.renew()
        await new.renew()
        last, code = await old.refused()
        assert "newer process" in (last or {})["message"]
        assert code == CloseCode.REFUSED
        assert (await new.renew())["mode"] is None


async def test_a_request_is_answered_from_a_read_that_began_after_it(app: App, url: str, token: str) -> None:
    looker = app.app.state.desk._looker
    real, reading, go_on = looker.look, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any) -> Any:
        found = await real(*args)
        if args[1]:
            reading.set()
            await go_on.wait()
        return found

    async with line(url, token, "early") as early, line(url, token, "late") as late:
        await asyncio.gather(early.renew(), late.renew())
        looker.look = slow
        first = await early.send()
        await reading.wait()
        second = await late.send()
        made = await freeze(await app.as_(ADMIN))
        go_on.set()
        assert early.claims(await early.answer_to(first))["epoch"] < made.epoch
        assert late.claims(await late.answer_to(second))["mode"] == "halt"
        assert (await early.until("revoke"))["epoch"] == made.epoch


async def test_while_the_state_cannot_be_read_nobody_is_answered(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        async with app.runtime.database.transaction() as session:
            await session.execute(text("LOCK TABLE freezes IN ACCESS EXCLUSIVE MODE"))
            number = await bot.send()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2.5):
                    await bot.answer_to(number)
        assert (await bot.renew())["mode"] is None


async def test_a_state_older_than_one_already_seen_permits_nothing(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        await freeze(await app.as_(ADMIN), "chain:base")
        assert (await bot.renew())["epoch"] == 1
        async with app.runtime.database.transaction() as session:
            await session.execute(text("UPDATE freeze_state SET epoch = 0"))
        number = await bot.send()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await bot.answer_to(number)


async def test_a_latched_freeze_is_pushed_and_nobody_may_send_while_it_waits(app: App, url: str, token: str) -> None:
    from backend.latched import LatchedHold
    from contract.scope import Scope

    async with line(url, token, "covered") as covered, line(url, token, "other") as other:
        await asyncio.gather(covered.renew(), other.renew(chain="base"))
        hold = LatchedHold(app.runtime.clock.new_id(), Scope.parse("chain:arbitrum"), FreezeMode.CANCEL_ALL)
        assert app.runtime.latched.latch(hold) == 1
        pushed = await covered.until("revoke")
        latched = {"freeze_ref": "LATCHED", "epoch": None, "mode": "cancel-all", "drill": False}
        assert pushed == {"type": "revoke", "epoch": None, "mode": "cancel-all", "holds": [latched]}
        assert (await covered.renew())["mode"] == "cancel-all"
        assert (await other.renew(chain="base"))["mode"] == "halt"
        assert (await renew(app.runtime, "third", chain="base")).may_trade is False
        async with line(url, token, "late") as late:
            await late.send()
            assert (await late.heard())["type"] == "revoke"
        app.runtime.latched.let_go(hold.id)
        assert (await other.renew(chain="base"))["mode"] is None


async def test_only_machines_with_the_permission_are_let_in(app: App, url: str, token: str) -> None:
    for wrong, status in (("", 401), ("wfs_nobody", 401), (await sign_in(app.runtime, ADMIN), 403)):
        with pytest.raises(InvalidStatus) as refused:
            async with line(url, wrong):
                pass
        assert refused.value.response.status_code == status
        assert set(json.loads(refused.value.response.body or b"{}")) == {"code", "message", "hint", "request_id"}
    with pytest.raises(InvalidStatus) as unnamed:
        await connect(
            f"{url.replace('http', 'ws')}/v1/gate/connect",
            additional_headers={"Authorization": f"Bearer {token}"},
            proxy=None,
        )
    assert unnamed.value.response.status_code == 422
    assert await denied(app, "auth.permission.denied") == 1


async def test_an_ended_token_closes_its_connections(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        async with app.runtime.database.transaction() as session:
            await session.execute(update(ServiceToken).values(disabled=True))
        last, code = await bot.closed()
        assert (last or {})["code"] == "not_authenticated"
        assert code == CloseCode.REFUSED


async def test_a_client_that_does_not_read_is_cut_and_holds_up_nobody(
    app: App, url: str, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "SEND_LIMIT_S", 0.2)
    async with line(url, token, "deaf") as deaf, line(url, token, "fine") as fine:
        await asyncio.gather(deaf.renew(), fine.renew())
        [connection] = [one for one in app.app.state.gates._open if one.request.executor == "deaf"]
        deaf.connection.transport.pause_reading()
        filler = b'{"type":"revoke","epoch":1,"mode":"halt","holds":[]}' + b" " * 60_000
        async with asyncio.timeout(LIMIT_S):
            while connection in app.app.state.gates._open:
                for _ in range(4):
                    connection.say(filler)
                await asyncio.sleep(0.01)
        assert (await fine.renew())["mode"] is None
        deaf.connection.transport.resume_reading()


async def test_a_silent_connection_is_closed(url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "SILENCE_LIMIT_S", 0.1)
    async with line(url, token) as bot:
        _, code = await bot.closed()
        assert code == CloseCode.SILENT


async def test_there_is_an_end_to_connections(url: str, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "MAX_CONNECTIONS", 1)
    async with line(url, token, "first") as first:
        with pytest.raises((ConnectionClosed, KeyError)):
            async with line(url, token, "second"):
                pass
        assert (await first.renew())["mode"] is None


async def test_a_server_process_that_stands_still_is_left_behind(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        [(pid,)] = await rows(app, "SELECT pid FROM pg_stat_activity WHERE application_name = 'watchfloor permits'"
                                   " AND datname = current_database()")  # fmt: skip
        os.kill(pid, signal.SIGSTOP)
        try:
            number = await bot.send()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await bot.answer_to(number)
            assert (await bot.renew())["mode"] is None  # from a read over another connection
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_websocket_without_a_stated_permission_stops_the_start() -> None:
    unguarded = FastAPI()

    @unguarded.websocket("/open")
    async def anybody(websocket: WebSocket) -> None: ...

    with pytest.raises(RuntimeError, match="/open"):
        refuse_unguarded_routes(unguarded)


async def test_a_thaw_reaches_the_connection_with_the_next_permit(app: App, url: str, token: str) -> None:
    admin, officer = await app.as_(ADMIN), await app.as_(OFFICER)
    async with line(url, token) as bot:
        await bot.renew()
        made = await freeze(admin)
        await bot.until("revoke")
        await ask_for_thaw(admin, made.ref)
        await approve(officer, made.ref)
        [(status,)] = await rows(app, "SELECT status FROM freezes")
        held = status != "thawed" and not await rows(app, "SELECT 1 FROM freezes WHERE thaw_released ? 'bot-1'")
        assert (await bot.renew())["mode"] == ("halt" if held else None)


async def test_of_what_comes_too_fast_the_newest_is_answered(app: App, url: str, token: str) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        numbers = [await bot.send() for _ in range(200)]
        answered: list[int] = []
        async with asyncio.timeout(LIMIT_S):
            while not answered or answered[-1] != numbers[-1]:
                answered.append((await bot.until("permit"))["request_no"])
    assert answered == sorted(set(answered))
    assert len(answered) < len(numbers)


@pytest.mark.parametrize("sent_before", [0, 5], ids=["in time", "too fast"])
async def test_bytes_are_no_message(url: str, token: str, sent_before: int) -> None:
    async with line(url, token) as bot:
        await bot.renew()
        for _ in range(sent_before):
            await bot.send()
        await bot.connection.send(b"{}")
        last, code = await bot.closed()
    assert ((last or {})["type"], code) == ("refused", CloseCode.MALFORMED)
