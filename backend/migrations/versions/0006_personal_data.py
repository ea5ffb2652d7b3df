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
    op.execute(_NAMED)
    op.execute("DROP VIEW audit_logs")
    op.execute(_VIEW.format(named="audit_named"))


def downgrade() -> None:
    op.execute("DROP VIEW audit_logs")
    op.execute(_VIEW.format(named=""))
    op.execute("DROP FUNCTION audit_named")
