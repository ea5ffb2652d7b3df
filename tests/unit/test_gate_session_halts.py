"""What an executor says when it halts: signed, repeated until confirmed, with the fates of its orders."""

import json
from typing import Any

import pytest

from gate.orders import MAX_FATES, MAX_LISTED_IDS, MAX_WALLETS
from gate.permits import MIN_RENEW_S
from gate.session import MAX_MESSAGE_BYTES
from gate.statements import MAX_BYTES, Kind
from tests.support.gate_talk import WALL, Talk


def test_an_acknowledgement_is_a_signed_statement_repeated_until_it_is_confirmed() -> None:
    talk = Talk().open()
    talk.renew()
    talk.session.sent(talk.now, "0xaa", None, 7)
    talk.session.sent(talk.now, "0xbb", "0xCD", 3)
    talk.session.settled(talk.now, "0xaa", "landed")
    talk.say(talk.freeze())
    assert talk.renew()["acknowledgement"] is None
    assert talk.session.confirm_halted(talk.now, WALL, talk.decide())
    first = talk.renew()
    assert talk.acknowledgement(first) == {
        "v": 1,
        "executor": "bot-1",
        "boot_id": "b1",
        "epoch": 1,
        "mode": "halt",
        "holds": ["FRZ-0001"],
        "last_order_seq": 2,
        "nonces": {"0xab": 7, "0xcd": 3},
        "in_flight": ["0xbb"],
        "in_flight_count": 1,
        "open_orders": None,
        "at": "2026-01-02T03:04:05.000678Z",
    }
    assert first["halted_epoch"] == 1
    assert talk.renew()["acknowledgement"] == first["acknowledgement"]
    talk.acked = 1
    talk.answer(talk.ask(), executor="bot-2")  # what is said to somebody else confirms nothing
    assert talk.ask()["acknowledgement"] == first["acknowledgement"]
    talk.renew()
    assert talk.ask()["acknowledgement"] is None


def test_nonces_of_before_the_start_are_acknowledged_and_count_no_order() -> None:
    talk = Talk().open()
    told = {"position_eth": None, "open_orders": None, "in_flight": None, "last_order_seq": None}
    talk.session.report(talk.now, told | {"nonces": {"0xAb": 41, "0xcd": 5}})
    talk.session.report(talk.now, told | {"nonces": {"0xab": 40}})
    with pytest.raises(ValueError, match="not a nonce"):
        talk.session.report(talk.now, told | {"nonces": {"0xab": -1}})
    talk.renew()
    talk.freeze()
    talk.renew()
    talk.session.confirm_halted(talk.now, WALL, talk.decide())
    said = talk.acknowledgement(talk.renew())
    assert (said["nonces"], said["last_order_seq"], said["in_flight_count"]) == ({"0xab": 41, "0xcd": 5}, 0, 0)


def test_an_acknowledgement_is_due_at_once_and_made_once() -> None:
    talk = Talk().open()
    talk.freeze()
    talk.renew()
    assert talk.session.confirm_halted(talk.now, WALL, talk.decide())
    assert talk.session.due_at <= talk.now + MIN_RENEW_S
    assert not talk.session.confirm_halted(talk.now, WALL, talk.decide())


def test_confirming_one_freeze_says_nothing_of_one_that_came_since() -> None:
    talk = Talk().open()
    talk.freeze("reduce-only")
    talk.renew()
    obeyed = talk.decide()
    talk.say(talk.freeze("halt"))
    talk.session.confirm_halted(talk.now, WALL, obeyed)
    asked = talk.ask()
    assert (asked["halted_epoch"], asked["seen_epoch"]) == (1, 2)
    said = talk.acknowledgement(asked)
    assert (said["epoch"], said["mode"]) == (1, "reduce-only")
    assert talk.session.unconfirmed(talk.now) is not None


def test_a_latched_freeze_is_to_be_obeyed_at_once_and_acknowledged_once_it_has_an_epoch() -> None:
    talk = Talk().open()
    talk.renew()
    talk.say({"type": "revoke", "epoch": None, "mode": "halt", "holds": []})
    waiting = talk.session.unconfirmed(talk.now)
    assert waiting is not None
    talk.session.stopped_by_callback(WALL, waiting)
    assert talk.session.unconfirmed(talk.now) is None
    assert talk.ask()["acknowledgement"] is None
    talk.freeze()
    talk.renew()
    again = talk.session.unconfirmed(talk.now)
    assert again is not None
    talk.session.stopped_by_callback(WALL, again)
    assert talk.acknowledgement(talk.ask())["epoch"] == 1


def test_a_second_latched_freeze_is_to_be_obeyed_anew() -> None:
    talk = Talk().open()
    talk.renew()
    for _ in range(2):
        talk.say({"type": "revoke", "epoch": None, "mode": "halt", "holds": []})
        waiting = talk.session.unconfirmed(talk.now)
        assert waiting is not None
        talk.session.stopped_by_callback(WALL, waiting)
        talk.renew()
        assert talk.decide()


def test_a_latched_halt_on_top_of_what_is_obeyed_already_is_to_be_obeyed_anew() -> None:
    talk = Talk().open()
    talk.freeze("reduce-only")
    talk.renew()
    talk.session.confirm_halted(talk.now, WALL, talk.decide())
    latched = {"freeze_ref": "LATCHED", "epoch": None, "mode": "reduce-only"}
    for mode, waits in (("reduce-only", True), ("halt", True), ("halt", False)):
        talk.say({"type": "revoke", "epoch": None, "mode": mode, "holds": [*talk.holds, latched | {"mode": mode}]})
        waiting = talk.session.unconfirmed(talk.now)
        assert (waiting is not None) is waits
        if waiting is not None:
            talk.session.stopped_by_callback(WALL, waiting)


def test_fates_of_acknowledged_orders_are_repeated_until_they_are_taken() -> None:
    talk = Talk().open()
    talk.renew()
    for order in ("a", "b", "c"):
        talk.session.sent(talk.now, order, None, None)
    talk.session.settled(talk.now, "a", "landed")  # in no acknowledgement: nobody asks
    talk.freeze()
    talk.renew()
    talk.session.confirm_halted(talk.now, WALL, talk.decide())
    talk.renew()
    talk.session.settled(talk.now, "b", "cancelled")
    assert talk.session.due_at <= talk.now + MIN_RENEW_S
    first = talk.renew()
    assert first["fates"] == [{"id": "b", "fate": "cancelled"}]
    talk.session.settled(talk.now, "c", "expired")
    second = talk.renew()
    assert [each["id"] for each in second["fates"]] == ["b", "c"]
    talk.taken = first["request_no"]
    talk.renew()
    talk.taken = 0
    assert [each["id"] for each in talk.renew()["fates"]] == ["c"]
    talk.taken = talk.ask()["request_no"]
    talk.renew()
    assert talk.ask()["fates"] == []


def test_a_new_process_may_tell_the_fates_of_what_an_earlier_one_left_in_flight() -> None:
    talk = Talk().open()
    talk.session.settled(talk.now, "left behind", "landed")
    assert talk.ask()["fates"] == [{"id": "left behind", "fate": "landed"}]


def test_many_orders_still_make_a_statement_that_is_read() -> None:
    talk = Talk().open()
    talk.renew()
    for number in range(1000):
        talk.session.sent(talk.now, f"0x{number:064x}", f"0x{number % MAX_WALLETS:040x}", number)
    talk.freeze()
    talk.renew()
    talk.session.confirm_halted(talk.now, WALL, talk.decide())
    asked = talk.ask()
    assert len(asked["acknowledgement"]) <= MAX_BYTES[Kind.HALT]
    said = talk.acknowledgement(asked)
    assert said["in_flight_count"] == asked["in_flight"] == 1000
    assert len(said["in_flight"]) == MAX_LISTED_IDS
    assert len(said["nonces"]) == MAX_WALLETS
    for number in range(1000):
        talk.session.settled(talk.now, f"0x{number:064x}", "landed")
    asked = talk.ask()
    assert len(asked["fates"]) == MAX_FATES
    assert len(json.dumps(asked)) < MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    ("order_id", "nonce"),
    [
        ("", None),
        ("x" * 201, None),
        ("a\x00", None),
        ("\ud800", None),
        (7, None),
        ("a", -1),
        ("a", 2**63),
        ("a", True),
        ("a", 1.5),
    ],
)
def test_an_order_that_is_out_of_bounds_is_refused(order_id: Any, nonce: Any) -> None:
    with pytest.raises(ValueError, match=r"id|nonce"):
        Talk().session.sent(0.0, order_id, None, nonce)


def test_a_fate_is_one_of_four() -> None:
    with pytest.raises(ValueError, match="eaten"):
        Talk().session.settled(0.0, "a", "eaten")
