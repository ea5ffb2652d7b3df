"""Declaring an incident: filled in as far as it is known, one Enter, and the record is there."""

import httpx

from console.screens.incidents.declare import DeclareDialog
from console.widgets.field import Field
from contract.alerts import Alert, Severity
from tests.console import floor_models as models
from tests.console import incident_models
from tests.console.driving import Running, running
from tests.console.paper import Paper, refusal

PATH = "/v1/incidents"
TITLE = "Declare an incident"


async def _declare(run: Running, alerts: list[Alert] | None = None, freeze: str | None = None) -> None:
    await run.app.push_screen(DeclareDialog(alerts or (), freeze))
    await run.at(TITLE)
    await run.listens()


def _field(run: Running, name: str) -> Field:
    return run.app.screen.query_one(f"#{name}", Field)


async def test_enter_declares_from_alerts_and_shows_the_record() -> None:
    alerts = models.alerts()[:3]
    async with running() as run:
        await _declare(run, alerts)
        await run.shows(f"{alerts[0].rule} on")
        await run.shows("and 2 more")
        await run.press("enter")
        await run.at("INC-2026-015")
        await run.shows("TIMELINE")
        await run.press("escape")
        await run.at("Overview")
    (sent,) = run.paper.posted(PATH)
    assert sent["alerts"] == [one.id for one in alerts]
    assert (sent["severity"], sent["commander"], sent["drill"]) == ("critical", "officer1", False)
    assert str(sent["title"]).endswith(" and 2 more")


async def test_a_freeze_names_itself() -> None:
    hold = models.freeze()
    async with running() as run:
        await _declare(run, freeze=hold.id)
        await run.shows(f"Freeze {hold.ref} of {hold.scope}")
        await run.press("enter")
        await run.at("INC-2026-015")
    (sent,) = run.paper.posted(PATH)
    assert (sent["freezes"], sent["severity"]) == ([hold.id], "high")


async def test_from_nothing_a_title_is_wanted_and_the_first_letter_of_a_severity_does() -> None:
    async with running() as run:
        await run.press("I")
        await run.at("Incidents")
        await run.opens("i", TITLE)
        await run.press("enter")
        await run.shows("to do: say what is wrong")
        assert not run.paper.posted(PATH)
        await run.press("shift+tab")
        await run.type("RPC down")
        await run.press("tab", *["backspace"] * 6)
        await run.type("x")
        await run.shows("to do: write critical, high, medium or low")
        await run.press("backspace")
        await run.type("c")
        await run.press("enter")
        await run.at("INC-2026-015")
    (sent,) = run.paper.posted(PATH)
    assert (sent["title"], sent["severity"]) == ("RPC down", Severity.CRITICAL)


async def test_keys_typed_before_it_was_seen_do_not_declare() -> None:
    async with running() as run:
        run.app.push_screen(DeclareDialog(models.alerts()[:1]))
        await run.press("enter", "enter")
        await run.at(TITLE)
        await run.listens()
        assert not run.paper.posted(PATH)


async def test_an_answer_that_did_not_come_is_asked_for_again_under_the_same_key() -> None:
    async with running() as run:
        run.paper.refuse[f"POST {PATH}"] = httpx.ReadTimeout("no answer")
        await _declare(run, models.alerts()[:1])
        await run.press("enter")
        await run.shows("UNKNOWN whether it was taken")
        run.paper.refuse.clear()
        await run.press("enter")
        await run.at("INC-2026-015")
    first, second = run.paper.posted(PATH)
    assert first == second
    assert first["idempotency_key"]


async def _taken_without_an_answer(run: Running, **changed: object) -> None:
    """Send, have the backend take it, and lose the answer."""
    run.paper.refuse[f"POST {PATH}"] = httpx.ReadTimeout("no answer")
    await run.press("enter")
    await run.shows("UNKNOWN whether it was taken")
    run.paper.refuse.clear()
    (sent,) = run.paper.posted(PATH)
    said = {"title": sent["title"], "severity": Severity(str(sent["severity"])), "commander": sent["commander"]}
    taken = incident_models.incident("INC-2026-015", **said, **changed)
    run.paper.incidents.items.insert(0, taken)
    run.paper.incidents.taken[str(sent["idempotency_key"])] = "INC-2026-015"


async def test_a_title_typed_anew_after_an_unknown_answer_becomes_that_of_the_one_incident() -> None:
    async with running() as run:
        await _declare(run, models.alerts()[:1])
        await _taken_without_an_answer(run)
        _field(run, "title").value = "RPC of arbitrum is down"
        await run.press("enter")
        await run.at("INC-2026-015")
        await run.shows("An earlier try declared it; now as typed last: title.")
        await run.shows("RPC of arbitrum is down")
    first, second = run.paper.posted(PATH)
    assert first["idempotency_key"] == second["idempotency_key"]
    changes = [body for method, path, body in run.paper.asked if (method, path) == ("PATCH", f"{PATH}/INC-2026-015")]
    assert changes == [{"title": "RPC of arbitrum is down", "version": 4}]


async def test_what_cannot_be_changed_or_somebody_else_has_changed_is_told() -> None:
    async with running() as run:
        await _declare(run, models.alerts()[:1])
        await _taken_without_an_answer(run)
        paper = run.paper.incidents
        paper.items = [one.model_copy(update={"title": "Another's title"}) for one in paper.items[:1]]
        _field(run, "title").value = "RPC of arbitrum is down"
        _field(run, "drill").value = "yes"
        await run.press("enter")
        await run.at("INC-2026-015")
        await run.shows("NOT as typed last: title, drill.")
    assert not [1 for method, _, _ in run.paper.asked if method == "PATCH"]


async def test_a_change_that_is_refused_leaves_the_incident_shown_and_is_told() -> None:
    async with running() as run:
        await _declare(run, models.alerts()[:1])
        await _taken_without_an_answer(run)
        _field(run, "title").value = "RPC of arbitrum is down"
        refused = refusal(409, "conflict", "Somebody else has changed it.")
        run.paper.refuse[f"PATCH {PATH}/INC-2026-015"] = refused
        await run.press("enter")
        await run.at("INC-2026-015")
        await run.shows("NOT as typed last: title.")


async def test_the_backends_refusal_stands_beside_the_buttons() -> None:
    refused = refusal(422, "invalid_request", "The policy knows no type other.")
    async with running(Paper(refuse={f"POST {PATH}": refused})) as run:
        await _declare(run, models.alerts()[:1])
        await run.press("enter")
        await run.shows("REFUSED The policy knows no type other.")


async def test_a_drill_is_declared_as_one() -> None:
    async with running() as run:
        await _declare(run, models.alerts()[:1])
        await run.press(*["tab"] * 4)
        await run.type("maybe")
        await run.shows("to do: write yes or no for a drill")
        await run.press(*["backspace"] * 3)
        await run.type("yes")
        await run.press("enter")
        await run.at("INC-2026-015")
        await run.shows("DRILL")
    assert run.paper.posted(PATH)[0]["drill"] is True
