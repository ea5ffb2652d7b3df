"""Before each thing that a drill does: who may, and what holds where nobody can say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from backend.clock import SYSTEM_CLOCK
from backend.continuity import charge as under_test
from backend.continuity import lines
from backend.continuity.charge import Charge
from backend.continuity.journal import Journal
from backend.continuity.keeping import Keeping
from backend.continuity.lines import Line
from backend.continuity.telling import Telling
from tests.unit.test_recovery_core import AT, SHA, WHO, ended, started


@dataclass
class Paper:
    """A journal in memory."""

    count: int = 0

    async def append(self, _line: Line) -> None:
        self.count += 1


@dataclass
class Asking:
    """What the database says, one answer after the other, the last one for ever; None gives the drill up."""

    telling: Telling
    answers: list[bool | None] = field(default_factory=list)
    asked: int = 0

    async def is_ours(self, within_s: float) -> bool:
        assert within_s <= under_test.ASK_S
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if answer is None:
            self.telling.given_up.set()
        return bool(answer)


def charge_of(answers: Sequence[bool | None], *more: Line, **first: Any) -> tuple[Charge, Telling, Asking]:
    told: list[Line] = [started([first, {}], hands_off=True, outage=False), lines.Confirmed(at=AT), *more]
    telling = Telling(SYSTEM_CLOCK, cast("Journal", Paper(len(told))), told)
    asking = Asking(telling, list(answers))
    return Charge(telling, cast("Keeping", asking)), telling, asking


def logged(telling: Telling) -> str:
    return "\n".join(telling.run.log)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "HOLD_S", 3.0)


@pytest.mark.parametrize("undoing", [False, True])
async def test_what_is_known_is_done(*, undoing: bool) -> None:
    charge, telling, asking = charge_of([True])
    assert await charge.holds(1, undoing=undoing)
    assert (asking.asked, logged(telling)) == (1, "")
    charge, telling, _ = charge_of([None])
    assert not await charge.holds(1, undoing=undoing)
    assert telling.run.abort is None


BEGUN = lines.Begun(at=AT, step=1, by="adam")


@pytest.mark.parametrize("undoing", [False, True])
async def test_a_drill_that_may_have_the_database_down_goes_on_and_says_why(*, undoing: bool) -> None:
    charge, telling, asking = charge_of([False], BEGUN, ended(1, AT, good=True), destructive=True)
    assert await charge.holds(2, undoing=undoing)
    assert asking.asked == 1
    assert "a step of this drill may have it down" in logged(telling)
    undone = lines.Undone(at=AT, step=1, passed=True, summary="it was undone", evidence_sha256=SHA)
    telling.tell(undone)
    assert not telling.run.reached


async def test_a_drill_that_has_touched_nothing_waits_and_then_begins_nothing_more() -> None:
    charge, telling, asking = charge_of([False], BEGUN, ended(1, AT, good=True))
    assert not await charge.holds(2, undoing=False)
    assert asking.asked == 3
    assert telling.run.abort is not None
    assert telling.run.abort.reason.startswith("step 2 was not begun: for 3 s the database does not answer")
    assert "Waits before step 2: the database does not answer, so that nobody knows" in logged(telling)


async def test_it_goes_on_as_soon_as_the_database_says_so_and_not_once_somebody_ends_it() -> None:
    charge, _, asking = charge_of([False, False, True])
    assert await charge.holds(1, undoing=False)
    assert asking.asked == 3
    charge, telling, asking = charge_of([False])
    telling.tell(lines.AbortAsked(at=AT, caller=WHO, reason="enough"))
    assert not await charge.holds(1, undoing=False)
    assert asking.asked == 1


async def test_what_was_begun_is_undone_although_nobody_knows_unless_it_was_given_up() -> None:
    charge, telling, _ = charge_of([False], BEGUN)
    assert await charge.holds(1, undoing=True)
    assert "nothing that ran can have it down" in logged(telling)
    charge, _, _ = charge_of([False, None], BEGUN)
    assert not await charge.holds(1, undoing=True)
