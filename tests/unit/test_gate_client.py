"""The gate as a bot uses it: threads, callbacks, acknowledgements, a line that fails."""

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from gate import Gate, Reason, Refused, TransportError


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Backend:
    """Answers renewals from memory, or fails as told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.hold: tuple[str, int] | None = None
        self.error: Exception | None = None
        self.damage: Callable[[dict[str, Any]], Any] = lambda answer: answer
        self.during: Callable[[], None] = lambda: None
        self.asked = threading.Condition()
        self.closed = False

    def renew(self, body: dict[str, Any], *, timeout_s: float) -> Any:
        with self.asked:
            self.bodies.append(body)
            self.asked.notify_all()
        self.during()
        if self.error is not None:
            raise self.error
        mode, epoch = self.hold or (None, 0)
        return self.damage(
            {
                "executor": body["executor"],
                "may_trade": mode != "halt",
                "mode": mode,
                "epoch": epoch,
                "ttl_ms": 2000,
                "renew_ms": 50,
                "holds": [{"freeze_ref": f"FRZ-{epoch:04d}", "epoch": epoch, "mode": mode}] if mode else [],
                "request_no": body["request_no"],
            }
        )

    def close(self) -> None:
        self.closed = True

    def wait_for(self, ready: Callable[[], bool]) -> None:
        with self.asked:
            assert self.asked.wait_for(ready, timeout=10)


def gate_on(backend: Backend, clock: Clock, **options: Any) -> Gate:
    return Gate(
        "http://127.0.0.1",
        "t",
        executor="bot-1",
        chain="arbitrum",
        strategy="arbitrage",
        wallet="0xab",
        transport=backend,
        clock=clock,
        **options,
    )


def test_a_slow_answer_permits_no_longer_than_a_quick_one() -> None:
    backend, clock = Backend(), Clock()
    gate = gate_on(backend, clock)

    def take_a_while() -> None:
        clock.now += 1.9

    backend.during = take_a_while
    gate.renew_once()
    assert gate.may_send().remaining_s == pytest.approx(0.1)
    clock.now += 0.11
    assert gate.may_send().reason is Reason.EXPIRED


def test_a_lost_backend_lets_the_permit_run_out_and_a_refusal_ends_it() -> None:
    backend, clock = Backend(), Clock()
    gate = gate_on(backend, clock)
    gate.renew_once()
    backend.error = TransportError("connection refused")
    assert not gate.renew_once()
    assert gate.may_send()
    assert gate.last_error == "connection refused"
    backend.error = Refused("A newer process runs as bot-1; this one gets no more permits.")
    gate.renew_once()
    assert gate.may_send().reason is Reason.REFUSED


@pytest.mark.parametrize("answer", [None, [], {"may_trade": True}, "yes"])
def test_an_answer_that_makes_no_sense_permits_nothing(answer: Any) -> None:
    backend, clock = Backend(), Clock()
    backend.damage = lambda _: answer
    gate = gate_on(backend, clock)
    assert not gate.renew_once()
    assert not gate.may_send()


def test_an_answer_to_another_request_permits_nothing() -> None:
    backend, clock = Backend(), Clock()
    backend.damage = lambda answer: answer | {"request_no": 77}
    gate = gate_on(backend, clock)
    assert not gate.renew_once()
    assert not gate.may_send()


def test_reports_travel_with_the_next_renewal_and_what_is_left_out_stays() -> None:
    backend, clock = Backend(), Clock()
    gate = gate_on(backend, clock)
    gate.report(position_eth=Decimal("3.5"), open_orders=2, last_order_seq=9)
    gate.report(in_flight=1)
    gate.renew_once()
    sent = backend.bodies[-1]
    assert (sent["position_eth"], sent["open_orders"], sent["in_flight"], sent["last_order_seq"]) == ("3.5", 2, 1, 9)


def test_a_halt_is_acknowledged_only_once_the_executor_says_it_has_stopped() -> None:
    backend, clock = Backend(), Clock()
    backend.hold = ("halt", 4)
    gate = gate_on(backend, clock)
    gate.renew_once()
    gate.renew_once()
    assert backend.bodies[-1]["halted_epoch"] == 0
    gate.confirm_halted(gate.may_send())
    gate.renew_once()
    assert backend.bodies[-1]["halted_epoch"] == 4


def test_confirming_one_freeze_says_nothing_of_one_that_came_since() -> None:
    backend, clock = Backend(), Clock()
    backend.hold = ("reduce-only", 4)
    gate = gate_on(backend, clock)
    gate.renew_once()
    obeyed = gate.may_send()
    backend.hold = ("halt", 5)
    gate.renew_once()
    gate.confirm_halted(obeyed)
    gate.renew_once()
    assert backend.bodies[-1]["halted_epoch"] == 4


def test_the_callback_is_asked_until_it_says_that_all_has_stopped() -> None:
    backend, clock = Backend(), Clock()
    backend.hold = ("halt", 4)
    answers = iter([False, True])
    gate = gate_on(backend, clock, on_halt=lambda: next(answers))
    acknowledged = []
    for _ in range(4):
        gate.renew_once()
        acknowledged.append(backend.bodies[-1]["halted_epoch"])
    assert acknowledged == [0, 0, 4, 4]


def test_a_callback_that_fails_neither_acknowledges_nor_stops_the_renewals() -> None:
    backend, clock = Backend(), Clock()
    backend.hold = ("halt", 4)

    def broken() -> bool:
        raise RuntimeError("the venue is down")

    gate = gate_on(backend, clock, on_halt=broken)
    gate.renew_once()
    gate.renew_once()
    assert backend.bodies[-1]["halted_epoch"] == 0


def test_it_renews_in_the_background_and_gives_up_its_permit_when_closed() -> None:
    backend, clock = Backend(), Clock()
    with gate_on(backend, clock) as gate:
        backend.wait_for(lambda: len(backend.bodies) >= 3)
        assert gate.may_send()
    assert not gate.may_send()
    assert backend.closed
    assert len({body["boot_id"] for body in backend.bodies}) == 1


def test_a_confirmation_does_not_wait_for_the_next_renewal() -> None:
    backend, clock = Backend(), Clock()
    backend.hold = ("halt", 4)
    backend.damage = lambda answer: answer | {"renew_ms": 3_600_000}
    with gate_on(backend, clock) as gate:
        backend.wait_for(lambda: len(backend.bodies) == 1)
        while not (decision := gate.may_send()).held:
            pass
        gate.confirm_halted(decision)
        backend.wait_for(lambda: backend.bodies[-1]["halted_epoch"] == 4)


def test_a_forked_copy_may_not_send(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, clock = Backend(), Clock()
    gate = gate_on(backend, clock)
    gate.renew_once()
    monkeypatch.setattr("gate.client.os.getpid", lambda: -1)
    assert not gate.may_send()
    assert gate.may_send(cancels=True)
