"""Pausing a real OpenZeppelin contract on a real chain under a freeze, and what is said when it cannot be done."""

import asyncio
import json
import stat
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from adapters.pausable.contract import Parties
from adapters.pausable.deciding import GWEI, Limits
from adapters.pausable.process import Options, Pauser
from adapters.pausable.signing import CommandSigner, KeySigner, Signed, Signer, Transaction
from contract.freeze import Freeze, HaltState
from contract.freeze_drills import FreezeDrill
from gate import AsyncGate
from tests.support.anvil import CHAIN_ID, Anvil, anvil
from tests.support.app import App
from tests.support.holds import approve, ask_for_thaw, freeze
from tests.support.people import ADMIN2, EXECUTOR, sign_in
from tests.support.watching import Floor, open_floor, running, until
from watchers.line import NodeLine
from watchers.places import Address

NAME = "vault-pauser"
KEY = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
"""Of anvil's account 1: the same on every machine and public."""
SIGNER = """
import json, sys
from eth_account import Account
asked = json.load(sys.stdin)
asked.pop("from")
asked["to"] = bytes.fromhex(asked["to"][2:])
made = Account.from_key(open(sys.argv[1]).read().strip()).sign_transaction(asked)
print(json.dumps({"raw": "0x" + made.raw_transaction.hex(), "hash": "0x" + made.hash.hex()}))
"""


@pytest.fixture
def chain() -> Iterator[Anvil]:
    with anvil() as running_chain:
        yield running_chain


@pytest.fixture
async def floor(app: App) -> AsyncIterator[Floor]:
    async with open_floor(app) as opened:
        yield opened


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "pauser.key"
    path.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
    path.write_text(f"{KEY}\n")
    return path


def options(**changes: Any) -> Options:
    usual: dict[str, Any] = {
        "every_s": 0.1,
        "stale_after_s": 600,
        "late_after_s": 60.0,
        "unpause": False,
        "limits": Limits(bump_after_s=60.0, max_fee_wei=500 * GWEI),
        "chain_id": CHAIN_ID,
    }
    return Options(**(usual | changes))


@asynccontextmanager
async def pausing(
    floor: Floor,
    chain: Anvil,
    contract: str,
    signer: Signer,
    chosen: Options | None = None,
    *,
    in_drills: bool = False,
) -> AsyncIterator[None]:
    """The adapter of a contract, for as long as the block runs."""
    token = await sign_in(floor.app.runtime, EXECUTOR)
    async with NodeLine(Address(chain.url), 5.0) as line:
        pauser = Pauser(Parties(contract, signer.sender), line, signer, floor.board(), chosen or options())
        gate = AsyncGate(
            floor.url,
            token,
            executor=NAME,
            chain="arbitrum",
            strategy="contracts",
            wallet=signer.sender,
            on_halt=pauser.wake,
            bounded=False,
            in_drills=in_drills,
        )
        async with gate, running(partial(pauser.keep_going, gate)):
            await until(lambda: gate.may_send(amount_eth=Decimal(0)), "the adapter has a permit")
            yield


async def test_a_freeze_pauses_the_contract_and_a_second_source_verifies_it(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    assert signer.sender == chain.accounts[1]
    vault = chain.deploy_vault(owner=signer.sender)
    watched = [("arbitrum", f"{chain.url}#{CHAIN_ID}")]
    async with pausing(floor, chain, vault, signer), floor.watching(watched):
        await until(lambda: floor.said("ready", vault), "it can pause")
        made = await freeze(floor.admin)
        await until(lambda: chain.nonce(signer.sender, "pending") == 1, "pause() is sent")
        await until(lambda: floor.said("heard", "backend"), "the backend is heard")
        assert (await floor.proofs(made))[NAME].state in {HaltState.REQUESTED, HaltState.DELIVERED}
        before = chain.height()
        verified = await floor.reaches(made, NAME, HaltState.VERIFIED, chain.mine)
        assert verified.proof.startswith("paused ×")
        assert "nonce 0 unchanged" in verified.proof
        assert chain.paused(vault)
        assert chain.call("eth_getBlockByNumber", hex(before + 1), False)["transactions"]
        assert KEY not in json.dumps(floor.lines)


async def test_what_is_paused_already_is_acknowledged_without_a_transaction(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    chain.send(signer.sender, to=vault, value="0x0", data="0x8456cb59")
    chain.mine()
    async with pausing(floor, chain, vault, signer):
        await floor.reaches(await freeze(floor.admin), NAME, HaltState.QUIESCED)
        assert chain.nonce(signer.sender, "pending") == 1


async def test_a_contract_is_verified_by_what_it_answers_and_whoever_unpauses_it_is_seen(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    chain.send(signer.sender, to=vault, value="0x0", data="0x8456cb59")
    chain.mine()
    watched = [("arbitrum", f"{chain.url}#{CHAIN_ID}")]
    async with floor.watching(watched):
        async with pausing(floor, chain, vault, signer):
            made = await freeze(floor.admin)
            verified = await floor.reaches(made, NAME, HaltState.VERIFIED, chain.mine)
            assert verified.proof.startswith("paused ×"), "no transaction was needed"
        chain.send(signer.sender, to=vault, value="0x0", data="0x3f4ba83a")
        lifted = await floor.reaches(made, NAME, HaltState.VIOLATION, chain.mine)
        assert f"{vault} is not paused at block" in lifted.proof


async def test_a_drill_pauses_nothing_unless_told_to(floor: Floor, chain: Anvil, key_file: Path) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    async with pausing(floor, chain, vault, signer):
        drill = await practise(floor)
        await until(lambda: floor.said("left alone", "drill"), "it says so")
        assert not floor.said("pausing", vault)
        made = Freeze.model_validate((await floor.admin.get(f"/v1/freezes/{drill.holds[0]}")).json())
        one = (await floor.proofs(made))[NAME]
        assert (one.exercised, one.proof) == (False, "not exercised: takes no part in drills")
        assert chain.nonce(signer.sender, "pending") == 0
        await floor.reaches(await freeze(floor.admin), NAME, HaltState.QUIESCED, chain.mine)
        assert chain.nonce(signer.sender, "pending") == 1


async def test_a_drill_pauses_a_contract_that_takes_part(floor: Floor, chain: Anvil, key_file: Path) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    async with pausing(floor, chain, vault, signer, in_drills=True):
        await practise(floor)
        await until(lambda: mined_until(chain, vault, paused=True), "it is paused for practice")


async def practise(floor: Floor) -> FreezeDrill:
    """Begin a freeze drill of the contract."""
    body = {"scopes": [{"kind": "executor", "name": NAME}], "reason": "quarterly drill"}
    answer = await floor.admin.post("/v1/freezes/drills", json=body)
    assert answer.is_success, answer.text
    return FreezeDrill.model_validate(answer.json())


async def test_without_gas_money_it_says_so_before_and_during_a_freeze(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    chain.call("anvil_setBalance", signer.sender, "0x3e8")
    async with pausing(floor, chain, vault, signer, options(late_after_s=1.0)):
        said = await until(lambda: floor.said("cannot pause", vault), "the lack is said before it matters")
        assert "out of gas money: the sender has 0.000000000000001 ETH" in said[0]["why"]
        made = await freeze(floor.admin)
        await until(lambda: floor.said("late: cannot pause", vault), "it is late")
        assert (await floor.proofs(made))[NAME].state in {HaltState.REQUESTED, HaltState.DELIVERED}
        chain.call("anvil_setBalance", signer.sender, hex(10**18))
        await floor.reaches(made, NAME, HaltState.QUIESCED, chain.mine)
        assert chain.paused(vault)


async def test_a_key_that_may_not_pause_and_a_wrong_contract_are_said_at_once(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    others = chain.deploy_vault(owner=chain.accounts[2])
    async with pausing(floor, chain, others, signer):
        said = await until(lambda: floor.said("cannot pause", others), "it may not")
        assert said[0]["why"] == "the contract refuses: it is not the owner"
    nobody = chain.accounts[5]
    async with pausing(floor, chain, nobody, signer):
        said = await until(lambda: floor.said("wrong contract", nobody), "there is no contract")
        assert said[0]["why"] == "there is no contract at the address"


def unknown(chain: Anvil, ident: str) -> bool:
    """Whether the chain has a transaction neither in a block nor in the pool."""
    return chain.call("eth_getTransactionByHash", ident) is None


class Noting:
    """A signer that keeps what it was asked for."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.asked: list[Transaction] = []
        self.made: list[str] = []

    @property
    def sender(self) -> str:
        return self._signer.sender

    async def sign(self, transaction: Transaction) -> Signed:
        signed = await self._signer.sign(transaction)
        self.asked.append(transaction)
        self.made.append(signed.hash)
        return signed


async def test_a_transaction_that_is_not_mined_is_bid_higher_at_the_same_nonce(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = Noting(KeySigner(key_file))
    vault = chain.deploy_vault(owner=signer.sender)
    limits = Limits(bump_after_s=0.5, max_fee_wei=500 * GWEI)
    async with pausing(floor, chain, vault, signer, options(limits=limits)):
        made = await freeze(floor.admin)
        await until(lambda: len(signer.made) > 1 and unknown(chain, signer.made[0]), "it is replaced")
        await floor.reaches(made, NAME, HaltState.QUIESCED, chain.mine)
    first, second, *_ = signer.asked
    assert (first.nonce, second.nonce) == (0, 0)
    assert second.max_fee_wei * 100 >= first.max_fee_wei * 110
    assert chain.nonce(signer.sender) == 1
    assert chain.paused(vault)
    assert chain.call("eth_getTransactionReceipt", signer.made[0]) is None


async def test_what_an_earlier_process_left_in_the_pool_is_replaced(floor: Floor, chain: Anvil, key_file: Path) -> None:
    signer = Noting(KeySigner(key_file))
    vault = chain.deploy_vault(owner=signer.sender)
    left = chain.send(signer.sender, maxFeePerGas=hex(20 * GWEI), maxPriorityFeePerGas=hex(3 * GWEI))
    async with pausing(floor, chain, vault, signer):
        made = await freeze(floor.admin)
        await until(lambda: floor.said("not taken", vault), "the node wants more for the place of the other")
        await until(lambda: unknown(chain, left), "it bids more")
        await floor.reaches(made, NAME, HaltState.QUIESCED, chain.mine)
    assert {one.nonce for one in signer.asked} == {0}
    assert chain.call("eth_getTransactionReceipt", left) is None


async def test_a_backend_that_is_not_heard_is_said_and_pauses_nothing(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    board = floor.board()
    async with NodeLine(Address(chain.url), 5.0) as line:
        pauser = Pauser(Parties(vault, signer.sender), line, signer, board, options())
        gate = AsyncGate(
            "http://127.0.0.1:9", "wfs_x", executor=NAME, chain="arbitrum", strategy="s", wallet=signer.sender
        )
        async with gate, running(partial(pauser.keep_going, gate)):
            await until(lambda: floor.said("ready", vault), "the contract is looked at")
            assert not board.health()[0]
            assert floor.said("not heard")
            assert not floor.said("heard", "backend")
    assert chain.nonce(signer.sender, "pending") == 0


async def test_a_lifted_freeze_unpauses_only_if_told_to_and_only_what_it_paused(
    floor: Floor, chain: Anvil, key_file: Path
) -> None:
    signer = KeySigner(key_file)
    vault = chain.deploy_vault(owner=signer.sender)
    async with pausing(floor, chain, vault, signer):
        made = await freeze(floor.admin)
        await floor.reaches(made, NAME, HaltState.QUIESCED, chain.mine)
        await lift(floor, made.ref)
        await until(lambda: floor.said("left paused", vault), "it leaves it paused")
        assert chain.paused(vault)
        assert chain.nonce(signer.sender, "pending") == 1
    async with pausing(floor, chain, vault, signer, options(unpause=True)):
        made = await freeze(floor.admin)  # paused already, by an earlier process
        await floor.reaches(made, NAME, HaltState.QUIESCED)
        await lift(floor, made.ref)
        await asyncio.sleep(0.5)
        assert chain.nonce(signer.sender, "pending") == 1
        chain.send(signer.sender, to=vault, value="0x0", data="0x3f4ba83a")
        chain.mine()
        made = await freeze(floor.admin)
        await until(lambda: mined_until(chain, vault, paused=True), "it pauses again")
        await floor.reaches(made, NAME, HaltState.QUIESCED)
        await lift(floor, made.ref)
        await until(lambda: mined_until(chain, vault, paused=False), "it unpauses what it paused")


def mined_until(chain: Anvil, vault: str, *, paused: bool) -> bool:
    chain.mine()
    return chain.paused(vault) is paused


async def lift(floor: Floor, ref: str) -> None:
    """Two people lift a freeze."""
    assert (await ask_for_thaw(floor.admin, ref)).is_success
    other = await floor.app.as_(ADMIN2)
    answer = await approve(other, ref)
    assert answer.is_success, answer.text


async def test_a_command_of_the_operators_can_sign(floor: Floor, chain: Anvil, key_file: Path, tmp_path: Path) -> None:
    script = tmp_path / "sign.py"
    script.write_text(SIGNER)
    signer = CommandSigner([sys.executable, str(script), str(key_file)], chain.accounts[1])
    vault = chain.deploy_vault(owner=signer.sender)
    async with pausing(floor, chain, vault, signer):
        await floor.reaches(await freeze(floor.admin), NAME, HaltState.QUIESCED, chain.mine)
        assert chain.paused(vault)
