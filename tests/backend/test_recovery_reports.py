"""Reports of recovery drills over HTTP: four forms, one hash, signed once by somebody else; findings become actions."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from backend.continuity import service as continuity
from backend.continuity.measuring import Lost
from backend.continuity.tables import RecoveryDrillRow, RecoveryLineRow
from backend.documents.pressing import Presses
from contract.recovery import DrillReport, RecoveryDrill
from contract.recovery_states import DrillState
from tests.backend.test_recovery_drills import PATIENCE_S, POLL_S, Floor, floor
from tests.support.ledger import settled
from tests.support.outage import outage
from tests.support.pdf import text_of
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OFFICER, OPERATOR

STATEMENT = "I have read it and it says what happened."


async def report(http: httpx.AsyncClient, ref: str, form: str = "md") -> DrillReport:
    answer = await http.get(f"/v1/recovery/drills/{ref}/report", params={"format": form})
    assert answer.status_code == 200, answer.text
    return DrillReport.model_validate(answer.json())


async def sign(http: httpx.AsyncClient, ref: str, sha256: str) -> httpx.Response:
    said = {"report_sha256": sha256, "statement": STATEMENT}
    return await http.post(f"/v1/recovery/drills/{ref}/sign", json=said)


async def entries(here: Floor, ref: str, event: str) -> list[dict[str, Any]]:
    await settled(here.app)
    found = await here.http.get("/v1/audit", params={"resource_id": ref, "event_type": event, "limit": 100})
    assert found.status_code == 200, found.text
    items: list[dict[str, Any]] = found.json()["items"]
    return items


async def test_every_form_says_the_same_under_the_same_hash(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        drill = await here.whole()
        markdown, page, data = [await report(here.http, drill.ref, form) for form in ("md", "html", "json")]
        assert len({markdown.sha256, page.sha256, data.sha256}) == 1
        told = json.loads(data.text)
        spelt = json.dumps(told["facts"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(spelt.encode()).hexdigest() == data.sha256 == told["facts_sha256"]
        printed = await here.http.get(f"/v1/recovery/drills/{drill.ref}/report.pdf")
        assert (printed.status_code, printed.headers["content-type"]) == (200, "application/pdf")
        pdf = text_of(printed.content)
        for said in (markdown.text.replace("\\", ""), page.text, pdf):
            assert markdown.sha256 in said.replace(" ", "")
            assert "every step passed" in said.lower()
            assert "the quarterly test" in said
            assert "Nobody has signed this report" in said
            evidence = drill.steps[0].evidence_sha256
            assert evidence is not None
            assert evidence in said.replace(" ", "")
        assert "| Recovery point (RPO) | 0 ms | 1 min | yes |" in markdown.text
        assert "Markers of these that were lost | 0 |" in markdown.text
        assert "Nothing was rolled back" in markdown.text
        [kept] = await entries(here, drill.ref, "recovery.report.exported")
        assert kept["new_value"]["sha256"] == hashlib.sha256(printed.content).hexdigest()


async def test_what_was_not_measured_is_said_and_never_nought(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.markers.lost_markers, here.stage.cluster.only = None, None
        drill = await here.whole()
        assert drill.state is DrillState.FAILED
        read = await report(here.http, drill.ref)
        assert "| Recovery point (RPO) | not measured | 1 min | unknown |" in read.text
        assert "| Transactions that only the old primary had | not counted |" in read.text
        assert read.proposed_findings == ["Find out why what was lost could not be counted"]


async def test_a_failed_drill_tells_its_rollback_and_proposes_what_to_look_into(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.kind.does["second"], here.stage.kind.undoes["first"] = "fail", "fail"
        drill = await here.whole()
        read = await report(here.http, drill.ref)
        assert "| 2 | Step 2 | undone |" in read.text
        assert "| 1 | Step 1 | not undone |" in read.text
        assert "- run the other thing" in read.text
        assert read.proposed_findings == [
            "Have the rollback of step 1 (Step 1) work: it stays as it is; a is the primary and all others follow it.",
            "Find out why step 2 (Step 2) ended as failed: it came to nothing",
            "Do what was left: run the other thing",
        ]


async def test_an_objective_that_was_missed_is_proposed(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.markers.lost_markers = Lost(markers=700, rpo_ms=70_000)
        drill = await here.whole()
        read = await report(here.http, drill.ref)
        assert read.proposed_findings == ["Bring the recovery point below 1 min: it was 1 min 10 s"]


async def test_another_person_signs_what_they_have_read_once(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here, await here.app.as_(OFFICER) as officer:
        drill = await here.whole()
        read = await report(officer, drill.ref)
        wrong = await sign(officer, drill.ref, "0" * 64)
        assert wrong.status_code == 409
        assert read.sha256 in wrong.json()["message"]
        assert "0" * 64 in wrong.json()["message"]
        answer = await sign(officer, drill.ref, read.sha256)
        assert answer.status_code == 200, answer.text
        signed = RecoveryDrill.model_validate(answer.json())
        assert (signed.signed_by, signed.report_sha256) == (OFFICER.name, read.sha256)
        assert (await sign(officer, drill.ref, read.sha256)).status_code == 409
        [entry] = await entries(here, drill.ref, "recovery.report.signed")
        assert (entry["user_id"], entry["new_value"]["report_sha256"]) == (OFFICER.name, read.sha256)
        after = await report(here.http, drill.ref)
        assert after.sha256 == read.sha256
        assert f"Signed by {OFFICER.name}" in after.text
        assert STATEMENT in after.text.replace("\\", "")
        assert "They differ" not in after.text
        [evidence] = (await here.http.get(f"/v1/incidents/{drill.incident}/evidence")).json()["items"]
        assert evidence["sha256"] == read.sha256


async def test_nobody_signs_what_they_had_a_hand_in(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path, {"name": "first"}) as here, await here.app.as_(ADMIN2) as other:
        ref = (await here.start(hands_off=False)).json()["ref"]
        await here.until(ref, lambda one: one.state is DrillState.WAITING)
        assert (await other.get(f"/v1/recovery/drills/{ref}/report")).status_code == 409
        assert (await sign(other, ref, "0" * 64)).status_code == 409
        await other.post(f"/v1/recovery/drills/{ref}/step", json={"number": 1})
        await here.ended(ref)
        read = await report(other, ref)
        for who in (here.http, other):
            refused = await sign(who, ref, read.sha256)
            assert (refused.status_code, refused.json()["code"]) == (403, "second_person_required")
        denied = await entries(here, ref, "recovery.report.signed")
        assert [one["result"] for one in denied] == ["denied", "denied"]


async def test_whoever_ended_it_does_not_sign(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here, await here.app.as_(ADMIN2) as other:
        here.stage.kind.does["second"] = "hang"
        ref = (await here.start()).json()["ref"]
        await here.until(ref, lambda one: one.step == 2)
        assert (await other.post(f"/v1/recovery/drills/{ref}/abort", json={"reason": "no more"})).status_code == 200
        await here.ended(ref)
        refused = await sign(other, ref, (await report(other, ref)).sha256)
        assert refused.json()["code"] == "second_person_required"


async def test_who_may(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        ref = (await here.whole()).ref
        sha256 = (await report(here.http, ref)).sha256
        for person, pdf in ((OPERATOR, 200), (AUDITOR, 403)):
            async with await here.app.as_(person) as http:
                assert (await report(http, ref, "html")).sha256 == sha256
                assert (await http.get(f"/v1/recovery/drills/{ref}/report.pdf")).status_code == pdf
                assert (await sign(http, ref, sha256)).status_code == 403
        assert (await here.app.http.get(f"/v1/recovery/drills/{ref}/report.pdf")).status_code == 401
        assert (await here.http.get("/v1/recovery/drills/DR-TEST-1/report")).status_code == 404


async def test_no_database_connection_is_held_while_a_report_is_printed(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with floor(database_url, tmp_path) as here:
        ref = (await here.whole()).ref
        pool = here.app.runtime.database.engine.pool

        async def printed(_presses: Presses, _document: object, _footer: object) -> bytes:
            async with asyncio.timeout(PATIENCE_S):  # what the backend does by itself gives its connections back
                while pool.checkedout():  # type: ignore[attr-defined]  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
            return b"%PDF-"

        monkeypatch.setattr(Presses, "printed", printed)
        assert (await here.http.get(f"/v1/recovery/drills/{ref}/report.pdf")).status_code == 200


async def test_a_finding_becomes_a_follow_up_action(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        drill = await here.whole()
        path = f"/v1/recovery/drills/{drill.ref}/findings"
        said = {"action": "Give the standby more memory", "owner": "olga", "due": "2030-01-31"}
        made = await here.http.post(path, json=said)
        assert made.status_code == 201, made.text
        assert (made.json()["incident"], made.json()["owner"], made.json()["due_on"]) == (
            drill.incident, "olga", "2030-01-31",
        )  # fmt: skip
        overview = (await here.http.get("/v1/overview")).json()
        assert overview["follow_ups_open"] == 1
        keyed = {**said, "idempotency_key": "once", "action": "Look at the standby's disk"}
        twice = [(await here.http.post(path, json=keyed)).json() for _ in range(2)]
        assert twice[0]["number"] == twice[1]["number"] == 2
        assert (await here.get(drill.ref)).findings == 2
        assert "Give the standby more memory" in (await report(here.http, drill.ref)).text
        kept = await entries(here, drill.ref, "recovery.finding.kept")
        assert len(kept) == 2
        [entry] = [one for one in kept if one["new_value"]["action"] == said["action"]]
        assert entry["new_value"]["follow_up"] == made.json()["id"]
        assert (await here.http.post(path, json={**said, "action": "x" * 201})).status_code == 422
        async with await here.app.as_(AUDITOR) as auditor:
            assert (await auditor.post(path, json=said)).status_code == 403


async def test_a_drill_that_touched_nothing_has_no_actions_and_still_a_report(
    database_url: str, tmp_path: Path
) -> None:
    async with floor(database_url, tmp_path) as here:
        here.stage.steady.before = False
        drill = await here.whole()
        said = {"action": "Look", "owner": "olga", "due": "2030-01-31"}
        refused = await here.http.post(f"/v1/recovery/drills/{drill.ref}/findings", json=said)
        assert refused.status_code == 409
        read = await report(here.http, drill.ref)
        assert "none: nothing was touched" in read.text
        assert read.proposed_findings == ["Mend what was not as it should be before: The cluster answers: it was asked"]


async def test_a_signed_report_whose_person_was_erased_says_that_it_differs(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here, await here.app.as_(OFFICER) as officer:
        ref = (await here.whole()).ref
        sha256 = (await report(officer, ref)).sha256
        assert (await sign(officer, ref, sha256)).status_code == 200
        async with here.app.runtime.database.transaction() as session:
            await continuity.forget_person(session, ADMIN.name, stand_in="person-7f3a")
        after = await report(officer, ref)
        assert after.sha256 != sha256
        assert f"SHA-256 that was signed: {sha256}" in after.text
        assert "They differ" in after.text
        assert "by person-7f3a" in after.text.replace("\\", "")
        assert f"by {ADMIN.name}" not in after.text


async def test_sentences_of_the_product_name_no_erased_person(database_url: str, tmp_path: Path) -> None:
    look = {"name": "look", "kind": "manual", "instructions": "Look."}
    async with floor(database_url, tmp_path, look, {"name": "second"}) as here:
        here.stage.kind.does["second"] = "hang"
        ref = (await here.start()).json()["ref"]
        await here.until(ref, lambda one: one.steps[0].waits_for == "evidence")
        path = f"/v1/recovery/drills/{ref}"
        assert (await here.http.post(f"{path}/step", json={"number": 1, "evidence": "all is green"})).is_success
        await here.until(ref, lambda _: "run second" in here.stage.kind.happened)
        assert (await here.http.post(f"{path}/abort", json={"reason": "enough of it"})).is_success
        drill = await here.ended(ref)
        assert drill.sentence.startswith(f"{ADMIN.name} ended it: enough of it")
        assert drill.steps[0].summary == f"{ADMIN.name}: all is green"
        async with here.app.runtime.database.transaction() as session:
            await continuity.forget_person(session, ADMIN.name, stand_in="person-7f3a")
        after = await report(here.http, ref)
        assert "person-7f3a ended it: enough of it" in after.text.replace("\\", "")
        assert ADMIN.name not in after.text
        async with here.app.runtime.database.transaction() as session:
            for column in (RecoveryDrillRow.shown, RecoveryLineRow.data):
                assert not [one for one in await session.scalars(select(column)) if ADMIN.name in str(one)]


async def test_without_the_database_there_is_no_report(database_url: str, tmp_path: Path) -> None:
    async with floor(database_url, tmp_path) as here:
        ref = (await here.whole()).ref
        with outage(database_url):
            assert (await here.http.get(f"/v1/recovery/drills/{ref}/report.pdf")).status_code == 503
