"""The watch over the way into the ledger: it says when entries wait too long, and only when a backend was there."""

import psycopg

from backend import auditwatch
from backend.alerts import service as alerts
from tests.support.app import App, started_app
from tests.support.latching import until
from tests.support.people import OPERATOR, sign_in


async def _said(app: App) -> list[str]:
    async with app.runtime.database.read() as session:
        return [alert.rule for _, alert in await alerts.live_of_rules(session, auditwatch.RULES)]


async def test_entries_that_wait_raise_an_alert_once_a_backend_has_waited_for_them(database_url: str) -> None:
    async with started_app(database_url, sequence=False) as app:
        state = app.runtime.write_path
        await sign_in(app.runtime, OPERATOR)
        await until(lambda: not state.alerted, "it has looked")
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("UPDATE audit_outbox SET filed_at = filed_at - interval '1 hour'")
            await until(lambda: state.oldest_s > 3_600, "it is seen to wait")
            assert await _said(app) == [], "for an hour there was no backend that could have taken them"
            assert state.seen_first_at is not None
            state.seen_first_at -= app.runtime.policy.audit.watchfloor.outbox_age_seconds
            await until(lambda: state.alerted, "it is said")
            assert await _said(app) == [auditwatch.RULE_WAITING]
            connection.execute("DELETE FROM audit_outbox")
        await until(lambda: not state.alerted, "it is taken back")
        assert await _said(app) == []
