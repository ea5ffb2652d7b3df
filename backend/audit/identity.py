"""Which ledger a database holds, and whether this process may write to it. One row, made by the first backend."""

from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.tables import Ledger
from backend.context import Runtime
from backend.errors import ConfigurationError
from ledger.restored import Origin

_NAME_BYTES = 5
"""Two ledgers are told apart by name in front of the same witness."""


async def ledger_of(session: AsyncSession, runtime: Runtime) -> Ledger:
    """The database's ledger, made at first need.

    Raises:
        ConfigurationError: it was under a master key that this process does not have.
    """
    ledger = await session.scalar(select(Ledger))
    if ledger is None:
        await session.execute(text("LOCK TABLE audit_ledger IN EXCLUSIVE MODE"))
        ledger = await session.scalar(select(Ledger))
    if ledger is None:
        ledger = Ledger(
            name=f"watchfloor-{runtime.clock.random_bytes(_NAME_BYTES).hex()}",
            generation=1,
            master_key_id=runtime.keyring.master.current,
            created_at=runtime.clock.now(),
        )
        session.add(ledger)
        await session.flush()
    if not runtime.keyring.master.knows(ledger.master_key_id):
        raise ConfigurationError(
            f"This database's ledger is under master key {ledger.master_key_id}, this process has "
            f"{runtime.keyring.master.current}: set WATCHFLOOR_MASTER_KEY_FILE to the right one."
        )
    return ledger


async def ledger_began(session: AsyncSession) -> datetime | None:
    """When the database's ledger was made; None before."""
    began: datetime | None = await session.scalar(select(Ledger.created_at))
    return began


def origin_of(ledger: Ledger, log: str) -> str:
    """The origin line of a log's checkpoints; a restored ledger continues under a new one."""
    return str(Origin(ledger.name, log, ledger.generation))
