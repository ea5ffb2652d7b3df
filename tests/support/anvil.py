"""Real EVM chains on loopback: anvil of `.peers` (`make peers`). Tests that need one skip visibly without it."""

import functools
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

MODULES = Path(__file__).resolve().parents[2] / ".peers" / "node_modules"
CONTRACTS = Path(__file__).resolve().parent / "contracts"
CHAIN_ID = 31337
STOP_LIMIT_S = 10.0
CALL_LIMIT_S = 30.0
_LISTENING = "Listening on "


def program() -> Path:
    """The program, or a skipped test that says what is missing."""
    found = sorted(MODULES.glob("@foundry-rs/anvil-*/bin/anvil"))
    if not found:
        pytest.skip("no anvil: run `make peers`")
    return found[0]


@functools.cache
def vault_bytecode() -> str:
    """The compiled contract of contracts/Vault.sol."""
    if not (MODULES / "solc").exists():
        pytest.skip("no solc: run `make peers`")
    done = subprocess.run(
        ["node", str(CONTRACTS / "compile.js"), str(MODULES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Anvil:
    """One running chain. Its accounts are unlocked; blocks are made by `mine` unless it mines by itself."""

    process: subprocess.Popen[str]
    url: str
    accounts: list[str] = field(default_factory=list)

    def call(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call; fails the test when the chain refuses."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = httpx.post(self.url, json=body, timeout=CALL_LIMIT_S).json()
        assert "error" not in answer, answer
        return answer["result"]

    def mine(self, blocks: int = 1) -> None:
        """Make blocks, one after the other."""
        for _ in range(blocks):
            self.call("evm_mine")

    def send(self, sender: str, **fields: Any) -> str:
        """Send a transaction of an unlocked account; returns its hash."""
        usual = {"from": sender, "to": sender, "value": "0x1"}
        ident: str = self.call("eth_sendTransaction", usual | fields)
        return ident

    def nonce(self, wallet: str, at: str = "latest") -> int:
        """How many transactions a wallet has."""
        return int(self.call("eth_getTransactionCount", wallet, at), 16)

    def height(self) -> int:
        """The newest block."""
        return int(self.call("eth_blockNumber"), 16)

    def deploy_vault(self, owner: str) -> str:
        """Deploy the pausable contract; returns its address."""
        data = "0x" + vault_bytecode() + owner.removeprefix("0x").rjust(64, "0")
        ident = self.send(self.accounts[9], to=None, value="0x0", data=data, gas="0x200000")
        self.mine()
        address: str = self.call("eth_getTransactionReceipt", ident)["contractAddress"]
        assert address
        return address.lower()

    def paused(self, contract: str) -> bool:
        """Whether the contract is paused at the newest block."""
        return int(self.call("eth_call", {"to": contract, "data": "0x5c975abb"}, "latest"), 16) == 1

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this chain and to nothing else."""
        self.process.send_signal(number)


@contextmanager
def anvil(*arguments: str, chain_id: int = CHAIN_ID, port: int = 0) -> Iterator[Anvil]:
    """Start a chain on a free port, without mining of its own unless told; it is ended at the end."""
    mining = [] if {"--block-time", "-b"} & set(arguments) else ["--no-mining"]
    argv = [str(program()), "--port", str(port), "--chain-id", str(chain_id), *mining, *arguments]
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        yield _listening(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(STOP_LIMIT_S)
        assert process.stdout is not None
        process.stdout.close()


def _listening(process: subprocess.Popen[str]) -> Anvil:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(_LISTENING):
            chain = Anvil(process, f"http://{line.removeprefix(_LISTENING).strip()}")
            # it writes a line for each call, and stands still once nobody reads them
            threading.Thread(target=process.stdout.read, name="anvil's lines", daemon=True).start()
            chain.accounts = [name.lower() for name in chain.call("eth_accounts")]
            return chain
    raise RuntimeError("anvil did not start")
