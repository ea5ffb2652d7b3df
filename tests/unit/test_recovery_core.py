"""What a drill does next: a machine of everything that people, steps, crashes and disks can do to it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from backend.continuity import core, lines, wording
from backend.continuity.core import Run
from backend.continuity.deciding import (
    Begin,
    Count,
    Find,
    Finish,
    LookAround,
    Rest,
    Undo,
    Wait,
    measured,
    next_action,
    state_of,
)
from backend.continuity.lines import LINES, Line
from backend.continuity.showing import show
from contract import lengths
from contract.recovery import ENDED, DrillState, Precondition, StepState, Topology
from tests.support.recovery import plan_of

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MOST_ACTIONS = 60
"""More than the longest plan of these tests can take to its end."""
WHO = {"subject": "adam", "kind": "user", "role": "mev_admin", "request_id": "", "session_id": None, "ip": None}
WHO["user_agent"] = None
SHA = "0" * 64
_STEPS = st.lists(
    st.fixed_dictionaries({"destructive": st.booleans(), "manual": st.booleans()}), min_size=1, max_size=4
)


def started(steps: list[dict[str, Any]], *, hands_off: bool, outage: bool) -> lines.Started:
    plan = plan_of(*steps)
    if outage and len(steps) > 1:
        whole = plan.model_dump()
        whole["steps"][0]["begins_outage"], whole["steps"][-1]["ends_outage"] = True, True
        plan = type(plan).model_validate(whole)
    return lines.Started(
        at=AT, ref="DR-TEST-20261121", plan=plan, cluster="floor", provider="pair", hands_off=hands_off,
        name_typed=True, reason="a test", caller=WHO, idempotency_key="", backend="host:1", rto_target_seconds=900,
        rpo_target_seconds=60, keep_output_chars=1000,
    )  # fmt: skip


def check(*, ok: bool) -> Precondition:
    return Precondition(name="cluster_reachable", title="The cluster answers", ok=ok, found="it was asked")


def topology() -> Topology:
    return Topology(cluster="floor", provider="pair", as_of=AT)


def answer(run: Run, at: datetime, *, good: bool = True) -> list[Line]:  # noqa: PLR0911  one for each action
    """What the next action has to say once it was done."""
    action = next_action(run)
    match action:
        case LookAround(after):
            return [lines.Looked(at=at, after=after, checks=[check(ok=good)], topology=topology())]
        case Wait(step, "evidence"):
            return [ended(step, at, good=good)]
        case Wait(step, _):
            return [lines.Allowed(at=at, step=step, caller=WHO)]
        case Begin(step):
            return begun(run, step, at, good=good)
        case Find(step):
            return [ended(step, at, good=good and not run.turning_back)]
        case Count():
            return [
                lines.Counted(
                    at=at, markers_lost=0 if good else None, rpo_ms=0 if good else None, transactions_lost=None,
                    transactions_unacknowledged=None,
                )
            ]  # fmt: skip
        case Undo(step):
            undone = lines.Undone(at=at, step=step, passed=good, summary="it was undone", evidence_sha256=SHA)
            return [lines.UndoBegun(at=at, step=step), undone]
        case Finish(state, sentence, left):
            return [lines.Ended(at=at, state=state, sentence=sentence, left_to_do=list(left))]
        case Rest():
            return []


def begun(run: Run, step: int, at: datetime, *, good: bool) -> list[Line]:
    said: list[Line] = [lines.Begun(at=at, step=step, by="adam")]
    plan = run.step(step).plan
    if plan.begins_outage:
        said.append(lines.OutageBegan(at=at, step=step))
        marked = lines.Marked(
            at=at, acknowledged=9, last_seq=9, last_at=at, first_write_at=at, outage_ms=40, whole=good
        )
        said.append(marked)
    return said if plan.kind == "manual" else [*said, ended(step, at, good=good)]


def ended(step: int, at: datetime, *, good: bool) -> lines.Stepped:
    state = StepState.PASSED if good else StepState.FAILED
    return lines.Stepped(at=at, step=step, state=state, summary="it was done", evidence_sha256=SHA)


class DrillMachine(RuleBasedStateMachine):
    """Whatever happens: there is a next action until there is an end, and nothing that ran is forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Line] = []
        self.at = AT

    def say(self, *said: Line) -> None:
        self.told += said

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    @property
    def run_(self) -> Run:
        return core.fold(self.told)

    @initialize(steps=_STEPS, hands_off=st.booleans(), outage=st.booleans())
    def begin(self, steps: list[dict[str, Any]], hands_off: bool, outage: bool) -> None:  # noqa: FBT001  hypothesis
        whole = [
            {
                "destructive": step["destructive"],
                **({"kind": "manual", "instructions": "Look."} if step["manual"] else {}),
            }
            for step in steps
        ]
        self.say(started(whole, hands_off=hands_off, outage=outage))

    @precondition(lambda self: not self.run_.confirmed)
    @rule()
    def confirm(self) -> None:
        self.say(lines.Confirmed(at=self.now()))

    @rule(good=st.booleans())
    def go_on(self, good: bool) -> None:  # noqa: FBT001  hypothesis
        self.say(*answer(self.run_, self.now(), good=good))

    @rule()
    def abort(self) -> None:
        if self.run_.ended is None:
            self.say(lines.AbortAsked(at=self.now(), caller=WHO, reason="enough"))

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """Whatever the last lines were, only some of them reached the disk; another process goes on."""
        keep = data.draw(st.integers(max(1, len(self.told) - 3), len(self.told)))
        del self.told[keep:]
        self.say(lines.Resumed(at=self.now(), backend="host:2"))

    @rule(good=st.booleans())
    def crash_in_the_middle_of_a_step(self, good: bool) -> None:  # noqa: FBT001  hypothesis
        said = answer(self.run_, self.now(), good=good)
        self.say(*said[:1], lines.Resumed(at=self.now(), backend="host:3"))

    @invariant()
    def every_prefix_leads_to_an_end(self) -> None:
        if not self.told:
            return
        for good in (True, False):
            told = list(self.told)
            for _ in range(MOST_ACTIONS):
                run = core.fold(told)
                if run.ended is not None:
                    break
                told += answer(run, self.at, good=good)
            assert run.ended is not None
            assert state_of(run) in ENDED
            self.nothing_that_ran_is_forgotten(run)

    def nothing_that_ran_is_forgotten(self, run: Run) -> None:
        assert run.ended is not None
        if run.ended.state is DrillState.PASSED:
            assert all(step.state is StepState.PASSED for step in run.steps)
            assert not wording.missed(run, measured(run))
            return
        if run.ended.state is DrillState.REFUSED:
            assert not any(step.ran for step in run.steps)
            return
        if run.turning_back:
            ran = [step for step in run.steps if step.ran]
            assert all(step.undone is not None for step in ran)
            if any(step.undone is not None and not step.undone.passed for step in ran):
                assert run.ended.state is DrillState.UNRESOLVED
                assert run.ended.left_to_do

    @invariant()
    def a_screen_can_show_it_and_a_line_survives_its_json(self) -> None:
        if not self.told:
            return
        run = self.run_
        drill = show(run, heard_at=self.at, whole=True)
        assert drill.sentence
        assert (drill.state in ENDED) == (run.ended is not None)
        assert [LINES.validate_json(LINES.dump_json(line)) for line in self.told] == self.told

    @invariant()
    def what_is_undone_is_undone_last_first(self) -> None:
        undone = [line.step for line in self.told if isinstance(line, lines.Undone)]
        seen: list[int] = []
        for number in undone:
            if number not in seen:
                assert not seen or number < seen[-1]
                seen.append(number)


TestDrillMachine = DrillMachine.TestCase
TestDrillMachine.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)


def test_times_are_told_in_words() -> None:
    told = [lengths.span(ms) for ms in (0, 840, 4_250, 45_000, 962_000, 3_900_000)]
    assert told == ["0 ms", "840 ms", "4.2 s", "45 s", "16 min 2 s", "1 h 5 min"]
    assert [lengths.target(seconds) for seconds in (900, 3600, 86_400, 45)] == ["15 min", "1 h", "24 h", "45 s"]


def test_an_objective_that_is_missed_is_said_although_every_step_passed() -> None:
    told: list[Line] = [started([{}, {}], hands_off=True, outage=True), lines.Confirmed(at=AT)]
    at = AT
    while (run := core.fold(told)).ended is None:
        at += timedelta(seconds=962)
        told += answer(run, at)
    assert run.ended.state is DrillState.FAILED
    assert run.ended.sentence == "Every step passed, but RTO 16 min 2 s > 15 min."
