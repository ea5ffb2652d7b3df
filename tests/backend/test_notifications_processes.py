"""Notifications by real backends: one beside the other, one killed while it sends, a place that never answers."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from contract.alerts import Severity
from tests.support.app import SWIFT, App, started_app
from tests.support.backends import backend
from tests.support.notifying import channel_file, draft, raised
from tests.support.processes import until
from tests.support.receivers import Receiver, webhook

ALERTS = 12


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


PATIENT = "?rto=60&cto=60"
"""Of an address: a busy machine answers late, and whoever is tried again may hear it twice."""


def _policy(directory: Path, answer_seconds: int) -> Path:
    path = directory / "policy.toml"
    rules = f"answer_seconds = {answer_seconds}\nfirst_retry_seconds = 1\ntries = 20\n"
    path.write_text(f'extends = "{SWIFT}"\n[watchfloor.notifications]\n{rules}')
    return path


def _raise(database_url: str, count: int, **changes: object) -> None:
    """Raise alerts beside the backends under test, as one more backend without jobs of its own."""

    async def act(app: App) -> None:
        await raised(app, *(draft(f"{number}", rule=f"RULE_{number}", **changes) for number in range(count)))

    async def run() -> None:
        async with started_app(database_url, sequence=False) as app:
            await act(app)

    asyncio.run(run())


def _query(database_url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def _states(database_url: str) -> list[tuple[object, ...]]:
    return _query(database_url, "SELECT channel, state, attempts FROM notifications ORDER BY id")


def _with(file: Path, policy: Path) -> dict[str, str]:
    return {"WATCHFLOOR_NOTIFICATIONS_FILE": str(file), "WATCHFLOOR_POLICY": str(policy)}


def test_two_backends_tell_each_alert_once(database_url: str, hook: Receiver, tmp_path: Path) -> None:
    file, policy = channel_file(tmp_path / "channels.toml", {"oncall": hook.url() + PATIENT}), _policy(tmp_path, 60)
    with ExitStack() as running:
        for number in range(2):
            running.enter_context(backend(database_url, tmp_path / f"{number}.log", env=_with(file, policy)))
        _raise(database_url, ALERTS)
        until(lambda: len(hook.arrived) >= ALERTS, "every notification")
        until(lambda: {state for _, state, _ in _states(database_url)} == {"sent"}, "all of it written down")
    assert len(set(hook.titles)) == len(hook.titles) == ALERTS


def test_what_a_killed_backend_was_sending_is_sent_by_the_next(
    database_url: str, hook: Receiver, tmp_path: Path
) -> None:
    file, policy = channel_file(tmp_path / "channels.toml", {"oncall": hook.url() + PATIENT}), _policy(tmp_path, 60)
    hook.silent.set()
    with backend(database_url, tmp_path / "first.log", env=_with(file, policy)) as first:
        _raise(database_url, 2)
        until(lambda: bool(hook.paths), "a try that hangs")
        first.send(signal.SIGKILL)
        first.process.wait()
    hook.silent.clear()
    # whoever was killed is taken for dead later: let that time be over
    _query(database_url, "UPDATE notifications SET next_at = now() WHERE next_at IS NOT NULL")
    with backend(database_url, tmp_path / "second.log", env=_with(file, policy)):
        until(lambda: {state for _, state, _ in _states(database_url)} == {"sent"}, "both notifications")
    assert set(hook.titles) == {f"[CRITICAL] RULE_{number} (strategy:arbitrage)" for number in range(2)}
    assert sum(int(str(tries)) for *_, tries in _states(database_url)) >= 3, "one was tried before"


def test_a_place_that_never_answers_holds_up_nobody_else(database_url: str, hook: Receiver, tmp_path: Path) -> None:
    with webhook() as deaf:
        deaf.silent.set()
        urls = {"deaf": deaf.url() + PATIENT, "oncall": hook.url()}
        file, policy = channel_file(tmp_path / "channels.toml", urls), _policy(tmp_path, 1)
        with backend(database_url, tmp_path / "backend.log", env=_with(file, policy)) as running:
            _raise(database_url, 3, severity=Severity.HIGH)
            until(lambda: len(set(hook.titles)) == 3, "the notifications of the other channel")
            until(lambda: _tried_again(database_url), "a second try")
            running.send(signal.SIGTERM)
            assert running.wait() in {0, -signal.SIGTERM}, "a try that hangs holds up no end"
    assert len(deaf.paths) == 1, "a try that hangs keeps further ones out"
    reasons = {reason for (reason,) in _query(database_url, "SELECT reason FROM notifications WHERE channel = 'deaf'")}
    assert "no answer within 1 s" in reasons


def _tried_again(database_url: str) -> bool:
    return any(int(str(tries)) >= 2 for channel, _, tries in _states(database_url) if channel == "deaf")
