"""Tokens of machines that are bound to executors, rotated without a gap, and known to be in use

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the columns of a token's binding, of the secret before the present one, and of its use."""
    none = sa.text("'{}'")
    op.add_column("service_tokens", sa.Column("executors", sa.ARRAY(sa.Text()), server_default=none, nullable=False))
    op.add_column("service_tokens", sa.Column("previous_hash", sa.String(64), nullable=True))
    for name in ("previous_until", "taken_up_at", "last_used_at"):
        op.add_column("service_tokens", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint("uq_service_tokens_previous_hash", "service_tokens", ["previous_hash"])
