"""Whose address counts behind reverse proxies: what a trusted one saw, never what the caller wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import ConfigurationError
from backend.proxies import MAX_HOPS, ForwardedFor, MalformedForwardingError, caller_address, networks_of

PROXIES = networks_of("10.0.0.0/24, 2001:db8::/64 127.0.0.1/32")
CALLER = "203.0.113.7"


@pytest.mark.parametrize(
    ("peer", "lines", "expected"),
    [
        (CALLER, [], CALLER),
        (CALLER, ["10.1.2.3"], CALLER),
        (CALLER, ["nonsense"], CALLER),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [CALLER], CALLER),
        ("10.0.0.1", [f"1.2.3.4, {CALLER}"], CALLER),
        ("10.0.0.1", ["1.2.3.4", CALLER], CALLER),
        ("10.0.0.1", [f"nonsense, {CALLER}, 10.0.0.9"], CALLER),
        ("10.0.0.1", ["10.0.0.8, 10.0.0.9"], "10.0.0.8"),
        ("::ffff:10.0.0.1", [CALLER], CALLER),
        ("10.0.0.1", ["::ffff:203.0.113.7"], CALLER),
        ("2001:db8::5", ["2001:db9::1"], "2001:db9::1"),
    ],
)
def test_the_right_most_hop_that_is_no_trusted_proxy_counts(peer: str, lines: list[str], expected: str) -> None:
    assert caller_address(peer, lines, PROXIES) == expected


@pytest.mark.parametrize("hop", ["", "unknown", "203.0.113.7:443", "[2001:db8::1]", "fe80::1%eth0", "1.2.3", "\x00"])
def test_a_hop_that_is_no_address_is_refused(hop: str) -> None:
    with pytest.raises(MalformedForwardingError):
        caller_address("10.0.0.1", [hop], PROXIES)


def test_a_chain_without_end_is_refused() -> None:
    with pytest.raises(MalformedForwardingError):
        caller_address("10.0.0.1", [", ".join(["10.0.0.2"] * (MAX_HOPS + 1))], PROXIES)


@given(written=st.lists(st.text(max_size=40), max_size=5))
def test_what_a_caller_writes_changes_nothing(written: list[str]) -> None:
    """The one trusted proxy appends the address it saw; the caller chose everything before that."""
    assert caller_address("10.0.0.1", [*written, CALLER], PROXIES) == CALLER
    assert caller_address(CALLER, written, PROXIES) == CALLER


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example", "10.0.0.0/33"])
def test_a_setting_that_is_no_network_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match="WATCHFLOOR_TRUSTED_PROXIES"):
        networks_of(f"127.0.0.1/32 {text}")


async def _passed(scope: dict[str, Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    seen: list[Any] = []
    sent: list[dict[str, Any]] = []

    async def app(inner: Any, _receive: Any, _send: Any) -> None:
        seen.append(inner["client"])

    async def receive() -> dict[str, Any]:
        return {"type": f"{scope['type']}.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await ForwardedFor(app, PROXIES)(scope, receive, send)
    return seen, sent


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_layer_puts_the_caller_in_the_peers_place(kind: str) -> None:
    scope: dict[str, Any] = {
        "type": kind,
        "client": ("10.0.0.1", 5),
        "headers": [(b"x-forwarded-for", CALLER.encode())],
    }
    assert await _passed(scope) == ([(CALLER, 0)], [])
    scope["client"] = ("198.51.100.2", 5)
    assert await _passed(scope) == ([("198.51.100.2", 5)], [])
    scope["client"] = None
    assert await _passed(scope) == ([None], []), "a Unix socket has no address to trust"


async def test_the_layer_refuses_what_it_cannot_read() -> None:
    bad = [(b"x-forwarded-for", b"unknown")]
    state = {"request_id": "r"}
    seen, sent = await _passed({"type": "http", "client": ("10.0.0.1", 5), "headers": bad, "state": state})
    assert (seen, sent[0]["status"]) == ([], 422)
    seen, sent = await _passed({"type": "websocket", "client": ("10.0.0.1", 5), "headers": bad})
    assert (seen, sent[0]["type"], sent[0]["code"]) == ([], "websocket.close", 1008)
