"""Stores trades and lets risk judge the past days they touched, in one transaction: an import and its alerts appear
together. Owns no table and no rule of its own.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from backend.risk import service as risk
from backend.transactions import service as transactions
from contract.transactions import BatchRequest, ImportResult


async def store_batch(session: AsyncSession, runtime: Runtime, caller: Caller, request: BatchRequest) -> ImportResult:
    """Store a batch whole or not at all."""
    stored = await transactions.store_batch(session, runtime, caller, request)
    await risk.judge_past_days(session, runtime, caller, stored)
    return stored.result


async def commit_import(
    session: AsyncSession, runtime: Runtime, caller: Caller, import_id: str, *, skip_bad: bool
) -> ImportResult:
    """Store a staged file whole; with `skip_bad`, without its refused lines."""
    stored = await transactions.commit_import(session, runtime, caller, import_id, skip_bad=skip_bad)
    await risk.judge_past_days(session, runtime, caller, stored)
    return stored.result
