"""Whatever is sent to the webhook, it is refused with words of ours or it is alerts that can be stored."""

from datetime import UTC, datetime, timedelta
from functools import cache

import orjson

from contract import alertmanager
from contract.alertmanager import Delivery, ForeignAlert, UnreadableError

_START = "2026-11-21T20:52:34.20726696Z"
_END = "2026-11-21T20:52:37.213212Z"
_ZERO = "0001-01-01T00:00:00Z"
_LONGEST_REASON = 120
_LONGEST_OCCURRENCE = 120


def _alert(name: str, labels: dict[str, str] | None = None, *, ended: bool = False) -> dict[str, object]:
    whole = {"alertname": name, "severity": "critical", **(labels or {})}
    return {
        "status": "resolved" if ended else "firing",
        "labels": whole,
        "annotations": {"summary": f"{name} on bot1", "description": 'line1\nline2 <b>&</b> "quoted" [red]\x1b[31m 名'},
        "startsAt": _START,
        "endsAt": _END if ended else _ZERO,
        "generatorURL": "http://prometheus.example/graph?g0.expr=up+%3D%3D+0",
        "fingerprint": alertmanager.fingerprint_of(whole),
    }


def _body(*alerts: dict[str, object], **changes: object) -> bytes:
    usual: dict[str, object] = {
        "version": "4",
        "groupKey": '{}:{alertname="RpcLag"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "watchfloor",
        "groupLabels": {"alertname": "RpcLag"},
        "commonLabels": {"alertname": "RpcLag", "severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts),
    }
    return orjson.dumps(usual | changes)


@cache
def seeds() -> list[bytes]:
    """Deliveries that are good, and some that are odd."""
    late = "2018-03-07T06:33:21.873077559-05:00"
    return [
        _body(_alert("RpcLag", {"chain": "arbitrum"}), _alert("RpcLag", {"chain": "base"}, ended=True)),
        _body(_alert("GasSpike"), notification_reason="new alerts added", routeLabels=None),
        _body(*(_alert("Many", {"instance": f"bot{number}"}) for number in range(12)), truncatedAlerts=6),
        _body({"labels": {"alertname": "NoStatus"}, "annotations": {}, "startsAt": late, "endsAt": _ZERO}),
        _body(_alert("N\x00ul", {"": "", "名": "\x85\u2028"})),
        _body(version="3"),
        _body(alerts=[]),
        orjson.dumps([_body().decode()]),
        b"[" * 2_000,
        b'{"version":"4","alerts":[{"labels":{"a":"\\ud800"},"startsAt":1}]}',
    ]


def check(data: bytes) -> None:
    """Read one body as the webhook brings it; raises what must never be raised."""
    try:
        delivery = alertmanager.delivery_of(data)
    except UnreadableError as error:
        refused = str(error)
    else:
        _check_delivery(delivery)
        return
    assert refused.isprintable(), "a stranger's bytes are in the answer"
    assert refused.isascii()
    assert len(refused) <= _LONGEST_REASON


def _check_delivery(delivery: Delivery) -> None:
    assert 0 <= delivery.truncated < 2**31
    assert len(delivery.alerts) <= alertmanager.MAX_ALERTS
    _check_text(delivery.group_key, alertmanager.MAX_TEXT_CHARS)
    for alert in delivery.alerts:
        _check_alert(alert)


def _check_alert(alert: ForeignAlert) -> None:
    occurrence = alert.occurrence("default")
    assert occurrence.isascii()
    assert len(occurrence) <= _LONGEST_OCCURRENCE
    assert 1 <= len(alert.labels) <= alertmanager.MAX_LABELS
    for name, value in alert.labels.items():
        _check_text(name, alertmanager.MAX_NAME_CHARS)
        _check_text(value, alertmanager.MAX_LABEL_CHARS)
    for name, value in alert.annotations.items():
        _check_text(name, alertmanager.MAX_NAME_CHARS)
        _check_text(value, alertmanager.MAX_TEXT_CHARS)
    _check_time(alert.starts_at)
    if alert.ends_at is not None:
        assert not alert.firing
        _check_time(alert.ends_at)


def _check_time(moment: datetime) -> None:
    assert moment.utcoffset() == timedelta(0)
    assert moment.microsecond % 1_000 == 0
    assert datetime(1970, 1, 1, tzinfo=UTC) <= moment <= datetime(9000, 1, 1, tzinfo=UTC)


def _check_text(text: str, most_chars: int) -> None:
    assert len(text) <= most_chars
    assert "\x00" not in text
    text.encode()
