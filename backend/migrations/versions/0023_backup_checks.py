"""Recovery: how each row of the backup matrix stood when it was last looked at

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recovery_backup_checks",
        sa.Column("data", sa.String(200), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shown", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("data", name="pk_recovery_backup_checks"),
    )


def downgrade() -> None:
    op.drop_table("recovery_backup_checks")
