"""The simulated chains: what was sent is what is shown, whoever asks whatever; and they outlive their process."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.observing import Fate
from simulator import kept
from simulator.chain import KEPT_BLOCKS, KEPT_TRANSACTIONS, LANDS_AFTER_S, NonceError, SimulatedChain
from simulator.chains import Chains
from simulator.fleet import ARBITRUM, CHAINS, ETHEREUM, digest, fleet
from simulator.node import MAX_CALLS, answer
from watchers.node import Look, Node, Rules, Wanted
from watchers.wire import decode, encode

NOW = 1_795_000_000.0
WALLET = "0x" + "ab" * 20


def ident(number: int) -> str:
    return "0x" + digest(number)


def chain(of: Any = ARBITRUM) -> SimulatedChain:
    made = SimulatedChain(of, "1")
    made.open_wallet(WALLET)
    return made


def ask(of: SimulatedChain, method: str, *params: Any, now: float = NOW) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    told: dict[str, Any] = orjson.loads(answer(orjson.dumps(body), of, now))
    return told


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=30), st.floats(min_value=0, max_value=5))
def test_what_was_sent_waits_then_stands_in_a_block_and_stays(pauses: list[float], rest: float) -> None:
    made = chain()
    before, now, last = made.next_nonce(WALLET), NOW, 0
    for number, pause in enumerate(pauses):
        now += pause
        assert made.next_nonce(WALLET) == before + number
        sent = made.send(ident(number), WALLET, before + number, now)
        assert not made.has_landed(sent.hash, now)
        assert (sent.block, made.block_at(sent.block) + 1) >= (last, now)
        last = sent.block
    now += rest
    landed = sum(made.has_landed(ident(number), now) for number in range(len(pauses)))
    assert made.count_at(WALLET, made.height(now)) == before + landed
    assert made.next_nonce(WALLET) == before + len(pauses)
    later = now + LANDS_AFTER_S + 2 * ARBITRUM.block_s
    assert made.count_at(WALLET, made.height(later)) == made.next_nonce(WALLET)


def test_a_nonce_is_used_once_and_in_turn() -> None:
    made = chain()
    following = made.next_nonce(WALLET)
    for wrong in (following - 1, following + 1):
        with pytest.raises(NonceError, match="is next"):
            made.send(ident(1), WALLET, wrong, NOW)
    with pytest.raises(NonceError):
        made.send(ident(1), "0x" + "cd" * 20, 0, NOW)
    assert made.next_nonce(WALLET) == following > 0


def test_a_chain_does_not_go_back_with_the_clock() -> None:
    made = chain()
    assert made.height(NOW - 3_600) < made.height(NOW) == made.height(NOW - 3_600)


def test_little_is_kept_of_long_ago() -> None:
    made = chain(ETHEREUM)
    following = made.next_nonce(WALLET)
    for number in range(KEPT_TRANSACTIONS + 10):
        made.send(ident(number), WALLET, following + number, NOW + number)
    assert made.transaction(ident(9)) is None
    assert made.transaction(ident(10)) is not None
    end = NOW + KEPT_TRANSACTIONS + 20
    assert made.count_at(WALLET, made.height(end)) == following + KEPT_TRANSACTIONS + 10
    old = hex(made.height(end) - KEPT_BLOCKS)
    assert ask(made, "eth_getTransactionCount", WALLET, old, now=end)["error"]["code"] == -32000


def test_a_node_answers_what_a_second_source_asks() -> None:
    """The whole way through the questions of the real one: it counts blocks and learns the fate."""
    made, node = chain(), Node(Rules(stale_after_s=60, depth=2))
    nonce = made.next_nonce(WALLET)
    made.send(ident(1), WALLET, nonce, NOW)
    wanted = Wanted.of([WALLET], [ident(1)])
    seen = [look(made, node, wanted, NOW + step * 0.5) for step in range(10)]
    assert {one.doubt for one in seen} == {""}
    assert {one.chain_id for one in seen} == {ARBITRUM.chain_id}
    first, last = seen[0].wallets[WALLET], seen[-1].wallets[WALLET]
    assert (first.value, first.pending) == (nonce, nonce + 1)
    assert (last.value, last.pending) == (nonce + 1, nonce + 1)
    assert last.blocks >= 3
    assert seen[-1].fates == {ident(1): Fate.LANDED}


def look(of: SimulatedChain, node: Node, wanted: Wanted, now: float) -> Look:
    calls = node.opening()
    opened = node.opened(decode(answer(encode(calls), of, now), len(calls)))
    calls = node.questions(wanted, opened[1])
    return node.looked(wanted, opened, decode(answer(encode(calls), of, now), len(calls)), now=now)


def test_a_transaction_that_failed_has_used_its_nonce_and_says_so() -> None:
    made = chain()
    made.send(ident(1), WALLET, made.next_nonce(WALLET), NOW, succeeds=False)
    assert ask(made, "eth_getTransactionReceipt", ident(1))["result"] is None
    assert ask(made, "eth_getTransactionByHash", ident(1))["result"]["blockNumber"] is None
    receipt = ask(made, "eth_getTransactionReceipt", ident(1), now=NOW + 5)["result"]
    assert (receipt["status"], receipt["from"]) == ("0x0", WALLET)
    assert ask(made, "eth_getTransactionByHash", ident(1), now=NOW + 5)["result"]["blockHash"] == receipt["blockHash"]


BAD: dict[str, tuple[Any, int]] = {
    "no JSON": (b"{", -32700),
    "nothing": (b"", -32700),
    "nested": (b"[" * 100_000, -32700),
    "a number": (b"7", -32600),
    "an empty batch": ([], -32600),
    "a long batch": ([{}] * (MAX_CALLS + 1), -32600),
    "no version": ({"id": 1, "method": "eth_chainId"}, -32600),
    "an id that is an object": ({"jsonrpc": "2.0", "id": {}, "method": "eth_chainId"}, -32600),
    "an endless id": ({"jsonrpc": "2.0", "id": "x" * 101, "method": "eth_chainId"}, -32600),
    "a method that writes": ({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": ["0x"]}, -32601),
    "params by name": ({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": {}}, -32602),
    "params too many": ({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": [1]}, -32602),
    "no address": ({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": [1, "latest"]}, -32602),
    "no block": ({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": [WALLET, "0xg"]}, -32602),
    "no hash": ({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": ["0x12"]}, -32602),
    "whole blocks": ({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", True]}, -32602),
}


@pytest.mark.parametrize("name", BAD)
def test_what_makes_no_sense_is_answered_with_an_error(name: str) -> None:
    body, code = BAD[name]
    told = json.loads(answer(body if isinstance(body, bytes) else orjson.dumps(body), chain(), NOW))
    assert told["error"]["code"] == code
    assert "result" not in told


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=70) | st.sampled_from([WALLET, "0x0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_METHODS = st.sampled_from(["eth_chainId", "eth_getBlockByNumber", "eth_getTransactionCount",
                            "eth_getTransactionReceipt", "eth_getTransactionByHash"]) | _VALUES  # fmt: skip
_CALLS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": _VALUES, "method": _METHODS, "params": st.lists(_VALUES, max_size=3) | _VALUES}
)


@given(st.binary(max_size=60) | st.lists(_CALLS | _VALUES, max_size=4).map(orjson.dumps))
def test_whatever_comes_in_an_answer_goes_out_and_nothing_changes(raw: bytes) -> None:
    made = chain()
    before = list(made.remembered())
    told = orjson.loads(answer(raw, made, NOW) or b"[]")
    for one in told if isinstance(told, list) else [told]:
        assert ("result" in one) != ("error" in one)
    assert list(made.remembered()) == before


def test_a_call_without_an_id_gets_no_answer() -> None:
    assert answer(orjson.dumps({"jsonrpc": "2.0", "method": "eth_chainId"}), chain(), NOW) == b""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def shown(chains: Chains) -> dict[str, bytes]:
    calls = [{"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["latest", False]}]
    for spec in fleet(3, 6):
        for at in ("latest", "pending"):
            params = [spec.wallet, at]
            calls.append({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": params})
    calls += [
        {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": [ident(number)]}
        for number in range(12)
    ]
    return {name: chains.ask(name, orjson.dumps(calls)) for name in sorted(CHAINS)}


def test_chains_outlive_their_process_with_what_waits_in_their_pools(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "chains"
    specs = fleet(3, 6)
    first = Chains(specs, kept_in=path, clock=clock)
    for number in range(12):
        spec = specs[number % 6]
        first.send(spec, ident(number), first.next_nonce(spec), succeeds=number != 3)
        clock.now += 0.2
    before = shown(first)
    again = Chains(specs, kept_in=path, clock=clock)
    assert shown(again) == before
    clock.now += 60
    assert shown(again) == shown(Chains(specs, kept_in=path, clock=clock)) != before
    assert shown(Chains(specs, clock=clock)) != shown(again)  # without a file: other chains
    for each in (first, again):
        each.close()


def test_a_file_that_is_torn_or_damaged_costs_no_nonce_that_a_later_line_names(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "chains"
    specs = fleet(3, 1)
    made = Chains(specs, kept_in=path, clock=clock)
    for number in range(4):
        made.send(specs[0], ident(number), made.next_nonce(specs[0]), succeeds=True)
    following = made.next_nonce(specs[0])
    made.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-2], b'{"chain": "arbitrum", "hash"\n', b"[]\n", lines[-1], b'{"chain":"ar']))
    again = Chains(specs, kept_in=path, clock=clock)
    assert again.next_nonce(specs[0]) == following
    again.close()
    assert path.stat().st_mode & 0o077 == 0


def test_the_file_begins_anew_before_it_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MAX_LINES", 50)
    monkeypatch.setattr("simulator.chain.KEPT_TRANSACTIONS", 20)
    path, specs = tmp_path / "chains", fleet(3, 1)
    made = Chains(specs, kept_in=path, clock=Clock())
    for number in range(200):
        made.send(specs[0], ident(number), made.next_nonce(specs[0]), succeeds=True)
    assert len(path.read_bytes().splitlines()) <= 22 + 50
    again = Chains(specs, kept_in=path, clock=Clock())
    assert again.next_nonce(specs[0]) == made.next_nonce(specs[0])
    for each in (made, again):
        each.close()


def test_a_disk_that_is_full_stops_no_trading(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    specs = fleet(3, 1)
    keeper = kept.Keeper(tmp_path / "chains")
    made = SimulatedChain(specs[0].chain, "1")
    made.open_wallet(specs[0].wallet)
    keeper.begin("1", [made])
    keeper.close()
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123  a device
        keeper._descriptor = full.fileno()
        for number in range(2):
            sent = made.send(ident(number), specs[0].wallet, made.next_nonce(specs[0].wallet), NOW)
            assert not keeper.keep("arbitrum", sent)
    assert caplog.text.count("the chains are not kept") == 1
