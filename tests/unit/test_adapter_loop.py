"""The loop of adapters against software that obeys late, fails, comes back and vanishes, under holds that change."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.loop import Cancel, Held, Look, Loop, Pace, Phase, Resume, Standing, Stop, Wait, Wanted
from gate import Decision, Mode, Reason
from gate.permits import strictest

PACE = Pace()
STRICTNESS = [None, Mode.REDUCE_ONLY, Mode.HALT, Mode.CANCEL_ALL]


def holding(mode: Mode, epoch: int, executor: str = "bot-1") -> Wanted:
    decision = Decision(False, Reason.HELD, 0.0, (f"FRZ-{epoch:04d}",), epoch, mode is Mode.CANCEL_ALL, mode)
    return Wanted(mode, (Held(executor, decision),))


@dataclass
class Bot:
    """Software of the worst kind, with a clock, and everything that must be true of how it is treated."""

    loop: Loop
    now: float = 0.0
    runs: bool = True
    obeys: Mode | None = None
    rests: bool = False
    answers: bool = True
    steps: list[object] = field(default_factory=list)
    confirmed: list[Held] = field(default_factory=list)

    def want(self, wanted: Wanted) -> None:
        self.loop.want(self.now, wanted)

    def step(self) -> object:
        """Do what is due; waits are waited out."""
        step = self.loop.next(self.now)
        self.steps.append(step)
        match step:
            case Wait():
                self.now += step.seconds
            case Stop():
                self._stop(step)
            case Look():
                self._look(step)
            case Cancel():
                self.rests &= not self.answers
                self.loop.cancelled(self.now)
            case Resume():
                assert self.loop.wanted.mode is None
                assert not step.start or (self.loop.stopped_here and self.loop.resumes)
                if self.answers and step.start:
                    self.runs, self.obeys = True, None
                self.loop.resumed(self.now, step, done=self.answers)
        return step

    def _stop(self, step: Stop) -> None:
        assert self.loop.wanted.mode is not None
        assert strictest(step.mode, self.loop.wanted.mode) is step.mode
        if self.answers:
            self.runs, self.obeys = False, step.mode
        self.loop.stopped(self.now, step, done=self.answers)

    def _look(self, step: Look) -> None:
        standing = self.standing(step.mode)
        for held in self.loop.looked(self.now, step, standing):
            assert not self.runs
            assert held in step.wanted.held
            assert strictest(self.obeys, held.decision.mode) is self.obeys
            assert not (held.decision.cancel_resting and self.rests)
            self.confirmed.append(held)

    def standing(self, mode: Mode | None) -> Standing:
        if not self.answers:
            return Standing.UNKNOWN
        if mode is None:
            return Standing.RUNS if self.runs else Standing.OBEYS
        if self.runs:
            return Standing.RUNS
        if strictest(self.obeys, mode) is not self.obeys:
            return Standing.NOT_YET
        return Standing.RESTING if mode is Mode.CANCEL_ALL and self.rests else Standing.OBEYS

    def until(self, phase: Phase, limit: int = 60) -> None:
        for _ in range(limit):
            if self.loop.phase is phase:
                return
            self.step()
        raise AssertionError(f"never {phase}: {self.steps[-12:]}")


def started(**own: object) -> Bot:
    bot = Bot(Loop(PACE, **own))  # type: ignore[arg-type]
    bot.want(Wanted())
    bot.until(Phase.RUNNING)
    bot.step()
    bot.step()
    return bot


_CHANGES = st.one_of(
    st.sampled_from(["restarts", "rests", "steps", "other look"]).map(lambda what: (what, 0)),
    st.tuples(st.sampled_from(["wish", "answers"]), st.integers(0, 1)),
    st.tuples(st.just("hold"), st.integers(1, 3)),
    st.tuples(st.just("sleep"), st.integers(0, 20)),
)


def change(bot: Bot, what: str, number: int, epoch: int) -> None:
    match what:
        case "hold":
            bot.want(holding(STRICTNESS[number] or Mode.HALT, epoch))
        case "wish":
            bot.want(Wanted(Mode.HALT, lost=True) if number else Wanted())
        case "answers":
            bot.answers = bool(number)
        case "restarts":
            bot.runs, bot.obeys = True, None
        case "rests":
            bot.rests = True
        case "sleep":
            bot.now += number
        case "other look":  # a hold that comes while a look is under way is not confirmed by it
            look = bot.loop.next(bot.now)
            bot.want(holding(Mode.HALT, epoch))
            if isinstance(look, Look) and look.mode is not None:
                seen = bot.loop.looked(bot.now, look, bot.standing(look.mode))
                assert all(held.decision.held_epoch < epoch for held in seen)


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(_CHANGES, max_size=40), resumes=st.booleans(), rests=st.booleans(), last=st.integers(1, 3))
def test_whatever_happens_nothing_is_confirmed_unseen_and_in_the_end_it_is_halted(
    *, changes: list[tuple[str, int]], resumes: bool, rests: bool, last: int
) -> None:
    bot = Bot(Loop(PACE, resumes=resumes), rests=rests)
    for epoch, (what, number) in enumerate(changes, 1):
        change(bot, what, number, epoch)
        bot.step()
    bot.answers = True
    wanted = holding(STRICTNESS[last] or Mode.HALT, len(changes) + 1)
    bot.want(wanted)
    for _ in range(80):
        if wanted.held[0] in bot.confirmed:
            break
        bot.step()
    assert wanted.held[0] in bot.confirmed
    assert not bot.runs
    bot.want(Wanted())
    ours = bot.loop.stopped_here
    bot.until(Phase.RUNNING)
    assert bot.runs == (ours and resumes)


def test_a_hold_is_obeyed_before_anything_else_and_confirmed_by_a_look_after_it() -> None:
    bot = started()
    hold = holding(Mode.HALT, 1)
    bot.want(hold)
    assert bot.step() == Stop(Mode.HALT, 2)
    assert bot.step() == Look(Mode.HALT, hold)
    assert bot.confirmed == list(hold.held)
    assert bot.loop.phase is Phase.HALTED


def test_a_stricter_hold_is_told_at_once_and_a_newer_one_as_strict_is_looked_at() -> None:
    bot = started()
    bot.want(holding(Mode.REDUCE_ONLY, 1))
    bot.until(Phase.HALTED)
    bot.want(holding(Mode.HALT, 2))
    assert bot.step() == Stop(Mode.HALT, 3)
    bot.until(Phase.HALTED)
    newer = holding(Mode.HALT, 3)
    bot.want(newer)
    assert bot.step() == Look(Mode.HALT, newer)
    bot.want(holding(Mode.REDUCE_ONLY, 4))
    assert bot.step() == Look(Mode.HALT, holding(Mode.REDUCE_ONLY, 4))
    assert [held.decision.held_epoch for held in bot.confirmed] == [1, 2, 3, 4]


def test_software_that_comes_back_is_stopped_again_at_once() -> None:
    bot = started()
    bot.want(holding(Mode.HALT, 1))
    bot.until(Phase.HALTED)
    bot.runs, bot.obeys = True, None
    bot.step()
    assert isinstance(bot.step(), Look)
    assert isinstance(bot.step(), Stop)
    assert not bot.runs


def test_one_that_does_not_answer_is_told_again_with_the_same_number_at_a_growing_pace_and_never_confirmed() -> None:
    bot = started()
    bot.answers = False
    bot.want(holding(Mode.HALT, 1))
    for _ in range(40):
        bot.step()
    stops = {step for step in bot.steps if isinstance(step, Stop)}
    waits = [step.seconds for step in bot.steps[3:] if isinstance(step, Wait)]
    assert stops == {Stop(Mode.HALT, 2)}
    assert waits == sorted(waits)
    assert waits[-1] == PACE.retry_max_s
    assert bot.confirmed == []


def test_one_that_was_told_and_does_not_obey_is_told_anew() -> None:
    bot = started()
    hold = holding(Mode.HALT, 1)
    bot.want(hold)
    step = bot.loop.next(bot.now)
    assert isinstance(step, Stop)
    bot.loop.stopped(bot.now, step, done=True)
    bot.now += PACE.settle_s
    assert bot.loop.looked(bot.now, Look(Mode.HALT, hold), Standing.NOT_YET) == ()
    bot.now += PACE.retry_s
    assert bot.loop.next(bot.now) == replace(step, number=step.number + 1)


def test_a_hold_lifted_in_the_middle_lets_go_of_what_was_stopped_here_only_where_that_is_wanted() -> None:
    for resumes, ran, starts in ((True, True, True), (False, True, False), (True, False, False)):
        bot = Bot(Loop(PACE, resumes=resumes), runs=ran)
        bot.want(Wanted())
        bot.until(Phase.RUNNING)
        bot.step()
        bot.step()
        bot.want(holding(Mode.HALT, 1))
        bot.step()
        bot.want(Wanted())
        step = bot.step()
        assert isinstance(step, Resume)
        assert step.start is starts
        assert bot.loop.phase is Phase.RUNNING


def test_a_hold_that_comes_while_it_is_let_go_stops_it_again() -> None:
    bot = started(resumes=True)
    bot.want(holding(Mode.CANCEL_ALL, 1))
    bot.until(Phase.HALTED)
    bot.want(Wanted())
    bot.answers = False
    assert isinstance(bot.step(), Resume)
    bot.answers = True
    bot.want(holding(Mode.REDUCE_ONLY, 2))
    step = bot.step()
    assert isinstance(step, Stop)
    assert step.mode is Mode.REDUCE_ONLY
    assert bot.loop.stopped_here


def test_orders_that_rest_are_taken_back_before_it_counts_as_halted() -> None:
    bot = started()
    bot.rests = True
    bot.want(holding(Mode.CANCEL_ALL, 1))
    bot.until(Phase.HALTED)
    kinds = [type(step) for step in bot.steps if not isinstance(step, Wait)][-4:]
    assert kinds == [Stop, Look, Cancel, Look]


@pytest.mark.parametrize("checks", [True, False])
def test_without_anybody_who_can_look_it_is_told_and_never_confirmed(checks: bool) -> None:  # noqa: FBT001  pytest's
    bot = Bot(Loop(PACE, checks=checks))
    bot.want(Wanted())
    bot.want(holding(Mode.HALT, 1))
    bot.until(Phase.HALTED if checks else Phase.TOLD)
    for _ in range(5):
        bot.step()
    assert bool(bot.confirmed) is checks
    if not checks:
        assert not any(isinstance(step, Look) for step in bot.steps)


def test_what_an_earlier_process_left_is_given_up_only_once_no_hold_is_known_to_be_in_force() -> None:
    bot = Bot(Loop(PACE, resumes=True), runs=False)
    bot.want(holding(Mode.HALT, 1))
    bot.until(Phase.HALTED)
    assert not any(isinstance(step, Resume) for step in bot.steps)
    bot.want(Wanted())
    assert bot.step() == Resume(start=False, number=2)
