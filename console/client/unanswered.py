"""Unanswered freezes: noted before they leave, so that whoever comes back after a dropped line learns what they became.

Each has one private file beside the sessions. It is there while nobody here knows whether the backend took the freeze.
Noting must never keep a freeze from being sent, and a note holds no token.
"""

import asyncio
import base64
import hashlib
import json
import os
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from console.client import disk
from console.client.errors import ApiError, ClientError, Unreachable
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeRequest, SentFreeze

if TYPE_CHECKING:
    from console.client.api import Api

DIRECTORY: Final = "unanswered"
NOTE_LIMIT_S: Final = 0.3
"""How long a freeze waits for its note: a home directory on a network that hangs must not hold it up."""
ATTEMPTS: Final = 3
"""A freeze is sent again under the same key when the line drops: it must get through, and never twice."""
SETTLED_S: Final = 10.0
"""When a freeze that is not there has not been taken: a backend takes or latches it within two seconds of its arrival,
and what a console sent that then died arrives at once or not at all."""
ASK_EVERY_S: Final = 1.0
MAX_NOTES: Final = 20
"""More than a person sends in an outage; the oldest are forgotten."""
_RETRY_DELAY_S: Final = 0.3
_LIMIT_BYTES: Final = 10_000
_PRIVATE_DIR: Final = 0o700
_PRIVATE_FILE: Final = 0o600
_SUFFIX: Final = ".json"
_KEY_ALPHABET: Final = frozenset("0123456789abcdef")
_SURE: Final = frozenset({
    ErrorCode.NOT_AUTHENTICATED, ErrorCode.NOT_ALLOWED, ErrorCode.INVALID_REQUEST, ErrorCode.TOO_LARGE,
    ErrorCode.RATE_LIMITED, ErrorCode.REFUSED_BY_POLICY,
})  # fmt: skip
"""Refusals after which it is certain that the request did nothing."""


_MAY_NOT_ASK: Final = frozenset({ErrorCode.NOT_AUTHENTICATED, ErrorCode.NOT_ALLOWED})
"""Refusals after which asking again changes nothing."""


class Note(NamedTuple):
    """One freeze of which no answer has come."""

    key: str
    url: str
    owner: str
    """Whose it is: nobody else can ask after it."""
    scope: str
    mode: str
    sent_at: datetime
    """When it was sent last."""


class Noted(Enum):
    """What came of noting a freeze."""

    NEW = auto()
    AGAIN = auto()
    """It was noted already, for an earlier sending."""
    LATE = auto()
    """The disk did not answer in time; it may be noted yet."""


class Fate(StrEnum):
    """What became of it."""

    TAKEN = "taken"
    NOT_TAKEN = "not taken"
    UNKNOWN = "unknown"


class Became(NamedTuple):
    """What the backend says of an unanswered freeze."""

    note: Note
    fate: Fate
    freeze: Freeze | None = None
    why: str = ""
    """Why it is not known."""
    again: bool = True
    """Whether it is asked for again while it is not known."""


class Notes:
    """The unanswered freezes of one account at one backend."""

    def __init__(self, state_dir: str, url: str, token: str | None, *, now: Callable[[], datetime]) -> None:
        self._directory = Path(state_dir) / DIRECTORY
        self._url = url
        self._owner = owner_of(token or "")
        self.now = now
        self._forgetting: set[asyncio.Future[None]] = set()

    async def put(self, request: FreezeRequest) -> Noted:
        """Note a freeze that is about to be sent, once more if it was sent before: what counts is the last sending.

        One that cannot be noted in time is sent all the same.
        """
        note = Note(request.idempotency_key, self._url, self._owner, str(request.scope), request.mode.value, self.now())
        with suppress(TimeoutError):
            return await disk.within(NOTE_LIMIT_S, lambda: self._put(note))
        return Noted.LATE

    def forget(self, key: str) -> None:
        """Drop a note: somebody here knows what became of the freeze."""
        if _names_a_file(key):
            with suppress(OSError):
                self._path(key).unlink()

    def forget_soon(self, key: str) -> None:
        """Drop a note without waiting for the disk: nobody's screen waits for it."""
        done = disk.begin(lambda: self.forget(key))
        self._forgetting.add(done)
        done.add_done_callback(self._forgetting.discard)

    async def forgotten(self) -> None:
        """Wait a moment for what is being dropped, before the process ends."""
        if self._forgetting:
            await asyncio.wait(self._forgetting, timeout=NOTE_LIMIT_S)

    def as_it_is_now(self, note: Note) -> Note | None:
        """A note read again: it may have been sent again; None once somebody else knows what became of the freeze."""
        try:
            self._path(note.key).lstat()
        except FileNotFoundError:
            return None
        except OSError:
            return note
        return self._read(note.key) or note

    def all(self) -> list[Note]:
        """The notes of this account, oldest first; one that cannot be read as a note is none."""
        try:
            names = sorted(path.stem for path in self._directory.iterdir() if path.suffix == _SUFFIX)
        except OSError:
            return []
        read = (self._read(name) for name in names if _names_a_file(name))
        mine = (note for note in read if note is not None and (note.url, note.owner) == (self._url, self._owner))
        return sorted(mine, key=lambda note: note.sent_at)

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}{_SUFFIX}"

    def _put(self, note: Note) -> Noted:
        noted = Noted.NEW
        if not _names_a_file(note.key):
            return noted
        with suppress(OSError):
            self._directory.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
            if self._path(note.key).exists():
                noted = Noted.AGAIN
            self._write(note)
            for old in self.all()[:-MAX_NOTES]:
                self.forget(old.key)
        return noted

    def _write(self, note: Note) -> None:
        draft = self._path(note.key).with_suffix(".new")
        content = json.dumps(note._asdict() | {"sent_at": note.sent_at.isoformat()}).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, _PRIVATE_FILE), "wb") as file:
            file.write(content)
        draft.replace(self._path(note.key))  # one that is there is whole; it outlives the process, not a power cut

    def _read(self, key: str) -> Note | None:
        try:
            with os.fdopen(os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    return None
                kept = json.loads(file.read(_LIMIT_BYTES))
            sent_at = datetime.fromisoformat(kept["sent_at"]).astimezone(UTC)
            url, owner, scope, mode = (str(kept[name]) for name in ("url", "owner", "scope", "mode"))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None
        return Note(key, url, owner, scope, mode, sent_at)


def _names_a_file(key: str) -> bool:
    """Whether a key may name a file: one of somebody else's making does not."""
    return bool(key) and set(key) <= _KEY_ALPHABET


def owner_of(token: str) -> str:
    """Whose token it is, by its own word: the account's name, or what stands for a machine's token."""
    with suppress(ValueError, KeyError, TypeError, IndexError):
        payload = token.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["username"])
    return hashlib.sha256(token.encode()).hexdigest()[:16]


async def send(notes: Notes | None, request: FreezeRequest, post: Callable[[], Awaitable[Freeze]]) -> Freeze:
    """Send a freeze, again under the same key if the line drops; its note stays while nobody knows what it became.

    Raises:
        ClientError: the backend refused, or could not be asked, or what it did is not known.
    """
    noted = Noted.NEW
    for attempt in range(1, ATTEMPTS + 1):
        if notes is not None and noted is not Noted.LATE:  # a disk that hangs is waited for once
            noted = await notes.put(request)
        try:
            frozen = await post()
        except Unreachable:
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(_RETRY_DELAY_S * attempt)
        except ApiError as error:
            if notes is not None and noted is Noted.NEW and error.code in _SURE:
                notes.forget_soon(request.idempotency_key)
            raise
        else:
            if notes is not None and noted is not Noted.LATE:
                notes.forget_soon(request.idempotency_key)
            return frozen
    raise AssertionError("the last attempt answers or raises")


async def ask(api: "Api", note: Note) -> Became:
    """Ask once what became of an unanswered freeze.

    Raises:
        ApiError: nobody is signed in any more, or may not ask.
    """
    query = {"scope": note.scope, "mode": note.mode}
    try:
        sent = await api.ask(f"freezes/sent/{quote(note.key, safe='')}", SentFreeze, query)
    except ClientError as error:
        if isinstance(error, ApiError) and error.code in _MAY_NOT_ASK:
            raise
        return Became(note, Fate.UNKNOWN, why=error.message)  # "not found" too: a backend without that route says it
    return Became(note, Fate.TAKEN if sent.taken else Fate.NOT_TAKEN, sent.freeze)


async def settle(api: "Api", notes: Notes, note: Note, *, doubt: Callable[[Became], None]) -> Became | None:
    """Ask until it is certain what became of an unanswered freeze; `doubt` hears of each time when it is not.

    None if its note is gone meanwhile: somebody else knows.

    Raises:
        ApiError: nobody is signed in any more, or may not ask.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        became = await ask(api, note)
        if became.fate is Fate.TAKEN:
            return became
        if became.fate is Fate.NOT_TAKEN:
            with suppress(TimeoutError):  # while the disk hangs it is not known whether it was sent again
                # after the answer, so that what was sent again before it counts
                noted = await disk.within(NOTE_LIMIT_S, partial(notes.as_it_is_now, note))
                if noted is None:
                    return None
                if noted.sent_at != note.sent_at:
                    note, began_s = noted, loop.time()
                # by the wall clock, or by how long it has been asked: one that was put back must not keep it open
                if max(loop.time() - began_s, (notes.now() - note.sent_at).total_seconds()) >= SETTLED_S:
                    return became
        doubt(became._replace(note=note, fate=Fate.UNKNOWN))
        await asyncio.sleep(ASK_EVERY_S)
