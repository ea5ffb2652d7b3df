"""The gate as a bot uses it, over a real WebSocket: threads, callbacks, acknowledgements, a line that fails."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gate import Gate, Reason
from tests.support.certificates import server_tls, trusting
from tests.support.gate_server import TOKEN, GateServer, eventually


@pytest.fixture
def server() -> Iterator[GateServer]:
    with GateServer() as running:
        yield running


def gate_on(*servers: GateServer | str, **options: Any) -> Gate:
    urls = [each if isinstance(each, str) else each.url for each in servers]
    given = {"executor": "bot-1", "chain": "arbitrum", "strategy": "arbitrage", "wallet": "0xab"} | options
    return Gate(urls, TOKEN, **given)


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port: int = unused.getsockname()[1]
    return port


def test_it_renews_over_one_connection_and_gives_up_its_permit_when_closed(server: GateServer) -> None:
    with gate_on(server) as gate:
        server.wait_for(lambda: len(server.renewals) >= 3)
        eventually(gate.may_send)
        assert gate.permit is not None
        assert gate.last_error is None
    assert not gate.may_send()
    assert gate.may_send(cancels=True)
    assert server.connected == 1
    assert len({renewal["boot_id"] for renewal in server.renewals}) == 1


def test_the_token_travels_in_a_header_and_reaches_neither_address_nor_log(
    server: GateServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with gate_on(server):
        server.wait_for(lambda: len(server.renewals) >= 1)
        server.hang_up()
        server.wait_for(lambda: server.connected >= 2)
    assert server.headers[0]["Authorization"] == f"Bearer {TOKEN}"
    assert set(server.paths) == {"/v1/gate/connect"}
    assert TOKEN not in caplog.text
    assert TOKEN not in repr(vars(gate_on(server))["_session"])


def test_a_pushed_revocation_stops_it_before_the_next_renewal(server: GateServer) -> None:
    server.change(renew_ms=10_000, ttl_ms=10_000)
    with gate_on(server) as gate:
        eventually(gate.may_send)
        server.freeze()
        eventually(lambda: gate.may_send().held)
        server.wait_for(lambda: server.renewals[-1]["seen_epoch"] == 1)


def test_a_confirmation_does_not_wait_for_the_next_renewal_and_is_signed(server: GateServer) -> None:
    server.change(renew_ms=10_000, ttl_ms=10_000)
    with gate_on(server) as gate:
        eventually(gate.may_send)
        gate.sent("0xaa", nonce=4)
        server.freeze()
        eventually(lambda: gate.may_send().held)
        gate.confirm_halted(gate.may_send())
        server.wait_for(lambda: server.renewals[-1]["acknowledgement"] is not None)
        said = server.acknowledgement(server.renewals[-1])
        assert (said["epoch"], said["in_flight"], said["nonces"]) == (1, ["0xaa"], {"0xab": 4})
        gate.settled("0xaa", "landed")
        server.wait_for(lambda: server.renewals[-1]["fates"] == [{"id": "0xaa", "fate": "landed"}])


def test_the_callback_is_asked_until_it_says_that_all_has_stopped(server: GateServer) -> None:
    answers = iter([False, False, True])
    with gate_on(server, on_halt=lambda: next(answers)):
        server.freeze()
        server.wait_for(lambda: server.renewals and server.renewals[-1]["halted_epoch"] == 1)
    assert next(answers, None) is None


def test_a_callback_that_takes_its_time_or_fails_does_not_hold_up_the_renewals(server: GateServer) -> None:
    begun, release = threading.Event(), threading.Event()

    def slow_and_broken() -> bool:
        begun.set()
        release.wait(30)
        raise RuntimeError("the venue is down")

    with gate_on(server, on_halt=slow_and_broken):
        server.freeze()
        assert begun.wait(30)
        asked = len(server.renewals)
        server.wait_for(lambda: len(server.renewals) > asked + 2)
        assert server.renewals[-1]["halted_epoch"] == 0
        assert server.renewals[-1]["seen_epoch"] == 1
        release.set()


def test_a_latched_freeze_asks_the_callback_too(server: GateServer) -> None:
    asked = threading.Event()

    def stop() -> bool:
        asked.set()
        return True

    with gate_on(server, on_halt=stop) as gate:
        eventually(gate.may_send)
        server.say({"type": "revoke", "epoch": None, "mode": "halt", "holds": []})
        assert asked.wait(30)


def test_a_lost_backend_lets_the_permit_run_out() -> None:
    with GateServer() as server:
        gate = gate_on(server).start()
        eventually(gate.may_send)
    eventually(lambda: gate.may_send().reason is Reason.EXPIRED)
    assert gate.last_error
    gate.close()


def test_a_backend_that_comes_back_is_found_again(server: GateServer) -> None:
    with gate_on(server) as gate:
        for _ in range(3):
            connected = server.connected
            eventually(gate.may_send)
            server.hang_up()
            eventually(lambda: server.connected > connected)  # noqa: B023  waited for within the loop's own turn


def test_another_address_is_tried_when_one_does_not_answer_the_door(server: GateServer) -> None:
    with gate_on(f"http://127.0.0.1:{free_port()}", server) as gate:
        eventually(gate.may_send)


def test_another_address_is_tried_when_a_connection_hangs(server: GateServer) -> None:
    with GateServer(server.key) as silent:
        silent.change(answers=False)
        with gate_on(silent, server) as gate:
            silent.wait_for(lambda: silent.renewals)
            eventually(gate.may_send)
        assert silent.connected >= 1


def test_a_connection_that_hangs_is_noticed_and_asking_never_waits_for_it(server: GateServer) -> None:
    with gate_on(server) as gate:
        eventually(gate.may_send)
        server.change(answers=False)
        eventually(lambda: not gate.may_send())
        eventually(lambda: server.connected >= 2)
        server.change(answers=True)
        eventually(gate.may_send)


def test_a_server_that_accepts_and_says_nothing_blocks_nobody() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        gate_on(f"http://127.0.0.1:{mute.getsockname()[1]}") as gate,
    ):
        eventually(lambda: gate.last_error)
        assert gate.may_send().reason is Reason.NO_PERMIT
        assert gate.may_send(cancels=True)


def test_a_refusal_ends_the_permit_at_once_in_the_backends_own_words(
    server: GateServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.change(ttl_ms=10_000)
    with gate_on(server) as gate:
        eventually(gate.may_send)
        server.change(status=401)
        server.say({"type": "refused", "code": "conflict", "message": "A newer process runs as bot-1."})
        server.hang_up(4403, "refused")
        eventually(lambda: gate.may_send().reason is Reason.REFUSED)
        eventually(lambda: gate.last_error == "status 401")
    assert "no connection for bot-1: A newer process runs as bot-1." in caplog.text


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_taken_is_a_refusal(server: GateServer, status: int) -> None:
    server.change(status=status)
    with gate_on(server) as gate:
        eventually(lambda: gate.may_send().reason is Reason.REFUSED)
        server.change(status=None)
        eventually(gate.may_send)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_backend_under_load_is_not_a_refusal(server: GateServer, status: int) -> None:
    server.change(ttl_ms=10_000)
    with gate_on(server) as gate:
        eventually(gate.may_send)
        server.change(status=status)
        server.hang_up()
        eventually(lambda: gate.last_error and str(status) in gate.last_error)
        assert gate.may_send()


def test_a_redirect_is_not_followed_with_the_token(server: GateServer) -> None:
    server.change(status=302)
    with gate_on(server) as gate:
        eventually(lambda: gate.last_error)
        assert not gate.may_send()


def test_permits_of_another_key_than_the_pinned_count_for_nothing(server: GateServer) -> None:
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    with gate_on(server, permit_keys={server.kid: stranger}) as gate:
        eventually(lambda: gate.last_error)
        assert not gate.may_send()
    with gate_on(server, permit_keys=server.keys) as gate:
        eventually(gate.may_send)


def test_an_oversized_message_costs_the_connection_only(server: GateServer) -> None:
    with gate_on(server) as gate:
        eventually(gate.may_send)
        server.say("x" * 100_000)
        server.wait_for(lambda: server.connected == 2)
        eventually(gate.may_send)


def test_a_forked_copy_may_not_send(server: GateServer) -> None:
    with gate_on(server) as gate:
        eventually(gate.may_send)
        child = os.fork()
        if child == 0:
            os._exit(0 if not gate.may_send() and gate.may_send(cancels=True) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert gate.may_send()


def test_a_forked_copy_answers_even_if_the_lock_was_held_at_the_fork(
    server: GateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = gate_on(server)
    monkeypatch.setattr("gate.asking.os.getpid", lambda: -1)
    with gate._lock:
        asking = threading.Thread(target=gate.may_send, daemon=True)
        asking.start()
        asking.join(30)
        assert not asking.is_alive()


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1", "http://10.1.2.3", "ws://example.org", "http://u:p@127.0.0.1", "http://127.0.0.1/?t=1", ""],
)
def test_an_address_that_would_give_the_token_away_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"https|address"):
        gate_on(url)


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Gate("http://127.0.0.1", token, executor="e", chain="c", strategy="s", wallet="w")


def test_no_address_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no address"):
        gate_on()


def test_an_encrypted_line_is_checked_and_no_older_than_tls_1_3() -> None:
    with GateServer(tls=server_tls()) as server:
        with gate_on(server, tls=trusting()) as gate:
            eventually(gate.may_send)
        with gate_on(server) as gate:
            eventually(lambda: gate.last_error and "certificate" in gate.last_error.lower())
            assert not gate.may_send()
    with GateServer(tls=server_tls(oldest=True)) as server, gate_on(server, tls=trusting()) as gate:
        eventually(lambda: gate.last_error)
        assert not gate.may_send()


def test_closing_does_not_wait_for_a_peer_that_hangs(server: GateServer) -> None:
    server.change(answers=False)
    gate = gate_on(server).start()
    server.wait_for(lambda: server.renewals)
    gate.close()
    assert not any(thread.name == "gate bot-1" and thread.is_alive() for thread in threading.enumerate())


def test_many_threads_may_ask_at_once(server: GateServer) -> None:
    stop = time.monotonic() + 0.5
    wrong: list[BaseException] = []

    def work(name: int, gate: Gate) -> None:
        try:
            number = 0
            while time.monotonic() < stop:
                gate.may_send()
                gate.sent(f"{name}-{number}", nonce=number)
                gate.settled(f"{name}-{number}", "landed")
                number += 1
        except BaseException as error:  # noqa: BLE001  boundary: a test's thread hands over whatever it met
            wrong.append(error)

    with gate_on(server) as gate:
        threads = [threading.Thread(target=work, args=(name, gate)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        server.wait_for(lambda: server.renewals[-1]["in_flight"] == 0)
