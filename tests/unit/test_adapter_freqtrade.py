"""What freqtrade's answers are taken to mean: nothing is halted by its state alone, no fate is guessed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.freqtrade_book import Book, MalformedError, Order, Picture, read_orders, read_state, read_worker
from adapters.loop import Standing
from gate import Mode

OPEN = Order("a", 1, is_open=True, fate=None)
LANDED = Order("a", 1, is_open=False, fate="landed")
CYCLE_S = 5.0


def line(message: str, logger: str = "freqtrade.worker") -> list[Any]:
    return ["2026-01-01 00:00:00", 1.0, logger, "INFO", message]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], None),
        ([line("Changing state from RUNNING to: STOPPED")], "stopped"),
        ([line("Changing state to: STOPPED"), line("Changing state from STOPPED to: RUNNING")], "running"),
        ([line("Bot heartbeat. PID=7, version='2026.9', state='PAUSED'")], "paused"),
        ([line("Bot heartbeat. PID=7, version='2026.9, strategy_version: 1', state='RUNNING'")], "running"),
        ([line("Changing state to: RUNNING"), line("Changing state to: STOPPED", "some.strategy")], "running"),
        ([line("Changing state to: RUNNING"), line("my note: Changing state to: STOPPED")], "running"),
        ([line("Starting worker 2026.9")], None),
    ],
)
def test_its_worker_is_taken_at_its_own_last_word(lines: list[Any], said: str | None) -> None:
    assert read_worker({"log_count": len(lines), "logs": lines}) == said


def test_a_status_that_says_how_an_order_ended_is_its_fate_and_no_other() -> None:
    def order(status: str, filled: float = 0.0, **own: Any) -> Any:
        return {"order_id": status, "is_open": False, "status": status, "filled": filled} | own

    trade = {"trade_id": 3, "orders": [order("closed", 2), order("canceled"), order("expired"), order("open")]}
    assert [one.fate for one in read_orders([trade])] == ["landed", "cancelled", "expired", None]
    assert [one.fate for one in read_orders([trade | {"orders": [order("canceled", 1.5)]}])] == ["landed"]
    assert [one.fate for one in read_orders([trade | {"orders": [order("closed", is_open=True)]}])] == [None]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["logs", "state", "orders"]), inner),
    max_leaves=12,
)


@given(_JSON)
def test_what_freqtrade_would_never_say_is_refused(answer: Any) -> None:
    for read in (read_state, read_worker, read_orders):
        try:
            found: Any = read(answer)
        except MalformedError:
            continue
        assert found is None or isinstance(found, str | list)


@pytest.mark.parametrize(
    ("state", "worker", "mode", "standing"),
    [
        ("running", "running", Mode.REDUCE_ONLY, Standing.RUNS),
        ("paused", "running", Mode.REDUCE_ONLY, Standing.NOT_YET),
        ("paused", "paused", Mode.REDUCE_ONLY, Standing.OBEYS),
        ("stopped", "stopped", Mode.REDUCE_ONLY, Standing.OBEYS),
        ("paused", "paused", Mode.HALT, Standing.RUNS),
        ("stopped", "running", Mode.HALT, Standing.NOT_YET),
        ("stopped", None, Mode.HALT, Standing.NOT_YET),
        ("stopped", "paused", Mode.HALT, Standing.NOT_YET),
        ("stopped", "stopped", Mode.HALT, Standing.OBEYS),
        ("reload_config", "stopped", Mode.HALT, Standing.RUNS),
        ("stopped", "stopped", Mode.CANCEL_ALL, Standing.RESTING),
        ("stopped", "stopped", None, Standing.OBEYS),
        ("paused", "paused", None, Standing.RUNS),
    ],
)
def test_it_obeys_only_where_state_worker_and_orders_agree(
    state: str, worker: str | None, mode: Mode | None, standing: Standing
) -> None:
    book = Book(CYCLE_S, quiet_since=0.0)
    book.take([OPEN], 1.0)
    assert book.standing(Picture(state, worker, (OPEN,)), mode, 1.0 + 2 * CYCLE_S)[0] is standing


def test_each_new_order_and_each_order_to_stop_begin_the_wait_anew() -> None:
    book = Book(CYCLE_S, quiet_since=0.0)
    stopped = Picture("stopped", "stopped", ())

    def standing(now: float) -> Standing:
        return book.standing(stopped, Mode.HALT, now)[0]

    assert standing(10.0) is Standing.OBEYS
    book.told(10.0, 10_000)
    assert standing(19.9) is Standing.NOT_YET
    book.take([Order("b", 2, is_open=True, fate=None, made_ms=9_000), OPEN], 15.0)
    assert standing(24.9) is Standing.NOT_YET
    assert standing(25.0) is Standing.OBEYS
    book.take([Order("c", 2, is_open=True, fate=None, made_ms=10_001)], 25.0)
    assert "1 orders made after" in book.standing(stopped, Mode.HALT, 35.0)[1]


def test_an_order_that_vanished_has_a_fate_only_if_it_was_taken_back_or_the_bot_was_free() -> None:
    book = Book(CYCLE_S, quiet_since=0.0)
    assert book.take([OPEN], 1.0).sent == ("a",)
    assert book.take([], 2.0).settled == ()
    other = Order("b", 2, is_open=True, fate=None)
    book.take([other], 3.0)
    book.took_back(2)
    assert book.take([], 4.0).settled == (("b", "cancelled"),)
    book.take([Order("c", 3, is_open=True, fate=None)], 5.0)
    assert book.take([], 6.0, free=True).settled == (("c", "cancelled"),)
    assert book.open_count == 0


def test_an_order_is_sent_once_and_settled_once() -> None:
    book = Book(CYCLE_S, quiet_since=0.0)
    assert book.take([LANDED], 1.0).settled == (("a", "landed"),)
    again = book.take([LANDED], 2.0)
    assert (again.sent, again.settled) == ((), ())
