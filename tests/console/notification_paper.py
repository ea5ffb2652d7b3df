"""The part of the backend on paper that knows channels and what was sent to them."""

from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import BaseModel

from contract.base import Page
from contract.notifications import Channel, Delivery, DeliveryState
from contract.states import Severity
from tests.console.floor_models import NOW, ago

GRAVE = [Severity.CRITICAL, Severity.HIGH]


def channel(name: str = "oncall-pager", **changes: Any) -> Channel:
    """One that took what was sent last."""
    usual: dict[str, Any] = {
        "service": "pagerduty", "severities": GRAVE, "sent_24h": 12, "last_sent_at": ago(minutes=4),
    }  # fmt: skip
    return Channel(name=name, **(usual | changes))


def sent(ident: str = "n-1", **changes: Any) -> Delivery:
    """One that arrived."""
    usual: dict[str, Any] = {
        "channel": "oncall-pager", "subject_kind": "alert", "subject_id": "alert-1", "state": DeliveryState.SENT,
        "title": "CRITICAL: strategy arbitrage lost 12 ETH today", "attempts": 1, "queued_at": ago(minutes=4),
        "sent_at": ago(minutes=4),
    }  # fmt: skip
    return Delivery(id=ident, **(usual | changes))


def channels() -> list[Channel]:
    """One that works, one that fails, one that nobody has tried."""
    told = "HTTP 410 from the service: the integration was removed"
    return [
        channel(),
        channel("ops-chat", service="slack", severities=[*GRAVE, Severity.MEDIUM], failed_24h=3, last_error=told),
        channel("desk-mail", service="mailto", severities=[], sent_24h=0, last_sent_at=None),
    ]


def log() -> list[Delivery]:
    """One of each state."""
    gone = {"sent_at": None, "attempts": 6, "reason": "HTTP 410 from the service: the integration was removed"}
    again = gone | {"attempts": 2, "next_at": ago(minutes=-1), "reason": "no answer within 10 s"}
    quiet = {"sent_at": None, "attempts": 0, "reason": "the channel's rate was spent"}
    return [
        sent("n-5", state=DeliveryState.QUEUED, sent_at=None, attempts=0, queued_at=ago(seconds=2)),
        sent("n-4", channel="ops-chat", state=DeliveryState.FAILED, **again),
        sent("n-3", channel="ops-chat", state=DeliveryState.GIVEN_UP, **gone),
        sent("n-2", state=DeliveryState.HELD_BACK, **quiet),
        sent("n-1", subject_kind="incident", subject_id="INC-2026-015", title="INC-2026-015 declared, severity 1"),
    ]


def _json(model: BaseModel, status: int = 200) -> httpx.Response:
    return httpx.Response(status, content=model.model_dump_json(), headers={"content-type": "application/json"})


@dataclass
class NotificationPaper:
    """What it holds; tests change it."""

    channels: list[Channel] = field(default_factory=channels)
    log: list[Delivery] = field(default_factory=log)
    becomes: list[Delivery] = field(default_factory=list)
    """What is known of a test, one answer after the other; the last one stays."""

    def answer(self, method: str, path: str, body: dict[str, Any]) -> httpx.Response | None:
        """The answer, or None where the path is somebody else's."""
        match (method, path.split("/")[2:]):
            case ("GET", ["notifications", "channels"]):
                return _json(Page[Channel](items=self.channels, as_of=NOW))
            case ("GET", ["notifications"]):
                return _json(Page[Delivery](items=[one for one in self.log if _is_wanted(one, body)]))
            case ("POST", ["notifications", "test"]):
                made = sent(
                    "t-1", channel=body["channel"], subject_kind="test", state=DeliveryState.QUEUED, sent_at=None
                )
                return _json(made, 202)
            case ("GET", ["notifications", _]):
                return _json(self.becomes.pop(0) if len(self.becomes) > 1 else self.becomes[0])
            case _:
                return None


def _is_wanted(one: Delivery, query: dict[str, Any]) -> bool:
    lost = "state" not in query or one.state in {DeliveryState.FAILED, DeliveryState.GIVEN_UP}
    return query.get("channel") in {None, one.channel} and lost
