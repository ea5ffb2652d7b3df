"""The console's alert work against a real backend: every route of it, and two consoles that see each other's acts."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest import mock

from backend.alerts import service as alerts
from backend.alerts.service import AlertDraft
from backend.context import system_caller
from console.app import WatchfloorApp
from console.client import alert_work
from console.client.api import Api
from console.state.matchers import matchers_for
from contract.alert_work import AlertAct, AlertActRequest, SilenceRequest, SilenceState
from contract.alerts import Severity
from contract.scope import Scope
from tests.console.driving import TERMINAL, Running, StandingClock
from tests.console.paper import Paper
from tests.support.app import App
from tests.support.floor import Floor
from tests.support.people import OFFICER, OPERATOR, Person

RULE = system_caller("test-rule")


def _raised(floor: Floor, rule: str) -> str:
    """Raise an alert, and give its id."""

    async def act(app: App) -> str:
        draft = AlertDraft(
            fingerprint=rule,
            rule=rule,
            severity=Severity.CRITICAL,
            scope=Scope.parse("chain:arbitrum"),
            message=f"{rule} was crossed.",
            facts={"value": "12"},
        )
        async with app.runtime.database.transaction() as session:
            alert, _ = await alerts.raise_alert(session, app.runtime, RULE, draft)
        return alert.id

    return floor.within(act)


async def test_acts_history_and_silences_are_what_the_backend_does(floor: Floor) -> None:
    ident = await asyncio.to_thread(_raised, floor, "ROUTES")
    async with Api(floor.url, floor.token(OPERATOR)) as api:
        acts = [AlertActRequest(ids=[ident], act=AlertAct.NOTE, comment="seen it before")]
        acts.append(AlertActRequest(ids=[ident], act=AlertAct.ASSIGN, to=OPERATOR.name))
        acts.append(AlertActRequest(ids=[ident], act=AlertAct.ESCALATE, comment="cannot reach it"))
        for request in acts:
            assert [one.id for one in (await alert_work.act(api, request)).done] == [ident], request.act
        alert = await api.alert(ident)
        assert (alert.assigned_to, alert.escalation and alert.escalation.level) == (OPERATOR.name, 1)

        matchers = matchers_for([alert])
        assert [one.id for one in (await alert_work.preview(api, matchers)).alerts] == [ident]
        made = await alert_work.silence(api, SilenceRequest(matchers=matchers, minutes=60, comment="known"))
        assert made.muted_now == 1
        assert [one.id for one in (await alert_work.silences(api, state=["active", "pending"])).items] == [made.id]
        assert [one.id for one in (await api.alert(ident)).muted_by] == [made.id]
        assert (await alert_work.end_silence(api, made.id)).state is SilenceState.ENDED
        assert (await alert_work.silences(api, state=["active"])).items == []

        kinds = [one.kind for one in (await alert_work.events(api, ident)).items]
        assert {"raised", "noted", "assigned", "escalated", "silenced", "raised_again"} <= set(kinds)
        around = await alert_work.around(api, ident)
        assert around.since < alert.raised_at < around.until


@asynccontextmanager
async def _console(floor: Floor, person: Person, state: Path) -> AsyncIterator[Running]:
    """A console on the backend; its clock runs."""
    variables = {**TERMINAL, "XDG_STATE_HOME": str(state)}
    with mock.patch.dict(os.environ, TERMINAL):
        app = WatchfloorApp(floor.url, floor.token(person), environ=variables, theme="dark")
        async with app.run_test(size=(100, 30)) as pilot:
            run = Running(app, pilot, Paper(), StandingClock())
            await run.until(lambda: app.who.name != "" and app.pulse().link == "live", "live data")
            yield run


async def test_what_one_console_does_the_other_shows(floor: Floor, tmp_path: Path) -> None:
    await asyncio.to_thread(_raised, floor, "SHARED")
    async with _console(floor, OPERATOR, tmp_path / "a") as mine, _console(floor, OFFICER, tmp_path / "b") as theirs:
        for run in (mine, theirs):
            await run.press("2")
            await run.at("Alerts")
            await run.press("slash")
            await run.type("SHARED")
            await run.press("enter")
            await run.shows("1 of")
        await mine.press("a")
        await theirs.shows(f"✔ {OPERATOR.name}")
        await mine.opens("s", "Silence")
        await mine.shows("This mutes 1 alert now")
        await mine.press("tab", "tab", "tab")
        await mine.type("known")
        await mine.press("enter", "tab", "enter")
        await mine.shows("1 alert muted until")
        await theirs.shows("~ muted")
        await theirs.press("h")
        await theirs.shows("known")
