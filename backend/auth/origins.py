"""Which addresses of this backend a hardware key's answer may be bound to. Pure.

An answer that somebody in between obtained under an address of their own is worth nothing here.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request

from backend.errors import WatchfloorError
from backend.settings import Settings
from contract.auth import MAX_ADDRESS_CHARS
from contract.errors import ErrorCode

_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOCKET = "http+unix://"


def origin_of(request: Request, claimed: str, settings: Settings) -> str:
    """The backend's address as the client knows it; what the request was sent to, where the client does not say.

    Raises:
        WatchfloorError: NOT_ALLOWED, the address is none of this backend's.
    """
    origin = claimed or _addressed(request)
    if is_own(origin, settings.origins):
        return origin
    raise WatchfloorError(
        ErrorCode.NOT_ALLOWED,
        "This backend does not go by that address: no hardware key is asked for.",
        hint="Whoever runs the backend names its addresses in WATCHFLOOR_ORIGINS.",
    )


def is_own(origin: str, configured: str) -> bool:
    """Whether an address is one of this backend's: one that is configured or, where none is, one on the client's host.

    A tunnel over SSH ends on the client's own host, at a port that nobody here knows.
    """
    named = configured.split()
    if named:
        return origin in named
    if origin.startswith(_SOCKET):
        return True
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _addressed(request: Request) -> str:
    """What the request was sent to, spelt as consoles spell it."""
    try:
        parts = urlsplit(str(request.base_url))
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    shown = f"[{host}]" if ":" in host else host
    text = f"{parts.scheme}://{shown}" + ("" if port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f":{port}")
    return text[:MAX_ADDRESS_CHARS]
