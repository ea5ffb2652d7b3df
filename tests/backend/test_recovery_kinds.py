"""Kinds of steps by themselves, on real programs and a real database."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from backend.continuity.kinds.base import Outcome
from backend.continuity.kinds.left_behind import still_there
from backend.continuity.kinds.registry import KINDS
from backend.runtime import build_runtime
from backend.settings import Settings
from contract.recovery import StepKind
from tests.support.recovery_steps import DRILL, MemoryCluster, Stand, step_of


@pytest.fixture
def stand(database_url: str, tmp_path: Path) -> Stand:
    return Stand(build_runtime(Settings(database_url=database_url, data_dir=tmp_path)), MemoryCluster())


async def ran(stand: Stand, kind: str, **values: Any) -> Outcome:
    return await KINDS[kind].run(stand.at(step_of(kind, **values)))


def test_every_kind_of_step_is_done_by_something() -> None:
    assert set(KINDS) == set(StepKind)


@pytest.mark.parametrize(
    ("argv", "more", "passed", "said"),
    [
        (["true"], {}, True, "It ended with 0."),
        (["false"], {}, False, "It ended with 1, not with 0."),
        (["false"], {"exit_code": 1}, True, "It ended with 1."),
        (["echo", "all is well"], {"output_contains": "well"}, True, "It ended with 0."),
        (
            ["echo", "all is well"],
            {"output_contains": "ill"},
            False,
            "It ended with 0, but what it printed lacks 'ill'.",
        ),
        (["sh", "-c", "kill -9 $$"], {}, False, "It ended with signal SIGKILL, not with 0."),
        (["/none/such"], {}, False, "/none/such cannot be run: No such file or directory."),
        (["echo", "$HOME; exit 3"], {"output_contains": "$HOME; exit 3"}, True, "It ended with 0."),
    ],
)
async def test_a_command_is_judged_by_its_end_and_output(
    stand: Stand, argv: list[str], more: dict[str, Any], *, passed: bool, said: str
) -> None:
    outcome = await ran(stand, "command", argv=argv, **more)
    assert (outcome.passed, outcome.summary) == (passed, said)


async def test_both_streams_of_a_command_are_kept_up_to_a_limit(stand: Stand) -> None:
    limit = stand.runtime.policy.recovery.keep_output_kb * 1024
    script = f"echo bad >&2; head -c {limit + 1234} /dev/zero | tr '\\0' x"
    outcome = await ran(stand, "command", argv=["sh", "-c", script])
    assert outcome.passed
    assert "bad" in outcome.output
    assert "1,234 bytes more, counted and not kept" in outcome.output
    assert len(outcome.output) < limit + 1_000


async def test_a_command_sees_no_setting_of_ours(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHFLOOR_SECRET", "hidden")
    outcome = await ran(stand, "command", argv=["env"])
    assert "hidden" not in outcome.output
    assert f"WATCHFLOOR_DRILL={DRILL}" in outcome.output


async def test_a_command_that_takes_too_long_ends_with_all_it_started(stand: Stand, tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/own; sleep 60; sleep 60"
    step = step_of("command", argv=["sh", "-c", script])
    running = asyncio.create_task(KINDS["command"].run(stand.at(step)))
    while not (tmp_path / "own").exists() or not (tmp_path / "own").read_text():  # noqa: ASYNC110  another process
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.2)
    for name in ("own", "child"):
        pid = int((tmp_path / name).read_text())
        with suppress(ProcessLookupError):
            os.kill(pid, 0)
            assert (await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_text)).rpartition(") ")[2][0] == "Z"
    assert stand.noted["began"] is True
    assert stand.noted["pid"] == int((tmp_path / "own").read_text())


async def test_a_command_that_outlived_its_backend_is_ended_and_said_to_be(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"trap '' TERM; sleep 60 & echo $! > {tmp_path}/child; sleep 61; touch {tmp_path}/acted"
    step = step_of("command", argv=["sh", "-c", script])
    monkeypatch.setattr("backend.continuity.kinds.left_behind.TERM_GRACE_S", 0.2)

    async def gone(_: object) -> None:
        """A process that is killed ends nobody."""

    with monkeypatch.context() as killed:
        killed.setattr("backend.continuity.kinds.command._end", gone)
        running = asyncio.create_task(KINDS["command"].run(stand.at(step)))
        while not (tmp_path / "child").exists() or "pid" not in stand.noted:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.02)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    facts = dict(stand.noted)
    assert still_there(facts)
    assert still_there({**facts, "started_ticks": facts["started_ticks"] - 1}) == []  # the number is another's
    assert still_there({**facts, "boot": "another"}) == []
    found = await KINDS["command"].look(stand.at(step), facts)
    assert found is not None
    assert not found.passed
    assert "still at work without it, and ended now" in found.summary
    assert still_there(facts) == []
    assert await KINDS["command"].look(stand.at(step), facts) is None
    assert (await KINDS["command"].undo(stand.at(step), facts)).passed


async def test_what_a_command_left_on_purpose_stays_when_it_is_undone(stand: Stand, tmp_path: Path) -> None:
    step = step_of("command", argv=["sh", "-c", f"sleep 30 & echo $! > {tmp_path}/child"], undo_argv=["true"])
    kind = KINDS["command"]
    outcome = await kind.run(stand.at(step))
    assert (await kind.undo(stand.at(step), {**stand.noted, **outcome.facts})).passed
    child = int((tmp_path / "child").read_text())
    os.kill(child, 9)  # it is there


async def test_a_command_that_leaves_something_behind_is_over_when_it_ends(stand: Stand) -> None:
    began = time.monotonic()
    outcome = await ran(stand, "command", argv=["sh", "-c", "sleep 5 & echo done"])
    assert outcome.passed
    assert time.monotonic() - began < 4


async def test_a_command_is_undone_by_its_own_command(stand: Stand, tmp_path: Path) -> None:
    step = step_of("command", argv=["true"], undo_argv=["touch", f"{tmp_path}/undone"])
    kind = KINDS["command"]
    assert (await kind.undo(stand.at(step), {})).summary == "It was never run."
    assert (await kind.undo(stand.at(step), {"began": True})).passed
    assert (tmp_path / "undone").exists()
    failing = step_of("command", argv=["true"], undo_argv=["false"])
    outcome = await kind.undo(stand.at(failing), {"began": True})
    assert not outcome.passed
    assert outcome.left_to_do == ("Find out how far this came, and run it again: false",)
    assert kind.problems(stand.runtime, stand.cluster, step_of("command", argv=["/none"])) != []


@asynccontextmanager
async def answering(*answers: bytes | None) -> AsyncIterator[str]:
    """An address that gives these answers one after the other, the last one for ever; None hangs."""
    left, over = list(answers), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer is None:
                await over.wait()
            else:
                writer.write(answer)
                await writer.drain()
        with suppress(OSError):
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/probe"
    finally:
        over.set()
        server.close()
        await asyncio.sleep(0.05)


def answer(body: bytes, status: str = "200 OK", more: bytes = b"") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n".encode()
    return head + more + b"\r\n" + body


async def test_an_address_is_asked_until_it_answers_as_stated(stand: Stand) -> None:
    async with answering(answer(b"no", "503 Away"), answer(b"almost"), answer(b"all ready")) as url:
        outcome = await ran(stand, "http", url=url, body_contains="ready")
    assert outcome.passed
    assert outcome.summary.endswith("answered 200, the 3. time it was asked.")
    assert stand.logged == [f"{url} answers 503, not 200.", f"{url} answers 200; 'ready' is not in it."]


async def test_redirects_are_answers_and_bodies_are_bounded(stand: Stand) -> None:
    moved = answer(b"", "302 Found", b"location: http://127.0.0.1:1/\r\n")
    async with answering(moved) as url:
        assert (await ran(stand, "http", url=url, status=302)).passed
    limit = stand.runtime.policy.recovery.keep_output_kb * 1024
    async with answering(answer(b"x" * (limit * 3))) as url:
        outcome = await ran(stand, "http", url=url)
    assert len(outcome.output) == limit


async def test_a_server_that_hangs_is_given_up(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.continuity.kinds.http.ANSWER_LIMIT_S", 0.3)
    async with answering(None, answer(b"")) as url:
        outcome = await ran(stand, "http", url=url)
    assert outcome.passed
    assert "does not answer" in stand.logged[0]


@pytest.mark.parametrize(
    ("statement", "wanted", "passed", "said"),
    [
        ("SELECT 41 + 1", {"equals": "42"}, True, "The answer is 42, as wanted."),
        ("SELECT 41", {"equals": "42"}, False, "The answer is 41, not '42'."),
        ("SELECT count(*) FROM alerts", {"at_least": 0}, True, "The answer is 0, as wanted."),
        ("SELECT 'many'", {"at_least": 1}, False, "The answer is no number: many."),
        ("SELECT 1 WHERE false", {"equals": "1"}, False, "The question has no answer: no row came back."),
        ("DELETE FROM alerts RETURNING 1", {"equals": "1"}, False, "cannot execute DELETE in a read-only transaction"),
        ("COMMIT; DELETE FROM alerts", {"equals": "1"}, False, "cannot insert multiple commands"),
        (
            "SELECT set_config('transaction_read_only', 'off', true)",
            {"equals": "off"},
            False,
            "must be set before any query",
        ),
        ("SELEC 1", {"equals": "1"}, False, "syntax error"),
    ],
)
async def test_a_question_is_judged_by_its_first_value_and_writes_nothing(
    stand: Stand, statement: str, wanted: dict[str, Any], *, passed: bool, said: str
) -> None:
    outcome = await ran(stand, "sql", statement=statement, **wanted)
    assert outcome.passed is passed
    assert said in outcome.summary


async def test_a_question_that_takes_too_long_is_ended_by_the_server(stand: Stand) -> None:
    began = time.monotonic()
    outcome = await ran(stand, "sql", statement="SELECT pg_sleep(60)", equals="")
    assert "statement timeout" in outcome.summary
    assert time.monotonic() - began < 20


async def test_what_a_person_did_a_person_undoes(stand: Stand) -> None:
    step = step_of("manual", instructions="Pull the plug.", rollback="Put it back.")
    assert not (await KINDS["manual"].run(stand.at(step))).passed
    assert (await KINDS["manual"].undo(stand.at(step), {})).left_to_do == ("Put it back.",)
    harmless = step_of("manual", instructions="Look at it.")
    assert (await KINDS["manual"].undo(stand.at(harmless), {})).passed
