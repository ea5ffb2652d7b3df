"""Printing post-mortems: without a database connection, a few at a time, bounded in size and time."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.pool import QueuePool

from backend.documents import pressing
from backend.documents.document import Document
from backend.documents.pressing import Presses
from backend.errors import WatchfloorError
from contract.errors import ErrorCode
from tests.backend.test_postmortems import exported, written
from tests.support.app import App
from tests.support.people import OFFICER, OPERATOR

SMALL = Document("INC-2026-001", (("Date", "2026-11-23"),), (("One", "a *word*"),))
HARD = Document("INC-2026-001", (), (("One", "*a* " * 25_000),))
"""Takes many seconds to set: one paragraph of many faces."""


class Watched(Presses):
    """Sees whether the backend has all its connections back while it prints."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app = app
        self.free = False

    async def printed(self, document: Document, footer: Sequence[str]) -> bytes:
        for _ in range(100):
            pool = self._app.runtime.database.engine.pool
            assert isinstance(pool, QueuePool)
            if pool.checkedout() == 0:
                self.free = True
                break
            await asyncio.sleep(0.02)
        return await super().printed(document, footer)


async def test_no_connection_is_held_while_a_page_is_made(app: App) -> None:
    client = await app.as_(OPERATOR)
    incident = await written(client)
    app.app.state.presses = watched = Watched(app)
    assert (await exported(client, incident.id, "pdf")).startswith(b"%PDF-")
    assert watched.free
    officer = await app.as_(OFFICER)
    assert (await exported(officer, incident.id, "pdf")).startswith(b"%PDF-"), "whose reading is watched as well"


async def test_the_same_document_gives_the_same_bytes_and_one_at_a_time() -> None:
    presses = Presses()
    first, second = await asyncio.gather(presses.printed(SMALL, ["x"]), presses.printed(SMALL, ["x"]))
    assert first == second
    assert first.startswith(b"%PDF-")


async def refused(presses: Presses, document: Document) -> ErrorCode:
    with pytest.raises(WatchfloorError) as told:
        await presses.printed(document, [])
    return told.value.code


async def test_what_is_too_long_or_takes_too_long_is_refused() -> None:
    assert await refused(Presses(), Document("x", (), (("One", "a" * (pressing.MAX_CHARS + 1)),))) == "too_large"
    presses = Presses(limit_s=0.5)
    assert await refused(presses, HARD) == "too_large"
    assert (await Presses().printed(SMALL, [])).startswith(b"%PDF-")


async def test_who_would_wait_too_long_hears_it_at_once() -> None:
    presses = Presses()
    busy = [asyncio.create_task(refused(presses, HARD)) for _ in range(pressing.AT_ONCE + pressing.WAITING)]
    await asyncio.sleep(0)
    assert await refused(presses, SMALL) == "unavailable"
    for task in busy:
        task.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    assert (await presses.printed(SMALL, [])).startswith(b"%PDF-"), "whoever went away has left the line"
