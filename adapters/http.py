"""Small HTTP requests with an end: bounded in time and size, no redirects, no proxies, no cookies kept."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from gate.addresses import is_loopback

MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
"""A thousand lines of log, or fifty trades with all their orders, several times over."""


class AnswerError(Exception):
    """No answer that can be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    raw: bytes

    @property
    def is_success(self) -> bool:
        """Whether the other side said yes."""
        return 200 <= self.status < 300  # noqa: PLR2004  the class of successes

    def json(self) -> Any:
        """Read the answer.

        Raises:
            AnswerError: it is no success, or not JSON.
        """
        if not self.is_success:
            raise AnswerError(f"status {self.status}: {self.raw[:200].decode(errors='replace')}")
        try:
            return json.loads(self.raw, parse_float=Decimal)
        except (ValueError, RecursionError) as error:
            raise AnswerError("not JSON") from error


def checked_url(text: str) -> str:
    """Return an address without a slash at its end.

    Raises:
        ValueError: it is none, carries a password, or would carry secrets in the clear over a network.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text!r} is not an http or https address")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise ValueError("an address carries no password and no fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"{parts.hostname} is not this machine: use https")
    return text.rstrip("/")


class Requester:
    """Asks one question at a time."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._client = httpx.Client(follow_redirects=False, trust_env=False, timeout=httpx.Timeout(timeout_s))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        """Ask, and return whatever was answered in time.

        Raises:
            AnswerError: nothing was, or too much, or somebody pointed elsewhere.
        """
        limit_s = timeout_s or self._timeout_s
        end = time.monotonic() + limit_s
        raw = bytearray()
        try:
            with self._client.stream(
                method, url, headers=headers, content=body, auth=auth, timeout=httpx.Timeout(limit_s)
            ) as answer:
                if answer.is_redirect:
                    raise AnswerError(f"status {answer.status_code}: redirects are not followed")
                for some in answer.iter_bytes():
                    raw += some
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise AnswerError(f"an answer of more than {MAX_ANSWER_BYTES:,} bytes")
                    if time.monotonic() > end:
                        raise AnswerError(f"no complete answer within {limit_s:g} s")
                return Answer(answer.status_code, bytes(raw))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AnswerError(f"{type(error).__name__}: {error}") from error
