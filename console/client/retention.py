"""One function per route about what the ledger keeps: typed arguments in, contract models out. No rule lives here."""

from console.client.api import Api
from contract.base import Page
from contract.retention import ArchivedPartition, RetentionReport


async def retention(api: Api) -> RetentionReport:
    """What each log keeps and what is due to be dropped."""
    return await api.ask("ledger/retention", RetentionReport)


async def archives(api: Api, **asked: str | int | None) -> Page[ArchivedPartition]:
    """Partitions of which there are copies, by log and number; asked for as in the route's documentation."""
    return await api.ask("ledger/archives", Page[ArchivedPartition], asked)
