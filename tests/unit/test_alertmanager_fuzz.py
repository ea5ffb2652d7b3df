"""The fuzz harness of the webhook's parser without atheris: 100,000 seeded changes, of bytes and of fields."""

import orjson
import pytest

from contract import alertmanager
from tests.fuzz import fuzz_alertmanager
from tests.fuzz.mutating import mutated, mutated_json

RUNS = 50_000
"""Of each kind."""


def _readable() -> list[bytes]:
    return fuzz_alertmanager.seeds()[:7]


@pytest.mark.parametrize("seed", [5])
def test_bytes(seed: int) -> None:
    for raw in (*fuzz_alertmanager.seeds(), *mutated(fuzz_alertmanager.seeds(), RUNS, seed)):
        fuzz_alertmanager.check(raw)


@pytest.mark.parametrize("seed", [7])
def test_fields(seed: int) -> None:
    taken = 0
    for raw in mutated_json(_readable(), RUNS, seed):
        fuzz_alertmanager.check(raw)
        try:
            taken += bool(alertmanager.delivery_of(raw).alerts)
        except alertmanager.UnreadableError:
            continue
    assert RUNS // 10 < taken < RUNS, "the changes must neither leave everything nor break everything"


def test_the_harness_takes_what_is_good() -> None:
    delivery = alertmanager.delivery_of(fuzz_alertmanager.seeds()[0])
    assert [alert.firing for alert in delivery.alerts] == [True, False]
    assert delivery.alerts[0].labels == {"alertname": "RpcLag", "severity": "critical", "chain": "arbitrum"}
    with_nul = alertmanager.delivery_of(fuzz_alertmanager.seeds()[4]).alerts[0]
    assert with_nul.name == "N\ufffdul"


@pytest.mark.parametrize("depth", [900, 5_000, 200_000])
def test_deep_bodies_end_no_process(depth: int) -> None:
    nested = b'{"version":"4","alerts":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(alertmanager.UnreadableError):
        alertmanager.delivery_of(nested)
    labels = b'{"a":' * depth + b"1" + b"}" * depth
    fuzz_alertmanager.check(b'{"version":"4","alerts":[{"startsAt":"2026-01-01T00:00:00Z","labels":' + labels + b"}]}")


def test_more_alerts_than_are_ever_looked_at_are_refused() -> None:
    body = orjson.dumps({"version": "4", "alerts": [{}] * (alertmanager.MAX_ALERTS + 1)})
    with pytest.raises(alertmanager.UnreadableError, match="more than"):
        alertmanager.delivery_of(body)
