"""Deploys: posted by a CI system's token, once for each key, and found again around an alert or an incident."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from backend.auth import accounts
from backend.context import system_caller
from contract.alert_work import Around
from contract.base import Page
from contract.changes import Deploy
from contract.permissions import Permission
from tests.backend.test_alerts import draft, raised
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.incidents import declared
from tests.support.ledger import settled
from tests.support.people import ADMIN, OFFICER, OPERATOR

PATH = "/v1/changes/deploys"
TOKEN = "wfs_" + "pipeline" * 5


async def pipeline(app: App) -> httpx.AsyncClient:
    """A client with the token of a CI system."""
    async with app.runtime.database.transaction() as session:
        token = await accounts.ensure_service_token(
            session,
            app.runtime,
            system_caller("test"),
            name="pipeline",
            permissions=(Permission.RECORD_DEPLOYS,),
            token=TOKEN,
        )
    return app.with_token(token)


async def recorded(client: httpx.AsyncClient, **body: Any) -> Deploy:
    answer = await client.post(PATH, json={"service": "router", "version": "v42"} | body)
    assert answer.status_code == 201, answer.text
    return Deploy.model_validate(answer.json())


async def listed(client: httpx.AsyncClient, **params: str | int) -> Page[Deploy]:
    answer = await client.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    return Page[Deploy].model_validate(answer.json())


async def test_a_pipeline_records_a_deploy_once_and_everybody_reads_it(app: App) -> None:
    client = await pipeline(app)
    told = {"environment": "production", "url": "https://ci.example/7", "scope": "chain:base", "idempotency_key": "7"}
    made = await recorded(client, **told)
    assert (made.recorded_by, str(made.scope), made.finished_at) == ("service:pipeline", "chain:base", None)
    assert await recorded(client, **told) == made
    other = await client.post(PATH, json={"service": "router", "version": "v43", "idempotency_key": "7"})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert (await client.get(PATH)).status_code == 403
    assert (await listed(await app.as_(OPERATOR))).items == [made]
    assert (await (await app.as_(OPERATOR)).post(PATH, json={"service": "a", "version": "b"})).status_code == 403
    by_hand = await recorded(await app.as_(ADMIN), version="v44", idempotency_key="7")
    assert by_hand.id != made.id, "another caller's key is another key"
    await settled(app)
    found = await (await app.as_(ADMIN)).get("/v1/audit", params={"event_type": "changes.deploy.recorded"})
    told_of = [(one["user_id"], one["new_value"]["version"]) for one in found.json()["items"]]
    assert sorted(told_of) == [("adam", "v44"), ("service:pipeline", "v42")]


async def test_pages_go_back_in_time_and_filters_narrow_them(database_url: str) -> None:
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        client = await pipeline(app)
        for number in range(5):
            await recorded(client, version=f"v{number}", service="odd" if number % 2 else "even")
            clock.pass_(minutes=1)
        reader = await app.as_(OPERATOR)
        first = await listed(reader, limit=2)
        second = await listed(reader, limit=2, cursor=first.next_cursor or "")
        assert [one.version for one in first.items + second.items] == ["v4", "v3", "v2", "v1"]
        assert [one.version for one in (await listed(reader, service="odd")).items] == ["v3", "v1"]
        since = (clock.at - timedelta(minutes=2)).isoformat()
        assert [one.version for one in (await listed(reader, **{"from": since})).items] == ["v4", "v3"]
        assert [one.version for one in (await listed(reader, to=since)).items] == ["v2", "v1", "v0"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"service": " "},
        {"version": "a\x00b"},
        {"url": "javascript:alert(1)"},
        {"scope": "moon"},
        {"started_at": "2999-01-01T00:00:00Z"},
        {"started_at": "2026-01-02T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z"},
        {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-03T00:00:00Z"},
        {"finished_at": "0001-01-01T00:00:00+14:00"},
        {"scope": "chain:" + "a" * 300},
    ],
)
async def test_what_cannot_be_a_deploy_is_refused(app: App, wrong: dict[str, str]) -> None:
    answer = await (await app.as_(ADMIN)).post(PATH, json={"service": "router", "version": "v42"} | wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_deploys_are_among_what_changed_around_an_alert_and_an_incident(database_url: str) -> None:
    clock = SetClock()
    async with started_app(database_url, clock=clock.clock) as app:
        client = await pipeline(app)
        long_ago = clock.at - timedelta(minutes=50)
        inside = clock.at - timedelta(minutes=29)
        await recorded(client, version="v1", started_at=long_ago.isoformat())
        rolling = await recorded(
            client, version="v2", started_at=long_ago.isoformat(), finished_at=inside.isoformat(), environment="eu"
        )
        near = await recorded(client, version="v3", url="https://ci.example/3", scope="chain:base")
        [(alert, _)] = await raised(app, draft())
        reader = await app.as_(OPERATOR)
        one = await declared(reader, alerts=[alert.id])
        for path in (f"/v1/alerts/{alert.id}/around", f"/v1/incidents/{one.id}/around"):
            seen = Around.model_validate_json((await reader.get(path)).content)
            deploys = [item for item in seen.items if item.kind == "deploy"]
            assert [item.id for item in deploys] == [rolling.id, near.id]
            assert deploys[1].text == "router v3 deployed (chain:base)"
            assert (deploys[1].url, deploys[1].actor) == ("https://ci.example/3", "service:pipeline")
            assert seen.missing == ["audit entries"]
        assert {item.kind for item in seen.items} == {"deploy", "alert"}, "the incident itself is not told again"
        officer = await app.as_(OFFICER)
        whole = Around.model_validate_json((await officer.get(f"/v1/incidents/{one.id}/around")).content)
        assert whole.missing == []
        wide = await reader.get(f"/v1/incidents/{one.id}/around", params={"minutes": 60})
        assert len([item for item in Around.model_validate_json(wide.content).items if item.kind == "deploy"]) == 3
        assert (await reader.get("/v1/incidents/INC-2026-999/around")).status_code == 404
