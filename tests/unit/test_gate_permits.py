"""The rules of permits, one by one, and what a permit has to look like to count."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from gate.permits import (
    DEFAULT_RENEW_S,
    MAX_OPEN_REQUESTS,
    MAX_TTL_S,
    MIN_RENEW_S,
    Hold,
    Identity,
    Mode,
    Permit,
    PermitBook,
    Reason,
)

TTL_S = 2.0
ME = Identity(executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0xAb", boot_id="b1")


def book_of(holder: Identity = ME) -> PermitBook:
    return PermitBook(holder)


def permit(no: int, *, epoch: int = 0, mode: Mode | None = None, holder: Identity = ME, **change: Any) -> Permit:
    holds = (Hold(f"FRZ-{epoch:04d}", epoch, mode),) if mode else ()
    plain = Permit(
        holder=holder, request_no=no, mode=mode, epoch=epoch, ttl_s=TTL_S, renew_s=DEFAULT_RENEW_S, holds=holds
    )
    return replace(plain, **change)


def hold(epoch: int, mode: Mode = Mode.HALT) -> tuple[Hold, ...]:
    return (Hold(f"FRZ-{epoch:04d}", epoch, mode),)


def test_nothing_is_permitted_before_the_first_answer() -> None:
    book = book_of()
    book.sent(100.0)
    decision = book.decide(100.1)
    assert not decision
    assert decision.reason is Reason.NO_PERMIT
    assert not decision.held


def test_a_permit_counts_from_when_its_request_was_sent() -> None:
    book = book_of()
    number = book.sent(100.0)
    assert book.permitted(permit(number))  # however late it arrives
    assert book.decide(101.999)
    assert book.decide(102.0).reason is Reason.EXPIRED


@pytest.mark.parametrize("mode", [Mode.HALT, Mode.CANCEL_ALL])
def test_a_halt_ends_a_living_permit_at_once_and_cancels_still_pass(mode: Mode) -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0)))
    book.permitted(permit(book.sent(100.5), epoch=1, mode=mode))
    assert book.decide(100.6).held
    assert not book.decide(100.6, reduces=True)
    assert book.decide(100.6, cancels=True)
    assert book.decide(100.6).cancel_resting is (mode is Mode.CANCEL_ALL)


def test_reduce_only_lets_only_reducing_orders_pass_while_its_permit_lives() -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0), epoch=1, mode=Mode.REDUCE_ONLY))
    assert not book.decide(100.1)
    assert book.decide(100.1).held
    assert book.decide(100.1, reduces=True)
    assert book.decide(102.1, reduces=True).reason is Reason.EXPIRED
    assert book.decide(102.1).held


def test_an_answer_counts_once_and_only_for_a_request_that_was_made() -> None:
    book = book_of()
    number = book.sent(100.0)
    assert book.permitted(permit(number))
    assert not book.permitted(permit(number, epoch=5))
    assert not book.permitted(permit(999))


@pytest.mark.parametrize(
    "other",
    [
        replace(ME, executor="bot-2"),
        replace(ME, executor="BOT-1"),
        replace(ME, boot_id="b0"),
        replace(ME, chain="base"),
        replace(ME, strategy="market-making"),
        replace(ME, wallet="0xcd"),
    ],
)
def test_a_permit_for_somebody_else_counts_for_nothing(other: Identity) -> None:
    book = book_of()
    number = book.sent(100.0)
    assert not book.permitted(permit(number, holder=other))
    assert not book.decide(100.1)
    assert book.permitted(permit(number))  # the true answer may still come


def test_capitals_of_a_place_do_not_matter() -> None:
    book = book_of()
    assert book.permitted(permit(book.sent(100.0), holder=replace(ME, chain="Arbitrum", wallet="0xAB")))


def test_an_overtaken_request_that_saw_a_freeze_still_freezes() -> None:
    book = book_of()
    slow, fast = book.sent(100.0), book.sent(100.5)
    book.permitted(permit(fast, epoch=4))
    assert book.permitted(permit(slow, epoch=5, mode=Mode.HALT))
    assert book.decide(100.6).held


def test_an_older_epoch_never_lifts_a_hold() -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0), epoch=7, mode=Mode.HALT))
    assert not book.permitted(permit(book.sent(101.0), epoch=6))
    assert book.decide(101.1).held


def test_a_revocation_ends_the_permit_and_makes_every_request_under_way_worthless() -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0), epoch=3))
    under_way = book.sent(100.5)
    book.revoked(4, Mode.HALT, hold(4))
    assert book.decide(100.6).held
    assert book.seen_epoch == book.held_epoch == 4
    assert not book.permitted(permit(under_way, epoch=4))  # even one that says the freeze is gone
    assert not book.permitted(permit(book.sent(100.6), epoch=3))
    assert book.decide(100.7).held
    assert book.permitted(permit(book.sent(100.8), epoch=4))
    assert book.decide(100.9)


def test_a_revocation_to_reducing_needs_a_new_permit_to_reduce() -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0)))
    book.revoked(1, Mode.REDUCE_ONLY, hold(1, Mode.REDUCE_ONLY))
    assert book.decide(100.1, reduces=True).reason is Reason.REVOKED
    assert book.decide(100.1).held
    book.permitted(permit(book.sent(100.1), epoch=1, mode=Mode.REDUCE_ONLY))
    assert book.decide(100.2, reduces=True)


def test_a_latched_freeze_revokes_without_an_epoch_until_the_next_permit() -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0), epoch=3))
    book.revoked(None, Mode.HALT, (Hold("LATCHED", 0, Mode.HALT),))
    assert book.is_latched
    assert book.decide(100.1).held
    assert book.decide(100.1).holds == ("LATCHED",)
    assert book.permitted(permit(book.sent(100.2), epoch=4, mode=Mode.HALT))
    assert not book.is_latched
    assert book.held_epoch == 4


def test_the_strictest_of_a_revocation_counts() -> None:
    book = book_of()
    book.revoked(2, Mode.REDUCE_ONLY, hold(2, Mode.CANCEL_ALL))
    assert book.decide(0.0).cancel_resting


def test_a_refusal_ends_the_permit_and_what_was_asked_before_it() -> None:
    book = book_of()
    book.permitted(permit(book.sent(100.0)))
    under_way = book.sent(100.5)
    book.refused()
    assert book.decide(100.6).reason is Reason.REFUSED
    assert not book.permitted(permit(under_way))
    book.permitted(permit(book.sent(101.0)))
    assert book.decide(101.1)


def test_requests_that_are_never_answered_are_forgotten() -> None:
    book = book_of()
    first = book.sent(0.0)
    for tick in range(MAX_OPEN_REQUESTS):
        book.sent(float(tick))
    assert not book.permitted(permit(first))


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (None, Reason.AMOUNT_MISSING),
        (Decimal("0.5"), Reason.PERMIT),
        (Decimal("0.500000000000000001"), Reason.TOO_LARGE),
    ],
)
def test_a_limit_on_amounts_keeps_back_what_is_larger_or_unknown(amount: Decimal | None, reason: Reason) -> None:
    book = book_of()
    book.permitted(permit(book.sent(0.0), max_trade_eth=Decimal("0.5")))
    assert book.decide(0.1, amount_eth=amount).reason is reason
    assert book.decide(0.1, cancels=True)


PAYLOAD: dict[str, Any] = {
    "v": 1,
    "executor": "bot-1",
    "boot_id": "b1",
    "chain": "arbitrum",
    "strategy": "arbitrage",
    "wallet": "0xAb",
    "request_no": 1,
    "mode": None,
    "epoch": 0,
    "ttl_ms": 2000,
    "renew_ms": 500,
    "max_trade": None,
    "issued_at": "2026-01-01T00:00:00.000000Z",
    "holds": [],
}


def held(mode: Any, epoch: Any = 3) -> dict[str, Any]:
    return {"freeze_ref": "FRZ-0003", "epoch": epoch, "mode": mode}


@pytest.mark.parametrize(
    ("change", "mode"),
    [
        ({}, None),
        ({"mode": "halt"}, Mode.HALT),
        ({"mode": "reduce-only"}, Mode.REDUCE_ONLY),
        ({"mode": "cancel-all"}, Mode.CANCEL_ALL),
        ({"mode": "a mode of the future"}, Mode.HALT),
        ({"mode": True}, Mode.HALT),
        ({"mode": []}, Mode.HALT),
        ({"holds": [held("reduce-only"), held("halt")]}, Mode.HALT),
        ({"mode": "reduce-only", "holds": [held("cancel-all")]}, Mode.CANCEL_ALL),
        ({"holds": [held(None)]}, Mode.HALT),
    ],
)
def test_the_strictest_of_what_a_permit_says_counts(change: dict[str, Any], mode: Mode | None) -> None:
    assert Permit.read(PAYLOAD | change).mode is mode


def test_a_permit_neither_stretches_its_life_nor_hurries_or_stops_the_renewals() -> None:
    hasty = Permit.read(PAYLOAD | {"ttl_ms": 10**12, "renew_ms": 0})
    assert (hasty.ttl_s, hasty.renew_s) == (MAX_TTL_S, MIN_RENEW_S)
    assert Permit.read(PAYLOAD | {"renew_ms": 10**12}).renew_s == MAX_TTL_S


@pytest.mark.parametrize("name", [name for name in PAYLOAD if name != "issued_at"])
def test_a_permit_that_leaves_something_out_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="not"):
        Permit.read({key: value for key, value in PAYLOAD.items() if key != name})


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"executor": 1},
        {"boot_id": None},
        {"request_no": "1"},
        {"request_no": -1},
        {"epoch": True},
        {"epoch": None},
        {"ttl_ms": -5},
        {"ttl_ms": None},
        {"max_trade": 1},
        {"max_trade": "NaN"},
        {"max_trade": "-1"},
        {"max_trade": "Infinity"},
        {"max_trade": "much"},
        {"holds": {}},
        {"holds": None},
        {"holds": [1]},
        {"holds": [{}]},
        {"holds": [held("halt", epoch="3")]},
    ],
)
def test_a_permit_with_something_wrong_in_it_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not"):
        Permit.read(PAYLOAD | change)
