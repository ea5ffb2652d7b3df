"""The gate and the checker for bots not written in Python: small JSON requests over loopback or a Unix socket.

Whatever is unclear is answered with `"allowed": false` and a status other than 200. Reads bodies of bounded size only,
talks to this machine only, and holds no secret that a request could ask for.
"""

import http
import json
import socket
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from gate import local_http
from gate.checker import Checker
from gate.client import Gate
from gate.permits import Decision, Reason
from gate.statements import StatementError, read_json, read_key

MAX_BODY_BYTES: Final = 32_768
"""A permit with room to spare."""
MAX_DISCARDED_BYTES: Final = 1_048_576
MAX_CONNECTIONS: Final = 64
"""Bots keep one connection each; more is a mistake, and each costs a thread."""
LOOK_FOR_END_S: Final = 0.1
MAX_AMOUNT_CHARS: Final = 80
_COUNTS: Final = frozenset({"open_orders", "in_flight", "last_order_seq"})
_MAX_COUNT: Final = 2**31 - 1
Body = dict[str, Any]


class BadRequestError(ValueError):
    """The request is not one; the text says what is wrong with it."""


class Sidecar:
    """Answers a bot's questions from its gate, and a signer's from its checker. Either may be missing."""

    def __init__(self, gate: Gate | None, checker: Checker | None) -> None:
        self._gate = gate
        self._checker = checker
        self._held: dict[int, Decision] = {}
        self._lock = threading.Lock()
        self.routes: dict[str, Callable[[Body], Body]] = {}
        if gate is not None:
            self.routes |= {
                "/may-send": self._may_send,
                "/sent": self._sent,
                "/settled": self._settled,
                "/report": self._report,
                "/confirm-halted": self._confirm_halted,
                "/beat": self._beat,
            }
        if checker is not None:
            self.routes["/check"] = self._check

    def health(self) -> Body:
        """Return what is wrong with either, if anything; says nothing about any single send."""
        parts = {"gate": self._gate, "checker": self._checker}
        errors = {name: part.last_error for name, part in parts.items() if part is not None}
        return {"ok": not any(errors.values()), "errors": errors}

    def _may_send(self, body: Body) -> Body:
        gate = self._running_gate()
        given = _members(body, optional={"reduces", "cancels", "amount_eth"})
        decision = gate.may_send(
            reduces=_flag(given, "reduces"), cancels=_flag(given, "cancels"), amount_eth=_amount(given, "amount_eth")
        )
        if decision.mode is not None and decision.held_epoch:
            with self._lock:
                self._held = {decision.held_epoch: decision}
        return shown(decision) | {"permit": gate.permit}

    def _sent(self, body: Body) -> Body:
        given = _members(body, required={"id"}, optional={"wallet", "nonce"})
        wallet, nonce = _text_or_none(given, "wallet"), given.get("nonce")
        self._running_gate().sent(_text(given, "id"), wallet=wallet, nonce=nonce)
        return {}

    def _settled(self, body: Body) -> Body:
        given = _members(body, required={"id", "fate"})
        self._running_gate().settled(_text(given, "id"), _text(given, "fate"))
        return {}

    def _report(self, body: Body) -> Body:
        given = _members(body, optional=_COUNTS | {"position_eth", "nonces"})
        for name in _COUNTS & given.keys():
            if type(given[name]) is not int or not 0 <= given[name] <= _MAX_COUNT:
                raise BadRequestError(f"{name} is a whole number of at least 0")
        nonces = given.get("nonces")
        if not isinstance(nonces, dict | None):
            raise BadRequestError("nonces is an object of the last nonce by wallet")
        position = _amount(given, "position_eth")
        self._running_gate().report(position_eth=position, nonces=nonces, **{name: given.get(name) for name in _COUNTS})
        return {}

    def _confirm_halted(self, body: Body) -> Body:
        given = _members(body, required={"held_epoch"})
        with self._lock:
            obeyed = self._held.get(given["held_epoch"]) if type(given["held_epoch"]) is int else None
        if obeyed is None:
            raise BadRequestError("held_epoch is that of the newest answer of /may-send under a hold")
        self._running_gate().confirm_halted(obeyed)
        return {}

    def _beat(self, body: Body) -> Body:
        _members(body)
        self._running_gate().beat()
        return {}

    def _check(self, body: Body) -> Body:
        given = _members(body, optional={"permit", "reduces", "cancels", "amount_eth", "executor", "wallet"})
        if self._checker is None:
            raise BadRequestError("no checker runs here")
        decision = self._checker.check(
            _text_or_none(given, "permit"),
            reduces=_flag(given, "reduces"),
            cancels=_flag(given, "cancels"),
            amount_eth=_amount(given, "amount_eth"),
            executor=_text_or_none(given, "executor"),
            wallet=_text_or_none(given, "wallet"),
        )
        return shown(decision)

    def _running_gate(self) -> Gate:
        if self._gate is None:
            raise BadRequestError("no gate runs here")
        return self._gate


def shown(decision: Decision) -> Body:
    """Return a decision as it is answered."""
    return {
        "allowed": decision.allowed,
        "reason": decision.reason.value,
        "remaining_ms": int(decision.remaining_s * 1000),
        "holds": list(decision.holds),
        "held": decision.reason in {Reason.HELD, Reason.HELD_TO_REDUCING},
        "held_epoch": decision.held_epoch,
        "cancel_resting": decision.cancel_resting,
    }


def _members(body: Body, *, required: frozenset[str] | set[str] = frozenset(), optional: Any = frozenset()) -> Body:
    unknown = sorted(body.keys() - required - optional)
    if unknown:
        raise BadRequestError(f"unknown: {', '.join(unknown)[:100]}")
    missing = sorted(required - body.keys())
    if missing:
        raise BadRequestError(f"missing: {', '.join(missing)}")
    return body


def _flag(body: Body, name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise BadRequestError(f"{name} is true or false")
    return value


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise BadRequestError(f"{name} is text")
    return value


def _text_or_none(body: Body, name: str) -> str | None:
    return None if body.get(name) is None else _text(body, name)


def _amount(body: Body, name: str) -> Decimal | None:
    if body.get(name) is None:
        return None
    text = _text(body, name)
    try:
        amount = Decimal(text) if len(text) <= MAX_AMOUNT_CHARS else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise BadRequestError(f'{name} is a decimal number as text, such as "0.25"')
    return amount


class _Handler(local_http.LocalHandler):
    """One connection of a bot."""

    server_version = "watchfloor-sidecar"
    server: "_Server"

    def do_GET(self) -> None:  # noqa: N802  the base class calls it so
        """Answer whether all is well."""
        if self.path != "/healthz":
            self._refuse(http.HTTPStatus.NOT_FOUND, "there is nothing here; GET /healthz, or POST to ask")
            return
        health = self.server.sidecar.health()
        self._answer(http.HTTPStatus.OK if health["ok"] else http.HTTPStatus.SERVICE_UNAVAILABLE, health)

    def do_POST(self) -> None:  # noqa: N802  the base class calls it so
        """Answer one question."""
        route = self.server.sidecar.routes.get(self.path)
        if route is None:
            self._discard(self.stated_length() or 0)
            known = ", ".join(self.server.sidecar.routes)
            self._refuse(http.HTTPStatus.NOT_FOUND, f"there is nothing here; POST to {known}")
            return
        try:
            body = self._body()
            self._refuse_browsers()
            self._answer(http.HTTPStatus.OK, route(body))
        except (BadRequestError, StatementError, ValueError) as error:
            self._refuse(http.HTTPStatus.BAD_REQUEST, str(error)[:300])
        except OSError:
            raise  # the bot is gone
        except Exception:  # noqa: BLE001  boundary: a fault of ours must never read as leave to send
            self._refuse(http.HTTPStatus.INTERNAL_SERVER_ERROR, "a fault of the sidecar")

    def _refuse_browsers(self) -> None:
        if not self.is_json:
            raise BadRequestError("send Content-Type: application/json")
        if self.is_from_a_page:
            raise BadRequestError("no web page may ask here")

    def _body(self) -> Body:
        length = self.stated_length()
        if length is None:
            raise BadRequestError("send a body with a Content-Length")
        if length > MAX_BODY_BYTES:
            self._discard(length)
            raise BadRequestError(f"a body has at most {MAX_BODY_BYTES} bytes")
        raw = self.rfile.read(length)
        if len(raw) != length:
            raise BadRequestError("the body ended early")
        body = read_json(raw)
        if not isinstance(body, dict):
            raise BadRequestError("the body is a JSON object")
        return body

    def _discard(self, length: int) -> None:
        """Read what will not be used, so that the answer is not lost with a connection closed under the bot's hands."""
        left = min(length, MAX_DISCARDED_BYTES)
        while left > 0 and (some := self.rfile.read(min(left, MAX_BODY_BYTES))):
            left -= len(some)

    def _refuse(self, status: http.HTTPStatus, why: str) -> None:
        self.close_connection = True
        self._answer(status, {"allowed": False, "error": why})

    def _answer(self, status: http.HTTPStatus, body: Body) -> None:
        self.reply(status, json.dumps(body).encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Answer what the base class refuses (an endless line, another method) in the same form."""
        self._refuse(http.HTTPStatus(code), message or "not understood")


class _Server(local_http.LocalServer):
    def __init__(self, sidecar: Sidecar, listening: socket.socket) -> None:
        self.sidecar = sidecar
        super().__init__(_Handler, listening, max_connections=MAX_CONNECTIONS)


class Serving(local_http.Serving):
    """A sidecar that answers until its context is left."""

    def __init__(self, sidecar: Sidecar, listening: socket.socket) -> None:
        super().__init__(_Server(sidecar, listening), "sidecar", look_for_end_s=LOOK_FOR_END_S)


def read_permit_keys(text: str) -> Mapping[str, bytes]:
    """Read pinned keys: a JSON object of base64url public keys by name, as `hello` says them.

    Raises:
        StatementError: it is none.
    """
    keys = read_json(text)
    if not isinstance(keys, dict) or not keys:
        raise StatementError("permit keys are a JSON object of public keys by name")
    return {name: read_key(key) for name, key in keys.items()}
