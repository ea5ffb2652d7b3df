"""The page of the ledger's state: the worst thing first, each part for itself, nothing unknown called good."""

from dataclasses import replace
from datetime import timedelta

import httpx

from console.state.ledger_state import LedgerState, headline
from tests.console import ledger_models as ledger
from tests.console.driving import Running, running
from tests.console.floor_models import NOW
from tests.console.paper import Paper, refusal


async def _open(run: Running) -> None:
    await run.press("colon")
    await run.type("ledger")
    await run.press("enter")
    await run.at("Ledger")


async def test_it_names_heads_witnesses_the_way_in_and_what_is_kept() -> None:
    async with running() as run:
        await _open(run)
        await run.shows("held by 2 of 2 witnesses")
        await run.shows("3 wait, the oldest 0.1 s")
        await run.shows("1 due to be dropped, held back: a legal hold on 90d")
        assert "1,204,812    1,204,800" in run.screen


async def test_a_silent_witness_is_named_with_its_reason_and_since_when() -> None:
    async with running(Paper(heads=ledger.heads(silent=True))) as run:
        await _open(run)
        await run.shows("SILENT for 12m  https://witness.auditor.example")
        await run.shows("No answer within 10 s.")


async def test_one_question_that_fails_leaves_the_others_standing() -> None:
    async with running(Paper(refuse={"GET /v1/ledger/retention": refusal(503, "unavailable", "Not now.")})) as run:
        await _open(run)
        await run.shows("Not now.")
        await run.shows("held")
        await run.shows("not known yet")


async def test_a_lost_backend_is_said_and_what_was_known_stays() -> None:
    async with running() as run:
        await _open(run)
        await run.shows("KEPT 5 sound")
        for path in ("/v1/ledger/heads", "/readyz", "/v1/ledger/retention"):
            run.paper.refuse[f"GET {path}"] = httpx.ConnectError("gone")
        run.clock.advance(seconds=60)
        run.app.screen._look()  # type: ignore[attr-defined]
        await run.shows("Nothing heard for 1m00s")
        assert "1,204,800" in run.screen


def test_the_sentence_is_the_worst_that_is_known() -> None:
    good = LedgerState(ledger.heads(), ledger.readiness(), ledger.retention(), NOW)
    assert headline(good, NOW)[0] == "ok"
    assert headline(LedgerState(), NOW)[0] == ""
    assert headline(replace(good, ready=None), NOW)[0] == ""
    assert headline(replace(good, heads=ledger.heads(silent=True)), NOW)[0] == "near"
    for bad in (
        replace(good, heads=ledger.heads(fault="The 7y log is smaller than its witnessed head.")),
        replace(good, heads=ledger.heads(silent=True).model_copy(update={"witnesses_required": 2})),
        replace(good, ready=ledger.readiness(quarantined=1)),
        replace(good, ready=ledger.readiness(age=9.0)),
    ):
        assert headline(bad, NOW)[0] == "bad"
    young = ledger.heads().logs[0].model_copy(update={"witnessed": 0})
    heads = ledger.heads().model_copy(update={"logs": [young]})
    assert headline(replace(good, heads=heads), NOW) == ("", "No witness holds a head of 7y yet.")
    late = ledger.heads().logs[0].model_copy(update={"unwitnessed_since": NOW - timedelta(minutes=20)})
    heads = ledger.heads().model_copy(update={"logs": [late]})
    assert headline(replace(good, heads=heads), NOW) == ("near", "Too few witnesses hold the heads of the last 20m.")
