"""What a node's answers prove, and above all what they must not: when it lags, stands still, goes back, or lies."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.observing import Fate, Looked
from watchers.agreement import together
from watchers.node import Look, Node, Rules, Seen, Wanted
from watchers.wire import PAUSED, Call, Failure, Head

WALLET = "0x" + "ab" * 20
TX = "0x" + "11" * 32
VAULT = "0x" + "cd" * 20
YES, NO = f"0x{1:064x}", f"0x{0:064x}"
START = 1_800_000_000
RULES = Rules(stale_after_s=60, depth=2)


def block_hash(number: int, fork: int = 0) -> str:
    return f"0x{fork:032x}{number:032x}"


@dataclass
class FakeChain:
    """What an honest node would answer; a test bends it."""

    number: int = 100
    now: float = START
    value: int = 8
    pending: Any = None
    fork: int = 0
    chain_id: int = 1
    age_s: int = 0
    receipts: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    paused: Any = YES

    def mine(self, blocks: int = 1) -> None:
        self.number += blocks
        self.now += 12.0 * blocks

    def answer(self, call: Call) -> Any:
        match call.method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_getBlockByNumber":
                number = self.number if call.params[0] == "latest" else int(call.params[0], 16)
                if number > self.number:
                    return None
                at = int(self.now) - 12 * (self.number - number) - self.age_s
                return {"number": hex(number), "hash": block_hash(number, self.fork), "timestamp": hex(at)}
            case "eth_getTransactionCount":
                pending = hex(self.value) if self.pending is None else self.pending
                return pending if call.params[1] == "pending" else hex(self.value)
            case "eth_call":
                return self.paused if call.params == ({"to": VAULT, "data": PAUSED}, hex(self.number)) else None
            case _:
                found = self.receipts if call.method == "eth_getTransactionReceipt" else self.known
                return found.get(call.params[0])

    def look(self, node: Node, *wallets: str, in_flight: Sequence[str] = (), contracts: Sequence[str] = ()) -> Look:
        wanted = Wanted.of(wallets or (WALLET,), in_flight, contracts)
        opened = node.opened([self.answer(call) for call in node.opening()])
        answers = [self.answer(call) for call in node.questions(wanted, opened[1])]
        return node.looked(wanted, opened, answers, now=self.now)

    def include(self, ident: str, sender: str = WALLET) -> None:
        self.receipts[ident] = {
            "transactionHash": ident,
            "blockHash": block_hash(self.number, self.fork),
            "blockNumber": hex(self.number),
            "from": sender,
            "status": "0x1",
        }


def blocks(look: Look) -> int:
    return look.wallets[WALLET].blocks


def test_blocks_are_counted_from_those_made_since_watching_began() -> None:
    chain, node = FakeChain(), Node(RULES)
    assert blocks(chain.look(node)) == 0
    assert blocks(chain.look(node)) == 0  # the same block again is not another one
    chain.mine()
    assert blocks(chain.look(node)) == 1
    chain.mine(50)  # what was not seen is not counted
    assert blocks(chain.look(node)) == 2
    assert blocks(chain.look(Node(RULES))) == 0  # a process that starts anew counts anew
    chain.value += 1
    chain.mine()
    assert blocks(chain.look(node)) == 0


def test_a_node_that_lags_counts_no_block_made_before_the_watch_began() -> None:
    chain, node = FakeChain(age_s=50), Node(RULES)
    chain.look(node)
    for _ in range(4):  # it goes on through blocks that are older than the freeze
        chain.mine()
        assert blocks(chain.look(node)) == 0
    chain.mine()
    assert blocks(chain.look(node)) == 1


def _back(chain: FakeChain) -> None:
    chain.number -= 1


def _forked(chain: FakeChain) -> None:
    chain.fork += 1


def _forked_higher(chain: FakeChain) -> None:
    chain.fork += 1
    chain.mine()


def _stale(chain: FakeChain) -> None:
    chain.age_s = 61


def _future(chain: FakeChain) -> None:
    chain.age_s = -61


@pytest.mark.parametrize("happens", [_back, _forked, _forked_higher, _stale, _future])
def test_a_chain_that_does_not_go_on_proves_nothing_and_counts_anew(happens: Any) -> None:
    chain, node = FakeChain(), Node(RULES)
    for _ in range(5):
        chain.look(node)
        chain.mine()
    assert blocks(chain.look(node)) == 5
    happens(chain)
    look = chain.look(node)
    assert look.doubt
    assert blocks(look) == 0
    chain.age_s = 0
    chain.mine()
    assert blocks(chain.look(node)) <= 1


def test_a_wait_that_cannot_be_seen_never_counts_as_none() -> None:
    chain, node = FakeChain(pending=Failure("method not found")), Node(RULES)
    for _ in range(4):
        look = chain.look(node)
        chain.mine()
    assert look.wallets[WALLET] == Seen(8, None, 0)
    blind = Node(Rules(stale_after_s=60, depth=2, pool=False))
    for _ in range(4):
        look = chain.look(blind)
        chain.mine()
    assert look.wallets[WALLET] == Seen(8, None, 3)


def test_a_transaction_that_lands_is_told_once_it_is_deep_enough() -> None:
    chain, node = FakeChain(), Node(RULES)
    chain.known[TX] = {"hash": TX, "from": WALLET, "nonce": "0x8"}
    assert chain.look(node, in_flight=[TX]).fates == {}
    chain.mine()
    chain.value = 9
    chain.include(TX)
    assert chain.look(node, in_flight=[TX]).fates == {}
    chain.mine()
    assert chain.look(node, in_flight=[TX]).fates == {TX: Fate.LANDED}
    assert chain.look(node, "0x" + "99" * 20, in_flight=[TX]).fates == {}  # somebody else's is not judged


def test_a_transaction_whose_nonce_another_one_used_is_replaced() -> None:
    chain, node = FakeChain(), Node(RULES)
    chain.known[TX] = {"hash": TX, "from": WALLET, "nonce": "0x8"}
    chain.look(node, in_flight=[TX])
    chain.known.clear()
    for _ in range(3):  # gone from the pool, its nonce unused: nobody knows
        chain.mine()
        assert chain.look(node, in_flight=[TX]).fates == {}
    chain.value = 9
    chain.mine()
    assert chain.look(node, in_flight=[TX]).fates == {}
    chain.mine()
    assert chain.look(node, in_flight=[TX]).fates == {TX: Fate.REPLACED}


def test_a_transaction_that_was_never_seen_is_never_guessed() -> None:
    chain, node = FakeChain(value=100), Node(RULES)
    for _ in range(6):
        assert chain.look(node, in_flight=[TX, "bundle-7", "0xnothash"]).fates == {}
        chain.mine()


def test_a_contract_is_seen_paused_for_as_many_blocks_as_nobody_said_otherwise() -> None:
    chain, node = FakeChain(), Node(RULES)

    def seen(*contracts: str) -> Seen | None:
        return chain.look(node, contracts=contracts or [VAULT.upper().replace("X", "x")]).contracts.get(VAULT)

    assert seen() == Seen(1, None, 0)
    for blocks_since in (1, 2):
        chain.mine()
        assert seen() == Seen(1, None, blocks_since)
    for answer in ("0x", Failure("execution reverted"), "0x01", None, 1, f"0x{2:064x}"):
        chain.paused = answer
        assert seen() is None, "nobody knows"
    chain.paused = YES
    assert seen() == Seen(1, None, 0), "it is counted anew"
    chain.paused = NO
    chain.mine()
    assert seen() == Seen(0, None, 0)
    assert chain.look(node, contracts=["bundle", WALLET]).contracts == {}


def test_a_contract_alone_is_looked_at_and_an_unfit_name_is_not() -> None:
    assert Wanted.of([], [TX], [VAULT]) == Wanted((), (), (VAULT,))
    assert Wanted.of([], [], [VAULT])
    assert not Wanted.of(["venue account"], [TX], ["not an address"])


@pytest.mark.parametrize("happens", [_back, _forked, _stale])
def test_a_chain_that_does_not_go_on_counts_no_block_of_a_contract(happens: Any) -> None:
    chain, node = FakeChain(), Node(RULES)
    for _ in range(3):
        chain.look(node, contracts=[VAULT])
        chain.mine()
    assert chain.look(node, contracts=[VAULT]).contracts[VAULT].blocks == 3
    happens(chain)
    assert chain.look(node, contracts=[VAULT]).contracts[VAULT] == Seen(1, None, 0)


@pytest.mark.parametrize(
    ("agree", "told", "expected"),
    [
        (1, [(1, 5, 100)], (1, 5, 100)),
        (1, [(0, 5, 100)], (0, 5, 100)),
        (1, [(1, 5, 100), (0, 9, 98)], (1, 0, 100)),  # who lags keeps it from standing
        (1, [(1, 5, 100), (0, 9, 101)], (0, 0, 101)),
        (1, [(1, 5, 100), (0, 9, 100)], (0, 0, 100)),
        (2, [(1, 5, 100), (1, 3, 99)], (1, 3, 99)),
        (2, [(1, 5, 100), (1, 3, 99), (0, 1, 101)], (1, 0, 99)),  # one alone says nothing that happened
        (2, [(1, 5, 100), (0, 5, 100)], None),
        (2, [(1, 5, 100)], None),
    ],
)
def test_nodes_together_about_a_contract(
    agree: int, told: list[tuple[int, int, int]], expected: tuple[int, int, int] | None
) -> None:
    looks = [
        Look(1, Head(block, TX, START), contracts={VAULT: Seen(value, None, count)}) for value, count, block in told
    ]
    found = together("arbitrum", looks, agree)
    one = found.observations[0] if found.observations else None
    assert (one and (one.value, one.unchanged_blocks, one.block)) == expected
    assert bool(found.doubts) == (expected is None)
    assert one is None or (one.looked_at, one.subject) == (Looked.PAUSED, VAULT)


HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [None, 1, -1, True, "", "0x", "0xff", "0x" + "f" * 16, "0x" + "f" * 64, TX, WALLET, [], {}, [[]], {"number": {}}]
) | st.builds(Failure, st.text(max_size=5))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_answers_crash_a_look_or_make_a_wallet_stand_still(data: st.DataObject) -> None:
    node, wanted = Node(RULES), Wanted.of([WALLET], [TX], [VAULT])
    for number in range(4):
        opened = (1, Head(number, block_hash(number), START + number))
        count = len(node.questions(wanted, opened[1]))
        answers = data.draw(st.lists(HOSTILE, min_size=count, max_size=count))
        look = node.looked(wanted, opened, answers, now=START)
        assert set(look.fates.values()) == set()
        assert all(seen.blocks <= number for seen in look.wallets.values())
        assert look.contracts == {}


def shown_by(*seen: Seen, fates: Sequence[dict[str, Fate]] = ()) -> list[Look]:
    told = fates or [{}] * len(seen)
    looks = zip(seen, told, strict=True)
    return [Look(1, Head(1, TX, START), wallets={WALLET: one}, fates=fate) for one, fate in looks]


@pytest.mark.parametrize(
    ("agree", "seen", "value", "pending", "unchanged"),
    [
        (1, [Seen(8, 8, 5)], 8, 8, 5),
        (1, [Seen(8, 9, 5)], 8, 9, 0),  # one waits
        (1, [Seen(8, 7, 5)], 8, 8, 0),  # fewer waiting than mined: the node contradicts itself
        (1, [Seen(8, 8, 5), Seen(9, 9, 1)], 9, 9, 1),  # who lags is outvoted by who saw more
        (2, [Seen(8, 8, 5), Seen(8, 8, 3)], 8, 8, 3),
        (2, [Seen(8, 8, 5), Seen(9, 9, 4)], 8, 8, 0),  # one says more: nothing stands still, and nothing is beyond
        (2, [Seen(8, 8, 5), Seen(8, 8, 5), Seen(99, 99, 5)], 8, 8, 0),
        (2, [Seen(8, 8, 5), Seen(8, 9, 5)], 8, 8, 0),
        (2, [Seen(8, 8, 5), Seen(8, 8, 5), Seen(7, 7, 9)], 8, 8, 5),
        (1, [Seen(8, None, 5)], 8, None, 5),
    ],
)
def test_nodes_together(agree: int, seen: list[Seen], value: int, pending: int | None, unchanged: int) -> None:
    [one] = together("arbitrum", shown_by(*seen), agree).observations
    assert (one.value, one.pending, one.unchanged_blocks) == (value, pending, unchanged)


def test_too_few_nodes_say_nothing_and_say_so() -> None:
    found = together("arbitrum", shown_by(Seen(8, 8, 5)), 2)
    assert found.observations == []
    assert "1 of the 2" in found.doubts[0]


def test_fates_need_as_many_voices_and_no_contradiction() -> None:
    one = Seen(8, 8, 5)
    landed, replaced = {TX: Fate.LANDED}, {TX: Fate.REPLACED}
    assert together("a", shown_by(one, one, fates=[landed, {}]), 2).fates == []
    assert together("a", shown_by(one, one, fates=[landed, replaced]), 1).fates == []
    [told] = together("a", shown_by(one, one, fates=[landed, landed]), 2).fates
    assert told.fate is Fate.LANDED


SEEN = st.builds(Seen, st.integers(0, 5), st.none() | st.integers(0, 5), st.integers(0, 9))


@settings(deadline=None)
@given(st.lists(SEEN, min_size=1, max_size=5), st.integers(1, 3))
def test_whatever_nodes_say_standing_still_means_that_enough_say_so_and_nobody_more(
    seen: list[Seen], agree: int
) -> None:
    for one in together("a", shown_by(*seen), agree).observations:
        if one.unchanged_blocks:
            same = [each for each in seen if each.value == one.value and each.blocks >= one.unchanged_blocks]
            assert len(same) >= agree
            assert all(max(each.value, each.pending or 0) <= one.value for each in seen)
        saying = [each for each in seen if max(each.value, each.pending or 0) >= max(one.value, one.pending or 0)]
        assert len(saying) >= agree  # nothing beyond is reported on the word of fewer
