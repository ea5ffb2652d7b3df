"""Bodies of real Alertmanagers: nothing of them is lost, and both ways of asking name an occurrence alike."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from contract import alertmanager
from contract.alertmanager import ForeignAlert
from tests.support.shared_data import shared_data

VERSIONS = ("0.22.0", "0.22.1", "0.23.0", "0.24.0", "0.25.0", "0.26.0", "0.27.0", "0.31.0")
_MOCKS = "alertmanager/api-v2-mocks/internal/mock"


def _recorded(path: Path) -> bytes:
    return str(json.loads(path.read_text())["raw_body"]).encode()


def test_recorded_deliveries_are_read_whole() -> None:
    paths = sorted(shared_data("alertmanager/recorded/webhooks").glob("*.json"))
    assert paths
    for path in paths:
        raw = _recorded(path)
        sent, read = orjson.loads(raw), alertmanager.delivery_of(raw)
        assert (read.group_key, read.receiver) == (sent["groupKey"], sent["receiver"])
        assert read.truncated == sent["truncatedAlerts"]
        assert [_shown(alert) for alert in read.alerts] == [_told(alert) for alert in sent["alerts"]]


def _shown(alert: ForeignAlert) -> dict[str, Any]:
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "fingerprint": alert.fingerprint,
        "firing": alert.firing,
        "ended": alert.ends_at is not None,
    }


def _told(alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "labels": alert["labels"],
        "annotations": alert["annotations"],
        "fingerprint": alert["fingerprint"],
        "firing": alert["status"] == "firing",
        "ended": alert["endsAt"] != "0001-01-01T00:00:00Z",
    }


def test_fingerprints_are_computed_as_alertmanager_computes_them() -> None:
    alerts = alertmanager.alerts_of(shared_data("alertmanager/recorded/api/api-alerts.json").read_bytes())
    assert alerts
    for alert in alerts:
        assert alertmanager.fingerprint_of(alert.labels) == alert.fingerprint


def test_the_webhook_and_the_api_name_an_occurrence_alike() -> None:
    """The webhook says nanoseconds, the API milliseconds: a name made of all digits would make two alerts of each."""
    sent = [
        alert
        for path in sorted(shared_data("alertmanager/recorded/webhooks").glob("*-firing-*.json"))
        for alert in alertmanager.delivery_of(_recorded(path)).alerts
    ]
    known = alertmanager.alerts_of(shared_data("alertmanager/recorded/api/api-alerts.json").read_bytes())
    of_api = {alert.fingerprint: alert.occurrence("main") for alert in known}
    both = [alert for alert in sent if alert.fingerprint in of_api]
    assert both
    assert {alert.occurrence("main") for alert in both} == {of_api[alert.fingerprint] for alert in both}


def test_what_mutes_an_alert_is_read() -> None:
    folder = shared_data("alertmanager/recorded/api")
    alerts = alertmanager.alerts_of((folder / "api-alerts.json").read_bytes())
    (silence,) = alertmanager.silences_of((folder / "api-silences.json").read_bytes())
    assert [alert.name for alert in alerts if alert.silenced_by == (silence.id,)] == ["GasSpike"] * 2
    assert [str(matcher) for matcher in silence.matchers] == ['alertname="GasSpike"']
    assert (silence.state, silence.created_by, silence.comment) == ("active", "alice", "planned RPC migration")
    assert alertmanager.cluster_of((folder / "api-status.json").read_bytes()) == "disabled"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_of_each_version_is_read(version: str) -> None:
    folder = shared_data(f"{_MOCKS}/{version}/api/v2")
    groups = orjson.loads((folder / "alerts/groups").read_bytes())
    told = [alert for group in groups for alert in group["alerts"]]
    alerts = alertmanager.alerts_of(orjson.dumps(told))
    assert [alert.fingerprint for alert in alerts] == [alert["fingerprint"] for alert in told]
    silences = alertmanager.silences_of((folder / "silences").read_bytes())
    muted = {silence for alert in alerts for silence in alert.silenced_by}
    assert muted
    assert muted <= {silence.id for silence in silences}


@pytest.mark.parametrize(
    "path", ["pkg/card/testdata/prom_post_request.json", "examples/templates/card-grafana-inspired-payload.json"]
)
def test_bodies_that_others_made_in_its_form_are_read(path: str) -> None:
    raw = shared_data(f"alertmanager/webhooks-prom-msteams/{path}").read_bytes()
    body = orjson.loads(raw)
    if "version" not in body:
        with pytest.raises(alertmanager.UnreadableError, match="version 4"):
            alertmanager.delivery_of(raw)
        raw = orjson.dumps(body | {"version": "4"})
    delivery = alertmanager.delivery_of(raw)
    assert len(delivery.alerts) == len(body["alerts"])
    assert all(alert.firing and len(alert.fingerprint) == 16 for alert in delivery.alerts)


def test_a_time_with_a_zone_is_that_instant() -> None:
    body = {"version": "4", "alerts": [{"labels": {"a": "b"}, "startsAt": "2018-03-07T06:33:21.873077559-05:00"}]}
    (alert,) = alertmanager.delivery_of(orjson.dumps(body)).alerts
    assert alert.starts_at == datetime(2018, 3, 7, 11, 33, 21, 873_000, tzinfo=UTC)
    assert alert.occurrence("main").endswith("|20180307T113321.873Z")
