"""Notes of freezes that nobody has answered: when one is made, when it goes, and that none holds a freeze up."""

import base64
import json
import os
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from console.client import unanswered
from console.client.errors import ApiError, NotUnderstood, TimedOut, Unreachable
from console.client.unanswered import Became, Fate, Note, Notes, owner_of, send, settle
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeRequest, SentFreeze
from contract.scope import Scope
from tests.console import floor_models as models

if TYPE_CHECKING:
    from console.client.api import Api

URL = "http://127.0.0.1:8420"
NOW = datetime(2025, 7, 11, 12, 0, 0, tzinfo=UTC)


def token(name: str) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"username": name}).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def notes(directory: Path, name: str = "oscar", url: str = URL) -> Notes:
    return Notes(str(directory), url, token(name), now=lambda: NOW)


def request(key: str = "ab" * 16) -> FreezeRequest:
    return FreezeRequest(scope=Scope.parse("chain:base"), reason="losses", idempotency_key=key)


class Line:
    """What comes back from a backend, one after the other."""

    def __init__(self, kept: Notes, *answers: Exception | None) -> None:
        self.kept, self.answers, self.noted = kept, list(answers), list[int]()

    async def post(self) -> Freeze:
        self.noted.append(len(self.kept.all()))
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return models.freeze()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered, "_RETRY_DELAY_S", 0.0)
    monkeypatch.setattr(unanswered, "NOTE_LIMIT_S", 60.0)


def refused(code: ErrorCode) -> ApiError:
    return ApiError(code, "no", None, "r")


async def test_it_is_noted_before_it_leaves_and_forgotten_with_its_answer(tmp_path: Path) -> None:
    line = Line(kept := notes(tmp_path), None)
    await send(kept, request(), line.post)
    await kept.forgotten()
    assert (line.noted, kept.all()) == ([1], [])


@pytest.mark.parametrize(
    ("answers", "stays"),
    [
        ([refused(ErrorCode.NOT_ALLOWED)], False),
        ([refused(ErrorCode.INTERNAL)], True),
        ([refused(ErrorCode.UNAVAILABLE)], True),
        ([refused(ErrorCode.CONFLICT)], True),
        ([NotUnderstood("what?")], True),
        ([TimedOut("late")] * 3, True),
        ([Unreachable("gone"), refused(ErrorCode.NOT_AUTHENTICATED)], True),
        ([Unreachable("gone"), None], False),
    ],
)
async def test_it_stays_noted_while_what_became_of_it_is_not_known(
    tmp_path: Path,
    answers: list[Exception | None],
    stays: bool,  # noqa: FBT001  a case
) -> None:
    line = Line(kept := notes(tmp_path), *answers)
    try:
        await send(kept, request(), line.post)
    except (ApiError, NotUnderstood, Unreachable):
        assert answers[-1] is not None
    await kept.forgotten()
    assert [note.key for note in kept.all()] == (["ab" * 16] if stays else [])


async def test_sent_again_by_hand_and_refused_it_stays_noted(tmp_path: Path) -> None:
    kept = notes(tmp_path)
    with pytest.raises(TimedOut):
        await send(kept, request(), Line(kept, *[TimedOut("late")] * 3).post)
    with pytest.raises(ApiError):
        await send(kept, request(), Line(kept, refused(ErrorCode.NOT_ALLOWED)).post)
    await kept.forgotten()
    assert len(kept.all()) == 1


async def test_a_note_is_private_whole_and_only_its_owners(tmp_path: Path) -> None:
    await notes(tmp_path).put(request())
    (path,) = (tmp_path / "unanswered").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert token("oscar").split(".")[1] not in path.read_text()
    assert notes(tmp_path).all() == [Note("ab" * 16, URL, "oscar", "chain:base", "halt", NOW)]
    assert notes(tmp_path, "ophelia").all() == []
    assert notes(tmp_path, url="http://127.0.0.1:1").all() == []


async def test_what_is_no_note_is_passed_over(tmp_path: Path) -> None:
    kept = notes(tmp_path)
    await kept.put(request())
    directory = tmp_path / "unanswered"
    whole = (directory / f"{'ab' * 16}.json").read_bytes()
    for number, content in enumerate((b"", b"[]", b"{}", whole[:-9], b"[" * 100_000, whole.replace(b"2025", b"x"))):
        (directory / f"{number:032x}.json").write_bytes(content)
    (directory / f"{7:032x}.json").mkdir()
    os.mkfifo(directory / f"{8:032x}.json")
    (directory / f"{9:032x}.json").symlink_to(directory / f"{'ab' * 16}.json")
    (directory / "elsewhere.json").write_bytes(whole)
    assert [note.key for note in kept.all()] == ["ab" * 16]


async def test_the_oldest_go_when_there_are_many(tmp_path: Path) -> None:
    times = iter(NOW + timedelta(seconds=n) for n in range(100))
    kept = Notes(str(tmp_path), URL, token("oscar"), now=lambda: next(times))
    for number in range(unanswered.MAX_NOTES + 3):
        await kept.put(request(f"{number:032x}"))
    left = [int(note.key, 16) for note in kept.all()]
    assert left == list(range(3, unanswered.MAX_NOTES + 3))


async def test_a_place_that_cannot_be_written_holds_nothing_up(tmp_path: Path) -> None:
    (tmp_path / "unanswered").write_text("a file where the directory belongs")
    await send(kept := notes(tmp_path), request(), Line(kept, None).post)


async def test_a_place_that_hangs_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unanswered, "NOTE_LIMIT_S", 0.01)
    over = threading.Event()
    kept = notes(tmp_path)
    monkeypatch.setattr(kept, "_put", lambda _: over.wait(60))
    try:
        await send(kept, request(), Line(kept, None).post)
        assert not over.is_set()
    finally:
        over.set()


async def test_a_place_that_hangs_is_not_asked_to_forget_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unanswered, "NOTE_LIMIT_S", 0.01)
    over, asked = threading.Event(), list[str]()
    kept = notes(tmp_path)
    monkeypatch.setattr(kept, "_put", lambda _: over.wait(60))
    monkeypatch.setattr(kept, "forget", asked.append)
    try:
        await send(kept, request(), Line(kept, Unreachable("gone"), None).post)
        await kept.forgotten()
        assert asked == []
    finally:
        over.set()


async def test_dropping_a_note_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    kept = notes(tmp_path)
    monkeypatch.setattr(kept, "forget", lambda _: over.wait(60))
    try:
        await send(kept, request(), Line(kept, None).post)
        assert not over.is_set()
        monkeypatch.setattr(unanswered, "NOTE_LIMIT_S", 0.01)
        await kept.forgotten()
        assert not over.is_set()
    finally:
        over.set()


async def test_each_sending_renews_the_note(tmp_path: Path) -> None:
    seconds = iter(range(100))
    kept = Notes(str(tmp_path), URL, token("oscar"), now=lambda: NOW + timedelta(seconds=next(seconds)))
    seen: list[datetime] = []

    async def post() -> Freeze:
        seen.extend(note.sent_at for note in kept.all())
        raise TimedOut("late")

    for _ in range(2):
        with pytest.raises(TimedOut):
            await send(kept, request(), post)
    assert seen == [NOW + timedelta(seconds=n) for n in range(2 * unanswered.ATTEMPTS)]


class Says:
    """A backend that says what became of a freeze, and does something else first."""

    def __init__(self, *answers: Callable[[], Awaitable[SentFreeze]]) -> None:
        self.answers = list(answers)

    async def ask(self, *_: object) -> SentFreeze:
        return await self.answers.pop(0)()


async def test_one_that_was_sent_again_meanwhile_is_not_said_to_be_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unanswered, "ASK_EVERY_S", 0.0)
    kept, doubts = notes(tmp_path), list[Became]()
    await Notes(str(tmp_path), URL, token("oscar"), now=lambda: NOW - timedelta(minutes=1)).put(request())
    (note,) = kept.all()

    async def sent_again() -> SentFreeze:
        await kept.put(request())
        return SentFreeze(taken=False)

    async def taken() -> SentFreeze:
        return SentFreeze(taken=True, freeze=models.freeze())

    api = cast("Api", Says(sent_again, taken))
    became = await settle(api, kept, note, doubt=doubts.append)
    assert became is not None
    assert (became.fate, [one.fate for one in doubts]) == (Fate.TAKEN, [Fate.UNKNOWN])


async def test_one_that_somebody_else_has_learned_of_is_let_go(tmp_path: Path) -> None:
    kept = notes(tmp_path)
    await kept.put(request())
    (note,) = kept.all()

    async def learned_elsewhere() -> SentFreeze:
        kept.forget(note.key)
        return SentFreeze(taken=False)

    api = cast("Api", Says(learned_elsewhere))
    assert await settle(api, kept, note, doubt=lambda _: None) is None


async def test_a_key_of_another_making_is_no_name_of_a_file(tmp_path: Path) -> None:
    for key in ("../../sessions", "", "ABCD"):
        await notes(tmp_path).put(request(key))
    kept, place = tmp_path / "sessions.json", tmp_path / "unanswered"
    kept.touch()
    place.mkdir()
    notes(tmp_path).forget("../sessions")
    kept.unlink()
    place.rmdir()
    assert os.listdir(tmp_path) == []  # noqa: PTH208  at once


def test_a_machines_token_stands_for_itself_without_being_kept() -> None:
    assert owner_of("wfs_secret") == owner_of("wfs_secret") != owner_of("wfs_other")
    assert "secret" not in owner_of("wfs_secret")
    for odd in ("", "a.b", "a.b.c", "..", "a.bnVsbA.c", "a." + base64.urlsafe_b64encode(b"[]").decode() + ".c"):
        assert owner_of(odd)
