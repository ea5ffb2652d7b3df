"""The connection of executors at backends that run as processes: hostile frames, orderly ends, kills."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed

from contract.gate import CloseCode
from tests.support.backends import backend
from tests.support.gate_line import LIMIT_S, line
from tests.support.holds import freeze, tokens
from tests.support.people import ADMIN, EXECUTOR

_TEXTS = st.one_of(
    st.text(max_size=200),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=9).map(
        json.dumps
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["renew", "permit", "hello", "watch"])},
        optional={name: st.none() | st.integers() | st.text(max_size=9) for name in ("executor", "boot_id", "fates")},
    ).map(json.dumps),
)


def test_whatever_is_sent_is_answered_in_words_or_a_code_and_the_next_one_is_served(
    database_url: str, tmp_path: Path
) -> None:
    [machine] = tokens(database_url, EXECUTOR)
    with backend(database_url, tmp_path / "backend.log") as server:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.one_of(_TEXTS, st.binary(max_size=300)), st.booleans())
        def frames(frame: str | bytes, huge: bool) -> None:  # noqa: FBT001  Hypothesis calls it
            async def send() -> tuple[dict[str, Any] | None, int]:
                async with line(server.url, machine) as bot:
                    with contextlib.suppress(ConnectionClosed):
                        await bot.connection.send(frame * (70_000 if huge else 1))
                    return await bot.closed()

            last, code = asyncio.run(send())
            assert code in {CloseCode.MALFORMED, 1007, 1009}
            assert code != CloseCode.MALFORMED or (last or {})["type"] == "refused"

        frames()

        async def serve_on() -> tuple[dict[str, Any], int]:
            async with line(server.url, machine) as bot:
                permit = await bot.renew()
                server.send(signal.SIGTERM)
                _, code = await bot.closed()
                return permit, code

        permit, code = asyncio.run(serve_on())
        assert permit["mode"] is None
        assert code == CloseCode.GOING_AWAY
        assert server.wait() in {0, -signal.SIGTERM}
    assert "Traceback" not in server.log.read_text()


def test_a_killed_backend_leaves_its_executors_to_the_other(database_url: str, tmp_path: Path) -> None:
    machine, admin = tokens(database_url, EXECUTOR, ADMIN)
    with (
        backend(database_url, tmp_path / "first.log") as first,
        backend(database_url, tmp_path / "second.log") as second,
    ):

        async def go_over() -> None:
            async with line(first.url, machine) as bot:
                before = await bot.renew()
                first.send(signal.SIGKILL)
                with contextlib.suppress(ConnectionClosed):
                    await bot.closed()
            headers = {"authorization": f"Bearer {admin}"}
            async with httpx.AsyncClient(base_url=second.url, headers=headers, timeout=LIMIT_S) as client:
                await freeze(client, "global")
            async with line(second.url, machine, boot_id=bot.boot_id, key=bot.key, asked=bot.asked) as back:
                after = await back.renew()
                assert (before["mode"], after["mode"]) == (None, "halt")
                assert back.trusted == bot.trusted

        asyncio.run(go_over())
