"""The signer: witness number zero, which holds the ledger's current epoch key. Must never sign without a valid proof.

It serves the first ledger that asks and no other. Keys of past epochs are gone: what was sealed under them cannot be
signed again, whoever takes this machine over.
"""

import json
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from ledger import checkpoint, note
from ledger.checkpoint import Checkpoint, CheckpointError, EpochCertificate, epoch_key_name, epoch_of
from ledger.note import SEED_BYTES, NoteError, SignerKey, VerifierKey
from witness.files import private_directory, write_whole
from witness.generations import Generations, origin_of
from witness.heads import Head, Heads
from witness.wire import AddRequest, RefusalError, RestorationRequest

EPOCH_S: Final = 24 * 60 * 60
"""One key a day; epochs are numbered like days, from 1970."""
MAX_EPOCHS_SKIPPED: Final = 400
"""A signer that was away for longer, or whose clock says so, needs a person: a key cannot be taken back a century."""
_STATE: Final = "signer.json"


class DamagedKeyError(Exception):
    """The signer's file cannot be read: it will not make a new key in silence."""


class Signer:
    """The keys of one ledger and the heads signed with them."""

    def __init__(self, directory: Path, now: Callable[[], datetime], random_bytes: Callable[[int], bytes]) -> None:
        """Open the signer's directory; nothing is made before the first ledger asks.

        Raises:
            DamagedKeyError: the file with its key cannot be read.
            DamagedHeadError: a head cannot be read.
        """
        private_directory(directory)
        self._path = directory / _STATE
        self._now = now
        self._random_bytes = random_bytes
        self._heads = Heads(directory / "heads")
        self._generations = Generations(directory / "restores", self._heads)
        self._genesis = ""
        self._key: SignerKey | None = None
        self._certificates: list[bytes] = []
        if self._path.exists():
            self._load()
        elif self._heads.origins():
            raise DamagedKeyError(f"{self._path} is missing, yet heads were signed here")

    def sign(self, request: AddRequest) -> bytes:
        """Sign a head that is proved to continue the last one of its log; returns the signed note.

        Raises:
            RefusalError: 400 no head; 403 another ledger's; 409 see `ConflictError`; 422 not proved; 428 see
                `Generations.base`; 503 the clock.
        """
        asked = _asked(request)
        base = self._generations.base(origin_of(asked), self._known_keys())
        head, sign = self._signing(asked)
        return self._heads.advance(request.old, request.proof, head, sign, base=base)

    def restore(self, request: RestorationRequest) -> bytes:
        """Sign the first head of `meta` in a new generation; returns the signed note.

        Raises:
            RefusalError: as `sign`, and see `Generations.begun_by`.
        """
        asked = _asked(request.add)
        restorations, base = self._generations.begun_by(request, asked, self._known_keys())
        head, sign = self._signing(asked)

        def before(signed: bytes) -> None:
            self._generations.keep(request, restorations, Head(head, signed))

        return self._heads.advance(request.add.old, request.add.proof, head, sign, base=base, before=before)

    def _signing(self, asked: Checkpoint) -> tuple[Checkpoint, Callable[[], bytes]]:
        """The head as it is signed today, and the signing of it."""
        key, epoch = self._current(origin_of(asked).ledger)
        head = checkpoint.head(asked.origin, asked.size, asked.root, epoch)
        return head, lambda: note.sign(head.format(), [key])

    def _known_keys(self) -> list[VerifierKey]:
        """Every key that has signed here."""
        return list(checkpoint.verify_chain(self._genesis, self._certificates).values()) if self._genesis else []

    def head(self, hashed_origin: str) -> bytes | None:
        """The last signed head of a log, found by the hash of its origin."""
        found = self._heads.by_hash(hashed_origin)
        return found.signed if found else None

    def keys(self, known: int = 0) -> dict[str, Any]:
        """Say who this signer is: its first key, the certificates since but for the first `known`, the logs signed."""
        certificates = [one.decode() for one in self._certificates[known:]]
        return {"genesis": self._genesis, "certificates": certificates, "origins": list(self._heads.origins())}

    def _current(self, ledger: str) -> tuple[SignerKey, int]:
        today = int(self._now().timestamp()) // EPOCH_S
        if self._key is None:
            return self._begin(ledger, today)
        name = epoch_of(self._key.name)
        assert name is not None  # noqa: S101  checked when the file was read
        if ledger != name[0]:
            raise RefusalError(HTTPStatus.FORBIDDEN, f"this signer signs for {name[0]} only")
        if today - name[1] > MAX_EPOCHS_SKIPPED:
            raise RefusalError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the clock says epoch {today}, the last key is of {name[1]}"
            )
        if today > name[1]:  # a clock that runs backwards changes nothing
            self._rotate(ledger, name[1], today)
        return self._key, max(today, name[1])

    def _begin(self, ledger: str, epoch: int) -> tuple[SignerKey, int]:
        try:
            key = SignerKey(epoch_key_name(ledger, epoch), self._random_bytes(SEED_BYTES))
        except NoteError as error:
            raise RefusalError(HTTPStatus.BAD_REQUEST, f"not a ledger's name: {error}") from error
        self._store(key, key.verifier.encode(), [])
        return key, epoch

    def _rotate(self, ledger: str, last: int, today: int) -> None:
        """Make the key of every epoch up to today, each certified by the one before; only the last one is kept."""
        assert self._key is not None  # noqa: S101  the caller has one
        key, certificates = self._key, list(self._certificates)
        for epoch in range(last + 1, today + 1):
            following = SignerKey(epoch_key_name(ledger, epoch), self._random_bytes(SEED_BYTES))
            certificates.append(EpochCertificate(ledger, epoch, following.verifier).sign(key))
            key = following
        self._store(key, self._genesis, certificates)

    def _store(self, key: SignerKey, genesis: str, certificates: list[bytes]) -> None:
        """Replace the file in one step: there is never a certificate for a key that was lost, nor two keys."""
        state = {"key": key.encode(), "genesis": genesis, "certificates": [one.decode() for one in certificates]}
        write_whole(self._path, json.dumps(state, indent=1).encode() + b"\n")
        self._key, self._genesis, self._certificates = key, genesis, certificates

    def _load(self) -> None:
        try:
            state = json.loads(self._path.read_bytes())
            key = SignerKey.parse(state["key"])
            certificates = [one.encode() for one in state["certificates"]]
            chain = checkpoint.verify_chain(state["genesis"], certificates)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedKeyError(f"{self._path} cannot be used: {type(error).__name__}") from error
        if key.verifier != VerifierKey.parse(chain[max(chain)].encode()):
            raise DamagedKeyError(f"{self._path} holds a key that its certificates do not lead to")
        self._key, self._genesis, self._certificates = key, state["genesis"], certificates


def _asked(request: AddRequest) -> Checkpoint:
    try:
        asked = Checkpoint.parse(request.checkpoint.decode())
    except (UnicodeDecodeError, CheckpointError) as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"not a checkpoint: {error}") from error
    if asked.extensions:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "the signer adds the extension lines")
    return asked
