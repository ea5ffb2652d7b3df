"""Stops software by a signed HTTP request, and asks another address whether it did. Follows no redirect.

Requests are signed as "Standard Webhooks" describes it, so that receivers can check them with a library they have.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from adapters.http import AnswerError, Requester, checked_url
from adapters.loop import Resume, Standing, Stop, Wanted
from adapters.running import Seen, Told
from gate import Mode

DESCRIPTION: Final = """\
Tells software to halt by a POST that is signed with a shared secret and dated; a repeated request carries the same
webhook-id, so that a receiver can drop it. A 2xx answer proves that the request arrived, nothing more. With a check
address a halt is confirmed when that address answers as configured, in a request made after the hold was known; what it
answers is the receiver's own word. Without one nothing is ever confirmed: the hold is shown as DELIVERED. It can not
bound what the software sends, and it sees no orders: last order, nonces and orders in flight stay unknown."""
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  how every secret begins
MIN_SECRET_BYTES: Final = 24
TIMEOUT_S: Final = 5.0


def read_secret(text: str) -> bytes:
    """Read a secret as it is written: `whsec_` and base64.

    Raises:
        ValueError: it is none, or too short to be one.
    """
    try:
        secret = base64.b64decode(text.strip().removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not text.startswith(SECRET_PREFIX) or len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret is {SECRET_PREFIX} and base64 of at least {MIN_SECRET_BYTES} bytes")
    return secret


def signed(secret: bytes, ident: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the headers that name, date and sign a request."""
    mac = hmac.digest(secret, b".".join([ident.encode(), str(at_s).encode(), body]), hashlib.sha256)
    return {
        "webhook-id": ident,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


@dataclass(frozen=True, slots=True)
class Expected:
    """What the check address has to answer: a member of its JSON object, by path, and its value."""

    path: tuple[str, ...]
    value: Any

    @classmethod
    def read(cls, text: str) -> "Expected":
        """Read `path.to.member=value`; the value is JSON where it can be read so, else text.

        Raises:
            ValueError: it is none.
        """
        path, equals, value = text.partition("=")
        if not equals or not all(path.split(".")):
            raise ValueError(f"{text!r} is not path=value")
        try:
            return cls(tuple(path.split(".")), json.loads(value))
        except ValueError:
            return cls(tuple(path.split(".")), value)

    def met_by(self, answer: Any) -> bool | None:
        """Whether an answer says so; None where it says nothing about it. 1 is not true."""
        for name in self.path:
            if not isinstance(answer, dict) or name not in answer:
                return None
            answer = answer[name]
        return type(answer) is type(self.value) and bool(answer == self.value)


class Webhook:
    """One piece of software behind addresses of its own."""

    name = "webhook"
    sees_orders = False

    def __init__(
        self,
        halt_url: str,
        secret: bytes,
        *,
        executors: tuple[str, ...],
        resume_url: str | None = None,
        check: tuple[str, Expected] | None = None,
        timeout_s: float = TIMEOUT_S,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        """`check`: the address to ask and what it has to answer.

        Raises:
            ValueError: an address is none, or would send in the clear over a network.
        """
        self._halt_url = checked_url(halt_url)
        self._resume_url = None if resume_url is None else checked_url(resume_url)
        self._check = None if check is None else (checked_url(check[0]), check[1])
        self._secret = secret
        self._executors = executors
        self._wall_s = wall_s
        self._process = secrets.token_hex(8)
        self._requests = Requester(timeout_s)

    def close(self) -> None:
        """Hang up."""
        self._requests.close()

    def stop(self, step: Stop, wanted: Wanted) -> Told:
        """Post the order to obey a mode."""
        return self._post(self._halt_url, step.number, {"type": "halt", "mode": step.mode, "holds": list(wanted.holds)})

    def look(self, mode: Mode | None) -> Seen:
        """Ask the check address."""
        if self._check is None:
            return Seen(Standing.UNKNOWN, "nobody can look")
        url, expected = self._check
        try:
            answer = self._requests.ask("GET", url, headers=self._headers(secrets.token_hex(16), b"", mode)).json()
        except AnswerError as error:
            return Seen(Standing.UNKNOWN, str(error))
        met = expected.met_by(answer)
        shown = json.dumps(answer, default=str)
        if met is None:
            return Seen(Standing.UNKNOWN, f"no {'.'.join(expected.path)} in {shown}")
        return Seen(Standing.OBEYS if met else Standing.NOT_YET, shown)

    def cancel(self) -> Told:
        """Nothing is known to rest here; the order to halt names the mode."""
        return Told(done=True, note="")

    def resume(self, step: Resume) -> Told:
        """Post the leave to go on, where that is wanted."""
        if self._resume_url is None or not step.start:
            return Told(done=True, note="left as it is")
        return self._post(self._resume_url, step.number, {"type": "resume"})

    def _post(self, url: str, number: int, said: dict[str, Any]) -> Told:
        ident = f"{self._process}-{number}"
        body = json.dumps({"id": ident, "executors": list(self._executors), **said}).encode()
        try:
            answer = self._requests.ask("POST", url, headers=self._headers(ident, body), body=body)
        except AnswerError as error:
            return Told(done=False, note=str(error))
        return Told(done=answer.is_success, note=f"status {answer.status}")

    def _headers(self, ident: str, body: bytes, mode: Mode | None = None) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if mode is not None:
            headers["watchfloor-mode"] = mode.value
        return headers | signed(self._secret, ident, int(self._wall_s()), body)
