"""What is written to the audit log: it survives the database unchanged, only grows, and names only known events."""

import ast
import asyncio
import functools
import re
import warnings
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import backend
from backend.audit.canonical import MAX_DEPTH, MAX_EXACT_INT, clean_address, clean_text, clean_values
from backend.audit.events import EVERY_EVENT, AuditEvent
from backend.audit.service import AuditDraft, record
from backend.audit.tables import LedgerEntry
from backend.clock import Clock
from backend.context import Caller
from backend.policy.load import load_policy
from contract.audit import AuditResult
from ledger.canon import format_instant
from ledger.entry import INDEX_FIELDS, Entry
from ledger.merkle import leaf_hash
from tests.support.app import SYSTEM, App, started_app
from tests.support.ledger import ledger_rows, settled


def _nests(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    below = 1 + max(map(_nests, value.values() if isinstance(value, dict) else value), default=0)
    return below + 2 * isinstance(value, dict)  # an object with odd keys becomes a list of pairs


TEXT = st.text(st.characters(exclude_categories=()), max_size=12)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(UTC)),
    st.uuids(),
    TEXT,
)
VALUES = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=4
    ),
    max_size=3,
).filter(lambda values: _nests(values) <= MAX_DEPTH)
DRAFTS = st.builds(
    AuditDraft,
    event_type=st.sampled_from(EVERY_EVENT),
    action=TEXT,
    resource_type=st.none() | st.sampled_from(["freeze", "alert"]),
    resource_id=st.none() | TEXT | st.sampled_from(["€" * 99, "€" * 200]),
    old_value=st.none() | VALUES,
    new_value=st.none() | VALUES,
    result=st.sampled_from(AuditResult),
    error_message=st.none() | TEXT,
    metadata=VALUES,
)
CALLERS = st.builds(
    Caller,
    subject=TEXT,
    kind=st.just("user"),
    role=TEXT,
    permissions=st.just(frozenset()),
    request_id=TEXT,
    ip=st.none() | st.ip_addresses().map(str),
    user_agent=st.none() | TEXT | st.just("😀" * 5_000),
)
INSTANTS = st.builds(
    lambda micros, zone: (datetime(1971, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).astimezone(zone),
    st.integers(0, 229 * 365 * 24 * 3600 * 10**6),
    st.sampled_from([UTC, timezone(timedelta(hours=5.5))]),
)


async def _written(
    app: App, entries: list[tuple[Caller, AuditDraft, datetime]]
) -> list[tuple[AuditDraft, LedgerEntry]]:
    written: dict[UUID, AuditDraft] = {}
    async with app.runtime.database.transaction() as session:
        for caller, draft, at in entries:
            runtime = replace(app.runtime, clock=Clock(now=lambda at=at: at))  # type: ignore[misc]
            written[await record(session, runtime, caller, draft)] = draft
    return [(written[row.id], row) for row in await ledger_rows(app, *written)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(st.tuples(CALLERS, DRAFTS, INSTANTS), min_size=1, max_size=4))
def test_whatever_is_said_enters_the_ledger_and_its_columns_are_those_of_its_bytes(
    database_url: str, entries: list[tuple[Caller, AuditDraft, datetime]]
) -> None:
    async def all_of_it() -> None:
        async with started_app(database_url) as app:
            rows = await _written(app, entries)
            assert len(rows) == len(entries)
            for draft, row in rows:
                index = Entry.from_canon(row.canon).index
                assert row.leaf == leaf_hash(row.canon)
                assert index.event_type == draft.event_type
                columns = {name: getattr(row, name) for name in INDEX_FIELDS}
                columns |= {"id": str(row.id), "occurred_at": format_instant(row.occurred_at)}
                assert columns == index.to_tree()

    asyncio.run(all_of_it())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor = 'nobody'",
        "DELETE FROM audit_entries",
        "DELETE FROM audit_entries_3y_0",
        "UPDATE audit_entries_3y_0 SET actor = 'nobody' WHERE false",
        "TRUNCATE audit_entries",
        "TRUNCATE audit_entries_3y_0, stream_events CASCADE",
        "SET session_replication_role = replica; DELETE FROM audit_entries",
    ],
)
async def test_entries_cannot_be_changed_or_removed(app: App, database_url: str, statement: str) -> None:
    draft = AuditDraft(AuditEvent.EXECUTOR_REGISTERED, "register", "executor", "scout")
    async with app.runtime.database.transaction() as session:
        await record(session, app.runtime, SYSTEM, draft)
    await settled(app)
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
    ):
        connection.execute(statement)


class _Colour(StrEnum):
    RED = "red"


def test_values_become_what_json_can_say_exactly() -> None:
    wei = 10**30
    cleaned = clean_values(
        {
            "amount": Decimal("1.10"),
            "wei": wei,
            "small": MAX_EXACT_INT,
            "at": datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            "enum": _Colour.RED,
            "list": (1, None, True),
            "nested": {"text": "a\x00b\ud800"},
        }
    )
    assert cleaned == {
        "amount": "1.10",
        "wei": str(wei),
        "small": MAX_EXACT_INT,
        "at": "2026-01-01T00:00:00+00:00",
        "enum": "red",
        "list": [1, None, True],
        "nested": {"text": "a\ufffdb\ufffd"},
    }


@pytest.mark.parametrize("value", [1.5, {"deep": [0.1]}, {1, 2}, b"bytes", object()])
def test_floats_and_things_without_a_json_form_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match="audit log"):
        clean_values({"value": value})


def test_nesting_is_bounded() -> None:
    value: Any = "deep"
    for _ in range(20):
        value = {"a": value}
    with pytest.raises(ValueError, match="nest"):
        clean_values({"value": value})


def test_long_text_is_cut_with_an_ellipsis() -> None:
    assert clean_text("x" * 10, 10) == "x" * 10
    assert clean_text("x" * 11, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("given_address", "stored"),
    [("127.0.0.1", "127.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("2001:DB8::0:1", "2001:db8::1"), (None, None)],
)
def test_every_address_has_one_spelling(given_address: str | None, stored: str | None) -> None:
    assert clean_address(given_address) == stored


async def test_an_unknown_event_type_is_written_but_warned_of(app: App) -> None:
    caller = Caller("who", "user", "role", frozenset(), "request")
    async with app.runtime.database.transaction() as session:
        with pytest.warns(UserWarning, match="nobody.knows.this"):
            await record(session, app.runtime, caller, AuditDraft("nobody.knows.this", "act"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with app.runtime.database.transaction() as session:
            await record(session, app.runtime, caller, AuditDraft(AuditEvent.LOGOUT_DONE, "act"))


async def test_entries_are_counted_once_they_are_committed(app: App) -> None:
    caller = Caller("who", "user", "role", frozenset(), "request")
    draft = AuditDraft(AuditEvent.LOGOUT_DONE, "act")

    def counted() -> float:
        return float(app.runtime.metrics.audit_entries.labels("authentication")._value.get())

    async with app.runtime.database.transaction() as session:
        await record(session, app.runtime, caller, draft)
        assert counted() == 0
    assert counted() == 1
    async with app.runtime.database.read() as session:
        await record(session, app.runtime, caller, draft)
    assert counted() == 1


# ── the vocabulary ───────────────────────────────────────────────────────────────────────────────────────────────────

_AREAS = frozenset(event.value.partition(".")[0] for event in EVERY_EVENT)
_LOOKS_LIKE_AN_EVENT = re.compile(r"[a-z_]+\.[a-z_]+\.[a-z_]+")
_ROOT = Path(backend.__file__).parent


@functools.cache
def _nodes() -> list[ast.AST]:
    """Every node of the backend's source, but for the vocabulary itself."""
    files = [path for path in sorted(_ROOT.rglob("*.py")) if path != _ROOT / "audit" / "events.py"]
    return [node for path in files for node in ast.walk(ast.parse(path.read_text()))]


def _used_literals() -> set[str]:
    return {
        node.value
        for node in _nodes()
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _LOOKS_LIKE_AN_EVENT.fullmatch(node.value)
        and node.value.partition(".")[0] in _AREAS
    }


def _used_prefixes() -> set[str]:
    """Beginnings of event types that are put together at run time, e.g. f"auth.user.{act}"."""
    found = set()
    for node in _nodes():
        first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else None
        if isinstance(first, ast.Constant) and re.fullmatch(r"[a-z_]+\.([a-z_]+\.)?", str(first.value)):
            found.add(str(first.value))
    return {prefix for prefix in found if prefix.partition(".")[0] in _AREAS}


def test_every_event_type_in_the_code_is_registered() -> None:
    used = _used_literals()
    assert len(used) > 10, "the search for event types finds nothing any more"
    assert used <= {event.value for event in EVERY_EVENT}


def test_event_types_put_together_at_run_time_begin_like_registered_ones() -> None:
    for prefix in _used_prefixes():
        assert any(event.value.startswith(prefix) for event in EVERY_EVENT), prefix


def test_every_registered_event_type_is_used() -> None:
    used, prefixes = _used_literals(), _used_prefixes()
    by_member = {
        node.attr
        for node in _nodes()
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("AuditEvent", "RecoveryEvent")
    }
    unused = [
        event.value
        for event in EVERY_EVENT
        if event.value not in used
        and event.name not in by_member
        and not any(event.value.startswith(prefix) for prefix in prefixes)
    ]
    assert unused == []


@pytest.mark.parametrize("policy_name", ["mev", "methtrader"])
def test_every_event_type_has_a_stated_category(policy_name: str) -> None:
    policy = load_policy(policy_name)
    assert [event.value for event in EVERY_EVENT if policy.audit.stated_category(event.value) is None] == []


@pytest.mark.parametrize("module", ["events.py", "recovery_events.py"])
def test_every_event_type_is_documented_and_fits_its_column(module: str) -> None:
    source = (_ROOT / "audit" / module).read_text()
    (body,) = [node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    for member, text in zip(body[1::2], body[2::2], strict=True):
        assert isinstance(member, ast.Assign)
        assert isinstance(text, ast.Expr)
        assert isinstance(text.value, ast.Constant)
    assert max(len(event.value) for event in EVERY_EVENT) <= 50
