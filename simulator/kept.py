"""What is kept of the simulated chains in a file, so that they outlive the process as real ones do. Owns its format.

One JSON line a transaction, written before it counts as sent. A line that is torn or damaged is left out: a later
transaction of its wallet says by its nonce that there was one.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from simulator.chain import SimulatedChain, Transaction

log = logging.getLogger(__name__)
MAX_LINES: Final = 50_000
"""Appended before the file is written anew, smaller: some ten megabytes."""
MAX_KEPT_BYTES: Final = 64 * 1024 * 1024
_MODE: Final = 0o600


class Keeper:
    """The file of one simulator. Without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = -1
        self._lines = 0
        self._complained = False

    def genesis(self, otherwise: str) -> str:
        """Return by what the blocks of the kept chains are named, or the name of new ones."""
        first = next(iter(self._read()), {})
        kept = first.get("genesis")
        return kept if isinstance(kept, str) else otherwise

    def recall(self, chains: Iterable[SimulatedChain]) -> None:
        """Have the chains know what was kept of them."""
        by_name = {chain.chain.name: chain for chain in chains}
        for line in self._read():
            chain = by_name.get(str(line.get("chain")))
            try:
                if chain is None:
                    continue
                if "count" in line:
                    chain.start_wallet(str(line["wallet"]), int(line["count"]))
                else:
                    chain.take(_transaction(line))
            except (KeyError, TypeError, ValueError):
                continue  # damaged: the next one of its wallet tells of it

    def begin(self, genesis: str, chains: Iterable[SimulatedChain]) -> None:
        """Write what the chains know as the new beginning of the file, and append from now on."""
        if self._path is None:
            return
        fresh = self._path.with_name(f"{self._path.name}.new")
        lines = [{"v": 1, "genesis": genesis}]
        for chain in chains:
            name = chain.chain.name
            for wallet, count, known in chain.remembered():
                lines.append({"chain": name, "wallet": wallet, "count": count})
                lines += [_line(name, one) for one in known]
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, _MODE)
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(b"".join(orjson.dumps(line) + b"\n" for line in lines))
        fresh.rename(self._path)
        self.close()
        self._descriptor, self._lines = descriptor, 0

    def keep(self, chain: str, sent: Transaction) -> bool:
        """Append a transaction; returns whether the file has become so long that it should begin anew."""
        if self._descriptor < 0:
            return False
        try:
            os.write(self._descriptor, orjson.dumps(_line(chain, sent)) + b"\n")
        except OSError as error:
            if not self._complained:
                log.warning("the chains are not kept: %s", error.strerror)
            self._complained = True
            return False
        self._lines += 1
        return self._lines >= MAX_LINES

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> Iterator[dict[str, Any]]:
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            for raw in file.read(MAX_KEPT_BYTES).splitlines():
                try:
                    line = orjson.loads(raw)
                except ValueError:
                    continue
                if isinstance(line, dict):
                    yield line


def _line(chain: str, one: Transaction) -> dict[str, Any]:
    return {
        "chain": chain,
        "hash": one.hash,
        "wallet": one.sender,
        "nonce": one.nonce,
        "ok": one.succeeded,
        "block": one.block,
    }


def _transaction(line: dict[str, Any]) -> Transaction:
    return Transaction(
        hash=str(line["hash"]),
        sender=str(line["wallet"]),
        nonce=int(line["nonce"]),
        succeeded=bool(line["ok"]),
        block=int(line["block"]),
    )
