"""The webhook of Alertmanagers: 2xx once it is durable, each occurrence once, and nothing lost for being too much."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from backend.alerts.alertmanager import admitting, receiving
from backend.alerts.tables import AlertEventRow, AlertmanagerSource, AlertRow
from backend.context import Caller
from contract.alertmanager import delivery_of
from contract.alerts import Alert
from tests.support.alertmanager_bodies import BEGAN, HOOK, deliverer, delivery, told
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import ADMIN, OPERATOR
from tests.support.shared_data import shared_data


@pytest.fixture
def hand() -> SetClock:
    return SetClock(BEGAN + timedelta(minutes=30))


@pytest.fixture
async def app(database_url: str, hand: SetClock) -> AsyncIterator[App]:
    async with started_app(database_url, clock=hand.clock) as running:
        yield running


@pytest.fixture
async def hook(app: App) -> httpx.AsyncClient:
    return await deliverer(app)


async def _sent(hook: httpx.AsyncClient, *alerts: dict[str, Any], to: str = HOOK, **changes: Any) -> dict[str, int]:
    answer = await hook.post(to, json=delivery(*alerts, **changes))
    assert answer.status_code == 200, answer.text
    counted: dict[str, int] = answer.json()
    return counted


async def _alerts(app: App, query: str = "") -> list[Alert]:
    client = await app.as_(OPERATOR)
    answer = await client.get(f"/v1/alerts?limit=200{query}")
    assert answer.status_code == 200, answer.text
    return [Alert.model_validate(one) for one in answer.json()["items"]]


async def _kinds(app: App, alert: Alert) -> list[str]:
    async with app.runtime.database.read() as session:
        query = select(AlertEventRow.kind).where(AlertEventRow.alert_id == alert.id).order_by(AlertEventRow.id)
        return list(await session.scalars(query))


async def test_an_alert_is_raised_with_what_its_labels_say(app: App, hook: httpx.AsyncClient) -> None:
    labels = {"severity": "page", "chain": "arbitrum", "strategy": "backrun", "instance": "bot1"}
    alert = told("RpcLag", labels, summary="RPC of bot1 is 40 blocks behind")
    alert["annotations"]["runbook_url"] = "https://runbooks.example/rpc-lag"
    assert await _sent(hook, alert) == {"raised": 1, "cleared": 0, "known": 0}
    (raised,) = await _alerts(app)
    assert (raised.rule, raised.severity, raised.status) == ("RpcLag", "critical", "open")
    assert str(raised.scope) == "chain:arbitrum+strategy:backrun"
    assert raised.message == "RPC of bot1 is 40 blocks behind"
    assert raised.source == "alertmanager:default"
    assert raised.labels == {"alertname": "RpcLag", **labels}
    assert (raised.starts_at, raised.raised_at) == (BEGAN, BEGAN + timedelta(minutes=30))
    assert raised.runbook_url == "https://runbooks.example/rpc-lag"
    assert raised.group == '{}:{alertname="x"}'
    assert raised.escalation is not None
    assert raised.due_at is not None
    (entry,) = await entries_of(app, "alerts.delivery.taken")
    assert entry.new_value == {"raised": [raised.id]}
    assert entry.user_id == "service:alertmanager"


async def test_it_clears_and_fires_again_as_another_one(app: App, hook: httpx.AsyncClient) -> None:
    await _sent(hook, told("RpcLag"))
    assert (await _sent(hook, told("RpcLag")))["known"] == 1
    assert (await _sent(hook, told("RpcLag", over=5)))["cleared"] == 1
    assert (await _sent(hook, told("RpcLag")))["known"] == 1, "a firing that comes after its end"
    assert (await _sent(hook, told("RpcLag", begun=7)))["raised"] == 1
    older, newer = sorted(await _alerts(app), key=lambda alert: alert.starts_at or BEGAN)
    assert [older.status, newer.status] == ["cleared", "open"]
    assert older.cleared_at is not None
    assert await _kinds(app, older) == ["raised", "cleared"]


async def test_sources_are_apart(app: App, hook: httpx.AsyncClient) -> None:
    eu, us = await deliverer(app, "eu"), await deliverer(app, "us")
    await _sent(eu, told("RpcLag"), to=f"{HOOK}/eu")
    await _sent(us, told("RpcLag"), to=f"{HOOK}/us")
    await _sent(us, told("RpcLag", over=3), to=f"{HOOK}/us")
    found = {alert.source: alert.status for alert in await _alerts(app)}
    assert found == {"alertmanager:eu": "open", "alertmanager:us": "cleared"}
    assert (await hook.post(f"{HOOK}/E%20U", json=delivery(told("RpcLag")))).status_code == 422


async def test_one_that_was_over_before_it_was_heard_of_is_kept_and_nobody_is_told(
    app: App, hook: httpx.AsyncClient
) -> None:
    await _sent(hook, told("Blip", over=1))
    (alert,) = await _alerts(app)
    assert alert.status == "cleared"
    async with app.runtime.database.read() as session:
        facts = list(await session.scalars(select(AlertEventRow.facts)))
    assert all("muted" in fact for fact in facts)


async def test_an_acknowledgement_stays_while_it_fires_and_no_act_clears_it(app: App, hook: httpx.AsyncClient) -> None:
    await _sent(hook, told("RpcLag"))
    (alert,) = await _alerts(app)
    operator = await app.as_(OPERATOR)
    await operator.post(f"/v1/alerts/{alert.id}/acknowledge", json={"comment": "looking"})
    await _sent(hook, told("RpcLag"))
    (alert,) = await _alerts(app)
    assert (alert.status, alert.acknowledge_comment) == ("acknowledged", "looking")
    await _sent(hook, told("RpcLag", over=4))
    assert (await _alerts(app))[0].status == "cleared"


async def test_texts_that_change_are_brought_up_to_date_now_and_then(
    app: App, hook: httpx.AsyncClient, hand: SetClock
) -> None:
    await _sent(hook, told("RpcLag", summary="40 blocks behind"))
    await _sent(hook, told("RpcLag", summary="41 blocks behind"))
    assert (await _alerts(app))[0].message == "40 blocks behind"
    hand.pass_(seconds=11)
    await _sent(hook, told("RpcLag", summary="42 blocks behind"))
    assert (await _alerts(app))[0].message == "42 blocks behind"


async def test_a_silence_made_before_mutes_it_as_it_comes(app: App, hook: httpx.AsyncClient) -> None:
    operator = await app.as_(OPERATOR)
    matchers = [{"name": "instance", "op": "=~", "value": "bot.*"}]
    made = await operator.post("/v1/silences", json={"matchers": matchers, "minutes": 60, "comment": "planned move"})
    assert made.status_code < 300, made.text
    await _sent(hook, told("RpcLag", {"instance": "bot1"}))
    (alert,) = await _alerts(app)
    assert [muting.id for muting in alert.muted_by] == [made.json()["id"]]
    assert alert.escalation is not None
    assert alert.escalation.next_at is None, "nobody's time runs"


async def test_hostile_texts_are_stored_as_they_came(app: App, hook: httpx.AsyncClient) -> None:
    nasty = "[red]\x1b[2J\r\n\u202e " + "x" * 4_000
    await _sent(hook, told("Na\x00sty", {"instance": nasty, "chain": "a+wallet:b", "wallet": " "}, summary=nasty))
    (alert,) = await _alerts(app)
    assert alert.rule == "Na\ufffdsty"
    assert alert.labels["instance"] == nasty
    assert str(alert.scope) == "global"
    assert alert.message.startswith("[red]\x1b")


async def test_what_is_no_delivery_is_refused(app: App, hook: httpx.AsyncClient) -> None:
    strange: tuple[Any, ...] = (delivery(version="3"), delivery({"labels": {}}), [], None)
    for body in (b"", b"{", *(orjson.dumps(one) for one in strange)):
        answer = await hook.post(HOOK, content=body)
        assert answer.status_code == 422, answer.text
    assert (await hook.post(HOOK, content=b" " * (1024 * 1024 + 1))).status_code == 413
    assert not await _alerts(app)


async def test_only_who_may_deliver_delivers(app: App, hook: httpx.AsyncClient) -> None:
    assert (await app.http.post(HOOK, json=delivery(told("RpcLag")))).status_code == 401
    admin = await app.as_(ADMIN)
    assert (await admin.post(HOOK, json=delivery(told("RpcLag")))).status_code == 403
    assert (await hook.get("/v1/alerts")).status_code == 403, "and it does nothing else"
    assert not await _alerts(app)


async def test_a_token_delivers_for_its_own_source_only(app: App, hook: httpx.AsyncClient) -> None:
    eu = await deliverer(app, "eu")
    await _sent(eu, told("RpcLag"), to=f"{HOOK}/eu")
    over = delivery(told("RpcLag", over=3))
    for client, address in ((hook, f"{HOOK}/eu"), (eu, HOOK), (eu, f"{HOOK}/us"), (eu, f"{HOOK}/us")):
        answer = await client.post(address, json=over)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
        assert "does not deliver for the source" in answer.json()["message"]
    (alert,) = await _alerts(app, "&rule=RpcLag")
    assert alert.status == "open"
    refused = await entries_of(app, "alerts.delivery.refused")
    assert sorted((str(entry.user_id), entry.resource_id) for entry in refused) == [
        ("service:alertmanager", "eu"), ("service:eu", "default"), ("service:eu", "us")
    ]  # fmt: skip


async def test_of_who_may_not_deliver_nothing_is_read_and_few_are_looked_at(
    app: App, hook: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield orjson.dumps(delivery(told("RpcLag")))

    monkeypatch.setattr(receiving, "MAX_WAITING", 0)  # nobody who may not deliver takes a place in the line
    monkeypatch.setattr(admitting, "MAX_STRANGERS", 3)
    strangers = [app.http, app.with_token("wfs_" + "x" * 30), app.with_token("nonsense"), await app.as_(ADMIN)]
    for stranger in strangers:
        assert (await stranger.post(HOOK, content=b"{")).status_code in {401, 403}
    answers = await asyncio.gather(*(strangers[number % 4].post(HOOK, content=b"{") for number in range(60)))
    assert {answer.status_code for answer in answers} <= {401, 403, 503}
    assert 503 in {answer.status_code for answer in answers}
    scope_read = [await asked(app, body) for _ in range(2)]
    assert (scope_read, read) == ([401, 401], 0)
    assert len(await entries_of(app, "auth.request.refused")) <= 4, "a flood is an entry a minute"


async def asked(app: App, body: Callable[[], AsyncIterator[bytes]], token: bytes | None = None) -> int:
    """Call by ASGI, without a token unless one is given: what httpx sends is read by its transport beforehand."""
    chunks, sent = body(), list[MutableMapping[str, Any]]()
    proof = [] if token is None else [(b"authorization", token)]

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": await anext(chunks), "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": "POST", "path": HOOK, "raw_path": HOOK.encode(),
        "query_string": b"", "headers": [(b"host", b"test"), *proof], "scheme": "http", "server": ("test", 80),
        "client": ("127.0.0.1", 1), "root_path": "", "state": {},
    }  # fmt: skip
    await app.app(scope, receive, send)
    return int(sent[0]["status"])


async def test_a_whole_storm_is_taken_without_ever_a_429(app: App, hook: httpx.AsyncClient) -> None:
    bodies = [delivery(*(told("Storm", {"n": f"{one}.{two}"}) for two in range(40))) for one in range(15)]
    answers = await asyncio.gather(*(hook.post(HOOK, json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    async with app.runtime.database.read() as session:
        assert await session.scalar(select(func.count()).select_from(AlertRow)) == 600
        assert await session.scalar(select(func.count()).select_from(AlertEventRow)) == 600
        topics = list(await session.scalars(text("SELECT DISTINCT topic FROM stream_events")))
    assert topics == ["alerts"], "many at once are told of once"
    entries = await entries_of(app, "alerts.delivery.taken")
    assert len({ident for entry in entries for ident in (entry.new_value or {})["raised"]}) == 600


async def test_deliveries_that_wait_are_taken_together_and_a_bad_one_alone_is_not(
    app: App, hook: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    together: list[int] = []
    take = receiving.received

    async def counted(session: Any, runtime: Any, source: str, deliveries: Any) -> Any:
        together.append(len(deliveries))
        named = [one.group_key for _, one in deliveries]
        if "bad" in named:
            raise RuntimeError("a fault of ours")
        if "refused" in named:
            await session.execute(text("SELECT FROM what_is_not_there"))
        if "no-value" in named:
            await session.execute(text("SELECT 99999999999::int"))
        return await take(session, runtime, source, deliveries)

    monkeypatch.setattr(receiving, "received", counted)
    bodies = [delivery(told(f"A{n}"), groupKey=f"g{n}") for n in range(12)]
    answers = await asyncio.gather(*(hook.post(HOOK, json=body) for body in bodies))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["raised"] for answer in answers} == {1}
    assert len(together) < sum(together) == 12
    for letter, wrong, answered in (("B", "bad", 500), ("C", "refused", 503), ("D", "no-value", 422)):
        bodies = [delivery(told(f"{letter}{n}"), groupKey=wrong if n == 3 else f"g{n}") for n in range(8)]
        answers = await asyncio.gather(*(hook.post(HOOK, json=body) for body in bodies))
        assert [answer.status_code for answer in answers] == [answered if n == 3 else 200 for n in range(8)]
        stored = {one.rule for one in await _alerts(app) if one.rule.startswith(letter)}
        assert stored == {f"{letter}{n}" for n in range(8) if n != 3}


async def test_what_several_deliveries_of_one_batch_say_of_one_alert_is_taken_in_their_order(app: App) -> None:
    """It fires, ends, fires anew and ends late: as if each had come by itself."""
    first, again, ended = told("Flap"), told("Flap", begun=5), told("Flap", over=4)
    caller = Caller("service:desk", "service", "service", frozenset(), "req-1")
    deliveries = [delivery_of(orjson.dumps(delivery(one))) for one in (first, ended, again, first)]
    async with app.runtime.database.transaction() as session:
        answers = await receiving.received(session, app.runtime, "desk", [(caller, one) for one in deliveries])
    assert [(one.raised, one.cleared, one.known) for one in answers] == [(1, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1)]
    [cleared, live] = sorted(await _alerts(app), key=lambda one: one.status != "cleared")
    assert (cleared.status, live.status) == ("cleared", "open")


async def test_who_comes_beyond_the_line_is_asked_to_come_back(
    app: App, hook: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MAX_WAITING", 2)
    answers = await asyncio.gather(*(hook.post(HOOK, json=delivery(told(f"A{n}"))) for n in range(30)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert len(await _alerts(app)) == statuses.count(200), "what was answered 200 is there, and nothing else"


async def test_a_statement_that_takes_too_long_is_no_reason_to_give_up(
    app: App, hook: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everywhere else that is a 400: an Alertmanager would never deliver it again."""

    async def slow(session: Any, *_args: Any, **_more: Any) -> None:
        await session.execute(text("SET LOCAL statement_timeout = 50"))
        await session.execute(text("SELECT pg_sleep(5)"))

    monkeypatch.setattr(receiving, "note_delivery", slow)
    answer = await hook.post(HOOK, json=delivery(told("RpcLag")))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    monkeypatch.undo()
    await _sent(hook, told("RpcLag"))


async def test_a_commit_that_fails_is_answered_503(
    app: App, hook: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: Any) -> None:
        raise OperationalError("COMMIT", None, Exception("the server went away"))

    monkeypatch.setattr("sqlalchemy.ext.asyncio.AsyncSession.commit", fail)
    answer = await hook.post(HOOK, json=delivery(told("RpcLag")))
    monkeypatch.undo()
    assert answer.status_code == 503
    assert not await _alerts(app)


async def test_alerts_that_were_left_out_are_noted(app: App, hook: httpx.AsyncClient) -> None:
    await _sent(hook, told("RpcLag"), truncatedAlerts=6)
    async with app.runtime.database.read() as session:
        source = await session.get_one(AlertmanagerSource, "default")
    assert source.last_error == "6 alerts were left out of a delivery"
    assert source.last_delivery_at == BEGAN + timedelta(minutes=30)


async def test_recorded_deliveries_are_taken_in_any_order(app: App) -> None:
    paths = sorted(shared_data("alertmanager/recorded/webhooks").glob("*.json"))
    bodies = [orjson.loads(path.read_bytes())["raw_body"].encode() for path in paths]
    for number, order in enumerate((bodies, bodies[::-1], bodies[2:] + bodies[:2] + bodies)):
        hook = await deliverer(app, f"s{number}")
        for body in order:
            assert (await hook.post(f"{HOOK}/s{number}", content=body)).status_code == 200
    found: dict[str, list[tuple[str, str]]] = {}
    for alert in await _alerts(app):
        found.setdefault(alert.source, []).append((f"{alert.rule} {alert.labels.get('instance')}", alert.status))
    first, *others = [sorted(one) for one in found.values()]
    assert len(found) == 3
    assert others == [first, first]
    assert len(first) == len(set(first))
