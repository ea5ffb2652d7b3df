"""A small floor for histories of freezes and thaws: four bots, three people, and what the holds over them must do.

Decides by the plainest means, never by the code it checks.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import text

from backend.alerts import service as alerts
from backend.context import Runtime
from backend.errors import WatchfloorError
from backend.freeze import service as freezes
from backend.freeze import thaw_monitor
from contract.alerts import Severity
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeMode, FreezeRequest, ThawApproval, ThawRequest
from contract.gate import Permit
from contract.scope import Scope
from tests.support.app import SYSTEM
from tests.support.holds import person, renew

STAGED = str(Path(__file__).with_name("staged.toml"))
"""A policy whose stages last until somebody ends them."""
CHAINS = ("arbitrum", "base")
STRATEGIES = ("arbitrage", "liquidation")
BOTS = {f"{chain}-{strategy}": (chain, strategy, f"0x{chain}{strategy}") for chain in CHAINS for strategy in STRATEGIES}
SCOPES = (
    "global",
    *(f"chain:{chain}" for chain in CHAINS),
    *(f"strategy:{strategy.upper()}" for strategy in STRATEGIES),
    "wallet:0xARBITRUMarbitrage",
    "executor:base-arbitrage",
    "chain:Arbitrum+strategy:liquidation",
    "chain:base+executor:base-liquidation",
    "chain:base+executor:arbitrum-liquidation",
)
PEOPLE = ("ada", "ben", "cleo")
STOPS = frozenset({FreezeMode.HALT, FreezeMode.CANCEL_ALL})


def covers(scope: str, bot: str) -> bool:
    """Whether a scope covers a bot, by comparing words."""
    chain, strategy, wallet = BOTS[bot]
    wanted = {"global", f"chain:{chain}", f"strategy:{strategy}", f"wallet:{wallet}", f"executor:{bot}"}
    return set(scope.lower().split("+")) <= {each.lower() for each in wanted}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the screen shows that an approval is bound to."""

    holds: frozenset[str]
    alerts: frozenset[str]
    bots: frozenset[str]
    epoch: int

    @classmethod
    def of(cls, shown: Freeze) -> "Seen":
        """What a detail shows."""
        thaw = shown.thaw
        assert thaw is not None
        return cls(
            holds=frozenset(thaw.other_holds),
            alerts=frozenset(alert.id for alert in thaw.alerts),
            bots=frozenset(name for stage in thaw.stages for name in stage.executor_names),
            epoch=shown.epoch,
        )


@dataclass
class World:
    """The floor, as one backend serves it."""

    runtime: Runtime
    shown: dict[str, str] = field(default_factory=dict)
    """The digest each freeze showed when somebody last looked."""

    async def act(self, what: Any, *arguments: Any) -> Freeze | ErrorCode:
        """Take one step through the services; a refusal is its code."""
        try:
            async with self.runtime.database.transaction() as session:
                done: Freeze = await what(session, self.runtime, *arguments)
        except WatchfloorError as refusal:
            return refusal.code
        return done

    async def freeze(self, by: str, scope: str, mode: FreezeMode) -> Freeze:
        """Freeze as a person."""
        made = await self.act(
            freezes.create, person(by), FreezeRequest(scope=Scope.parse(scope), mode=mode, reason="x")
        )
        assert isinstance(made, Freeze), made
        return made

    async def look(self, ref: str) -> Freeze:
        """Open a freeze on the screen."""
        async with self.runtime.database.read() as session:
            found = await freezes.get_freeze(session, self.runtime, ref)
        if found.thaw is not None:
            self.shown[ref] = found.thaw.digest
        return found

    async def ask(self, by: str, ref: str) -> Freeze | ErrorCode:
        """Ask for a thaw."""
        return await self.act(freezes.request_thaw, person(by), ref, ThawRequest(reason="x"))

    async def approve(self, by: str, ref: str, digest: str | None) -> Freeze | ErrorCode:
        """Approve a thaw."""
        return await self.act(freezes.approve_thaw, person(by), ref, ThawApproval(digest=digest))

    async def stop(self, by: str, ref: str) -> Freeze | ErrorCode:
        """Withdraw a request, or break a thaw off."""
        return await self.act(freezes.withdraw_thaw, person(by), ref)

    async def tick(self) -> None:
        """One round of the monitor of thaws."""
        async with self.runtime.database.transaction() as session:
            await thaw_monitor.tick(session, self.runtime)

    async def pass_time(self, column: str, ref: str) -> None:
        """Let an hour pass on the database's clock, for one instant of one freeze."""
        moved = f"UPDATE freezes SET {column} = {column} - interval '1 hour' WHERE number = :number"  # noqa: S608  ours
        async with self.runtime.database.transaction() as session:
            await session.execute(text(moved), {"number": int(ref.removeprefix("FRZ-"))})

    async def raise_alert(self, name: str, scope: str) -> None:
        """A critical alert."""
        draft = alerts.AlertDraft(
            fingerprint=name, rule="TEST", severity=Severity.CRITICAL, scope=Scope.parse(scope), message="x"
        )
        async with self.runtime.database.transaction() as session:
            await alerts.raise_alert(session, self.runtime, SYSTEM, draft)

    async def permit(self, bot: str) -> Permit:
        """One renewal of a bot."""
        chain, strategy, wallet = BOTS[bot]
        return await renew(self.runtime, bot, chain=chain, strategy=strategy, wallet=wallet)

    async def sweep(self) -> None:
        """Begin afresh: no hold is in force and no alert is open. Numbers and epochs go on."""
        async with self.runtime.database.transaction() as session:
            lifted = "UPDATE freezes SET status = 'thawed', thawed_at = clock_timestamp(), thaw_released = NULL"
            await session.execute(text(lifted))
            await session.execute(text("UPDATE alerts SET status = 'cleared'"))
