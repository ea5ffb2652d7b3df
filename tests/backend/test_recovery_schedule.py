"""The drill that is due: told with the list, an alert once it is overdue, gone when one has passed."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from backend.alerts import service as alerts
from backend.audit.tables import Ledger
from backend.continuity import overdue
from backend.continuity.tables import RecoveryDrillRow
from contract.alerts import Alert
from contract.recovery import DrillHistory, Schedule
from contract.recovery_states import DrillState
from tests.backend.test_recovery_drills import Floor, floor
from tests.support.app import App
from tests.support.recovery import PLAN_STEPS, plan_of, put_on

LONG = timedelta(days=200)
"""More than two quarters."""


async def due(here: Floor) -> Schedule:
    return DrillHistory.model_validate((await here.http.get("/v1/recovery/drills")).json()).schedule


async def ledger_began_long_ago(app: App) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(update(Ledger).values(created_at=app.runtime.clock.now() - LONG))


async def look(app: App) -> list[Alert]:
    async with app.runtime.database.transaction() as session:
        await overdue.tick(session, app.runtime)
        return [alert for _, alert in await alerts.live_of_rules(session, [overdue.RULE])]


async def test_who_has_never_drilled_is_due_in_the_quarter_in_which_the_ledger_began(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        told = await due(here)
        assert (told.last_passed, told.overdue_days) == (None, 0)
        assert told.due is not None
        assert "the ledger began" in told.why
        assert await look(here.app) == []


async def test_an_overdue_test_is_an_alert_until_one_has_passed(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        await ledger_began_long_ago(here.app)
        told = await due(here)
        assert told.overdue_days > 0
        [alert] = await look(here.app)
        assert (alert.category, alert.severity) == ("compliance", "low")
        assert str(told.due) in alert.message
        here.stage.kind.does["first"] = "fail"
        await here.whole()
        assert [one.id for one in await look(here.app)] == [alert.id], "one that failed is no test"
        del here.stage.kind.does["first"]
        passed = await here.whole()
        assert await look(here.app) == []
        told = await due(here)
        assert (told.last_passed, told.overdue_days) == (passed.started_at.date(), 0)


async def test_a_plan_that_is_practice_is_no_test(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        await ledger_began_long_ago(here.app)
        practice = plan_of(*PLAN_STEPS).model_copy(update={"practice": True})
        put_on(here.app, here.stage, [practice])
        assert (await here.whole()).state is DrillState.PASSED
        assert len(await look(here.app)) == 1


async def test_a_plan_that_measures_nothing_is_no_test(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path, {"name": "first"}) as here:
        await ledger_began_long_ago(here.app)
        assert (await here.whole()).state is DrillState.PASSED
        assert len(await look(here.app)) == 1


async def test_what_was_practice_stays_practice_whatever_the_policy_says_later(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        await ledger_began_long_ago(here.app)
        put_on(here.app, here.stage, [plan_of(*PLAN_STEPS).model_copy(update={"practice": True})])
        assert (await here.whole()).state is DrillState.PASSED
        put_on(here.app, here.stage, [plan_of(*PLAN_STEPS)])
        assert len(await look(here.app)) == 1


async def test_a_quarter_after_the_last_one_it_is_overdue_again(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        await here.whole()
        async with here.app.runtime.database.transaction() as session:
            ago = RecoveryDrillRow.started_at - LONG
            await session.execute(update(RecoveryDrillRow).values(started_at=ago))
        assert (await due(here)).overdue_days > 0
        assert len(await look(here.app)) == 1
