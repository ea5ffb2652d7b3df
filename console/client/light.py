"""Owns one GET without the HTTP library, for the one command that must start as fast as a shell prompt wants it.

Standard library only; plain HTTP on loopback and unix sockets. Everything else is left to the full client.
"""

import json
import socket
from typing import Any, Final, NamedTuple

TIMEOUT_S: Final = 10.0
"""As the full client's read timeout."""
CONNECT_TIMEOUT_S: Final = 2.0
_LIMIT_BYTES: Final = 1_000_000
_LOOPBACK: Final = ("http://127.0.0.1", "http://localhost", "http://[::1]")
_SOCKET: Final = "http+unix://"
_BLOCK_BYTES: Final = 65_536
_OK: Final = 200


class NotForThisError(Exception):
    """The full client has to ask: another kind of address, or an answer that needs its judgement."""


class Answer(NamedTuple):
    """A successful answer."""

    body: dict[str, Any]


def get(url: str, path: str, token: str | None) -> Answer:
    """The JSON object that a route answers.

    Raises:
        NotForThisError: not loopback, no connection, or anything but a complete 200 with a JSON object.
    """
    try:
        return Answer(_object(_exchange(url, path, token)))
    except (OSError, ValueError, UnicodeError) as error:
        raise NotForThisError from error


def _exchange(url: str, path: str, token: str | None) -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    with _connected(url) as connection:
        connection.settimeout(TIMEOUT_S)
        request = f"GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n{authorization}\r\n"
        if not request.isascii() or request.count("\r\n") != (5 if token else 4):
            raise ValueError("not one request")
        connection.sendall(request.encode("ascii"))
        received = bytearray()
        while block := connection.recv(_BLOCK_BYTES):
            received += block
            if len(received) > _LIMIT_BYTES:
                raise ValueError("too large")
        return bytes(received)


def _connected(url: str) -> socket.socket:
    if url.startswith(_SOCKET):
        from urllib.parse import unquote

        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CONNECT_TIMEOUT_S)
        connection.connect(unquote(url.removeprefix(_SOCKET)))
        return connection
    for base in _LOOPBACK:
        rest = url.removeprefix(base)
        if rest != url and (rest == "" or (rest[0] == ":" and rest[1:].isdecimal())):
            host = base.removeprefix("http://").strip("[]")
            return socket.create_connection((host, int(rest[1:] or 80)), timeout=CONNECT_TIMEOUT_S)
    raise ValueError("not a loopback address")


def _object(answer: bytes) -> dict[str, Any]:
    head, separator, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    complete = separator and headers.get(b"content-length") == str(len(body)).encode()
    if not complete or status.split(b" ")[1:2] != [str(_OK).encode()]:
        raise ValueError("not a complete success")
    document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004  the caller falls back on any value it cannot use
    return document
