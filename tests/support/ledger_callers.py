"""People who use the backends while they are killed, and who note what they were told has happened."""

import random
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import httpx

from tests.support.ledger_plant import Plant
from tests.support.people import ADMIN, OPERATOR

_LIMIT_S = 10.0
"""Longer than any answer of a backend that is not stopped."""
_PAUSE_S = 0.1
_VERIFY_EVERY_S = 25.0
SEARCHED, REFUSED, FROZEN = "audit.search.run", "auth.permission.denied", "freeze.hold.created"


class Callers:
    """Threads that ask; each keeps its own list of what was answered."""

    def __init__(self, plant: Plant, seed: int) -> None:
        self._plant = plant
        self._seed = seed
        self._end = threading.Event()
        self._threads: list[threading.Thread] = []
        self.told: dict[str, str] = {}
        """Event type by request id, of every request whose answer says that it is recorded."""
        self._full = True
        self.answers: dict[str, int] = {}
        """How often each kind of request was answered so."""

    def start(self) -> None:
        """Begin to ask."""
        for number, act in enumerate((self._search, self._refused, self._freeze, self._verify)):
            thread = threading.Thread(target=self._repeat, args=(act, random.Random(self._seed + number)))  # noqa: S311
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Ask nothing more."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, act: Callable[[httpx.Client], None], chance: random.Random) -> None:
        while not self._end.is_set():
            urls = self._plant.backend_urls
            if urls:
                with suppress(httpx.HTTPError), httpx.Client(base_url=chance.choice(urls), timeout=_LIMIT_S) as http:
                    act(http)
            self._end.wait(_PAUSE_S)

    def _note(self, answer: httpx.Response, wanted: HTTPStatus, event: str) -> None:
        if answer.status_code == wanted:
            self.told[answer.headers["x-request-id"]] = event
            self.answers[event] = self.answers.get(event, 0) + 1

    def _headers(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self._plant.tokens[name]}", "x-request-id": uuid.uuid4().hex}

    def _search(self, http: httpx.Client) -> None:
        answer = http.get("/v1/audit", params={"limit": 1}, headers=self._headers(ADMIN.name))
        self._note(answer, HTTPStatus.OK, SEARCHED)

    def _refused(self, http: httpx.Client) -> None:
        answer = http.get("/v1/audit", headers=self._headers(OPERATOR.name))
        self._note(answer, HTTPStatus.FORBIDDEN, REFUSED)

    def _freeze(self, http: httpx.Client) -> None:
        wallet = {"kind": "wallet", "name": f"0x{uuid.uuid4().hex}"}
        freeze = {"scope": wallet, "reason": "nobody knows this wallet"}
        answer = http.post("/v1/freezes", json=freeze, headers=self._headers(ADMIN.name))
        self._note(answer, HTTPStatus.CREATED, FROZEN)
        time.sleep(_PAUSE_S)

    def _verify(self, http: httpx.Client) -> None:
        wanted = {"full": self._full}
        http.post("/v1/ledger/verifications", json=wanted, headers=self._headers(ADMIN.name))
        self._full = not self._full
        self._end.wait(_VERIFY_EVERY_S)
