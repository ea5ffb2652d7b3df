"""What backups say about themselves: headers of dumps, manifests of base backups, lists of backup tools.

Pure: bytes in, facts out. All of it is hostile text, so nothing here trusts a length, a path or a time.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

MAX_LIST_BYTES: Final = 16 * 1024 * 1024
"""What a backup tool prints of some ten thousand backups."""
MAX_MANIFEST_BYTES: Final = 256 * 1024 * 1024
"""The manifest of a base backup of a million files."""
HEADER_BYTES: Final = 4096
"""How much of a dump is read for its header."""
_MAGIC: Final = b"PGDMP"
_FORMATS: Final = {1: "custom", 5: "directory"}
_OLDEST: Final = (1, 10)
"""The archive's format since PostgreSQL 8.0; older ones lay out their header otherwise."""
_BYTE_COMPRESSION: Final = (1, 15)
_MAX_TEXT: Final = 1024
_MAX_INT_BYTES: Final = 8
_CHECKSUM: Final = re.compile(rb'"Manifest-Checksum": "([0-9a-f]{64})"\}\s*\Z')
_NOT_A_TIME: Final = 1
"""Go's zero instant is in this year."""


class BackupError(ValueError):
    """It is not what it should be; says why, in words that follow its name."""


@dataclass(frozen=True, slots=True)
class DumpHeader:
    """What an archive of pg_dump begins with."""

    form: str
    made_at: datetime
    """pg_dump writes local time without a zone: taken as the time of this machine, as pg_restore does."""
    database: str
    server: str
    """The version of the server that it is of."""


def plain(text: str, most: int = 500) -> str:
    """Text from outside as one line that a database takes and a person can read."""
    return "".join(char if char.isprintable() else "?" for char in text[:most])


def dump_header(raw: bytes) -> DumpHeader | None:
    """Read the beginning of a dump; None where it is no archive of pg_dump at all.

    Raises:
        BackupError: it is one, and its header is damaged or of a format that is not read here.
    """
    if not raw.startswith(_MAGIC):
        return None
    try:
        return _header(_Reader(raw[len(_MAGIC) :]))
    except (IndexError, ValueError, OverflowError) as error:
        if isinstance(error, BackupError):
            raise
        raise BackupError("its header is damaged") from error


class _Reader:
    """pg_dump's numbers and texts: a sign and little-endian bytes; a length and so many bytes."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at, self.int_bytes = raw, 0, 4

    def byte(self) -> int:
        value = self._raw[self._at]
        self._at += 1
        return value

    def take(self, count: int) -> bytes:
        found = self._raw[self._at : self._at + count]
        if not 0 <= count <= _MAX_TEXT or len(found) != count:
            raise ValueError(count)
        self._at += count
        return found

    def number(self) -> int:
        sign = self.byte()
        value = int.from_bytes(self.take(self.int_bytes), "little")
        return -value if sign else value

    def text(self) -> str:
        length = self.number()
        return "" if length < 0 else self.take(length).decode("utf-8", "replace")


def _header(read: _Reader) -> DumpHeader:
    version = (read.byte(), read.byte())
    read.byte()  # revision
    read.int_bytes = read.byte()
    read.byte()  # size of offsets
    form = _FORMATS.get(read.byte())
    if version < _OLDEST or not 0 < read.int_bytes <= _MAX_INT_BYTES:
        raise BackupError(f"its format {version[0]}.{version[1]} is not read here")
    if form is None:
        raise BackupError("it is neither in pg_dump's custom nor in its directory format")
    if version >= _BYTE_COMPRESSION:
        read.byte()
    else:
        read.number()
    second, minute, hour, day, month, year = (read.number() for _ in range(6))
    read.number()  # whether it was summer time
    local = datetime(year + 1900, month + 1, day, hour, minute, min(second, 59))  # noqa: DTZ001  it has no zone
    return DumpHeader(form, local.astimezone(UTC), read.text(), read.text())


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """What the manifest of a base backup says."""

    made_at: datetime
    files: Mapping[str, int]
    """Sizes in bytes, by path."""
    end_lsn: str

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(self.files.values())


def base_backup(raw: bytes) -> BaseBackup:
    """Read a `backup_manifest`.

    Raises:
        BackupError: it is damaged, or is none.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise BackupError("its manifest is too large")
    _check_sum(raw)
    tree = _tree(raw, dict, "its manifest")
    if tree.get("PostgreSQL-Backup-Manifest-Version") not in {1, 2}:
        raise BackupError("its manifest is of a version that is not read here")
    try:
        listed = {_path(one): (_size(one["Size"]), one.get("Last-Modified")) for one in tree["Files"]}
        label = listed["backup_label"][1]
        end = str(tree["WAL-Ranges"][-1]["End-LSN"])[:40]
        made_at = datetime.strptime(label, "%Y-%m-%d %H:%M:%S GMT").replace(tzinfo=UTC)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, BackupError):
            raise
        raise BackupError("its manifest does not say what a base backup's says") from error
    return BaseBackup(made_at, {path: size for path, (size, _) in listed.items()}, end)


def _check_sum(raw: bytes) -> None:
    """The checksum is of all lines but the last, which holds it."""
    begin = raw.rstrip(b"\n").rfind(b"\n") + 1
    stated = _CHECKSUM.match(raw[begin:])
    if stated is None:
        raise BackupError("its manifest has no end")
    if hashlib.sha256(raw[:begin]).hexdigest().encode() != stated.group(1):
        raise BackupError("its manifest does not match its own checksum")


def _path(one: Mapping[str, Any]) -> str:
    path = one["Path"] if "Path" in one else bytes.fromhex(one["Encoded-Path"]).decode("utf-8", "surrogateescape")
    if not isinstance(path, str) or not path or path.startswith("/") or ".." in path.split("/") or "\x00" in path:
        raise BackupError("its manifest names a file outside of it")
    return path


def _size(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BackupError("its manifest does not say how large its files are")
    return value


@dataclass(frozen=True, slots=True)
class Listed:
    """The newest backup of which a backup tool tells."""

    name: str
    made_at: datetime
    size_bytes: int | None


def pgbackrest(raw: bytes, stanza: str) -> Listed | None:
    """The newest backup of a stanza as `pgbackrest info --output=json` printed it; None where there is none.

    Raises:
        BackupError: it was not that, or the stanza or its newest backup is not sound.
    """
    stanzas = [one for one in _tree(raw, list, "what pgbackrest printed") if isinstance(one, dict)]
    wanted = [one for one in stanzas if not stanza or one.get("name") == stanza]
    if len(wanted) != 1:
        named = f"the stanza {stanza!r}" if stanza else "one stanza and no other"
        raise BackupError(f"pgbackrest tells nothing of {named}")
    found = wanted[0]
    code = _code(found)
    if code == _NO_BACKUP:
        return None
    if code != 0:
        raise BackupError(f"pgbackrest says of it: {_complaint(found)}")
    backups = [one for one in _many(found.get("backup")) if _stopped(one) is not None]
    if not backups:
        return None
    newest = max(backups, key=lambda one: _stopped(one) or 0)
    if newest.get("error"):  # pages whose checksums do not match; false, or absent where nobody looked
        raise BackupError(f"pgbackrest found damaged pages in {_text(newest.get('label'))}")
    info = newest.get("info")
    size = info.get("size") if isinstance(info, dict) else None
    return Listed(_text(newest.get("label")), _instant(_stopped(newest)), _whole(size))


_NO_BACKUP: Final = 2
"""pgBackRest's status code of a stanza without a valid backup."""


def _code(stanza: Mapping[str, Any]) -> int:
    status = stanza.get("status")
    code = status.get("code") if isinstance(status, dict) else None
    if not isinstance(code, int):
        raise BackupError("what pgbackrest printed has no status")
    return code


def _complaint(stanza: Mapping[str, Any]) -> str:
    """A repository's own words say more than the stanza's."""
    told = [one.get("status") for one in (*_many(stanza.get("repo")), stanza)]
    words = [str(one.get("message", "")) for one in told if isinstance(one, dict) and one.get("code")]
    return _text(words[0] if words else "no reason")


def _stopped(backup: Mapping[str, Any]) -> int | None:
    times = backup.get("timestamp")
    return _whole(times.get("stop")) if isinstance(times, dict) else None


def _instant(seconds: int | None) -> datetime:
    try:
        return datetime.fromtimestamp(seconds or 0, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise BackupError("what it says of times is out of all bounds") from error


def wal_g(raw: bytes) -> Listed | None:
    """The newest backup as `wal-g backup-list --json --detail` printed it; None where there is none.

    Raises:
        BackupError: it was not that.
    """
    listed = [one for one in _tree(raw, list, "what wal-g printed") if isinstance(one, dict)]
    dated = [(at, one) for one in listed if (at := next(_times(one), None)) is not None]
    if listed and not dated:
        raise BackupError("wal-g says of none of its backups when it was made")
    if not dated:
        return None
    at, newest = max(dated, key=lambda one: one[0])
    return Listed(_text(newest.get("backup_name")), at, _whole(newest.get("compressed_size")))


def _times(one: Mapping[str, Any]) -> Iterator[datetime]:
    """When it was finished; without details when it was stored, as older and newer versions call it."""
    for key in ("finish_time", "time", "modification_time"):
        try:
            at = datetime.fromisoformat(str(one.get(key)))
        except ValueError:
            continue
        if at.tzinfo is not None and at.year > _NOT_A_TIME:
            yield at.astimezone(UTC)


def _tree(raw: bytes, wanted: type[Any], what: str) -> Any:
    if wanted is list and len(raw) > MAX_LIST_BYTES:
        raise BackupError(f"{what} is too large")
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BackupError(f"{what} is not JSON") from error
    if not isinstance(tree, wanted):
        raise BackupError(f"{what} is not what it should be")
    return tree


def _many(value: object) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 else None


def _text(value: object) -> str:
    return str(value)[:200]
