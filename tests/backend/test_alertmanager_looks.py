"""Looks at an Alertmanager's API: what is muted, what is gone, copies of silences, and one that misbehaves."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import select

from backend.alerts.alertmanager import asking
from backend.alerts.alertmanager.asking import judge_silence, look
from backend.alerts.alertmanager.configured import Configured, alertmanagers_of
from backend.alerts.alertmanager.line import MAX_ANSWER_BYTES, Line
from backend.alerts.alertmanager.polling import Watched, note_source
from backend.alerts.tables import AlertEventRow, AlertmanagerSource, AlertRow
from backend.errors import ConfigurationError
from backend.settings import Settings
from contract.alertmanager import MAX_ALERTS
from tests.support.alertmanager_bodies import BEGAN, HOOK, deliverer, delivery, go_time, told
from tests.support.app import App, started_app
from tests.support.clocks import SetClock
from tests.support.ledger import entries_of
from tests.support.people import OPERATOR

URL = "http://alertmanager.example:9093"


@dataclass
class There:
    """An Alertmanager's API in memory."""

    away: bool = False
    away_for: set[str] = field(default_factory=set)
    """Verbs that nobody answers."""
    asked: dict[str, list[str]] = field(default_factory=dict)
    """What was asked, by verb."""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    silences: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuses: int | None = None
    raw: bytes | None = None
    created: int = 0
    ended: list[str] = field(default_factory=list)

    def fires(self, name: str, *, begun: float = 0, updated: float = 0, **status: list[str]) -> None:
        """Have an alert."""
        known: dict[str, Any] = {
            "state": "suppressed" if any(status.values()) else "active",
            "silencedBy": [],
            "inhibitedBy": [],
        }
        made = told(name, begun=begun) | {"endsAt": go_time(BEGAN + timedelta(days=1))}
        made |= {"updatedAt": go_time(BEGAN + timedelta(minutes=updated or begun)), "status": known | status}
        self.alerts = [*(one for one in self.alerts if one["fingerprint"] != made["fingerprint"]), made]

    def ends(self, ident: str) -> None:
        """Have a silence ended by somebody there."""
        self.silences[ident] |= {"status": {"state": "expired"}, "endsAt": go_time(BEGAN + timedelta(minutes=31))}

    def silence(self, ident: str, comment: str, state: str = "active") -> None:
        """Have a silence."""
        self.silences[ident] = {
            "id": ident, "status": {"state": state}, "comment": comment, "createdBy": "alice",
            "startsAt": go_time(BEGAN), "endsAt": go_time(BEGAN + timedelta(hours=5)), "updatedAt": go_time(BEGAN),
            "matchers": [{"name": "alertname", "value": "Nobody", "isRegex": False, "isEqual": True}],
        }  # fmt: skip

    def answer(self, request: httpx.Request) -> httpx.Response:
        """As its API answers."""
        self.asked.setdefault(request.method, []).append(request.url.path)
        if self.away or request.method in self.away_for:
            raise httpx.ConnectError("nobody there")
        status, content = self._answered(request)
        return httpx.Response(status, content=content if self.raw is None else self.raw)

    def _answered(self, request: httpx.Request) -> tuple[int, bytes]:
        path = request.url.path.removeprefix("/api/v2")
        if request.method == "DELETE":
            self.ended.append(path)
            self.silences[path.rpartition("/")[2]]["status"]["state"] = "expired"
            return 200, b""
        if request.method == "POST":
            if self.refuses is not None:
                return self.refuses, b'"\x1b[31mno"'
            self.created += 1
            self.silence(f"copy-{self.created}", orjson.loads(request.content)["comment"])
            return 200, orjson.dumps({"silenceID": f"copy-{self.created}"})
        read = {
            "/alerts": self.alerts,
            "/silences": list(self.silences.values()),
            "/status": {"cluster": {"status": "ready", "name": "01ABC"}},
        }
        return (200, orjson.dumps(read[path])) if path in read else (404, b'"nothing here"')


class Looking:
    """A backend that looks when it is told to."""

    def __init__(self, app: App, there: There) -> None:
        self.app, self.there = app, there
        self._line = Line(URL, httpx.MockTransport(there.answer))

    async def look(self) -> None:
        """Look once."""
        await look(self.app.runtime, Watched("main", URL, self._line, asking._unfenced))

    async def rows(self) -> dict[str, AlertRow]:
        async with self.app.runtime.database.read() as session:
            return {row.rule: row for row in await session.scalars(select(AlertRow))}

    async def source(self) -> AlertmanagerSource:
        async with self.app.runtime.database.read() as session:
            return await session.get_one(AlertmanagerSource, "main")

    async def silenced(self, value: str = "RpcLag") -> str:
        """Make a silence here."""
        async with self.app.runtime.database.transaction() as session:
            await note_source(session, "main", url=URL)
        operator = await self.app.as_(OPERATOR)
        body = {"matchers": [{"name": "alertname", "value": value}], "minutes": 60, "comment": "planned move"}
        return str((await operator.post("/v1/silences", json=body)).json()["id"])

    async def copy(self, silence: str) -> dict[str, Any]:
        """What is known of its copy."""
        operator = await self.app.as_(OPERATOR)
        (copy,) = (await operator.get(f"/v1/silences/{silence}")).json()["copies"]
        return dict(copy)


@pytest.fixture
def hand() -> SetClock:
    return SetClock(BEGAN + timedelta(minutes=30))


@pytest.fixture
async def looking(database_url: str, hand: SetClock) -> AsyncIterator[Looking]:
    async with started_app(database_url, clock=hand.clock) as app:
        yield Looking(app, There())


async def test_what_is_muted_there_is_here_and_nobody_is_told(looking: Looking) -> None:
    looking.there.silence("their-1", "nodes move")
    looking.there.fires("Silenced", silencedBy=["their-1"])
    looking.there.fires("Inhibited", inhibitedBy=["0123456789abcdef"])
    looking.there.fires("Timed", mutedBy=["weekends"])
    looking.there.fires("Heard")
    await looking.look()
    rows = await looking.rows()
    mutes = {name: [(mute["kind"], mute["id"]) for mute in row.muted_by] for name, row in rows.items()}
    assert mutes == {
        "Silenced": [("silence", "their-1")],
        "Inhibited": [("inhibition", "0123456789abcdef")],
        "Timed": [("mute_time", "weekends")],
        "Heard": [],
    }
    assert (rows["Silenced"].muted_by[0]["by"], rows["Silenced"].muted_by[0]["comment"]) == ("alice", "nodes move")
    async with looking.app.runtime.database.read() as session:
        query = select(AlertRow.rule, AlertEventRow.facts).join(AlertRow, AlertRow.id == AlertEventRow.alert_id)
        raised = {
            rule: "muted" in facts for rule, facts in await session.execute(query.where(AlertEventRow.kind == "raised"))
        }
    assert raised == {"Silenced": True, "Inhibited": True, "Timed": True, "Heard": False}
    assert {name for name, row in rows.items() if row.escalates_at is not None} == {"Heard"}

    looking.there.fires("Silenced")
    await looking.look()
    again = (await looking.rows())["Silenced"]
    assert (again.muted_by, again.times_raised) == ([], 2)
    assert again.escalates_at is not None
    assert (await looking.source()).cluster == "01ABC"


async def test_what_is_gone_is_cleared_after_a_while_and_comes_back(looking: Looking, hand: SetClock) -> None:
    hook = await deliverer(looking.app, "main")
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag")))
    await looking.look()
    assert (await looking.rows())["RpcLag"].status == "open", "an Alertmanager that has just been started"
    hand.pass_(seconds=looking.app.runtime.policy.alertmanager.gone_seconds + 1)
    await looking.look()
    gone = (await looking.rows())["RpcLag"]
    assert (gone.status, gone.ends_at) == ("cleared", None)
    looking.there.fires("RpcLag")
    await looking.look()
    back = (await looking.rows())["RpcLag"]
    assert (back.id, back.status, back.times_raised) == (gone.id, "open", 2)


async def test_only_the_api_is_believed_that_what_ended_goes_on(looking: Looking, hand: SetClock) -> None:
    hook = await deliverer(looking.app, "main")
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag")))
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag", over=20)))
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag")))
    looking.there.fires("RpcLag", updated=19)
    await looking.look()
    assert (await looking.rows())["RpcLag"].status == "cleared"
    looking.there.fires("RpcLag", updated=25)
    await looking.look()
    assert (await looking.rows())["RpcLag"].status == "open"
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag", over=28)))
    assert (await looking.rows())["RpcLag"].status == "cleared"


async def test_a_silence_is_made_there_once_and_ended_there(looking: Looking) -> None:
    silence = await looking.silenced()
    looking.there.refuses = 400
    await looking.look()
    assert await looking.copy(silence) == {
        "source": "main", "id": None, "error": 'It answers 400: " [31mno"', "state": "pending",
    }  # fmt: skip
    looking.there.refuses = None
    await looking.look()
    await looking.look()
    assert await looking.copy(silence) == {"source": "main", "id": "copy-1", "error": None, "state": "standing"}
    assert looking.there.silences["copy-1"]["comment"] == f"planned move (Watchfloor {silence})"
    operator = await looking.app.as_(OPERATOR)
    assert len((await operator.get("/v1/silences")).json()["items"]) == 1, "the copy is no silence of theirs"
    await operator.post(f"/v1/silences/{silence}/end")
    await looking.look()
    await looking.look()
    assert looking.there.ended == ["/silence/copy-1"]
    assert [(entry.new_value or {})["id"] for entry in await entries_of(looking.app, "alerts.silence.copied")] == [
        "copy-1"
    ] * 2


async def test_a_copy_whose_id_was_never_written_down_is_found(looking: Looking) -> None:
    silence = await looking.silenced()
    looking.there.silence("lost", f"planned move (Watchfloor {silence})")
    await looking.look()
    assert (await looking.copy(silence))["id"] == "lost"
    assert looking.there.created == 0


async def test_a_copy_that_was_ended_there_stays_ended(looking: Looking) -> None:
    silence = await looking.silenced()
    await looking.look()
    looking.there.ends("copy-1")
    await looking.look()
    ended = {"source": "main", "id": "copy-1", "error": None, "state": "ended_there"}
    assert await looking.copy(silence) == ended
    looking.there.silences.clear()  # it forgets ended silences after five days
    await looking.look()
    assert (looking.there.created, await looking.copy(silence)) == (1, ended)
    assert {entry.action for entry in await entries_of(looking.app, "alerts.silence.copied")} == {
        "silence created in an Alertmanager", "silence found ended in an Alertmanager",
    }  # fmt: skip


async def test_a_copy_that_was_lost_there_is_made_again(looking: Looking) -> None:
    silence = await looking.silenced()
    await looking.look()
    looking.there.silences.clear()
    await looking.look()
    assert (looking.there.created, (await looking.copy(silence))["id"]) == (2, "copy-2")


async def test_a_copy_that_somebody_changed_there_is_the_one_that_ends_with_ours(looking: Looking) -> None:
    silence = await looking.silenced()
    await looking.look()
    looking.there.ends("copy-1")
    looking.there.silence("longer", f"planned move (Watchfloor {silence})")
    await looking.look()
    assert ((await looking.copy(silence))["id"], (await looking.copy(silence))["state"]) == ("longer", "standing")
    operator = await looking.app.as_(OPERATOR)
    await operator.post(f"/v1/silences/{silence}/end")
    await looking.look()
    assert looking.there.ended == ["/silence/longer"]


async def test_a_copy_that_runs_out_a_little_early_was_ended_by_nobody(looking: Looking) -> None:
    silence = await looking.silenced()
    await looking.look()
    ends_at = go_time(BEGAN + timedelta(minutes=89, seconds=59.5))
    looking.there.silences["copy-1"] |= {"status": {"state": "expired"}, "endsAt": ends_at}
    await looking.look()
    assert (await looking.copy(silence))["state"] == "ended"


async def test_silences_are_made_and_ended_while_there_are_too_many_alerts(looking: Looking) -> None:
    looking.there.alerts = [{}] * (MAX_ALERTS + 1)
    silence = await looking.silenced()
    await looking.look()
    assert await looking.copy(silence) == {"source": "main", "id": "copy-1", "error": None, "state": "standing"}
    assert "more than 10,000 alerts" in str((await looking.source()).last_error)
    assert (await looking.source()).last_poll_at is None
    operator = await looking.app.as_(OPERATOR)
    await operator.post(f"/v1/silences/{silence}/end")
    await looking.look()
    assert (looking.there.ended, (await looking.copy(silence))["state"]) == (["/silence/copy-1"], "ended")


async def test_a_silence_shows_that_its_alertmanager_does_not_answer(looking: Looking) -> None:
    silence = await looking.silenced()
    later = await looking.silenced("Other")
    looking.there.away = True
    await looking.look()
    away = {"source": "main", "id": None, "error": "It does not answer (ConnectError).", "state": "pending"}
    assert (await looking.copy(silence), await looking.copy(later)) == (away, away)
    looking.there.away, looking.there.away_for = False, {"POST"}
    await looking.look()
    assert len(looking.there.asked["POST"]) == 1, "the second would wait as long"
    looking.there.away_for = set()
    await looking.look()
    assert [(await looking.copy(one))["error"] for one in (silence, later)] == [None, None]
    operator = await looking.app.as_(OPERATOR)
    await operator.post(f"/v1/silences/{silence}/end")
    looking.there.away = True
    await looking.look()
    assert (await looking.copy(silence))["error"] == away["error"], "it goes on muting there"
    assert (await looking.copy(later))["error"] is None


async def test_an_alertmanager_that_talks_nonsense_changes_nothing(looking: Looking) -> None:
    looking.there.fires("RpcLag")
    await looking.look()
    for raw in (b"", b"[{}]", b"{}", b"[" * 50_000, b"x" * (MAX_ANSWER_BYTES + 1)):
        looking.there.raw = raw
        await looking.look()
        error = (await looking.source()).last_error
        assert error is not None
        assert error.isprintable()
    assert (await looking.rows())["RpcLag"].status == "open"
    looking.there.raw = None
    await looking.look()
    assert (await looking.source()).last_error is None


async def test_a_source_that_is_cut_off_is_an_alert_until_it_is_heard(looking: Looking, hand: SetClock) -> None:
    runtime, since = looking.app.runtime, hand.clock.now()

    async def judged() -> str | None:
        async with runtime.database.transaction() as session:
            await judge_silence(session, runtime, "main", since)
        row = (await looking.rows()).get("ALERTMANAGER_SILENT")
        return None if row is None else row.status

    assert await judged() is None
    hand.pass_(seconds=61)
    assert await judged() == "open"
    hook = await deliverer(looking.app, "main")
    await hook.post(f"{HOOK}/main", json=delivery(told("RpcLag")))
    assert await judged() == "cleared"


def test_what_is_configured_is_read_or_refused() -> None:
    def read(text: str) -> tuple[Configured, ...]:
        return alertmanagers_of(Settings(database_url="postgresql://x/y", alertmanagers=text))

    assert read("") == ()
    assert read("eu=http://a:9093/am/, us=https://b") == (
        Configured("eu", "http://a:9093/am"),
        Configured("us", "https://b"),
    )
    for wrong in (
        "eu",
        "EU=http://a",
        "eu=ftp://a",
        "eu=http://",
        "eu=http://u:p@a",
        "eu=http://a eu=http://b",
        "eu=http://a:x",
    ):
        with pytest.raises(ConfigurationError):
            read(wrong)
