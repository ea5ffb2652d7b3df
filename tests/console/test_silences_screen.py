"""Silences: made with a preview of what they mute, listed with where they are, ended before their time."""

import pytest

from console.commands.silences import _entry
from console.widgets.glyphs import UNICODE
from console.widgets.silences import _copies
from console.widgets.view import View
from contract.alert_work import SilenceCopy, SilenceState
from contract.permissions import Permission
from tests.console import alert_models
from tests.console.alert_models import Desk, silence
from tests.console.driving import Running, running
from tests.console.floor_models import NOW

PREVIEW = "/v1/silences/preview"


async def _dialog(run: Running) -> None:
    await run.press("2")
    await run.at("Alerts")
    await run.shows("RelaySilent")
    await run.opens("s", "Silence")


async def test_what_a_silence_mutes_is_shown_before_it_can_be_made() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _dialog(run)
        await run.shows("This mutes 1 alert now, which is CRITICAL.")
        assert "It is made there too: prod." in run.screen
        assert run.app.focused is not None
        assert run.app.focused.id == "cancel", "the first key must not mute anything"
        await run.press("tab", "tab", "tab")
        await run.type("known since noon")
        await run.press("enter", "tab", "enter")
        await run.shows("2 alerts muted until 11-21 03:37 UTC.")
        asked = desk.posted("/v1/silences")
        assert [(one["comment"], one["minutes"]) for one in asked] == [("known since noon", 60)]
        assert asked[0]["matchers"] == desk.posted(PREVIEW)[-1]["matchers"], "what was shown is what is muted"
        assert asked[0]["idempotency_key"]


async def test_other_conditions_are_previewed_again_and_nothing_is_sent_meanwhile() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _dialog(run)
        await run.shows("This mutes 1 alert now")
        await run.press("tab", *["backspace"] * 60)
        await run.shows("say which alerts are meant")
        await run.type("job=node")
        await run.shows("This mutes 1 alert now.")
        await run.shows("NodeDown")
        assert desk.posted(PREVIEW)[-1]["matchers"] == [{"name": "job", "op": "=", "value": "node"}]


async def test_conditions_that_the_backend_refuses_say_why_and_mute_nothing() -> None:
    desk = Desk()
    async with running(desk) as run:
        await _dialog(run)
        await run.press("tab", *["backspace"] * 60)
        await run.type("job=~(")
        await run.shows("REFUSED ( is no pattern.")
        await run.press("tab", "tab")
        await run.type("why")
        await run.shows("wait for what it would mute")
        assert not desk.posted("/v1/silences")


async def test_a_silence_of_marks_starts_with_what_they_share() -> None:
    desk = Desk()
    async with running(desk) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.shows("RelaySilent")
        await run.press("space", "space")
        await run.opens("s", "Silence")
        await run.shows('alertname=~"DAILY_LOSS_LIMIT|LOW_SUCCESS_RATE"')


async def test_an_alert_that_two_silences_mute_is_not_counted_twice() -> None:
    desk = Desk(silences=[silence("silence-1"), silence("silence-2")])
    for one in desk.silences:
        one.copies.clear()
    async with running(desk) as run:
        await run.press("Z")
        await run.shows("2 silences are in force, all of which mute something at present.")


async def test_silences_say_until_when_why_and_where_they_are_missing() -> None:
    desk = Desk(silences=[silence(), silence("silence-0", state=SilenceState.ENDED)])
    async with running(desk) as run:
        await run.press("Z")
        await run.at("Silences")
        await run.shows("1 silence mutes 1 alert; 1 could not be made at its source.")
        assert "25m left" in run.screen
        assert "not in staging: Connection refused" in run.screen
        assert "by bob" not in run.screen
        await run.press("a")
        await run.shows("ended 5m ago by bob")


async def test_ending_a_silence_says_what_comes_back_first() -> None:
    desk = Desk()
    async with running(desk) as run:
        await run.press("Z")
        await run.at("Silences")
        await run.shows("25m left")
        await run.opens("x", "End a silence")
        await run.shows("1 alert is raised again when it ends")
        await run.press("enter")
        await run.at("Silences")
        assert not desk.posted("/v1/silences/silence-1/end"), "Cancel has the focus"
        await run.opens("x", "End a silence")
        await run.press("tab", "enter")
        await run.shows("No silence is in force.")
        assert len(desk.posted("/v1/silences/silence-1/end")) == 1


async def test_enter_shows_the_alerts_that_a_silence_mutes() -> None:
    async with running(Desk()) as run:
        await run.press("Z")
        await run.at("Silences")
        await run.shows("25m left")
        await run.press("enter")
        await run.at("Alerts")
        await run.shows("RelaySilent")
        await run.hides("NodeDown")


async def test_who_may_not_silence_may_look() -> None:
    desk = Desk(permissions=frozenset(Permission) - {Permission.SILENCE_ALERTS})
    async with running(desk) as run:
        await run.press("Z")
        await run.at("Silences")
        await run.shows("25m left")
        await run.press("x")
        await run.shows("may not do this: it lacks silenc")
        assert run.title == "Silences"


async def test_a_label_that_is_no_text_reaches_the_silence_whole_and_the_terminal_not_at_all() -> None:
    hostile = "a\x1b]52;c;ZXZpbA==\x07b\u202ec\r\nd"
    first, *others = alert_models.alerts()
    named = first.model_copy(update={"rule": hostile, "labels": {"alertname": hostile}})
    told = alert_models.overview().model_copy(update={"alerts": [named, *others]})
    desk = Desk(alerts=[named, *others], overview=told)
    async with running(desk) as run:
        await _dialog(run)
        await run.shows("This mutes 1 alert now")
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(run.screen)
        assert desk.posted(PREVIEW)[-1]["matchers"] == [{"name": "alertname", "op": "=", "value": hostile}]
        await run.press("escape")
        await run.at("Alerts")
        await run.opens("i", "Which incident?")
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(run.screen)


@pytest.mark.parametrize(
    ("copy", "shown", "printed"),
    [
        ({}, "not in prod yet", "in prod: not created yet"),
        ({"error": "It answers 500"}, "not in prod: It answers 500", "in prod: not created: It answers 500"),
        ({"id": "0c1e"}, "also in prod", "in prod: 0c1e"),
        (
            {"id": "0c1e", "error": "It does not answer"}, "may still mute in prod: It does not answer",
            "in prod: 0c1e, may still mute there: It does not answer",
        ),
        (
            {"id": "0c1e", "state": "ended_there"}, "ended in prod by somebody there: not made there again",
            "in prod: ended there by somebody, not created again (0c1e)",
        ),
        ({"id": "0c1e", "state": "ended"}, "ended in prod", "in prod: ended (0c1e)"),
    ],
)  # fmt: skip
def test_where_the_copy_of_a_silence_stands_is_said_in_words(copy: dict[str, str], shown: str, printed: str) -> None:
    one = silence().model_copy(update={"copies": [SilenceCopy.model_validate({"source": "prod"} | copy)]})
    [row] = _copies(one, View(100, 40, UNICODE, NOW))
    assert "".join(text for text, _ in row).strip()[2:] == shown
    assert _entry(one)[-1].strip() == printed
