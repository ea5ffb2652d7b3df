"""What lies beside a backup that `watchfloor backup take` wrote: what it holds, so that a restored one can be compared.

Pure. Its text is hostile: whoever can write the backup can write it.
"""

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

SUFFIX: Final = ".backup.json"
"""Follows the name of the backup's file or directory."""
MAX_BYTES: Final = 4 * 1024 * 1024
"""A name, a count and a hash for tens of thousands of tables."""
_MAX_NAMED: Final = 50_000

Count = Annotated[int, Field(strict=True, ge=0)]
Hex = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class ManifestError(ValueError):
    """It is not what `watchfloor backup take` writes; says why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Part):
    """A file of the backup."""

    size_bytes: Count
    sha256: Hex


class Head(_Part):
    """Where a log of the audit ledger stood."""

    log: Name
    size: Count
    root: Hex


class BackupManifest(_Part):
    """Everything that a restored backup is compared with."""

    watchfloor_backup: Literal[1] = 1
    kind: Literal["pg_dump", "pg_basebackup"]
    name: Name
    """The file or directory that it is about."""
    taken_at: AwareDatetime
    """By the database's clock: the backup holds everything that was committed before."""
    server_version: Count
    """As `server_version_num` has it, 180006."""
    database: Name
    owner: Name
    """Who made it; a base backup's scratch server knows this account."""
    files: Annotated[dict[Name, StoredFile], Field(min_length=1, max_length=_MAX_NAMED)]
    """The dump; of a base backup its own manifest, which names all others."""
    tables: Annotated[dict[Name, Count], Field(max_length=_MAX_NAMED)]
    """Rows by table. Of a base backup as they were before it was begun."""
    moving: Annotated[frozenset[Name], Field(max_length=_MAX_NAMED)] = frozenset()
    """Tables that changed while a base backup was taken: nobody can say how many rows it holds of them."""
    heads: Annotated[tuple[Head, ...], Field(max_length=1000)] = ()
    """Exactly these in a dump; a base backup may hold more, never less."""

    @property
    def major(self) -> int:
        """The major version of PostgreSQL."""
        return self.server_version // 10_000


def parse(raw: bytes, name: str) -> BackupManifest:
    """Read what lies beside the backup of this name.

    Raises:
        ManifestError: it is none, or another backup's.
    """
    if len(raw) > MAX_BYTES:
        raise ManifestError("the manifest beside it is too large")
    try:
        found = BackupManifest.model_validate_json(raw)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"]) or "its text"
        raise ManifestError(f"the manifest beside it cannot be read ({where[:100]})") from error
    if found.name != name:
        raise ManifestError(f"the manifest beside it is of another backup, {found.name[:100]!r}")
    return found
