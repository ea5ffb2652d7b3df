"""Notifications in the console: who would be told, what arrived, and a test that says what became of it."""

import pytest

from contract.alerts import Severity
from contract.notifications import Channel, DeliveryState
from contract.permissions import Permission
from tests.console.driving import Running, running
from tests.console.notification_paper import NotificationPaper, channel, sent
from tests.console.paper import Paper, refusal

TEST = "/v1/notifications/test"


def on_paper(*channels: Channel, **facts: object) -> Paper:
    return Paper(notifications=NotificationPaper(channels=list(channels), **facts))  # type: ignore[arg-type]


async def opened(run: Running) -> None:
    await run.press("N")
    await run.at("Notifications")
    await run.shows("as of")


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        ([], "No channel is configured: outside this console nobody is told of anything."),
        (
            [channel("pagr", in_file=False, last_error="none there"), channel(last_error="HTTP 410")],
            "pagr: not in the file of channels, nobody is told there.",
        ),
        ([channel("a", in_file=False), channel("b", in_file=False)], "a and 1 more: not in the file of channels"),
        ([channel(last_error="HTTP 410"), channel("b")], "oncall-pager fails: HTTP 410"),
        ([channel(last_error="x"), channel("b", last_error="y")], "2 of 2 channels fail, oncall-pager first: x"),
        ([channel(severities=[Severity.HIGH])], "No channel is told of critical alerts."),
        ([channel(), channel("b", last_sent_at=None)], "1 of 2 channels has never taken anything"),
        ([channel()], "The channel took what was sent last."),
    ],
)
async def test_the_first_sentence_says_whether_somebody_would_be_told(channels: list[Channel], sentence: str) -> None:
    async with running(on_paper(*channels)) as run:
        await opened(run)
        await run.shows(sentence)


async def test_a_channel_that_only_the_policy_names_shows_as_absent() -> None:
    async with running(on_paper(channel(), channel("pagr", service="", in_file=False, sent_24h=0))) as run:
        await opened(run)
        await run.shows("ABSENT")
        assert "the policy names it, and it is not in the file of channels" in run.screen


async def test_what_did_not_arrive_is_shown_alone_and_enter_narrows_to_a_channel() -> None:
    async with running(Paper()) as run:
        await opened(run)
        await run.shows("INC-2026-015 declared")
        await run.press("u")
        await run.shows("What did not arrive, all channels")
        await run.hides("INC-2026-015 declared")
        await run.press("u")
        await run.shows("INC-2026-015 declared")
        await run.press("j", "enter")
        await run.shows("ops-chat only (Enter on it: all)")
        await run.press("j", "t")  # why it fails stands below it, and is of it
        await run.shows("A test is on its way to ops-chat.")
        asked = [query for method, path, query in run.paper.asked if (method, path) == ("GET", "/v1/notifications")]
        assert asked[-1]["channel"] == "ops-chat"


async def test_a_test_says_what_became_of_it() -> None:
    taken = [sent("t-1", state=DeliveryState.QUEUED, sent_at=None), sent("t-1")]
    async with running(on_paper(channel(), becomes=taken)) as run:
        await opened(run)
        await run.press("t")
        await run.shows("A test is on its way to oncall-pager.")
        await run.shows("oncall-pager took the test.")
        assert run.paper.posted(TEST) == [{"channel": "oncall-pager"}]


async def test_a_test_that_was_not_taken_says_why() -> None:
    failed = sent("t-1", state=DeliveryState.FAILED, sent_at=None, reason="no answer within 10 s")
    async with running(on_paper(channel(), becomes=[failed])) as run:
        await opened(run)
        await run.press("t")
        await run.shows("oncall-pager did not take the test: no answer within 10 s")


async def test_the_channel_of_a_selected_notification_or_a_named_one_is_tested() -> None:
    async with running(on_paper(channel(), log=[sent(channel="gone")], becomes=[sent("t-1", channel="gone")])) as run:
        await opened(run)
        await run.press("j", "j", "j", "j", "j", "t")
        await run.shows("gone took the test.")
        await run.press("colon")
        await run.type("test-channel desk-mail")
        await run.press("enter")
        await run.shows("took the test")
        assert [one["channel"] for one in run.paper.posted(TEST)] == ["gone", "desk-mail"]


async def test_a_refused_test_is_one_sentence() -> None:
    paper = on_paper(channel())
    paper.refuse[f"POST {TEST}"] = refusal(404, "not_found", "There is no channel oncall-pager.")
    async with running(paper) as run:
        await opened(run)
        await run.press("t")
        await run.shows("There is no channel oncall-pager.")


async def test_a_notification_shows_all_that_is_known_and_leads_to_what_it_was_about() -> None:
    paper = on_paper(channel(), log=[sent(subject_id="alert-1", reason=None)])
    async with running(paper) as run:
        await opened(run)
        await run.press("G", "enter")
        await run.at("Notification")
        await run.shows("alert alert-1")
        await run.press("G", "enter")
        await run.at("Alerts")


async def test_texts_of_others_cannot_act_on_the_terminal() -> None:
    hostile = "\x1b[2J\x1b]52;c;Zm9v\x07\u202egnp"
    paper = on_paper(channel(service=hostile, last_error=hostile), log=[sent(title=hostile, reason=hostile)])
    async with running(paper) as run:
        await opened(run)
        await run.shows("oncall-pager")
        assert "\x1b" not in run.screen
        assert "\u202e" not in run.screen


async def test_who_may_not_manage_them_is_told_so_and_nothing_is_asked() -> None:
    paper = Paper(role="auditor", permissions=frozenset(Permission) - {Permission.MANAGE_NOTIFICATIONS})
    async with running(paper) as run:
        await run.press("N")
        await run.shows("it lacks manage_notification")
        assert not [path for _, path, _ in paper.asked if "notifications" in path]


async def test_while_nobody_answers_the_last_picture_stays_with_its_age() -> None:
    paper = on_paper(channel())
    async with running(paper) as run:
        await opened(run)
        paper.refuse["GET /v1/notifications/channels"] = refusal(503, "unavailable", "The database is not answering.")
        run.clock.advance(seconds=12)
        await run.press("u")
        await run.shows("what you see is from then")
        await run.shows("oncall-pager")
