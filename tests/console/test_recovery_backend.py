"""The console and a real backend whose drills touch nothing: started, let run, killed and found again, aborted."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.console.driving import Running, on_backend
from tests.support.people import ADMIN, ADMIN2
from tests.support.recovery import CLUSTER
from tests.support.recovery_desk import Drilling, drilling


@pytest.fixture(scope="module")
def desk(template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drilling]:
    with drilling(template_database, tmp_path_factory.mktemp("drilling")) as running:
        yield running


async def _started(run: Running) -> str:
    await run.press("R")
    await run.at("Recovery")
    await run.shows("No recovery drill has been run.")
    await run.opens("n", "Start a recovery drill")
    await run.shows("It would start.")
    await run.press("tab", "tab", "tab")
    await run.type("quarterly")
    await run.hides("to do:")
    await run.press("tab", "tab", "tab", "tab", "enter")
    await run.until(lambda: run.title.startswith("DR-TEST-"), "the drill")
    return run.title


async def test_two_consoles_follow_one_drill_and_one_that_is_killed_loses_nothing(
    desk: Drilling, tmp_path: Path
) -> None:
    url, one, two = desk.floor.url, desk.floor.token(ADMIN), desk.floor.token(ADMIN2)
    async with on_backend(url, two, tmp_path / "two") as second:
        async with on_backend(url, one, tmp_path / "one") as first:
            ref = await _started(first)
            await first.shows("Enter asks for the cluster's name")
            await second.press("R")
            await second.at("Recovery")
            await second.shows(f"{ref} runs")
            await second.press("enter")
            await second.at(ref)
            await first.opens("enter", f"{ref} step 1")
            await first.press("tab")
            await first.type(CLUSTER)
            await first.hides("to do:")
            await first.press("tab", "tab", "enter")
            await first.at(ref)
            await second.shows("running  1 Simulate a failure")
        # the first console is gone in the middle of a step: the run belongs to the backend
        desk.let("first")
        await second.shows("passed   1 Simulate a failure")
        await second.shows("Enter lets it run")
        await second.opens("a", f"Abort {ref}")
        await second.shows("1. step 1 Simulate a failure")
        await second.press("tab")
        await second.type("that is enough")
        await second.press("tab", "tab", "enter")
        await second.shows("rolled back: first was undone")
        await second.shows("that is enough")
        await second.shows("not signed")
