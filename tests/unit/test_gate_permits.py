"""The permit rules under arbitrary delays, losses, replays and reorderings."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gate.permits import MAX_OPEN_REQUESTS, MAX_TTL_S, MIN_RENEW_S, Answer, Mode, PermitBook, Reason

TTL_S = 2.0


def answer(no: int, *, epoch: int = 0, mode: Mode | None = None, ttl_s: float = TTL_S) -> Answer:
    holds = ("FRZ-0001",) if mode else ()
    return Answer(
        request_no=no, mode=mode, epoch=epoch, ttl_s=ttl_s, renew_s=0.5, held_epoch=epoch if mode else 0, holds=holds
    )


def test_nothing_is_permitted_before_the_first_answer() -> None:
    book = PermitBook()
    book.sent(100.0)
    decision = book.decide(100.1)
    assert not decision
    assert decision.reason is Reason.NO_PERMIT
    assert not decision.held


def test_a_permit_counts_from_when_its_request_was_sent() -> None:
    book = PermitBook()
    number = book.sent(100.0)
    assert book.answered(answer(number))  # however late it arrives
    assert book.decide(101.999)
    assert book.decide(102.0).reason is Reason.EXPIRED


def test_a_halt_ends_a_living_permit_at_once_and_cancels_still_pass() -> None:
    book = PermitBook()
    book.answered(answer(book.sent(100.0)))
    book.answered(answer(book.sent(100.5), epoch=1, mode=Mode.HALT))
    assert book.decide(100.6).held
    assert not book.decide(100.6, reduces=True)
    assert book.decide(100.6, cancels=True)


def test_reduce_only_lets_only_reducing_orders_pass_while_its_permit_lives() -> None:
    book = PermitBook()
    book.answered(answer(book.sent(100.0), epoch=1, mode=Mode.REDUCE_ONLY))
    assert not book.decide(100.1)
    assert book.decide(100.1).held
    assert book.decide(100.1, reduces=True)
    assert not book.decide(102.1, reduces=True)


def test_an_answer_counts_once_and_only_for_a_request_that_was_made() -> None:
    book = PermitBook()
    number = book.sent(100.0)
    assert book.answered(answer(number))
    assert not book.answered(answer(number, epoch=5))
    assert not book.answered(answer(999))


def test_an_overtaken_request_that_saw_a_freeze_still_freezes() -> None:
    book = PermitBook()
    slow, fast = book.sent(100.0), book.sent(100.5)
    book.answered(answer(fast, epoch=4))
    assert book.answered(answer(slow, epoch=5, mode=Mode.HALT))
    assert book.decide(100.6).held


def test_an_older_epoch_never_lifts_a_hold() -> None:
    book = PermitBook()
    book.answered(answer(book.sent(100.0), epoch=7, mode=Mode.HALT))
    assert not book.answered(answer(book.sent(101.0), epoch=6))
    assert book.decide(101.1).held


def test_a_refusal_ends_the_permit_at_once() -> None:
    book = PermitBook()
    book.answered(answer(book.sent(100.0)))
    book.refused(book.sent(100.5))
    assert book.decide(100.6).reason is Reason.REFUSED
    book.answered(answer(book.sent(101.0)))
    assert book.decide(101.1)


def test_requests_that_are_never_answered_are_forgotten() -> None:
    book = PermitBook()
    first = book.sent(0.0)
    for tick in range(MAX_OPEN_REQUESTS):
        book.sent(float(tick))
    assert not book.answered(answer(first))


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        ({}, None),
        ({"may_trade": False, "mode": "halt"}, Mode.HALT),
        ({"mode": "reduce-only"}, Mode.REDUCE_ONLY),
        ({"mode": "cancel-all"}, Mode.HALT),
        ({"mode": "halt"}, Mode.HALT),
        ({"may_trade": False}, Mode.HALT),
        ({"may_trade": "yes"}, Mode.HALT),
        ({"may_trade": False, "mode": "reduce-only"}, Mode.HALT),
    ],
)
def test_what_is_not_understood_reads_as_a_halt(change: dict[str, object], mode: Mode | None) -> None:
    body: dict[str, object] = {
        "request_no": 1,
        "may_trade": True,
        "mode": None,
        "epoch": 0,
        "ttl_ms": 2000,
        "renew_ms": 500,
        "holds": [],
    }
    assert Answer.read(body | change).mode is mode


def test_a_damaged_answer_neither_stretches_a_permit_nor_hurries_the_renewals() -> None:
    body = {"request_no": 1, "may_trade": True, "mode": None, "epoch": 0, "ttl_ms": 10**12, "renew_ms": -5}
    read = Answer.read(body)
    assert read.ttl_s == MAX_TTL_S
    assert read.renew_s == MIN_RENEW_S


@pytest.mark.parametrize("body", [None, [], "x", {}, {"request_no": "a"}, {"request_no": 1, "epoch": float("inf")}])
def test_an_answer_that_is_no_permit_is_refused(body: object) -> None:
    with pytest.raises(ValueError, match=r"not a permit|invalid literal"):
        Answer.read(body)


class LossyLine(RuleBasedStateMachine):
    """Requests reach the backend in any order; answers come late, twice, out of order or never; freezes come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.book = PermitBook()
        self.now = 0.0
        self.epoch = 0
        self.mode: Mode | None = None
        self.sent_at: dict[int, float] = {}
        self.under_way: list[int] = []
        self.coming: list[Answer] = []
        self.told: list[Answer] = []

    @rule(later=st.floats(0, 3))
    def time_passes(self, later: float) -> None:
        self.now += later

    @rule()
    def executor_asks(self) -> None:
        number = self.book.sent(self.now)
        self.sent_at[number] = self.now
        self.under_way.append(number)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 5))
    def request_reaches_the_backend(self, which: int) -> None:
        number = self.under_way.pop(which % len(self.under_way))
        self.coming.append(answer(number, epoch=self.epoch, mode=self.mode))

    @precondition(lambda self: self.coming)
    @rule(which=st.integers(0, 5), lost=st.booleans())
    def answer_arrives(self, which: int, *, lost: bool) -> None:
        arrived = self.coming.pop(which % len(self.coming))
        if not lost:
            self.told.append(arrived)
            self.book.answered(arrived)

    @precondition(lambda self: self.told)
    @rule(which=st.integers(0, 5))
    def answer_is_replayed(self, which: int) -> None:
        self.book.answered(self.told[which % len(self.told)])

    @rule(mode=st.sampled_from([Mode.HALT, Mode.REDUCE_ONLY, None]))
    def somebody_freezes(self, mode: Mode | None) -> None:
        self.epoch += 1  # None: a freeze that does not cover this executor
        self.mode = mode

    @rule()
    def the_hold_is_lifted(self) -> None:
        self.mode = None

    @invariant()
    def no_send_outlives_its_permit(self) -> None:
        last = max((self.sent_at[told.request_no] for told in self.told if told.mode is not Mode.HALT), default=-9.0)
        if self.book.decide(self.now) or self.book.decide(self.now, reduces=True):
            assert self.now < last + TTL_S

    @invariant()
    def no_send_passes_a_known_hold(self) -> None:
        newest = max(self.told, key=lambda told: (told.epoch, told.request_no), default=None)
        if newest is not None and newest.mode is not None:
            assert not self.book.decide(self.now)
            assert newest.mode is Mode.REDUCE_ONLY or not self.book.decide(self.now, reduces=True)

    @invariant()
    def cancels_always_pass(self) -> None:
        assert self.book.decide(self.now, cancels=True)


TestLossyLine = LossyLine.TestCase
