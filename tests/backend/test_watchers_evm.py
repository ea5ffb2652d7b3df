"""Second sources on real chains: what a halt is worth when somebody looks, and what no chain may bring about."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from backend.alerts import service as alerts
from backend.freeze.milestones import VIOLATION_RULE
from contract.alerts import Severity
from contract.freeze import Freeze, HaltState
from gate import AsyncGate
from tests.support.anvil import CHAIN_ID, Anvil, anvil
from tests.support.app import App
from tests.support.holds import freeze
from tests.support.watching import PACE, Floor, open_floor, until

VERIFIED, VIOLATION, ACKED, QUIESCED = HaltState.VERIFIED, HaltState.VIOLATION, HaltState.ACKED, HaltState.QUIESCED
GWEI = 10**9


@pytest.fixture
def chain() -> Iterator[Anvil]:
    with anvil() as running:
        yield running


@pytest.fixture
async def floor(app: App) -> AsyncIterator[Floor]:
    async with open_floor(app) as opened:
        yield opened


def pinned(chain: Anvil, name: str = "arbitrum") -> tuple[str, str]:
    return name, f"{chain.url}#{CHAIN_ID}"


@asynccontextmanager
async def trading(floor: Floor, chain: Anvil, mined: int = 3) -> AsyncIterator[AsyncGate]:
    """An executor that has sent some transactions, all of which are mined."""
    wallet = chain.accounts[1]
    async with floor.executor("bot-1", wallet) as gate:
        for number in range(mined):
            ident = chain.send(wallet)
            gate.sent(ident, wallet=wallet, nonce=number)
            chain.mine()
            gate.settled(ident, "landed")
        yield gate


async def halted(floor: Floor, state: HaltState = QUIESCED) -> Freeze:
    made = await freeze(floor.admin)
    await floor.reaches(made, "bot-1", state)
    return made


async def test_a_wallet_that_stands_still_verifies_a_halt(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain), floor.watching([pinned(chain)]):
        made = await halted(floor)
        proof = await floor.reaches(made, "bot-1", VERIFIED, chain.mine)
        assert f"nonce 2 of {chain.accounts[1]}" in proof.proof or "nonce 2 unchanged" in proof.proof


async def test_without_new_blocks_nothing_is_verified(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain), floor.watching([pinned(chain)]):
        made = await halted(floor)
        await until(lambda: floor.said("taken"), "a report")
        await floor.never(made, "bot-1", VERIFIED, 5, int)


async def test_a_transaction_after_the_halt_is_a_violation(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain), floor.watching([pinned(chain)]):
        made = await halted(floor)
        chain.send(chain.accounts[1])
        chain.mine()
        await floor.reaches(made, "bot-1", VIOLATION)
        [severity] = await until(lambda: alerts_after_a_look(floor, made), "an alert")
        assert severity is Severity.CRITICAL


async def alerts_after_a_look(floor: Floor, made: Freeze) -> list[Severity]:
    await floor.proofs(made)
    async with floor.app.runtime.database.transaction() as session:
        return [alert.severity for _, alert in await alerts.live_of_rules(session, [VIOLATION_RULE])]


def cheap(chain: Anvil, **fields: str) -> str:
    wallet = chain.accounts[1]
    return chain.send(wallet, maxFeePerGas=hex(100 * GWEI), maxPriorityFeePerGas=hex(GWEI), **fields)


async def test_what_waits_in_the_pool_keeps_a_halt_from_being_verified(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain) as gate, floor.watching([pinned(chain)]):
        ident = cheap(chain, gas=hex(20_000_000))
        chain.call("evm_setBlockGasLimit", hex(1_000_000))  # blocks too small for it
        gate.sent(ident, wallet=chain.accounts[1], nonce=3)
        gate.settled(ident, "expired")  # as the executor claims
        made = await halted(floor)
        await floor.never(made, "bot-1", VERIFIED, 8, chain.mine)
        assert chain.nonce(chain.accounts[1], "pending") == 4
        chain.call("evm_setBlockGasLimit", hex(30_000_000))
        await floor.reaches(made, "bot-1", VERIFIED, chain.mine)


async def test_a_replaced_transaction_has_its_fate_told(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain) as gate, floor.watching([pinned(chain)]):
        ident = cheap(chain)
        gate.sent(ident, wallet=chain.accounts[1], nonce=3)
        made = await halted(floor, ACKED)
        assert (await floor.proofs(made))["bot-1"].open_ids == [ident]
        await until(lambda: chain.nonce(chain.accounts[1], "pending") == 4 and floor.said("taken"), "a look at it")
        dear = {"maxFeePerGas": hex(3000 * GWEI), "maxPriorityFeePerGas": hex(100 * GWEI), "nonce": "0x3"}
        chain.send(chain.accounts[1], to=chain.accounts[2], **dear)
        await floor.reaches(made, "bot-1", VERIFIED, chain.mine)
        assert chain.call("eth_getTransactionReceipt", ident) is None
        assert await fate_of(floor, ident) == ("replaced", "service:watcher")


async def test_a_mined_transaction_has_its_fate_told(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain) as gate, floor.watching([pinned(chain)]):
        ident = chain.send(chain.accounts[1])
        gate.sent(f"0x{ident[2:].upper()}", wallet=chain.accounts[1], nonce=3)  # spelled as the executor likes
        made = await halted(floor, ACKED)
        await floor.reaches(made, "bot-1", VERIFIED, chain.mine)
        assert await fate_of(floor, f"0x{ident[2:].upper()}") == ("landed", "service:watcher")


async def fate_of(floor: Floor, ident: str) -> tuple[str, str]:
    from sqlalchemy import select

    from backend.freeze.tables import HaltFate

    async with floor.app.runtime.database.transaction() as session:
        row = await session.scalar(select(HaltFate).where(HaltFate.in_flight_id == ident))
    assert row is not None
    return row.fate, row.source


async def test_a_chain_that_stands_still_verifies_nothing_until_it_goes_on(floor: Floor, chain: Anvil) -> None:
    pace = PACE.__class__(every_s=0.05, limit_s=0.3, agree=1)
    async with trading(floor, chain), floor.watching([pinned(chain)], pace=pace):
        made = await halted(floor)
        await until(lambda: floor.said("taken"), "a report")
        chain.signal(signal.SIGSTOP)
        await until(lambda: floor.said("no answer", "arbitrum"), "the silence is said")
        await floor.never(made, "bot-1", VERIFIED, 5, int)
        chain.signal(signal.SIGCONT)
        await floor.reaches(made, "bot-1", VERIFIED, chain.mine)


async def test_another_chain_in_the_place_of_the_one_that_died_verifies_nothing(floor: Floor) -> None:
    with anvil() as first:
        port = int(first.url.rpartition(":")[2])
        async with trading(floor, first), floor.watching([pinned(first)]):
            made = await halted(floor)
            await until(lambda: floor.said("taken"), "a report")
            first.process.kill()
            first.process.wait()
            await until(lambda: floor.said("no answer", "arbitrum"), "the silence is said")
            with anvil(port=port) as second:  # begins at block 0: the wallet never sent anything there
                await until(lambda: floor.said("proves nothing"), "another chain is noticed")
                await floor.never(made, "bot-1", VERIFIED, 8, second.mine)
            with anvil(chain_id=1, port=port) as third:
                await until(lambda: floor.said("wrong chain"), "another chain id is noticed")
                await floor.never(made, "bot-1", VERIFIED, 4, third.mine)


async def test_a_reorganisation_counts_anew(floor: Floor, chain: Anvil) -> None:
    async with trading(floor, chain), floor.watching([pinned(chain)]) as board:
        await halted(floor)
        await until(lambda: floor.said("taken"), "a report")
        snapshot = chain.call("evm_snapshot")
        for _ in range(3):
            chain.mine()
            height = chain.height()
            await until(lambda h=height: h in blocks_seen(board), "the block is seen")  # type: ignore[misc]
        chain.call("evm_revert", snapshot)
        said = await until(lambda: floor.said("proves nothing"), "going back is noticed")
        why = said[-1]["why"]
        assert "went back from block" in why or "no longer the one" in why, "also in the middle of a look"
        chain.mine()
        await until(lambda: floor.lines[-1]["state"] == "answers", "it goes on")


def blocks_seen(board: object) -> list[int]:
    about = board.health()[1]["about"]  # type: ignore[attr-defined]
    return [entry.get("block", 0) for entry in about.values()]


async def test_a_chain_that_hangs_holds_up_no_other(floor: Floor, chain: Anvil) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        chains = [pinned(chain), ("base", f"http://127.0.0.1:{port}#{CHAIN_ID}")]
        async with (
            trading(floor, chain),
            floor.executor("bot-2", chain.accounts[2], chain="base"),
            floor.watching(chains),
        ):
            made = await freeze(floor.admin, "strategy:arbitrage")
            await floor.reaches(made, "bot-1", VERIFIED, chain.mine)
            assert (await floor.proofs(made))["bot-2"].state is QUIESCED
            await until(lambda: floor.said("no answer", "base"), "the silence of the other is said")


async def test_nodes_that_do_not_agree_verify_nothing(floor: Floor, chain: Anvil) -> None:
    with anvil() as other:
        pace = PACE.__class__(every_s=0.05, limit_s=2.0, agree=2)
        async with trading(floor, chain), floor.watching([pinned(chain), pinned(other)], pace=pace):
            made = await halted(floor)

            def mine() -> None:
                chain.mine()
                other.mine()

            await floor.never(made, "bot-1", VERIFIED, 8, mine)
            assert floor.said("nodes differ")
            for _ in range(3):
                other.send(chain.accounts[1])
                other.mine()
            await floor.reaches(made, "bot-1", VERIFIED, mine)
