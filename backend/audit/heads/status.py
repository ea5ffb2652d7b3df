"""How signing and witnessing stand, from what the leader wrote down. Any process may ask; reads only."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.checkpoints import latest_checkpoint, witnessed_size
from backend.audit.faults import Fault, open_faults
from backend.audit.heads.configured import witness_names
from backend.audit.heads.keeping import SIGNER
from backend.audit.heads_tables import Keeper, SignedHead
from backend.audit.identity import origin_of
from backend.audit.tables import Ledger, LedgerHead
from backend.context import Runtime


@dataclass(frozen=True, slots=True)
class KeeperState:
    """The signer or one witness."""

    name: str
    problem: str | None
    """None while it does its work; a witness nobody has talked to yet has one."""
    since: datetime | None


@dataclass(frozen=True, slots=True)
class LogState:
    """One log."""

    log: str
    origin: str
    size: int
    signed: int
    witnessed: int
    unwitnessed_since: datetime | None
    """When the oldest head was signed that too few witnesses hold; None when there is none."""


@dataclass(frozen=True, slots=True)
class HeadStatus:
    """Everything that can be wrong with heads."""

    faults: tuple[Fault, ...]
    signer: KeeperState
    witnesses: tuple[KeeperState, ...]
    logs: tuple[LogState, ...]
    required: int

    @property
    def working(self) -> int:
        """How many witnesses do their work."""
        return sum(one.problem is None for one in self.witnesses)

    @property
    def unheld(self) -> list[str]:
        """Logs of which no head is held by the witnesses that are needed: their past cannot be checked from outside."""
        return [log.log for log in self.logs if log.size and not log.witnessed] if self.required else []

    def sentence(self) -> str:
        """One plain sentence for a probe."""
        if self.faults:
            return str(self.faults[0])
        if self.signer.problem is not None:
            return f"The ledger's heads are unsigned: {self.signer.problem}"
        if self.working < self.required:
            return f"The ledger's heads are signed, but {self.working} of {self.required} witnesses needed hold them."
        if self.unheld:
            logs = f"log{'s' if len(self.unheld) > 1 else ''} {', '.join(self.unheld)}"
            who = "a witness" if self.required == 1 else f"{self.required} witnesses"
            return f"The ledger's heads are signed; no head of the {logs} is held by {who} yet."
        return f"The ledger's heads are signed and held by {self.working} of {len(self.witnesses)} witnesses."


async def head_status(session: AsyncSession, runtime: Runtime) -> HeadStatus:
    """Read how things stand."""
    keepers = {row.name: row for row in await session.scalars(select(Keeper))}
    signers = [row for row in keepers.values() if row.kind == SIGNER]
    signer = _state(signers[0].name if signers else "the signer", signers[0] if signers else None)
    required = runtime.policy.ledger.witnesses
    return HeadStatus(
        faults=tuple(await open_faults(session)),
        signer=signer,
        witnesses=tuple(_state(name, keepers.get(name)) for name in witness_names(runtime.settings.witnesses)),
        logs=tuple(await _logs(session, required)),
        required=required,
    )


def _state(name: str, row: Keeper | None) -> KeeperState:
    if row is None:
        return KeeperState(name, "Nobody has asked it yet.", None)
    return KeeperState(name, row.problem, row.since)


async def _logs(session: AsyncSession, required: int) -> list[LogState]:
    ledger = await session.scalar(select(Ledger))
    if ledger is None:
        return []
    found = []
    for head in await session.scalars(select(LedgerHead).order_by(LedgerHead.log)):
        origin = origin_of(ledger, head.log)
        newest = await latest_checkpoint(session, origin)
        signed = newest.size if newest else 0
        witnessed = await witnessed_size(session, origin, required)
        oldest = (
            select(SignedHead.signed_at)
            .where(SignedHead.origin == origin, SignedHead.size > witnessed)
            .order_by(SignedHead.size)
            .limit(1)
        )
        found.append(LogState(head.log, origin, head.size, signed, witnessed, await session.scalar(oldest)))
    return found
