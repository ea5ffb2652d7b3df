"""Recovery drills over HTTP: start, step, abort, roll back, measure; what is kept and who may."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.continuity.measuring import Lost
from contract.recovery import ENDED, DrillHistory, DrillState, RecoveryDrill, StepState
from tests.support.app import App, started_app
from tests.support.outage import outage
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OPERATOR
from tests.support.recovery import CLUSTER, PLAN_STEPS, Stage, plan_of, put_on

PATIENCE_S = 20.0
POLL_S = 0.05


@dataclass
class Floor:
    """A backend on which drills are run with stand-ins."""

    app: App
    stage: Stage
    http: httpx.AsyncClient

    async def start(self, **request: Any) -> httpx.Response:
        whole = {"plan": "failover", "reason": "the quarterly test", "hands_off": True, "cluster": CLUSTER, **request}
        return await self.http.post("/v1/recovery/drills", json=whole)

    async def get(self, ref: str) -> RecoveryDrill:
        answer = await self.http.get(f"/v1/recovery/drills/{ref}")
        assert answer.status_code == 200, answer.text
        return RecoveryDrill.model_validate(answer.json())

    async def until(self, ref: str, good: Callable[[RecoveryDrill], bool]) -> RecoveryDrill:
        async with asyncio.timeout(PATIENCE_S):
            while not good(drill := await self.get(ref)):  # noqa: ASYNC110  a request at a time
                await asyncio.sleep(POLL_S)
        return drill

    async def ended(self, ref: str) -> RecoveryDrill:
        await self.until(ref, lambda one: one.state in ENDED)
        async with asyncio.timeout(PATIENCE_S):
            while self.app.app.state.recovery.current is not None:  # noqa: ASYNC110  nothing tells
                await asyncio.sleep(POLL_S)
        return await self.get(ref)

    async def whole(self, **request: Any) -> RecoveryDrill:
        answer = await self.start(**request)
        assert answer.status_code == 201, answer.text
        return await self.ended(answer.json()["ref"])


@asynccontextmanager
async def floor(database_url: str, data: Path, *steps: dict[str, Any]) -> AsyncIterator[Floor]:
    key = data.parent / "master.key"
    async with started_app(database_url, settings={"data_dir": data, "master_key_file": key}) as app:
        stage = Stage()
        put_on(app, stage, [plan_of(*(steps or PLAN_STEPS))])
        async with await app.as_(ADMIN) as http:
            yield Floor(app, stage, http)


def states(drill: RecoveryDrill) -> list[StepState]:
    return [step.state for step in drill.steps]


async def test_a_drill_runs_to_its_end_and_is_kept_whole(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        drill = await here.whole()
        assert drill.state is DrillState.PASSED, drill.sentence
        assert drill.ref.startswith("DR-TEST-")
        assert states(drill) == [StepState.PASSED] * 3
        assert here.stage.kind.happened == ["run first", "run second", "run third"]
        assert drill.measured.rto_ms is not None
        assert drill.measured.rto_ms >= 120
        assert (drill.measured.rpo_ms, drill.measured.markers_lost, drill.measured.transactions_lost) == (0, 0, 0)
        assert drill.measured.markers_acknowledged == 100
        kept = await here.get(drill.ref)  # from the tables: it does not run any more
        assert kept.steps[0].output == "output of first"
        assert kept.steps[0].evidence_sha256
        assert any("first says something" in line for line in kept.log)
        listed = DrillHistory.model_validate((await here.http.get("/v1/recovery/drills")).json())
        assert [one.ref for one in listed.items] == [drill.ref]
        assert listed.items[0].steps[0].output == ""
        assert [one.rto_ms for one in listed.trend] == [drill.measured.rto_ms]
        assert listed.schedule.last_passed == drill.started_at.date()
        assert not list((tmp_path / "recovery").glob("*/*.journal"))


async def test_every_step_and_the_end_are_in_the_ledger_once_and_the_incident_is_a_drill(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        drill = await here.whole()
        incident = (await here.http.get(f"/v1/incidents/{drill.incident}")).json()
        assert incident["drill"] is True
        assert incident["status"] == "resolved"
        timeline = (await here.http.get(f"/v1/incidents/{drill.incident}/timeline")).json()["items"]
        notes = [one["text"] for one in timeline if one["kind"] == "note"]
        assert sum("Step" in note for note in notes) == 3, notes
        found = await here.http.get("/v1/audit", params={"resource_id": drill.ref, "limit": 100})
        assert found.status_code == 200, found.text
        kinds = Counter(one["event_type"] for one in found.json()["items"])
        assert kinds == {"recovery.drill.started": 1, "recovery.step.ended": 3, "recovery.drill.ended": 1}


@pytest.mark.parametrize("how", ["fail", "raise"])
async def test_a_step_that_fails_has_what_ran_rolled_back_last_first(
    how: str, database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.kind.does["second"] = how
        drill = await here.whole()
        assert drill.state is DrillState.FAILED
        assert states(drill) == [StepState.PASSED, StepState.FAILED, StepState.SKIPPED]
        assert here.stage.kind.happened == ["run first", "run second", "undo second", "undo first"]
        assert "Step 2 (Step 2) failed" in drill.sentence
        assert drill.left_to_do == []


@pytest.mark.parametrize("how", ["hang", "stubborn"])
async def test_a_step_that_hangs_is_cut_off_and_rolled_back(
    how: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.continuity.stepping.CANCEL_S", 0.2)
    async with floor(database_url, tmp_path, {"name": "first"}, {"name": "second", "timeout_seconds": 1}) as here:
        here.stage.kind.does["second"] = how
        drill = await here.whole()
        assert drill.state is DrillState.FAILED
        assert states(drill) == [StepState.PASSED, StepState.TIMED_OUT]
        assert here.stage.kind.happened[-2:] == ["undo second", "undo first"]
        assert "not over within 1 s" in drill.sentence


async def test_a_rollback_that_fails_says_what_is_left_to_do_and_goes_on(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.kind.does["third"] = "fail"
        here.stage.kind.undoes = {"second": "fail", "third": "raise"}
        drill = await here.whole()
        assert drill.state is DrillState.UNRESOLVED
        assert here.stage.kind.happened[-3:] == ["undo third", "undo second", "undo first"]
        assert drill.left_to_do == [
            "Undo step 3 (Step 3) by hand: the cluster is gone", "run the other thing",
        ]  # fmt: skip


async def test_a_steady_state_that_does_not_come_back_is_unresolved_although_every_step_passed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.continuity.looking.SETTLE_S", 0.1)
    async with floor(database_url, tmp_path) as here:
        here.stage.steady.after = False
        drill = await here.whole()
        assert states(drill) == [StepState.PASSED] * 3
        assert drill.state is DrillState.UNRESOLVED
        assert drill.left_to_do == ["The cluster answers: it was asked"]


@pytest.mark.parametrize("how", ["not met", "not known"])
async def test_nothing_is_touched_when_a_precondition_is_not_met(how: str, database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.steady.before, here.stage.steady.raises = how != "not met", how == "not known"
        drill = await here.whole()
        assert drill.state is DrillState.REFUSED
        assert here.stage.kind.happened == []
        assert drill.incident is None


async def test_an_objective_that_was_missed_or_not_measured_never_passes(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.markers.lost_markers = Lost(markers=700, rpo_ms=70_000)
        missed = await here.whole()
        assert missed.state is DrillState.FAILED
        assert missed.sentence == "Every step passed, but RPO 1 min 10 s > 1 min."
        here.stage.markers.lost_markers = None
        unknown = await here.whole()
        assert unknown.state is DrillState.FAILED
        assert unknown.sentence == "Every step passed, but what was lost could not be counted."
        assert unknown.ref == f"{missed.ref}-2"
        assert unknown.measured.markers_lost is None


async def test_step_by_step_each_step_waits_and_a_destructive_one_wants_the_name(
    database_url: str, tmp_path: Path
) -> None:
    look = {"name": "third", "kind": "manual", "instructions": "Look at the screens.", "roles": ["mev_admin"]}
    steps = ({"name": "first"}, {"name": "second", "destructive": True}, look)
    async with floor(database_url, tmp_path, *steps) as here:
        ref = (await here.start(hands_off=False, cluster="")).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)
        path = f"/v1/recovery/drills/{ref}/step"
        assert (await here.http.post(path, json={"number": 2})).status_code == 409
        assert (await here.http.post(path, json={"number": 1})).status_code == 200
        waiting = await here.until(ref, lambda one: one.step == 2 and bool(one.steps[1].waits_for))
        assert waiting.steps[1].waits_for == "cluster_name"
        assert (await here.http.post(path, json={"number": 2, "cluster": "another"})).status_code == 422
        assert (await here.http.post(path, json={"number": 2, "cluster": CLUSTER})).status_code == 200
        manual = await here.until(ref, lambda one: one.step == 3 and bool(one.steps[2].waits_for))
        assert (manual.steps[2].waits_for, manual.steps[2].instructions) == ("evidence", "Look at the screens.")
        assert (await here.http.post(path, json={"number": 3})).status_code == 422
        async with await here.app.as_(ADMIN2) as other:
            said = {"number": 3, "evidence": "all twelve are green"}
            assert (await other.post(path, json=said)).status_code == 200
        drill = await here.ended(ref)
        assert drill.state is DrillState.PASSED
        assert [step.by for step in drill.steps] == ["adam", "adam", "anna"]
        assert (await here.get(ref)).steps[2].output == "all twelve are green"


async def test_a_manual_step_of_which_nobody_says_anything_times_out(database_url: str, tmp_path: Path) -> None:
    step = {"name": "look", "kind": "manual", "instructions": "Look.", "timeout_seconds": 1}
    async with floor(database_url, tmp_path, step) as here:
        drill = await here.whole()
        assert states(drill) == [StepState.TIMED_OUT]
        assert drill.state is DrillState.FAILED


async def test_hands_off_wants_the_clusters_name_at_once(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path, {"name": "first", "destructive": True}) as here:
        refused = await here.start(cluster="floor")
        assert refused.status_code == 422
        assert CLUSTER in refused.json()["message"]
        assert (await here.start(plan="none")).status_code == 404
        assert (await here.whole()).state is DrillState.PASSED


@pytest.mark.parametrize("at_step", [1, 2, 3])
async def test_an_abort_rolls_back_exactly_what_ran(at_step: int, database_url: str, tmp_path: Path) -> None:
    names = ("first", "second", "third")
    async with floor(database_url, tmp_path) as here:
        here.stage.kind.does[names[at_step - 1]] = "hang"
        ref = (await here.start()).json()["ref"]
        await here.until(ref, lambda _: f"run {names[at_step - 1]}" in here.stage.kind.happened)
        path = f"/v1/recovery/drills/{ref}/abort"
        answer = await here.http.post(path, json={"reason": "somebody trades"})
        assert answer.status_code == 200, answer.text
        drill = await here.ended(ref)
        assert drill.state is DrillState.ABORTED
        ran = names[:at_step]
        assert here.stage.kind.happened == [*(f"run {one}" for one in ran), *(f"undo {one}" for one in reversed(ran))]
        assert "adam ended it: somebody trades" in drill.sentence
        assert (await here.http.post(path, json={"reason": "again"})).status_code == 409


async def test_two_people_cannot_start_two(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here, await here.app.as_(ADMIN2) as other:
        here.stage.kind.does["first"] = "hang"
        whole = {"plan": "failover", "reason": "at once", "hands_off": True, "cluster": CLUSTER}
        answers = await asyncio.gather(here.start(), *(other.post("/v1/recovery/drills", json=whole) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        [ref] = [answer.json()["ref"] for answer in answers if answer.status_code == 201]
        assert all(ref in answer.json()["message"] for answer in answers if answer.status_code == 409)
        await here.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "the end"})
        await here.ended(ref)
        assert (await other.post("/v1/recovery/drills", json=whole)).status_code == 201


async def test_another_backend_on_the_same_database_refuses_a_second_one_and_passes_an_abort_on(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path / "a") as here, floor(database_url, tmp_path / "b") as there:
        here.stage.kind.does["second"] = "hang"
        ref = (await here.start()).json()["ref"]
        refused = await there.start()
        assert refused.status_code == 409
        assert ref in refused.json()["message"]
        await there.until(ref, lambda one: one.step == 2)
        answer = await there.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "from elsewhere"})
        assert answer.status_code == 200, answer.text
        drill = await here.ended(ref)
        assert drill.state is DrillState.ABORTED
        assert "from elsewhere" in drill.sentence


async def test_the_same_key_starts_one_drill(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        first = await here.start(idempotency_key="once")
        again = await here.start(idempotency_key="once")
        assert first.json()["ref"] == again.json()["ref"]
        await here.ended(first.json()["ref"])
        assert (await here.start(idempotency_key="once")).json()["state"] == "passed"


async def test_who_may(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        ref = (await here.whole()).ref
        for person in (OPERATOR, AUDITOR):
            async with await here.app.as_(person) as http:
                assert (await http.get(f"/v1/recovery/drills/{ref}")).status_code == 200
                assert (
                    await http.post("/v1/recovery/drills", json={"plan": "failover", "reason": "x y"})
                ).status_code == 403
                said = await http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "no more"})
                assert said.status_code == 403
        assert (await here.app.http.get(f"/v1/recovery/drills/{ref}")).status_code == 401


async def test_without_the_database_the_drill_that_runs_here_is_seen_stepped_and_ended(
    database_url: str, tmp_path: Path
) -> None:
    steps = ({"name": "first", "begins_outage": True}, {"name": "second"}, {"name": "third", "ends_outage": True})
    async with floor(database_url, tmp_path, *steps) as here, await here.app.as_(OPERATOR) as operator:
        ref = (await here.start(hands_off=False)).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)
        await asyncio.sleep(4)  # longer than who is known is looked at again
        with outage(database_url):
            path = f"/v1/recovery/drills/{ref}"
            assert (await here.http.post(f"{path}/step", json={"number": 1})).status_code == 200
            await here.until(ref, lambda one: one.step == 2 and bool(one.steps[1].waits_for))
            seen = await operator.get(path)
            assert seen.status_code == 200
            assert seen.json()["steps"][0]["state"] == "passed"
            assert (await operator.post(f"{path}/abort", json={"reason": "not mine"})).status_code == 503
            listed = DrillHistory.model_validate((await operator.get("/v1/recovery/drills")).json())
            assert (listed.running, [one.ref for one in listed.items]) == (ref, [ref])
            assert (listed.schedule.due, listed.schedule.why) == (None, "not known while the database is away")
            assert (await operator.get("/v1/recovery/cluster")).json()["cluster"] == CLUSTER
            assert (await here.app.http.get("/v1/recovery/drills")).status_code == 503
            assert (await here.http.get("/v1/recovery/plans")).status_code == 503
            assert (await here.app.http.get(path)).status_code == 503
            assert (await here.http.post(f"{path}/abort", json={"reason": "it takes too long"})).status_code == 200
            await here.until(ref, lambda one: one.state is DrillState.ABORTED)
        drill = await here.ended(ref)
        assert drill.state is DrillState.ABORTED
        assert (await here.get(ref)).sentence == drill.sentence


async def test_a_rollback_of_what_began_the_outage_has_the_first_primary_lead_again(
    database_url: str, tmp_path: Path
) -> None:
    steps = ({"name": "first", "begins_outage": True}, {"name": "second", "ends_outage": True})
    async with floor(database_url, tmp_path, *steps) as here:
        here.stage.kind.does["second"] = "hang"
        ref = (await here.start()).json()["ref"]
        await here.until(ref, lambda _: "run second" in here.stage.kind.happened)
        here.stage.cluster.primary = "b"  # it was replaced by itself, as Patroni does
        answer = await here.http.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "somebody trades"})
        assert answer.status_code == 200, answer.text
        drill = await here.ended(ref)
        assert (drill.state, here.stage.cluster.primary) == (DrillState.ABORTED, "a")
        said = drill.steps[0].undo_summary
        assert said.startswith("first was undone; a is the primary again and all others follow it"), said


async def test_a_rollback_that_hangs_is_given_up_and_the_earlier_steps_are_undone(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.continuity.stepping.UNDO_LEAST_S", 0.2)
    steps = ({"name": "first"}, {"name": "second", "timeout_seconds": 1}, {"name": "third"})
    async with floor(database_url, tmp_path, *steps) as here:
        here.stage.kind.does["third"] = "fail"
        here.stage.kind.undoes["second"] = "hang"
        drill = await here.whole()
        assert drill.state is DrillState.UNRESOLVED
        assert here.stage.kind.happened[-1] == "undo first"
        assert drill.left_to_do == ["Undo step 2 (Step 2) by hand: It was not over within 1 s."]


async def test_a_destructive_step_of_a_person_is_confirmed_before_it_begins(database_url: str, tmp_path: Path) -> None:
    step = {"name": "pull", "kind": "manual", "instructions": "Pull the plug.", "destructive": True}
    async with floor(database_url, tmp_path, step) as here:
        ref = (await here.start(hands_off=False, cluster="")).json()["ref"]
        path = f"/v1/recovery/drills/{ref}/step"
        waiting = await here.until(ref, lambda one: bool(one.steps[0].waits_for))
        assert (waiting.steps[0].waits_for, waiting.steps[0].started_at) == ("cluster_name", None)
        said = {"number": 1, "evidence": "it is out"}
        assert (await here.http.post(path, json=said)).status_code == 422
        for more in (
            {"evidence": "it is out"},
            {"passed": False},
        ):  # of a step that has not begun: neither kept nor lost
            refused = await here.http.post(path, json={"number": 1, "cluster": CLUSTER} | more)
            assert refused.status_code == 422
            assert "has not begun" in refused.json()["message"]
        assert (await here.http.post(path, json={"number": 1, "cluster": CLUSTER})).status_code == 200
        await here.until(ref, lambda one: one.steps[0].waits_for == "evidence")
        assert (await here.http.post(path, json=said)).status_code == 200
        assert (await here.ended(ref)).state is DrillState.PASSED


async def test_a_dry_run_that_cannot_look_in_time_says_so(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.continuity.looking.LOOK_S", 0.2)
    async with floor(database_url, tmp_path) as here:
        here.stage.steady.hangs = True
        answer = await here.http.get("/v1/recovery/plans/failover/dry-run")
        assert answer.status_code == 200, answer.text
        assert not answer.json()["would_start"]
        assert answer.json()["preconditions"][0]["found"] == "it could not be looked at: not within 0 s"
