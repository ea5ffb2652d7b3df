"""Signed heads of the ledger: checkpoints, cosignatures, epoch keys, witnesses' states, faults and restores

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_APPEND_ONLY = ("audit_epochs", "audit_restores")
_THINNED = {
    # a head may go once it is two days old, while a later one of its hour stays, or of its day after thirty days
    "audit_checkpoints": """
CREATE FUNCTION audit_checkpoints_thinned() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    width text := CASE WHEN OLD.signed_at < clock_timestamp() - interval '30 days' THEN 'day' ELSE 'hour' END;
    begins timestamptz := date_trunc(width, OLD.signed_at, 'UTC');
BEGIN
    IF OLD.signed_at < clock_timestamp() - interval '48 hours' AND EXISTS (
        SELECT FROM audit_checkpoints AS later WHERE later.origin = OLD.origin AND later.size > OLD.size
            AND later.signed_at >= begins AND later.signed_at < begins + ('1 ' || width)::interval) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the head of % entries of % stays', OLD.size, OLD.origin USING ERRCODE = 'insufficient_privilege';
END $$
""",
    # a receipt may go with its head, while the same witness holds a later one
    "audit_cosignatures": """
CREATE FUNCTION audit_cosignatures_thinned() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM audit_checkpoints WHERE origin = OLD.origin AND size = OLD.size) AND EXISTS (
        SELECT FROM audit_cosignatures AS later
        WHERE later.origin = OLD.origin AND later.witness = OLD.witness AND later.size > OLD.size) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the receipt of % for % entries of % stays', OLD.witness, OLD.size, OLD.origin
        USING ERRCODE = 'insufficient_privilege';
END $$
""",
}


def upgrade() -> None:
    _create_heads()
    _create_epochs()
    _create_keepers()
    _create_faults()
    _create_restores()
    _refuse_changes()


def _create_heads() -> None:
    op.create_table(
        "audit_checkpoints",
        sa.Column("origin", sa.String(120), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("origin", "size", name="pk_audit_checkpoints"),
    )
    op.create_index("ix_audit_checkpoints_time", "audit_checkpoints", ["origin", "signed_at", "size"])
    op.create_table(
        "audit_cosignatures",
        sa.Column("origin", sa.String(120), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("witness", sa.String(200), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.Column("witnessed_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("origin", "size", "witness", name="pk_audit_cosignatures"),
    )
    op.create_index("ix_audit_cosignatures_held", "audit_cosignatures", ["origin", "witness", "size"])
    op.create_index(
        "ix_audit_cosignatures_signed",
        "audit_cosignatures",
        ["origin", "size"],
        postgresql_where=sa.text("length(receipt) > 0"),
    )


def _create_epochs() -> None:
    op.create_table(
        "audit_epochs",
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("vkey", sa.Text(), nullable=False),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("learned_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_audit_epochs"),
    )


def _create_keepers() -> None:
    op.create_table(
        "audit_keepers",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_audit_keepers"),
    )


def _create_faults() -> None:
    op.create_table(
        "audit_faults",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("origin", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("witnessed_size", sa.BigInteger(), nullable=False),
        sa.Column("own_size", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.LargeBinary(), nullable=False),
        sa.Column("found_at", _TIME, nullable=False),
        sa.Column("resolved_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_faults"),
    )
    op.create_index(
        "uq_audit_faults_open",
        "audit_faults",
        ["origin"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )


def _create_restores() -> None:
    op.create_table(
        "audit_restores",
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.String(100), nullable=False),
        sa.Column("approved_by", sa.String(100), nullable=False),
        sa.Column("restored_at", _TIME, nullable=False),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("generation", name="pk_audit_restores"),
    )


def _refuse_changes() -> None:
    # ordinary triggers: an application role cannot change what was signed; a superuser can, and witnesses would show it
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()"
        )
    for table, function in _THINNED.items():
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()"
        )
        op.execute(function)
        op.execute(
            f"CREATE TRIGGER {table}_thinned BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_thinned()"
        )


def downgrade() -> None:
    for table in ("audit_restores", "audit_faults", "audit_keepers", "audit_epochs", "audit_cosignatures"):
        op.drop_table(table)
    op.drop_table("audit_checkpoints")
    op.execute("DROP FUNCTION audit_checkpoints_thinned, audit_cosignatures_thinned")
