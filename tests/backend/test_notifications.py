"""Notifications: told once to whom the policy says, tried again, spared, and never with an address in sight."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from backend.alerts import service as alerts
from backend.alerts.tables import AlertRow
from backend.events import keep_order
from backend.freeze.tables import FreezeDrillRow
from backend.notifications import following, service
from backend.notifications.absent import FAILING
from backend.notifications.tables import NotificationCursor
from contract.alerts import AcknowledgeRequest, Alert, Severity
from contract.scope import Scope
from tests.support.app import SWIFT, App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.notifying import RULE, channel_file, cleared, delivered, draft, followed, raised, rows, told
from tests.support.people import ADMIN, OPERATOR
from tests.support.receivers import Receiver, mailbox, webhook

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
SECRET = "T0KENofthechannel"
ROUTE = "/v1/notifications"
TITLE = "[CRITICAL] DAILY_LOSS_LIMIT (strategy:arbitrage)"


@pytest.fixture
def hand() -> SetClock:
    return SetClock(START)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def file(tmp_path: Path, hook: Receiver) -> Path:
    return channel_file(tmp_path / "channels.toml", {"oncall": hook.url(SECRET)})


@pytest.fixture
async def app(database_url: str, hand: SetClock, file: Path, tmp_path: Path) -> AsyncIterator[App]:
    """A backend whose clock stands, that queues and sends when the test says so."""
    policy = tmp_path / "policy.toml"
    policy.write_text(f'extends = "{SWIFT}"\n[watchfloor.notifications]\nper_minute = 3\ntries = 3\n')
    settings = {"notifications_file": file}
    async with started_app(database_url, clock=hand.clock, policy=str(policy), settings=settings) as running:
        yield running


async def test_whoever_the_policy_names_is_told_once(app: App, hook: Receiver) -> None:
    [grave, _] = await raised(app, draft("a"), draft("b", severity=Severity.LOW))
    await told(app, "oncall")
    await told(app, "oncall")
    assert hook.titles == [TITLE]
    assert "lost 12 ETH" in hook.arrived[0]["message"]
    assert f"watchfloor alerts show {grave.id}" in hook.arrived[0]["message"]
    assert hook.arrived[0]["type"] == "failure"
    [row] = await rows(app)
    assert (row.state, row.attempts, row.sent_at, row.next_at, row.body) == ("sent", 1, START, None, "")


async def test_a_line_of_the_history_that_is_read_again_is_told_once(app: App, hook: Receiver) -> None:
    await raised(app, draft())
    await told(app, "oncall")
    async with app.runtime.database.transaction() as session:
        (await session.scalars(select(NotificationCursor))).one().alert_event = 0
    await told(app, "oncall")
    assert len(hook.arrived) == 1


async def test_the_history_of_the_alert_and_the_audit_log_say_who_was_told(app: App, file: Path) -> None:
    [alert] = await raised(app, draft())
    await told(app, "oncall")
    async with app.runtime.database.read() as session:
        lines = await alerts.events_of(session, [alert.id])
    assert [(one.event.text, one.event.facts["channel"]) for one in lines if one.event.kind == "notified"] == [
        ("oncall", "oncall")
    ]
    [entry] = await entries_of(app, "notifications.delivery.sent")
    assert (entry.resource_id, entry.category) == ("oncall", "monitoring")
    assert entry.new_value is not None
    assert entry.new_value["subject"] == f"alert {alert.id}"


async def test_more_alerts_than_one_look_takes_are_all_told(
    app: App, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LINES_AT_ONCE", 2)
    await raised(app, *(draft(f"{number}") for number in range(5)))
    assert [await followed(app) for _ in range(3)] == [following.MORE_AT_ONCE_S, following.MORE_AT_ONCE_S, None]
    assert len(await rows(app)) == 5


async def test_a_failure_is_tried_again_after_longer_and_longer_pauses_and_then_given_up(
    app: App, hook: Receiver, hand: SetClock
) -> None:
    hook.status = 503
    await raised(app, draft())
    await told(app, "oncall")
    [row] = await rows(app)
    assert (row.state, row.reason, row.next_at) == (
        "failed", "refused with status 503", START + timedelta(seconds=10),
    )  # fmt: skip
    assert await delivered(app, "oncall") == 0
    hand.pass_(seconds=10)
    assert await delivered(app, "oncall") == 1
    hand.pass_(seconds=19)
    assert await delivered(app, "oncall") == 0
    hand.pass_(seconds=1)
    assert await delivered(app, "oncall") == 1
    hand.pass_(hours=1)
    assert await delivered(app, "oncall") == 0
    [row] = await rows(app)
    assert (row.state, row.attempts, row.next_at) == ("given_up", 3, None)
    [entry] = await entries_of(app, "notifications.delivery.given_up")
    assert entry.error_message == "refused with status 503"


async def test_a_channel_that_takes_nothing_is_an_alert_until_it_does(app: App, hook: Receiver, hand: SetClock) -> None:
    hook.status = 500
    await raised(app, draft())
    await followed(app)
    for _ in range(3):
        await delivered(app, "oncall")
        hand.pass_(minutes=5)
    async with app.runtime.database.read() as session:
        [(_, alert)] = await alerts.live_of_rules(session, [FAILING])
    assert alert.message == "Notifications do not reach the channel oncall: refused with status 500, 3 times."
    await followed(app)
    assert len(await rows(app)) == 1, "a channel is not told that it takes nothing"
    hook.status = 200
    await raised(app, draft("other"))
    await told(app, "oncall")
    async with app.runtime.database.read() as session:
        assert await alerts.live_of_rules(session, [FAILING]) == []


async def test_a_channel_takes_so_many_and_the_rest_is_counted(app: App, hook: Receiver, hand: SetClock) -> None:
    await raised(app, *(draft(f"{number}") for number in range(9)))
    await followed(app)
    assert await delivered(app, "oncall") == 3
    hand.pass_(seconds=20)
    assert await delivered(app, "oncall") == 1
    hand.pass_(seconds=101)
    assert await delivered(app, "oncall") == 3
    assert [row.state for row in await rows(app) if row.subject_kind == "alert"].count("held_back") == 2
    hand.pass_(seconds=19)
    assert await delivered(app, "oncall") == 0
    hand.pass_(seconds=1)
    assert await delivered(app, "oncall") == 1
    assert hook.titles == [TITLE] * 7 + ["[CRITICAL] 2 more notifications"]
    assert hook.arrived[-1]["message"].count(TITLE) == 2
    [digest] = [row for row in await rows(app) if row.subject_kind == "digest"]
    assert [row.counted_in for row in await rows(app) if row.rate_spent] == [digest.id] * 2


async def test_the_gravest_goes_first(app: App, hook: Receiver) -> None:
    grave = [Severity.HIGH, Severity.CRITICAL, Severity.HIGH, Severity.CRITICAL]
    await raised(app, *(draft(f"{number}", severity=one) for number, one in enumerate(grave)))
    await told(app, "oncall")
    assert [title.split()[0] for title in hook.titles] == ["[CRITICAL]", "[CRITICAL]", "[HIGH]"]


async def test_whoever_was_told_hears_that_it_is_over(app: App, hook: Receiver) -> None:
    [alert, unheard] = await raised(app, draft("a"), draft("b"))
    async with app.runtime.database.transaction() as session:
        await alerts.clear_alert(session, app.runtime, RULE, unheard.id, why="nobody heard")
    await told(app, "oncall")
    await cleared(app, alert)
    await told(app, "oncall")
    assert hook.titles == [TITLE, f"Over: {TITLE}"]
    assert hook.arrived[-1]["type"] == "success"
    assert [(row.state, row.reason) for row in await rows(app) if row.subject_id == unheard.id] == [
        ("held_back", "over before it was sent")
    ]


async def test_what_is_over_while_it_waits_is_not_sent(app: App, hook: Receiver) -> None:
    [alert] = await raised(app, draft())
    await followed(app)
    await cleared(app, alert)
    await told(app, "oncall")
    assert hook.arrived == []
    assert [(row.state, row.reason) for row in await rows(app)] == [("held_back", "over before it was sent")]


async def test_nobody_is_told_of_what_is_muted(app: App, hook: Receiver) -> None:
    [alert] = await raised(app, draft())
    async with app.runtime.database.transaction() as session:
        mute = [{"kind": "silence", "id": "s1"}]
        await session.execute(update(AlertRow).where(AlertRow.id == alert.id).values(muted_by=mute))
    await told(app, "oncall")
    assert hook.arrived == []
    assert [(row.state, row.reason) for row in await rows(app)] == [("held_back", "muted by a silence")]


async def test_drills_are_quiet(app: App, hook: Receiver) -> None:
    async with app.runtime.database.transaction() as session:
        drill = FreezeDrillRow(
            id=app.runtime.clock.new_id(), number=1, scopes=["executor:canary"], mode="halt", reason="practice",
            started_by="mia", started_at=START, ends_at=START + timedelta(minutes=1), reported_before={},
        )  # fmt: skip
        session.add(drill)
    await raised(app, draft("a", scope=Scope.parse("executor:canary")), draft("b"))
    async with app.runtime.database.transaction() as session:
        about = {"subject_kind": "incident", "event": "declared", "severity": Severity.HIGH, "body": "…"}
        await service.tell(session, app.runtime, subject_id="INC-2026-001", title="Practice", drill=True, **about)  # type: ignore[arg-type]
        await service.tell(session, app.runtime, subject_id="INC-2026-002", title="In earnest", **about)  # type: ignore[arg-type]
    await told(app, "oncall")
    assert hook.titles == [TITLE, "In earnest"]
    assert [row.reason for row in await rows(app) if row.state == "held_back"] == ["part of a drill"] * 2


async def test_an_alert_that_is_part_of_a_drill_is_quiet_until_the_drill_is_over(app: App, hook: Receiver) -> None:
    [alert] = await raised(app, draft())
    admin = await app.as_(ADMIN)
    body = {"title": "Practice", "severity": "high", "type": "financial loss", "drill": True, "alerts": [alert.id]}
    incident = (await admin.post("/v1/incidents", json=body)).json()["id"]
    await told(app, "oncall")
    assert hook.titles == []
    linked = Alert.model_validate_json((await admin.get(f"/v1/alerts/{alert.id}")).content)
    assert [(one.kind, one.id) for one in linked.muted_by] == [("drill", incident)]
    assert linked.escalation is not None
    assert linked.escalation.next_at is None, "nobody is passed over"
    events = (await admin.get(f"/v1/alerts/{alert.id}/events")).json()["items"]
    assert [(one["kind"], one["text"]) for one in events[:2]] == [("muted", "part of a drill"), ("linked", "")]
    assert (await admin.post(f"/v1/incidents/{incident}/resolve", json={"note": "well practised"})).is_success
    await told(app, "oncall")
    assert hook.titles == [f"Again: {TITLE}"]


async def test_an_acknowledged_alert_is_told_once(app: App, hook: Receiver) -> None:
    [alert] = await raised(app, draft())
    await told(app, "oncall")
    async with app.runtime.database.transaction() as session:
        await alerts.acknowledge(session, app.runtime, RULE, alert.id, AcknowledgeRequest())
    await told(app, "oncall")
    assert len(hook.arrived) == 1


async def test_whoever_is_next_is_told_where_the_policy_says(
    app: App, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, *others = app.runtime.policy.escalation[Severity.CRITICAL]
    steps = (first, second.model_copy(update={"channels": ("director",)}), *others)
    monkeypatch.setitem(app.runtime.policy.watchfloor.escalation, Severity.CRITICAL, steps)
    [alert] = await raised(app, draft())
    await told(app, "oncall")
    operator = await app.as_(OPERATOR)
    acted = await operator.post("/v1/alerts/acts", json={"ids": [alert.id], "act": "escalate", "comment": "I am stuck"})
    assert acted.status_code == 200, acted.text
    await told(app, "oncall")
    assert hook.titles == [TITLE, f"Now with {second.title}: {TITLE}"]
    assert "stuck" not in hook.arrived[-1]["message"]
    assert {row.channel for row in await rows(app) if row.event.startswith("escalated")} == {"director", "oncall"}


async def test_whoever_has_taken_an_alert_on_and_passes_it_on_is_heard(app: App, hook: Receiver) -> None:
    [alert] = await raised(app, draft())
    await told(app, "oncall")
    operator = await app.as_(OPERATOR)
    for act, comment in (("acknowledge", ""), ("escalate", "I am stuck")):
        acted = await operator.post("/v1/alerts/acts", json={"ids": [alert.id], "act": act, "comment": comment})
        assert acted.status_code == 200, acted.text
    await told(app, "oncall")
    assert [one.startswith("Now with") for one in hook.titles] == [False, True]


async def test_who_notes_what_was_told_never_holds_the_order_while_an_alert_is_worked_on(app: App) -> None:
    [alert] = await raised(app, draft())

    async def noted() -> None:
        async with app.runtime.database.transaction() as session:
            alerts.note_notified(session, app.runtime, RULE, alert.id, channel="oncall")

    async with app.runtime.database.transaction() as working:
        await working.execute(select(AlertRow).with_for_update())
        noting = asyncio.create_task(noted())
        async with app.runtime.database.transaction() as looking:
            while not await looking.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await keep_order(working)
    await noting


async def test_an_alert_whose_silence_has_ended_is_told_again(app: App, hook: Receiver, hand: SetClock) -> None:
    operator = await app.as_(OPERATOR)
    silence = {
        "matchers": [{"name": "alertname", "op": "=", "value": "DAILY_LOSS_LIMIT"}], "minutes": 60, "comment": "known",
    }  # fmt: skip
    made = await operator.post("/v1/silences", json=silence)
    assert made.is_success, made.text
    [alert] = await raised(app, draft())
    assert [mute.kind for mute in alert.muted_by] == ["silence"]
    await told(app, "oncall")
    assert hook.arrived == []
    hand.pass_(minutes=5)
    assert (await operator.post(f"/v1/silences/{made.json()['id']}/end")).is_success
    await told(app, "oncall")
    assert hook.titles == [f"Again: {TITLE}"]
    assert [row.reason for row in await rows(app)] == ["muted by a silence", None]


async def test_mail_arrives(app: App, file: Path) -> None:
    with mailbox() as (port, mails):
        address = f"mailto://127.0.0.1:{port}/?from=floor@floor.example&to=desk@floor.example&mode=insecure"
        channel_file(file, {"desk": address})
        await raised(app, draft(message="Lost <b>12</b> ETH & more."))
        await told(app, "desk")
        [row] = await rows(app)
        assert (row.state, row.reason) == ("sent", None)
        [mail] = mails
    assert mail["subject"] == TITLE
    assert mail["to"] == "desk@floor.example"
    body = mail.get_body(("plain",))
    assert body is not None
    assert "Lost <b>12</b> ETH & more." in body.get_content()


class _Everything(logging.Handler):
    """What a backend would log at its most talkative."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    root, handler = logging.getLogger(), _Everything()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(before)


async def _tables(app: App) -> list[str]:
    """Every row of every table, as text; bytes are hexadecimal in it."""
    async with app.runtime.database.read() as session:
        names = (await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))).all()
        every = " UNION ALL ".join(f'SELECT t::text FROM "{name}" AS t' for name in names)  # noqa: S608  our own tables
        return list(await session.scalars(text(every)))


async def test_no_address_shows_anywhere(
    app: App, hook: Receiver, hand: SetClock, logged: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    file = app.runtime.settings.notifications_file
    assert file is not None
    admin = await app.as_(ADMIN)
    hook.status = 403
    urls = {
        "oncall": hook.url(SECRET),
        "away": f"json://user:{SECRET}@127.0.0.1:1/{SECRET}",
        "odd": f"slack://{SECRET}",
    }
    channel_file(file, urls)
    [alert] = await raised(app, draft())
    await followed(app)
    for _ in range(3):
        for name in urls:
            await delivered(app, name)
        hand.pass_(minutes=1)
    states = {row.channel: (row.state, row.reason) for row in await rows(app) if row.subject_id == alert.id}
    assert states == {
        "oncall": ("given_up", "refused with status 403"),
        "away": ("given_up", "no connection"),
        "odd": ("given_up", "the address is none that apprise knows"),
    }
    answers = [(await admin.get(f"{ROUTE}{path}")).text for path in ("", "/channels")]
    assert '"last_error":"refused with status 403"' in answers[1]
    await entries_of(app, "notifications.delivery.given_up")
    kept, printed = await _tables(app), capfd.readouterr()
    assert "notification_failed" in printed.out + printed.err
    assert any("refused with status 403" in one for one in kept)
    shown = (*answers, *kept, *logged, printed.out, printed.err)
    secrets = (SECRET, SECRET.encode().hex(), f"127.0.0.1:{hook.port}")
    assert not [one for one in shown if any(secret in one for secret in secrets)]
