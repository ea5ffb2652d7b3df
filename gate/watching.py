"""A checker's conversation with the backend, without the line: asks how things stand, takes signed states in."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping

from gate.fence import Fence
from gate.permits import DEFAULT_RENEW_S, MIN_RENEW_S
from gate.session import MAX_KEYS, MAX_MESSAGE_BYTES, shown
from gate.statements import Kind, StatementError, read, read_json, read_key

_NEVER = float("inf")


class Watch:
    """Keeps a fence fresh. Every `now` is a reading of one monotonic clock, in seconds."""

    path = "/v1/gate/watch"

    def __init__(
        self,
        fence: Fence,
        keys: Mapping[str, bytes] | None,
        *,
        nonce: Callable[[], str],
        renew_s: float = DEFAULT_RENEW_S,
    ) -> None:
        """`nonce` gives text that was never given before."""
        self.fence = fence
        self.keys: Mapping[str, bytes] = dict(keys or {})
        self.last_error: str | None = None
        self.answered = False
        self._pinned = keys is not None
        self._nonce = nonce
        self._renew_s = max(MIN_RENEW_S, renew_s)
        self._open = False
        self._sent_at = -_NEVER
        self._unanswered: OrderedDict[str, float] = OrderedDict()

    def opened(self, now: float) -> None:  # noqa: ARG002  what every conversation is told
        """A connection stands: a question is due."""
        self._open, self.answered = True, False
        self._sent_at = -_NEVER
        self._unanswered.clear()

    def closed(self, why: str | None) -> None:
        """The connection is gone: what is known grows old."""
        self._open = False
        self._unanswered.clear()
        self.last_error = shown(why) if why else self.last_error

    def refused(self, why: str) -> None:
        """The backend will not have this checker: what is known grows old."""
        self.last_error = shown(why)

    @property
    def due_at(self) -> float:
        """When the next question is due; never while no connection stands."""
        return self._sent_at + self._renew_s if self._open else _NEVER

    def overdue_since(self) -> float:
        """Return when the oldest question was sent that this connection has not answered; infinity if none."""
        return next(iter(self._unanswered.values()), _NEVER)

    def outgoing(self, now: float) -> str | None:
        """Return the question to be sent now, None if none is due. Its answer is fresh from `now`."""
        if now < self.due_at:
            return None
        nonce = self._nonce()
        self.fence.asked(now, nonce)
        self._unanswered[nonce] = self._sent_at = now
        return json.dumps({"type": "watch", "nonce": nonce})

    def received(self, now: float, text: str | bytes) -> None:  # noqa: ARG002  what every conversation is told
        """Take a message in. One that makes no sense changes nothing."""
        try:
            message = read_json(text) if len(text) <= MAX_MESSAGE_BYTES else None
            if not isinstance(message, dict):
                raise StatementError("not a message")
            match message.get("type"):
                case "hello" if not self._pinned:
                    self._greeted(message.get("keys"))
                case "state":
                    self._stated(message.get("sig"))
                case "refused":
                    self.refused(str(message.get("message", "refused")))
        except ValueError as error:
            self.last_error = shown(f"an answer of no use: {error}")

    def _greeted(self, keys: object) -> None:
        if not isinstance(keys, dict) or not 0 < len(keys) <= MAX_KEYS:
            raise StatementError("a greeting without keys")
        self.keys = {name: read_key(text) for name, text in keys.items()}

    def _stated(self, signed: object) -> None:
        payload = read(signed, Kind.FENCE, self.keys)
        if self.fence.told(payload):
            self.answered = True
            self.last_error = None
            while self._unanswered and self._unanswered.popitem(last=False)[0] != payload["nonce"]:
                pass
