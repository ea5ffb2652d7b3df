"""What a contract refuses never ends the console: a sentence names the field, and what was typed stays."""

import pytest

from console.screens.alerts.dialog import ActScreen
from console.screens.base import FloorScreen
from console.screens.freeze.screen import FreezeScreen
from console.screens.incidents.changing import EditDialog
from console.screens.incidents.declare import DeclareDialog
from console.screens.incidents.evidence import AttachDialog
from console.screens.silences.dialogs import SilenceScreen
from console.state.matchers import matchers_for, parse_matchers
from console.state.unsendable import why_not_sent
from console.widgets.field import Field
from contract.alert_work import MAX_COMMENT_CHARS, AlertAct, AlertActRequest, MatchOp
from contract.alerts import Alert
from contract.incidents import MAX_DECLARED_ALERTS, IncidentChange
from tests.console import floor_models, incident_models
from tests.console.driving import Running, running


def _alerts(count: int) -> list[Alert]:
    return [floor_models.alert(f"many-{number}", rule="NODE_DOWN", minutes=1) for number in range(count)]


async def _shown(run: Running, dialog: FloorScreen) -> None:
    await run.app.push_screen(dialog)
    await run.at(dialog.TITLE_TEXT)
    await run.listens()


def _field(run: Running, name: str) -> Field:
    return run.app.screen.query_one(f"#{name}", Field)


async def test_more_marked_alerts_than_an_incident_takes_are_said_before_anything_is_typed() -> None:
    async with running() as run:
        await _shown(run, DeclareDialog(_alerts(MAX_DECLARED_ALERTS + 1)))
        await run.shows("to do: mark at most 200 alerts")
        await run.press("enter", "enter")
        assert run.title == "Declare an incident"
        assert not run.paper.posted("/v1/incidents")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("rpc, " + "x" * 101, "service 2: write at most 100 characters"),
        (",".join(f"s{number}" for number in range(51)), "name at most 50 services, not 51"),
    ],
)
async def test_services_that_do_not_fit_are_named_by_their_place(typed: str, said: str) -> None:
    async with running() as run:
        await _shown(run, EditDialog(incident_models.incident()))
        _field(run, "services").value = typed
        await run.shows(f"to do: {said}")


@pytest.mark.parametrize("typed", ["\u00b2", "\u0663", "-1", "1.5", "1e3"])
async def test_users_are_a_number_of_plain_digits(typed: str) -> None:
    async with running() as run:
        await _shown(run, EditDialog(incident_models.incident()))
        _field(run, "users").value = typed
        await run.shows("to do: write how many users as a number")


@pytest.mark.parametrize("typed", ["1E+999999999", "0E+999999999", "1E-999999999", "NaN", "Infinity"])
async def test_an_amount_that_would_take_a_gigabyte_to_write_is_no_number(typed: str) -> None:
    async with running() as run:
        await _shown(run, EditDialog(incident_models.incident()))
        _field(run, "loss_eth").value = typed
        await run.shows("to do: write the loss in ETH as a number")


async def test_what_the_contract_alone_refuses_is_said_beside_the_buttons_and_stays() -> None:
    comment = "x" * (MAX_COMMENT_CHARS + 1)  # as typed behind a command, where no field counts
    async with running() as run:
        await _shown(run, ActScreen(AlertAct.NOTE, _alerts(1), lambda _: None, comment))
        await run.press("enter")
        await run.shows("REFUSED Comment takes at most 2,000 characters.")
        assert _field(run, "comment").value == comment
        assert "validation error" not in run.screen
        assert not run.paper.posted("/v1/alerts/acts")


async def test_a_freeze_with_text_that_nothing_stores_is_refused_and_can_be_put_right() -> None:
    async with running() as run:
        await _shown(run, FreezeScreen("chain:arbitrum"))
        await run.shows("This stops 12 executors")
        _field(run, "reason").value = "why\x00"
        _field(run, "name").value = "arbitrum"
        await run.hides("to do")
        run.app.screen.set_focus(run.app.screen.query_one("#send"))
        await run.press("enter")
        await run.shows("Reason is refused: text cannot")
        assert not run.paper.posted("/v1/freezes")
        _field(run, "reason").value = "why"
        await run.press("enter")
        await run.until(lambda: len(run.paper.posted("/v1/freezes")) == 1, "the freeze is sent")


@pytest.mark.parametrize("typed", ["~nobody-at-all/x", "x" * 400, "a\x00b"])
async def test_no_name_of_a_file_ends_the_console(typed: str) -> None:
    async with running() as run:
        await _shown(run, AttachDialog("INC-2026-014"))
        _field(run, "file").value = typed
        await run.shows("to do: name a file that is there")


async def test_a_dialog_that_cannot_look_through_what_is_typed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbles(_: AttachDialog) -> str:
        raise OverflowError("int too large")

    monkeypatch.setattr(AttachDialog, "missing", stumbles)
    async with running() as run:
        await _shown(run, AttachDialog("INC-2026-014"))
        await run.shows("to do: Cannot be sent as typed: OverflowError.")
        await run.press("escape")
        await run.at("Overview")


async def test_a_request_that_a_worker_cannot_build_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as run:

        async def asks(_: object) -> None:
            IncidentChange(services=["x" * 101])

        await _shown(run, SilenceScreen())
        screen = run.app.screen
        assert isinstance(screen, SilenceScreen)
        screen.ask("send", asks)
        await run.shows("REFUSED Services, number 1, takes at most 100 characters.")
        assert "UNKNOWN" not in run.screen


async def test_an_act_on_a_group_that_stumbles_is_said_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.console.alert_models import Desk

    def stumbles(_: object) -> None:
        AlertActRequest(ids=[], act=AlertAct.NOTE)

    monkeypatch.setattr("console.state.matchers.matchers_for", stumbles)
    async with running(Desk()) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("v")
        await run.at("Alert groups")
        await run.shows("DAILY_LOSS_LIMIT")
        await run.press("s")
        await run.shows("alert.silence failed: Ids is wanted.")


def test_a_silence_of_alerts_whose_names_do_not_fit_starts_with_nothing() -> None:
    alerts = [floor_models.alert(f"long-{number}", rule=f"{'R' * 90}_{number}", minutes=1) for number in range(12)]
    assert matchers_for(alerts) == []
    assert matchers_for(alerts[:2])[0].op is MatchOp.MATCHES


@pytest.mark.parametrize("typed", ["n" * 201 + "=x", "n=" + "x" * 1_001])
def test_a_matcher_that_is_too_long_is_said_so(typed: str) -> None:
    with pytest.raises(ValueError, match="a label's name takes at most 200 characters, its value 1,000"):
        parse_matchers(typed)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"title": ""}, "What is wanted. Nothing was sent."),
        ({"users": -1}, "Users is at least 0. Nothing was sent."),
        ({"loss_eth": "much"}, "Loss eth cannot be read. Nothing was sent."),
        ({"services": ["a"] * 51}, "Services takes at most 50, and there are 51. Nothing was sent."),
        ({"title": "", "version": 0}, "What is wanted, and 1 more of what is typed does not fit. Nothing was sent."),
        ({"nonsense": 1}, "Nonsense cannot be read. Nothing was sent."),
    ],
)
def test_each_kind_of_refusal_is_a_sentence_that_names_the_field(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="validation error") as raised:
        IncidentChange.model_validate(given)
    assert why_not_sent(raised.value, {"title": "What"}) == said
