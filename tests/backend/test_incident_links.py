"""What is part of an incident: an alert that was wrongly made part of one is taken out, and the timeline says so."""

import asyncio

import httpx

from backend.alerts import service as alerts
from contract.alerts import Alert, AlertStatus
from contract.incidents import Incident
from tests.backend.test_alerts import clear, draft, raised
from tests.support.app import App
from tests.support.incidents import act, declared, shown, timeline
from tests.support.ledger import entries_of
from tests.support.people import AUDITOR, OPERATOR

WHY = "another router's"


async def taken_out(client: httpx.AsyncClient, incident: str, alert: str, why: str = WHY) -> httpx.Response:
    return await client.post(f"/v1/incidents/{incident}/unlink", json={"alert": alert, "why": why})


async def alert_of(app: App, alert: Alert) -> Alert:
    async with app.runtime.database.read() as session:
        return await alerts.get_alert(session, alert.id)


async def test_an_alert_is_taken_out_of_an_incident_and_nothing_of_the_record_goes(app: App) -> None:
    client = await app.as_(OPERATOR)
    [(alert, _), (other, _)] = await raised(app, draft("a"), draft("b"))
    made = await declared(client, alerts=[alert.id, other.id])
    before = await timeline(client, made.id)
    answer = await taken_out(client, made.id, alert.id)
    assert answer.status_code == 200, answer.text
    now = Incident.model_validate(answer.json())
    assert ([link.id for link in now.links], now.version) == ([other.id], made.version + 1)
    assert (await alert_of(app, alert)).incident is None
    after = await timeline(client, made.id)
    assert {line.id for line in before} <= {line.id for line in after}
    [corrected] = [line for line in after if line.corrected_by]
    assert corrected.kind == "link"
    assert corrected.link is not None
    assert corrected.link.id == alert.id
    correction = next(line for line in after if line.id == corrected.corrected_by)
    assert (correction.kind, correction.actor) == ("correction", "olga")
    assert correction.text == f"alert {alert.rule} is not part of this incident: {WHY}"
    [told] = await entries_of(app, "incidents.record.unlinked")
    assert (told.new_value or {})["why"] == WHY
    again = await taken_out(client, made.id, alert.id)
    assert (again.status_code, again.json()) == (200, answer.json()), "sent again, it changes nothing"
    assert len(await timeline(client, made.id)) == len(after)


async def test_it_can_become_part_of_this_or_another_incident_afterwards(app: App) -> None:
    client = await app.as_(OPERATOR)
    [(alert, _)] = await raised(app, draft())
    made = await declared(client, alerts=[alert.id])
    await taken_out(client, made.id, alert.id)
    await act(client, made.id, "links", kind="alert", id=alert.id)
    assert [link.id for link in (await shown(client, made.id)).links] == [alert.id]
    await taken_out(client, made.id, alert.id, "once more")
    assert len([line for line in await timeline(client, made.id) if line.corrected_by]) == 2
    other = await declared(client, alerts=[alert.id])
    late = await taken_out(client, made.id, alert.id)
    assert (late.status_code, other.id in late.json()["message"]) == (409, True)
    assert (await alert_of(app, alert)).incident == other.id


async def test_an_alert_taken_out_of_a_drill_sounds_again(app: App) -> None:
    client = await app.as_(OPERATOR)
    [(alert, _)] = await raised(app, draft())
    made = await declared(client, alerts=[alert.id], drill=True)
    assert (await alert_of(app, alert)).muted_by
    await taken_out(client, made.id, alert.id)
    now = await alert_of(app, alert)
    assert (now.muted_by, now.status, now.times_raised) == ([], AlertStatus.OPEN, 2)


async def test_what_is_refused(app: App) -> None:
    client = await app.as_(OPERATOR)
    [(alert, _), (stranger, _)] = await raised(app, draft("a"), draft("b"))
    made = await declared(client, severity="low", alerts=[alert.id])
    assert (await taken_out(client, made.id, stranger.id)).status_code == 404, "it never was part of it"
    assert (await taken_out(client, made.id, "none")).status_code == 404
    assert (await taken_out(client, "INC-2001-001", alert.id)).status_code == 404
    for why in ("", "  ", "a\x00b", "x" * 2_001):
        assert (await taken_out(client, made.id, alert.id, why)).status_code == 422, repr(why)
    assert (await taken_out(await app.as_(AUDITOR), made.id, alert.id)).status_code == 403
    await act(client, made.id, "resolve", note="over")
    await act(client, made.id, "close")
    assert (await taken_out(client, made.id, alert.id)).status_code == 409, "a closed record does not change"
    assert (await alert_of(app, alert)).incident == made.id


async def test_two_who_take_it_out_at_once_write_one_line(app: App) -> None:
    client = await app.as_(OPERATOR)
    [(alert, _)] = await raised(app, draft())
    made = await declared(client, alerts=[alert.id])
    answers = await asyncio.gather(*(taken_out(client, made.id, alert.id) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len([line for line in await timeline(client, made.id) if line.kind == "correction"]) == 1


async def test_the_alerts_of_a_drill_that_is_opened_again_fall_silent_again(app: App) -> None:
    client = await app.as_(OPERATOR)
    [(one, _), (gone, _), (real, _)] = await raised(app, draft("a"), draft("b"), draft("c"))
    made = await declared(client, alerts=[one.id, gone.id], drill=True)
    await act(client, made.id, "resolve", note="over")
    assert not (await alert_of(app, one)).muted_by
    await clear(app, gone.id)
    await act(client, made.id, "reopen", why="not yet")
    now = await alert_of(app, one)
    assert [(mute.kind, mute.id) for mute in now.muted_by] == [("drill", made.id)]
    assert now.escalation is not None
    assert now.escalation.next_at is None
    assert not (await alert_of(app, gone)).muted_by, "what has cleared needs no silence"
    await act(client, made.id, "resolve", note="over")
    assert not (await alert_of(app, one)).muted_by
    earnest = await declared(client, alerts=[real.id])
    await act(client, earnest.id, "resolve", note="over")
    await act(client, earnest.id, "reopen", why="not yet")
    assert not (await alert_of(app, real)).muted_by, "no drill"
