"""One executor's conversation, without a line: renewals, acknowledgements, fates, and messages that make no sense."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gate.orders import MAX_FATES, MAX_LISTED_IDS, MAX_WALLETS
from gate.permits import DEFAULT_RENEW_S, MIN_RENEW_S, Identity, Mode, Reason
from gate.session import MAX_MESSAGE_BYTES, Session
from gate.statements import MAX_BYTES, Kind, encode, key_id, read, sign

ME = Identity(executor="bot-1", chain="arbitrum", strategy="arbitrage", wallet="0xAb", boot_id="b1")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
KID = key_id(PUBLIC)
OWN = Ed25519PrivateKey.from_private_bytes(bytes(32))
WALL = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
HELLO = {"type": "hello", "keys": {KID: encode(PUBLIC)}, "backend": "b"}


class Talk:
    """A session and the other end of its line, in the test's hands."""

    def __init__(self, *, pinned: dict[str, bytes] | None = None) -> None:
        self.now = 100.0
        self.session = Session(ME, OWN, permit_keys=pinned, now=self.now)
        self.epoch, self.ttl_ms = 0, 2000
        self.mode: str | None = None
        self.holds: list[dict[str, Any]] = []
        self.acked = self.taken = 0
        self.max_trade: str | None = None

    def open(self, *, greet: bool = True) -> "Talk":
        self.session.opened(self.now)
        if greet:
            self.say(HELLO)
        return self

    def say(self, message: Any) -> None:
        self.session.received(self.now, message if isinstance(message, str | bytes) else json.dumps(message))

    def ask(self) -> dict[str, Any]:
        self.now = max(self.now, self.session.due_at)
        text = self.session.outgoing(self.now)
        assert text is not None
        message: dict[str, Any] = json.loads(text)
        return message

    def payload(self, asked: dict[str, Any]) -> dict[str, Any]:
        names = ("executor", "boot_id", "chain", "strategy", "wallet", "request_no")
        return {
            "v": 1,
            **{name: asked[name] for name in names},
            "mode": self.mode,
            "epoch": self.epoch,
            "ttl_ms": self.ttl_ms,
            "renew_ms": 500,
            "max_trade": self.max_trade,
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "holds": self.holds,
        }

    def answer(self, asked: dict[str, Any], *, key: Ed25519PrivateKey = KEY, **change: Any) -> None:
        permit = sign(Kind.PERMIT, KID, key, self.payload(asked) | change)
        self.say(
            {
                "type": "permit",
                "permit": permit,
                "request_no": asked["request_no"],
                "acked_epoch": self.acked,
                "fates_taken": self.taken,
            }
        )

    def renew(self) -> dict[str, Any]:
        asked = self.ask()
        self.answer(asked)
        return asked

    def freeze(self, mode: str = "halt") -> dict[str, Any]:
        self.epoch += 1
        self.mode = mode
        self.holds = [*self.holds, {"freeze_ref": f"FRZ-{self.epoch:04d}", "epoch": self.epoch, "mode": mode}]
        return {"type": "revoke", "epoch": self.epoch, "mode": mode, "holds": self.holds}

    def decide(self, **options: Any) -> Any:
        given = {"reduces": False, "cancels": False, "amount_eth": None} | options
        return self.session.may_send(self.now, **given)

    def acknowledgement(self, asked: dict[str, Any]) -> dict[str, Any]:
        return read(asked["acknowledgement"], Kind.HALT, {ME.boot_id: OWN.public_key().public_bytes_raw()})


def test_nothing_is_said_before_a_connection_stands_and_at_once_when_it_does() -> None:
    talk = Talk()
    assert talk.session.outgoing(talk.now) is None
    talk.open()
    assert talk.session.outgoing(talk.now) is not None
    talk.session.closed("gone")
    assert talk.session.outgoing(talk.now + 60) is None


def test_renewals_are_due_at_an_interval_from_the_last_one_sent() -> None:
    talk = Talk().open()
    sent_at = talk.now
    asked = talk.ask()
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
    talk.renew()
    assert talk.ask()["acknowledgement"] is None


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


@pytest.mark.parametrize("amount", [Decimal("NaN"), Decimal(-1), Decimal("Infinity"), 0.5, "1", True])
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    with pytest.raises(ValueError, match="an amount is"):
        Talk().decide(amount_eth=amount)


def test_a_halt_that_takes_resting_orders_back_says_so() -> None:
    talk = Talk().open()
    talk.say(talk.freeze("cancel-all"))
    assert talk.decide().cancel_resting
    assert talk.decide().mode is Mode.CANCEL_ALL
