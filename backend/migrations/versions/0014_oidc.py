"""Signing in through the organisation's own sign-in

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sso_identities",
        sa.Column("issuer", sa.String(300), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.UUID(), nullable=False),
        sa.Column("made_account", sa.Boolean(), nullable=False),
        sa.Column("linked_at", _TIME, nullable=False),
        sa.Column("signed_in_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sso_identities_user_id_users", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_sso_identities"),
    )
    op.create_index("uq_sso_identities_user_id_issuer", "sso_identities", ["user_id", "issuer"], unique=True)
    op.create_table(
        "sso_sign_ins",
        sa.Column("ticket_hash", sa.String(64), nullable=False),
        sa.Column("sealed_code", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.Column("ask_every_s", sa.Integer(), nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("whence", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("ticket_hash", name="pk_sso_sign_ins"),
    )
    op.create_index("ix_sso_sign_ins_expires_at", "sso_sign_ins", ["expires_at"])
