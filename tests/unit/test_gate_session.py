"""One executor's conversation, without a line: renewals, revocations, and messages that make no sense."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gate.permits import DEFAULT_RENEW_S, MIN_RENEW_S, Mode, Reason
from gate.session import MAX_MESSAGE_BYTES, SOONEST
from gate.statements import encode, key_id
from tests.support.gate_talk import KID, OWN, PUBLIC, WALL, Talk


def test_nothing_is_said_before_a_connection_stands_and_at_once_when_it_does() -> None:
    talk = Talk()
    assert talk.session.outgoing(talk.now) is None
    talk.open()
    assert talk.session.outgoing(talk.now) is not None
    talk.session.closed("gone")
    assert talk.session.outgoing(talk.now + 60) is None


def test_renewals_are_due_at_an_interval_from_the_last_one_sent() -> None:
    talk = Talk().open()
    talk.answer(talk.ask())
    asked = talk.ask()
    sent_at = talk.now
    talk.now += 0.4  # a slow answer neither delays nor hurries the next
    talk.answer(asked)
    assert talk.session.due_at == sent_at + DEFAULT_RENEW_S
    assert talk.session.outgoing(sent_at + DEFAULT_RENEW_S - 0.001) is None


def test_a_permit_counts_from_when_it_was_asked_for() -> None:
    talk = Talk().open()
    asked = talk.ask()
    talk.now += 1.9
    talk.answer(asked)
    assert talk.decide().remaining_s == pytest.approx(0.1)
    talk.now += 0.11
    assert talk.decide().reason is Reason.EXPIRED


def test_without_a_greeting_no_key_is_trusted() -> None:
    talk = Talk().open(greet=False)
    talk.renew()
    assert not talk.decide()
    assert "not trusted" in (talk.session.last_error or "")


def test_pinned_keys_are_not_changed_by_a_greeting() -> None:
    talk = Talk(pinned={key_id(bytes(32)): bytes(32)}).open()
    talk.renew()
    assert not talk.decide()
    pinned = Talk(pinned={KID: PUBLIC}).open(greet=False)
    pinned.renew()
    assert pinned.decide()


def test_what_is_not_signed_by_the_backend_or_for_another_permits_nothing() -> None:
    talk = Talk().open()
    talk.answer(talk.ask(), key=OWN)
    assert not talk.decide()
    talk.answer(talk.ask(), boot_id="b0")
    assert not talk.decide()
    talk.answer(talk.ask(), request_no=77)
    assert not talk.decide()
    talk.renew()
    assert talk.decide()


def test_the_first_renewal_says_everything() -> None:
    asked = Talk().open().ask()
    assert asked == {
        "type": "renew",
        "executor": "bot-1",
        "chain": "arbitrum",
        "strategy": "arbitrage",
        "wallet": "0xAb",
        "boot_id": "b1",
        "request_no": 1,
        "position_eth": None,
        "open_orders": None,
        "in_flight": None,
        "last_order_seq": 0,
        "halted_epoch": 0,
        "seen_epoch": 0,
        "public_key": encode(OWN.public_key().public_bytes_raw()),
        "acknowledgement": None,
        "fates": [],
        "idle_ms": 0,
    }


def test_reports_travel_with_the_next_renewal_and_what_is_left_out_stays() -> None:
    talk = Talk().open()
    nothing = {"position_eth": None, "open_orders": None, "in_flight": None, "last_order_seq": None}
    talk.session.report(talk.now, nothing | {"position_eth": "3.5", "open_orders": 2, "last_order_seq": 9})
    talk.session.report(talk.now, nothing | {"in_flight": 1})
    asked = talk.ask()
    assert (asked["position_eth"], asked["open_orders"], asked["in_flight"], asked["last_order_seq"]) == (
        "3.5",
        2,
        1,
        9,
    )


def test_a_revocation_stops_at_once_is_noted_and_hurries_the_next_renewal() -> None:
    talk = Talk().open()
    talk.renew()
    assert talk.decide()
    assert talk.session.permit is not None
    under_way = talk.ask()
    talk.say(talk.freeze())
    assert talk.decide().held
    assert talk.decide(cancels=True)
    assert talk.session.permit is None
    talk.mode, talk.holds = None, []
    talk.answer(under_way)
    assert not talk.decide()
    assert talk.session.due_at <= talk.now + MIN_RENEW_S
    assert talk.ask()["seen_epoch"] == 1


@pytest.mark.parametrize(
    "message",
    [
        {"type": "revoke"},
        {"type": "revoke", "epoch": "7", "mode": 3, "holds": "x"},
        {"type": "revoke", "epoch": None, "mode": "halt", "holds": [{"freeze_ref": "LATCHED", "epoch": None}]},
        {"type": "revoke", "epoch": -1, "mode": None, "holds": [{}]},
    ],
)
def test_a_revocation_that_is_not_understood_revokes_all_the_same(message: dict[str, Any]) -> None:
    talk = Talk().open()
    talk.renew()
    talk.say(message)
    assert talk.decide(reduces=True).held


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "null",
        "[]",
        '"revoke"',
        b"\xff",
        {"type": "permit"},
        {"type": "permit", "permit": None, "request_no": 1},
        {"type": "permit", "permit": "a.b.c"},
        {"type": "hello", "keys": {}},
        {"type": "hello", "keys": {"k": "short"}},
        {"type": "hello", "keys": [1]},
        {"type": "a word of the future"},
        '{"type":"permit","type":"hello"}',
        "x" * (MAX_MESSAGE_BYTES + 1),
        "[" * 60_000,
    ],
)
def test_a_message_that_makes_no_sense_changes_nothing(message: Any) -> None:
    talk = Talk().open()
    talk.renew()
    talk.say(message)
    assert talk.decide()
    talk.renew()
    assert talk.decide()


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_message_raises_or_permits(message: str | bytes) -> None:
    talk = Talk().open()
    talk.ask()
    talk.session.received(talk.now, message)
    assert not talk.decide()


def test_a_refusal_ends_the_permit() -> None:
    talk = Talk().open()
    talk.renew()
    talk.say({"type": "refused", "code": "conflict", "message": "A newer process\nruns as bot-1."})
    assert talk.decide().reason is Reason.REFUSED
    assert talk.session.last_error == "A newer process runs as bot-1."


def test_a_backend_that_has_no_room_does_not_end_what_another_permitted() -> None:
    talk = Talk().open()
    talk.renew()
    talk.say({"type": "refused", "code": "unavailable", "message": "No further executor can be connected here."})
    assert talk.decide()


def test_it_says_for_how_long_the_executors_own_code_has_not_called() -> None:
    talk = Talk().open()
    talk.renew()
    talk.now += 3
    assert talk.ask()["idle_ms"] == 3000
    talk.session.beat(talk.now)
    talk.freeze()
    talk.renew()
    waiting = talk.session.unconfirmed(talk.now)
    assert waiting is not None
    talk.now += 2
    talk.session.stopped_by_callback(WALL, waiting)
    assert talk.ask()["idle_ms"] >= 2000  # the callback runs in the gate's thread: no sign of life of the executor's


def test_an_unanswered_renewal_is_owed_until_it_or_a_later_one_is_answered() -> None:
    talk = Talk().open()
    asked_at = talk.now
    talk.ask()
    talk.say({"type": "permit", "permit": "x.y.z", "request_no": 1})
    assert talk.session.overdue_since() == asked_at
    talk.renew()
    assert talk.session.overdue_since() == float("inf")


def test_a_permit_may_limit_amounts() -> None:
    talk = Talk().open()
    talk.max_trade = "0.25"
    talk.renew()
    assert talk.decide().reason is Reason.AMOUNT_MISSING
    assert talk.decide(amount_eth=Decimal("0.25"))
    assert talk.decide(amount_eth=1).reason is Reason.TOO_LARGE
    assert talk.session.look(talk.now), "whether there may be sends at all is another question"


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal(-1), Decimal("Infinity"), 0.5, "1", True])
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="an amount is"):
        Talk().decide(amount_eth=amount)


def test_a_halt_that_takes_resting_orders_back_says_so() -> None:
    talk = Talk().open()
    talk.say(talk.freeze("cancel-all"))
    assert talk.decide().cancel_resting
    assert talk.decide().mode is Mode.CANCEL_ALL


def test_processes_that_are_hurried_in_one_instant_go_on_at_different_ones() -> None:
    first, second = Talk().open(), Talk(boot_id="b2").open()
    for talk in (first, second):
        talk.answer(talk.ask())
        talk.say({"type": "revoke", "epoch": 3, "mode": "halt", "holds": []})
        talk.ask()  # at once
        talk.answer(talk.ask())
    assert first.now != second.now
    for talk in (first, second):
        before = talk.now
        talk.ask()
        assert talk.now - before == pytest.approx(DEFAULT_RENEW_S)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=100))
def test_what_follows_a_hurried_renewal_comes_no_later_than_any_other(boot_id: str) -> None:
    talk = Talk(boot_id=boot_id).open()
    talk.ask()
    assert SOONEST * DEFAULT_RENEW_S <= talk.session.due_at - talk.now <= DEFAULT_RENEW_S
