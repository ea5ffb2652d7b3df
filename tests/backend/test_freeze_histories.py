"""Random histories of freezes and thaws on the real database: nothing trades while a hold covers it."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from backend.context import Runtime
from backend.errors import WatchfloorError
from backend.freeze import service as freezes
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.errors import ErrorCode
from contract.freeze import FreezeMode, FreezeRequest, ThawApproval, ThawRequest
from contract.scope import Scope
from tests.support.holds import person, renew

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


@dataclass
class Model:
    """What must be true, kept by the simplest means: a list of holds."""

    scope: str
    mode: FreezeMode
    asked_by: str | None = None
    lifted: bool = False
    acked: set[str] = field(default_factory=set)

    def covers(self, bot: str) -> bool:
        chain, strategy, wallet = BOTS[bot]
        wanted = {"global", f"chain:{chain}", f"strategy:{strategy}", f"wallet:{wallet}", f"executor:{bot}"}
        return set(self.scope.lower().split("+")) <= {each.lower() for each in wanted}


class Histories(RuleBasedStateMachine):
    """Freezes, requests, approvals and withdrawals by anybody in any order, with renewals in between."""

    holds = Bundle("holds")
    runner: asyncio.Runner
    runtime: Runtime

    @initialize()
    def empty(self) -> None:
        self.model: dict[str, Model] = {}
        self.run(self._empty())

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    async def _empty(self) -> None:
        async with self.runtime.database.transaction() as session:
            await session.execute(text("TRUNCATE freezes, freeze_state, halt_acks, executors, executor_boots"))

    async def _do(self, act: Any, *args: Any) -> ErrorCode | None:
        try:
            async with self.runtime.database.transaction() as session:
                await act(session, self.runtime, *args)
        except WatchfloorError as refusal:
            return refusal.code
        return None

    @rule(target=holds, scope=st.sampled_from(SCOPES), mode=st.sampled_from(FreezeMode), by=st.sampled_from(PEOPLE))
    def freeze(self, scope: str, mode: FreezeMode, by: str) -> str:
        request = FreezeRequest(scope=Scope.parse(scope), mode=mode, reason="x")
        assert self.run(self._do(freezes.create, person(by), request)) is None
        ref = f"FRZ-{len(self.model) + 1:04d}"
        self.model[ref] = Model(scope, mode)
        return ref

    @rule(ref=holds, by=st.sampled_from(PEOPLE))
    def ask(self, ref: str, by: str) -> None:
        hold = self.model[ref]
        refused = self.run(self._do(freezes.request_thaw, person(by), ref, ThawRequest(reason="x")))
        possible = not hold.lifted and hold.asked_by in {None, by}
        assert refused is (None if possible else ErrorCode.CONFLICT)
        if possible:
            hold.asked_by = by

    @rule(ref=holds)
    def withdraw(self, ref: str) -> None:
        hold = self.model[ref]
        refused = self.run(self._do(freezes.withdraw_thaw, person("ada"), ref))
        possible = not hold.lifted and hold.asked_by is not None
        assert refused is (None if possible else ErrorCode.CONFLICT)
        if possible:
            hold.asked_by = None

    @rule(ref=holds, by=st.sampled_from(PEOPLE))
    def approve(self, ref: str, by: str) -> None:
        hold = self.model[ref]
        refused = self.run(self._do(freezes.approve_thaw, person(by), ref, ThawApproval()))
        if hold.lifted or hold.asked_by is None:
            assert refused is ErrorCode.CONFLICT
        elif hold.asked_by == by:
            assert refused is ErrorCode.SECOND_PERSON_REQUIRED
        else:
            assert refused is None
            hold.lifted = True

    @rule(ref=consumes(holds), asker=st.sampled_from(PEOPLE), approver=st.sampled_from(PEOPLE))
    def lift(self, ref: str, asker: str, approver: str) -> None:
        self.ask(ref, asker)
        self.approve(ref, approver)

    @invariant()
    def nothing_trades_under_a_hold(self) -> None:
        if not hasattr(self, "model"):
            return
        for bot, (chain, strategy, wallet) in BOTS.items():
            permit = self.run(renew(self.runtime, bot, chain=chain, strategy=strategy, wallet=wallet))
            over = {ref: hold for ref, hold in self.model.items() if not hold.lifted and hold.covers(bot)}
            modes = {hold.mode for hold in over.values()}
            assert {hold.freeze_ref for hold in permit.holds} == set(over)
            assert permit.epoch == len(self.model)
            assert permit.may_trade is modes.isdisjoint({FreezeMode.HALT, FreezeMode.CANCEL_ALL})
            assert (permit.mode is None) is (not over)


def test_no_history_lets_anybody_trade_under_a_hold(database_url: str) -> None:
    with asyncio.Runner() as runner:
        config = Settings(database_url=database_url, pool_size=1)
        runtime = build_runtime(config)
        try:
            run_state_machine_as_test(
                type("OnThisDatabase", (Histories,), {"runner": runner, "runtime": runtime}),
                settings=settings(
                    max_examples=12,
                    stateful_step_count=15,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
        finally:
            runner.run(runtime.database.close())
