"""The event stream over real sockets: resume, resets, sessions, shutdown, fan-out."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import text

from backend.auth import accounts
from backend.context import Caller, Runtime, system_caller
from backend.events import publish
from backend.stream import broker as broker_module
from backend.stream import service
from backend.stream.broker import Event, Subscription
from backend.stream.frames import event_frame
from contract.permissions import Permission
from contract.stream import ExecutorsChanged, Topic, TransactionsStored
from tests.support.app import App
from tests.support.backends import backends, serving
from tests.support.latching import until
from tests.support.people import ADMIN, sign_in
from tests.support.sse import Reader, Received, open_stream

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def _publish(runtime: Runtime, *counts: int) -> None:
    async with runtime.database.transaction() as session:
        for count in counts:
            stored = TransactionsStored(count=count, first_block_time=AT, last_block_time=AT)
            publish(session, Topic.TRANSACTIONS, stored)


async def _newest(runtime: Runtime) -> int:
    async with runtime.database.read() as session:
        return await service.last_event_id(session)


async def test_an_event_arrives_live_with_id_topic_and_one_line_of_data(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    async with serving(app.app) as url, open_stream(url, token) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        assert stream.response.headers["x-accel-buffering"] == "no"
        await _publish(app.runtime, 7)
        event = await stream.next()
        assert (event.topic, event.data["count"]) == ("transactions", 7)
        assert event.id == await _newest(app.runtime)


async def test_resuming_replays_what_was_missed_and_goes_on_live(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    await _publish(app.runtime, 1, 2, 3, 4)
    newest = await _newest(app.runtime)
    async with serving(app.app) as url, open_stream(url, token, after=newest - 3) as stream:
        await _publish(app.runtime, 5)
        events = await stream.take(4)
        assert [event.data["count"] for event in events] == [2, 3, 4, 5]
        assert [event.id for event in events] == sorted({event.id for event in events if event.id})


async def test_the_header_wins_over_the_address_because_it_is_newer(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    await _publish(app.runtime, 1, 2, 3)
    newest = await _newest(app.runtime)
    async with serving(app.app) as url, open_stream(url, token, after=0, last_event_id=str(newest - 1)) as stream:
        assert (await stream.next()).data["count"] == 3


@pytest.mark.parametrize("given", ["999999999", "not a number", "-3", "9" * 40, "²"])
async def test_an_id_we_never_gave_out_is_answered_by_a_reset(app: App, given: str) -> None:
    token = await sign_in(app.runtime, ADMIN)
    await _publish(app.runtime, 1)
    newest = await _newest(app.runtime)
    async with serving(app.app) as url, httpx.AsyncClient(base_url=url, timeout=20) as client:
        headers = [(b"authorization", f"Bearer {token}".encode()), (b"last-event-id", given.encode())]
        async with client.stream("GET", "/v1/stream", headers=headers) as response:
            lines = [line async for line in _first_lines(response, 4)]
    assert lines == [f"id: {newest}", "event: reset", "data: {}", ""]


async def _first_lines(response: httpx.Response, count: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    async for line in response.aiter_lines():
        yield line
        count -= 1
        if not count:
            return


async def test_a_pruned_id_is_answered_by_a_reset_and_the_stream_goes_on(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    await _publish(app.runtime, 1, 2, 3)
    old = datetime.now(UTC) - timedelta(days=2)
    async with app.runtime.database.transaction() as session:
        await session.execute(text("UPDATE stream_events SET created_at = :old"), {"old": old})
    async with app.runtime.database.transaction() as session:
        await service.prune(session, app.runtime)
    newest = await _newest(app.runtime)
    async with serving(app.app) as url, open_stream(url, token, after=newest - 2) as stream:
        reset = await stream.next()
        assert (reset.topic, reset.id) == ("reset", newest)
        await _publish(app.runtime, 4)
        assert (await stream.next()).data["count"] == 4
        async with open_stream(url, token, after=newest) as resumed:
            assert (await resumed.next()).data["count"] == 4


async def test_pruning_deletes_a_prefix_and_keeps_the_newest(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    await _publish(app.runtime, *range(10))
    monkeypatch.setattr(service, "KEEP_ROWS", 4)
    async with app.runtime.database.transaction() as session:
        await service.prune(session, app.runtime)
    async with app.runtime.database.read() as session:
        kept = (await session.scalars(text("SELECT (payload->>'count')::int FROM stream_events ORDER BY id"))).all()
    assert kept == [6, 7, 8, 9]


async def test_beats_come_without_an_id(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    async with serving(app.app) as url, open_stream(url, token) as stream:
        first, second = await stream.next(beats=True), await stream.next(beats=True)
    assert first.topic == second.topic == "beat"
    assert first.id is second.id is None
    assert first.data["at"] < second.data["at"]


async def test_no_beat_says_that_all_is_heard_while_nothing_can_be(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    beat_s, broker = app.runtime.policy.stream.beat_seconds, app.app.state.broker
    beats: list[Received] = []

    async def listen(stream: Reader) -> None:
        while True:
            beats.append(await stream.next(beats=True))

    async with serving(app.app) as url, open_stream(url, token) as stream, asyncio.TaskGroup() as group:
        listening = group.create_task(listen(stream))
        await until(lambda: bool(beats), "a beat")
        broker._ready.clear()
        await asyncio.sleep(beat_s)  # one may have been on its way
        before = len(beats)
        await asyncio.sleep(3 * beat_s)
        assert len(beats) == before
        broker._ready.set()
        await until(lambda: len(beats) > before, "a beat again")
        listening.cancel()


async def test_a_stream_holds_no_connection_and_no_transaction(app: App, database_url: str) -> None:
    token = await sign_in(app.runtime, ADMIN)
    await _publish(app.runtime, 1)
    async with serving(app.app) as url, open_stream(url, token, after=0) as stream:
        await stream.next()
        pool = app.runtime.database.engine.pool
        await until(lambda: pool.checkedout() == 0, "the connection given back")  # type: ignore[attr-defined]
        with psycopg.connect(database_url) as connection:
            states = connection.execute(
                "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND application_name LIKE 'watchfloor%' AND application_name <> 'watchfloor sequencer'"
            ).fetchall()
        assert states
        assert {state for (state,) in states} == {"idle"}


async def test_the_stream_ends_when_the_session_does(app: App) -> None:
    token = await sign_in(app.runtime, ADMIN)
    async with serving(app.app) as url, open_stream(url, token) as stream:
        await stream.next(beats=True)
        async with app.runtime.database.transaction() as session:
            await session.execute(text("UPDATE sessions SET ended_at = now()"))
        await stream.end()


async def test_without_sign_in_there_is_no_stream(app: App) -> None:
    async with serving(app.app) as url, httpx.AsyncClient(base_url=url) as client:
        response = await client.get("/v1/stream")
    assert response.status_code == 401
    assert response.json()["code"] == "not_authenticated"


async def test_a_lost_listening_connection_loses_no_event(app: App, database_url: str) -> None:
    token = await sign_in(app.runtime, ADMIN)
    async with serving(app.app) as url, open_stream(url, token) as stream:
        await _publish(app.runtime, 1)
        assert (await stream.next()).data["count"] == 1
        with psycopg.connect(database_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'watchfloor stream'"
            ).fetchall()
        assert ended == [(True,)]
        for count in range(2, 12):
            await _publish(app.runtime, count)
        assert [event.data["count"] for event in await stream.take(10)] == list(range(2, 12))


async def test_events_of_one_backend_reach_consoles_of_another(app: App, database_url: str, tmp_path: Path) -> None:
    token = await sign_in(app.runtime, ADMIN)
    with backends(database_url, tmp_path, 1) as (other,):
        async with open_stream(other.url, token) as stream:
            await stream.next(beats=True)
            await _publish(app.runtime, 42)
            event = await stream.next()
            while event.topic != "transactions":  # the other backend's monitors speak too
                event = await stream.next()
            assert event.data["count"] == 42


async def test_a_backend_with_open_streams_stops_at_once(app: App, database_url: str, tmp_path: Path) -> None:
    token = await sign_in(app.runtime, ADMIN)
    with backends(database_url, tmp_path, 1) as (process,):
        async with open_stream(process.url, token) as one, open_stream(process.url, token) as two:
            await one.next(beats=True)
            process.send(signal.SIGTERM)
            await one.end()
            await two.end()
            await asyncio.to_thread(process.wait)
        written = process.log.read_text()
    assert "timeout graceful shutdown exceeded" not in written
    assert "Traceback" not in written


def _event(ident: int, topic: Topic = Topic.ALERT) -> Event:
    return Event(ident, topic, event_frame(ident, topic.value, "{}"))


async def test_a_slow_console_loses_its_queue_not_the_servers_memory() -> None:
    slow = Subscription(frozenset({Topic.ALERT}), start=0)
    for ident in range(1, broker_module.QUEUE_EVENTS + 500):
        slow.offer(_event(ident))
    assert slow.lost
    assert await slow.take(0.01) == []
    slow.recover()
    slow.offer(_event(9_999))
    assert [event.id for event in await slow.take(0.01)] == [9_999]


async def test_a_console_that_lost_events_is_told(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await sign_in(app.runtime, ADMIN)
    monkeypatch.setattr(broker_module, "QUEUE_EVENTS", 5)
    async with serving(app.app) as url, open_stream(url, token) as stream:
        await stream.next(beats=True)
        await _publish(app.runtime, *range(50))
        reset = await stream.next()
        assert (reset.topic, reset.id) == ("reset", await _newest(app.runtime))
        await _publish(app.runtime, 99)
        assert (await stream.next()).data["count"] == 99


async def test_only_topics_of_the_subscription_are_queued() -> None:
    subscription = Subscription(frozenset({Topic.RISK}), start=0)
    subscription.offer(_event(1, Topic.ALERT))
    subscription.offer(_event(2, Topic.RISK))
    assert [event.id for event in await subscription.take(0.01)] == [2]


def test_every_topic_with_data_names_the_permission_it_needs() -> None:
    assert set(service.TOPIC_PERMISSION) == set(Topic) - {Topic.RESET, Topic.BEAT}


def test_a_caller_hears_only_what_it_may_read() -> None:
    caller = Caller(subject="x", kind="user", role="x", permissions=frozenset({Permission.VIEW_ALERTS}), request_id="x")
    assert service.topics_for(caller) == {Topic.ALERT, Topic.ALERTS}


async def test_events_a_caller_may_not_read_are_left_out_of_replay_and_live(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        token = await accounts.ensure_service_token(
            session,
            app.runtime,
            system_caller("test"),
            name="listener",
            permissions=frozenset({Permission.VIEW_OVERVIEW, Permission.VIEW_EXECUTORS}),
            token="wfs_listener-with-few-permissions",
        )
    await _publish(app.runtime, 1)
    async with app.runtime.database.transaction() as session:
        publish(session, Topic.EXECUTORS, ExecutorsChanged(executors=[], at=AT))
    async with serving(app.app) as url, open_stream(url, token, after=0) as stream:
        assert (await stream.next()).topic == "executors"
        await _publish(app.runtime, 2)
        async with app.runtime.database.transaction() as session:
            publish(session, Topic.EXECUTORS, ExecutorsChanged(executors=[], at=AT))
        assert (await stream.next()).topic == "executors"


@pytest.mark.parametrize("hostile", ["\u0085", "\u2028", "\u2029", "\x7f", "\r\n\n", "\x1b[2J", "ü€😀"])
def test_no_text_can_break_out_of_its_line(hostile: str) -> None:
    from pydantic import TypeAdapter

    payload = TypeAdapter(dict[str, str]).dump_json({"name": f"a{hostile}b"}).decode()
    frame = event_frame(1, "alert", payload).decode()
    assert len(frame.splitlines()) == 4
    assert TypeAdapter(dict[str, str]).validate_json(frame.splitlines()[2].removeprefix("data: ")) == {
        "name": f"a{hostile}b"
    }
