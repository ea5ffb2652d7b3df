"""What is shown before anybody decides: how much an erasure would destroy, and how much a legal hold keeps."""

from typing import Any

import httpx
from sqlalchemy import text

from backend import paging
from backend.audit import amounts
from backend.audit.service import AuditDraft, record
from backend.context import Caller
from tests.support.app import App
from tests.support.ledger import settled
from tests.support.people import ADMIN, AUDITOR, OFFICER, OFFICER2, OPERATOR

ADDRESS = "203.0.113.77"


async def _act(app: App, count: int) -> None:
    caller = Caller(OPERATOR.name, "user", "mev_operator", frozenset(), "request", ip=ADDRESS, user_agent="a browser")
    for number in range(count):
        draft = AuditDraft("alerts.alert.acknowledged", "acknowledge", "alert", f"{number}")
        async with app.runtime.database.transaction() as session:
            await record(session, app.runtime, caller, draft)
    await settled(app)


async def _preview(client: httpx.AsyncClient, subject: str) -> dict[str, Any]:
    answer = await client.post("/v1/privacy/erasures/preview", json={"subject": subject})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _stored_values(app: App, surrogate: str) -> int:
    async with app.runtime.database.read() as session:
        counted = text("SELECT count(*) FROM audit_sealed WHERE subject = :subject")
        return int((await session.execute(counted, {"subject": surrogate})).scalar_one())


async def test_the_preview_says_what_the_erasure_then_destroys(app: App) -> None:
    await _act(app, 3)
    async with await app.as_(OFFICER) as officer, await app.as_(ADMIN) as admin:
        await settled(app)
        before = await _preview(officer, OPERATOR.name)
        assert before["subject"] == OPERATOR.name
        assert (before["entries"], before["legal_holds"]) == (3, 0)
        assert 6 <= before["sealed_values"] == await _stored_values(app, before["surrogate"])
        assert await _preview(officer, before["surrogate"]) == before, "the second person may have the surrogate only"
        asked = await officer.post("/v1/privacy/erasures", json={"subject": OPERATOR.name, "reason": "asked"})
        erased = (await admin.post(f"/v1/privacy/erasures/{asked.json()['id']}/approve")).json()
        assert erased["values_erased"] == before["sealed_values"]
        for name in (OPERATOR.name, before["surrogate"], "nobody-of-that-name"):
            gone = await admin.post("/v1/privacy/erasures/preview", json={"subject": name})
            assert gone.status_code == 404, gone.text
    async with await app.as_(AUDITOR) as auditor:
        refused = await auditor.post("/v1/privacy/erasures/preview", json={"subject": ADMIN.name})
        assert refused.status_code == 403


async def test_counting_ends_at_the_cap(app: App, monkeypatch: Any) -> None:
    await _act(app, 3)
    monkeypatch.setattr(paging, "COUNT_CAP", 2)
    async with app.runtime.database.read() as session:
        subject = await session.scalar(text("SELECT pid FROM audit_subjects WHERE name = 'olga'"))
        assert await amounts.amount_of(session, subject, amounts.Part()) == amounts.Amount(2, 2)


async def test_a_legal_hold_is_shown_with_where_it_stands_and_what_it_keeps(app: App) -> None:
    await _act(app, 3)
    async with await app.as_(OFFICER) as officer, await app.as_(OFFICER2) as second:
        await settled(app)
        placed = (
            await officer.post(
                "/v1/privacy/legal-holds", json={"subject": OPERATOR.name, "reason": f"{OPERATOR.name} is in a case"}
            )
        ).json()
        assert (placed["state"], placed["subject"], placed["placed_by"]) == ("in_force", OPERATOR.name, OFFICER.name)
        assert placed["reach"] is None, "not counted in lists"
        assert (await _preview(officer, OPERATOR.name))["legal_holds"] == 1
        where = f"/v1/privacy/legal-holds/{placed['id']}"
        shown = (await officer.get(where)).json()
        values = (await _preview(officer, OPERATOR.name))["sealed_values"]
        assert shown["reach"] == {"entries": 3, "sealed_values": values, "count_cap": paging.COUNT_CAP}
        assert {**shown, "reach": None} == placed
        assert (await officer.post(f"{where}/lift", json={"reason": "over"})).json()["state"] == "lift_requested"
        assert (await _preview(officer, OPERATOR.name))["legal_holds"] == 1, "it stays in force"
        assert (await second.post(f"{where}/lift/approve")).json()["state"] == "lifted"
        assert (await _preview(officer, OPERATOR.name))["legal_holds"] == 0
        listed = (await officer.get("/v1/privacy/legal-holds", params={"lifted": True})).json()["items"]
        assert [one["state"] for one in listed] == ["lifted"]
        assert (await officer.get("/v1/privacy/legal-holds/no-such")).status_code == 404


async def test_a_hold_on_a_log_counts_the_entries_of_its_time(app: App) -> None:
    await _act(app, 3)
    async with await app.as_(OFFICER) as officer:
        kept = {"log": "1y", "reason": "a case"}
        reaches = []
        for part in ({}, {"until": "2020-01-01T00:00:00Z"}, {"log": "no-such-log"}):
            placed = (await officer.post("/v1/privacy/legal-holds", json={**kept, **part})).json()
            reaches.append((await officer.get(f"/v1/privacy/legal-holds/{placed['id']}")).json()["reach"])
    assert reaches[0]["entries"] >= 3
    assert [one["entries"] for one in reaches[1:]] == [0, 0]
    assert {one["sealed_values"] for one in reaches} == {None}
