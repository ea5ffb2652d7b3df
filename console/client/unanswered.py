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
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from console.client.errors import ApiError, ClientError, Unreachable
from contract.errors import ErrorCode
from contract.freeze import Freeze, FreezeRequest

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


class Note(NamedTuple):
    """One freeze of which no answer has come."""

    key: str
    url: str
    owner: str
    """Whose it is: nobody else can ask after it."""
    scope: str
    mode: str
    sent_at: datetime


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


class Notes:
    """The unanswered freezes of one account at one backend."""

    def __init__(self, state_dir: str, url: str, token: str | None, *, now: Callable[[], datetime]) -> None:
        self._directory = Path(state_dir) / DIRECTORY
        self._url = url
        self._owner = owner_of(token or "")
        self.now = now

    async def put(self, request: FreezeRequest) -> bool:
        """Note a freeze that is about to be sent; False if it may be noted already, for an earlier sending.

        One that cannot be noted in time is sent all the same.
        """
        note = Note(request.idempotency_key, self._url, self._owner, str(request.scope), request.mode.value, self.now())
        with suppress(TimeoutError):
            return await asyncio.wait_for(asyncio.to_thread(self._put, note), NOTE_LIMIT_S)
        return False

    def forget(self, key: str) -> None:
        """Drop a note: somebody here knows what became of the freeze."""
        with suppress(OSError):
            self._path(key).unlink()

    def all(self) -> list[Note]:
        """The notes of this account, oldest first; one that cannot be read as a note is none."""
        try:
            names = sorted(path.stem for path in self._directory.iterdir() if path.suffix == _SUFFIX)
        except OSError:
            return []
        read = (self._read(name) for name in names if set(name) <= _KEY_ALPHABET)
        mine = (note for note in read if note is not None and (note.url, note.owner) == (self._url, self._owner))
        return sorted(mine, key=lambda note: note.sent_at)

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}{_SUFFIX}"

    def _put(self, note: Note) -> bool:
        if not note.key or not set(note.key) <= _KEY_ALPHABET:
            return True  # a key of somebody else's making is no name for a file
        with suppress(OSError):
            self._directory.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
            if self._path(note.key).exists():
                return False
            self._write(note)
            for old in self.all()[:-MAX_NOTES]:
                self.forget(old.key)
        return True

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
    sure = notes is None or await notes.put(request)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            frozen = await post()
        except Unreachable:
            sure = False
            if attempt == ATTEMPTS:
                raise
            await asyncio.sleep(_RETRY_DELAY_S * attempt)
        except ApiError as error:
            if notes is not None and sure and error.code in _SURE:
                notes.forget(request.idempotency_key)
            raise
        else:
            if notes is not None:
                notes.forget(request.idempotency_key)
            return frozen
    raise AssertionError("the last attempt answers or raises")


async def ask(api: "Api", note: Note) -> Became:
    """Ask once what became of an unanswered freeze.

    Raises:
        ApiError: nobody is signed in any more.
    """
    query = {"scope": note.scope, "mode": note.mode}
    try:
        frozen = await api.ask(f"freezes/sent/{quote(note.key, safe='')}", Freeze, query)
    except ClientError as error:
        code = error.code if isinstance(error, ApiError) else None
        if code is ErrorCode.NOT_AUTHENTICATED:
            raise
        fate = Fate.NOT_TAKEN if code is ErrorCode.NOT_FOUND else Fate.UNKNOWN
        return Became(note, fate, why="" if fate is Fate.NOT_TAKEN else error.message)
    return Became(note, Fate.TAKEN, frozen)


async def settle(api: "Api", notes: Notes, note: Note, *, doubt: Callable[[Became], None]) -> Became:
    """Ask until it is certain what became of an unanswered freeze; `doubt` hears of each time when it is not.

    Raises:
        ApiError: nobody is signed in any more.
    """
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    while True:
        became = await ask(api, note)
        # by the wall clock, or by how long it has been asked: one that was put back must not keep it open
        waited_s = max(loop.time() - began_s, (notes.now() - note.sent_at).total_seconds())
        if became.fate is Fate.TAKEN or (became.fate is Fate.NOT_TAKEN and waited_s >= SETTLED_S):
            return became
        doubt(became._replace(fate=Fate.UNKNOWN))
        await asyncio.sleep(ASK_EVERY_S)
