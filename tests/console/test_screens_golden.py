"""Every screen as plain text at the two sizes that matter; a difference is read in the diff."""

from datetime import timedelta

import pytest

from contract.alerts import AlertCounts
from contract.executors import ExecutorState
from contract.freeze import FreezeStatus
from contract.risk import MeasureState
from tests.console import floor_models as models
from tests.console import ledger_models as ledger
from tests.console.driving import Running, compare_golden, running
from tests.console.paper import Paper

SIZES = [(80, 24), (120, 40)]


def _quiet() -> Paper:
    everybody = [one.model_copy(update={"state": ExecutorState.TRADING}) for one in models.executors()]
    calm = models.overview(MeasureState.OK).model_copy(
        update={"alerts": [], "alert_counts": AlertCounts(), "freezes": [], "executors": everybody}
    )
    return Paper(overview=calm, alerts=[], freezes={})


def _thawing() -> Paper:
    hold = models.freeze(status=FreezeStatus.THAW_REQUESTED)
    return Paper(overview=models.overview().model_copy(update={"freezes": [hold]}), freezes={hold.id: hold})


def _changed() -> Paper:
    paper = _thawing()
    hold = paper.freezes["freeze-1"]
    paper.freezes[hold.id] = hold.model_copy(update={"thaw": models.thaw(changed=True)})
    return paper


def _lifting() -> Paper:
    thaw = models.thaw().model_copy(
        update={"approved_by": "oscar", "watch_until": models.NOW + timedelta(seconds=21), "expires_at": None}
    )
    hold = models.freeze(status=FreezeStatus.THAWING, covered=3, halted=3).model_copy(update={"thaw": thaw})
    return Paper(overview=models.overview().model_copy(update={"freezes": [hold]}), freezes={hold.id: hold})


async def _overview(run: Running) -> None:
    await run.shows("DAILY_LOSS_LIMIT")


async def _calm(run: Running) -> None:
    await run.shows("No alerts.")


async def _alerts(run: Running) -> None:
    await run.press("2")
    await run.at("Alerts")
    await run.shows("samples" if run.app.size.width > 100 else "scope  ")


async def _operations(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.shows("bot-39")


async def _audit(run: Running) -> None:
    await run.press("4")
    await run.shows(" e-" if run.app.size.width > 100 else "config.risk.changed")


async def _help(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.press("question_mark")
    await run.shows("where you are")


async def _why(run: Running) -> None:
    await run.press("w")
    await run.shows("failed logins")


async def _palette(run: Running) -> None:
    await run.press("f2")
    await run.shows("alert.ack")


async def _freeze(run: Running) -> None:
    await run.press("F", "F")
    await run.at("Freeze")
    await run.listens()
    await run.press("tab")
    await run.type("chain:arbitrum")
    await run.shows("This stops 12 executors")


async def _board(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.press("tab", "enter")
    await run.shows("0.12 s")


async def _board_lifting(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.press("tab", "enter")
    await run.shows("let go")


async def _approve(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.press("tab", "T")
    await run.shows("Other holds stay")


async def _approve_changed(run: Running) -> None:
    await _approve(run)
    await run.shows("Not as it was asked for")


async def _thaw(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.press("tab", "t")
    await run.shows("Other holds stay")


async def _verify(run: Running) -> None:
    await run.press("5")
    await run.at("Verification")
    await run.shows("LAST VERIFICATIONS")


async def _entry(run: Running) -> None:
    await _audit(run)
    await run.press("enter")
    await run.at("Audit entry")


async def _reveal(run: Running) -> None:
    await _entry(run)
    await run.opens("R", "Reveal")


async def _ledger(run: Running) -> None:
    await run.press("6")
    await run.at("Ledger")
    await run.shows("KEPT 5 sound")
    await run.hides("not known yet")


async def _erasures(run: Running) -> None:
    await run.press("7")
    await run.at("Erasures")
    await run.shows("jane.doe")


async def _erase(run: Running) -> None:
    await _erasures(run)
    await run.press("T")
    await run.at("Erase a person")
    await run.shows("10,000+ sealed values")


async def _legal_holds(run: Running) -> None:
    await run.press("8")
    await run.at("Legal holds")
    await run.shows("lift asked")


async def _all_legal_holds(run: Running) -> None:
    await _legal_holds(run)
    await run.press("a")
    await run.shows("lifted  log 1y")


async def _no_legal_hold(run: Running) -> None:
    await run.press("8")
    await run.shows("No legal hold is in force.")


async def _place_legal_hold(run: Running) -> None:
    await _legal_holds(run)
    await run.press("n")
    await run.at("Place a legal hold")


async def _lift_legal_hold(run: Running) -> None:
    await _legal_holds(run)
    await run.press("T")
    await run.at("Lift a legal hold")
    await run.shows("9,000 entries")


async def _export(run: Running) -> None:
    await _audit(run)
    await run.press("e")
    await run.at("Export")
    await run.shows("jsonl")


SCREENS = {
    "overview": (Paper, _overview),
    "overview-calm": (_quiet, _calm),
    "alerts": (Paper, _alerts),
    "operations": (Paper, _operations),
    "audit": (Paper, _audit),
    "help": (Paper, _help),
    "why": (Paper, _why),
    "palette": (Paper, _palette),
    "freeze": (Paper, _freeze),
    "board": (Paper, _board),
    "approve": (_thawing, _approve),
    "approve-changed": (_changed, _approve_changed),
    "thaw": (Paper, _thaw),
    "board-lifting": (_lifting, _board_lifting),
    "operations-lifting": (_lifting, _operations),
    "entry": (lambda: Paper(entries=[ledger.sealed_entry(), *models.entries()]), _entry),
    "reveal": (lambda: Paper(entries=[ledger.sealed_entry(), *models.entries()]), _reveal),
    "ledger": (Paper, _ledger),
    "ledger-silent": (lambda: Paper(heads=ledger.heads(silent=True)), _ledger),
    "erasures": (Paper, _erasures),
    "erase": (Paper, _erase),
    "export": (Paper, _export),
    "legal-holds": (Paper, _legal_holds),
    "legal-holds-all": (Paper, _all_legal_holds),
    "legal-holds-none": (lambda: Paper(legal_holds=[]), _no_legal_hold),
    "legal-hold-place": (Paper, _place_legal_hold),
    "legal-hold-lift": (Paper, _lift_legal_hold),
    "verify": (Paper, _verify),
    "verify-running": (lambda: Paper(verifications=[ledger.running(), *ledger.history()]), _verify),
    "verify-failed": (lambda: Paper(verifications=[ledger.failed(), *ledger.history()]), _verify),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
async def test_screen_is_as_stored(name: str, size: tuple[int, int]) -> None:
    paper, go = SCREENS[name]
    async with running(paper(), size=size) as run:
        await go(run)
        compare_golden(f"{name}-{size[0]}x{size[1]}", run.screen)


async def test_ascii_overview_is_as_stored_and_has_no_other_character() -> None:
    async with running(environ={"WATCHFLOOR_ASCII": "1"}) as run:
        await _overview(run)
        compare_golden("overview-ascii-80x24", run.screen)
        assert run.screen.isascii()


async def test_login_is_as_stored() -> None:
    async with running(token=None) as run:
        await run.at("Log in")
        compare_golden("login-80x24", run.screen)


@pytest.mark.parametrize("size", [(40, 10), (60, 15), (20, 5), (200, 60), (5, 2)], ids=str)
async def test_every_screen_survives_any_size(size: tuple[int, int]) -> None:
    async with running(size=size) as run:
        for key, title in (("2", "Alerts"), ("3", "Operations"), ("4", "Audit"), ("1", "Overview")):
            await run.press(key)
            await run.at(title)
            assert run.app.message[0] != "error", run.app.message
        await run.press("F", "F")
        await run.at("Freeze")
        assert len(run.screen.splitlines()) == size[1]
