"""The largest trade of a permit: the policy's word, or less by the executor's token, held against every send."""

from decimal import Decimal

import pytest
from sqlalchemy import select, update

from backend.auth import accounts
from backend.auth.tables import ServiceToken
from backend.errors import WatchfloorError
from backend.policy.access import Restrictions
from contract.errors import ErrorCode
from contract.permissions import Permission
from gate import AsyncGate, Reason
from tests.backend.test_gate_whole import PLACE, until
from tests.support.app import SYSTEM, App
from tests.support.backends import serving

NAME = "sized"
TOKEN = "wfs_a-token-with-a-limit"


async def _issued(app: App, limit: Decimal | None, *permissions: Permission) -> Decimal | None:
    async with app.runtime.database.transaction() as session:
        await accounts.ensure_service_token(
            session,
            app.runtime,
            SYSTEM,
            name=NAME,
            permissions=permissions or (Permission.RENEW_PERMIT,),
            token=TOKEN,
            max_trade_eth=limit,
        )
    async with app.runtime.database.read() as session:
        return await session.scalar(select(ServiceToken.max_trade_eth))


async def test_a_token_carries_the_operators_limit_or_a_lower_one(app: App) -> None:
    assert app.runtime.policy.executor_max_trade_eth == 10
    assert await _issued(app, None) == 10
    assert await _issued(app, Decimal("0.25")) == Decimal("0.25")
    assert await _issued(app, Decimal(10)) == 10
    assert await _issued(app, None, Permission.IMPORT_TRANSACTIONS) is None, "it trades nothing"
    for impossible in (Decimal("10.000000000000000001"), Decimal(0), Decimal(-1), Decimal("NaN")):
        with pytest.raises(WatchfloorError) as refused:
            await _issued(app, impossible)
        assert refused.value.code is ErrorCode.INVALID_REQUEST


async def test_the_gate_keeps_larger_trades_back_and_hears_of_a_lower_limit(app: App) -> None:
    await _issued(app, None)
    async with serving(app.app) as url, AsyncGate(url, TOKEN, executor="bot", **PLACE) as gate:
        await until(lambda: gate.may_send(amount_eth=Decimal(10)), "the policy's limit")
        assert gate.may_send(amount_eth=Decimal("10.000000000000000001")).reason is Reason.TOO_LARGE
        assert gate.may_send().reason is Reason.AMOUNT_MISSING
        async with app.runtime.database.transaction() as session:
            await session.execute(update(ServiceToken).values(max_trade_eth=Decimal("0.5")))
        await until(
            lambda: gate.may_send(amount_eth=Decimal(10)).reason is Reason.TOO_LARGE, "the connection is made anew"
        )
        await until(lambda: gate.may_send(amount_eth=Decimal("0.5")), "it trades on within the limit")


async def test_a_lower_limit_of_the_policy_counts_for_tokens_issued_before(app: App) -> None:
    await _issued(app, None)
    policy = app.runtime.policy
    role = policy.roles[policy.access.executor_role]
    assert role.restrictions == Restrictions(max_trade_size_eth=Decimal(10), require_2fa=True)
    granter = app.app.state.desk._granter
    granter._max_trade_eth = Decimal("2.50")
    assert granter._limit(Decimal(10)) == "2.5"
    assert granter._limit(Decimal(1)) == "1"
    assert granter._limit(None) == "2.5"
    granter._max_trade_eth = None
    assert granter._limit(None) is None
