"""Screens of recovery drills and backups as plain text at the two sizes that matter."""

from collections.abc import Awaitable, Callable

import pytest

from contract.recovery import RecoveryDrill
from tests.console import recovery_models as models
from tests.console.driving import Running, compare_golden, running
from tests.console.paper import Paper
from tests.console.recovery_paper import RecoveryPaper

SIZES = ((80, 24), (120, 40))
REF = "DR-TEST-20261121"

Go = Callable[[Running], Awaitable[None]]


def _of(*drills: RecoveryDrill, **facts: object) -> Callable[[], Paper]:
    return lambda: Paper(recovery=RecoveryPaper(drills=list(drills), **facts))  # type: ignore[arg-type]


async def _list(run: Running) -> None:
    await run.press("R")
    await run.at("Recovery")
    await run.shows("as of")
    await run.shows("STALE")


async def _one(run: Running) -> None:
    await _list(run)
    await run.press("enter")
    await run.at(REF)
    await run.shows("line 1 of")
    await run.pilot.pause(0.3)


async def _unreachable(run: Running) -> None:
    await _one(run)
    await run.shows("67 %")
    run.paper.drop()
    run.clock.advance(seconds=12)
    await run.shows("STALE: no answer for 12s")
    await run.shows("LOST 12s")
    await run.pilot.pause(0.3)


async def _step(run: Running) -> None:
    await _one(run)
    await run.opens("enter", f"{REF} step 1")


async def _abort(run: Running) -> None:
    await _one(run)
    await run.opens("a", f"Abort {REF}")


async def _start(run: Running) -> None:
    await _list(run)
    await run.opens("n", "Start a recovery drill")
    await run.shows("It would start.")


async def _sign(run: Running) -> None:
    await _one(run)
    await run.opens("S", f"Sign {REF}")
    await run.shows(models.SHA)


async def _backups(run: Running) -> None:
    await _list(run)
    await run.press("B")
    await run.at("Backups")
    await run.shows("Private keys")


SCREENS: dict[str, tuple[Callable[[], Paper], Go]] = {
    "recovery": (_of(models.signed(), due_in_days=12), _list),
    "recovery-empty": (_of(due_in_days=-3), _list),
    "recovery-no-cluster": (_of(topology=models.no_cluster()), _list),
    "recovery-running": (_of(models.running()), _one),
    "recovery-waiting": (_of(models.waiting()), _one),
    "recovery-failed": (_of(models.failed()), _one),
    "recovery-unresolved": (_of(models.unresolved()), _one),
    "recovery-signed": (_of(models.signed()), _one),
    "recovery-unreachable": (_of(models.running()), _unreachable),
    "recovery-step-dialog": (_of(models.waiting()), _step),
    "recovery-abort-dialog": (_of(models.running()), _abort),
    "recovery-start-dialog": (_of(models.signed()), _start),
    "recovery-sign-dialog": (_of(models.passed()), _sign),
    "backups": (_of(models.signed()), _backups),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
async def test_screen_is_as_stored(name: str, size: tuple[int, int]) -> None:
    paper, go = SCREENS[name]
    async with running(paper(), size=size) as run:
        await go(run)
        compare_golden(f"{name}-{size[0]}x{size[1]}", run.screen)
