"""Signed heads and bundles of a ledger under test."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select

from backend.audit.identity import ledger_of, origin_of
from backend.audit.tables import LedgerHead
from backend.audit.verification import bundles
from ledger import checkpoint, note
from ledger.note import SignerKey
from tests.support.app import App
from tests.support.ledger import settled

WHENEVER = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
EPOCHS = 2
_EPOCH = (
    "INSERT INTO audit_epochs (epoch, vkey, certificate, learned_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_HEAD = """
INSERT INTO audit_checkpoints (origin, size, log, root, epoch, note, signed_at)
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


async def sign(app: App, database_url: str) -> str:
    """Sign the present heads as a signer would; gives the first key."""
    await settled(app)
    async with app.runtime.database.transaction() as session:
        ledger = await ledger_of(session, app.runtime)
        heads = list(await session.scalars(select(LedgerHead)))
    keys = [SignerKey(checkpoint.epoch_key_name(ledger.name, one), bytes([one + 1]) * 32) for one in range(EPOCHS)]
    now = app.runtime.clock.now()
    with psycopg.connect(database_url) as connection:
        for epoch, key in enumerate(keys):
            signed = None
            if epoch:
                signed = checkpoint.EpochCertificate(ledger.name, epoch, key.verifier).sign(keys[epoch - 1])
            connection.execute(_EPOCH, (epoch, key.verifier.encode(), signed, now))
        for head in heads:
            told = checkpoint.head(origin_of(ledger, head.log), head.size, head.root, EPOCHS - 1)
            signed = note.sign(told.format(), [keys[-1]])
            values = (told.origin, told.size, head.log, told.root, EPOCHS - 1, signed, now)
            connection.execute(_HEAD, values)
    return keys[0].verifier.encode()


async def make_bundle(app: App, directory: Path) -> dict[str, Any]:
    """Write a bundle of everything into a directory of its own."""
    directory.mkdir()  # noqa: ASYNC240  a test's own disk
    async with app.runtime.database.read() as session:
        ledger = (await ledger_of(session, app.runtime)).name
        since, until = WHENEVER
        return await bundles.write(session, app.runtime, directory, ledger=ledger, since=since, until=until)
