"""Initial schema

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_alerts()
    _create_executors()
    _create_executor_boots()
    _create_freeze_state()
    _create_freezes()
    _create_imports()
    _create_leader_leases()
    _create_risk_assessments()
    _create_service_tokens()
    _create_signing_keys()
    _create_stream_events()
    _create_transaction_hours()
    _create_users()
    _create_halt_acks()
    _create_mev_transactions()
    _create_sessions()
    _create_staged_transactions()
    _create_strategy_reviews()


def _create_alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("fingerprint", sa.String(length=300), nullable=False),
        sa.Column("rule", sa.String(length=50), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("scope_kind", sa.String(length=20), nullable=False),
        sa.Column("scope_name", sa.String(length=100), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("links", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=100), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("acknowledge_comment", sa.Text(), nullable=True),
        sa.Column("cleared_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("action_taken", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(
        "ix_alerts_live",
        "alerts",
        ["severity", "raised_at", "id"],
        unique=False,
        postgresql_where=sa.text("status <> 'cleared'"),
    )
    op.create_index("ix_alerts_time", "alerts", ["raised_at", "id"], unique=False)
    op.create_index(
        "uq_alerts_live", "alerts", ["fingerprint"], unique=True, postgresql_where=sa.text("status <> 'cleared'")
    )


def _create_executors() -> None:
    op.create_table(
        "executors",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("chain", sa.String(length=100), nullable=False),
        sa.Column("strategy", sa.String(length=100), nullable=False),
        sa.Column("wallet", sa.String(length=100), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("position_eth", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("open_orders", sa.Integer(), nullable=True),
        sa.Column("in_flight", sa.Integer(), nullable=True),
        sa.Column("last_order_seq", sa.BigInteger(), nullable=False),
        sa.Column("halted_epoch", sa.BigInteger(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("permit_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shown", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_executors")),
    )
    op.create_index("ix_executors_scope", "executors", ["chain", "strategy", "wallet"], unique=False)


def _create_executor_boots() -> None:
    op.create_table(
        "executor_boots",
        sa.Column("executor", sa.String(length=100), nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["executor"], ["executors.name"], name=op.f("fk_executor_boots_executor_executors"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("executor", "boot_id", name=op.f("pk_executor_boots")),
    )


def _create_freeze_state() -> None:
    op.create_table(
        "freeze_state",
        sa.Column("id", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freeze_state")),
    )


def _create_freezes() -> None:
    op.create_table(
        "freezes",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("scope_kind", sa.String(length=20), nullable=False),
        sa.Column("scope_name", sa.String(length=100), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("automatic_rule", sa.String(length=50), nullable=True),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("thaw_requested_by", sa.String(length=100), nullable=True),
        sa.Column("thaw_requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("thaw_reason", sa.Text(), nullable=True),
        sa.Column("thawed_by", sa.String(length=100), nullable=True),
        sa.Column("thawed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("shown_progress", sa.String(length=40), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_freezes")),
        sa.UniqueConstraint("epoch", name=op.f("uq_freezes_epoch")),
        sa.UniqueConstraint("number", name=op.f("uq_freezes_number")),
    )
    op.create_index(
        "ix_freezes_in_force",
        "freezes",
        ["scope_kind", "scope_name"],
        unique=False,
        postgresql_where=sa.text("status <> 'thawed'"),
    )
    op.create_index("ix_freezes_time", "freezes", ["created_at", "id"], unique=False)
    op.create_index(
        "uq_freezes_idempotency",
        "freezes",
        ["created_by", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )


def _create_imports() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("filename", sa.String(length=500), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("started_by", sa.String(length=100), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("imported", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(
        "ix_imports_open", "imports", ["started_at"], unique=False, postgresql_where=sa.text("committed_at IS NULL")
    )


def _create_leader_leases() -> None:
    op.create_table(
        "leader_leases",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leader_leases")),
    )


def _create_risk_assessments() -> None:
    op.create_table(
        "risk_assessments",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("assessed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("snapshot", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_risk_assessments")),
    )
    op.create_index(op.f("ix_risk_assessments_assessed_at"), "risk_assessments", ["assessed_at"], unique=False)


def _create_service_tokens() -> None:
    op.create_table(
        "service_tokens",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("permissions", postgresql.ARRAY(sa.String(length=50)), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_tokens")),
        sa.UniqueConstraint("name", name=op.f("uq_service_tokens_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_service_tokens_token_hash")),
    )


def _create_signing_keys() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("kid", sa.String(length=32), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
    )


def _create_stream_events() -> None:
    op.create_table(
        "stream_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("topic", sa.String(length=30), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream_events")),
    )
    op.create_index(op.f("ix_stream_events_created_at"), "stream_events", ["created_at"], unique=False)


def _create_transaction_hours() -> None:
    op.create_table(
        "transaction_hours",
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("chain", sa.String(length=100), nullable=False),
        sa.Column("strategy", sa.String(length=100), nullable=False),
        sa.Column("wallet", sa.String(length=100), nullable=False),
        sa.Column("trades", sa.Integer(), nullable=False),
        sa.Column("profit_eth", sa.Numeric(), nullable=False),
        sa.Column("profit_unknown", sa.Integer(), nullable=False),
        sa.Column("gas_eth", sa.Numeric(), nullable=False),
        sa.Column("gas_unknown", sa.Integer(), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("reportable", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "chain", "strategy", "wallet", name=op.f("pk_transaction_hours")),
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("username", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=50), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("totp_secret", sa.String(length=64), nullable=False),
        sa.Column("last_totp_step", sa.Integer(), nullable=False),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )


def _create_halt_acks() -> None:
    op.create_table(
        "halt_acks",
        sa.Column("freeze_id", sa.UUID(), nullable=False),
        sa.Column("executor", sa.String(length=100), nullable=False),
        sa.Column("acked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_order_seq", sa.BigInteger(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["freeze_id"], ["freezes.id"], name=op.f("fk_halt_acks_freeze_id_freezes"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("freeze_id", "executor", name=op.f("pk_halt_acks")),
    )


def _create_mev_transactions() -> None:
    op.create_table(
        "mev_transactions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("chain", sa.String(length=100), nullable=False),
        sa.Column("tx_hash", sa.String(length=100), nullable=False),
        sa.Column("block_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("chain_id", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("wallet", sa.String(length=100), nullable=False),
        sa.Column("to_address", sa.String(length=100), nullable=False),
        sa.Column("strategy", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=500), nullable=False),
        sa.Column("executor", sa.String(length=100), nullable=False),
        sa.Column("profit_usd", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("gas_cost_usd", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("profit_eth", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("gas_cost_eth", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("paid_to_builder_eth", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("volume_usd", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("eth_usd", sa.Numeric(precision=38, scale=18), nullable=True),
        sa.Column("status", sa.String(length=50), nullable=False),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("import_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_mev_transactions_import_id_imports"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mev_transactions")),
        sa.UniqueConstraint("chain", "tx_hash", name=op.f("uq_mev_transactions_chain_tx_hash")),
    )
    op.create_index("ix_mev_transactions_chain_time", "mev_transactions", ["chain", "block_time"], unique=False)
    op.create_index(
        "ix_mev_transactions_import",
        "mev_transactions",
        ["import_id"],
        unique=False,
        postgresql_where=sa.text("import_id IS NOT NULL"),
    )
    op.create_index("ix_mev_transactions_strategy_time", "mev_transactions", ["strategy", "block_time"], unique=False)
    op.create_index("ix_mev_transactions_time", "mev_transactions", ["block_time", "id"], unique=False)
    op.create_index("ix_mev_transactions_wallet_time", "mev_transactions", ["wallet", "block_time"], unique=False)


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ip_address", postgresql.INET(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users"), ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)


def _create_staged_transactions() -> None:
    op.create_table(
        "staged_transactions",
        sa.Column("import_id", sa.UUID(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name=op.f("fk_staged_transactions_import_id_imports"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "line", name=op.f("pk_staged_transactions")),
    )


def _create_strategy_reviews() -> None:
    op.create_table(
        "strategy_reviews",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("scope_kind", sa.String(length=20), nullable=False),
        sa.Column("scope_name", sa.String(length=100), nullable=False),
        sa.Column("alert_id", sa.UUID(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alerts.id"], name=op.f("fk_strategy_reviews_alert_id_alerts"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_strategy_reviews")),
    )
    op.create_index(
        "uq_strategy_reviews_open",
        "strategy_reviews",
        ["scope_kind", "scope_name"],
        unique=True,
        postgresql_where=sa.text("closed_at IS NULL"),
    )


def downgrade() -> None:
    for table in (
        "strategy_reviews", "staged_transactions", "sessions", "mev_transactions", "halt_acks", "users",
        "transaction_hours", "stream_events", "signing_keys", "service_tokens", "risk_assessments", "leader_leases",
        "imports", "freezes", "freeze_state", "executor_boots", "executors", "alerts",
    ):  # fmt: skip
        op.drop_table(table)
