"""What happens when keys are pressed and the floor changes: messages and state, through the real application."""

from console.screens.reading.screen import ReadingScreen
from contract.alerts import AlertStatus
from contract.freeze import FreezeStatus
from contract.overview import Overview
from contract.permissions import Permission
from contract.risk import MeasureState
from contract.stream import Topic
from tests.console import floor_models as models
from tests.console.driving import running
from tests.console.paper import Paper, refusal

VIEWER = frozenset(Permission) - {Permission.FREEZE_OPERATIONS, Permission.ACKNOWLEDGE_ALERTS, Permission.APPROVE_THAW}


async def test_an_alert_from_the_stream_appears_and_is_counted() -> None:
    async with running() as run:
        await run.shows("1 critical")
        run.paper.emit(Topic.ALERT, models.alert("alert-9", rule="POSITION_SIZE_EXCEEDED", minutes=-0.01))
        await run.shows("POSITION_SIZE_EXCEEDED")
        await run.shows("2 critical")


async def test_a_cleared_alert_leaves_the_list() -> None:
    async with running() as run:
        await run.shows("LOW_SUCCESS_RATE")
        cleared = models.alerts()[1].model_copy(update={"status": AlertStatus.CLEARED, "updated_at": models.NOW})
        run.paper.emit(Topic.ALERT, cleared)
        await run.hides("LOW_SUCCESS_RATE")


async def test_a_burst_of_changes_is_one_repaint() -> None:
    async with running() as run:
        await run.shows("DAILY_LOSS_LIMIT")
        painted = 0
        draw = run.app.screen.draw  # type: ignore[attr-defined]

        def counted(view: object) -> None:
            nonlocal painted
            painted += 1
            draw(view)

        run.app.screen.draw = counted  # type: ignore[attr-defined]
        for number in range(200):
            run.paper.emit(Topic.ALERT, models.alert(f"burst-{number}", minutes=-0.01))
        await run.until(lambda: len(run.app.floor.alerts) > 200 if run.app.floor else False)
        assert painted <= 4


async def test_paused_keeps_the_screen_collects_and_catches_up_on_resume() -> None:
    async with running() as run:
        await run.press("p")
        await run.shows("PAUSED")
        run.paper.emit(Topic.ALERT, models.alert("alert-9", rule="POSITION_SIZE_EXCEEDED", minutes=-0.01))
        await run.until(lambda: run.app.latest is not None and "alert-9" in run.app.latest.alerts)
        assert "POSITION_SIZE_EXCEEDED" not in run.screen
        await run.press("p")
        await run.shows("POSITION_SIZE_EXCEEDED")
        assert "PAUSED" not in run.screen


async def test_a_new_freeze_shows_in_the_banner_even_while_paused() -> None:
    async with running() as run:
        await run.press("p")
        run.paper.emit(Topic.FREEZE, models.freeze("f-9", scope="chain:base", covered=8, halted=8))
        await run.shows("FROZEN 2")


async def test_a_lost_backend_is_said_with_its_age_and_the_data_is_kept_dimmed() -> None:
    async with running() as run:
        run.paper.drop()
        await run.shows("LOST")
        await run.shows("STALE 0s")
        assert "DAILY_LOSS_LIMIT" in run.screen
        run.clock.advance(seconds=75)
        await run.shows("LOST 1m15s")
        await run.shows("STALE 1m15s")
        await run.shows("as of 03:12:09 UTC")
        run.paper.up = True
        await run.shows("● live")
        await run.hides("STALE")


async def test_stale_risk_is_marked_and_old_risk_is_not_shown_as_a_number() -> None:
    async with running() as run:
        run.clock.advance(seconds=150)
        run.app.repaint()
        await run.shows("STALE 2m")
        assert "61.4 ETH" in run.screen
        run.clock.advance(seconds=600)
        run.app.repaint()
        await run.shows("LOST 12m")
        assert "61.4 ETH" not in run.screen
        assert "● ok" not in run.screen


async def test_nothing_known_is_never_green() -> None:
    paper = Paper(up=False)
    async with running(paper, loaded=False) as run:
        await run.shows("cannot be reached")
        assert "● LOW" not in run.screen
        assert "none in force" not in run.screen


async def test_nothing_is_written_while_nothing_changes() -> None:
    async with running() as run:
        await run.shows("DAILY_LOSS_LIMIT")
        shown = run.screen
        for _ in range(20):
            run.paper.beat()
            await run.pilot.pause(0.01)
        run.app.repaint()
        await run.pilot.pause()
        assert not run.app.screen._dirty_widgets
        assert run.screen == shown


# alerts


async def test_acknowledge_says_so_and_the_list_follows() -> None:
    async with running() as run:
        await run.press("2")
        await run.at("Alerts")
        await run.shows("action taken")
        await run.press("a")
        await run.shows("Acknowledged DAILY_LOSS_LIMIT")
        assert [path for method, path, _ in run.paper.asked if method == "POST"] == ["/v1/alerts/alert-1/acknowledge"]
        await run.shows("✔ officer1")


async def test_filter_shows_only_rows_with_all_words_and_escape_clears_it() -> None:
    async with running() as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("slash")
        await run.type("gas strat")
        await run.shows("1 of 3")
        assert "LOW_SUCCESS_RATE" not in run.screen
        await run.press("enter", "escape")
        await run.shows("LOW_SUCCESS_RATE")


async def test_a_link_leads_to_what_it_points_at() -> None:
    async with running() as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("enter")
        await run.at("Alert")
        page = run.app.screen
        assert isinstance(page, ReadingScreen)
        lines = page.copy_text().splitlines()
        await run.press(*["j"] * next(row for row, text in enumerate(lines) if "executor bot-07" in text))
        await run.press("enter")
        await run.at("Operations")
        assert run.app.screen.query_one("#executors").selected == "bot-07"  # type: ignore[attr-defined]


async def test_an_alert_of_the_past_clears_when_it_is_seen_and_is_listed_below() -> None:
    past = models.alert().model_copy(update={"facts": {"clears_on": "acknowledgement", "value": "16", "unit": "ETH"}})
    async with running(Paper(alerts=[past, *models.alerts()[1:]])) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("a")
        await run.shows("Acknowledged DAILY_LOSS_LIMIT on chain:arbitrum, which clears it.")
        await run.shows("ALERTS 2, 1 cleared below")
        await run.press("G")
        await run.shows("3/3")
        await run.shows("● cleared")


async def test_ten_thousand_alerts_are_loaded_page_by_page_as_they_are_reached() -> None:
    many = [models.alert(f"a-{number}", minutes=number / 100) for number in range(10_000)]
    async with running(Paper(alerts=[*models.alerts(), *many])) as run:
        await run.press("2")
        await run.at("Alerts")
        await run.until(lambda: len(run.app.screen._alerts) > 400)  # type: ignore[attr-defined]
        pages = len([1 for _, path, _ in run.paper.asked if path == "/v1/alerts"])
        assert pages <= 2
        await run.press("G")
        await run.until(lambda: len(run.app.screen._alerts) > 900)  # type: ignore[attr-defined]


# operations


async def test_own_approval_is_refused_with_the_servers_sentence_which_stays() -> None:
    hold = models.freeze(status=FreezeStatus.THAW_REQUESTED)
    paper = Paper(
        overview=models.overview().model_copy(update={"freezes": [hold]}),
        freezes={hold.id: hold},
        refuse={
            "POST /v1/freezes/freeze-1/thaw/approve": refusal(
                403, "second_person_required", "You asked for this thaw yourself.", "Ask a second person to press T."
            )
        },
    )
    async with running(paper) as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("tab", "T")
        await run.at("Approve FRZ-0031")
        await run.listens()
        await run.press("tab")
        await run.type("FRZ-0031")
        await run.press("tab", "tab", "enter")
        await run.shows("You asked for this thaw yourself.")
        await run.press("tab")
        assert "Ask a second person" in run.screen


async def test_a_thaw_needs_a_reason_and_the_typed_name() -> None:
    async with running() as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("tab", "t")
        await run.at("Thaw FRZ-0031")
        await run.listens()
        send = run.app.screen.query_one("#send")
        await run.press("tab")
        await run.type("it is back")
        await run.press("tab")
        await run.type("FRZ-003")
        assert not send.is_on  # type: ignore[attr-defined]
        await run.type("1")
        assert send.is_on  # type: ignore[attr-defined]


async def test_keys_a_role_may_not_use_are_refused_with_the_reason() -> None:
    async with running(Paper(role="auditor", permissions=VIEWER)) as run:
        assert "F F" not in run.screen
        await run.press("F", "F")
        await run.shows("Your role auditor may not do this: it lacks freeze_operations.")
        assert run.title == "Overview"
        await run.press("question_mark")
        await run.shows("acknowledge_alerts.")


# audit


async def test_search_sends_its_filters_and_more_follows_the_cursor() -> None:
    async with running() as run:
        await run.press("4")
        await run.shows("config.risk.changed")
        await run.press("s")
        await run.type("user:ana result:denied since:2h max loss")
        await run.press("enter")
        await run.until(lambda: run.paper.asked[-1][2].get("user") == "ana")
        asked = run.paper.asked[-1][2]
        assert asked["result"] == "denied"
        assert asked["q"] == "max loss"
        assert asked["since"] == "2026-11-21T01:12:09+00:00"
        await run.hides("Searching")
        await run.press("m")
        await run.until(lambda: run.paper.asked[-1][2].get("cursor") == "100")


async def test_a_wrong_filter_is_refused_before_anything_is_asked() -> None:
    async with running() as run:
        await run.press("4")
        await run.shows("config.risk.changed")
        before = len(run.paper.asked)
        await run.press("s")
        await run.type("actor:ana")
        await run.press("enter")
        await run.shows("There is no filter actor")
        assert len(run.paper.asked) == before


async def test_follow_shows_what_shares_the_request() -> None:
    async with running() as run:
        await run.press("4")
        await run.shows("config.risk.changed")
        await run.press("f")
        await run.at("Follow")
        await run.shows("req-77")
        await run.press("j", "enter")
        await run.at("Audit")
        await run.until(lambda: "/v1/audit/e-0/related" in [path for _, path, _ in run.paper.asked])
        asked = next(body for _, path, body in run.paper.asked if path == "/v1/audit/e-0/related")
        assert asked["by"] == "request"
        await run.shows("with request req-77")
        await run.press("m")
        await run.until(lambda: run.paper.asked[-1][2].get("cursor") == "100")
        assert run.paper.asked[-1][1] == "/v1/audit/e-0/related"


# command line, errors


async def test_tab_completes_a_command_and_enter_does_it() -> None:
    async with running() as run:
        await run.press("colon")
        await run.type("oper")
        await run.press("tab", "enter")
        await run.at("Operations")
        await run.press("colon")
        await run.type("freeze arb")
        await run.press("tab", "enter")
        await run.at("Freeze")
        await run.shows("This stops")


async def test_an_unknown_command_is_said() -> None:
    async with running() as run:
        await run.press("colon")
        await run.type("nonsense")
        await run.press("enter")
        await run.shows("There is no command :nonsense")


async def test_a_refusal_by_the_backend_stays_until_it_is_dismissed() -> None:
    paper = Paper(
        refuse={"POST /v1/alerts/alert-1/acknowledge": refusal(409, "conflict", "Somebody was faster.", "Reload.")}
    )
    async with running(paper) as run:
        await run.press("a")
        await run.shows("Somebody was faster. Reload. (request req-1)")
        await run.press("j", "k", "2")
        await run.at("Alerts")
        assert "Somebody was faster." in run.screen
        await run.press("escape")
        await run.hides("Somebody was faster.")


async def test_any_error_of_a_worker_becomes_a_visible_error() -> None:
    paper = Paper(refuse={"POST /v1/alerts/alert-1/acknowledge": RuntimeError("out of paper")})
    async with running(paper) as run:
        await run.press("a")
        await run.shows("ack failed: RuntimeError: out of paper")


async def test_a_stale_answer_is_dropped() -> None:
    from console.asking import Answered, Question

    async with running() as run:
        await run.press("4")
        await run.shows("config.risk.changed")
        shown = run.screen
        run.app.screen.post_message(Answered(Question(0, "audit"), "something old"))
        await run.pilot.pause()
        assert run.screen == shown


async def test_q_goes_back_and_quits_only_at_the_root() -> None:
    async with running() as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("question_mark")
        await run.at("Help")
        await run.press("q")
        await run.at("Operations")
        await run.press("q")
        await run.at("Overview")
        await run.press("q")
        await run.until(lambda: not run.app.is_running or run.app._exit)


async def test_copy_says_how_much_and_copies_the_alert() -> None:
    async with running() as run:
        await run.press("y")
        await run.shows("characters to your clipboard")
        assert "DAILY_LOSS_LIMIT" in run.app.clipboard


async def test_a_crossed_limit_is_the_headline() -> None:
    paper = Paper(overview=_without_alerts(MeasureState.CROSSED))
    async with running(paper) as run:
        await run.shows("Daily loss is 11.4 ETH, over the limit of 10.0 ETH.")
        await run.shows("CROSSED")


def _without_alerts(state: MeasureState) -> Overview:
    return models.overview(state).model_copy(update={"alerts": []})


async def test_a_link_to_an_audit_entry_opens_it() -> None:
    async with running() as run:
        await run.press("2")
        await run.at("Alerts")
        await run.press("enter")
        await run.at("Alert")
        await run.shows("HISTORY 0")
        await run.press("G", "k", "k", "enter")
        await run.at("Audit entry")
        await run.shows("8 → 10")
