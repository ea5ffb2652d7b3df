"""Random histories of freezes and thaws on the real database: nothing trades while a hold covers it.

Hypothesis plans histories one step after the other and checks each answer; `tests.support.freeze_histories` has several
steps at once on two backends. WATCHFLOOR_HISTORIES says how many of each.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeMode, FreezeStatus
from tests.support.app import started_app
from tests.support.freeze_histories import histories
from tests.support.freeze_world import BOTS, PEOPLE, SCOPES, STAGED, STOPS, Seen, World, covers

COUNT = int(os.environ.get("WATCHFLOOR_HISTORIES", "6"))
WHO = st.sampled_from(PEOPLE)


@dataclass
class Model:
    """What must be true of one hold."""

    scope: str
    mode: FreezeMode
    status: FreezeStatus = FreezeStatus.ACTIVE
    asked_by: str | None = None
    asked_about: Seen | None = None
    lapsed: bool = False
    free: frozenset[str] = frozenset()
    """Bots that its thaw has let go first."""

    def over(self, bot: str) -> bool:
        """Whether it holds a bot."""
        return self.status is not FreezeStatus.THAWED and covers(self.scope, bot) and bot not in self.free

    def back(self) -> None:
        """In force as if nobody had asked."""
        self.status, self.asked_by, self.asked_about = FreezeStatus.ACTIVE, None, None
        self.lapsed, self.free = False, frozenset()


class Histories(RuleBasedStateMachine):
    """Steps by anybody in any order, with renewals in between."""

    holds = Bundle("holds")
    runner: asyncio.Runner
    world: World

    @initialize()
    def empty(self) -> None:
        self.model: dict[str, Model] = {}
        self.alerts = 0
        self.run(self.world.sweep())
        for bot in BOTS:
            self.run(self.world.permit(bot))

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    @rule(target=holds, scope=st.sampled_from(SCOPES), mode=st.sampled_from(FreezeMode), by=WHO)
    def freeze(self, scope: str, mode: FreezeMode, by: str) -> str:
        return self._freeze(scope, mode, by)

    def _freeze(self, scope: str, mode: FreezeMode, by: str) -> str:
        made: Freeze = self.run(self.world.freeze(by, scope, mode))
        self.model[made.ref] = Model(scope, mode)
        return made.ref

    @rule(ref=holds, by=WHO)
    def ask(self, ref: str, by: str) -> None:
        hold = self.model[ref]
        shown: Freeze = self.run(self.world.look(ref))
        answer = self.run(self.world.ask(by, ref))
        stands = hold.status is FreezeStatus.THAW_REQUESTED and not hold.lapsed and hold.asked_about == Seen.of(shown)
        if hold.status in {FreezeStatus.THAWED, FreezeStatus.THAWING} or (stands and hold.asked_by != by):
            assert answer is ErrorCode.CONFLICT
            return
        assert answer.status is FreezeStatus.THAW_REQUESTED
        hold.status, hold.asked_by, hold.asked_about = FreezeStatus.THAW_REQUESTED, by, Seen.of(shown)
        hold.lapsed = False

    @rule(ref=holds, by=WHO)
    def stop(self, ref: str, by: str) -> None:
        hold = self.model[ref]
        answer = self.run(self.world.stop(by, ref))
        if hold.status in {FreezeStatus.THAWED, FreezeStatus.ACTIVE}:
            assert answer is ErrorCode.CONFLICT
        else:
            assert answer.status is FreezeStatus.ACTIVE
            hold.back()

    @rule(ref=holds, by=WHO, digest=st.sampled_from(["shown now", "shown now", "shown before", "none"]))
    def approve(self, ref: str, by: str, digest: str) -> None:
        hold = self.model[ref]
        before = self.world.shown.get(ref, "0" * 64)
        shown: Freeze = self.run(self.world.look(ref))
        now = self.world.shown.get(ref, "0" * 64)
        sent = {"shown now": now, "shown before": before, "none": None}[digest]
        answer = self.run(self.world.approve(by, ref, sent))
        if hold.status is FreezeStatus.ACTIVE:
            assert answer is ErrorCode.REFUSED_BY_POLICY
        elif hold.status is not FreezeStatus.THAW_REQUESTED:
            assert answer is ErrorCode.CONFLICT
        elif hold.asked_by == by:
            assert answer is ErrorCode.SECOND_PERSON_REQUIRED
        elif hold.lapsed:
            assert answer is ErrorCode.REFUSED_BY_POLICY
        elif sent is None:
            assert answer is ErrorCode.INVALID_REQUEST
        elif hold.asked_about != Seen.of(shown) or sent != now:
            assert answer is ErrorCode.REFUSED_BY_POLICY
        else:
            self._let_go(hold, Seen.of(shown), answer)

    def _let_go(self, hold: Model, seen: Seen, answer: Freeze) -> None:
        assert answer.status is (FreezeStatus.THAWING if seen.bots else FreezeStatus.THAWED)
        hold.status = answer.status
        if seen.bots:
            assert answer.thaw is not None
            hold.free = frozenset(answer.thaw.stages[0].executor_names)
            assert len(hold.free) == -(-len(seen.bots) // 4)
            assert hold.free <= seen.bots

    @rule(ref=holds, people=st.permutations(PEOPLE))
    def lift(self, ref: str, people: list[str]) -> None:
        self.ask(ref, people[0])
        self.approve(ref, people[1], "shown now")

    @rule(target=holds, ref=holds, people=st.permutations(PEOPLE), scope=st.sampled_from(SCOPES))
    def freeze_before_it_is_approved(self, ref: str, people: list[str], scope: str) -> str:
        """A hold over its bots that comes between request and approval makes the request worthless."""
        self.ask(ref, people[0])
        made = self._freeze(scope, FreezeMode.HALT, people[2])
        self.approve(ref, people[1], "shown now")
        return made

    @rule(ref=holds, seen_first=st.booleans())
    def lapse(self, ref: str, *, seen_first: bool) -> None:
        """The request is too old; `seen_first` leaves it to others to find out before the monitor does."""
        self.run(self.world.pass_time("thaw_expires_at", ref))
        hold = self.model[ref]
        if hold.status is FreezeStatus.THAW_REQUESTED:
            hold.lapsed = True
        if not seen_first:
            self.tick()

    @rule(ref=holds)
    def end_watch(self, ref: str) -> None:
        """The first stage was watched long enough."""
        hold = self.model[ref]
        self.run(self.world.pass_time("thaw_watch_until", ref))
        self.tick()
        if hold.status is FreezeStatus.THAWING:
            hold.status, hold.free = FreezeStatus.THAWED, frozenset()

    @rule()
    def tick(self) -> None:
        self.run(self.world.tick())
        for hold in self.model.values():
            if hold.status is FreezeStatus.THAW_REQUESTED and hold.lapsed:
                hold.back()

    @rule(bot=st.sampled_from(sorted(BOTS)))
    def alert(self, bot: str) -> None:
        """A critical alert about one bot puts back every thaw over it that is under way."""
        self.alerts += 1
        self.run(self.world.raise_alert(f"{id(self)}-{self.alerts}", f"executor:{bot}"))
        self.tick()
        for hold in self.model.values():
            if hold.status is FreezeStatus.THAWING and covers(hold.scope, bot):
                hold.back()

    @invariant()
    def nothing_trades_under_a_hold(self) -> None:
        for bot in BOTS if hasattr(self, "model") else ():
            permit = self.run(self.world.permit(bot))
            over = {ref: hold for ref, hold in self.model.items() if hold.over(bot)}
            modes = {hold.mode for hold in over.values()}
            assert {hold.freeze_ref for hold in permit.holds} == set(over)
            assert all(hold.epoch <= permit.epoch for hold in permit.holds)
            assert permit.may_trade is modes.isdisjoint(STOPS)
            assert (permit.mode is None) is (not over)


def test_no_history_lets_anybody_trade_under_a_hold(database_url: str) -> None:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        app = runner.run(stack.enter_async_context(started_app(database_url, policy=STAGED)))
        try:
            run_state_machine_as_test(
                type("OnThisDatabase", (Histories,), {"runner": runner, "world": World(app.runtime)}),
                settings=settings(
                    max_examples=COUNT,
                    stateful_step_count=15,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
        finally:
            runner.run(stack.aclose())


async def test_nothing_trades_under_a_hold_with_two_backends_at_once(database_url: str) -> None:
    counts = await histories(database_url, COUNT, seed=1)
    assert counts["permits at rest"] == COUNT * 6 * 2 * 4
