"""Proofs made from what the database stores: every kind of size, a dropped prefix, a missing hash."""

import pytest
from sqlalchemy import event, select, text

from backend.audit import nodes
from backend.audit.tables import LedgerEntry
from ledger.merkle import CompactRange, ProofError, root_of, verify_consistency, verify_inclusion
from tests.support.app import App
from tests.support.grown import grow

LOG = "1y"
SIZES = (1, 2, 255, 256, 257, 700)


async def leaves_of(app: App) -> list[bytes]:
    async with app.runtime.database.read() as session:
        rows = await session.scalars(select(LedgerEntry.leaf).where(LedgerEntry.log == LOG).order_by(LedgerEntry.seq))
        return [bytes(one) for one in rows]


async def test_proofs_from_stored_hashes_verify_at_every_size(app: App) -> None:
    await grow(app.runtime, LOG, 700)
    leaves = await leaves_of(app)
    async with app.runtime.database.read() as session:
        for size in SIZES:
            root = root_of(leaves[:size])
            for index in {0, size // 2, size - 1}:
                path = await nodes.inclusion_proof(session, LOG, index, size)
                verify_inclusion(leaves[index], index, size, path, root)
            for old in (0, *SIZES):
                if old <= size:
                    proof = await nodes.consistency_proof(session, LOG, old, size)
                    verify_consistency(old, size, root_of(leaves[:old]), root, proof)


async def test_a_dropped_prefix_is_served_from_its_edge(app: App) -> None:
    await grow(app.runtime, LOG, 700)
    leaves = await leaves_of(app)
    edge = CompactRange()
    edge.extend(leaves[:300])
    async with app.runtime.database.transaction() as session:
        await session.execute(text("ALTER TABLE audit_entries_1y_0 DISABLE TRIGGER ALL"))
        await session.execute(text("DELETE FROM audit_entries WHERE log = :log AND seq < 300"), {"log": LOG})
    async with app.runtime.database.read() as session:
        proof = await nodes.consistency_proof(session, LOG, 301, 700, edge)
        verify_consistency(301, 700, root_of(leaves[:301]), root_of(leaves), proof)
        path = await nodes.inclusion_proof(session, LOG, 300, 700, edge)
        verify_inclusion(leaves[300], 300, 700, path, root_of(leaves))
        with pytest.raises(ProofError, match="dropped prefix"):
            await nodes.inclusion_proof(session, LOG, 298, 700, edge)


async def test_a_hash_the_database_lacks_is_told(app: App) -> None:
    await grow(app.runtime, LOG, 300)
    async with app.runtime.database.transaction() as session:
        await session.execute(text("DELETE FROM audit_nodes WHERE log = :log"), {"log": LOG})
    async with app.runtime.database.read() as session:
        with pytest.raises(ProofError, match="lacks the hash"):
            await nodes.consistency_proof(session, LOG, 257, 300)


async def test_a_stored_hash_of_another_length_is_told(app: App) -> None:
    await grow(app.runtime, LOG, 300)
    async with app.runtime.database.transaction() as session:
        await session.execute(text("ALTER TABLE audit_entries_1y_0 DISABLE TRIGGER ALL"))
        await session.execute(
            text("UPDATE audit_entries SET leaf = '\\x00' WHERE log = :log AND seq = 7"), {"log": LOG}
        )
    async with app.runtime.database.read() as session:
        with pytest.raises(ProofError, match="that are none"):
            await nodes.inclusion_proof(session, LOG, 5, 300)


async def test_the_hashes_of_all_levels_come_with_one_statement(app: App) -> None:
    """Round trips are most of what a proof costs."""
    await grow(app.runtime, LOG, 700)
    statements: list[str] = []
    async with app.runtime.database.read() as session:
        connection = await session.connection()
        event.listen(connection.sync_connection, "before_cursor_execute", lambda *told: statements.append(told[2]))
        await nodes.inclusion_proof(session, LOG, 5, 700, CompactRange())
    assert len(statements) == 1
