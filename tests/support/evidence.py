"""Signed heads and bundles of a ledger under test."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select

from backend.audit.identity import ledger_of, origin_of
from backend.audit.tables import LedgerHead
from backend.audit.verification import bundles
from backend.context import Runtime
from ledger import checkpoint, note
from ledger.note import KeyType, SignerKey
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
_RECEIPT = """
INSERT INTO audit_cosignatures (origin, size, witness, receipt, witnessed_at) VALUES (%s, %s, %s, %s, now())
ON CONFLICT DO NOTHING
"""
_WITNESSED_AT = 1_790_000_000
"""Seconds since 1970; any moment does."""


async def sign(app: App, database_url: str) -> str:
    """Sign the present heads as a signer would; gives the first key."""
    await settled(app)
    return await sign_heads(app.runtime, database_url)


async def sign_heads(runtime: Runtime, database_url: str) -> str:
    """The same without a backend around it."""
    async with runtime.database.transaction() as session:
        ledger = await ledger_of(session, runtime)
        heads = list(await session.scalars(select(LedgerHead)))
    keys = [SignerKey(checkpoint.epoch_key_name(ledger.name, one), bytes([one + 1]) * 32) for one in range(EPOCHS)]
    now = runtime.clock.now()
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


def cosign(database_url: str) -> str:
    """Have a witness cosign every signed head; gives its key."""
    key = SignerKey("auditor.example/witness", b"w" * 32, KeyType.COSIGNATURE)
    with psycopg.connect(database_url) as connection:
        for origin, size, signed in connection.execute("SELECT origin, size, note FROM audit_checkpoints").fetchall():
            line = note.cosign(note.split(signed)[0], key, _WITNESSED_AT).line().encode()
            connection.execute(_RECEIPT, (origin, size, key.name, line))
    return key.verifier.encode()


async def make_bundle(app: App, directory: Path) -> dict[str, Any]:
    """Write a bundle of everything into a directory of its own."""
    directory.mkdir()  # noqa: ASYNC240  a test's own disk
    async with app.runtime.database.read() as session:
        ledger = (await ledger_of(session, app.runtime)).name
        since, until = WHENEVER
        return await bundles.write(session, app.runtime, directory, ledger=ledger, since=since, until=until)
