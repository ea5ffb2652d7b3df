"""The typed client: where it may connect, what each failure becomes, and that no token travels where it should not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.client import retention
from console.client.agent import Agent
from console.client.api import Api, new_idempotency_key
from console.client.errors import AddressRefused, ApiError, NotUnderstood, TimedOut, Unreachable
from console.client.signing_in import approve_thaw
from console.client.touch import Touch
from console.client.transport import open_http
from contract.audit import RelatedBy
from contract.errors import EXIT_CODE, ErrorCode, ExitCode
from contract.freeze import FreezeRequest, FreezeStatus
from contract.scope import Scope
from tests.support.app import App
from tests.support.floor import Floor
from tests.support.people import ADMIN, OFFICER
from tests.support.touches import agents


@asynccontextmanager
async def answering(*answers: bytes, path: Path | None = None) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that gives these answers in turn (the last for ever); yields its address and the requests' heads."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
            heads.append((head + await reader.readexactly(length)).decode())
            answer = answers[min(len(heads), len(answers)) - 1]
            if answer == SILENCE:
                await asyncio.sleep(30)
            writer.write(answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(serve, path) if path else await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"unix:{path}" if path else f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heads


SILENCE = b"silence"
DROPPED = b""


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# the real backend


async def test_models_come_back_and_refusals_carry_the_backends_words(floor: Floor) -> None:
    async with Api(floor.url, floor.token(ADMIN)) as api:
        assert (await api.whoami()).username == ADMIN.name
        with pytest.raises(ApiError) as refused:
            await api.freeze_detail("FRZ-9999")
    error = refused.value
    assert (error.code, error.exit_code) == (ErrorCode.NOT_FOUND, ExitCode.NOT_FOUND)
    assert error.message
    assert error.request_id


async def test_a_freeze_is_the_same_freeze_when_sent_again(floor: Floor) -> None:
    request = FreezeRequest(scope=Scope.parse("chain:twice"), reason="x", idempotency_key=new_idempotency_key())
    async with Api(floor.url, floor.token(OFFICER)) as api:
        first, second = await api.freeze(request), await api.freeze(request)
    assert first.id == second.id


async def test_a_typed_id_stays_one_segment_of_the_address(floor: Floor) -> None:
    async with Api(floor.url, floor.token(ADMIN)) as api:
        for ident in ("../overview", "..", "a/b?c#d", "%2e%2e", "x\r\ny"):
            with pytest.raises(ApiError) as refused:
                await api.freeze_detail(ident)
            assert refused.value.code is ErrorCode.NOT_FOUND


async def test_thaw_can_be_withdrawn_and_approved_for_a_version(floor: Floor) -> None:
    request = FreezeRequest(scope=Scope.parse("chain:withdrawn"), reason="x")
    async with Api(floor.url, floor.token(OFFICER)) as officer, Api(floor.url, floor.token(ADMIN)) as admin:
        made = await officer.freeze(request)
        assert (await officer.request_thaw(made.id, "y")).status is FreezeStatus.THAW_REQUESTED
        assert (await officer.withdraw_thaw(made.id)).status is FreezeStatus.ACTIVE
        shown = (await officer.request_thaw(made.id, "y")).thaw
        assert shown is not None
        with pytest.raises(ApiError) as refused:
            await approve_thaw(admin, made.id, digest=shown.digest, version=1)
        assert refused.value.code is ErrorCode.REFUSED_BY_POLICY
        with pytest.raises(ApiError) as refused:
            await approve_thaw(admin, made.id, digest=shown.digest)
        assert refused.value.code is ErrorCode.CONFIRMATION_REQUIRED, "this client knows of no agent"
        told: list[str] = []
        admin.touch = Touch(lambda: Agent(str(agents() / ADMIN.name)), told.append)
        assert (await approve_thaw(admin, made.id, digest=shown.digest)).status is FreezeStatus.THAWED
        assert [line.startswith("Touch your hardware key now") for line in told] == [True]


async def test_the_audit_search_takes_times_by_either_name(floor: Floor) -> None:
    async with Api(floor.url, floor.token(ADMIN)) as api:
        for begin, end in (("from", "to"), ("since", "until")):
            window: dict[str, Any] = {begin: "2001-01-01T00:00:00+00:00", end: "2001-01-02T00:00:00+00:00"}
            page = await api.audit(**window)
            assert page.items == []


async def test_what_the_ledgers_screens_ask_is_answered(floor: Floor) -> None:
    async with Api(floor.url, floor.token(ADMIN)) as api:
        entry = (await api.audit(limit=1)).items[0]
        assert entry.id in {one.id for one in (await api.audit_related(entry.id, RelatedBy.ACTOR)).items}
        await api.save_search("night shift", {"result": "denied", "q": "halt"})
        saved = {one.name: one.filters for one in (await api.saved_searches()).items}
        assert saved == {"night shift": {"result": "denied", "q": "halt"}}
        await api.forget_search("night shift")
        assert not (await api.saved_searches()).items
        assert (await api.verifications(limit=5)).items == []
        assert (await api.readiness()).audit.quarantined == 0
        assert {one.log for one in (await api.ledger_heads()).logs} >= {
            one.log for one in (await retention.retention(api)).logs
        }


async def test_an_application_in_the_same_process(app: App) -> None:
    async with Api("http://127.0.0.1", transport=httpx.ASGITransport(app.app)) as api:
        with pytest.raises(ApiError) as refused:
            await api.whoami()
    assert refused.value.code is ErrorCode.NOT_AUTHENTICATED


# where it may connect


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://example.test:8420", "http://0.0.0.0", "nonsense", "ftp://x"]
)
def test_a_token_is_not_sent_where_others_can_read_it(url: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        Api(url, "t")
    assert refused.value.exit_code is ExitCode.CONFIGURATION
    assert refused.value.hint


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:1", "http://127.9.9.9", "unix:/x"]
)
async def test_loopback_and_sockets_need_no_tls(url: str) -> None:
    await Api(url, "t").close()


async def test_other_machines_are_spoken_to_with_tls_13_only() -> None:
    async with open_http("https://floor.example", "t") as client:
        pool = client._transport._pool  # type: ignore[attr-defined]
        assert pool._ssl_context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert pool._ssl_context.verify_mode is ssl.CERT_REQUIRED


async def test_a_proxy_of_the_environment_never_sees_a_loopback_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async with answering(reply("200 OK")) as (proxy, seen), answering(reply("404 Not Found")) as (url, heads):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("ALL_PROXY", proxy)
        async with Api(url, "secret") as api:
            with pytest.raises(NotUnderstood):
                await api.whoami()
    assert seen == []
    assert "authorization: bearer secret" in heads[0].lower()


async def test_a_unix_socket(tmp_path: Path) -> None:
    async with (
        answering(reply("200 OK", b'{"username": "u", "role": "r", "permissions": []}'), path=tmp_path / "s") as (
            url,
            heads,
        ),
        Api(url, "t") as api,
    ):
        assert (await api.whoami()).username == "u"
    assert heads[0].startswith("GET /v1/auth/whoami HTTP/1.1")


# servers that do not behave


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply("302 Found", b"", "location: http://127.0.0.1:1/elsewhere"), Unreachable),
        (reply("502 Bad Gateway", b"<html>"), Unreachable),
        (reply("403 Forbidden", b"<html>"), NotUnderstood),
        (reply("200 OK", b"<html>"), NotUnderstood),
        (reply("200 OK", b'{"username": 3}'), NotUnderstood),
        (reply("418 Teapot", b'{"code": "brand_new", "message": "m", "request_id": "r"}'), NotUnderstood),
        (b"not http at all\r\n\r\n", Unreachable),
        (DROPPED, Unreachable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", Unreachable),
    ],
)
async def test_what_no_backend_answers_is_told_in_one_sentence(answer: bytes, kind: type[Exception]) -> None:
    async with answering(answer) as (url, heads), Api(url, "secret") as api:
        with pytest.raises(kind) as failed:
            await api.whoami()
    assert len(heads) == 1, "asked once: nothing followed a redirect"
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)


async def test_nobody_there() -> None:
    async with Api("http://127.0.0.1:9") as api:
        with pytest.raises(Unreachable) as failed:
            await api.status()
    assert failed.value.exit_code is ExitCode.UNREACHABLE
    assert not isinstance(failed.value, TimedOut)


async def test_no_answer_in_time_is_not_the_same_as_nobody_there() -> None:
    async with answering(SILENCE) as (url, _), Api(url) as api:
        with pytest.raises(TimedOut) as failed:
            await api.overview(timeout_s=0.2)
    assert failed.value.exit_code is ExitCode.TIMED_OUT


async def test_a_freeze_is_sent_again_under_one_key_when_the_line_drops() -> None:
    refusal = reply("403 Forbidden", b'{"code": "not_allowed", "message": "no", "request_id": "r"}')
    async with answering(DROPPED, DROPPED, refusal) as (url, heads), Api(url) as api:
        with pytest.raises(ApiError):
            await api.freeze(FreezeRequest(scope=Scope.parse("global"), reason="x"))
    keys = {head.partition('"idempotency_key":"')[2].partition('"')[0] for head in heads}
    assert len(heads) == 3
    assert len(keys) == 1
    assert len(keys.pop()) == 32


async def test_other_requests_are_not_sent_again() -> None:
    async with answering(DROPPED) as (url, heads), Api(url) as api:
        with pytest.raises(Unreachable):
            await api.request_thaw("FRZ-1", "x")
    assert len(heads) == 1


@pytest.mark.parametrize("code", ErrorCode)
async def test_every_error_code_has_its_exit_code(code: ErrorCode) -> None:
    body = f'{{"code": "{code}", "message": "m", "hint": "h", "request_id": "r", "later": 1}}'.encode()
    async with answering(reply("400 Bad Request", body)) as (url, _), Api(url) as api:
        with pytest.raises(ApiError) as refused:
            await api.risk()
    assert (refused.value.exit_code, refused.value.hint) == (EXIT_CODE[code], "h")
