"""Trades that a recovery drill stores to see whether trades are taken: judged and stored as all others, and marked.

They show in the list of trades. No sum, no window, no rule, no KPI and no feed counts them, and nobody else may mark a
trade so.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller, Runtime
from backend.transactions.rows import CANARY_SOURCE, Rules, stored_values
from backend.transactions.store import inserting, rows_of_batch
from backend.transactions.tables import TransactionRow
from contract.transactions import TransactionIn

CANARY_CHAIN: Final = "canary"
"""No chain: what is asked about one that trades does not find them."""


async def store_canaries(
    session: AsyncSession, runtime: Runtime, caller: Caller, *, drill: str, hashes: Sequence[str]
) -> int:
    """Store one canary a hash; those that are stored already are left as they are. Answers with how many are new."""
    rules = Rules(now=runtime.clock.now(), outcome_of=runtime.policy.transactions.outcome_of, canaries=True)
    rows = [
        {"line": line, "id": runtime.clock.new_id(), **stored_values(_canary(runtime, drill, tx_hash), rules)}
        for line, tx_hash in enumerate(hashes, 1)
    ]
    found = (await session.execute(inserting(rows_of_batch(rows), runtime.clock.now(), None))).all()
    draft = AuditDraft(
        event_type="transactions.batch.stored",
        action="store canaries",
        resource_type="transactions",
        resource_id=drill,
        new_value={"imported": len(found), "unchanged": len(rows) - len(found), "source": CANARY_SOURCE},
    )
    await audit.record(session, runtime, caller, draft)
    return len(found)


def _canary(runtime: Runtime, drill: str, tx_hash: str) -> TransactionIn:
    return TransactionIn(
        chain=CANARY_CHAIN, tx_hash=tx_hash, block_time=runtime.clock.now(), source=CANARY_SOURCE, label=drill,
        profit_eth=Decimal(0), gas_cost_eth=Decimal(0),
    )  # fmt: skip


async def canaries_stored(session: AsyncSession, hashes: Sequence[str]) -> int:
    """How many of some canaries are there, as they were stored."""
    row = TransactionRow
    wanted = select(func.count()).where(
        row.chain == CANARY_CHAIN, row.tx_hash.in_(hashes), row.source == CANARY_SOURCE, row.profit_eth == Decimal(0)
    )
    return (await session.execute(wanted)).scalar_one()
