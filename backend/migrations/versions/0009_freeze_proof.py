"""Freezes that hold: scopes of several terms, and what proves that each executor has halted

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_SCOPE_NAME = sa.String(450)
"""Four terms at their longest."""
_FINGERPRINT = sa.String(600)
"""A rule, such a scope and a period."""


def upgrade() -> None:
    for table in ("freezes", "alerts", "strategy_reviews"):
        op.alter_column(table, "scope_name", type_=_SCOPE_NAME)
    op.alter_column("alerts", "fingerprint", type_=_FINGERPRINT)
    _create_proof()
    _create_permits()
    _create_thaw()
    _create_confirmations()
    _create_drills()
    _create_roll_call()


def _create_proof() -> None:
    for column in (
        sa.Column("open_orders", sa.Integer(), nullable=True),
        sa.Column("nonces", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")),
        sa.Column("in_flight_ids", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'")),
        sa.Column("statement", sa.Text(), nullable=True),
        sa.Column("paused", postgresql.JSONB(), nullable=False, server_default=sa.text("'{}'")),
    ):
        op.add_column("halt_acks", column)
    op.create_table(
        "halt_fates",
        sa.Column("freeze_id", sa.UUID(), nullable=False),
        sa.Column("executor", sa.String(100), nullable=False),
        sa.Column("in_flight_id", sa.String(200), nullable=False),
        sa.Column("fate", sa.String(20), nullable=False),
        sa.Column("source", sa.String(120), nullable=False),
        sa.Column("told_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["freeze_id", "executor"],
            ["halt_acks.freeze_id", "halt_acks.executor"],
            name="fk_halt_fates_freeze_id",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("freeze_id", "executor", "in_flight_id", name="pk_halt_fates"),
    )
    op.create_table(
        "halt_observations",
        sa.Column("freeze_id", sa.UUID(), nullable=False),
        sa.Column("source", sa.String(120), nullable=False),
        sa.Column("looked_at", sa.String(20), nullable=False),
        sa.Column("chain", sa.String(100), nullable=False),
        sa.Column("subject", sa.String(100), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.BigInteger(), nullable=True),
        sa.Column("unchanged_blocks", sa.Integer(), nullable=True),
        sa.Column("block", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("ceiling", sa.BigInteger(), nullable=True),
        _of_freeze("halt_observations"),
        sa.PrimaryKeyConstraint("freeze_id", "source", "looked_at", "chain", "subject", name="pk_halt_observations"),
    )
    op.create_table(
        "halt_milestones",
        sa.Column("freeze_id", sa.UUID(), nullable=False),
        sa.Column("executor", sa.String(100), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("reached_at", _TIME, nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        _of_freeze("halt_milestones"),
        sa.PrimaryKeyConstraint("freeze_id", "executor", "state", name="pk_halt_milestones"),
    )


def _of_freeze(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["freeze_id"], ["freezes.id"], name=f"fk_{table}_freeze_id", ondelete="RESTRICT")


def _create_thaw() -> None:
    """What a thaw is bound to, and how far it has come. Holds from before count as held since they were made."""
    op.add_column("freezes", sa.Column("held_since", _TIME, nullable=True))
    op.execute("UPDATE freezes SET held_since = created_at")
    op.alter_column("freezes", "held_since", nullable=False, server_default=sa.text("clock_timestamp()"))
    for column in (
        sa.Column("thaw_expires_at", _TIME, nullable=True),
        sa.Column("thaw_subject", postgresql.JSONB(), nullable=True),
        sa.Column("thaw_digest", sa.String(64), nullable=True),
        sa.Column("thaw_released", postgresql.JSONB(), nullable=True),
        sa.Column("thaw_watch_until", _TIME, nullable=True),
        sa.Column("thaw_looked_at", _TIME, nullable=True),
    ):
        op.add_column("freezes", column)


def _create_confirmations() -> None:
    op.create_table(
        "risk_confirmations",
        sa.Column("fingerprint", _FINGERPRINT, nullable=False),
        sa.Column("rule", sa.String(50), nullable=False),
        sa.Column("scope_kind", sa.String(20), nullable=False),
        sa.Column("scope_name", _SCOPE_NAME, nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("looks", postgresql.JSONB(), nullable=False),
        sa.Column("acted_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name="fk_risk_confirmations_alert_id", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_risk_confirmations"),
    )


def _create_permits() -> None:
    op.add_column("executors", sa.Column("seen_epoch", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("executors", sa.Column("idle_ms", sa.Integer(), nullable=True))
    for name in ("bounded", "in_drills"):
        op.add_column("executors", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.text("true")))
    op.drop_column("executors", "shown")
    op.execute("ALTER TABLE executors SET (fillfactor = 50)")  # rewritten every second: room for it on the same page
    op.add_column("executor_boots", sa.Column("public_key", sa.String(43), nullable=True))
    op.create_table(
        "executors_shown",
        sa.Column("executor", sa.String(100), nullable=False),
        sa.Column("told", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(
            ["executor"], ["executors.name"], name="fk_executors_shown_executor_executors", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("executor", name="pk_executors_shown"),
    )
    op.create_index(
        "ix_halt_acks_in_flight",
        "halt_acks",
        ["executor"],
        unique=False,
        postgresql_where=sa.text("in_flight_ids <> '[]'::jsonb"),
    )


def _create_drills() -> None:
    op.create_table(
        "freeze_drills",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(), nullable=False),
        sa.Column("mode", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_by", sa.String(100), nullable=False),
        sa.Column("started_at", _TIME, nullable=False),
        sa.Column("ends_at", _TIME, nullable=False),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("reported_before", postgresql.JSONB(), nullable=False),
        sa.Column("outcomes", postgresql.JSONB(), nullable=True),
        sa.Column("idempotency_key", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_freeze_drills"),
        sa.UniqueConstraint("number", name="uq_freeze_drills_number"),
    )
    op.create_index("ix_freeze_drills_time", "freeze_drills", ["started_at", "id"])
    op.add_column("freezes", sa.Column("drill_id", sa.UUID(), nullable=True))
    op.create_foreign_key("fk_freezes_drill_id", "freezes", "freeze_drills", ["drill_id"], ["id"], ondelete="RESTRICT")
    op.create_index("ix_freezes_drill", "freezes", ["drill_id"], postgresql_where=sa.text("drill_id IS NOT NULL"))


def _create_roll_call() -> None:
    op.create_table(
        "backend_checkins",
        sa.Column("boot", sa.String(64), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("checked_in_at", _TIME, nullable=False),
        sa.Column("silent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("boot", name="pk_backend_checkins"),
    )
