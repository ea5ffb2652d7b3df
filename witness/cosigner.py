"""The witness an auditor runs elsewhere: cosigns heads that its ledgers signed and that continue what it saw last.

Must never take a key on trust: a ledger's first key is given at the start, every later one needs a certificate of the
key before.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

from ledger import checkpoint, note
from ledger.checkpoint import CheckpointError, EpochCertificate, SignedCheckpoint, epoch_of
from ledger.note import SEED_BYTES, KeyType, NoteError, SignerKey, VerifierKey
from witness.files import private_directory, write_whole
from witness.generations import Generations, origin_of
from witness.heads import Head, Heads
from witness.wire import AddRequest, RefusalError, RestorationRequest, join_notes, split_notes

_KEY: Final = "witness.key"


class WrongKeyError(ValueError):
    """A key that was given cannot be used."""


class Trusted:
    """One ledger's keys, from the first one on, with the certificates that lead to each."""

    def __init__(self, genesis: str, path: Path) -> None:
        self._path = path
        self._genesis = genesis
        try:
            self._certificates = list(split_notes(path.read_bytes())) if path.exists() else []
            self.keys = checkpoint.verify_chain(genesis, self._certificates)
        except (NoteError, CheckpointError, RefusalError) as error:
            raise WrongKeyError(f"{genesis}: {error}") from error
        self.ledger = _ledger_of(genesis)

    @property
    def epoch(self) -> int:
        """The newest epoch whose key is known."""
        return max(self.keys)

    def learn(self, certificates: Iterable[bytes]) -> None:
        """Take certificates that continue the chain, durably; those that are known already are passed over.

        Raises:
            RefusalError: 403, one does not.
        """
        known = set(self._certificates)
        longer = [*self._certificates, *(one for one in certificates if one not in known)]
        if len(longer) == len(self._certificates):
            return
        try:
            keys = checkpoint.verify_chain(self._genesis, longer)
        except (NoteError, CheckpointError) as error:
            raise RefusalError(HTTPStatus.FORBIDDEN, f"a certificate does not continue the chain: {error}") from error
        write_whole(self._path, join_notes(longer))
        self.keys, self._certificates = keys, longer


class Cosigner:
    """A witness: its key, the ledgers it watches, and the last head of each of their logs."""

    def __init__(
        self,
        directory: Path,
        name: str,
        genesis_keys: Iterable[str],
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """Open the witness's directory, making its key at the first start.

        Raises:
            WrongKeyError: the witness's own key or a ledger's cannot be used.
            DamagedHeadError: a head cannot be read.
        """
        private_directory(directory)
        self._now = now
        self._heads = Heads(directory / "heads")
        self._generations = Generations(directory / "restores", self._heads)
        self._key = _own_key(directory / _KEY, name, random_bytes)
        ledgers = [Trusted(key, directory / f"{sha256(key.encode()).hexdigest()}.chain") for key in genesis_keys]
        self._ledgers = {trusted.ledger: trusted for trusted in ledgers}

    @property
    def vkey(self) -> str:
        """The public half of the witness's key, which a ledger is told beside the witness's address."""
        return self._key.verifier.encode()

    def add(self, request: AddRequest) -> bytes:
        """Cosign a head; returns the signature line.

        Raises:
            RefusalError: as tlog-witness says: 400, 403, 404, 409 (`ConflictError`), 422; and 428, see `Generations`.
        """
        keys, head, cosigned = self._checked(request)
        base = self._generations.base(origin_of(head.checkpoint), keys)
        self._heads.advance(request.old, request.proof, head.checkpoint, lambda: head.signed, base=base)
        return cosigned

    def restore(self, request: RestorationRequest) -> bytes:
        """Cosign the first head of `meta` in a new generation; returns the signature line.

        Raises:
            RefusalError: as `add`, and see `Generations.begun_by`.
        """
        keys, head, cosigned = self._checked(request.add)
        restorations, base = self._generations.begun_by(request, head.checkpoint, keys)

        def before(_: bytes) -> None:
            self._generations.keep(request, restorations, head)

        old, proof = request.add.old, request.add.proof
        self._heads.advance(old, proof, head.checkpoint, lambda: head.signed, base=base, before=before)
        return cosigned

    def _checked(self, request: AddRequest) -> tuple[list[VerifierKey], Head, bytes]:
        """The keys of a head's ledger, the head as it would be kept, and the cosignature line; nothing is kept yet."""
        origin = _origin_of(request.checkpoint)
        trusted = self._ledgers.get(origin.partition("/")[0])
        if trusted is None:
            raise RefusalError(HTTPStatus.NOT_FOUND, f"{origin} is not watched here")
        keys = list(trusted.keys.values())
        opened = _opened(request.checkpoint, keys)
        head = opened.checkpoint
        last = self._heads.latest(origin)
        if head.epoch is None or (last and last.checkpoint.epoch is not None and head.epoch < last.checkpoint.epoch):
            raise RefusalError(HTTPStatus.FORBIDDEN, "the checkpoint is of no epoch, or of one that has ended")
        cosignature = note.cosign(head.format(), self._key, int(self._now().timestamp()))
        plain = (head.format() + "\n" + "".join(one.signature.line() for one in opened.note.verified)).encode()
        return keys, Head(head, note.attach(plain, [cosignature])), cosignature.line().encode()

    def origins(self, ledger: str) -> tuple[str, ...]:
        """Every log of a ledger a head of which was cosigned here, in every generation."""
        return tuple(sorted(str(origin) for origin, _ in self._heads.of_ledger(ledger)))

    def learn(self, certificates: Iterable[bytes]) -> None:
        """Learn the keys of new epochs; a certificate whose ledger is not watched here is refused.

        Raises:
            RefusalError: 400 not a certificate, 403 not continuing a chain, 404 of another ledger.
        """
        by_ledger: dict[str, list[bytes]] = {}
        for one in certificates:
            try:
                ledger = EpochCertificate.parse(note.split(one)[0]).ledger
            except (NoteError, CheckpointError) as error:
                raise RefusalError(HTTPStatus.BAD_REQUEST, f"not a certificate: {error}") from error
            by_ledger.setdefault(ledger, []).append(one)
        for ledger, theirs in by_ledger.items():
            if ledger not in self._ledgers:
                raise RefusalError(HTTPStatus.NOT_FOUND, f"{ledger} is not watched here")
            self._ledgers[ledger].learn(theirs)

    def head(self, hashed_origin: str) -> bytes | None:
        """The last cosigned head of a log, found by the hash of its origin."""
        found = self._heads.by_hash(hashed_origin)
        return found.signed if found else None


def _origin_of(signed: bytes) -> str:
    try:
        return checkpoint.Checkpoint.parse(note.split(signed)[0]).origin
    except NoteError as error:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"not a signed checkpoint: {error}") from error
    except CheckpointError as error:  # an empty tree with another root is the one the specification names
        raise RefusalError(HTTPStatus.UNPROCESSABLE_ENTITY, f"not a checkpoint: {error}") from error


def _opened(signed: bytes, keys: list[VerifierKey]) -> SignedCheckpoint:
    try:
        return checkpoint.open_checkpoint(signed, keys)
    except (NoteError, CheckpointError) as error:
        raise RefusalError(HTTPStatus.FORBIDDEN, str(error)) from error


def _ledger_of(genesis: str) -> str:
    named = epoch_of(VerifierKey.parse(genesis).name)
    assert named is not None  # noqa: S101  the chain was verified
    return named[0]


def _own_key(path: Path, name: str, random_bytes: Callable[[int], bytes]) -> SignerKey:
    try:
        if not path.exists():
            fresh = SignerKey(name, random_bytes(SEED_BYTES), KeyType.COSIGNATURE)
            write_whole(path, fresh.encode().encode() + b"\n")
        key = SignerKey.parse(path.read_text().strip())
    except (NoteError, UnicodeDecodeError) as error:
        raise WrongKeyError(f"{path}: {error}") from error
    if key.name != name or key.kind is not KeyType.COSIGNATURE:
        raise WrongKeyError(f"{path} is the key of {key.name}, not a cosigner's key of {name}")
    return key
