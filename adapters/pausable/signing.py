"""Who signs: a key in a file, or a command of the operator's. A key is never in an argument, a log or a message."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from watchers.places import PlaceError
from watchers.running import read_secret
from watchers.wire import MalformedError, data, hash32, is_address, is_hash

SIGN_LIMIT_S: Final = 15.0
"""A signer behind a network answers in a second or two; whoever has to press a button there is not awaited."""
MAX_ANSWER_BYTES: Final = 65_536


class SignError(Exception):
    """No signature; the text holds nothing secret."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is to be signed: EIP-1559, no value."""

    chain_id: int
    nonce: int
    to: str
    data: str
    gas: int
    max_fee_wei: int
    tip_wei: int

    def fields(self) -> dict[str, Any]:
        """As signers name them; the numbers are numbers."""
        return {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": self.nonce,
            "to": self.to,
            "value": 0,
            "data": self.data,
            "gas": self.gas,
            "maxFeePerGas": self.max_fee_wei,
            "maxPriorityFeePerGas": self.tip_wei,
        }


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction ready to be sent."""

    raw: str = field(repr=False)
    hash: str


class Signer(Protocol):
    """What signs for one sender."""

    @property
    def sender(self) -> str:
        """The sender's address in lower case."""

    async def sign(self, transaction: Transaction) -> Signed:
        """Sign.

        Raises:
            SignError: there is no signature.
        """


def _library() -> Any:
    """The library that signs.

    It raises the limit of recursion a hundredfold, which everything that reads text from outside relies on:
    an answer nested deeply enough would end the process instead of being refused.

    Raises:
        PlaceError: it is not installed.
    """
    limit = sys.getrecursionlimit()
    try:
        from eth_account import Account
    except ImportError as error:
        raise PlaceError("signing with a key needs the extra `evm`: pip install 'watchfloor[evm]'") from error
    finally:
        sys.setrecursionlimit(limit)
    return Account


class KeySigner:
    """Signs with a key that this process holds."""

    def __init__(self, path: Path) -> None:
        """Read the key.

        Raises:
            PlaceError: the file is not its owner's only, holds no key, or the library is not installed.
        """
        account = _library()
        secret = read_secret(path)
        if not is_hash(secret if secret.startswith("0x") else f"0x{secret}"):
            raise PlaceError(f"{path} does not hold a key: 64 hexadecimal digits")
        try:
            self._account = account.from_key(secret)
        except Exception:  # noqa: BLE001  boundary: whatever the library says of a wrong key, nobody repeats it
            raise PlaceError(f"{path} does not hold a usable key") from None

    @property
    def sender(self) -> str:
        """See `Signer`."""
        return str(self._account.address).lower()

    async def sign(self, transaction: Transaction) -> Signed:
        """See `Signer`."""
        try:
            fields = transaction.fields() | {"to": bytes.fromhex(transaction.to[2:])}
            signed = self._account.sign_transaction(fields)
            return Signed("0x" + bytes(signed.raw_transaction).hex(), "0x" + bytes(signed.hash).hex())
        except Exception as error:  # noqa: BLE001  boundary: what the library says may name what it was given
            raise SignError(f"the transaction cannot be signed ({type(error).__name__})") from None


class CommandSigner:
    """Has a command sign: the transaction's fields on its stdin, `{"raw": "0x…", "hash": "0x…"}` on its stdout."""

    def __init__(self, argv: Sequence[str], sender: str) -> None:
        """Name the command.

        Raises:
            PlaceError: there is no command, or the sender is no address.
        """
        if not argv or not is_address(sender):
            raise PlaceError("--sign-with needs a command, and --from the address it signs for")
        self._argv, self._sender = tuple(argv), sender.lower()

    @property
    def sender(self) -> str:
        """See `Signer`."""
        return self._sender

    async def sign(self, transaction: Transaction) -> Signed:
        """See `Signer`."""
        asked = orjson.dumps(transaction.fields() | {"from": self._sender})
        try:
            process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        except OSError as error:
            raise SignError(f"the signer cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(SIGN_LIMIT_S):
                said, _ = await process.communicate(asked)
        except TimeoutError as error:
            raise SignError(f"the signer did not answer within {SIGN_LIMIT_S:g} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise SignError(f"the signer ended with {process.returncode}")
        return _read_signed(said)


def _read_signed(said: bytes) -> Signed:
    try:
        answer = orjson.loads(said[: MAX_ANSWER_BYTES + 1])
        return Signed(data(answer["raw"]), hash32(answer["hash"]))
    except (ValueError, KeyError, TypeError, MalformedError) as error:
        raise SignError("the signer's answer is not understood") from error
