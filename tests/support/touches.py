"""Confirms for people of a test what needs a touch of their hardware key, as a console does: their key is software."""

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from functools import cache
from pathlib import Path

import httpx
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from backend.auth.hardware.keys import parse_line
from backend.auth.identity_tables import HardwareKeyRow
from backend.auth.tables import User
from backend.context import Runtime
from contract.hardware import SK_ED25519
from simulator.security_key import SecurityKey
from tests.support.hardware import Desk
from tests.support.people import PEOPLE
from tests.support.processes import until
from tests.support.signing_in import signed


@cache
def _directory() -> Path:
    made = Path(tempfile.mkdtemp(prefix="wf-keys-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def key_of(name: str) -> Desk:
    """The software key of a person, the same in every test of this process."""
    return Desk(_directory(), SecurityKey(_directory() / f"{name}.key"))


@cache
def agents() -> Path:
    """Where each person's SSH agent listens, under their name: one real process for all tests of this one."""
    for person in PEOPLE:
        key_of(person.name)
    where = _directory()
    command = [sys.executable, "-m", "simulator.security_keys", "--keys", str(where), "--agents", str(where)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(_end, process)
    until(lambda: all((where / person.name).is_socket() for person in PEOPLE), "the agents of the tests")
    return where


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


async def hold_key(session: AsyncSession, runtime: Runtime, name: str) -> None:
    """Give an account its key as if it had always had it: without an entry that a test would count."""
    key, _ = parse_line(key_of(name).key.line(SK_ED25519))
    if await session.scalar(select(HardwareKeyRow.id).where(HardwareKeyRow.blob == key.blob)) is not None:
        return
    user = (await session.scalars(select(User).where(User.username == name))).one()
    row = HardwareKeyRow(
        id=runtime.clock.new_id(), user_id=user.id, blob=key.blob, kind=key.kind, fingerprint=key.fingerprint,
        comment="", last_counter=0, enrolled_at=runtime.clock.now(),
    )  # fmt: skip
    session.add(row)


class Touching(httpx.Auth):
    """Answers a demand for confirmation and sends the request again. Gives the person a key when first asked."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """The request; if need be, the confirmation, and the request once more."""
        answer = yield request
        if answer.status_code != httpx.codes.FORBIDDEN:
            return  # its body may be a stream that somebody reads
        wanted = json.loads(await answer.aread()).get("confirm")
        if not wanted:
            return
        me = yield self._ask(request, "GET", "whoami")
        name = json.loads(await me.aread())["username"]
        async with self._runtime.database.transaction() as session:
            await hold_key(session, self._runtime, name)
        challenge = yield self._ask(request, "POST", "confirm/challenge", wanted)
        asked = json.loads(await challenge.aread())
        done = yield self._ask(request, "POST", "confirm", signed(asked, key_of(name)))
        assert done.status_code == httpx.codes.OK, await done.aread()
        yield request

    def _ask(self, about: httpx.Request, method: str, path: str, body: object = None) -> httpx.Request:
        url = about.url.copy_with(raw_path=f"/v1/auth/{path}".encode())
        return httpx.Request(method, url, headers={"authorization": about.headers["authorization"]}, json=body)
