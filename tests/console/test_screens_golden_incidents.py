"""The screens of incidents as plain text at the two sizes that matter; a difference is read in the diff."""

import pytest

from console.screens.incidents.declare import DeclareDialog
from contract.incidents import IncidentStatus
from contract.postmortem import PostmortemState
from tests.console import floor_models as floor
from tests.console import incident_models as models
from tests.console.driving import Running, compare_golden, running
from tests.console.paper import Paper
from tests.console.test_incidents_screen import open_list, open_record

SIZES = [(80, 24), (120, 40)]


def _with_postmortem(state: PostmortemState = PostmortemState.DRAFT) -> Paper:
    paper = Paper()
    paper.incidents.postmortems = [models.postmortem(state)]
    return paper


def _conflict() -> Paper:
    paper = _with_postmortem()
    paper.incidents.conflict = models.contested("the oracle lagged", "the oracle stood still")
    return paper


def _quiet() -> Paper:
    paper = Paper()
    paper.incidents.items = [models.incident(status=IncidentStatus.CLOSED)]
    return paper


async def _nothing_open(run: Running) -> None:
    await run.press("I")
    await run.shows("No incident goes on.")


async def _note(run: Running) -> None:
    await open_record(run)
    await run.press("n")
    await run.type("oracle for token X lags 40 blocks, asking the venue")
    await run.shows("draft kept")


async def _declare(run: Running) -> None:
    await run.app.push_screen(DeclareDialog(floor.alerts()))
    await run.at("Declare an incident")


async def _resolve(run: Running) -> None:
    await open_record(run)
    await run.opens("R", "Resolve the incident")


async def _evidence(run: Running) -> None:
    await open_record(run)
    await run.press("x")
    await run.shows("sha256")


async def _follow_ups(run: Running) -> None:
    await run.press("O")
    await run.shows("second RPC provider")


async def _figures(run: Running) -> None:
    await open_list(run)
    await run.press("w")
    await run.shows("ALL 4 incidents")


async def _postmortem(run: Running) -> None:
    await open_record(run)
    await run.press("P")
    await run.shows("Root Cause")


async def _editor(run: Running) -> None:
    await _postmortem(run)
    await run.press("j", "j", "j", "e")
    await run.at(f"{models.IDENT} Summary")
    await run.until(lambda: any("drafts/postmortem" in path for _, path, _ in run.paper.asked), "drafts asked for")


async def _preview(run: Running) -> None:
    await _postmortem(run)
    await run.press(*["j"] * 9, "e")
    await run.at(f"{models.IDENT} Impact")
    await run.press("f4")
    await run.shows("loss  7.2 ETH")


async def _contested(run: Running) -> None:
    await _postmortem(run)
    await run.press("e")
    await run.at(f"{models.IDENT} Root Cause")
    await run.type("the oracle lagged")
    await run.press("f3")
    await run.shows("NOT saved")
    await run.shows("draft kept")


async def _approve(run: Running) -> None:
    await _postmortem(run)
    await run.press("r")
    await run.shows("sha256")
    await run.press("escape")
    await run.opens("T", "Approve the post-mortem")


SCREENS = {
    "incidents": (Paper, open_list),
    "incidents-none": (_quiet, _nothing_open),
    "incident": (Paper, open_record),
    "incident-note": (Paper, _note),
    "incident-declare": (Paper, _declare),
    "incident-resolve": (Paper, _resolve),
    "incident-evidence": (Paper, _evidence),
    "follow-ups": (Paper, _follow_ups),
    "incident-figures": (Paper, _figures),
    "postmortem": (_with_postmortem, _postmortem),
    "postmortem-editor": (_with_postmortem, _editor),
    "postmortem-preview": (_with_postmortem, _preview),
    "postmortem-conflict": (_conflict, _contested),
    "postmortem-approve": (lambda: _with_postmortem(PostmortemState.REVIEW), _approve),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", SCREENS)
async def test_screen_is_as_stored(name: str, size: tuple[int, int]) -> None:
    paper, go = SCREENS[name]
    async with running(paper(), size=size) as run:
        await go(run)
        await run.pilot.pause()
        compare_golden(f"{name}-{size[0]}x{size[1]}", run.screen)


@pytest.mark.parametrize("size", [(40, 10), (20, 5), (200, 60), (5, 2)], ids=str)
async def test_every_screen_survives_any_size(size: tuple[int, int]) -> None:
    async with running(_with_postmortem(), size=size) as run:
        await run.press("I")
        await run.at("Incidents")
        await run.app.show_incident(models.IDENT)
        await run.at(models.IDENT)
        for key, title in (("x", "Evidence"), ("o", "Follow-ups"), ("P", "Post-mortem")):
            await run.press(key)
            await run.at(f"{models.IDENT} {title}")
            assert run.app.message[0] != "error", run.app.message
            await run.press("escape")
            await run.at(models.IDENT)
        await run.press("n")
        await run.type("a note")
        assert run.app.message[0] != "error", run.app.message
        assert len(run.screen.splitlines()) == size[1]


async def test_ascii_screens_have_no_other_character() -> None:
    async with running(environ={"WATCHFLOOR_ASCII": "1"}) as run:
        await open_record(run)
        assert run.screen.isascii()
        await run.press("w")
        await run.shows("ALL 4 incidents")
        assert run.screen.isascii()
