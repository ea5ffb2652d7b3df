"""Signing in with all factors in tests: what a console and its agent do, without the agent's socket between."""

from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from backend.auth import hardware_keys, passwords
from backend.context import Runtime, system_caller
from contract.hardware import SK_ED25519, HardwareAnswer, HardwareChallenge, bytes_to_sign
from contract.sshwire import encode64
from tests.support import people
from tests.support.hardware import Desk
from tests.support.people import PASSWORD, Person


def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords with the smallest parameters during a test, those of its people too: the same code, no wait."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_DUMMY", hasher.hash("nobody has this password"))
    monkeypatch.setattr(people, "PASSWORD_HASH", hasher.hash(PASSWORD))


async def enrol(runtime: Runtime, person: Person, held: Desk, *, kind: str = SK_ED25519) -> str:
    """Give a person's account the software key; returns its fingerprint."""
    async with runtime.database.transaction() as session:
        row = await hardware_keys.enrol(
            session, runtime, system_caller("test"), name=person.name, line=held.key.line(kind)
        )
        return row.fingerprint


def signed(body: dict[str, Any], held: Desk, *, kind: str = SK_ED25519) -> dict[str, Any]:
    """The software key's answer to a challenge as it came over the wire."""
    challenge = HardwareChallenge.model_validate(body)
    message = bytes_to_sign(challenge.statement)
    assert challenge.to_sign == encode64(message)
    answer = HardwareAnswer(
        challenge_id=challenge.statement.challenge_id,
        key=encode64(held.key.blob(kind)),
        signature=encode64(held.sign(kind, message)),
    )
    return answer.model_dump()


async def first_step(http: httpx.AsyncClient, person: Person, code: str, **more: str) -> httpx.Response:
    """Show password and code."""
    body = {"username": person.name, "password": PASSWORD, "totp": code, **more}
    return await http.post("/v1/auth/login", json=body)


async def second_step(http: httpx.AsyncClient, answer: dict[str, Any]) -> httpx.Response:
    """Show what the hardware key signed."""
    return await http.post("/v1/auth/login/hardware", json=answer)


async def signed_in(http: httpx.AsyncClient, person: Person, code: str, held: Desk) -> str:
    """Sign in with all factors; the token."""
    asked = await first_step(http, person, code)
    assert asked.status_code == 202, asked.text
    answer = await second_step(http, signed(asked.json(), held))
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["token"]
    return token
