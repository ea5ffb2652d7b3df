"""Who is at the other end of a connection, as the kernel and TLS say: never what a request claims about itself."""

import os
import socket
import ssl
import struct
from asyncio import BaseTransport
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from contract.certificates import fingerprint_of

STATE_KEY: Final = "peer"
"""Where a request's state holds it."""
_CREDENTIALS: Final = struct.Struct("3i")
"""Process, user and group, as the kernel gives them."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a Unix socket, or the certificate that a TLS client showed."""

    pid: int | None = None
    """The process that opened the connection; it may have ended since, or have handed the connection on."""
    uid: int | None = None
    certificate: str | None = None
    """SHA-256 of the certificate in DER, hexadecimal; TLS has checked it against the client CA."""
    certificate_until: datetime | None = None

    def shows(self, fingerprint: str, now: datetime) -> bool:
        """Whether the connection came with this certificate, and it is still good: a line may outlive it."""
        until = self.certificate_until
        return self.certificate == fingerprint and until is not None and now < until

    def facts(self) -> dict[str, Any]:
        """What an audit entry of a sign-in says about the connection."""
        told = {"socket_uid": self.uid, "socket_pid": self.pid, "client_certificate": self.certificate}
        return {name: value for name, value in told.items() if value is not None}


def comes_over(peer: Peer | None, fingerprint: str | None, now: datetime) -> bool:
    """Whether a connection came with the certificate that somebody is bound to, if they are bound to one."""
    return fingerprint is None or (peer is not None and peer.shows(fingerprint, now))


def peer_of(transport: BaseTransport) -> Peer | None:
    """Ask the kernel or TLS about a connection; None where neither knows anything."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is not None:
        return _by_certificate(tls)
    return _by_credentials(transport.get_extra_info("socket").fileno()) if is_local(transport) else None


def is_local(transport: BaseTransport) -> bool:
    """Whether a connection came over a Unix socket."""
    plain = transport.get_extra_info("socket")
    return plain is not None and plain.family == socket.AF_UNIX


def _by_certificate(tls: ssl.SSLObject) -> Peer | None:
    der = tls.getpeercert(binary_form=True)
    if der is None:
        return None
    fields: Mapping[str, Any] = tls.getpeercert() or {}
    until = fields.get("notAfter")
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None
    return Peer(certificate=fingerprint_of(der), certificate_until=ends)


def _by_credentials(descriptor: int) -> Peer | None:
    if not hasattr(socket, "SO_PEERCRED"):  # Linux only; elsewhere the socket's mode alone decides
        return None
    # the event loop's own socket cannot be asked for options
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=os.dup(descriptor)) as asked:
        raw = asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return Peer(pid=pid or None, uid=uid)
