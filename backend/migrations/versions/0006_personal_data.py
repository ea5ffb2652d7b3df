"""Personal data: erasures asked for and done, names not to come back, legal holds; the auditors' view with names

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)

_NAMED = """
CREATE FUNCTION audit_named(told text) RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    person record;
BEGIN
    FOR person IN
        SELECT pid, name FROM audit_subjects WHERE name IS NOT NULL AND pid IN (
            SELECT 'person:' || hit[1] FROM regexp_matches(told, '\\m(p[a-z2-7]{16})\\M', 'g') AS hit)
    LOOP
        told := replace(replace(told, person.pid, person.name), substr(person.pid, 8), person.name);
    END LOOP;
    RETURN told;
END $$
"""

_VIEW = """
CREATE VIEW audit_logs AS
SELECT entry.id, entry.log, entry.seq,
    (doc #>> '{{index,occurred_at}}')::timestamptz AS timestamp,
    doc #>> '{{index,category}}' AS category,
    doc #>> '{{index,event_type}}' AS event_type,
    {named}(doc #>> '{{index,actor}}') AS user_id,
    NULL::inet AS ip_address,
    NULL::text AS user_agent,
    {named}(doc #>> '{{index,action}}') AS action,
    doc #>> '{{index,resource_type}}' AS resource_type,
    {named}(doc #>> '{{index,resource_id}}') AS resource_id,
    {named}(nullif(doc #> '{{body,detail,old_value}}', 'null')::text)::jsonb AS old_value,
    {named}(nullif(doc #> '{{body,detail,new_value}}', 'null')::text)::jsonb AS new_value,
    doc #>> '{{index,outcome}}' AS result,
    {named}(doc #>> '{{body,detail,error_message}}') AS error_message,
    {named}((coalesce(nullif(doc #> '{{body,detail,metadata}}', 'null'), '{{}}') || jsonb_build_object(
        'request_id', doc #> '{{index,request_id}}', 'role', doc #> '{{body,actor_role}}'))::text)::jsonb AS metadata,
    encode(sha256('\\x00'::bytea || entry.canon), 'hex') AS hash
FROM (
    SELECT id, log, seq, canon FROM audit_entries
    UNION ALL
    SELECT id, log, NULL, canon FROM audit_outbox
) AS entry
CROSS JOIN LATERAL (SELECT convert_from(entry.canon, 'UTF8')::jsonb AS doc) AS parsed
"""


def upgrade() -> None:
    _create_tables()
    op.execute(_NAMED)
    op.execute("DROP VIEW audit_logs")
    op.execute(_VIEW.format(named="audit_named"))


def _create_tables() -> None:
    op.create_table(
        "audit_erased_names",
        sa.Column("blind", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("blind", name="pk_audit_erased_names"),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("subject", sa.String(60), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("requested_by", sa.String(60), nullable=False),
        sa.Column("requested_at", _TIME, nullable=False),
        sa.Column("decided_by", sa.String(60), nullable=True),
        sa.Column("decided_at", _TIME, nullable=True),
        sa.Column("values_erased", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_index(
        "uq_erasures_open", "erasures", ["subject"], unique=True, postgresql_where=sa.text("status = 'requested'")
    )
    op.create_index("ix_erasures_time", "erasures", ["requested_at", "id"])
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("subject", sa.String(60), nullable=True),
        sa.Column("log", sa.String(40), nullable=True),
        sa.Column("since", _TIME, nullable=True),
        sa.Column("until", _TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_by", sa.String(60), nullable=False),
        sa.Column("placed_at", _TIME, nullable=False),
        sa.Column("lift_reason", sa.Text(), nullable=True),
        sa.Column("lift_requested_by", sa.String(60), nullable=True),
        sa.Column("lift_requested_at", _TIME, nullable=True),
        sa.Column("lifted_by", sa.String(60), nullable=True),
        sa.Column("lifted_at", _TIME, nullable=True),
        sa.CheckConstraint("subject IS NOT NULL OR log IS NOT NULL", name="ck_legal_holds_something"),
        sa.PrimaryKeyConstraint("id", name="pk_legal_holds"),
    )
    op.create_index("ix_legal_holds_time", "legal_holds", ["placed_at", "id"])
    # the values of an expired day are held against every hold in force
    op.create_index("ix_legal_holds_subject", "legal_holds", ["subject"], postgresql_where=sa.text("lifted_at IS NULL"))


def downgrade() -> None:
    for table in ("legal_holds", "erasures", "audit_erased_names"):
        op.drop_table(table)
    op.execute("DROP VIEW audit_logs")
    op.execute(_VIEW.format(named=""))
    op.execute("DROP FUNCTION audit_named")
