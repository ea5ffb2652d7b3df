"""Sealed values under attack and over time: swapped keys and values, erasures, restarts, a new master key."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from backend.audit import rotating
from backend.audit.erasing import destroy
from backend.audit.sealing import Owner, seal_fields
from backend.audit.service import AuditDraft, record
from backend.context import Caller
from backend.errors import ConfigurationError
from backend.keyring import KeyFile, UnknownMasterKeyError, keyring_of, read_file, replace_file
from ledger.merkle import leaf_hash
from ledger.seal import SealError, unwrap_key, wrap_key
from tests.support import databases
from tests.support.app import SYSTEM, App, started_app
from tests.support.ledger import ledger_rows, sealed_values, settled


@pytest.fixture(autouse=True)
def own_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A master key of the test's own: it is replaced."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
async def running(own_data_directory: Path, database_url: str) -> AsyncIterator[App]:
    """A backend with its own data directory."""
    async with started_app(database_url) as app:
        yield app


async def _act(app: App, name: str, agent: str) -> UUID:
    caller = Caller(name, "user", "mev_operator", frozenset(), "r", ip="192.0.2.1", user_agent=agent)
    async with app.runtime.database.transaction() as session:
        return await record(session, app.runtime, caller, AuditDraft("auth.logout.done", "log out"))


async def _sql(app: App, statement: str, **values: object) -> None:
    async with app.runtime.database.transaction() as session:
        await session.execute(text(statement), values)


SWAP = """
UPDATE audit_sealed AS one SET {columns}
FROM audit_sealed AS other
WHERE one.entry_id = :one AND other.entry_id = :other AND one.field = 'user_agent' AND other.field = 'user_agent'
"""


@pytest.mark.parametrize(
    "columns",
    [
        "nonce = other.nonce, ciphertext = other.ciphertext",
        "nonce = other.nonce, ciphertext = other.ciphertext, subject = other.subject, key_id = other.key_id",
        "subject = other.subject, key_id = other.key_id",
        "nonce = other.nonce",
    ],
)
@pytest.mark.parametrize("same_person", [True, False])
async def test_a_value_or_key_of_another_entry_is_refused(running: App, columns: str, *, same_person: bool) -> None:
    one = await _act(running, "ann", "first")
    other = await _act(running, "ann" if same_person else "ben", "second")
    await settled(running)
    await _sql(running, SWAP.format(columns=columns), one=one, other=other)
    if same_person and columns.startswith("subject"):
        assert (await sealed_values(running, one))["user_agent"] == "first"
        return
    with pytest.raises(SealError):
        await sealed_values(running, one)
    assert (await sealed_values(running, other))["user_agent"] == "second"


async def test_data_keys_swapped_between_people_open_nothing(running: App) -> None:
    one = await _act(running, "ann", "first")
    await _act(running, "ben", "second")
    await settled(running)
    await _sql(
        running,
        "UPDATE audit_subject_keys AS k SET wrapped = o.wrapped FROM audit_subject_keys AS o"
        " WHERE k.id <> o.id AND k.subject LIKE 'person:%' AND o.subject LIKE 'person:%'",
    )
    with pytest.raises(SealError):
        await sealed_values(running, one)


async def test_a_value_that_opens_but_is_not_the_one_committed_to_is_refused(running: App) -> None:
    """Who holds the keys can encrypt another value to the same place; the leaf tells."""
    ident = await _act(running, "ann", "first")
    await settled(running)
    (row,) = await ledger_rows(running, ident)
    async with running.runtime.database.transaction() as session:
        owner = Owner(row.log, str(ident), str(row.actor))
        (forged,) = await seal_fields(session, running.runtime, owner, {"user_agent": "another"})
    await _sql(
        running,
        "UPDATE audit_sealed SET nonce = :nonce, ciphertext = :ciphertext"
        " WHERE entry_id = :id AND field = 'user_agent'",
        nonce=forged.nonce, ciphertext=forged.ciphertext, id=ident,
    )  # fmt: skip
    with pytest.raises(SealError):
        await sealed_values(running, ident)


async def test_a_new_master_key_opens_everything_and_the_old_one_nothing(
    running: App, database_url: str, own_data_directory: Path
) -> None:
    idents = [await _act(running, name, name) for name in ("ann", "ben", "cleo")]
    await settled(running)
    old = (own_data_directory / "master.key").read_text().split()[0]
    async with started_app(database_url) as other:  # shares the file, and runs on
        done = await rotating.rotate(running.runtime, SYSTEM)
        assert done.rewrapped >= 3
        assert (await sealed_values(other, idents[0]))["user_agent"] == "ann"
        late = await _act(other, "dora", "dora")
        assert (await sealed_values(running, late))["user_agent"] == "dora"
    assert old not in (own_data_directory / "master.key").read_text()
    rows = await ledger_rows(running)
    assert [row.log for row in rows if row.event_type == "ledger.master_key.rotated"] == ["meta"]
    async with started_app(database_url) as again:
        for ident, name in zip(idents, ("ann", "ben", "cleo"), strict=True):
            assert (await sealed_values(again, ident))["user_agent"] == name
        assert again.runtime.keyring.outbox == running.runtime.keyring.outbox
        assert (await rotating.rotate(again.runtime, SYSTEM)).new != done.new


async def test_a_rotation_that_was_stopped_is_finished(running: App, own_data_directory: Path) -> None:
    ident = await _act(running, "ann", "first")
    await settled(running)
    keys = running.runtime.keyring.master
    before = keys.current
    path = own_data_directory / "master.key"
    held = read_file(path)
    replace_file(path, KeyFile(b"\x07" * 32, held.root, (held.current,)))  # stopped after the file was written
    keys.knows("nothing of the kind")
    assert (await sealed_values(running, ident))["user_agent"] == "first"
    done = await rotating.rotate(running.runtime, SYSTEM)
    assert (done.old, done.rewrapped >= 1) == (before, True)
    assert (await sealed_values(running, ident))["user_agent"] == "first"


_KEY = "00" * 32


@pytest.mark.parametrize(
    "text_of_file", ["", "zz", "00" * 31, f"{_KEY}\nother {_KEY}", f"{_KEY}\nretiring {_KEY}", f"{_KEY}\nroot zz"]
)
def test_a_file_that_is_no_master_key_is_refused(tmp_path: Path, text_of_file: str) -> None:
    path = tmp_path / "key"
    path.write_text(text_of_file)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a master key"):
        read_file(path)


class KeyServiceDouble:
    """A test double of a key service: keeps the master key to itself and answers the two calls. Not a product."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    @property
    def current(self) -> str:
        return "service-key-1"

    def knows(self, name: str) -> bool:
        return name == self.current

    async def wrap(self, key: bytes, nonce: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        self._check(under, "wrap")
        return wrap_key(b"\x01" * 32, nonce, key, subject=subject, key_id=key_id)

    async def unwrap(self, wrapped: bytes, *, under: str, subject: str, key_id: str) -> bytes:
        self._check(under, "unwrap")
        return unwrap_key(b"\x01" * 32, wrapped, subject=subject, key_id=key_id)

    def _check(self, under: str, call: str) -> None:
        if under != self.current:
            raise UnknownMasterKeyError(under)
        self.calls.append(call)


async def test_a_key_service_can_stand_in_for_the_file(running: App) -> None:
    double = KeyServiceDouble()
    keyring = keyring_of(double, b"\x02" * 32)
    await _sql(running, "UPDATE audit_ledger SET master_key_id = :id", id=double.current)
    runtime = replace(running.runtime, keyring=replace(keyring, outbox=running.runtime.keyring.outbox))
    served = App(app=running.app, http=running.http)
    served.app.state.runtime = runtime
    ident = await _act(served, "ann", "first")
    assert (await sealed_values(served, ident))["user_agent"] == "first"
    assert set(double.calls) == {"wrap", "unwrap"}
    with pytest.raises(ConfigurationError, match="key service"):
        await rotating.rotate(runtime, SYSTEM)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(["ann", "ben", "cleo"])),
        st.tuples(st.just("erase"), st.sampled_from(["ann", "ben", "cleo"])),
        st.tuples(st.just("restart"), st.just("")),
        st.tuples(st.just("rotate"), st.just("")),
    ),
    min_size=3,
    max_size=14,
)


class _Story:
    """What should be readable, by what was done."""

    def __init__(self) -> None:
        self.told: dict[UUID, tuple[str, str | None]] = {}
        self.gone: set[str] = set()

    async def take(self, app: App, step: tuple[str, str]) -> None:
        act, name = step
        if act == "append":
            ident = await _act(app, name, f"agent {len(self.told)}")
            self.told[ident] = (name, None if name in self.gone else f"agent {len(self.told)}")
        elif act == "erase":
            await self._erase(app, name)
        elif act == "rotate":
            await rotating.rotate(app.runtime, SYSTEM)

    async def _erase(self, app: App, name: str) -> None:
        await settled(app)
        async with app.runtime.database.transaction() as session:
            pid = await session.scalar(text("SELECT pid FROM audit_subjects WHERE name = :name"), {"name": name})
            if pid is None:
                return
            await destroy(session, app.runtime, pid)
        self.gone.add(name)
        self.told = {ident: (who, None if who == name else said) for ident, (who, said) in self.told.items()}

    async def check(self, app: App) -> None:
        for row in await ledger_rows(app):
            assert row.leaf == leaf_hash(row.canon)
        for ident, (name, said) in self.told.items():
            assert (await sealed_values(app, ident)).get("user_agent") == said, (name, said)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_what_was_sealed_opens_until_its_person_is_erased(
    template_database: str, tmp_path: Path, steps: list[tuple[str, str]]
) -> None:
    async def tell(url: str) -> None:
        story, rest = _Story(), list(steps)
        while rest or not story.told:
            async with started_app(url) as app:
                while rest and rest[0][0] != "restart":
                    await story.take(app, rest.pop(0))
                rest = rest[1:]
                await story.check(app)
            if not rest:
                return

    name, url = databases.create_database(template_database)
    try:
        asyncio.run(tell(url))
    finally:
        databases.drop_database(name)
