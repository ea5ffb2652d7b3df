"""A real backend in a process of its own with people signed in: what clients are tested against."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from backend.auth.challenges import needs_key
from contract.gate import Permit, RenewRequest
from tests.support import databases
from tests.support.app import App, started_app
from tests.support.backends import BACKEND, Backend, backend
from tests.support.holds import ASKED_TIMES
from tests.support.ledger import settled
from tests.support.people import EXECUTOR, PEOPLE, Person, sign_in
from tests.support.touches import hold_key

T = TypeVar("T")


@dataclass
class Floor:
    """A running backend, its database, and a token for everybody."""

    backend: Backend
    database_url: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.backend.url

    def token(self, person: Person) -> str:
        """The token of a person, or of the executors."""
        return self.tokens[person.name]

    def within(self, act: Callable[[App], Awaitable[T]]) -> T:
        """Do something with the parts of a second backend on the same database: arrange what no route can.

        The backend that runs is the only one that sequences: no lease keeps another sequencer of a test apart from it.
        """

        async def run() -> T:
            async with started_app(self.database_url, sequence=False) as app:
                return await act(app)

        return asyncio.run(run())

    def renew(
        self, name: str, *, chain: str = "ethereum", strategy: str = "arbitrage", halted_epoch: int = 0
    ) -> Permit:
        """One permit request of an executor."""
        request = RenewRequest(
            executor=name, chain=chain, strategy=strategy, wallet="0xabc", boot_id="b1", halted_epoch=halted_epoch
        )
        headers = {"authorization": f"Bearer {self.token(EXECUTOR)}", "content-type": "application/json"}
        for _ in range(ASKED_TIMES):
            answer = httpx.post(f"{self.url}/v1/gate/renew", content=request.model_dump_json(), headers=headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
        answer.raise_for_status()
        return Permit.model_validate_json(answer.content)


@contextmanager
def running_floor(template: str, directory: Path, *, program: Sequence[str] = BACKEND) -> Iterator[Floor]:
    """A backend on a database of its own, with all test people signed in. `program`: another module, words."""
    name, url = databases.create_database(template)
    try:
        with backend(url, directory / "backend.log", program=program) as process:
            floor = Floor(process, url)
            floor.tokens = floor.within(_everybody)
            yield floor
    finally:
        databases.drop_database(name)


async def _everybody(app: App) -> dict[str, str]:
    tokens = {person.name: await sign_in(app.runtime, person) for person in (*PEOPLE, EXECUTOR)}
    async with app.runtime.database.transaction() as session:
        for person in PEOPLE:
            if needs_key(app.runtime, person.role):
                await hold_key(session, app.runtime, person.name)
    await settled(app)  # a backend that has just begun compares its ledger with signer and witnesses before it appends
    return tokens
