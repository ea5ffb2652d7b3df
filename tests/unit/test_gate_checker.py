"""The check at a choke point over a real WebSocket: fresh word, revoked permits, a backend that is gone."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate import Checker, Gate, Reason
from gate.statements import Kind, sign
from tests.support.gate_server import TOKEN, GateServer, eventually


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


def permit_of(server: GateServer, **change: Any) -> str:
    asked = {
        "executor": "bot-1",
        "boot_id": "b1",
        "chain": "arbitrum",
        "strategy": "arbitrage",
        "wallet": "0xab",
        "request_no": len(server.renewals),
    }
    return server.permit_for(asked | change)


def checker_on(*servers: GateServer, **options: Any) -> Checker:
    return Checker(servers[0].keys, [each.url for each in servers], TOKEN, renew_s=0.05, **options)


def test_it_lets_pass_what_is_permitted_and_refuses_what_a_freeze_outdated(server: GateServer) -> None:
    with checker_on(server) as checker:
        before = permit_of(server)
        eventually(lambda: checker.check(before))
        server.freeze("reduce-only", "chain:arbitrum")
        eventually(lambda: checker.check(before).reason is Reason.OUTDATED)
        after = permit_of(server)
        assert checker.check(after).reason is Reason.HELD_TO_REDUCING
        assert checker.check(after, reduces=True, wallet="0xab")
        server.thaw()
        eventually(lambda: checker.check(permit_of(server)))
        assert not checker.check(before)
        assert checker.check(None, cancels=True)
    assert server.paths == ["/v1/gate/watch"]
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"


def test_a_freeze_is_pushed_to_it(server: GateServer) -> None:
    with Checker(server.keys, server.url, TOKEN, renew_s=10, max_age_s=10) as checker:
        before = permit_of(server)
        eventually(lambda: checker.check(before))
        server.freeze()
        eventually(lambda: checker.check(before).reason is Reason.OUTDATED)


def test_it_refuses_everything_but_cancels_once_the_backend_is_gone() -> None:
    with GateServer() as server:
        checker = checker_on(server).start()
        permit = permit_of(server)
        eventually(lambda: checker.check(permit))
    eventually(lambda: checker.check(permit_of(server)).reason is Reason.UNINFORMED)
    assert checker.check(None, cancels=True)
    checker.close()


def test_a_silent_backend_is_left_for_another(server: GateServer) -> None:
    with GateServer(server.key) as silent:
        silent.change(answers=False)
        with checker_on(silent, server) as checker:
            eventually(lambda: checker.check(permit_of(server)))


@pytest.mark.parametrize("what", ["a permit", "unsigned", "another key", "another nonce", "nonsense", "no state"])
def test_a_state_that_is_not_the_backends_freshens_nothing(server: GateServer, what: str) -> None:
    def damage(answer: dict[str, Any]) -> Any:
        payload = {name: value for name, value in answer.items() if name != "sig"}
        stranger = Ed25519PrivateKey.generate()
        return {
            "a permit": answer | {"sig": sign(Kind.PERMIT, server.kid, server.key, payload)},
            "unsigned": payload,
            "another key": answer | {"sig": sign(Kind.FENCE, server.kid, stranger, payload)},
            "another nonce": answer | {"sig": sign(Kind.FENCE, server.kid, server.key, payload | {"nonce": "x"})},
            "nonsense": "{",
            "no state": answer | {"sig": sign(Kind.FENCE, server.kid, server.key, {"nonce": answer["nonce"]})},
        }[what]

    server.change(damage=damage)
    with checker_on(server) as checker:
        server.wait_for(lambda: len(server.renewals) >= 3)
        assert checker.check(permit_of(server)).reason is Reason.UNINFORMED


def test_without_pinned_keys_it_trusts_those_the_backend_names(server: GateServer) -> None:
    with Checker(None, server.url, TOKEN, renew_s=0.05) as checker:
        eventually(lambda: checker.check(permit_of(server)))
        stranger = Ed25519PrivateKey.generate()
        payload = json.loads('{"v":1}')
        assert checker.check(sign(Kind.PERMIT, server.kid, stranger, payload)).reason is Reason.NOT_A_PERMIT
        assert checker.check("nonsense").reason is Reason.NOT_A_PERMIT


def test_an_executor_shows_the_permit_of_its_gate(server: GateServer) -> None:
    place: dict[str, Any] = {"executor": "bot-1", "chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xab"}
    with Gate(server.url, TOKEN, **place) as gate, checker_on(server) as checker:
        eventually(gate.may_send)
        eventually(lambda: checker.check(gate.permit, wallet="0xAB", executor="bot-1"))
        assert checker.check(gate.permit, wallet="0xcd").reason is Reason.OTHER_PLACE
        assert checker.last_error is None


def test_a_token_that_is_not_taken_informs_nobody(server: GateServer) -> None:
    server.change(status=403)
    with checker_on(server) as checker:
        eventually(lambda: checker.last_error == "status 403")
        assert not checker.check(permit_of(server))
