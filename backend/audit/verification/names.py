"""Holds the names of people, which lie outside the ledger, against what the ledger committed to when it learnt them.

Must never say a name: findings tell surrogates.
"""

from base64 import b64decode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import dict_row

from backend.audit.verification import frame
from backend.audit.verification.people import People
from backend.audit.verification.verdicts import META_LOG, NO_LOG, Verdict
from backend.audit.verification.waiting import Row
from ledger import seal
from ledger.seal import SealError

_FIELD: Final = "name"
Keys = Mapping[UUID, tuple[str, bytes | None]]
"""Subject and opened key, by key id."""
_SUBJECTS: Final = "SELECT pid, name FROM audit_subjects"
_NAMED: Final = """
SELECT entry.canon, sealed.key_id, sealed.nonce, sealed.ciphertext
FROM audit_entries AS entry LEFT JOIN audit_sealed AS sealed ON sealed.entry_id = entry.id AND sealed.field = 'name'
WHERE entry.log = 'meta' AND entry.event_type = 'ledger.subject.named'
"""


@dataclass(frozen=True, slots=True)
class Named:
    """One commitment to a name."""

    entry_id: str
    committed: bytes
    key_id: UUID | None = None
    """None when the sealed value is gone."""
    nonce: bytes = b""
    ciphertext: bytes = b""


def check_names(connection: psycopg.Connection[Any], people: People) -> None:
    """Judge every name there is, and every one that is gone."""
    verdicts = people.verdicts
    with _one_snapshot(connection):
        names: dict[str, str | None] = dict(connection.execute(_SUBJECTS).fetchall())
        waiting = people.waiting(connection)
        named = _commitments(connection, waiting.rows)
        keys = people.keys_now(connection)
        erased = people.erased(connection, waiting)
    verdicts[Verdict.PROJECTION].look()
    for pid in sorted(names.keys() | named.keys()):
        name = names.get(pid)
        if name is None:
            if pid not in erased:
                told = f"the name of {pid} is gone and no erasure was announced"
                verdicts[Verdict.ERASURE].find(NO_LOG, None, "name", told)
        elif (wrong := _wrong(pid, name, named[pid], keys, erased)) is not None:
            verdicts[Verdict.PROJECTION].find(NO_LOG, None, "name", wrong)


def _wrong(pid: str, name: str, named: list[Named], keys: Keys, erased: set[str]) -> str | None:
    """What is wrong with a name that is shown."""
    if pid in erased:
        return f"{pid} was erased and has a name"
    if not named:
        return f"{pid} has a name that the ledger never learnt"
    for one in named:
        subject, key = keys.get(one.key_id, ("", None)) if one.key_id else ("", None)
        if subject != pid or key is None:
            return f"{pid} has a name that cannot be held against the ledger: what opens its commitment is gone"
        try:
            opened = seal.decrypt(
                key, one.nonce, one.ciphertext, log=META_LOG, entry_id=one.entry_id, field=_FIELD,
                committed=one.committed,
            )  # fmt: skip
        except SealError as error:
            return f"{pid} has a name that cannot be held against the ledger: {error}"
        if opened.value != name.encode():
            return f"{pid} has another name than the ledger learnt"
    return None


def _commitments(connection: psycopg.Connection[Any], waiting: Sequence[Row]) -> defaultdict[str, list[Named]]:
    """Every commitment by surrogate, also those on their way into the ledger."""
    found: defaultdict[str, list[Named]] = defaultdict(list)
    with connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(_NAMED):
            _note(found, row.pop("canon"), row)
    for one in waiting:
        if one["log"] == META_LOG:
            _note(found, one["canon"], _packed(one["sealed"]))
    return found


def _note(found: dict[str, list[Named]], canon: bytes, sealed: Mapping[str, Any]) -> None:
    """Read an entry leniently: what is none is told by `content`, and the name it should have shows as unknown."""
    tree = frame.tree_of(canon)
    try:
        index, committed = tree["index"], b64decode(tree["body"]["sealed"][_FIELD], validate=True)
        if index["event_type"] == frame.SUBJECT_NAMED and index["resource_type"] == "subject":
            found[str(index["resource_id"])].append(Named(str(index["id"]), committed, **sealed))
    except (KeyError, TypeError, ValueError):
        return


def _packed(raw: bytes | None) -> dict[str, Any]:
    """The sealed name as the outbox carries it, leniently."""
    try:
        for field, _, key_id, nonce, ciphertext, _ in orjson.loads(raw or b"[]"):
            if field == _FIELD:
                opening = {"nonce": bytes.fromhex(nonce), "ciphertext": bytes.fromhex(ciphertext)}
                return {"key_id": UUID(key_id), **opening}
    except (ValueError, TypeError, AttributeError):
        return {}
    return {}


@contextmanager
def _one_snapshot(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Who is made known or erased meanwhile must not look half done."""
    if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        yield
        return
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
