"""A drill that is no longer this process's, or may not begin what it was about to: nothing more is touched."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.continuity import core, kept, lines, service
from backend.continuity.journal import Journal
from backend.continuity.kinds.base import At, Outcome
from backend.continuity.lines import Line
from backend.continuity.telling import Telling
from contract.recovery import AbortRequest, DrillState, StepState
from tests.backend.test_recovery_drills import PATIENCE_S, POLL_S, Floor, floor, states
from tests.support.holds import person
from tests.support.latching import rows
from tests.support.recovery import CLUSTER, FakeKind


async def until(good: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not good():  # noqa: ASYNC110  several things are waited for
            await asyncio.sleep(POLL_S)


async def given_up(here: Floor, ref: str) -> None:
    """Give a drill up as another backend would whose people take this one for gone."""
    async with here.app.runtime.database.transaction() as session:
        told = await kept.told_of(session, ref)
        request = AbortRequest(reason="nobody answers")
        await service._give_up(session, here.app.runtime, person("zoe"), core.fold(told), told, request)


async def test_a_rollback_stops_when_somebody_has_given_the_drill_up(database_url: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "hold-undo").touch()
    (work / "go-first").touch()
    async with floor(database_url, tmp_path / "data") as here:
        kind = here.stage.kind
        kind.directory, kind.does["second"] = work, "fail"
        ref = (await here.start()).json()["ref"]
        await until(lambda: "undo second" in kind.happened)
        declared = "SELECT 1 FROM recovery_lines WHERE drill = %s AND data->>'line' = 'declared'"
        await until(lambda: bool(rows(database_url, declared, ref)))
        await given_up(here, ref)
        drill = await here.ended(ref)
        assert drill.state is DrillState.UNRESOLVED
        assert drill.sentence.startswith("zoe gave it up")
        (work / "hold-undo").unlink()
        await asyncio.sleep(0.2)
        assert kind.happened == ["run first", "run second", "undo second"]
        [aside] = (tmp_path / "data" / "recovery").glob("*/*.given-up")
        assert not list(aside.parent.glob("*.journal"))
        timeline = (await here.http.get(f"/v1/incidents/{drill.incident}/timeline")).json()["items"]
        assert any(str(aside) in one["text"] for one in timeline)


async def test_an_abort_in_the_instant_before_an_act_stops_the_act(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = Telling.say

    async def ended_meanwhile(telling: Telling, line: Line) -> None:
        await say(telling, line)
        if isinstance(line, lines.Noted) and line.step == 2:
            telling.abort_asked.set()
            caller = lines.stored(person("zoe"))
            await say(telling, lines.AbortAsked(at=line.at, caller=caller, reason="not now"))

    monkeypatch.setattr(Telling, "say", ended_meanwhile)
    async with floor(database_url, tmp_path) as here:
        drill = await here.whole()
        assert drill.state is DrillState.ABORTED
        assert "run second" not in here.stage.kind.happened
        assert here.stage.kind.happened[-2:] == ["undo second", "undo first"]


def looking_again_after(here: Floor, seconds: int) -> None:
    recovery = here.app.app.state.recovery
    runtime = recovery.parts.runtime
    rules = runtime.policy.recovery.model_copy(update={"look_again_seconds": seconds})
    operations = runtime.policy.watchfloor.model_copy(update={"recovery": rules})
    runtime = replace(runtime, policy=runtime.policy.model_copy(update={"watchfloor": operations}))
    recovery.parts = replace(recovery.parts, runtime=runtime)


@pytest.mark.parametrize("met", [True, False])
async def test_before_a_destructive_step_the_preconditions_are_looked_at_again_after_a_long_wait(
    database_url: str, tmp_path: Path, *, met: bool
) -> None:
    steps = ({"name": "first"}, {"name": "second", "destructive": True})
    async with floor(database_url, tmp_path, *steps) as here:
        looking_again_after(here, 1)
        ref = (await here.start(hands_off=False)).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)
        await here.http.post(f"/v1/recovery/drills/{ref}/step", json={"number": 1})
        await here.until(ref, lambda one: one.step == 2 and bool(one.steps[1].waits_for))
        here.stage.steady.before = met
        await asyncio.sleep(1.1)
        await here.http.post(f"/v1/recovery/drills/{ref}/step", json={"number": 2, "cluster": CLUSTER})
        drill = await here.ended(ref)
        assert any("looked at the preconditions again before step 2" in line for line in drill.log)
        if met:
            assert states(drill) == [StepState.PASSED] * 2
            return
        assert drill.state is DrillState.ABORTED
        assert "before step 2 (Step 2) a precondition is not met any more: The cluster answers" in drill.sentence
        assert here.stage.kind.happened == ["run first", "undo first"]


async def test_what_was_asked_elsewhere_long_ago_is_not_done(database_url: str, tmp_path: Path) -> None:
    ask = (
        "INSERT INTO recovery_asks (id, drill, what, request, caller, asked_at)"
        " SELECT gen_random_uuid(), %s, 'step', '{\"number\": 1}', data->'caller', now() - interval '31 s'"
        " FROM recovery_lines WHERE drill = %s AND n = 1 RETURNING id"
    )
    async with floor(database_url, tmp_path) as here:
        ref = (await here.start(hands_off=False)).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)
        [(ident,)] = rows(database_url, ask, ref, ref)
        answer = "SELECT answer FROM recovery_asks WHERE id = %s AND taken_at IS NOT NULL"
        await until(lambda: bool(rows(database_url, answer, ident)))
        assert rows(database_url, answer, ident) == [("It was not found within 30 s: ask again.",)]
        assert here.stage.kind.happened == []
        await here.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "that will do"})
        await here.ended(ref)


async def test_a_step_that_says_very_much_is_cut_and_says_so(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.continuity.stepping.MAX_STEP_LOG_LINES", 5)
    run = FakeKind.run

    async def chatty(kind: FakeKind, at: At) -> Outcome:
        for number in range(20):
            at.log(f"{at.step.name} counts {number}")
        return await run(kind, at)

    monkeypatch.setattr(FakeKind, "run", chatty)
    async with floor(database_url, tmp_path) as here:
        drill = await here.whole()
        said = [line.partition(" ")[2] for line in drill.log if "first counts" in line or "Step 1 says" in line]
        assert said == [*(f"first counts {number}" for number in range(4)), _CUT]
        assert sum("third counts" in line for line in drill.log) == 4  # one step's noise takes nobody else's place


_CUT = "Step 1 says more, which is not kept here: its log ends with this line."


async def test_a_drill_may_be_started_in_the_moment_in_which_another_is_over(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Journal.remove

    async def slowly(journal: Journal) -> None:
        await asyncio.sleep(0.5)
        await remove(journal)

    monkeypatch.setattr(Journal, "remove", slowly)
    async with floor(database_url, tmp_path) as here:
        ref = (await here.start()).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.PASSED)
        following: Any = await here.start()
        assert following.status_code == 201, following.text
        await here.ended(following.json()["ref"])


async def test_a_journal_that_could_not_be_read_is_taken_up_by_the_same_process_later(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with floor(database_url, tmp_path) as here:
        ref = (await here.start(hands_off=False)).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)

    def broken(*_: int) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr("backend.continuity.journal.os.pread", broken)
        entered = floor(database_url, tmp_path)
        here = await entered.__aenter__()
    try:
        recovery = here.app.app.state.recovery
        assert "Input/output error" in recovery.problem
        async with asyncio.timeout(PATIENCE_S):
            while recovery.current is None:
                await recovery.look()
                await asyncio.sleep(POLL_S)
        assert recovery.problem == ""
        await here.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "that will do"})
        assert (await here.ended(ref)).state is DrillState.ABORTED
    finally:
        await entered.__aexit__(None, None, None)
