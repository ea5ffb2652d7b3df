"""The second opponent, run by a Python that has `auditchain`: appends for a while and prints entries a second.

PostgreSQL if its driver for that is installed, else SQLite. One process and no lock: its fastest way.
"""

import asyncio
import sys
import tempfile
import time
from importlib import import_module, util
from pathlib import Path


async def main(url: str, seconds: float) -> float:
    """Append one entry after the other."""
    chain = import_module("auditchain")
    with tempfile.TemporaryDirectory() as scratch:
        store = chain.PostgresBackend(url) if util.find_spec("asyncpg") else chain.SqliteBackend(Path(scratch) / "a.db")
        async with chain.AuditLog(store) as log:
            count, began = 0, time.monotonic()
            while time.monotonic() - began < seconds:
                said = {"chain": "arbitrum", "strategy": "triangle", "loss_eth": "3.25", "reason": "limit crossed"}
                await log.append("executor:bot-1", "freeze.hold.created", f"freeze-{count}", metadata=said)
                count += 1
            return count / (time.monotonic() - began)


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(main(sys.argv[1], float(sys.argv[2]))):.1f}\n")
