"""Entries that leave and foreign ones that come in: every format, every role, and what an import makes of real logs."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from sqlalchemy import text

from backend.audit import exporting
from backend.audit.events import AuditEvent
from backend.audit.export_formats import COLUMNS, Leaving, writer_for
from backend.audit.foreign import ForeignRecordError, instant, parse, read
from backend.audit.query import ExportQuery
from backend.audit.service import AuditDraft, record
from backend.context import Caller
from backend.errors import WatchfloorError
from backend.policy.access import Restrictions
from contract.audit import AuditEntry, ExportFormat, ForeignResult, ForeignSource
from contract.base import Page
from contract.errors import ErrorCode
from ledger.entry import Entry
from tests.support.app import App
from tests.support.ledger import ledger_rows, settled
from tests.support.people import ADMIN, AUDITOR, EXECUTOR, OFFICER, OPERATOR, PEOPLE
from tests.support.shared_data import shared_data

HOSTILE = "=cmd|' /C calc'!A0"
_WHO = Caller("olga", "user", "mev_operator", frozenset(), "request-1", ip="192.0.2.7", user_agent="test")


@pytest.fixture
async def officer(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """An officer, and five entries to export, one of them hostile to spreadsheets and lines."""
    drafts = [
        AuditDraft(AuditEvent.FREEZE_CREATED, "freeze", "freeze", f"f{n}", new_value={"reason": f"test {n}"})
        for n in range(4)
    ]
    drafts.append(AuditDraft(AuditEvent.THAW_REQUESTED, f'{HOSTILE}\n"]<13>', "freeze", "+1", error_message="a\r\nb"))
    for draft in drafts:
        async with app.runtime.database.transaction() as session:
            await record(session, app.runtime, _WHO, draft)
    await settled(app)
    async with await app.as_(OFFICER) as client:
        yield client


async def _export(client: httpx.AsyncClient, form: str, **where: str) -> bytes:
    answer = await client.get("/v1/audit/export", params={"format": form, "resource_type": "freeze", **where})
    assert answer.status_code == 200, answer.text
    return answer.content


async def _told(app: App, event: AuditEvent) -> list[tuple[str, str, dict[str, Any]]]:
    await settled(app)
    wanted = text("SELECT user_id, result, new_value FROM audit_logs WHERE event_type = :event ORDER BY timestamp")
    async with app.runtime.database.read() as session:
        return [(row[0], row[1], row[2]) for row in await session.execute(wanted, {"event": event.value})]


async def test_lines_of_json_are_the_entries_of_the_search(app: App, officer: httpx.AsyncClient) -> None:
    lines = [AuditEntry.model_validate_json(line) for line in (await _export(officer, "jsonl")).splitlines()]
    found = await officer.get("/v1/audit", params={"resource_type": "freeze"})
    assert lines == Page[AuditEntry].model_validate(found.json()).items
    assert len(lines) == 5


async def test_an_export_says_that_it_began_and_how_it_ended(app: App, officer: httpx.AsyncClient) -> None:
    await _export(officer, "csv", event_type="freeze.*")
    told = {"format": "csv", "filters": {"resource_type": "freeze", "event_type": "freeze.*"}}
    assert await _told(app, AuditEvent.EXPORT_BEGUN) == [(OFFICER.name, "success", told)]
    assert await _told(app, AuditEvent.EXPORT_ENDED) == [(OFFICER.name, "success", {**told, "rows": 5})]


async def test_an_export_that_is_cut_off_says_so(app: App, officer: httpx.AsyncClient) -> None:
    query = ExportQuery(resource_type="freeze")
    async with app.runtime.database.transaction() as session:
        export = await exporting.begin(session, app.runtime, _WHO, query)
    stream = export.stream()
    await anext(stream)
    await stream.aclose()
    ((_, result, told),) = await _told(app, AuditEvent.EXPORT_ENDED)
    assert (result, told["rows"]) == ("failure", 0)


async def test_an_export_in_many_pieces_has_every_entry_once(
    app: App, officer: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "PIECE_ROWS", 2)
    whole = [json.loads(line)["resource_id"] for line in (await _export(officer, "jsonl")).splitlines()]
    assert sorted(whole) == ["+1", "f0", "f1", "f2", "f3"]


async def test_a_spreadsheet_runs_nothing(officer: httpx.AsyncClient) -> None:
    rows = list(csv.DictReader(io.StringIO((await _export(officer, "csv")).decode(), newline="")))
    assert [row["resource_id"] for row in rows] == ["'+1", "f3", "f2", "f1", "f0"]
    assert rows[0]["action"].startswith("'=cmd")
    assert rows[1]["new_value"] == '{"reason":"test 3"}'


async def test_parquet_is_typed(officer: httpx.AsyncClient) -> None:
    table = parquet.read_table(io.BytesIO(await _export(officer, "parquet")))
    assert table.column_names == list(COLUMNS)
    assert table.num_rows == 5
    assert str(table.schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("seq").type) == "int64"
    assert table.column("action")[0].as_py() == f'{HOSTILE}\n"]<13>'


async def test_an_empty_export_is_still_a_file(officer: httpx.AsyncClient) -> None:
    assert parquet.read_table(io.BytesIO(await _export(officer, "parquet", user="nobody"))).num_rows == 0
    assert await _export(officer, "jsonl", user="nobody") == b""
    assert len((await _export(officer, "csv", user="nobody")).splitlines()) == 1


async def test_ocsf_events_carry_what_their_class_demands(app: App, officer: httpx.AsyncClient) -> None:
    events = [json.loads(line) for line in (await _export(officer, "ocsf")).splitlines()]
    made = [event for event in events if event["metadata"]["event_code"] == "freeze.hold.created"]
    assert len(made) == 4
    for event in events:
        assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
        assert event["metadata"]["version"] == "1.1.0"
        entry = Entry.from_canon(event["raw_data"].encode())
        assert entry.index.id == event["metadata"]["uid"]
        assert {"activity_id", "category_uid", "class_uid", "time", "severity_id"} <= event.keys()
    assert made[0]["class_uid"] == 3004
    assert made[0]["entity"] == {"type": "freeze", "uid": "f3"}
    assert made[0]["actor"] == {"user": {"name": "olga"}}


async def test_syslog_is_one_line_an_entry(officer: httpx.AsyncClient) -> None:
    lines = (await _export(officer, "syslog")).decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 5
    form = re.compile(
        r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]+ watchfloor - [!-~]{1,32} "
        r'\[watchfloor@32473( [a-z_]+="([^"\\\]]|\\["\\\]])*")+\] \ufeff[^\x00-\x1f]*'
    )
    assert all(form.fullmatch(line) for line in lines), lines
    assert lines[1].startswith("<110>1 ")


async def test_every_role_that_must_not_take_data_out_is_refused(app: App) -> None:
    """The one role of the policy that is restricted is refused, and the others as their permissions say."""
    restricted = {name for name, role in app.runtime.policy.roles.items() if role.restrictions.data_export_disabled}
    assert restricted == {AUDITOR.role}
    for person in (*PEOPLE, EXECUTOR):
        async with await app.as_(person) as client:
            for form in ExportFormat:
                answer = await client.get("/v1/audit/export", params={"format": form})
                allowed = person.role in {ADMIN.role, OFFICER.role}
                assert (answer.status_code == 200) is allowed, (person, form, answer.text[:200])
                assert allowed or answer.json()["code"] == "not_allowed"
    assert await _told(app, AuditEvent.PERMISSION_DENIED)


async def test_a_restricted_role_is_refused_whatever_it_was_granted(app: App) -> None:
    role = app.runtime.policy.roles[OFFICER.role]
    held = {OFFICER.role: role.__class__(role.name, role.permissions, Restrictions(data_export_disabled=True))}
    app.runtime.policy.__dict__["roles"] = {**app.runtime.policy.roles, **held}
    async with await app.as_(OFFICER) as client:
        answer = await client.get("/v1/audit/export", params={"format": "csv"})
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")
    assert [told[:2] for told in await _told(app, AuditEvent.EXPORT_DENIED)] == [(OFFICER.name, "denied")]


def test_parquet_without_its_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(WatchfloorError) as refused:
        writer_for(ExportFormat.PARQUET)
    assert refused.value.code is ErrorCode.INVALID_REQUEST
    assert "watchfloor[parquet]" in (refused.value.hint or "")


@given(st.text(min_size=1))
def test_no_cell_begins_like_a_formula(value: str) -> None:
    entry = AuditEntry.model_construct(
        **dict.fromkeys(AuditEntry.model_fields) | {"action": value, "metadata": {}}  # type: ignore[arg-type]
    )
    written = writer_for(ExportFormat.CSV).rows([Leaving(entry, b"")]).decode()
    (row,) = csv.reader(io.StringIO(written, newline=""))
    cell = row[COLUMNS.index("action")]
    assert not re.match(r"\s*[=+\-@\t\r\n]", cell)


# foreign logs


def _chunks(records: list[tuple[int, str]]) -> Iterator[list[dict[str, Any]]]:
    for first in range(0, len(records), 500):
        yield [{"line": line, "text": raw} for line, raw in records[first : first + 500]]


async def _import(
    client: httpx.AsyncClient, name: str, records: list[tuple[int, str]], source: str = "cloudtrail"
) -> list[ForeignResult]:
    results = []
    for chunk in _chunks(records):
        body = {"source": source, "file": "a.json", "records": chunk}
        answer = await client.post(f"/v1/audit/import/{name}", json=body)
        assert answer.status_code == 200, answer.text
        results.append(ForeignResult.model_validate(answer.json()))
    return results


def _cloudtrail(folder: Path) -> list[tuple[int, str]]:
    records = []
    for path in sorted(folder.rglob("*.json")):
        body = json.loads(path.read_text(), parse_float=str)
        found = body["Records"] if isinstance(body, dict) else body
        records += [(number, json.dumps(one)) for number, one in enumerate(found, start=1)]
    return records


def _lines(path: Path) -> list[tuple[int, str]]:
    return list(enumerate(path.read_text().splitlines(), start=1))


@pytest.mark.parametrize(
    ("folder", "source", "count", "wanted"),
    [
        ("cloudtrail-invictus", "cloudtrail", 2_900, [{"q": "DescribeNatGateways"}, {"user": "bert-jan"}]),
        ("panther", "json", 3_053, [{"q": "admin_api_key_created"}, {"user": "admin@example.com"}]),
        ("stratus", "cloudtrail", 310, [{"q": "GetPasswordData"}, {"action": "GetPasswordData"}]),
    ],
)
async def test_real_logs_import_and_are_found(
    app: App, folder: str, source: str, count: int, wanted: list[dict[str, str]]
) -> None:
    root = shared_data(f"audit-events/{folder}")
    records = _cloudtrail(root) if source == "cloudtrail" else _lines(root / "events.jsonl")
    assert len(records) == count
    different = len({raw for _, raw in records})
    async with await app.as_(ADMIN) as admin:
        results = await _import(admin, "real", records, source)
        assert sum(one.imported for one in results) == different
        assert not any(one.refused for one in results)
        again = await _import(admin, "real", records, source)
        assert (sum(one.imported for one in again), sum(one.unchanged for one in again)) == (0, count)
        await settled(app)
        for where in (*wanted, {"count": "true"}):
            answer = await admin.get("/v1/audit", params={"log": "import:real", **where})
            page = Page[AuditEntry].model_validate(answer.json())
            assert page.items, where
            assert {entry.log for entry in page.items} == {"import:real"}
            assert page.total in {None, different}
    async with app.runtime.database.read() as session:
        assert not await session.scalar(text("SELECT count(*) FROM audit_quarantine"))


async def test_an_imported_record_keeps_its_text_and_its_time(app: App) -> None:
    raw = '{"eventTime":"2023-07-10T12:04:05Z","eventName":"Try","ratio":0.10,"errorCode":"AccessDenied",'
    raw += '"deep":[[[[[[[[[1]]]]]]]]]}'
    async with await app.as_(ADMIN) as admin:
        (result,) = await _import(admin, "mine", [(7, raw)])
        assert (result.imported, result.truncated) == (1, 0)
        await settled(app)
        answer = await admin.get("/v1/audit", params={"log": "import:mine"})
    (entry,) = Page[AuditEntry].model_validate(answer.json()).items
    assert entry.new_value is not None
    assert entry.new_value["record"] == raw
    assert (entry.action, entry.result.value) == ("Try", "denied")
    assert entry.timestamp.isoformat() == "2023-07-10T12:04:05+00:00"
    assert entry.new_value["time_from"] == "eventTime"
    assert entry.metadata["file"] == "a.json"


@pytest.mark.parametrize("filler", ["x", "\\", '"', "\u2028", "日", "\x01"])
async def test_a_long_record_is_cut_and_says_so(app: App, filler: str) -> None:
    raw = json.dumps({"eventName": "Long", "text": filler * 40_000}, ensure_ascii=False)
    async with await app.as_(ADMIN) as admin:
        (result,) = await _import(admin, "long", [(1, raw)])
        assert (result.imported, result.truncated) == (1, 1)
    rows = [row for row in await ledger_rows(app) if row.log == "import:long"]
    (entry,) = (Entry.from_canon(row.canon) for row in rows)
    facts = entry.detail.new_value
    assert facts["truncated"] is True
    assert facts["record_bytes"] == len(raw.encode())
    assert raw.startswith(facts["record"].removesuffix("…")[:100])


async def test_what_cannot_be_an_entry_is_named_and_the_rest_is_taken(app: App) -> None:
    records = [
        (1, '{"eventName":"A"}'),
        (2, "not json"),
        (3, "[1]"),
        (4, "{}"),
        (5, "[" * 100_000),
        (6, '{"a":"\\ud800\\u0000"}'),
    ]
    async with await app.as_(ADMIN) as admin:
        (result,) = await _import(admin, "some", records, "json")
    assert result.imported == 2
    assert [one.line for one in result.refused] == [2, 3, 4, 5]
    await settled(app)
    ((who, _, told),) = await _told(app, AuditEvent.FOREIGN_IMPORTED)
    assert (who, told["imported"], told["refused"]) == (ADMIN.name, 2, 4)
    async with app.runtime.database.read() as session:
        assert not await session.scalar(text("SELECT count(*) FROM audit_quarantine"))


@pytest.mark.parametrize("name", ["A", "a-b", "a_0", "9", "a" * 21, "%2e%2e"])
async def test_a_log_needs_a_name_of_its_own(app: App, name: str) -> None:
    async with await app.as_(ADMIN) as admin:
        body = {"source": "json", "file": "f", "records": []}
        assert (await admin.post(f"/v1/audit/import/{name}", json=body)).status_code == 422


async def test_only_the_admin_imports(app: App) -> None:
    body = {"source": "json", "file": "f", "records": []}
    for person in (OPERATOR, OFFICER, AUDITOR, EXECUTOR):
        async with await app.as_(person) as client:
            assert (await client.post("/v1/audit/import/x", json=body)).status_code == 403


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2023-07-10T12:04:05Z", "2023-07-10T12:04:05+00:00"),
        ("2023-07-10 12:04:05 UTC", "2023-07-10T12:04:05+00:00"),
        ("2023-07-10T14:04:05.25+02:00", "2023-07-10T12:04:05.250000+00:00"),
        (1_688_990_645, "2023-07-10T12:04:05+00:00"),
        ("1688990645250", "2023-07-10T12:04:05.250000+00:00"),
        ("yesterday", None),
        (12, None),
        (True, None),
        ("9999-12-31T23:59:59-14:00", None),
        ({}, None),
    ],
)
def test_times_as_logs_write_them(written: object, at: str | None) -> None:
    found = instant(written)
    assert (found.isoformat() if found else None) == at


@given(st.text())
def test_any_text_is_read_or_refused(raw: str) -> None:
    try:
        found = read("import:x", ForeignSource.JSON, raw)
    except ForeignRecordError:
        return
    assert found.id == read("import:x", ForeignSource.JSON, raw).id
    assert found.id != read("import:y", ForeignSource.JSON, raw).id


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(
    st.dictionaries(st.sampled_from(["eventName", "actor", "user", "time", "status", "error", "x"]), _JSON, min_size=1)
)
def test_any_record_can_be_an_entry(record_: dict[str, Any]) -> None:
    found = read("import:x", ForeignSource.JSON, json.dumps(record_))
    assert isinstance(found.id, UUID)
    assert parse(json.dumps(record_)) is not None
    assert not (found.actor or "").startswith(("person:", "executor:", "system:"))


def test_a_foreign_actor_never_looks_like_one_of_ours() -> None:
    found = read("import:x", ForeignSource.JSON, '{"user":"person:paaaaaaaaaaaaaaaa"}')
    assert found.actor == "foreign:person:paaaaaaaaaaaaaaaa"
