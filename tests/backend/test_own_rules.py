"""Own rules beside feeds: executors that are lost outside a freeze, and what the audit log has unusually often."""

from datetime import timedelta
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update

from backend import executorwatch, unusualwatch
from backend.alerts import service as alerts
from backend.audit import service as audit
from backend.audit.service import AuditDraft
from backend.context import Caller
from backend.executorwatch import LOST, lost_for, why_clear
from backend.policy.alerting import LostExecutors, Unusual
from backend.roster.tables import ExecutorRow
from contract.alerts import Alert, AlertCategory, Severity
from contract.audit import AuditResult
from tests.support.app import SWIFT, App, started_app
from tests.support.clocks import SetClock
from tests.support.holds import freeze, renew
from tests.support.ledger import settled
from tests.support.people import ADMIN, OPERATOR

RULES = LostExecutors(lost_seconds=30, retired_hours=24, severity=Severity.HIGH)


async def lost(app: App) -> dict[str, Alert]:
    """One tick, and the live alerts by executor."""
    async with app.runtime.database.transaction() as session:
        await executorwatch.tick(session, app.runtime)
        return {one.facts["executor"]: one for _, one in await alerts.live_of_rules(session, [LOST])}


async def silent(app: App, name: str, **amount: float) -> None:
    """Have an executor been heard last so long ago, by the database's clock."""
    async with app.runtime.database.transaction() as session:
        seen = text("clock_timestamp() - make_interval(secs => :seconds)").bindparams(
            seconds=timedelta(**amount).total_seconds()
        )
        await session.execute(update(ExecutorRow).where(ExecutorRow.name == name).values(last_seen_at=seen))


async def test_an_executor_that_is_lost_is_an_alert_until_it_reports_again(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        for name in ("bot-1", "bot-2", "old-bot"):
            await renew(app.runtime, name)
        await silent(app, "bot-1", seconds=45)
        await silent(app, "old-bot", hours=25)
        assert await lost(app) == {}, "this process has not watched for so long"
        time.pass_(minutes=1)
        found = await lost(app)
        assert set(found) == {"bot-1"}, "who was switched off a day ago is none"
        one = found["bot-1"]
        assert (str(one.scope), one.severity, one.category) == ("executor:bot-1", "high", AlertCategory.PERFORMANCE)
        assert [one.id for one in (await lost(app)).values()] == [one.id], "and there is no second one"
        await silent(app, "bot-1", seconds=1)
        assert await lost(app) == {}
        await silent(app, "bot-2", hours=23)
        assert set(await lost(app)) == {"bot-2"}
        await silent(app, "bot-2", hours=25)
        assert await lost(app) == {}, "silent for a day: it counts as retired"


async def test_under_a_freeze_nobody_is_lost(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await renew(app.runtime, "bot-1")
        await renew(app.runtime, "bot-2")
        await lost(app)
        time.pass_(minutes=1)
        await silent(app, "bot-1", seconds=45)
        assert set(await lost(app)) == {"bot-1"}
        await freeze(await app.as_(ADMIN), "global")
        await silent(app, "bot-2", seconds=45)
        assert set(await lost(app)) == {"bot-1"}, "the freeze says who has not confirmed; what was lost before stays"


async def test_a_storm_of_lost_executors_is_bounded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executorwatch, "MAX_ALERTS", 2)
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        for number in range(4):
            await renew(app.runtime, f"bot-{number}")
            await silent(app, f"bot-{number}", seconds=60 + number)
        await lost(app)
        time.pass_(minutes=1)
        for _ in range(2):
            assert set(await lost(app)) == {"bot-0", "bot-1"}


def test_why_an_alert_about_an_executor_is_over() -> None:
    def why(seconds: float | None, rules: LostExecutors | None = RULES) -> str | None:
        return why_clear(None if seconds is None else timedelta(seconds=seconds), rules)

    assert why(31) is None
    assert "again" in (why(30) or "")
    assert "retired" in (why(24 * 3600 + 1) or "")
    assert "no longer known" in (why(None) or "")
    assert "policy" in (why(31, None) or "")


@given(st.integers(-5, 200_000), st.integers(0, 200_000))
def test_lost_is_what_was_watched_in_silence_and_is_not_retired(silence: int, watched: int) -> None:
    found = lost_for(timedelta(seconds=silence), timedelta(seconds=watched), RULES)
    assert found is (30 < silence <= 86_400 and watched > 30)
    if found:
        assert why_clear(timedelta(seconds=silence), RULES) is None, "what is raised is not cleared at once"


async def unusual(app: App) -> dict[str, Alert]:
    """One tick, and the live alerts by rule and account."""
    await settled(app)
    async with app.runtime.database.transaction() as session:
        await unusualwatch.tick(session, app.runtime)
        rules = [unusualwatch.rule_of(kind) for kind in Unusual]
        return dict(await alerts.live_of_rules(session, rules))


async def told(app: App, event_type: str, times: int, who: Caller, **about: Any) -> None:
    for _ in range(times):
        draft = AuditDraft(event_type, "try", result=AuditResult.DENIED, **about)
        async with app.runtime.database.transaction() as session:
            await audit.record(session, app.runtime, who, draft)


def caller(name: str) -> Caller:
    kind: Literal["anonymous", "user"] = "anonymous" if name == "anonymous" else "user"
    return Caller(name, kind, "mev_operator", frozenset(), "req-1")


async def test_what_one_account_does_unusually_often_is_an_alert_until_it_stops(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await app.as_(OPERATOR)
        await app.as_(ADMIN)
        await told(app, "auth.permission.denied", 19, caller(OPERATOR.name))
        await told(app, "auth.permission.denied", 5, caller(ADMIN.name))
        assert await unusual(app) == {}, "a hand that slips is none, and two accounts do not add up"
        await told(app, "auth.permission.denied", 1, caller(OPERATOR.name))
        [(mark, one)] = (await unusual(app)).items()
        assert (one.rule, one.severity, one.category) == ("UNUSUAL_DENIALS", "medium", AlertCategory.COMPLIANCE)
        assert one.facts["number"] == "20"
        assert OPERATOR.name not in f"{mark} {one.message} {one.facts}", "it names nobody: names can be erased"
        assert [link.id for link in one.links] == ["event_type=auth.permission.denied"]
        async with app.runtime.database.read() as session:
            pid = await audit.find_person(session, OPERATOR.name)
        assert one.facts["account"] == pid
        time.pass_(minutes=9)
        assert set(await unusual(app)) == {mark}
        time.pass_(minutes=2)
        assert await unusual(app) == {}


async def test_refused_sign_ins_are_counted_by_the_account_that_was_tried(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await app.as_(OPERATOR)
        about = {"resource_type": "user", "resource_id": OPERATOR.name}
        await told(app, "auth.login.failed", 10, caller("anonymous"), **about)
        await told(app, "auth.login.failed", 10, caller("anonymous"), resource_type="user")
        await told(app, "access.elevation.requested", 4, caller(OPERATOR.name))
        found = await unusual(app)
        assert {one.rule for one in found.values()} == {"UNUSUAL_SIGN_INS"}
        assert len(found) == 2
        assert any(one.facts["account"] == "no account" for one in found.values())
        await told(app, "access.elevation.requested", 1, caller(OPERATOR.name))
        assert "UNUSUAL_ELEVATIONS" in {one.rule for one in (await unusual(app)).values()}


async def test_a_policy_without_the_rules_raises_nothing_and_clears_what_there_is(
    database_url: str, tmp_path: Any
) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        await app.as_(OPERATOR)
        await told(app, "auth.permission.denied", 20, caller(OPERATOR.name))
        assert await unusual(app)
    policy = tmp_path / "policy.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.alerts.unusual.denials]\ncount = 21\n')
    async with started_app(database_url, clock=time.clock, policy=str(policy)) as app:
        assert await unusual(app) == {}
