"""How many keys the two acts of a night take on a real backend, from the overview as it first stands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import system_caller
from console.client import incidents
from console.client.api import Api
from console.screens.overview.screen import OverviewScreen
from console.widgets.rows import UNREAD_S
from contract.alerts import AlertStatus, Severity
from contract.incidents import IncidentStatus
from contract.scope import Scope
from tests.console.driving import Running, on_backend
from tests.support.app import App
from tests.support.floor import Floor
from tests.support.people import OPERATOR

ACKNOWLEDGED_KEYS = 2
DECLARED_KEYS = 6
"""What each may take at most."""


@dataclass
class Counted:
    """A console of which every key is counted."""

    run: Running
    keys: int = 0

    async def press(self, key: str) -> None:
        """Press one key."""
        self.keys += 1
        await self.run.press(key)

    async def go_to(self, rule: str) -> str:
        """Select the alert of a rule, one row down with each key; give its id."""
        for _ in range(DECLARED_KEYS):
            selected, known = self.selected, self.run.app.floor
            if known is not None and known.alerts[selected].rule == rule:
                return selected
            await self.press("j")
            await self.run.until(lambda before=selected: self.selected != before, "the next row")  # type: ignore[misc]
        raise AssertionError(self.run.screen)

    @property
    def selected(self) -> str:
        """The alert under the cursor of the overview."""
        assert isinstance(self.run.app.screen, OverviewScreen)
        return self.run.app.screen.rows.selected or ""


@asynccontextmanager
async def _night(floor: Floor, state: Path, rule: str) -> AsyncIterator[Counted]:
    """The overview as it first stands, with an alert that nobody has seen."""
    await asyncio.to_thread(_raised, floor, rule)
    async with on_backend(floor.url, floor.token(OPERATOR), state) as run:
        await run.shows(rule)
        await asyncio.sleep(UNREAD_S)  # nobody acts on what they have not read
        yield Counted(run)


def _raised(floor: Floor, rule: str) -> None:
    draft = AlertDraft(
        fingerprint=rule,
        rule=rule,
        severity=Severity.CRITICAL,
        scope=Scope.parse("chain:arbitrum"),
        message=f"{rule} was crossed.",
        facts={},
    )

    async def act(app: App) -> None:
        async with app.runtime.database.transaction() as session:
            await alerts.raise_alert(session, app.runtime, system_caller("test-rule"), draft)

    floor.within(act)


async def test_an_alert_is_acknowledged_with_at_most_two_keys(floor: Floor, tmp_path: Path) -> None:
    async with _night(floor, tmp_path, "COUNTED_ACK") as hand, Api(floor.url, floor.token(OPERATOR)) as api:
        ident = await hand.go_to("COUNTED_ACK")
        await hand.press("a")
        await hand.run.shows("Acknowledged")
        seen = await api.alert(ident)
    assert (seen.status, seen.acknowledged_by) == (AlertStatus.ACKNOWLEDGED, OPERATOR.name)
    assert hand.keys <= ACKNOWLEDGED_KEYS


async def test_an_alert_becomes_an_incident_with_a_commander_with_at_most_six_keys(
    floor: Floor, tmp_path: Path
) -> None:
    first = await _declared(floor, tmp_path / "first", "COUNTED_FIRST")
    second = await _declared(floor, tmp_path / "second", "COUNTED_SECOND")
    assert first != second, "also while another incident is open"


async def _declared(floor: Floor, state: Path, rule: str) -> str:
    """Declare an incident by hand, see what the backend has of it, and give its id."""
    async with _night(floor, state, rule) as hand, Api(floor.url, floor.token(OPERATOR)) as api:
        alert = await hand.go_to(rule)
        await hand.press("i")
        await hand.run.until(lambda: hand.run.title != "Overview", "a dialog")
        await hand.run.listens()
        if hand.run.title == "Which incident?":
            await hand.press("enter")
            await hand.run.at("Declare an incident")
            await hand.run.listens()
        await hand.press("enter")
        await hand.run.until(lambda: hand.run.title.startswith("INC-"), "the record")
        known = await incidents.incident(api, hand.run.title)
        of_it = (await api.alert(alert)).incident
    assert (known.status, known.commander) == (IncidentStatus.OPEN, OPERATOR.name)
    assert of_it == known.id
    assert alert in [link.id for link in known.links]
    assert hand.keys <= DECLARED_KEYS
    return known.id
