"""The two parties reached by HTTP: the signer on its Unix socket, and a C2SP witness somewhere else."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backend.audit.heads.parties import (
    ASK_LIMIT_S,
    AheadError,
    ContradictionError,
    Offer,
    PartyError,
    UnknownGenerationError,
)
from ledger import note
from ledger.checkpoint import Checkpoint
from ledger.note import NoteError, VerifierKey
from ledger.restored import ProvedEntry
from witness.sockets import AddressError, short
from witness.wire import AddRequest, RestorationRequest, join_notes, origin_hash

if TYPE_CHECKING:
    import httpx  # at first need: it would cost every start of a backend a twentieth of a second

_TRIES: Final = 5
"""A witness may have to be told a key, to be shown a restore and to tell its size before it can cosign."""
_MOST_ANSWERED_BYTES: Final = 16 * 1024 * 1024
"""Certificates of a century; more is no answer of ours."""


@dataclass(frozen=True, slots=True)
class SignerKeys:
    """Who a signer is."""

    genesis: str
    """Empty before it has signed for anybody."""
    certificates: tuple[bytes, ...]
    origins: tuple[str, ...]


class KnownSizeError(Exception):
    """The party's last head has another size than was said."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size}")
        self.size = size


class _Peer:
    """One HTTP service. A client is opened at first need and kept."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        socket: str | None = None,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._socket = socket
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()
        """Several may ask at once, and there is one client."""

    async def ask(self, method: str, path: str, body: bytes | None = None) -> "httpx.Response":
        """Send one request.

        Raises:
            PartyError: it is away.
        """
        client = await self._opened()
        import httpx

        try:
            answer = await client.request(method, path, content=body)
        except (httpx.HTTPError, OSError) as error:
            raise PartyError(f"It does not answer ({type(error).__name__}).") from error
        if len(answer.content) > _MOST_ANSWERED_BYTES:
            raise PartyError("It answers at impossible length.")
        return answer

    async def _opened(self) -> "httpx.AsyncClient":
        async with self._opening:
            if self._client is None:  # in a thread: a backend that has just begun to lead must renew its leases
                self._client = await asyncio.to_thread(self._open)
            return self._client

    def _open(self) -> "httpx.AsyncClient":
        """The library and the certificates that a TLS peer may show take a tenth of a second or two to load."""
        import httpx

        tls = self._base_url.startswith("https:")
        transport = self._transport
        if transport is None and self._socket is not None:
            transport = httpx.AsyncHTTPTransport(uds=self._socket, verify=tls)
        return httpx.AsyncClient(
            base_url=self._base_url, transport=transport, timeout=ASK_LIMIT_S, trust_env=False, verify=tls
        )

    async def latest(self, origin: str) -> bytes | None:
        """See `Party`."""
        answer = await self.ask("GET", f"{origin_hash(origin)}/checkpoint")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if answer.status_code != HTTPStatus.OK:
            raise PartyError(_refusal(answer))
        return answer.content

    async def close(self) -> None:
        """See `Party`."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class SignerClient(_Peer):
    """The signer."""

    def __init__(self, socket: Path) -> None:
        """Point at its socket.

        Raises:
            PartyError: the path is too long for one.
        """
        try:
            address = short(socket)
        except AddressError as error:
            raise PartyError(f"{error}.") from error
        super().__init__("the signer", "http://signer/", socket=address)

    async def keys(self, known: int) -> SignerKeys:
        """Ask who it is, without the first `known` certificates.

        Raises:
            PartyError: it is away.
        """
        answer = await self.ask("GET", f"keys/{known}")
        try:
            told: dict[str, Any] = answer.json()
            certificates = tuple(one.encode() for one in told["certificates"])
            return SignerKeys(str(told["genesis"]), certificates, tuple(map(str, told["origins"])))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PartyError(_refusal(answer)) from error

    async def origins(self, ledger: str) -> Collection[str] | None:
        """See `Party`; a signer signs for one ledger only."""
        del ledger
        return (await self.keys(0)).origins

    async def sign(self, head: Checkpoint, old: int, proof: Sequence[bytes]) -> bytes:
        """Have a head signed; returns the signed note.

        Raises:
            KnownSizeError: `old` is not the size of its last head.
            ContradictionError: the head does not continue the last one.
            UnknownGenerationError: it has to be shown the restore first.
            PartyError: it refuses for another reason, or is away.
        """
        asked = AddRequest(old, tuple(proof), head.format().encode())
        return await self._signed("sign-checkpoint", asked.format())

    async def restore(
        self, head: Checkpoint, old: int, proof: Sequence[bytes], restores: Sequence[ProvedEntry]
    ) -> bytes:
        """Have the first head of `meta` in a new generation signed, showing the restores; see `sign`."""
        asked = AddRequest(old, tuple(proof), head.format().encode())
        return await self._signed("restore", RestorationRequest(asked, tuple(restores)).format())

    async def _signed(self, path: str, body: bytes) -> bytes:
        answer = await self.ask("POST", path, body)
        if answer.status_code != HTTPStatus.OK:
            raise _error_of(answer)
        return answer.content

    async def certificate(self, ledger: str, epoch: int) -> bytes | None:
        """See `Party`; the signer tells all of them by `keys`."""
        del ledger, epoch
        return None


class HttpWitness(_Peer):
    """A C2SP witness; certificates of new keys are handed to it first when it asks for them by refusing a key."""

    def __init__(self, url: str, key: VerifierKey, transport: "httpx.AsyncBaseTransport | None" = None) -> None:
        super().__init__(key.name, url.rstrip("/") + "/", transport=transport)
        self._key = key
        self._known: dict[str, int] = {}

    async def certificate(self, ledger: str, epoch: int) -> bytes | None:
        """See `Party`; a witness's own cosignature vouches for what it holds."""
        del ledger, epoch
        return None

    def vouches(self, signed: bytes) -> bool:
        """See `Witness`."""
        try:
            note.open_note(signed, [self._key])
        except NoteError:
            return False
        return True

    async def origins(self, ledger: str) -> Collection[str] | None:
        """See `Party`; a witness of somebody else's making knows no such question."""
        answer = await self.ask("GET", f"origins/{ledger}")
        if answer.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
            return None
        if answer.status_code != HTTPStatus.OK:
            raise PartyError(_refusal(answer))
        return answer.text.splitlines()

    async def add(self, offer: Offer) -> bytes:
        """See `Witness`."""
        restoring = False
        for _ in range(_TRIES):
            answer = await self._offer(offer, restoring=restoring)
            if answer.status_code == HTTPStatus.OK:
                self._known[offer.origin] = offer.size
                return self._line(offer.note, answer.content)
            if answer.status_code == HTTPStatus.FORBIDDEN and offer.certificates:
                await self._teach(offer.certificates)
                continue
            error = _error_of(answer)
            if isinstance(error, UnknownGenerationError) and not restoring:
                restoring = True
                continue
            if not isinstance(error, KnownSizeError):
                raise error
            if error.size > offer.size:
                raise AheadError(f"It holds a head of {error.size:,} entries.")
            self._known[offer.origin] = error.size
        raise PartyError("It refuses the ledger's keys, or changes its mind about what it holds.")

    async def _offer(self, offer: Offer, *, restoring: bool) -> "httpx.Response":
        old = self._known.get(offer.origin, 0)
        asked = AddRequest(old, tuple(await offer.prove(old)) if old else (), offer.note)
        if not restoring:
            return await self.ask("POST", "add-checkpoint", asked.format())
        return await self.ask("POST", "restore", RestorationRequest(asked, tuple(await offer.restores())).format())

    async def _teach(self, certificates: Sequence[bytes]) -> None:
        answer = await self.ask("POST", "add-certificates", join_notes(certificates))
        if answer.status_code != HTTPStatus.OK:
            raise PartyError(_refusal(answer))

    def _line(self, signed: bytes, answered: bytes) -> bytes:
        text = note.split(signed)[0].encode()
        try:
            found = note.open_note(text + b"\n" + answered, [self._key])
        except NoteError as error:
            raise PartyError(f"Its cosignature does not hold: {error}.") from error
        return found.verified[0].signature.line().encode()


def _refusal(answer: "httpx.Response") -> str:
    said = answer.text.strip().partition("\n")[0][:200]
    return f"It answers {answer.status_code}: {said or 'nothing'}"


def _error_of(answer: "httpx.Response") -> PartyError | KnownSizeError:
    if answer.status_code == HTTPStatus.CONFLICT and answer.text.strip().isascii() and answer.text.strip().isdigit():
        return KnownSizeError(int(answer.text))
    if answer.status_code == HTTPStatus.PRECONDITION_REQUIRED:
        return UnknownGenerationError(_refusal(answer))
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return ContradictionError(_refusal(answer))
    return PartyError(_refusal(answer))
