"""Thawing from the operations screen: what is shown is what is approved; a thaw under way is stopped with one key."""

from contract.freeze import FreezeStatus
from tests.console import floor_models as models
from tests.console.driving import running
from tests.console.paper import Paper


async def test_an_approval_sends_the_digest_that_was_shown() -> None:
    hold = models.freeze(status=FreezeStatus.THAW_REQUESTED)
    paper = Paper(overview=models.overview().model_copy(update={"freezes": [hold]}), freezes={hold.id: hold})
    async with running(paper) as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("tab", "T")
        await run.shows("Other holds stay")
        await run.listens()
        await run.press("tab")
        await run.type("FRZ-0031")
        await run.press("tab", "tab", "enter")
        await run.until(lambda: bool(paper.posted("/v1/freezes/freeze-1/thaw/approve")))
    assert paper.posted("/v1/freezes/freeze-1/thaw/approve") == [{"version": 1, "digest": "3f8c71d2" * 8}]


async def test_what_changed_since_it_was_asked_for_cannot_be_approved() -> None:
    hold = models.freeze(status=FreezeStatus.THAW_REQUESTED).model_copy(update={"thaw": models.thaw(changed=True)})
    paper = Paper(overview=models.overview().model_copy(update={"freezes": [hold]}), freezes={hold.id: hold})
    async with running(paper) as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("tab", "T")
        await run.shows("Not as it was asked for")
        await run.listens()
        await run.press("tab")
        await run.type("FRZ-0031")
        assert not run.app.screen.query_one("#send").is_on  # type: ignore[attr-defined]


async def test_a_thaw_under_way_is_stopped_with_one_key() -> None:
    hold = models.freeze(status=FreezeStatus.THAWING)
    paper = Paper(overview=models.overview().model_copy(update={"freezes": [hold]}), freezes={hold.id: hold})
    async with running(paper) as run:
        await run.press("3")
        await run.at("Operations")
        await run.press("tab", "t")
        await run.shows("S puts it back")
        await run.press("S")
        await run.shows("is in force as before")
    assert paper.posted("/v1/freezes/freeze-1/thaw/withdraw") == [{}]
