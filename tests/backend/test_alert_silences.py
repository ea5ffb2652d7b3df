"""Silences: what they mute, until when, and that what goes on then is raised again."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import select

from backend.alerts import clocks
from backend.alerts import service as alerts
from backend.alerts.service import Told
from backend.audit.tables import AuditLog
from contract.alert_work import Silence, SilencePreview
from contract.alerts import Alert, AlertStatus, Severity
from contract.base import Page
from contract.scope import Scope
from tests.backend.test_alerts import RULE, clear, draft, raised
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import settled
from tests.support.people import AUDITOR, OFFICER, OPERATOR

ARBITRAGE = [{"name": "scope", "value": "strategy:arbitrage"}]


async def silence(client: httpx.AsyncClient, **changes: Any) -> Silence:
    usual: dict[str, Any] = {"matchers": ARBITRAGE, "minutes": 60, "comment": "moving the venue"}
    answer = await client.post("/v1/silences", json=usual | changes)
    assert answer.status_code == 200, answer.text
    return Silence.model_validate_json(answer.content)


async def shown(app: App, alert_id: str) -> Alert:
    answer = await (await app.as_(OPERATOR)).get(f"/v1/alerts/{alert_id}")
    return Alert.model_validate_json(answer.content)


async def tick(app: App) -> float:
    async with app.runtime.database.transaction() as session:
        return await clocks.tick(session, app.runtime)


async def told(app: App, alert_id: str) -> list[Told]:
    async with app.runtime.database.read() as session:
        return await alerts.events_of(session, [alert_id])


async def kinds(app: App, alert_id: str) -> list[str]:
    return [line.event.kind for line in await told(app, alert_id)]


async def test_what_goes_on_when_its_silence_runs_out_is_raised_again(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _), (other, _)] = await raised(app, draft(), draft("x", severity=Severity.CRITICAL))
        client = await app.as_(OPERATOR)
        await client.post(f"/v1/alerts/{one.id}/acknowledge", json={"comment": "looking"})
        made = await silence(client)
        assert (made.state, made.muted_now, made.created_by) == ("active", 2, OPERATOR.name)
        muted = await shown(app, one.id)
        assert [(by.kind, by.id, by.by, by.until) for by in muted.muted_by] == [
            ("silence", made.id, OPERATOR.name, made.ends_at)
        ]
        assert muted.status is AlertStatus.ACKNOWLEDGED
        assert muted.escalation is not None
        assert muted.escalation.next_at is None
        await clear(app, other.id)
        time.pass_(minutes=59)
        await tick(app)
        assert (await shown(app, one.id)).muted_by
        time.pass_(minutes=1)
        await tick(app)
        await tick(app)
        again = await shown(app, one.id)
        assert (again.status, again.muted_by, again.times_raised) == (AlertStatus.OPEN, [], 2)
        assert again.acknowledged_by is None
        assert again.due_at == time.at + timedelta(minutes=60)
        assert again.escalation is not None
        assert again.escalation.next_at == time.at + timedelta(minutes=60)
        assert await kinds(app, one.id) == [
            "raised", "acknowledged", "silenced", "silence_ended", "acknowledgement_ended", "raised_again",
        ]  # fmt: skip
        assert (await shown(app, other.id)).times_raised == 1
        assert await kinds(app, other.id) == ["raised", "silenced", "cleared"]
        over = Silence.model_validate_json((await client.get(f"/v1/silences/{made.id}")).content)
        assert (over.state, over.muted_now, over.ended_by) == ("ended", 0, None)


async def test_an_alert_raised_under_a_silence_is_muted_from_the_first(app: App) -> None:
    client = await app.as_(OPERATOR)
    await silence(client)
    [(one, is_new), (free, _)] = await raised(app, draft(), draft("free", scope=Scope.parse("chain:base")))
    assert is_new
    assert one.muted_by
    assert not free.muted_by
    first, *_ = await told(app, one.id)
    assert (first.event.kind, first.muted) == ("raised", True)
    [heard] = await told(app, free.id)
    assert not heard.muted
    async with app.runtime.database.read() as session:
        counts = await alerts.counts(session)
        urgent = await alerts.most_urgent(session, 10)
        all_alike = await alerts.most_urgent_of(session, 10, lambda _: True)
    assert counts.total == 1
    assert [alert.id for alert in urgent] == [free.id, one.id]
    assert {alert.id for alert in all_alike} == {free.id, one.id}


async def test_under_two_silences_it_is_raised_again_when_the_last_ends(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft())
        client = await app.as_(OPERATOR)
        first = await silence(client, minutes=10)
        second = await silence(client, minutes=20, matchers=[{"name": "alertname", "op": "=~", "value": "DAILY_.*"}])
        assert {by.id for by in (await shown(app, one.id)).muted_by} == {first.id, second.id}
        time.pass_(minutes=10)
        await tick(app)
        assert [by.id for by in (await shown(app, one.id)).muted_by] == [second.id]
        answer = await client.post(f"/v1/silences/{second.id}/end")
        assert (answer.json()["ended_by"], answer.json()["state"]) == (OPERATOR.name, "ended")
        assert (await client.post(f"/v1/silences/{second.id}/end")).json() == answer.json()
        assert (await shown(app, one.id)).times_raised == 2


async def test_a_silence_on_the_heels_of_another_raises_nothing_again(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft())
        client = await app.as_(OPERATOR)
        await silence(client, minutes=10)
        await silence(client, minutes=10, starts_at=(time.at + timedelta(minutes=10)).isoformat())
        time.pass_(minutes=10)
        await tick(app)
        found = await shown(app, one.id)
        assert (len(found.muted_by), found.times_raised) == (1, 1)
        time.pass_(minutes=10)
        await tick(app)
        assert (await shown(app, one.id)).times_raised == 2


async def test_a_silence_that_begins_later_mutes_then(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        [(one, _)] = await raised(app, draft())
        made = await silence(await app.as_(OPERATOR), starts_at=(time.at + timedelta(minutes=5)).isoformat())
        assert made.state == "pending"
        assert await tick(app) <= clocks.CHECK_EVERY_S
        assert not (await shown(app, one.id)).muted_by
        time.pass_(minutes=4, seconds=59)
        assert await tick(app) == pytest.approx(1.0)
        time.pass_(seconds=1)
        await tick(app)
        assert (await shown(app, one.id)).muted_by
        never = await silence(await app.as_(OPERATOR), starts_at=(time.at + timedelta(minutes=5)).isoformat())
        ended = (await (await app.as_(OPERATOR)).post(f"/v1/silences/{never.id}/end")).json()
        assert ended["state"] == "ended"
        assert (await shown(app, one.id)).times_raised == 1


async def test_alerts_raised_while_a_silence_is_being_made_are_muted_in_the_end(app: App) -> None:
    """Neither transaction sees the other: the next tick finds what was missed."""
    client = await app.as_(OPERATOR)
    database = app.runtime.database
    async with database.transaction() as session:
        one, _ = await alerts.raise_alert(session, app.runtime, RULE, draft())
        made = await silence(client)
        assert made.muted_now == 0
    assert not (await shown(app, one.id)).muted_by
    await tick(app)
    assert (await shown(app, one.id)).muted_by


async def test_a_preview_says_what_would_be_muted_and_changes_nothing(app: App) -> None:
    await raised(app, *(draft(str(number)) for number in range(60)), draft("b", scope=Scope.parse("chain:base")))
    client = await app.as_(OPERATOR)
    answer = await client.post("/v1/silences/preview", json={"matchers": ARBITRAGE})
    found = SilencePreview.model_validate_json(answer.content)
    assert (found.total, len(found.alerts), found.sources) == (60, 50, [])
    async with app.runtime.database.read() as session:
        assert (await alerts.counts(session)).total == 61
    missing = [{"name": "team", "op": "!=", "value": "desk"}, {"name": "alertname", "value": "DAILY_LOSS_LIMIT"}]
    assert (await client.post("/v1/silences/preview", json={"matchers": missing})).json()["total"] == 61


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"matchers": [{"name": "a", "op": "=~", "value": "(?=a)a"}]}, "RE2"),
        ({"matchers": [{"name": "a", "op": "=~", "value": "("}]}, "not a regular expression"),
        ({"matchers": [{"name": "a", "op": "=~", "value": ".*"}]}, "mute everything"),
        ({"matchers": [{"name": "a", "value": ""}]}, "mute everything"),
        ({"matchers": []}, "matchers"),
        ({"minutes": None}, "either for how many minutes"),
        ({"minutes": 31 * 24 * 60 + 1}, "minutes"),
        ({"minutes": None, "ends_at": "2020-01-01T00:00:00Z"}, "ends after it begins"),
        ({"minutes": None, "ends_at": "2099-01-01T00:00:00Z"}, "31 days"),
        ({"comment": "  "}, "reason"),
    ],
)
async def test_a_silence_that_cannot_be_is_refused(app: App, changes: dict[str, Any], says: str) -> None:
    usual: dict[str, Any] = {"matchers": ARBITRAGE, "minutes": 60, "comment": "moving the venue"}
    answer = await (await app.as_(OPERATOR)).post("/v1/silences", json=usual | changes)
    assert answer.status_code == 422, answer.text
    assert says in answer.text


async def test_the_same_key_makes_one_silence(app: App) -> None:
    client = await app.as_(OPERATOR)
    made = await asyncio.gather(*(silence(client, idempotency_key="k1") for _ in range(3)))
    assert len({one.id for one in made}) == 1
    other = [{"name": "scope", "value": "chain:base"}]
    usual = {"matchers": other, "minutes": 60, "comment": "x", "idempotency_key": "k1"}
    assert (await client.post("/v1/silences", json=usual)).status_code == 409


async def test_silences_are_listed_newest_first_by_state(database_url: str) -> None:
    time = SetClock()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(OPERATOR)
        made = []
        for number in range(5):
            time.pass_(seconds=number % 2)
            made.append(await silence(client, minutes=10 + number))
        time.pass_(minutes=11, seconds=30)
        listed: list[Silence] = []
        params: dict[str, Any] = {"state": ["active", "pending"], "limit": 2}
        while True:
            page = Page[Silence].model_validate_json((await client.get("/v1/silences", params=params)).content)
            listed += page.items
            if page.next_cursor is None:
                break
            params["cursor"] = page.next_cursor
        assert sorted(one.id for one in listed) == sorted(one.id for one in made[2:])
        assert [one.created_at for one in listed] == sorted((one.created_at for one in listed), reverse=True)
        ended = (await client.get("/v1/silences", params={"state": "ended"})).json()["items"]
        assert {one["id"] for one in ended} == {one.id for one in made[:2]}


async def test_who_may_only_look_makes_and_ends_none(app: App) -> None:
    made = await silence(await app.as_(OPERATOR))
    body = {"matchers": ARBITRAGE, "minutes": 60, "comment": "no"}
    for person in (AUDITOR, OFFICER):
        client = await app.as_(person)
        assert (await client.post("/v1/silences", json=body)).status_code == 403
        assert (await client.post(f"/v1/silences/{made.id}/end")).status_code == 403
        assert (await client.get(f"/v1/silences/{made.id}")).status_code == 200


async def test_the_history_lets_nothing_be_changed_but_an_erased_name(app: App, database_url: str) -> None:
    [(one, _)] = await raised(app, draft())
    client = await app.as_(OPERATOR)
    await silence(client)
    await client.post(f"/v1/alerts/{one.id}/acknowledge", json={"comment": ""})
    plain = database_url.replace("+psycopg", "")
    async with await psycopg.AsyncConnection.connect(plain, autocommit=True) as connection:
        for statement in (
            b"UPDATE alert_events SET text = 'x'",
            b"UPDATE alert_events SET actor = 'x', at = now()",
            b"DELETE FROM alert_events",
            b"TRUNCATE alert_events",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
    async with app.runtime.database.transaction() as session:
        await alerts.forget_person(session, OPERATOR.name, stand_in="pid:1")
    assert OPERATOR.name not in {line.event.actor for line in await told(app, one.id)}
    found = await shown(app, one.id)
    assert (found.acknowledged_by, found.muted_by[0].by) == ("pid:1", "pid:1")


async def test_the_audit_log_names_every_alert_of_a_large_silence(app: App) -> None:
    ids = {one.id for one, _ in await raised(app, *(draft(str(number)) for number in range(120)))}
    client = await app.as_(OPERATOR)
    made = await silence(client)
    await client.post(f"/v1/silences/{made.id}/end")
    await settled(app)
    async with app.runtime.database.read() as session:
        rows = list(await session.scalars(select(AuditLog).where(AuditLog.event_type.like("alerts.%"))))
    for act in ("muted", "raised_again"):
        entries = [row for row in rows if row.event_type == f"alerts.alert.{act}"]
        named = [ident for row in entries for ident in (row.new_value or {})["alerts"]]
        assert len(entries) == 2
        assert sorted(named) == sorted(ids)
        assert {row.user_id for row in entries} == {OPERATOR.name}
    assert {row.event_type for row in rows if row.resource_id == made.id} == {
        "alerts.silence.created", "alerts.silence.ended",
    }  # fmt: skip


SCOPES = ("chain:base", "chain:op", "strategy:arbitrage")


@dataclass
class Known:
    """What must be true of one live alert, by the plainest means."""

    ident: str
    scope: str
    times: int = 1
    acknowledged: bool = False
    over: set[str] = field(default_factory=set)
    """Silences that mute it."""


@dataclass
class Model:
    """A floor with some silences: minutes, sets and nothing else."""

    minute: int = 0
    live: dict[str, Known] = field(default_factory=dict)
    silences: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Scope, first minute, last minute."""

    def settle(self) -> None:
        """What the clock of the minute does."""
        self.begin()
        for ident, (_, _, end) in list(self.silences.items()):
            if self.minute >= end:
                self.lift(ident)

    def begin(self) -> None:
        """Mute what a silence in force is about."""
        for ident, (scope, start, end) in self.silences.items():
            for one in self.live.values():
                if start <= self.minute < end and one.scope == scope:
                    one.over.add(ident)

    def lift(self, ident: str) -> None:
        """End a silence."""
        del self.silences[ident]
        for one in self.live.values():
            if ident in one.over:
                one.over.discard(ident)
                if not one.over:
                    one.times, one.acknowledged = one.times + 1, False


@pytest.mark.parametrize("seed", range(1, 5))
async def test_any_history_of_silences_ends_as_a_plain_model_says(database_url: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  a history, no secret
    time, model = SetClock(), Model()
    async with started_app(database_url, clock=time.clock) as app:
        client = await app.as_(OPERATOR)
        for _ in range(25):
            await _step(app, client, chance, model)
            if chance.random() < 0.5:
                minutes = chance.choice((1, 5, 20))
                time.pass_(minutes=minutes)
                model.minute += minutes
            await tick(app)
            model.settle()
            async with app.runtime.database.read() as session:
                live = dict(await alerts.live_of_rules(session, ["DAILY_LOSS_LIMIT"]))
                waiting = (await alerts.counts(session)).total
            assert live.keys() == model.live.keys()
            for mark, known in model.live.items():
                shown_now = live[mark]
                assert {by.id for by in shown_now.muted_by} == known.over, (seed, mark)
                assert (shown_now.times_raised, shown_now.acknowledged_by is not None) == (
                    known.times, known.acknowledged,
                ), (seed, mark)  # fmt: skip
            assert waiting == sum(not known.over for known in model.live.values())


async def _step(app: App, client: httpx.AsyncClient, chance: random.Random, model: Model) -> None:
    scope, mark = chance.choice(SCOPES), f"m{chance.randrange(6)}"
    what = chance.choice(("raise", "raise", "silence", "silence", "acknowledge", "clear", "end"))
    if what == "raise" and mark not in model.live:
        [(one, _)] = await raised(app, draft(mark, scope=Scope.parse(scope)))
        model.live[mark] = Known(one.id, scope)
        model.live[mark].over = {
            ident
            for ident, (over, start, end) in model.silences.items()
            if over == scope and start <= model.minute < end
        }
    elif what == "silence":
        matchers = [{"name": "scope", "value": scope}]
        later, minutes = chance.choice((0, 0, 5)), chance.choice((1, 10, 30))
        starts = app.runtime.clock.now() + timedelta(minutes=later)
        made = await silence(client, matchers=matchers, minutes=minutes, starts_at=starts.isoformat())
        model.silences[made.id] = (scope, model.minute + later, model.minute + later + minutes)
        model.begin()
    elif what == "acknowledge" and mark in model.live:
        await client.post(f"/v1/alerts/{model.live[mark].ident}/acknowledge", json={"comment": ""})
        model.live[mark].acknowledged = True
    elif what == "clear" and mark in model.live:
        await clear(app, model.live.pop(mark).ident)
    elif what == "end" and model.silences:
        ident = chance.choice(sorted(model.silences))
        await client.post(f"/v1/silences/{ident}/end")
        model.lift(ident)
