"""Shortcuts for tests of freezes: renewals, freezes and thaws through the real services."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import text

from backend.context import Caller, Runtime
from backend.errors import WatchfloorError
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeStatus
from contract.gate import Permit, RenewRequest
from tests.support.app import DESKS, SWIFT
from tests.support.people import Person, sign_in

ASKED_TIMES = 20
"""Half a minute and more: each waits up to two seconds for its answer."""
_STORED_TURNS = 600
"""Half a minute."""
MACHINE = Caller(
    subject="executor:test", kind="service", role="service", permissions=frozenset(), request_id="test", ip="127.0.0.1"
)


def person(name: str) -> Caller:
    """A signed-in person, for calling services directly."""
    return Caller(subject=name, kind="user", role="mev_admin", permissions=frozenset(), request_id="test")


def renewal(name: str = "bot-1", **changes: Any) -> RenewRequest:
    """A renewal of an executor that trades arbitrage on arbitrum."""
    usual: dict[str, Any] = {
        "executor": name,
        "chain": "arbitrum",
        "strategy": "arbitrage",
        "wallet": f"0xab{name}",
        "boot_id": "boot-1",
        "position_eth": Decimal("3.5"),
        "open_orders": 2,
        "in_flight": 1,
    }
    return RenewRequest(**(usual | changes))


async def renew(runtime: Runtime, name: str = "bot-1", **changes: Any) -> Permit:
    """A renewal of an executor at a running application, asked for again while a busy machine has no answer in time."""
    for _ in range(ASKED_TIMES):
        try:
            return (await DESKS[id(runtime)].renew(MACHINE, renewal(name, **changes))).spelled_out()
        except WatchfloorError as error:
            if error.code not in {ErrorCode.UNAVAILABLE, ErrorCode.BUSY}:
                raise
    raise AssertionError(f"{name} was never answered")


async def renew_over_http(client: httpx.AsyncClient, body: dict[str, Any]) -> httpx.Response:
    """The answer to a renewal over HTTP, asked for again while a busy machine has none in time."""
    for _ in range(ASKED_TIMES):
        answer = await client.post("/v1/gate/renew", json=body)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
    return answer


async def hold_position(runtime: Runtime, name: str, eth: Decimal, **changes: Any) -> None:
    """Have an executor report a position until it is stored: a report that changes again at once waits a second."""
    for _ in range(_STORED_TURNS):
        await renew(runtime, name, position_eth=eth, **changes)
        async with runtime.database.read() as session:
            known = await session.scalar(text("SELECT position_eth FROM executors WHERE name = :name"), {"name": name})
        if known == eth:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the position of {name} was never stored")


async def freeze(client: httpx.AsyncClient, scope: str = "chain:arbitrum", **body: Any) -> Freeze:
    """Freeze over HTTP."""
    kind, _, name = scope.partition(":")
    request = {"scope": {"kind": kind, "name": name}, "reason": "losses nobody can explain"} | body
    answer = await client.post("/v1/freezes", json=request)
    made = Freeze.model_validate(answer.json()) if answer.is_success else None
    assert made is not None, answer.text
    return await stored(client, made)


async def stored(client: httpx.AsyncClient, made: Freeze) -> Freeze:
    """A freeze once it is in the database, which one that was latched on a busy machine is a moment later."""
    for _ in range(_STORED_TURNS):
        if made.status is not FreezeStatus.LATCHED:
            return made
        await asyncio.sleep(0.05)
        made = Freeze.model_validate((await client.get(f"/v1/freezes/{made.id}")).json())
    raise AssertionError(f"never put into the database: {made}")


async def ask_for_thaw(client: httpx.AsyncClient, ref: str, reason: str = "explained and fixed") -> httpx.Response:
    """Request a thaw over HTTP."""
    return await client.post(f"/v1/freezes/{ref}/thaw", json={"reason": reason})


async def shown_digest(client: httpx.AsyncClient, ref: str) -> str:
    """The digest of what lifting a freeze means now, as its screen shows it."""
    thaw = (await client.get(f"/v1/freezes/{ref}")).json().get("thaw")
    return str(thaw["digest"]) if thaw else "0" * 64


async def approve(client: httpx.AsyncClient, ref: str, **body: Any) -> httpx.Response:
    """Approve a thaw over HTTP: what is shown at the moment, unless the body names another digest.

    On a busy machine an executor may fall silent between the two, which changes what is approved: then look again.
    """
    for _ in range(ASKED_TIMES):
        shown = body.get("digest") or await shown_digest(client, ref)
        answer = await client.post(f"/v1/freezes/{ref}/thaw/approve", json=body | {"digest": shown})
        if answer.status_code != httpx.codes.CONFLICT or "digest" in body or await shown_digest(client, ref) == shown:
            break
    return answer


def tokens(database_url: str, *people: Person) -> list[str]:
    """Tokens of people and machines for backends that run in processes of their own."""

    async def sign_all_in() -> list[str]:
        config = Settings(database_url=database_url, pool_size=1, policy=SWIFT)
        runtime = build_runtime(config)
        try:
            return [await sign_in(runtime, who) for who in people]
        finally:
            await runtime.database.close()

    return asyncio.run(sign_all_in())
