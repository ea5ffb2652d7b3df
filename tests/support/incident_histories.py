"""Many people at one incident's record at once, seeded: nothing of what any of them wrote is lost or written twice.

`python -m tests.support.incident_histories HISTORIES [SEED]` runs as many on a database of its own and prints what was
wrong. Each history has twenty editors on two backends who write, repeat, correct, change facts and hand roles over.
"""

import asyncio
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from contract.incidents import Incident
from tests.support.app import started_app
from tests.support.databases import create_database, drop_database, migrated_template
from tests.support.incidents import declared, shown, timeline
from tests.support.people import ADMIN, ADMIN2, OFFICER, OPERATOR

EDITORS: Final = 20
ACTS: Final = 2
"""Of each editor in a history."""
PEOPLE: Final = (OPERATOR, ADMIN, OFFICER, ADMIN2)
FACTS: Final = ("title", "description", "users")
TRIES: Final = 100
"""Of a request that a busy machine could not take; nothing of it was done."""
_DONE, _CREATED, _CONFLICT, _BUSY = 200, 201, 409, 503


@dataclass
class _Book:
    """What the backend said it took."""

    notes: dict[str, str] = field(default_factory=dict)
    """Text by the key it was sent under."""
    corrections: list[tuple[str, str]] = field(default_factory=list)
    """Line, text."""
    versions: set[int] = field(default_factory=set)
    changes: int = 0
    wrong: list[str] = field(default_factory=list)


class _Editor:
    """One person who works on a record, with a screen that is sometimes old."""

    def __init__(self, client: httpx.AsyncClient, incident: Incident, rng: random.Random, name: str) -> None:
        self._client, self._rng, self._name = client, rng, name
        self._path = f"/v1/incidents/{incident.id}"
        self._version = incident.version
        self._written: list[str] = []

    async def work(self, book: _Book) -> None:
        """Do a few things."""
        for number in range(ACTS):
            act = self._rng.choice((self._note, self._note, self._change, self._correct, self._look))
            await act(book, f"{self._name}-{number}")

    async def _ask(self, method: str, path: str = "", **body: Any) -> httpx.Response:
        for _ in range(TRIES):
            answer = await self._client.request(method, f"{self._path}{path}", json=body or None)
            if answer.status_code != _BUSY:
                break
        return answer

    async def _note(self, book: _Book, key: str) -> None:
        for _ in range(self._rng.choice((1, 1, 2))):  # the line dropped: it is sent again
            answer = await self._ask("POST", "/timeline", text=f"text of {key}", idempotency_key=key)
            if answer.status_code != _CREATED:
                book.wrong.append(f"a note was refused: {answer.text}")
                return
            line = answer.json()["id"]
            if book.notes.setdefault(key, line) != line:
                book.wrong.append(f"{key} was written twice")
            self._written.append(line)

    async def _correct(self, book: _Book, key: str) -> None:
        if not self._written:
            return
        line = self._rng.choice(self._written)
        answer = await self._ask("POST", f"/timeline/{line}/correct", text=f"correction {key}")
        if answer.status_code != _CREATED:
            book.wrong.append(f"a correction was refused: {answer.text}")
            return
        book.corrections.append((line, f"correction {key}"))

    async def _change(self, book: _Book, key: str) -> None:
        fact = self._rng.choice(FACTS)
        wanted: Any = self._rng.randrange(10**9) if fact == "users" else f"{fact} of {key}"
        answer = await self._ask("PATCH", **{fact: wanted, "version": self._version})
        if answer.status_code == _CONFLICT:
            return
        if answer.status_code != _DONE:
            book.wrong.append(f"a change was refused: {answer.text}")
            return
        now = Incident.model_validate(answer.json())
        if now.version in book.versions:
            book.wrong.append(f"two changes made version {now.version}")
        book.versions.add(now.version)
        book.changes += 1
        self._version = now.version

    async def _look(self, _book: _Book, _key: str) -> None:
        self._version = (await self._ask("GET")).json()["version"]


async def history(people: list[httpx.AsyncClient], seed: int) -> list[str]:
    """Run one history; answers what was wrong."""
    rng, book = random.Random(seed), _Book()  # noqa: S311  a test's own
    incident = await declared(people[0], title=f"history {seed}", severity="low")
    seeds = [rng.random() for _ in range(EDITORS)]
    editors = [
        _Editor(people[n % len(people)], incident, random.Random(own), f"e{n}")  # noqa: S311  a test's own
        for n, own in enumerate(seeds)
    ]
    await asyncio.gather(*(editor.work(book) for editor in editors))
    return book.wrong + await _missing(people[1], incident.id, book)


async def _missing(client: httpx.AsyncClient, ident: str, book: _Book) -> list[str]:
    forward, backward = await timeline(client, ident, "asc", limit=17), await timeline(client, ident, "desc", limit=29)
    wrong = [] if forward == backward[::-1] else ["the two orders differ"]
    if forward != sorted(forward, key=lambda line: (line.occurred_at, line.number)):
        wrong.append("the order is not that of time and number")
    if sorted(line.number for line in forward) != list(range(1, len(forward) + 1)):
        wrong.append("numbers have gaps or doubles")
    notes = Counter(line.text for line in forward if line.corrects is None and line.text.startswith("text of"))
    if notes != Counter(f"text of {key}" for key in book.notes):
        wrong.append("notes were lost or written twice")
    corrections = Counter((line.corrects, line.text) for line in forward if line.corrects is not None)
    if corrections != Counter(book.corrections):
        wrong.append("corrections were lost or written twice")
    if (await shown(client, ident)).version != 1 + book.changes:
        wrong.append("changes were lost")
    return wrong


async def histories(database_url: str, count: int, seed: int) -> list[str]:
    """Run seeded histories one after another on two backends; answers what was wrong, doubled ids among it."""
    async with started_app(database_url) as one, started_app(database_url) as other:
        people = [await app.as_(person) for person in PEOPLE for app in (one, other)]
        wrong = [f"seed {n}: {what}" for n in range(seed, seed + count) for what in await history(people, n)]
        newest = (await people[0].get("/v1/incidents?limit=1")).json()["items"][0]["id"]
        last = int(newest.rpartition("-")[2])
        return wrong if last == count else [*wrong, f"{count} incidents have numbers up to {last}"]


def main() -> int:
    """Run as many histories as asked for on the command line."""
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with migrated_template() as template:
        name, url = create_database(template)
        try:
            wrong = asyncio.run(histories(url.replace("postgresql://", "postgresql+psycopg://", 1), count, seed))
        finally:
            drop_database(name)
    for line in wrong:
        print(line)  # noqa: T201  a command's answer
    print(f"{count} histories, {len(wrong)} problems")  # noqa: T201  a command's answer
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
