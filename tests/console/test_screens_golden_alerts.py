"""The screens on which alerts are worked on, as plain text; a difference is read in the diff."""

from collections.abc import Awaitable, Callable

import pytest

from console.screens.form import FormScreen
from console.widgets.field import Field
from tests.console.alert_models import Desk
from tests.console.driving import Running, compare_golden, running
from tests.console.notification_paper import NotificationPaper

SIZES = [(80, 24), (120, 40)]


async def _overview(run: Running) -> None:
    await run.shows("INCIDENTS 1 open")


async def _alerts(run: Running) -> None:
    await run.press("2")
    await run.at("Alerts")
    await run.shows("RelaySilent")


async def _marked(run: Running) -> None:
    await _alerts(run)
    await run.press("space", "space")
    await run.shows("2 alerts are marked")


async def _ack_marked(run: Running) -> None:
    await _marked(run)
    await run.opens("a", "Acknowledge")
    await _cursor_rests(run)


async def _assign(run: Running) -> None:
    await _alerts(run)
    await run.opens("r", "Assign")
    await _cursor_rests(run)


async def _join(run: Running) -> None:
    await _marked(run)
    await run.opens("i", "Which incident?")


async def _groups(run: Running) -> None:
    await _alerts(run)
    await run.press("v")
    await run.at("Alert groups")
    await run.shows("NodeDown +1")


async def _group(run: Running) -> None:
    await _groups(run)
    await run.press("slash")
    await run.type("prod")
    await run.press("enter", "enter")
    await run.at("Alert group")
    await run.shows("NodeDown")


async def _group_ack(run: Running) -> None:
    await _groups(run)
    await run.press("slash")
    await run.type("prod")
    await run.press("enter")
    await run.opens("a", "Acknowledge")
    await _cursor_rests(run)


async def _cursor_rests(run: Running) -> None:
    """Wait until the dialog has filled its fields in."""
    screen = run.app.screen
    assert isinstance(screen, FormScreen)
    await run.until(lambda: all(field.is_attached for field in screen.query(Field)), "fields")
    await run.pilot.pause()


async def _page(run: Running) -> None:
    await _alerts(run)
    await run.press("enter")
    await run.at("Alert")
    await run.shows("HISTORY 3")


async def _history(run: Running) -> None:
    await _alerts(run)
    await run.press("h")
    await run.at("Alert")
    await run.shows("11-21 03:08:09 raised")


async def _around(run: Running) -> None:
    await _alerts(run)
    await run.press("c")
    await run.shows("FRZ-0031")


async def _runbook(run: Running) -> None:
    await _alerts(run)
    await run.press("u")
    await run.shows("SUMMARY")


async def _silence(run: Running) -> None:
    await _alerts(run)
    await run.opens("s", "Silence")
    await run.shows("This mutes 1 alert")


async def _silences(run: Running) -> None:
    await run.press("Z")
    await run.at("Silences")
    await run.shows("not in staging")


async def _no_silences(run: Running) -> None:
    await run.press("Z")
    await run.at("Silences")
    await run.shows("n makes one")


async def _end(run: Running) -> None:
    await _silences(run)
    await run.opens("x", "End a silence")


async def _notifications(run: Running) -> None:
    await run.press("N")
    await run.at("Notifications")
    await run.shows("as of")


async def _notification(run: Running) -> None:
    await _notifications(run)
    await run.press(*["j"] * 8, "enter")
    await run.at("Notification")
    await run.shows("no answer within 10 s")


SCREENS: dict[str, tuple[Callable[[], Desk], Callable[[Running], Awaitable[None]]]] = {
    "overview-worked": (Desk, _overview),
    "alerts-worked": (Desk, _alerts),
    "alerts-marked": (Desk, _marked),
    "alerts-ack": (Desk, _ack_marked),
    "alert-assign": (Desk, _assign),
    "alerts-join": (Desk, _join),
    "alert-groups": (Desk, _groups),
    "alert-group": (Desk, _group),
    "alert-group-ack": (Desk, _group_ack),
    "alert": (Desk, _page),
    "alert-history": (Desk, _history),
    "alert-around": (Desk, _around),
    "alert-runbook": (Desk, _runbook),
    "silence": (Desk, _silence),
    "silences": (Desk, _silences),
    "silences-none": (lambda: Desk(silences=[]), _no_silences),
    "silence-end": (Desk, _end),
    "notifications": (Desk, _notifications),
    "notifications-none": (lambda: Desk(notifications=NotificationPaper(channels=[], log=[])), _notifications),
    "notification": (Desk, _notification),
}
WIDE = {"overview-worked", "alerts-worked", "alert", "alert-groups", "notifications"}
"""Those that look different where there is room."""
CASES = [(name, size) for name in SCREENS for size in SIZES if size == SIZES[0] or name in WIDE]


@pytest.mark.parametrize(("name", "size"), CASES, ids=lambda case: case if isinstance(case, str) else f"{case[0]}")
async def test_screen_is_as_stored(name: str, size: tuple[int, int]) -> None:
    paper, go = SCREENS[name]
    async with running(paper(), size=size) as run:
        await go(run)
        compare_golden(f"{name}-{size[0]}x{size[1]}", run.screen)


async def test_ascii_alerts_have_no_other_character() -> None:
    async with running(Desk(), environ={"WATCHFLOOR_ASCII": "1"}) as run:
        await _marked(run)
        compare_golden("alerts-marked-ascii-80x24", run.screen)
        assert run.screen.isascii()
