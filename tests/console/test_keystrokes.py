"""What it costs somebody new to stop a chain: two keys to the dialog from every screen, and at most forty in all."""

import pytest

from tests.console.driving import Running, running

BUDGET_KEYS = 40
"""What the product promises; typing the reason is among them."""
SCREENS = {
    "overview": ("1", "Overview"),
    "alerts": ("2", "Alerts"),
    "operations": ("3", "Operations"),
    "audit": ("4", "Audit"),
    "verification": ("5", "Verification"),
    "ledger": ("6", "Ledger"),
    "erasures": ("7", "Erasures"),
    "legal holds": ("8", "Legal holds"),
    "freeze drills": ("9", "Freeze drills"),
    "help": ("question_mark", "Help"),
}


class Counted:
    """Keys as they are pressed."""

    def __init__(self, run: Running) -> None:
        self.run = run
        self.keys = 0

    async def press(self, *keys: str) -> None:
        """Press and count."""
        self.keys += len(keys)
        await self.run.press(*keys)

    async def type(self, text: str) -> None:
        """Type and count each character."""
        self.keys += len(text)
        await self.run.type(text)


@pytest.mark.parametrize("where", SCREENS)
async def test_a_chain_is_frozen_within_the_budget_from_every_screen(where: str) -> None:
    key, title = SCREENS[where]
    async with running() as run:
        await run.press(key)
        await run.at(title)
        hand = Counted(run)
        await hand.press("F", "F")
        await run.at("Freeze")
        assert hand.keys == 2
        await run.listens()
        await hand.press("tab")
        await hand.type("chain:ar")
        await hand.press("right")
        await run.shows("This stops 12 executors now.")
        await hand.press("tab", "tab")
        await hand.type("losses")
        await hand.press("tab")
        await hand.type("arbitrum")
        await hand.press("tab", "tab", "enter")
        await run.at("Freeze FRZ-0032")
        assert hand.keys <= BUDGET_KEYS
    [body] = run.paper.posted("/v1/freezes")
    assert body["scope"] == {"kind": "chain", "name": "arbitrum"}
