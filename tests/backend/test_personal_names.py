"""No name of a person in canonical bytes: what is stored is a surrogate, what is read is the name."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from backend.audit.events import AuditEvent
from backend.audit.naming import taken_out, with_names, without_names
from backend.audit.service import AuditDraft, record
from backend.auth import accounts
from contract.audit import MASK
from contract.scope import GLOBAL
from ledger.entry import Detail, Entry
from tests.support.app import SYSTEM, App
from tests.support.holds import approve
from tests.support.ledger import ledger_rows, sealed_values, settled
from tests.support.people import ADMIN, ADMIN2, AUDITOR, OFFICER, OFFICER2, OPERATOR, PASSWORD, PEOPLE

JANE, DOE, HALT = "person:p" + "a" * 16, "person:p" + "b" * 16, "person:p" + "c" * 16
NAMES = {"jane": JANE, "jane.doe": DOE, "halt": HALT}


def _told(value: dict[str, Any]) -> Any:
    return without_names(Detail(new_value=value), NAMES).new_value


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("jane", JANE),
        ("Jane", JANE),
        ("ask jane first", f"ask {JANE[7:]} first"),
        ("ask Jane.Doe.", f"ask {DOE[7:]}."),
        ("jane's shift, jane-approved (jane)", f"{JANE[7:]}'s shift, {JANE[7:]}-approved ({JANE[7:]})"),
        ("janet and jane_doe@x", f"janet and {JANE[7:]}_doe@x"),
        ("nobody we know", "nobody we know"),
        ("", ""),
    ],
)
def test_a_name_in_a_text_becomes_a_surrogate(written: str, kept: str) -> None:
    assert _told({"note": written}) == {"note": kept}
    assert _told({"deep": [{"by": written}]}) == {"deep": [{"by": kept}]}
    readable = with_names({"note": kept}, {pid: name for name, pid in NAMES.items()})
    assert readable == {"note": written.replace("Jane", "jane").replace("Doe", "doe")}


def test_our_own_words_are_not_taken_for_names() -> None:
    assert _told({"mode": "halt", "why": "halt"}) == {"mode": "halt", "why": HALT}


def test_a_name_that_nobody_knows_any_more_stays_a_surrogate() -> None:
    assert with_names({"by": JANE, "why": f"for {JANE[7:]}"}, {DOE: "jane.doe"}) == {
        "by": JANE,
        "why": f"for {JANE[7:]}",
    }


def test_what_the_policy_has_sealed_is_taken_out_wherever_it_stands() -> None:
    detail = Detail(new_value={"filters": {"ip": "10.0.0.1", "q": "x"}, "list": [{"ip": 7}]}, metadata={"ip": None})
    left, out = taken_out(detail, frozenset({"ip"}))
    assert left.new_value == {"filters": {"q": "x"}, "list": [{}]}
    assert left.metadata == {"ip": None}
    assert out == {"new_filters_ip": "10.0.0.1", "new_list_0_ip": "7"}


async def _everything_people_do(app: App) -> None:
    """Acts of every area that a person can take, with the names of others in what they type."""
    others = f"asked {OFFICER2.name} and {ADMIN.name}, see {AUDITOR.name}@home"
    admin, officer, operator = [await app.as_(person) for person in (ADMIN, OFFICER, OPERATOR)]
    second = await app.as_(OFFICER2)
    held = (
        await admin.post(
            "/v1/freezes", json={"scope": GLOBAL.model_dump(mode="json"), "mode": "halt", "reason": others}
        )
    ).json()
    await admin.post(f"/v1/freezes/{held['id']}/thaw", json={"reason": others})
    await officer.post(f"/v1/freezes/{held['id']}/thaw/withdraw")
    await admin.post(f"/v1/freezes/{held['id']}/thaw", json={"reason": others})
    await approve(admin, held["id"])
    await approve(second, held["id"])
    await operator.get("/v1/audit")
    await officer.get("/v1/audit", params={"user": ADMIN.name, "q": f"{ADMIN.name} freeze", "ip": "203.0.113.9"})
    await officer.get("/v1/audit", params={"resource_type": "user", "resource_id": ADMIN.name})
    await app.http.get(f"/v1/freezes/{OFFICER.name}")
    wrong = {"username": ADMIN.name, "password": "wrong " + PASSWORD, "totp": "000000"}
    await app.http.post("/v1/auth/login", json=wrong)
    async with app.runtime.database.transaction() as session:
        for act in (accounts.reset_totp, accounts.disable_user):
            await act(session, app.runtime, SYSTEM, name=ADMIN2.name)
    await operator.post("/v1/auth/logout")
    for client in (admin, officer, operator, second):
        await client.aclose()


async def test_no_name_is_in_any_canonical_bytes(app: App) -> None:
    for person in PEOPLE:
        await (await app.as_(person)).aclose()
    await _everything_people_do(app)
    rows = await ledger_rows(app)
    kinds = {row.event_type for row in rows}
    assert len(kinds) >= 11, kinds
    for row in rows:
        for person in PEOPLE:
            assert person.name not in row.canon.decode(), (row.event_type, row.canon)
        assert b"203.0.113.9" not in row.canon
        assert b"127.0.0.1" not in row.canon


async def _entry_of(client: httpx.AsyncClient, event_type: str) -> dict[str, Any]:
    (entry, *_) = (await client.get("/v1/audit", params={"event_type": event_type})).json()["items"]
    found: dict[str, Any] = entry
    return found


async def test_readers_see_the_names_in_full(app: App) -> None:
    for person in PEOPLE:
        await (await app.as_(person)).aclose()
    await _everything_people_do(app)
    await settled(app)
    reader = await app.as_(AUDITOR)
    withdrawn = await _entry_of(reader, "freeze.thaw.withdrawn")
    assert withdrawn["new_value"]["requested_by"] == ADMIN.name
    requested = await _entry_of(reader, "freeze.thaw.requested")
    assert OFFICER2.name in requested["new_value"]["reason"]
    searched = next(
        entry
        for entry in (await reader.get("/v1/audit", params={"event_type": "audit.search.run"})).json()["items"]
        if "user" in (entry["new_value"] or {}).get("filters", {})
    )
    assert searched["new_value"]["filters"] == {"user": ADMIN.name, "q": f"{ADMIN.name} freeze"}
    assert searched["metadata"]["sealed"] == {"new_filters_ip": MASK}
    found = (await reader.get("/v1/audit", params={"q": f"asked {OFFICER2.name}"})).json()["items"]
    assert found, "who looks for a name finds the texts it stands in"
    phrase = {"q": f'"asked {OFFICER2.name} and"'}
    assert (await reader.get("/v1/audit", params=phrase)).json()["items"], "also within a phrase"
    assert not (await reader.get("/v1/audit", params={"q": f'"and asked {OFFICER2.name}"'})).json()["items"]
    await reader.aclose()


async def test_a_draft_may_name_further_personal_values(app: App) -> None:
    draft = AuditDraft(AuditEvent.USER_RESET, "reset", "user", "olga", sealed={"phone": "+43 1 2345"})
    async with app.runtime.database.transaction() as session:
        ident = await record(session, app.runtime, SYSTEM, draft)
    (row,) = await ledger_rows(app, ident)
    assert "2345" not in row.canon.decode()
    assert set(Entry.from_canon(row.canon).sealed) == {"phone"}
    assert await sealed_values(app, ident) == {"phone": "+43 1 2345"}


async def test_a_failed_sign_in_is_sealed_for_the_person_whose_account_it_was(app: App) -> None:
    await (await app.as_(ADMIN)).aclose()
    await app.http.post("/v1/auth/login", json={"username": ADMIN.name, "password": "x" * 12, "totp": "000000"})
    await settled(app)
    async with app.runtime.database.read() as session:
        owners = await session.execute(
            text(
                "SELECT DISTINCT s.subject, e.resource_id FROM audit_sealed s JOIN audit_entries e ON e.id = s.entry_id"
                " WHERE e.event_type = 'auth.login.failed'"
            )
        )
        (owner,) = owners.all()
    assert owner.subject == owner.resource_id
    assert json.dumps(owner.subject).startswith('"person:')
