"""Hands one notification to apprise, in a thread of the channel's own. Knows no table and no rule of the policy.

What a service says, and what apprise logs, may hold parts of the address: neither leaves this module. A failure is told
in words of ours, with a status code at most.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from backend.diskthread import DiskSilentError, DiskThread
from contract.alerts import Severity

if TYPE_CHECKING:
    from apprise import Apprise

_LIBRARIES: Final = ("apprise", "urllib3", "requests_oauthlib", "oauthlib")
"""Their logs name hosts and paths, which for many services are the secret."""
_STATUS: Final = re.compile(r"\berror=(\d{3})\b")
_CONNECTION: Final = re.compile(r"connection error|socket exception|connect", re.IGNORECASE)
_TYPES: Final = {Severity.CRITICAL: "failure", Severity.HIGH: "failure", Severity.MEDIUM: "warning"}
"""How apprise colours a severity, where a service has colours."""
_APP: Final = "Watchfloor"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    title: str
    body: str
    severity: Severity
    over: bool = False
    """It says that something has ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one try."""

    problem: str | None = None
    """None: the service took it."""


@dataclass
class Lane:
    """Sends to one channel, one notification at a time. A try that hangs keeps its thread, and further ones out."""

    name: str
    _thread: DiskThread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = DiskThread(f"channel {self.name}")

    async def send(self, url: str, message: Message, within_s: float) -> Outcome:
        """Try once. A try that has not ended in time may still arrive."""
        try:
            return await self._thread.do(lambda: _send(url, message), within_s)
        except DiskSilentError:
            return Outcome(f"no answer within {within_s:g} s")

    def end(self) -> None:
        """Let the thread end once it has nothing to do."""
        self._thread.end()


def services() -> frozenset[str]:
    """The schemes of the addresses that apprise knows."""
    with _silenced():
        from apprise import manager_plugins  # hundreds of plug-ins: only where there are channels

        untyped: Any = manager_plugins
        return frozenset(untyped.NotificationManager().schemas())


def is_pages_own(url: str) -> bool:
    """Whether it is an address as a service's own pages show it (`https://hooks.slack.com/…`), which apprise knows."""
    with _silenced():
        return _opened(url) is not None


def _opened(url: str) -> "Apprise | None":
    import apprise  # hundreds of plug-ins are looked at: not before somebody is to be told

    # one after another in this thread: apprise's own pool would keep the process from ending while a service hangs
    asset = apprise.AppriseAsset(app_id=_APP, app_desc=_APP, async_mode=False, service_timeout=0, http_redirects=False)
    opened = apprise.Apprise(asset=asset)
    return opened if opened.add(url) and len(opened) == 1 else None


def _send(url: str, message: Message) -> Outcome:
    with _silenced() as heard:
        try:
            opened = _opened(url)
            if opened is None:
                return Outcome("the address is none that apprise knows")
            kind = "success" if message.over else _TYPES.get(message.severity, "info")
            taken = opened.notify(body=message.body, title=message.title, notify_type=kind, body_format="text")
        # the boundary to the plug-ins: whatever one raises may quote the address
        except Exception as error:  # noqa: BLE001  boundary of the sending library: told by its class
            return Outcome(f"could not be sent: {type(error).__name__}")
        return Outcome() if taken else Outcome(_problem(heard))


def _problem(heard: list[str]) -> str:
    statuses = [found[1] for line in heard for found in _STATUS.finditer(line)]
    if statuses:
        return f"refused with status {statuses[-1]}"
    if any(_CONNECTION.search(line) for line in heard):
        return "no connection"
    return "not taken"


class _Ear(logging.Handler):
    """Hears what is logged in each thread that asks for it, and passes nothing on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        lines: list[str] | None = getattr(self._heard, "lines", None)
        if lines is not None:
            lines.append(record.getMessage())

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        lines: list[str] = []
        self._heard.lines = lines
        try:
            yield lines
        finally:
            self._heard.lines = None


_EAR: Final = _Ear()


@contextmanager
def _silenced() -> Iterator[list[str]]:
    """Keep the libraries' logs out of ours, for good, and give what this thread's work says."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        if _EAR not in logger.handlers:
            logger.addHandler(_EAR)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
    with _EAR.listening() as lines:
        yield lines
