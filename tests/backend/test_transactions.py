"""Batches of trades: stored whole or not at all, once, and never overwritten."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import func, select, text

from backend.stream.tables import StreamEvent
from backend.transactions.tables import TransactionRow
from contract.base import Page
from contract.transactions import MAX_BATCH_ROWS, ImportResult, Outcome, Transaction
from tests.support.app import App
from tests.support.ledger import entries_of
from tests.support.people import EXECUTOR, OFFICER, OPERATOR
from tests.support.trades import store, trade

NOW = datetime.now(UTC).replace(microsecond=0)


def body(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"transactions": list(rows)}


def row(**changes: Any) -> dict[str, Any]:
    usual = {"chain": "arbitrum", "tx_hash": f"0x{secrets.token_hex(32)}", "block_time": NOW.isoformat()}
    return usual | changes


async def post(app: App, *rows: dict[str, Any]) -> ImportResult:
    answer = await (await app.as_(EXECUTOR)).post("/v1/transactions", json=body(*rows))
    assert answer.status_code == 200, answer.text
    return ImportResult.model_validate_json(answer.content)


async def stored(app: App) -> list[TransactionRow]:
    async with app.runtime.database.read() as session:
        return list((await session.execute(select(TransactionRow).order_by(TransactionRow.tx_hash))).scalars())


async def test_a_batch_is_stored_audited_and_announced_once(app: App) -> None:
    result = await post(app, row(status="success"), row(status="reverted"), row())
    assert (result.imported, result.unchanged, result.refused) == (3, 0, [])
    assert sorted(one.outcome for one in await stored(app)) == ["failed", "success", "unknown"]
    async with app.runtime.database.read() as session:
        [event] = (await session.execute(select(StreamEvent).where(StreamEvent.topic == "transactions"))).scalars()
    [entry] = await entries_of(app, "transactions.batch.stored")
    assert event.payload["count"] == 3
    assert entry.category == "transactions"
    assert entry.new_value is not None
    assert entry.new_value["imported"] == 3


async def test_the_same_batch_again_changes_nothing(app: App) -> None:
    rows = [row(profit_eth="0.1", wallet="0xAB"), row(profit_usd="1.5", eth_usd="3000")]
    await post(app, *rows)
    before = [(one.id, one.recorded_at) for one in await stored(app)]
    again = await post(app, *[one | {"tx_hash": one["tx_hash"].upper().replace("0X", "0x")} for one in rows])
    assert (again.imported, again.unchanged, again.refused) == (0, 2, [])
    assert [(one.id, one.recorded_at) for one in await stored(app)] == before


async def test_other_values_under_a_known_hash_are_refused_and_name_the_fields(app: App) -> None:
    known = row(profit_eth="0.1", label="first")
    await post(app, known)
    fresh = row()
    result = await post(app, fresh, known | {"profit_eth": None, "label": "second"})
    assert (result.imported, result.unchanged) == (0, 0)
    assert [(one.line, one.reason) for one in result.refused] == [
        (2, "already stored with other values (label, profit_eth)")
    ]
    [kept] = await stored(app)
    assert (kept.label, kept.profit_eth) == ("first", Decimal("0.1"))


async def test_one_bad_row_refuses_the_whole_batch_and_is_named(app: App) -> None:
    late = (NOW + timedelta(hours=1)).isoformat()
    result = await post(app, row(), row(block_time=late), row(gas_cost_eth="-1"))
    assert result.imported == 0
    assert [one.line for one in result.refused] == [2, 3]
    assert await stored(app) == []
    [entry] = await entries_of(app, "transactions.batch.stored")
    assert entry.result == "failure"


async def test_a_hash_twice_in_one_batch(app: App) -> None:
    one = row(label="a")
    assert (await post(app, one, one)).unchanged == 1
    other = row(label="a")
    result = await post(app, other, other | {"label": "b"})
    assert [refused.line for refused in result.refused] == [2]
    assert len(await stored(app)) == 1


async def test_the_same_hash_on_two_chains_is_two_trades(app: App) -> None:
    one = row()
    result = await post(app, one, one | {"chain": "base"})
    assert result.imported == 2


async def test_blank_stays_blank(app: App) -> None:
    await post(app, row())
    [found] = await stored(app)
    assert (found.profit_eth, found.profit_usd, found.gas_cost_eth, found.block_number) == (None, None, None, None)


@pytest.mark.parametrize(
    "bad",
    [
        {"transactions": []},
        {"transactions": [{"chain": "x"}]},
        {"transactions": [row(profit_eth="NaN")]},
        {"transactions": [row(unknown_field=1)]},
        {"transactions": [row(block_time="2026-01-01T00:00:00")]},
    ],
)
async def test_a_body_that_is_no_batch_is_refused_in_one_line(app: App, bad: dict[str, Any]) -> None:
    answer = await (await app.as_(EXECUTOR)).post("/v1/transactions", json=bad)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_request"


async def test_a_batch_has_a_limit(app: App) -> None:
    answer = await (await app.as_(EXECUTOR)).post("/v1/transactions", json=body(*[row()] * (MAX_BATCH_ROWS + 1)))
    assert answer.status_code in {413, 422}


async def test_two_batches_with_the_same_trades_at_once_store_each_once(app: App) -> None:
    rows = [row() for _ in range(200)]
    await app.as_(EXECUTOR)  # signed up before, not at the same time
    results = await asyncio.gather(post(app, *rows), post(app, *reversed(rows)), post(app, *rows[:50]))
    assert sum(result.imported for result in results) == 200
    assert sum(result.unchanged for result in results) == 250
    assert len(await stored(app)) == 200


async def test_the_hourly_sums_follow_the_trades(app: App) -> None:
    await app.as_(EXECUTOR)  # signed up before, not at the same time
    await asyncio.gather(*(post(app, *[row(profit_eth="0.5", status="success") for _ in range(20)]) for _ in range(5)))
    async with app.runtime.database.read() as session:
        found = await session.execute(
            text("SELECT sum(trades), sum(profit_eth), sum(succeeded) FROM transaction_hours")
        )
        assert tuple(found.one()) == (100, Decimal(50), 100)


async def test_profit_is_derived_from_dollars_for_the_sums_only(app: App) -> None:
    await post(
        app,
        row(profit_usd="-300", eth_usd="3000"),
        row(profit_usd="-300"),
        row(profit_eth="-0.2", profit_usd="999999", eth_usd="1"),
    )
    async with app.runtime.database.read() as session:
        found = await session.execute(text("SELECT sum(profit_eth), sum(profit_unknown) FROM transaction_hours"))
        assert tuple(found.one()) == (Decimal("-0.3"), 1)
        nothing_added = select(func.count()).where(TransactionRow.profit_eth.is_(None))
        assert await session.scalar(nothing_added) == 2


async def pages(app: App, **params: Any) -> list[Transaction]:
    client = await app.as_(OFFICER)
    found: list[Transaction] = []
    cursor = None
    while True:
        answer = await client.get("/v1/transactions", params=params | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        page = Page[Transaction].model_validate_json(answer.content)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


async def test_the_list_pages_through_everything_once_newest_first(app: App) -> None:
    trades = [trade(NOW - timedelta(seconds=number // 4)) for number in range(50)]
    await store(app, *trades)
    found = await pages(app, limit=7)
    assert [one.tx_hash for one in found] != []
    assert {one.tx_hash for one in found} == {one.tx_hash for one in trades}
    assert len(found) == 50
    assert [one.block_time for one in found] == sorted((one.block_time for one in found), reverse=True)


async def test_the_list_is_narrowed_by_every_filter(app: App) -> None:
    await store(
        app,
        trade(NOW, chain="base", wallet="0xABCD", strategy="liquidation"),
        trade(NOW - timedelta(days=1), status="failed"),
    )
    assert [one.chain for one in await pages(app, chain="BASE")] == ["base"]
    assert [one.wallet for one in await pages(app, wallet="0xAbCd")] == ["0xabcd"]
    assert [one.strategy for one in await pages(app, strategy="liquidation")] == ["liquidation"]
    assert [one.outcome for one in await pages(app, outcome="failed")] == [Outcome.FAILED]
    assert [one.chain for one in await pages(app, **{"from": NOW.isoformat()})] == ["base"]
    assert [one.chain for one in await pages(app, to=NOW.isoformat())] == ["arbitrum"]


@pytest.mark.parametrize("params", [{"limit": 0}, {"limit": 501}, {"cursor": "x"}, {"from": "yesterday"}])
async def test_a_senseless_page_is_refused(app: App, params: dict[str, Any]) -> None:
    answer = await (await app.as_(OPERATOR)).get("/v1/transactions", params=params)
    assert answer.status_code == 422


async def test_hostile_text_is_stored_as_given(app: App) -> None:
    hostile = "\x1b[31mred\x1b]8;;http://x\x07 [bold]markup[/] \u202eend"
    await post(app, row(label=hostile, strategy=hostile, wallet=hostile))
    [found] = await pages(app)
    assert (found.label, found.strategy, found.wallet) == (hostile.strip(),) * 3
