"""Recovery drills: what counts as no test is kept with the drill; findings are made once for each key

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_WHAT_COUNTED = """
UPDATE recovery_drills SET practice = shown #>> '{measured,rto_ms}' IS NULL OR EXISTS (
    SELECT FROM recovery_lines
    WHERE drill = ref AND n = 1 AND data #>> '{plan,practice}' = 'true')
"""


def upgrade() -> None:
    op.add_column(
        "recovery_drills", sa.Column("practice", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.add_column(
        "recovery_drills",
        sa.Column("finding_keys", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
    )
    op.execute(_WHAT_COUNTED)


def downgrade() -> None:
    op.drop_column("recovery_drills", "finding_keys")
    op.drop_column("recovery_drills", "practice")
