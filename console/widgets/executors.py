"""Owns how executors are drawn: one row each, and everything known of one."""

from console.state.floor import Floor
from console.state.freshness import Freshness, coarse_age, seconds_between
from console.widgets import words
from console.widgets.lines import EMPTY, Line, column, cut, left, line, middle_cut, outside, pad, right, titled_rule
from console.widgets.overview import feed_age
from console.widgets.view import View
from contract.executors import Executor, ExecutorState

_WALLET_FROM_COLUMNS = 100
_LABEL_COLUMNS = 14


def _columns(view: View) -> tuple[int, int, int, int]:
    """Widths of name, chain, strategy and wallet."""
    if view.width >= _WALLET_FROM_COLUMNS:
        return 20, 14, 16, 20
    return (19, 10, 14, 0) if view.width >= 70 else (12, 10, 0, 0)  # noqa: PLR2004  narrower than that has no strategy


def list_title(floor: Floor, shown: int, filter_text: str, view: View) -> Line:
    """How many executors, and their age if the line is down."""
    g = view.glyphs
    total = floor.executors_total
    known = len(floor.executors)
    count = f"{shown:,} of {known:,}" if filter_text else f"{known:,}"
    more = f" of {total:,}" if total > known else ""
    containing: Line = ((" containing ", ""), (outside(filter_text, 40), "near")) if filter_text else EMPTY
    title = (("EXECUTORS ", "head"), (count + more, "bold"), *containing)
    return titled_rule(title, view.width, g, feed_age(floor, view))


def head_row(view: View) -> Line:
    """The names of the columns."""
    g = view.glyphs
    name, chain, strategy, wallet = _columns(view)
    text = "  " + left("executor", name, g) + left("chain", chain, g) + left("strategy", strategy, g)
    text += left("wallet", wallet, g)
    text += left("state", 9, g) + right("position", 9, g) + right("orders", 7, g) + right("seen", 7, g)
    return line((cut(text, view.width, g), "head"))


def executor_row(executor: Executor, floor: Floor, view: View) -> Line:
    """One executor; what is too old to be known is `--`."""
    g = view.glyphs
    fresh = floor.feed_freshness(view.desk_now)
    sign = words.executor(executor.state, g)
    name, chain, strategy, wallet = _columns(view)
    lost = fresh is Freshness.LOST or executor.state is ExecutorState.SILENT
    position = words.eth(None if lost else executor.position_eth)
    orders = words.number(None if lost else executor.open_orders)
    content = line(
        (f"{sign.glyph} ", sign.style),
        (column(outside(executor.name, 60), name, g), "bold"),
        column(outside(executor.chain, 60), chain, g),
        (column(outside(executor.strategy, 60), strategy, g), "dim"),
        (left(middle_cut(outside(executor.wallet, 100), max(wallet - 1, 0), g), wallet, g), "dim"),
        (left(sign.word, 9, g), sign.style),
        right(position, 9, g),
        right(orders, 7, g),
        (right(_seen(executor, floor, view), 7, g), "dim"),
    )
    return pad(content if fresh is Freshness.LIVE else tuple((text, "dim") for text, _ in content), view.width, g)


def _seen(executor: Executor, floor: Floor, view: View) -> str:
    age_s = seconds_between(executor.last_seen_at, floor.now(view.desk_now))
    return "never" if age_s is None else coarse_age(age_s)


def detail_rows(executor: Executor, floor: Floor, view: View) -> list[Line]:
    """Everything known of one executor."""
    g = view.glyphs
    sign = words.executor(executor.state, g)
    age_s = seconds_between(executor.last_seen_at, floor.now(view.desk_now))
    holds = [
        outside(hold.ref, 20)
        for hold in floor.freezes.values()
        if hold.scope.covers(
            chain=executor.chain, strategy=executor.strategy, wallet=executor.wallet, executor=executor.name
        )
    ]
    facts = [
        ("chain", executor.chain),
        ("strategy", executor.strategy),
        ("wallet", executor.wallet),
        ("position", f"{words.eth(executor.position_eth, 4)} ETH"),
        ("open orders", words.number(executor.open_orders)),
        ("in flight", words.number(executor.in_flight)),
        ("last order", f"#{executor.last_order_seq:,}"),
        ("last seen", "never" if age_s is None else f"{coarse_age(age_s)} ago, {executor.last_seen_at:%H:%M:%S} UTC"),
        ("registered", f"{executor.registered_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("frozen by", ", ".join(holds) or "no freeze covers it"),
    ]
    head = titled_rule(
        (("", ""), (outside(executor.name, 60) + " ", "bold"), (f"{sign.glyph} {sign.word}", sign.style)), view.width, g
    )
    return [
        head,
        *(
            line((left(name, _LABEL_COLUMNS, g), "dim"), cut(outside(value, 120), view.width - _LABEL_COLUMNS, g))
            for name, value in facts
        ),
    ]
