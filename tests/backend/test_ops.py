"""Probes, metrics and the log of a process."""

import json
from pathlib import Path

import httpx
import psycopg
import pytest
from fastapi import APIRouter
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from sqlalchemy import text

from backend import guard
from backend import logging as backend_logging
from backend.main import create_app
from backend.settings import Settings
from tests.support.app import App, started_app
from tests.support.backends import backend, serving
from tests.support.ledger import sealed_values
from tests.support.outage import outage
from tests.support.people import ADMIN, sign_in


def _sample(body: str, name: str, **labels: str) -> float | None:
    for family in text_string_to_metric_families(body):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return float(sample.value)
    return None


async def test_a_running_process_is_healthy_and_ready(app: App) -> None:
    assert (await app.http.get("/healthz")).json()["status"] == "ok"
    ready = await app.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_without_a_database_a_process_is_healthy_but_not_ready() -> None:
    async with started_app("postgresql://nobody@127.0.0.1:1/nothing") as app:
        assert (await app.http.get("/healthz")).status_code == 200
        answer = await app.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
    assert answer.headers["retry-after"] == "1"


async def test_another_schema_is_not_ready(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    answer = await app.http.get("/readyz")
    assert answer.status_code == 503
    assert "9999" in answer.json()["message"]


async def test_a_process_recovers_when_the_database_comes_back(app: App, database_url: str) -> None:
    client = await app.as_(ADMIN)
    with outage(database_url):
        for path in ("/readyz", "/v1/audit", "/v1/stream"):
            answer = await client.get(path)
            assert (path, answer.status_code, answer.json()["code"]) == (path, 503, "unavailable")
    assert (await client.get("/v1/audit")).status_code == 200
    for _ in range(100):
        if (await app.http.get("/readyz")).status_code == 200:
            return
        await _pause()
    pytest.fail("not ready although the database is back")


async def _pause() -> None:
    import asyncio

    await asyncio.sleep(0.1)


async def test_metrics_are_openmetrics_and_count_by_route_template(app: App) -> None:
    await app.http.get("/v1/audit/00000000-0000-0000-0000-000000000000")
    await app.http.get("/v1/audit/11111111-1111-1111-1111-111111111111")
    await app.http.get("/no/such/place")
    answer = await app.http.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    template = {"method": "GET", "route": "/v1/audit/{entry_id}", "status": "401"}
    assert _sample(answer.text, "watchfloor_http_requests_total", **template) == 2
    assert _sample(answer.text, "watchfloor_http_requests_total", route="(none)", status="404") == 1
    assert _sample(answer.text, "watchfloor_http_request_seconds_count", route="/v1/audit/{entry_id}") == 2
    assert _sample(answer.text, "watchfloor_stream_listening") == 1
    assert _sample(answer.text, "watchfloor_database_connections", state="in_use") == 0


async def test_hostile_methods_and_paths_make_no_new_series(app: App) -> None:
    for number in range(20):
        await app.http.request(f"X{number}", f"/nothing/{number}")
    body = (await app.http.get("/metrics")).text
    assert _sample(body, "watchfloor_http_requests_total", method="OTHER", route="(none)") == 20


async def test_two_applications_count_apart(app: App, database_url: str) -> None:
    await app.http.get("/healthz")
    async with started_app(database_url) as other:
        body = (await other.http.get("/metrics")).text
    assert _sample(body, "watchfloor_http_requests_total", route="/healthz") is None


def test_a_route_that_states_no_permission_stops_the_start(database_url: str) -> None:
    app = create_app(Settings(database_url=database_url))
    router = APIRouter()
    router.add_api_route("/v1/forgotten", lambda: None)
    app.include_router(router)
    with pytest.raises(RuntimeError, match="/v1/forgotten"):
        guard.refuse_unguarded_routes(app)


async def test_request_ids_are_echoed_if_harmless(app: App) -> None:
    kept = await app.http.get("/healthz", headers={"x-request-id": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    replaced = await app.http.get("/nothing", headers={"x-request-id": "a b<script>"})
    assert replaced.headers["x-request-id"] == replaced.json()["request_id"]
    assert " " not in replaced.headers["x-request-id"]


async def test_the_log_is_json_and_holds_no_credential(app: App, database_url: str, tmp_path: Path) -> None:
    token = await sign_in(app.runtime, ADMIN)
    with backend(database_url, tmp_path / "log") as process:
        async with httpx.AsyncClient(base_url=process.url) as client:
            await client.get("/v1/audit?q=needle", headers={"authorization": f"Bearer {token}", "x-request-id": "mine"})
            await client.get("/v1/audit", headers={"authorization": "Bearer wrong-token-value"})
    written = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["route"], line["status"], line["subject"]) for line in requests][:1] == [
        ("/v1/audit", 200, ADMIN.name)
    ]
    assert requests[0]["request_id"] == "mine"
    for hidden in (token, "wrong-token-value", "needle"):
        assert hidden not in written


def test_fields_that_sound_secret_are_not_printed() -> None:
    event = {"event": "x", "new_password": "p", "Authorization": "b", "totp_code": "1", "name": "kept"}
    cleaned = backend_logging._without_secrets(None, "info", event)
    assert set(cleaned.values()) == {"x", "[redacted]", "kept"}


def test_text_that_is_no_unicode_can_be_logged() -> None:
    assert json.loads(backend_logging._json({"event": "x", "name": "\ud800"}))["name"] == "\ud800"


def test_an_outage_really_is_one(database_url: str) -> None:
    with outage(database_url), pytest.raises(psycopg.OperationalError):
        psycopg.connect(database_url)
    psycopg.connect(database_url).close()


async def test_an_address_that_a_header_claims_is_not_believed(app: App) -> None:
    async with serving(app.app) as url, httpx.AsyncClient(base_url=url) as client:
        await client.get("/v1/audit", headers={"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"})
    async with app.runtime.database.read() as session:
        query = text("SELECT id FROM audit_logs WHERE event_type = 'auth.request.refused'")
        (ident,) = (await session.scalars(query)).all()
    assert (await sealed_values(app, ident))["ip_address"] == "127.0.0.1"
