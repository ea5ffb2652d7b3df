"""The list of erasures outside the database: what it holds, and that neither its disk nor its lock stops a backend."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend import revocations
from backend.audit.service import AuditDraft, record
from backend.context import Caller
from backend.errors import ConfigurationError
from backend.revocations import FILE_NAME, ErasedSubjectError, Revocations, Step
from tests.support.app import App, started_app
from tests.support.latching import until
from tests.support.ledger import settled
from tests.support.people import ADMIN, OFFICER, OPERATOR

AT = datetime(2026, 1, 1, tzinfo=UTC)
_HOLD = (
    "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); input()"
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of a data directory of the test's own."""
    monkeypatch.setenv("WATCHFLOOR_DATA_DIR", str(tmp_path))
    return tmp_path / FILE_NAME


@contextmanager
def _held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock and keeps it."""
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            yield other
        finally:
            other.kill()


@contextmanager
def _hanging(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[threading.Event]:
    """A disk that answers this one call only when it is told to."""
    release, genuine = threading.Event(), getattr(os, name)

    def hang(*args: object, **options: object) -> object:
        if threading.current_thread().name == "erasures":
            release.wait(60)
        return genuine(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, name, hang)
        try:
            yield release
        finally:
            release.set()


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _write(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(b"".join(lines))


def _remove(path: Path) -> None:
    path.unlink()


def _list(path: Path) -> Revocations:
    return Revocations(path, b"k" * 32)


async def test_what_it_holds(path: Path) -> None:
    one, other = _list(path), _list(path)
    await one.refuse_revoked("person:a")
    await one.append("person:a", Step.APPROVED, AT)
    await other.refuse_revoked("person:a")
    await other.append("person:a", Step.DONE, AT)
    with pytest.raises(ErasedSubjectError):
        await one.refuse_revoked("person:a")
    with path.open("ab") as file:
        file.write(b'{"half a line')
    await one.append("person:b", Step.DONE, AT)
    assert set(await _list(path).known()) == {"person:a", "person:b"}
    lines = _lines(path)
    for wrong in (lines[1:], lines[:1] + lines[2:], [lines[1], lines[0], lines[2]], [b"{}\n", *lines]):
        _write(path, wrong)
        with pytest.raises(ConfigurationError, match="restore the file"):
            await _list(path).known()
    _write(path, [line.replace(b"person:b", b"person:c") for line in lines])
    with pytest.raises(ConfigurationError):
        await _list(path).known()


async def test_a_file_that_has_gone_does_not_begin_anew(path: Path) -> None:
    one = _list(path)
    await one.append("person:a", Step.DONE, AT)
    _remove(path)
    with pytest.raises(ConfigurationError, match="gone"):
        await one.known()
    with pytest.raises(ConfigurationError, match="gone"):
        await one.append("person:b", Step.DONE, AT)
    with pytest.raises(FileNotFoundError):
        _lines(path)


async def test_a_lock_held_for_a_moment_is_waited_for_and_readers_go_on(path: Path) -> None:
    one = _list(path)
    await one.append("person:a", Step.DONE, AT)
    with _held_elsewhere(path) as other:
        writing = asyncio.create_task(one.append("person:b", Step.DONE, AT))
        for _ in range(5):
            await one.refuse_revoked("person:c")
            await asyncio.sleep(0.02)
        assert not writing.done()
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
        await writing
    assert set(await _list(path).known()) == {"person:a", "person:b"}


async def test_a_lock_that_is_kept_refuses_the_erasure_and_nothing_else(
    path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "LOCK_S", 0.5)
    async with started_app(database_url) as app:
        for person in (OPERATOR, ADMIN):
            await (await app.as_(person)).aclose()
        async with await app.as_(OFFICER) as officer, await app.as_(ADMIN) as admin:
            asked = await officer.post("/v1/privacy/erasures", json={"subject": OPERATOR.name, "reason": "asked"})
            where = f"/v1/privacy/erasures/{asked.json()['id']}/approve"
            with _held_elsewhere(path):
                approving = asyncio.create_task(admin.post(where))
                answered = 0
                while not approving.done():
                    assert (await officer.get("/v1/privacy/legal-holds")).status_code == 200
                    answered += 1
                assert answered > 1, "others wait for the lock"
                refused = await approving
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                assert "nothing was erased" in refused.json()["message"]
            assert await app.runtime.revocations.known() == {}
            assert (await admin.post(where)).json()["status"] == "erased"
            (one,) = (await app.runtime.revocations.known()).values()
            assert one.step is Step.DONE


async def _act(app: App) -> None:
    caller = Caller(OPERATOR.name, "user", "mev_operator", frozenset(), "request", ip="203.0.113.77")
    async with app.runtime.database.transaction() as session:
        draft = AuditDraft("alerts.alert.acknowledged", "acknowledge", "alert", "1")
        await record(session, app.runtime, caller, draft)


async def test_a_disk_that_hangs_keeps_personal_data_shut_and_the_backend_answering(
    path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started_app(database_url) as app:
        await _act(app)
        await settled(app)
        async with await app.as_(OFFICER) as officer:
            (entry, *_) = (await officer.get("/v1/audit", params={"user": OPERATOR.name})).json()["items"]
            monkeypatch.setattr(revocations, "ANSWER_S", 0.5)
            with _hanging(monkeypatch, "stat"):
                where = f"/v1/audit/{entry['id']}/reveal"
                revealing = asyncio.create_task(officer.post(where, json={"reason": "an incident"}))
                answered = 0
                while not revealing.done():
                    assert (await app.http.get("/healthz")).status_code == 200
                    answered += 1
                    await asyncio.sleep(0.02)
                assert answered > 1, "others wait for the disk"
                refused = await revealing
                assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
                frozen = await officer.post(
                    "/v1/freezes", json={"scope": {"kind": "global"}, "reason": "the disk hangs and trading must stop"}
                )
                assert frozen.status_code == 201, frozen.text
            for _ in range(500):
                revealed = await officer.post(where, json={"reason": "an incident"})
                if revealed.status_code == 200:
                    break
                await asyncio.sleep(0.02)
            assert revealed.json()["values"]["ip_address"] == "203.0.113.77"
            await settled(app)
            found = await officer.get("/v1/audit", params={"event_type": "freeze.hold.created"})
            (told,) = found.json()["items"]
            assert "ip_address" in told["metadata"]["withheld"]


async def test_a_line_that_nobody_waited_for_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = _list(path)
    await one.append("person:a", Step.DONE, AT)
    monkeypatch.setattr(revocations, "ANSWER_S", 0.3)
    with _hanging(monkeypatch, "fsync"), pytest.raises(OSError, match="not answered"):
        await one.append("person:b", Step.APPROVED, AT)
    monkeypatch.setattr(revocations, "ANSWER_S", 30.0)
    for _ in range(500):
        try:
            await one.append("person:c", Step.DONE, AT)
            break
        except OSError:
            await asyncio.sleep(0.02)
    assert set(await _list(path).known()) == {"person:a", "person:c"}


async def test_an_approval_that_was_rolled_back_is_void(
    path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started_app(database_url) as app:
        for person in (OPERATOR, ADMIN):
            await (await app.as_(person)).aclose()
        async with await app.as_(OFFICER) as officer, await app.as_(ADMIN) as admin:
            asked = await officer.post("/v1/privacy/erasures", json={"subject": OPERATOR.name, "reason": "asked"})
            async with app.runtime.database.transaction() as session:
                driver = await session.connection()
                await driver.exec_driver_sql(
                    "ALTER TABLE audit_subject_keys ADD CONSTRAINT kept CHECK (wrapped IS NOT NULL)"
                )
            answer = await admin.post(f"/v1/privacy/erasures/{asked.json()['id']}/approve")
            assert answer.is_error
        (one,) = (await app.runtime.revocations.known()).values()
        assert one.step is Step.VOID


async def test_a_backend_that_stops_leaves_no_thread_behind(database_url: str) -> None:
    before = set(threading.enumerate())
    async with started_app(database_url):
        names = {thread.name for thread in set(threading.enumerate()) - before}
        assert {"erasures", "audit spool"} <= names
    mine = {"erasures", "audit spool", "known callers", "freeze journal"}
    await until(lambda: not mine & {thread.name for thread in set(threading.enumerate()) - before}, "the threads' end")
