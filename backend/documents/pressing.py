"""Has documents printed by processes of their own: so many at a time, none for longer or larger than stated.

Holds no database connection, and must never let a document keep the backend from anything else.
"""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import orjson
import structlog

from backend.documents.document import Document
from backend.documents.printing import refuse_without_library
from backend.errors import WatchfloorError
from contract.errors import ErrorCode

log = structlog.get_logger(__name__)

AT_ONCE: Final = 1
"""Of one backend: each takes a whole core."""
WAITING: Final = 4
"""Who may wait for their turn; whoever comes after them hears at once that it takes longer."""
MAX_CHARS: Final = 400_000
"""Of one document: four times the longest timeline that is filled in, and hundreds of pages."""
LIMIT_S: Final = 60.0
"""The longest report that we have seen takes three seconds."""
_MODULE: Final = "backend.documents.press"
_HINT: Final = "Choose markdown or html, which have no such bound."


class Presses:
    """The places at which documents are printed."""

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._here = 0
        self._limit_s = limit_s

    async def printed(self, document: Document, footer: Sequence[str]) -> bytes:
        """Print a document.

        Raises:
            WatchfloorError: INVALID_REQUEST where the library is not installed; TOO_LARGE for a document that is too
                long or takes too long; UNAVAILABLE while too many wait.
        """
        refuse_without_library()
        _refuse_length(document)
        if self._here >= AT_ONCE + WAITING:
            told = "Too many documents wait to be printed."
            raise WatchfloorError(ErrorCode.UNAVAILABLE, told, hint="Try again in a minute.")
        self._here += 1
        try:
            async with self._turns:
                return await _printed(document, footer, self._limit_s)
        finally:
            self._here -= 1


def _refuse_length(document: Document) -> None:
    chars = sum(len(title) + len(text) for title, text in document.sections)
    if chars > MAX_CHARS:
        told = f"It has {chars:,} characters; at most {MAX_CHARS:,} are printed."
        raise WatchfloorError(ErrorCode.TOO_LARGE, told, hint=_HINT)


async def _printed(document: Document, footer: Sequence[str], limit_s: float) -> bytes:
    order = orjson.dumps({**document._asdict(), "footer": list(footer)})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", _MODULE, stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(limit_s):
            content, _ = await process.communicate(order)
    except TimeoutError:
        raise WatchfloorError(ErrorCode.TOO_LARGE, "It takes too long to print.", hint=_HINT) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it ended by itself just now
                process.kill()
            await process.wait()
    if process.returncode != 0:
        log.warning("printing_failed", code=process.returncode, chars=len(order))
        raise WatchfloorError(ErrorCode.TOO_LARGE, "It cannot be printed within the memory allowed.", hint=_HINT)
    return content
