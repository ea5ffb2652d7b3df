"""File imports: staged, then stored whole; and the four public files."""

import asyncio
import csv
import hashlib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text

from backend.transactions.intake import ABANDONED_AFTER, MAX_IMPORT_ROWS
from backend.transactions.tables import Import, StagedTransaction, TransactionRow
from contract.transactions import ImportResult
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, OPERATOR
from tests.support.shared_data import shared_data

SHA = hashlib.sha256(b"").hexdigest()
WHEN = datetime(2023, 8, 8, 10, tzinfo=UTC)
AMOUNTS = ("profit_usd", "gas_cost_usd", "profit_eth", "gas_cost_eth", "paid_to_builder_eth", "volume_usd", "eth_usd")
CHUNK_ROWS = 3_000


def row(number: int, **changes: Any) -> dict[str, Any]:
    return {"chain": "ethereum", "tx_hash": f"0x{number:064x}", "block_time": WHEN.isoformat()} | changes


async def opened(client: httpx.AsyncClient) -> str:
    answer = await client.post("/v1/imports", json={"filename": "trades.csv", "sha256": SHA})
    assert answer.status_code == 201
    ident: str = answer.json()["id"]
    return ident


async def stage(client: httpx.AsyncClient, ident: str, rows: dict[int, dict[str, Any]]) -> ImportResult:
    lines = [{"line": line, "transaction": row} for line, row in rows.items()]
    answer = await client.post(f"/v1/imports/{ident}/rows", json={"rows": lines})
    assert answer.status_code == 200, answer.text
    return ImportResult.model_validate_json(answer.content)


async def commit(client: httpx.AsyncClient, ident: str, **params: Any) -> ImportResult:
    answer = await client.post(f"/v1/imports/{ident}/commit", params=params)
    assert answer.status_code == 200, answer.text
    return ImportResult.model_validate_json(answer.content)


async def count(app: App, table: Any) -> int:
    async with app.runtime.database.read() as session:
        found: int = (await session.execute(select(func.count()).select_from(table))).scalar_one()
        return found


async def test_nothing_is_stored_before_the_commit(app: App) -> None:
    client = await app.as_(OPERATOR)
    ident = await opened(client)
    await stage(client, ident, {2: row(1), 3: row(2)})
    await stage(client, ident, {3: row(2), 4: row(3)})  # a chunk repeated after a dropped line
    assert await count(app, TransactionRow) == 0
    result = await commit(client, ident)
    assert (result.imported, result.unchanged, result.refused) == (3, 0, [])
    assert await count(app, StagedTransaction) == 0
    [entry] = await entries_of(app, "transactions.file.imported")
    assert entry.entry_metadata["sha256"] == SHA
    assert entry.new_value is not None
    assert entry.new_value["first_block_time"] == WHEN.isoformat()


async def test_a_repeated_commit_repeats_its_answer(app: App) -> None:
    client = await app.as_(OPERATOR)
    ident = await opened(client)
    await stage(client, ident, {2: row(1)})
    assert await commit(client, ident) == await commit(client, ident)


async def test_two_commits_at_once_store_once(app: App) -> None:
    client = await app.as_(OPERATOR)
    ident = await opened(client)
    await stage(client, ident, {2: row(1)})
    first, second = await asyncio.gather(commit(client, ident), commit(client, ident))
    assert (first.imported, second.imported) == (1, 1)
    assert await count(app, TransactionRow) == 1


async def test_one_bad_line_refuses_the_file_until_it_is_left_out(app: App) -> None:
    client = await app.as_(OPERATOR)
    ident = await opened(client)
    early = await stage(client, ident, {2: row(1), 3: row(2, gas_cost_eth="-1"), 4: row(1, label="other")})
    assert [one.line for one in early.refused] == [3]
    refused = await commit(client, ident)
    assert (refused.imported, [one.line for one in refused.refused]) == (0, [3])
    assert await count(app, TransactionRow) == 0
    taken = await commit(client, ident, skip_bad=True)
    assert (taken.imported, taken.unchanged) == (1, 0)
    assert [(one.line, one.reason) for one in taken.refused] == [
        (3, "gas_cost_eth is negative"),
        (4, "already stored with other values (label)"),
    ]


async def test_an_import_belongs_to_who_opened_it(app: App) -> None:
    ident = await opened(await app.as_(OPERATOR))
    answer = await (await app.as_(ADMIN)).post(f"/v1/imports/{ident}/commit")
    assert answer.status_code == 404


@pytest.mark.parametrize("ident", ["x", "00000000-0000-7000-8000-000000000000"])
async def test_an_unknown_import_is_not_found(app: App, ident: str) -> None:
    answer = await (await app.as_(OPERATOR)).post(f"/v1/imports/{ident}/commit")
    assert answer.status_code == 404


async def test_an_empty_import_is_refused(app: App) -> None:
    client = await app.as_(OPERATOR)
    answer = await client.post(f"/v1/imports/{await opened(client)}/commit")
    assert answer.status_code == 422


async def test_a_committed_import_takes_no_more_lines(app: App) -> None:
    client = await app.as_(OPERATOR)
    ident = await opened(client)
    await stage(client, ident, {2: row(1)})
    await commit(client, ident)
    answer = await client.post(f"/v1/imports/{ident}/rows", json={"rows": [{"line": 3, "transaction": row(2)}]})
    assert answer.status_code == 409


async def test_a_file_has_a_limit(app: App) -> None:
    client = await app.as_(OPERATOR)
    rows = {"rows": [{"line": MAX_IMPORT_ROWS + 1, "transaction": row(1)}]}
    answer = await client.post(f"/v1/imports/{await opened(client)}/rows", json=rows)
    assert answer.status_code == 413


async def test_uploads_that_were_given_up_are_cleared_away(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(OPERATOR)
        ident = await opened(client)
        await stage(client, ident, {2: row(1)})
        time.pass_(seconds=ABANDONED_AFTER.total_seconds() - 1)
        kept = await opened(client)
        assert await count(app, Import) == 2
        time.pass_(seconds=2)
        await opened(client)
        assert await count(app, Import) == 2
        assert await count(app, StagedTransaction) == 0
        assert (await client.post(f"/v1/imports/{kept}/commit")).status_code == 422


def lines_of(path: Path) -> dict[int, dict[str, Any]]:
    """The file's lines; blank amounts are None, as the client reads them."""
    numbers = (*AMOUNTS, "block_number", "chain_id")
    with path.open(newline="") as file:
        return {
            line: {name: (value or None) if name in numbers else value for name, value in one.items()}
            for line, one in enumerate(csv.DictReader(file), start=2)
        }


async def import_file(client: httpx.AsyncClient, name: str) -> tuple[ImportResult, dict[int, dict[str, Any]]]:
    rows = lines_of(shared_data(f"transactions/{name}"))
    ident = await opened(client)
    numbers = list(rows)
    for start in range(0, len(numbers), CHUNK_ROWS):
        await stage(client, ident, {line: rows[line] for line in numbers[start : start + CHUNK_ROWS]})
    return await commit(client, ident), rows


@pytest.mark.parametrize(
    ("name", "rows", "blank_profits"),
    [
        ("mev_l2_realised.csv", 1_408, 98),
        ("mev_cexdex_20230808.csv", 4_968, 4_968),
        ("mev_boost_payments_19400000.csv", 9_238, 0),
        ("mev_flashbots_202104.csv", 11_532, 11_532),
    ],
)
async def test_a_public_file_imports_and_its_blanks_stay_blank(
    app: App, name: str, rows: int, blank_profits: int
) -> None:
    client = await app.as_(OPERATOR)
    result, lines = await import_file(client, name)
    assert (result.imported, result.unchanged, result.refused) == (rows, 0, [])
    async with app.runtime.database.read() as session:
        stored = TransactionRow.__table__.c
        blank = await session.scalar(select(func.count()).where(stored.profit_eth.is_(None)))
        assert blank == blank_profits
        for amount in AMOUNTS:
            given = [Decimal(line[amount]) for line in lines.values() if line[amount] is not None]
            total, known = (await session.execute(select(func.sum(stored[amount]), func.count(stored[amount])))).one()
            assert known == len(given)
            assert abs((total or 0) - sum(given)) <= len(given) * Decimal("5e-19")
    again, _ = await import_file(client, name)
    assert (again.imported, again.unchanged, again.refused) == (0, rows, [])


async def test_the_hourly_sums_of_a_public_file_are_those_of_its_lines(app: App) -> None:
    _, lines = await import_file(await app.as_(OPERATOR), "mev_l2_realised.csv")
    naive: dict[tuple[datetime, str, str], list[Decimal]] = {}
    for line in lines.values():
        hour = datetime.fromisoformat(line["block_time"]).replace(minute=0, second=0)
        key = (hour, line["chain"], line["wallet"].lower())
        naive.setdefault(key, []).append(Decimal(line["profit_eth"] or 0))
    async with app.runtime.database.read() as session:
        found = await session.execute(
            text("SELECT hour, chain, wallet, sum(trades), sum(profit_eth) FROM transaction_hours GROUP BY 1, 2, 3")
        )
        sums = {(hour, chain, wallet): (trades, profit) for hour, chain, wallet, trades, profit in found}
    assert set(sums) == set(naive)
    for key, profits in naive.items():
        trades, profit = sums[key]
        assert trades == len(profits)
        assert abs(profit - sum(profits)) <= len(profits) * Decimal("5e-19")


async def test_a_day_that_spent_too_much_gas_brings_one_alert_up_and_no_hold(app: App) -> None:
    client = await app.as_(OPERATOR)
    await import_file(client, "mev_cexdex_20230808.csv")
    alerts = (await client.get("/v1/alerts")).json()["items"]
    assert [(one["rule"], one["scope"]["kind"]) for one in alerts] == [("GAS_SPEND_LIMIT", "global")]
    assert "on 2023-08-08" in alerts[0]["message"]
    assert alerts[0]["facts"]["limit"] == "5"
    assert (await client.get("/v1/overview")).json()["freezes"] == []
    await import_file(client, "mev_cexdex_20230808.csv")
    assert len((await client.get("/v1/alerts")).json()["items"]) == 1
    acknowledged = (await client.post(f"/v1/alerts/{alerts[0]['id']}/acknowledge", json={})).json()
    assert acknowledged["status"] == "cleared"


async def test_losses_of_many_past_days_are_one_alert(app: App) -> None:
    client = await app.as_(OPERATOR)
    ident = await opened(client)
    days = {
        2 + day: row(day, block_time=(WHEN + timedelta(days=day)).isoformat(), profit_eth=str(-11 - day))
        for day in range(5)
    }
    await stage(client, ident, days)
    await commit(client, ident)
    [alert] = (await client.get("/v1/alerts")).json()["items"]
    assert alert["rule"] == "DAILY_LOSS_LIMIT"
    assert (alert["facts"]["days_over_the_limit"], alert["facts"]["worst_day"]) == ("5", "2023-08-12")
