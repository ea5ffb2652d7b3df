"""What other areas may ask of trades. Taking in: `intake`; reading: `queries`; this module is the area's door."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.standins import replace_name
from backend.transactions.canaries import canaries_stored, store_canaries
from backend.transactions.intake import Stored, commit_import, open_import, stage_rows, store_batch
from backend.transactions.queries import (
    HourSums,
    OutcomeSums,
    RecentSums,
    TradeSums,
    TransactionFilter,
    day_sums,
    hour_of,
    hourly_sums,
    last_delivery_at,
    list_transactions,
    midnight,
    outcome_totals,
    outcome_windows,
    recent_sums,
)
from backend.transactions.rows import hexadecimal_in_lower_case
from backend.transactions.store import Added
from backend.transactions.tables import Import

__all__ = [
    "Added",
    "HourSums",
    "OutcomeSums",
    "RecentSums",
    "Stored",
    "TradeSums",
    "TransactionFilter",
    "canaries_stored",
    "commit_import",
    "day_sums",
    "forget_person",
    "hexadecimal_in_lower_case",
    "hour_of",
    "hourly_sums",
    "last_delivery_at",
    "list_transactions",
    "midnight",
    "open_import",
    "outcome_totals",
    "outcome_windows",
    "recent_sums",
    "stage_rows",
    "store_batch",
    "store_canaries",
]


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood."""
    await replace_name(session, (Import.started_by,), name, stand_in)
