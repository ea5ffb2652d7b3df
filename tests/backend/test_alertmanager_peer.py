"""A real Prometheus and a real Alertmanager: every alert is here exactly once, and stands as it does there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from backend.alerts.tables import AlertRow
from tests.console.driving import on_backend
from tests.support.alertmanager_bodies import TOKEN, receiver_token
from tests.support.app import App, started_app
from tests.support.backends import serving
from tests.support.people import OPERATOR, sign_in
from tests.support.prometheus import Peer, free_port, installed, peer
from tests.support.watching import until

POLICY = str(Path(__file__).parents[1] / "support" / "alertmanager.toml")
PATIENCE_S = 120.0
"""Two programs that look once a second, on a machine that does other things."""
LAGS = [("RpcLag", "arbitrum", f"bot{number}") for number in range(3)]
SPIKE = ("GasSpike", "base", "bot9")
DOWN = ("ChainDown", "arbitrum", "all")


class Both:
    """The Alertmanager and Watchfloor side by side."""

    def __init__(self, app: App, url: str, operator: httpx.AsyncClient, there: Peer) -> None:
        self.app, self.url, self.operator, self.there = app, url, operator, there

    async def rows(self) -> list[AlertRow]:
        async with self.app.runtime.database.read() as session:
            return list(await session.scalars(select(AlertRow).where(AlertRow.source == "alertmanager:main")))

    async def agree(self, number: int, what: str) -> None:
        """Both know the same alerts, `number` of them, muted alike."""

        async def alike() -> bool:
            theirs = await asyncio.to_thread(self.there.standing)
            return len(theirs) == number and theirs == await self.standing()

        await until(alike, what, PATIENCE_S)

    async def standing(self) -> dict[str, tuple[bool, bool]]:
        found = {}
        for row in await self.rows():
            if row.status != "cleared":
                kinds = {mute["kind"] for mute in row.muted_by}
                found[row.source_fingerprint or ""] = ("silence" in kinds, "inhibition" in kinds)
        return found

    async def row(self, rule: str) -> AlertRow:
        (found,) = [row for row in await self.rows() if row.rule == rule]
        return found

    async def own(self, rule: str) -> list[str]:
        async with self.app.runtime.database.read() as session:
            return list(await session.scalars(select(AlertRow.status).where(AlertRow.rule == rule)))


@pytest.fixture
async def both(database_url: str, tmp_path: Path) -> AsyncIterator[Both]:
    installed("prometheus")
    async with AsyncExitStack() as stack:
        port = free_port()  # each has to know where the other is before it starts
        settings = {"alertmanagers": f"main=http://127.0.0.1:{port}"}
        app = await stack.enter_async_context(
            started_app(database_url, monitors=True, policy=POLICY, settings=settings)
        )
        await receiver_token(app.runtime, name="main")
        url = await stack.enter_async_context(serving(app.app))
        there = await asyncio.to_thread(stack.enter_context, peer(tmp_path / "peer", TOKEN, url, port))
        yield Both(app, url, await app.as_(OPERATOR), there)


async def test_every_alert_is_here_once_and_stands_as_it_does_there(both: Both) -> None:
    there = both.there
    there.troubles.begin(*LAGS, SPIKE)
    await both.agree(4, "four alerts fire")
    await until(lambda: _grouped(both), "the webhook has brought them", PATIENCE_S)

    silence = await _silenced(both.operator, "GasSpike")
    await both.agree(4, "the silence is there too")
    (copy,) = (await both.operator.get(f"/v1/silences/{silence}")).json()["copies"]
    assert there.ask("GET", f"/silence/{copy['id']}")["status"]["state"] == "active"

    there.troubles.begin(DOWN)
    await both.agree(5, "what is critical inhibits the warnings of its chain")
    assert sum(inhibited for _, inhibited in (await both.standing()).values()) == 3

    await asyncio.to_thread(there.alertmanager.end)
    await until(lambda: _is(both.own("ALERTMANAGER_SILENT"), ["open"]), "nobody answers", PATIENCE_S)
    there.troubles.over(DOWN)
    await asyncio.to_thread(there.alertmanager.start)
    await both.agree(4, "it was restarted, and one alert ended meanwhile")
    await until(lambda: _is(both.own("ALERTMANAGER_SILENT"), ["cleared"]), "it answers again", PATIENCE_S)

    assert (await both.operator.post(f"/v1/silences/{silence}/end")).status_code == 200
    await both.agree(4, "the silence ended there too")
    spike = await both.row("GasSpike")
    assert (spike.times_raised, spike.status) == (2, "open")

    theirs = await asyncio.to_thread(_silence_there, there, "bot1")
    await both.agree(4, "a silence that was made there mutes here")
    listed = (await both.operator.get("/v1/silences")).json()["items"]
    (made_there,) = [one for one in listed if one["source"] == "alertmanager:main"]
    assert (made_there["created_by"], made_there["comment"]) == ("alice", "node of bot1 moves")
    assert theirs in {mute["id"] for row in await both.rows() for mute in row.muted_by}

    there.troubles.over(*LAGS, SPIKE)
    await both.agree(0, "everything is over")
    rows = await both.rows()
    assert sorted(row.rule for row in rows) == ["ChainDown", "GasSpike", "RpcLag", "RpcLag", "RpcLag"]
    assert len({row.occurrence for row in rows}) == 5


async def test_a_silence_that_is_set_by_keys_stands_in_the_alertmanager(both: Both, tmp_path: Path) -> None:
    there = both.there
    there.troubles.begin(SPIKE, LAGS[0])
    await both.agree(2, "two alerts fire")
    token = await sign_in(both.app.runtime, OPERATOR)
    async with on_backend(both.url, token, tmp_path / "state") as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("slash")
        await run.type("GasSpike")
        await run.press("enter")
        await run.shows("1 of")
        await run.opens("s", "Silence")
        await run.shows("This mutes 1 alert now")
        await run.shows("It is made there too: main.")
        await run.press("tab", "tab", "tab")
        await run.type("planned gas test")
        await run.press("enter", "tab", "enter")
        await run.shows("1 alert muted until")
    await both.agree(2, "muted alike")
    (made,) = await asyncio.to_thread(there.ask, "GET", "/silences")
    assert made["status"]["state"] == "active"
    assert "planned gas test" in made["comment"]
    assert OPERATOR.name in made["createdBy"]
    assert {one["name"]: one["value"] for one in made["matchers"]}["alertname"] == "GasSpike"


async def _is(found: Any, wanted: list[str]) -> bool:
    return bool(await found == wanted)


async def _grouped(both: Both) -> bool:
    """Only deliveries name groups; those of the lags leave one of the three out."""
    grouped = [row.rule for row in await both.rows() if row.group_key.startswith("{}:{alertname=")]
    return sorted(grouped) == ["GasSpike", "RpcLag", "RpcLag"]


async def _silenced(operator: httpx.AsyncClient, rule: str) -> str:
    body = {"matchers": [{"name": "alertname", "value": rule}], "minutes": 60, "comment": "planned gas test"}
    made = await operator.post("/v1/silences", json=body)
    assert made.status_code < 300, made.text
    return str(made.json()["id"])


def _silence_there(there: Peer, node: str) -> str:
    now = datetime.now(UTC)
    body = {
        "matchers": [{"name": "node", "value": node, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "alice",
        "comment": f"node of {node} moves",
    }
    return str(there.ask("POST", "/silences", body)["silenceID"])
