"""Personal values of an entry: encrypted under the subject's own key, with a commitment in the leaf.

The leaf never changes when a subject is erased: only the key is destroyed. Must never log or return a key.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from backend.audit.subjects import ERASED
from backend.audit.tables import Ledger, SubjectKey
from backend.context import Runtime
from backend.db import after_commit
from backend.keyring import DataKey
from backend.revocations import ErasedSubjectError
from ledger import seal


@dataclass(frozen=True, slots=True)
class Sealed:
    """One personal field on its way into the ledger."""

    field: str
    subject: str
    key_id: UUID
    commitment: bytes
    nonce: bytes
    ciphertext: bytes
    blind: bytes | None


@dataclass(frozen=True, slots=True)
class Owner:
    """The entry that a value belongs to, and the person it speaks of."""

    log: str
    entry_id: str
    subject: str


async def seal_fields(
    session: AsyncSession, runtime: Runtime, owner: Owner, values: Mapping[str, str]
) -> tuple[Sealed, ...]:
    """Encrypt the values of one entry under the subject's key, which is made at first need.

    Raises:
        ErasedSubjectError: the subject was erased.
    """
    if not values or owner.subject == ERASED:
        return ()
    data_key = await data_key_of(session, runtime, owner.subject)
    return tuple(_seal(runtime, data_key, owner, field, value) for field, value in values.items())


def _seal(runtime: Runtime, data_key: DataKey, owner: Owner, field: str, value: str) -> Sealed:
    salt, nonce = runtime.clock.random_bytes(seal.SALT_BYTES), runtime.clock.random_bytes(seal.NONCE_BYTES)
    raw = value.encode()
    committed = seal.commitment(owner.log, owner.entry_id, field, salt, raw)
    ciphertext = seal.encrypt(
        data_key.key, nonce, entry_id=owner.entry_id, field=field, committed=committed, salt=salt, value=raw
    )
    blind = seal.blind(runtime.keyring.blinding, field, value)
    return Sealed(field, owner.subject, data_key.id, committed, nonce, ciphertext, blind)


async def data_key_of(session: AsyncSession, runtime: Runtime, subject: str) -> DataKey:
    """The subject's key for sealing, made at first need; remembered for a second once its transaction is durable.

    Raises:
        ErasedSubjectError: it was destroyed, whatever the database says.
        UnknownMasterKeyError: it is wrapped under a master key that this process does not have.
    """
    await runtime.revocations.refuse_revoked(subject)
    known = runtime.data_keys.get(subject)
    if known is not None:
        return known
    data_key = await stored_key(session, runtime, subject)
    if data_key is None:
        made = insert(SubjectKey).values(await _new_key(session, runtime, subject))
        await session.execute(made.on_conflict_do_nothing(index_elements=["subject"]))
        data_key = await stored_key(session, runtime, subject)
    assert data_key is not None  # noqa: S101  inserted above, by us or by whoever was faster
    found = data_key
    after_commit(session, lambda: runtime.data_keys.put(subject, found))
    return data_key


async def stored_key(session: AsyncSession, runtime: Runtime, subject: str) -> DataKey | None:
    """The subject's key as the database has it now; None if there never was one. Asked for every opening.

    Raises:
        ErasedSubjectError: it was destroyed, whatever the database says.
        UnknownMasterKeyError: it is wrapped under a master key that this process does not have.
    """
    await runtime.revocations.refuse_revoked(subject)
    wanted = select(SubjectKey.id, SubjectKey.wrapped, SubjectKey.master_key_id).where(SubjectKey.subject == subject)
    row = (await session.execute(wanted)).one_or_none()
    if row is None:
        return None
    ident, wrapped, under = row
    if wrapped is None:
        raise ErasedSubjectError(subject)
    key = await runtime.keyring.master.unwrap(wrapped, under=under, subject=subject, key_id=str(ident))
    return DataKey(ident, key)


async def _new_key(session: AsyncSession, runtime: Runtime, subject: str) -> dict[str, Any]:
    """A key for a subject, under the master key that the ledger says: a rotation waits until this has committed."""
    under = await session.scalar(select(Ledger.master_key_id).with_for_update(read=True))
    under = under or runtime.keyring.master.current
    ident = runtime.clock.new_id()
    key, nonce = runtime.clock.random_bytes(seal.KEY_BYTES), runtime.clock.random_bytes(seal.NONCE_BYTES)
    return {
        "id": ident,
        "subject": subject,
        "master_key_id": under,
        "wrapped": await runtime.keyring.master.wrap(key, nonce, under=under, subject=subject, key_id=str(ident)),
        "created_at": runtime.clock.now(),
    }


def pack(sealed: Iterable[Sealed]) -> bytes | None:
    """Write sealed fields as the outbox carries them; None when there are none."""
    rows = [
        [one.field, one.subject, str(one.key_id), one.nonce.hex(), one.ciphertext.hex(), one.blind and one.blind.hex()]
        for one in sealed
    ]
    return orjson.dumps(rows) if rows else None


def unpack(raw: bytes) -> list[dict[str, Any]]:
    """Read what `pack` wrote, as columns of the sealed table.

    Raises:
        ValueError: not such bytes.
    """
    try:
        return [_unpacked(row) for row in orjson.loads(raw)]
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not sealed fields: {error}") from error


def subjects_in(raw: bytes) -> set[str]:
    """Whose values `pack` wrote; nobody's for other bytes."""
    try:
        return {str(field["subject"]) for field in unpack(raw)}
    except ValueError:
        return set()


def without_subjects(raw: bytes, subjects: Collection[str]) -> tuple[bytes | None, int]:
    """What `pack` wrote without the fields of some people, and how many those were; unreadable bytes go whole."""
    try:
        rows = orjson.loads(raw)
        kept = [row for row in rows if _unpacked(row)["subject"] not in subjects]
    except (ValueError, TypeError, AttributeError):
        return None, 1
    return (raw if len(kept) == len(rows) else orjson.dumps(kept) if kept else None), len(rows) - len(kept)


def _unpacked(row: list[str]) -> dict[str, Any]:
    field, subject, key_id, nonce, ciphertext, blind = row
    return {
        "field": field,
        "subject": subject,
        "key_id": UUID(key_id),
        "nonce": bytes.fromhex(nonce),
        "ciphertext": bytes.fromhex(ciphertext),
        "blind": bytes.fromhex(blind) if blind else None,
    }
