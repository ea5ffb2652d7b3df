"""Shortcuts for tests of trades and risk."""

import secrets
from datetime import datetime
from decimal import Decimal
from typing import Any

from backend.context import Caller
from backend.intake import service as intake
from backend.risk import service as risk
from contract.risk import Measure, RiskRule, RiskSnapshot
from contract.scope import Scope
from contract.transactions import BatchRequest, ImportResult, TransactionIn
from tests.support.app import App

SENDER = Caller(
    subject="olga", kind="user", role="mev_operator", permissions=frozenset(), request_id="test", ip="127.0.0.1"
)


def trade(at: datetime, **changes: Any) -> TransactionIn:
    """A successful arbitrage on arbitrum that earned a little."""
    usual: dict[str, Any] = {
        "chain": "arbitrum",
        "tx_hash": f"0x{secrets.token_hex(32)}",
        "block_time": at,
        "wallet": "0xaa",
        "strategy": "arbitrage",
        "profit_eth": Decimal("0.01"),
        "gas_cost_eth": Decimal("0.001"),
        "status": "success",
    }
    return TransactionIn(**(usual | changes))


async def store(app: App, *trades: TransactionIn) -> ImportResult:
    """Store trades as one batch, as the route does."""
    async with app.runtime.database.transaction() as session:
        return await intake.store_batch(session, app.runtime, SENDER, BatchRequest(transactions=list(trades)))


async def assess(app: App) -> RiskSnapshot:
    """One round of the risk monitor."""
    async with app.runtime.database.transaction() as session:
        return await risk.assess(session, app.runtime)


def measure(snapshot: RiskSnapshot, rule: RiskRule, scope: str = "global") -> Measure:
    """One measure of a snapshot."""
    wanted = Scope.parse(scope)
    return next(one for one in snapshot.measures if one.rule is rule and one.scope == wanted)
