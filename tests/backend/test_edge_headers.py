"""What every answer carries, how large a body may be, and connections that never come to the point."""

import asyncio
import json
from typing import Any

import pytest

from backend import door
from backend.middleware import MAX_BODY_BYTES, MAX_JSON_BYTES, MAX_SIGN_IN_BYTES, body_limit_bytes
from tests.support.app import App
from tests.support.backends import serving
from tests.support.people import EXECUTOR, OPERATOR

SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/overview", "/v1/nowhere", "/openapi.json"])
async def test_every_answer_is_of_no_use_to_a_browser(app: App, path: str) -> None:
    for client in (app.http, await app.as_(OPERATOR)):
        answer = await client.get(path)
        assert {name: answer.headers.get(name) for name in SAFE} == SAFE
        assert answer.headers.get_list("cache-control") == (["no-store"] if path.startswith("/v1/") else [])
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers, "this was not TLS"


async def test_streams_are_kept_by_nobody(app: App) -> None:
    async with serving(app.app) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        token = (await app.as_(OPERATOR)).headers["authorization"]
        writer.write(f"GET /v1/stream HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        writer.close()
    assert head.startswith("http/1.1 200")
    assert head.count("cache-control: no-store") == head.count("cache-control") == 1
    assert "\r\nserver:" not in head


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/v1/auth/login", MAX_SIGN_IN_BYTES),
        ("/v1/freezes", MAX_JSON_BYTES),
        ("/v1/gate/renew", MAX_JSON_BYTES),
        ("/v1/transactions", MAX_BODY_BYTES),
        ("/v1/imports/some-id/rows", MAX_BODY_BYTES),
        ("/v1/imports/some-id/commit", MAX_JSON_BYTES),
        ("/v1/audit/import/2024.csv", MAX_BODY_BYTES),
        ("/v1/transactions/", MAX_JSON_BYTES),
    ],
)
async def test_a_body_is_refused_before_it_is_read(app: App, path: str, limit: int) -> None:
    assert body_limit_bytes(path) == limit
    client = await app.as_(EXECUTOR)
    headers = {"content-type": "application/json"}
    over = await client.post(path, content=b"{}", headers=headers | {"content-length": str(limit + 1)})
    assert (over.status_code, over.json()["code"]) == (413, "too_large")
    under = await client.post(path, content=b"{}", headers=headers | {"content-length": str(limit)})
    assert under.status_code != 413


async def _said(url: str, sent: bytes) -> bytes:
    """Everything that a backend says to what is sent, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(sent)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_what_is_not_http_is_refused_in_the_envelope(app: App) -> None:
    async with serving(app.app) as url:
        head, _, body = (await _said(url, b"\x16\x03\x01 no request\r\n\r\n")).partition(b"\r\n\r\n")
    envelope: dict[str, Any] = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert envelope["code"] == "invalid_request"
    for name, value in SAFE.items():
        assert f"{name}: {value}".encode() in head
    assert b"server:" not in head


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"x" * 1_000_000,
        b"GET / HTTP/1.1\r\n" + b"x-more: y\r\n" * 100_000,
        b"GET / HTTP/1.1\r\nx: " + b"y" * 1_000_000,
    ],
)
async def test_a_head_that_never_ends_is_cut(app: App, endless: bytes) -> None:
    async with serving(app.app) as url:
        assert await asyncio.wait_for(_said(url, endless), 30) == b""


async def test_whoever_does_not_come_to_the_point_is_cut(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HEAD_LIMIT_S", 0.2)
    async with serving(app.app) as url:
        for beginning in (b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"):
            assert await asyncio.wait_for(_said(url, beginning), 30) == b""


async def test_a_long_head_and_a_kept_connection_are_served(app: App) -> None:
    filler = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 1_000) for number in range(30))
    request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + filler
    async with serving(app.app) as url:
        answers = await _said(url, (request + b"\r\n") * 4 + request + b"connection: close\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 5, "each head is counted by itself"


async def test_a_large_body_is_no_long_head(app: App) -> None:
    body = json.dumps({"transactions": [], "x": "y" * 300_000}).encode()
    token = (await app.as_(EXECUTOR)).headers["authorization"]
    head = f"POST /v1/transactions HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\nconnection: close\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    async with serving(app.app) as url:
        assert (await _said(url, head.encode() + body)).startswith(b"HTTP/1.1 422 ")
