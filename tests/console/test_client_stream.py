"""The live feed against a real backend that is killed and comes back, and against servers that do not behave."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import pytest

from console.client.api import Api
from console.client.errors import ApiError, Unreachable
from console.client.sse import MAX_LINE_BYTES
from console.client.stream import BACKOFF_FIRST_S, BACKOFF_LAST_S, Change, ConnectionState, Feed, Line, Snapshot, Update
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeRequest
from contract.overview import Overview
from contract.scope import GLOBAL, Scope
from contract.stream import Beat, Topic
from tests.support.floor import Floor
from tests.support.people import ADMIN, EXECUTOR, OFFICER

LIMIT_S = 30.0
"""A loaded machine is slow; a feed that has not spoken by then never will."""


async def until(updates: AsyncIterator[Update], wanted: Callable[[Update], bool]) -> list[Update]:
    """Everything up to and including the first update that is wanted."""
    seen: list[Update] = []
    async with asyncio.timeout(LIMIT_S):
        async for update in updates:
            seen.append(update)
            if wanted(update):
                return seen
    raise AssertionError("the feed ended")


def line(wanted: Line) -> Callable[[Update], bool]:
    return lambda update: isinstance(update, ConnectionState) and update.line is wanted


def of(topic: Topic) -> Callable[[Update], bool]:
    return lambda update: isinstance(update, Change) and update.topic is topic


async def test_overview_first_then_live_then_every_change(floor: Floor) -> None:
    async with Api(floor.url, floor.token(ADMIN)) as api, aclosing(Feed(api).updates()) as updates:
        seen = await until(updates, line(Line.LIVE))
        assert [type(update) for update in seen] == [ConnectionState, Snapshot, ConnectionState]
        async with Api(floor.url, floor.token(OFFICER)) as officer:
            made = await officer.freeze(FreezeRequest(scope=Scope.parse("chain:base"), reason="test"))
        change = (await until(updates, of(Topic.FREEZE)))[-1]
        assert isinstance(change, Change)
        assert isinstance(change.model, Freeze)
        assert change.model.id == made.id
        beat = (await until(updates, of(Topic.BEAT)))[-1]
        assert isinstance(beat, Change)
        assert isinstance(beat.model, Beat)
        assert beat.event_id is None


async def test_a_backend_that_stops_is_lost_and_its_return_brings_what_was_missed(floor: Floor) -> None:
    async with Api(floor.url, floor.token(ADMIN)) as api, aclosing(Feed(api).updates()) as updates:
        await until(updates, line(Line.LIVE))
        floor.backend.send(signal.SIGSTOP)
        lost = (await until(updates, line(Line.LOST)))[-1]
        assert isinstance(lost, ConnectionState)
        assert lost.detail
        await asyncio.to_thread(floor.within, lambda app: _freeze_through(app.http, floor))
        floor.backend.send(signal.SIGCONT)
        seen = await until(updates, of(Topic.FREEZE))
        assert any(line(Line.LIVE)(update) for update in seen)
        assert not any(isinstance(update, Snapshot) for update in seen), "resumed, not loaded again"


async def _freeze_through(http: object, floor: Floor) -> None:
    import httpx

    assert isinstance(http, httpx.AsyncClient)
    answer = await http.post(
        "/v1/freezes",
        json={"scope": {"kind": "global"}, "reason": "while nobody listened"},
        headers={"authorization": f"Bearer {floor.token(OFFICER)}"},
    )
    assert answer.status_code == 201


async def test_a_revoked_session_ends_the_feed_with_the_reason(floor: Floor) -> None:
    async with Api(floor.url, "not-a-token") as api, aclosing(Feed(api).updates()) as updates:
        with pytest.raises(ApiError) as refused:
            await until(updates, line(Line.LIVE))
    assert refused.value.code is ErrorCode.NOT_AUTHENTICATED


async def test_a_caller_who_may_not_see_the_overview_is_told(floor: Floor) -> None:
    async with Api(floor.url, floor.token(EXECUTOR)) as api, aclosing(Feed(api).updates()) as updates:
        with pytest.raises(ApiError) as refused:
            await until(updates, line(Line.LIVE))
    assert refused.value.code is ErrorCode.NOT_ALLOWED


# servers that do not behave

Script = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
BEAT = b'event: beat\ndata: {"at": "2026-01-01T00:00:00Z"}\n\n'


def overview(event_id: int) -> bytes:
    empty: dict[str, object] = {"assessed_at": None, "interval_seconds": 60, "measures": [], "indicators": []}
    return (
        Overview.model_validate(
            {
                "server_time": "2026-01-01T00:00:00Z",
                "event_id": event_id,
                "risk": empty,
                "alerts": [],
                "alert_counts": {},
                "freezes": [],
                "executors": [],
                "executors_total": 0,
            }
        )
        .model_dump_json()
        .encode()
    )


def freeze_event(ident: int) -> bytes:
    body = Freeze.model_validate(
        {
            "id": str(ident),
            "ref": f"FRZ-{ident}",
            "epoch": ident,
            "scope": GLOBAL,
            "mode": "halt",
            "status": "active",
            "reason": "r",
            "created_by": "somebody",
            "created_at": "2026-01-01T00:00:00Z",
        }
    )
    return f"id: {ident}\nevent: freeze\ndata: {body.model_dump_json()}\n\n".encode()


@asynccontextmanager
async def scripted(script: Script, *, event_id: int = 5) -> AsyncIterator[tuple[str, list[str]]]:
    """A server whose stream does what the script says; yields its address and the resume points it was asked for."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("get /v1/overview"):
                body = overview(event_id)
                writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            else:
                resume = head.partition("last-event-id: ")[2].partition("\r\n")[0]
                asked.append(resume)
                await script(resume, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def quick(api: Api) -> Feed:
    return Feed(api, silence_s=0.3, poll_s=0.05, dice=random.Random(1))  # noqa: S311  a test's dice


async def test_a_broken_line_is_resumed_where_it_broke() -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        after = int(resume)
        writer.write(HEAD + freeze_event(after) + freeze_event(after + 1))  # one known, one new, then the end

    async with scripted(script) as (url, asked), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, lambda update: isinstance(update, Change) and update.event_id == 8)
    ids = [update.event_id for update in seen if isinstance(update, Change)]
    assert ids == [6, 7, 8], "nothing twice, nothing missing"
    assert asked[:3] == ["5", "6", "7"]
    assert sum(isinstance(update, Snapshot) for update in seen) == 1


async def test_many_alerts_at_once_are_read_again_once_for_all_that_came_within_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("console.client.stream.RELOAD_GAP_S", 0.5)
    told = b'data: {"count": 900, "counts": {"high": 900}, "at": "2026-01-01T00:00:00Z"}\n\n'

    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        for number in range(6, 36):
            writer.write((HEAD if number == 6 else b"") + b"id: %d\nevent: alerts\n" % number + told)
        for _ in range(40):
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.write(BEAT)

    async with scripted(script, event_id=35) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        feed_first = await until(updates, of(Topic.BEAT))
        assert sum(isinstance(update, Snapshot) for update in feed_first) == 1, (
            "what the overview holds is not read again"
        )

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, lambda update: isinstance(update, Snapshot))
        seen += await until(updates, lambda update: isinstance(update, Snapshot))
    assert sum(isinstance(update, Change) and update.topic is Topic.ALERTS for update in seen) == 30
    assert isinstance(seen[-1], Snapshot)


async def test_reset_loads_the_overview_and_goes_on_after_it() -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"id: 5\nevent: reset\ndata: {}\n\n" + freeze_event(5) + freeze_event(6) + BEAT)
        await writer.drain()
        await asyncio.sleep(LIMIT_S)

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, of(Topic.BEAT))
    assert [type(update) for update in seen[3:]] == [Snapshot, Change, Change]


async def test_a_silent_line_is_dead() -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + BEAT)
        await writer.drain()
        await asyncio.sleep(LIMIT_S)

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        await until(updates, line(Line.LIVE))
        await until(updates, line(Line.LOST))
        await until(updates, line(Line.LIVE))


async def test_without_a_stream_the_overview_is_polled_until_there_is_one() -> None:
    refusals = 2

    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n<html>")
        else:
            writer.write(HEAD + BEAT)
            await writer.drain()
            await asyncio.sleep(LIMIT_S)

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, line(Line.LIVE))
    lines = [update.line for update in seen if isinstance(update, ConnectionState)]
    assert lines == [Line.CONNECTING, Line.POLLING, Line.LIVE]
    assert sum(isinstance(update, Snapshot) for update in seen) == 3


async def test_a_proxy_that_holds_the_stream_back_is_polled_around() -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(LIMIT_S)

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, line(Line.POLLING))
    lines = [update.line for update in seen if isinstance(update, ConnectionState)]
    assert lines == [Line.CONNECTING, Line.LOST, Line.POLLING]


@pytest.mark.parametrize(
    "poison",
    [
        b"data: " + b"x" * (MAX_LINE_BYTES + 10),
        b"id: 6\nevent: freeze\ndata: {\n\n",
        b"id: 6\nevent: freeze\ndata: {}\n\n",
        b"id: soon\nevent: freeze\ndata: {}\n\n",
        b"id: " + b"9" * 5_000 + b"\nevent: freeze\ndata: {}\n\n",
    ],
)
async def test_a_poisoned_stream_falls_back_to_the_overview(poison: bytes) -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + poison)
        await writer.drain()
        await asyncio.sleep(LIMIT_S)

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, line(Line.POLLING))
        after = await until(updates, lambda update: isinstance(update, Snapshot))
    assert isinstance(seen[-1], ConnectionState)
    assert seen[-1].detail
    assert after


async def test_events_of_a_newer_backend_are_passed_over() -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"id: 6\nevent: weather\ndata: {}\n\n" + freeze_event(7) + BEAT)
        await writer.drain()
        await asyncio.sleep(LIMIT_S)

    async with scripted(script) as (url, _), Api(url) as api, aclosing(quick(api).updates()) as updates:
        seen = await until(updates, of(Topic.BEAT))
    assert [update.event_id for update in seen if isinstance(update, Change)] == [7, None]


async def test_an_overview_asked_for_earlier_saves_the_first_request() -> None:
    async def script(resume: str, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + BEAT)
        await writer.drain()
        await asyncio.sleep(LIMIT_S)

    first = Overview.model_validate_json(overview(41))
    async with scripted(script) as (url, asked), Api(url) as api:
        async with aclosing(Feed(api, first=first).updates()) as updates:
            await until(updates, line(Line.LIVE))
        assert asked == ["41"]


def test_another_reason_for_a_lost_line_does_not_make_it_lost_later() -> None:
    clock = iter(datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in range(60))
    feed = Feed(Api("http://127.0.0.1:1"), now=lambda: next(clock))
    reported = [
        *feed._become(Line.LIVE),
        *feed._become(Line.LOST, Unreachable("one")),
        *feed._become(Line.LOST, Unreachable("one")),
        *feed._become(Line.LOST, Unreachable("two")),
        *feed._become(Line.LIVE),
    ]
    assert [(state.since.second, state.detail) for state in reported] == [(0, ""), (1, "one"), (1, "two"), (2, "")]


def test_pauses_grow_differ_and_stay_bounded() -> None:
    feed = Feed(Api("http://127.0.0.1:1"), dice=random.Random(3))  # noqa: S311  a test's dice
    pauses = [feed._backoff_s() for _ in range(50)]
    assert pauses[0] == pytest.approx(BACKOFF_FIRST_S)
    assert all(BACKOFF_FIRST_S <= pause <= BACKOFF_LAST_S for pause in pauses)
    assert max(pauses) > 3.0
    assert len(set(pauses)) > 40
