"""The line to the API of one Alertmanager. Bounded in time and length; every failure is one kind with one sentence."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from backend.alerts.alertmanager.access import OPEN, Access
from backend.errors import ConfigurationError
from contract import alertmanager
from contract.alertmanager import ForeignAlert, ForeignSilence, UnreadableError

if TYPE_CHECKING:
    import httpx  # at first need: it would cost every start of a backend a twentieth of a second

T = TypeVar("T")

ASK_LIMIT_S: Final = 10.0
"""One question, from beginning to end: a list of ten thousand alerts takes a second."""
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""Ten thousand alerts with three kilobytes each."""
_OK: Final = 200
_GONE: Final = 404
_STRANGER: Final = frozenset({401, 403, 407})
_SHOWN_CHARS: Final = 200


class SourceError(Exception):
    """An Alertmanager did not answer, or not as it should; the text says how, in a line that may be shown."""


class SilentSourceError(SourceError):
    """It did not answer at all, or not in time: asking it something else takes as long again."""


class Line:
    """Asks one Alertmanager. A client is opened at first need and kept."""

    def __init__(self, url: str, transport: "httpx.AsyncBaseTransport | None" = None, *, access: Access = OPEN) -> None:
        self._url = url
        self._access = access
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def alerts(self) -> tuple[ForeignAlert, ...]:
        """Everything that has not ended, muted or not.

        Raises:
            SourceError: it does not say.
        """
        return _read(alertmanager.alerts_of, await self._ask("GET", "/alerts"))

    async def silences(self) -> tuple[ForeignSilence, ...]:
        """Every silence that it remembers.

        Raises:
            SourceError: it does not say.
        """
        return _read(alertmanager.silences_of, await self._ask("GET", "/silences"))

    async def cluster(self) -> str:
        """The name of its cluster, or whether it has one.

        Raises:
            SourceError: it does not say.
        """
        return _read(alertmanager.cluster_of, await self._ask("GET", "/status"))

    async def create_silence(self, silence: dict[str, Any]) -> str:
        """Create a silence; returns its id there.

        Raises:
            SourceError: it refuses, or does not answer: it may have been created all the same.
        """
        return _read(alertmanager.silence_id_of, await self._ask("POST", "/silences", silence))

    async def end_silence(self, ident: str) -> None:
        """End a silence; one that is not there any more has ended.

        Raises:
            SourceError: it refuses, or does not answer.
        """
        await self._ask("DELETE", f"/silence/{ident}", gone_is_fine=True)

    async def _ask(
        self, verb: str, path: str, sent: dict[str, Any] | None = None, *, gone_is_fine: bool = False
    ) -> bytes:
        import httpx

        try:
            async with asyncio.timeout(ASK_LIMIT_S):
                client = await self._opened()
                headers = await asyncio.to_thread(self._access.headers) if self._access.shows_secrets else {}
                async with client.stream(verb, f"{self._url}/api/v2{path}", json=sent, headers=headers) as answer:
                    body = await _bounded(answer)
        except TimeoutError as error:
            raise SilentSourceError("It does not answer in time.") from error
        except ConfigurationError as error:
            raise SourceError(f"It cannot be asked: {error}") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SilentSourceError(f"It does not answer ({type(error).__name__}).") from error
        if answer.status_code == _OK or (gone_is_fine and answer.status_code == _GONE):
            return body
        if answer.status_code in _STRANGER:  # what it says may repeat what it was shown
            raise SourceError(f"It answers {answer.status_code}: it does not take who we say that we are.")
        said = "".join(char if char.isprintable() else " " for char in body[:_SHOWN_CHARS].decode(errors="replace"))
        raise SourceError(f"It answers {answer.status_code}: {said.strip() or 'nothing'}")

    async def _opened(self) -> "httpx.AsyncClient":
        async with self._opening:
            if self._client is None:  # in a thread: loading certificates takes a tenth of a second
                self._client = await asyncio.to_thread(self._open)
            return self._client

    def _open(self) -> "httpx.AsyncClient":
        import httpx

        return httpx.AsyncClient(
            transport=self._transport,
            timeout=ASK_LIMIT_S,
            trust_env=False,
            follow_redirects=False,
            verify=self._access.trust() if self._url.startswith("https:") else False,
        )


async def _bounded(answer: "httpx.Response") -> bytes:
    parts: list[bytes] = []
    length = 0
    async for part in answer.aiter_bytes():
        length += len(part)
        if length > MAX_ANSWER_BYTES:
            raise SourceError("It answers at impossible length.")
        parts.append(part)
    return b"".join(parts)


def _read(read: Callable[[bytes], T], body: bytes) -> T:
    try:
        return read(body)
    except UnreadableError as error:
        raise SourceError(f"Its answer cannot be read: {error}.") from error
