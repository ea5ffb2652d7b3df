"""The audit ledger: outbox, partitioned entries, heads, nodes, personal data, and the view auditors know

Revision ID: 0003
Revises: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)

_WORDS = """
CREATE FUNCTION audit_words(canon bytea) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    doc jsonb := convert_from(canon, 'UTF8')::jsonb;
BEGIN
    RETURN jsonb_to_tsvector('simple', (doc -> 'index') - '{id,log,occurred_at,request_id}'::text[], '["string"]')
        || jsonb_to_tsvector('simple', doc #> '{body,detail}', '["string", "numeric", "boolean"]');
END $$
"""
# What has a column and an index of its own and differs in every entry is left out: as words it made up half the cost of
# an entry and most of the text index. PL/pgSQL because a function in SQL is planned anew for each row.
# Marked immutable though convert_from is not: the database's encoding is UTF-8 and cannot change.

_ENTRIES = """
CREATE TABLE audit_entries (
    log varchar(40) NOT NULL, seq bigint NOT NULL, id uuid NOT NULL,
    occurred_at timestamptz NOT NULL, sequenced_at timestamptz NOT NULL,
    category text NOT NULL, event_type text NOT NULL, action text NOT NULL,
    actor text, actor_type text, outcome text NOT NULL,
    resource_type text, resource_id text, request_id text, incident text,
    leaf bytea NOT NULL, canon bytea NOT NULL,
    words tsvector GENERATED ALWAYS AS (audit_words(canon)) STORED,
    CONSTRAINT pk_audit_entries PRIMARY KEY (log, seq)
) PARTITION BY LIST (log)
"""

_INDEXES = {
    "id": "(id)",
    "time": "(occurred_at, seq)",
    "actor": "(actor, occurred_at, seq)",
    "event": "(event_type, occurred_at, seq)",
    "resource": "(resource_type, resource_id, occurred_at, seq)",
    "request": "(request_id)",
    # entries wait unsorted in the index until so many kilobytes are there: each search for words reads through them all,
    # and whoever adds one too many sorts them in. The default of 4 MB costs ten milliseconds a look, and 0.4 s then
    "words": "USING gin (words) WITH (gin_pending_list_limit = 512)",
}

_REFUSE = """
CREATE FUNCTION audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit ledger is append-only: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$
"""

_ADD_PARTITION = """
CREATE FUNCTION audit_add_partition(of_log text, first bigint, until bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text := 'audit_entries_' || regexp_replace(of_log, '[^a-z0-9]', '_', 'g');
    part text := parent || '_' || first;
BEGIN
    -- made apart and attached: CREATE TABLE … PARTITION OF would wait for every reader and hold up the next ones
    IF to_regclass(parent) IS NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE audit_entries INCLUDING ALL) PARTITION BY RANGE (seq)', parent);
        EXECUTE format('ALTER TABLE audit_entries ATTACH PARTITION %I FOR VALUES IN (%L)', parent, of_log);
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, part, first, until);
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change()', part || '_append_only', part);
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %I '
                   'FOR EACH ROW EXECUTE FUNCTION audit_refuse_change()', part || '_rows_append_only', part);
    -- ALWAYS: also where session_replication_role silences ordinary triggers
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', part, part || '_append_only');
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', part, part || '_rows_append_only');
    INSERT INTO audit_spans (log, seq_from, seq_until, table_name) VALUES (of_log, first, until, part);
END $$
"""

_VIEW = """
CREATE VIEW audit_logs AS
SELECT entry.id, entry.log, entry.seq,
    (doc #>> '{index,occurred_at}')::timestamptz AS timestamp,
    doc #>> '{index,category}' AS category,
    doc #>> '{index,event_type}' AS event_type,
    coalesce(person.name, doc #>> '{index,actor}') AS user_id,
    NULL::inet AS ip_address,
    NULL::text AS user_agent,
    doc #>> '{index,action}' AS action,
    doc #>> '{index,resource_type}' AS resource_type,
    coalesce(owner.name, doc #>> '{index,resource_id}') AS resource_id,
    nullif(doc #> '{body,detail,old_value}', 'null') AS old_value,
    nullif(doc #> '{body,detail,new_value}', 'null') AS new_value,
    doc #>> '{index,outcome}' AS result,
    doc #>> '{body,detail,error_message}' AS error_message,
    coalesce(nullif(doc #> '{body,detail,metadata}', 'null'), '{}') || jsonb_build_object(
        'request_id', doc #> '{index,request_id}', 'role', doc #> '{body,actor_role}') AS metadata,
    encode(sha256('\\x00'::bytea || entry.canon), 'hex') AS hash
FROM (
    SELECT id, log, seq, canon FROM audit_entries
    UNION ALL
    SELECT id, log, NULL, canon FROM audit_outbox
) AS entry
CROSS JOIN LATERAL (SELECT convert_from(entry.canon, 'UTF8')::jsonb AS doc) AS parsed
LEFT JOIN audit_subjects AS person ON person.pid = doc #>> '{index,actor}'
LEFT JOIN audit_subjects AS owner
    ON doc #>> '{index,resource_type}' = 'user' AND owner.pid = doc #>> '{index,resource_id}'
"""


def upgrade() -> None:
    _create_path()
    _create_entries()
    _create_personal()
    op.execute(_VIEW)


def _create_path() -> None:
    op.create_table(
        "audit_ledger",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("master_key_id", sa.String(40), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_audit_ledger"),
    )
    op.create_table(
        "audit_outbox",
        sa.Column("id", sa.UUID(), nullable=False),
        *_waiting_columns(),
        sa.Column("filed_at", _TIME, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_outbox"),
        sa.CheckConstraint(
            "octet_length(canon) + octet_length(mac) + coalesce(octet_length(sealed), 0) <= 131072",
            name="ck_audit_outbox_size",
        ),
    )
    op.create_table(
        "audit_quarantine",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("id", sa.UUID(), nullable=False),
        *_waiting_columns(),
        sa.Column("quarantined_at", _TIME, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_quarantine"),
    )
    op.create_index("ix_audit_quarantine_id", "audit_quarantine", ["id"])
    op.create_index(
        "ix_audit_quarantine_sealed",
        "audit_quarantine",
        ["log", "emitted_at"],
        postgresql_where=sa.text("sealed IS NOT NULL"),
    )
    # rows live for milliseconds: without this the table is scanned over its own dead rows
    op.execute("ALTER TABLE audit_outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)")


def _waiting_columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("canon", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("emitted_at", _TIME, nullable=False),
    )


def _create_entries() -> None:
    op.execute(_WORDS)
    op.execute(_ENTRIES)
    for name, what in _INDEXES.items():
        op.execute(f"CREATE INDEX ix_audit_entries_{name} ON audit_entries {what}")
    op.create_table(
        "audit_heads",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("sequenced_at", _TIME, nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("log", name="pk_audit_heads"),
    )
    op.create_table(
        "audit_nodes",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "position", name="pk_audit_nodes"),
    )
    op.create_table(
        "audit_spans",
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("seq_from", sa.BigInteger(), nullable=False),
        sa.Column("seq_until", sa.BigInteger(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("time_min", _TIME, nullable=True),
        sa.Column("time_max", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("log", "seq_from", name="pk_audit_spans"),
    )
    op.execute(_REFUSE)
    op.execute(_ADD_PARTITION)


def _create_personal() -> None:
    op.create_table(
        "audit_subjects",
        sa.Column("pid", sa.String(60), nullable=False),
        sa.Column("name", sa.String(100), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("erased_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("pid", name="pk_audit_subjects"),
        sa.UniqueConstraint("name", name="uq_audit_subjects_name"),
    )
    op.create_table(
        "audit_subject_keys",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("subject", sa.String(60), nullable=False),
        sa.Column("master_key_id", sa.String(40), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("destroyed_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_subject_keys"),
        sa.UniqueConstraint("subject", name="uq_audit_subject_keys_subject"),
    )
    op.create_table(
        "audit_sealed",
        sa.Column("entry_id", postgresql.UUID(as_uuid=True), nullable=False),
        sa.Column("field", sa.String(64), nullable=False),
        sa.Column("log", sa.String(40), nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("subject", sa.String(60), nullable=False),
        sa.Column("key_id", sa.UUID(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("blind", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["key_id"], ["audit_subject_keys.id"], name="fk_audit_sealed_key_id_audit_subject_keys"
        ),
        sa.PrimaryKeyConstraint("entry_id", "field", name="pk_audit_sealed"),
    )
    op.create_index("ix_audit_sealed_subject", "audit_sealed", ["subject"])
    op.create_index("ix_audit_sealed_blind", "audit_sealed", ["blind", "occurred_at", "entry_id"])


def downgrade() -> None:
    op.execute("DROP VIEW audit_logs")
    for table in ("audit_sealed", "audit_subject_keys", "audit_subjects", "audit_spans", "audit_nodes", "audit_heads"):
        op.drop_table(table)
    op.execute("DROP TABLE audit_entries")
    for table in ("audit_quarantine", "audit_outbox", "audit_ledger"):
        op.drop_table(table)
    op.execute("DROP FUNCTION audit_add_partition, audit_refuse_change, audit_words")
