"""Recovery drills in the console: the list, the clock that goes on, every dialog, backups."""

import asyncio
from pathlib import Path

import pytest

from contract.permissions import Permission
from contract.recovery import RecoveryDrill
from contract.recovery_states import DrillState
from contract.stream import Topic
from tests.console import recovery_models as models
from tests.console.driving import Running, running
from tests.console.floor_models import ago
from tests.console.paper import Paper, refusal
from tests.console.recovery_paper import RecoveryPaper

REF = "DR-TEST-20261121"
DRILL = f"/v1/recovery/drills/{REF}"


def on_paper(*drills: RecoveryDrill, **facts: object) -> Paper:
    return Paper(recovery=RecoveryPaper(drills=list(drills), **facts))  # type: ignore[arg-type]


async def opened(run: Running) -> None:
    await run.press("R")
    await run.at("Recovery")
    await run.shows(REF)
    await run.press("enter")
    await run.at(REF)


async def test_the_list_says_when_the_next_is_due_who_is_primary_and_how_drills_went() -> None:
    async with running(on_paper(models.signed(), due_in_days=12)) as run:
        await run.press("R")
        await run.at("Recovery")
        await run.shows("Next recovery drill due in 12 days; the last passed on 2026-09-03.")
        await run.shows("4 of 5 within target")
        await run.shows("in step")
        await run.shows("1 STALE")
        assert "signed" in run.screen


async def test_overdue_is_said_in_words_and_a_missing_cluster_keeps_from_starting() -> None:
    async with running(on_paper(due_in_days=-3)) as run:
        await run.press("R")
        await run.shows("OVERDUE: overdue by 3 days; none has ever passed")
    async with running(on_paper(topology=models.no_cluster())) as run:
        await run.press("R")
        await run.shows("No cluster can be drilled: WATCHFLOOR_CLUSTER is not set")


async def test_the_clock_runs_between_answers_and_stops_at_what_was_measured() -> None:
    paper = on_paper(models.running())
    async with running(paper) as run:
        await opened(run)
        await run.shows("RTO 00:07.1 of 15 min")
        await run.shows("67 %")
        run.clock.advance(seconds=3)
        await run.shows("RTO 00:10.1")
        paper.recovery.drills = [models.passed(version=30)]
        await run.shows("RTO 00:42.1 of 15 min  ● met")
        run.clock.advance(seconds=60)
        await run.shows("not signed")
        assert "RTO 00:42.1" in run.screen


async def test_while_nobody_answers_the_last_state_stays_marked_stale_and_the_clock_runs() -> None:
    paper = on_paper(models.running())
    async with running(paper) as run:
        await opened(run)
        await run.shows("67 %")
        paper.drop()
        run.clock.advance(seconds=12)
        await run.shows("STALE: no answer for 1")
        await run.shows("The clock still runs.")
        await run.shows("counting, not seen")
        assert "Verify data integrity" in run.screen
        paper.up = True
        await run.hides("STALE: no answer")


async def test_a_backend_that_runs_it_and_is_silent_is_said() -> None:
    silent = models.running().model_copy(update={"heard_at": ago(seconds=40)})
    async with running(on_paper(silent)) as run:
        await opened(run)
        await run.shows("has not been heard for 40s")


async def test_an_event_of_the_stream_is_shown_at_once() -> None:
    paper = on_paper(models.running())
    async with running(paper) as run:
        await run.press("R")
        await run.shows("runs: Step 3 of 5")
        paper.emit(Topic.RECOVERY, models.passed(version=40))
        await run.hides("runs: Step 3 of 5")
        await run.shows("passed")


async def test_a_destructive_step_wants_the_clusters_name_and_type_ahead_confirms_nothing() -> None:
    paper = on_paper(models.waiting())
    async with running(paper) as run:
        await opened(run)
        await run.shows("Enter asks for the cluster's name")
        await run.press("enter", "enter", "enter")  # typed ahead: the dialog is deaf, and Cancel has the focus
        await run.at(f"{REF} step 1")
        await run.listens()
        assert paper.posted(f"{DRILL}/step") == []
        await run.shows("DESTRUCTIVE")
        await run.press("tab")
        await run.type("floor-pai")
        await run.shows("type the cluster's name")
        assert paper.posted(f"{DRILL}/step") == []
        await run.type("r")
        await run.hides("to do:")
        await run.press("tab", "tab", "enter")
        await run.at(REF)
        await run.shows("is at work")
    assert paper.posted(f"{DRILL}/step") == [{"number": 1, "cluster": "floor-pair", "evidence": "", "passed": True}]


async def test_a_manual_step_takes_its_evidence_and_its_verdict() -> None:
    paper = on_paper(models.manual())
    async with running(paper) as run:
        await opened(run)
        await run.shows("Ask each desk")
        await run.opens("enter", f"{REF} step 1")
        await run.press("tab")
        await run.type("three of four trade")
        await run.press("tab")
        await run.type("failed")
        await run.hides("to do:")
        await run.press("tab", "tab", "enter")
        await run.at(REF)
    [body] = paper.posted(f"{DRILL}/step")
    assert (body["evidence"], body["passed"]) == ("three of four trade", False)


async def test_an_abort_says_what_is_rolled_back_in_order_and_wants_a_reason() -> None:
    paper = on_paper(models.running())
    async with running(paper) as run:
        await opened(run)
        await run.opens("a", f"Abort {REF}")
        await run.shows("1. step 3 Verify data integrity, which is at work and is cut off")
        await run.shows("3. step 1 Simulate primary site failure")
        await run.press("tab")
        await run.type("the desk asked")
        await run.press("tab", "tab", "enter")
        await run.at(REF)
    assert paper.posted(f"{DRILL}/abort") == [{"reason": "the desk asked"}]


async def test_without_an_answer_nobody_knows_whether_an_abort_was_taken() -> None:
    paper = on_paper(models.running())
    async with running(paper) as run:
        await opened(run)
        await run.opens("a", f"Abort {REF}")
        await run.press("tab")
        await run.type("enough")
        paper.up = False
        await run.press("tab", "tab", "enter")
        await run.shows("UNKNOWN whether it was taken")


async def test_a_drill_is_started_after_its_dry_run_was_shown_and_the_name_typed() -> None:
    paper = on_paper(models.signed())
    async with running(paper) as run:
        await run.press("R")
        await run.at("Recovery")
        await run.shows(REF)
        await run.opens("n", "Start a recovery drill")
        await run.shows("It would start.")
        await run.shows("touches the primary")
        await run.press("tab", "tab", "tab")
        await run.type("quarterly")
        await run.press("tab")
        await run.type("hands-off")
        await run.shows("type floor-pair")
        await run.press("tab")
        await run.type("floor-pair")
        await run.hides("to do:")
        await run.press("tab", "tab", "enter")
        await run.at(f"{REF}-2")
    [body] = paper.posted("/v1/recovery/drills")
    key = body.pop("idempotency_key")
    assert key
    assert body == {"plan": "failover", "reason": "quarterly", "hands_off": True, "cluster": "floor-pair"}


async def test_what_would_not_start_says_why_and_cannot_be_sent() -> None:
    paper = on_paper(models.signed(), dry_run=lambda name: models.dry_run(name, lag=True))
    async with running(paper) as run:
        await run.press("R")
        await run.shows(REF)
        await run.opens("n", "Start a recovery drill")
        await run.shows("It would NOT start")
        await run.shows("31.0 MB behind")
        await run.shows("it would not start: see above")


async def test_a_second_drill_is_refused_while_one_runs() -> None:
    async with running(on_paper(models.running())) as run:
        await run.press("R")
        await run.shows(REF)
        await run.press("n")
        await run.shows("one drill at a time")


async def test_a_report_is_read_and_signed_by_another_person_only() -> None:
    paper = on_paper(models.passed())
    async with running(paper) as run:
        await opened(run)
        await run.shows("not signed")
        await run.opens("m", f"{REF} report")
        await run.shows("# Recovery drill")
        await run.press("escape")
        await run.at(REF)
        await run.opens("S", f"Sign {REF}")
        await run.shows(models.SHA)
        await run.press("tab")
        await run.type("I have read it")
        await run.press("tab")
        await run.type(REF)
        await run.hides("to do:")
        await run.press("tab", "tab", "enter")
        await run.shows(f"{REF} is signed by officer1")
    assert paper.posted(f"{DRILL}/sign") == [{"report_sha256": models.SHA, "statement": "I have read it"}]
    own = on_paper(models.passed(started_by="officer1"))
    async with running(own) as run:
        await opened(run)
        await run.opens("S", f"Sign {REF}")
        await run.shows("You ran this drill yourself")
        await run.shows("another person signs")


async def test_a_finding_becomes_a_follow_up_and_the_report_a_file(tmp_path: Path) -> None:
    paper = on_paper(models.passed())
    async with running(paper) as run:
        await opened(run)
        await run.opens("f", f"A finding of {REF}")
        await run.press("tab")
        await run.type("make pg-b larger")
        await run.press("tab")
        await run.type("ops1")
        await run.press("tab")
        await run.type("2027-01-31")
        await run.press("tab", "tab", "enter")
        await run.shows("follow-up action of INC-2026-015")
        await run.opens("x", f"Save the report of {REF}")
        await run.press("tab")
        await run.type(str(tmp_path / "drill.pdf"))
        await run.press("tab", "tab", "enter")
        await run.shows("Wrote 8 bytes")
    assert (tmp_path / "drill.pdf").read_bytes() == b"%PDF-1.7"
    [body] = paper.posted(f"{DRILL}/findings")
    assert body.pop("idempotency_key")
    assert body == {"action": "make pg-b larger", "owner": "ops1", "due": "2027-01-31"}


async def test_a_step_that_is_over_shows_what_it_printed_and_what_is_left_to_do_is_large() -> None:
    async with running(on_paper(models.unresolved())) as run:
        await opened(run)
        await run.shows("LEFT TO DO: the cluster is not as before")
        await run.shows("2. Start pg-a again: watchfloor pair start pg-a")
        await run.press("g", "j", "j", "j", "j", "enter")
        await run.at(f"{REF} step 1")
        await run.shows("what step 1 printed")
        await run.shows(models.SHA)


async def test_backups_are_shown_and_looked_at() -> None:
    paper = on_paper(models.signed())
    async with running(paper) as run:
        await run.press("R")
        await run.shows(REF)
        await run.press("B")
        await run.at("Backups")
        await run.shows("1 of 3 backups is older than allowed.")
        await run.shows("not checked")
        await run.press("C")
        await run.shows("812 MB")
        await run.press("enter")
        await run.at("Backup Transaction database")
        await run.shows("all row counts")
    assert paper.posted("/v1/recovery/backups/check") == [{"data": "Transaction database", "restore": True}]


@pytest.mark.parametrize("key", ["a", "S"])
async def test_who_may_not_is_told_which_permission_is_missing(key: str) -> None:
    lacks = {Permission.RUN_RECOVERY_DRILLS, Permission.SIGN_RECOVERY_REPORTS}
    paper = on_paper(models.running())
    paper.permissions = frozenset(Permission) - lacks
    async with running(paper) as run:
        await opened(run)
        await run.press(key)
        await run.shows("Your role compliance_officer may not do this")


async def test_a_refusal_of_the_backend_stays_in_the_dialog() -> None:
    paper = on_paper(models.running())
    paper.refuse[f"POST {DRILL}/abort"] = refusal(409, "conflict", f"{REF} is being rolled back already.")
    async with running(paper) as run:
        await opened(run)
        await run.opens("a", f"Abort {REF}")
        await run.press("tab")
        await run.type("enough")
        await run.press("tab", "tab", "enter")
        await run.shows("is being rolled back already")
    assert paper.recovery.drills[0].state is DrillState.RUNNING


async def test_the_overview_says_what_runs_and_what_is_due_soon_or_overdue() -> None:
    paper = on_paper(models.signed(), due_in_days=12)
    async with running(paper) as run:
        await run.shows("DR test in 12 days")
        paper.emit(Topic.RECOVERY, models.running())
        await run.shows("running  Step 3 of 5, Verify data integrity")
    async with running(on_paper(models.signed(), due_in_days=-3)) as run:
        await run.shows("DR test overdue by 3 days")
    async with running() as run:
        await run.pilot.pause()
        assert "DR test" not in run.screen


async def test_two_consoles_see_the_same_within_a_second() -> None:
    paper = on_paper(models.waiting())
    async with running(paper) as one:
        await opened(one)
        await one.shows("waits for the cluster's name")
        recovery = paper.recovery
        async with running(Paper(recovery=recovery)) as two:
            await opened(two)
            await two.shows("waits for the cluster's name")
            recovery.drills = [models.running()]
            began = asyncio.get_running_loop().time()
            await two.shows("67 %")
            await one.shows("67 %")
            assert (
                asyncio.get_running_loop().time() - began < 10
            )  # of a machine that may be busy; each asks twice a second
