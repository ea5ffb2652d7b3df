"""What other areas may ask of trades. Taking in: `intake`; reading: `queries`; this module is the area's door."""

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
    list_transactions,
    midnight,
    outcome_totals,
    outcome_windows,
    recent_sums,
)
from backend.transactions.rows import hexadecimal_in_lower_case
from backend.transactions.store import Added

__all__ = [
    "Added",
    "HourSums",
    "OutcomeSums",
    "RecentSums",
    "Stored",
    "TradeSums",
    "TransactionFilter",
    "commit_import",
    "day_sums",
    "hexadecimal_in_lower_case",
    "hour_of",
    "hourly_sums",
    "list_transactions",
    "midnight",
    "open_import",
    "outcome_totals",
    "outcome_windows",
    "recent_sums",
    "stage_rows",
    "store_batch",
]
