"""Where the backend is, when it is tried again, and what embedding the gate brings along."""

import subprocess
import sys

import pytest

from gate.addresses import LONGEST_DELAY_S, LONGEST_REFUSED_DELAY_S, Address, Addresses, parse


@pytest.mark.parametrize(
    ("url", "address", "websocket"),
    [
        ("http://127.0.0.1:8420", Address("127.0.0.1", 8420, False, ""), "ws://127.0.0.1:8420/p"),
        ("https://floor.example/base/", Address("floor.example", 443, True, "/base"), "wss://floor.example:443/base/p"),
        ("ws://localhost", Address("localhost", 80, False, ""), "ws://localhost:80/p"),
        ("wss://[2001:db8::1]:9", Address("2001:db8::1", 9, True, ""), "wss://[2001:db8::1]:9/p"),
        ("http://[::1]:9", Address("::1", 9, False, ""), "ws://[::1]:9/p"),
    ],
)
def test_an_address_is_read_as_people_write_it(url: str, address: Address, websocket: str) -> None:
    assert parse(url) == address
    assert address.websocket("/p") == websocket


def pauses(addresses: Addresses, times: int, *, refused: bool = False) -> list[float]:
    found, now = [], 0.0
    for _ in range(times):
        addresses.failed(now, refused=refused)
        found.append(round(addresses.next_try_at - now, 3))
        now = addresses.next_try_at
    return found


def test_pauses_grow_to_a_permits_life_and_begin_anew_after_an_answer() -> None:
    addresses = Addresses("http://127.0.0.1", lambda: 1.0)
    assert pauses(addresses, 7) == [0.1, 0.2, 0.4, 0.8, 1.6, LONGEST_DELAY_S, LONGEST_DELAY_S]
    addresses.worked()
    assert pauses(addresses, 1) == [0.1]


def test_pauses_never_overflow() -> None:
    addresses = Addresses("http://127.0.0.1", lambda: 1.0)
    assert pauses(addresses, 3000)[-1] == LONGEST_DELAY_S


def test_jitter_shortens_a_pause_by_up_to_half() -> None:
    assert pauses(Addresses("http://127.0.0.1", lambda: 0.0), 6)[-1] == LONGEST_DELAY_S / 2


def test_a_refusal_is_asked_again_less_often() -> None:
    assert pauses(Addresses("http://127.0.0.1", lambda: 1.0), 4, refused=True)[-1] == LONGEST_REFUSED_DELAY_S


def test_all_addresses_are_tried_before_the_first_long_pause() -> None:
    urls = [f"http://127.0.0.1:{port}" for port in (1, 2, 3)]
    addresses = Addresses(urls, lambda: 1.0)
    tried = []
    for _ in range(4):
        tried.append(addresses.current.port)
        addresses.failed(0.0)
    assert tried == [1, 2, 3, 1]
    assert pauses(Addresses(urls, lambda: 1.0), 4) == [0.05, 0.05, 0.1, 0.1]


def test_the_gate_brings_two_libraries_along_and_nothing_else_of_ours() -> None:
    script = (
        "import sys; before = set(sys.modules); import gate;"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    brought = set(eval(found))  # noqa: S307  the list just printed
    assert brought - {"_cffi_backend", "_openssl", "gate"} == {"cryptography", "websockets"}
