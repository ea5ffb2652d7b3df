"""Screens about drills, latched freezes and violations as plain text at the two sizes that matter."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from contract.freeze import Freeze, FreezeMode, FreezeStatus, HaltProof, HaltState
from tests.console import drill_models
from tests.console import floor_models as models
from tests.console.driving import Running, compare_golden, running
from tests.console.paper import Paper

SIZES = [(80, 24), (120, 40)]


def _with(*holds: Freeze) -> Paper:
    overview = models.overview().model_copy(update={"freezes": list(holds)})
    return Paper(overview=overview, freezes={hold.id: hold for hold in holds})


def _latched() -> Paper:
    waits = models.freeze("freeze-9", scope="chain:base+strategy:arbitrage", covered=0, halted=0).model_copy(
        update={
            "ref": "LATCHED", "epoch": 0, "status": FreezeStatus.LATCHED, "kept": True, "revoked": 8,
            "created_at": models.NOW, "reason": "oracle stale",
        }
    )  # fmt: skip
    return _with(waits, models.freeze())


def _halting() -> Paper:
    """One of each answer, half a minute after the freeze."""
    said: list[tuple[str, HaltState, str, dict[str, object]]] = [
        ("arb-1", HaltState.VIOLATION, "order #1,207 after it signed that #1,204 was its last", {}),
        ("arb-2", HaltState.VERIFIED, "nonce 17 unchanged x3, says base-watcher", {"halted_after_seconds": "0.12"}),
        ("arb-3", HaltState.ACKED, "signed; still under way", {"open_ids": ["0x9f3e", "0x77aa"], "in_flight": 2}),
        ("arb-4", HaltState.EXPIRED, "no acknowledgement; every permit it had is dead", {}),
        ("arb-5", HaltState.QUIESCED, "signed that #88 was its last order", {"halted_after_seconds": "0.31"}),
        ("freqtrade-1", HaltState.DELIVERED, "no permit bounds it; has not said that it obeys", {"bounded": False}),
    ]
    acked = {HaltState.VERIFIED, HaltState.ACKED, HaltState.QUIESCED, HaltState.VIOLATION}
    proofs = [
        HaltProof.model_validate(
            {"executor": name, "state": state, "proof": proof, "acked_at": models.NOW if state in acked else None}
            | {"in_flight": 0, **more}
        )
        for name, state, proof, more in said
    ]
    update = {
        "proofs": proofs, "created_at": models.ago(seconds=30), "covered": 6, "halted": 4, "verified": 1,
        "violations": 1, "still_open": 1, "mode": FreezeMode.CANCEL_ALL,
    }  # fmt: skip
    return _with(models.freeze().model_copy(update=update))


def _waiting() -> Paper:
    """Right after the freeze: some have answered, one permit still lives."""
    proofs = [
        HaltProof(executor="arb-1", state=HaltState.ACKED, proof="signed; nothing under way", acked_at=models.NOW),
        HaltProof(
            executor="arb-2",
            state=HaltState.DELIVERED,
            proof="told; has not said that it obeys",
            permit_dead_at=models.NOW + timedelta(seconds=1.2),
        ),
    ]
    update = {"proofs": proofs, "created_at": models.ago(seconds=1), "covered": 2, "halted": 1}
    return _with(models.freeze().model_copy(update=update))


async def _overview(run: Running) -> None:
    await run.shows("DAILY_LOSS_LIMIT")


async def _operations(run: Running) -> None:
    await run.press("3")
    await run.at("Operations")
    await run.shows("bot-39" if run.app.size.height > 30 else "FREEZES")


async def _board(run: Running) -> None:
    await _operations(run)
    await run.press("tab", "enter")
    await run.shows("PROOF")


async def _halting_board(run: Running) -> None:
    await _board(run)
    await run.shows("VIOLATION")


async def _drills(run: Running) -> None:
    await run.press("9")
    await run.at("Freeze drills")
    await run.shows("FD-0004")


async def _drill(run: Running) -> None:
    await _drills(run)
    await run.press("G", "k", "k", "enter")
    await run.at("DRILL FD-0003")
    await run.shows("deaf-0")


async def _running_drill(run: Running) -> None:
    await _drills(run)
    await run.press("g", "j", "j", "j", "j", "j", "enter")
    await run.at("DRILL FD-0005")
    await run.shows("4 of 4 have acknowledged")


async def _drill_dialog(run: Running) -> None:
    await _drills(run)
    await run.opens("n", "DRILL: freeze canaries")
    await run.press("tab")
    await run.type("executor:bot-10")
    await run.shows("This stops 1 executor")


async def _intersection(run: Running) -> None:
    await run.press("F", "F")
    await run.at("Freeze")
    await run.listens()
    await run.press("tab")
    await run.type("chain:arbitrum+strategy:arbitrage")
    await run.shows("This stops")
    await run.press("tab", "enter", "enter")
    await run.shows("take resting orders back")


Go = Callable[[Running], Awaitable[None]]
SCREENS: dict[str, tuple[Callable[[], Paper], Go]] = {
    "overview-latched": (_latched, _overview),
    "operations-latched": (_latched, _operations),
    "board-latched": (_latched, _board),
    "board-waiting": (_waiting, _board),
    "board-halting": (_halting, _halting_board),
    "overview-violation": (_halting, _overview),
    "freeze-intersection": (Paper, _intersection),
    "drills": (Paper, _drills),
    "drill": (Paper, _drill),
    "drill-running": (lambda: Paper(drills=[drill_models.drill(5), *drill_models.history()]), _running_drill),
    "drill-dialog": (Paper, _drill_dialog),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
async def test_screen_is_as_stored(name: str, size: tuple[int, int]) -> None:
    paper, go = SCREENS[name]
    async with running(paper(), size=size) as run:
        await go(run)
        compare_golden(f"{name}-{size[0]}x{size[1]}", run.screen)
