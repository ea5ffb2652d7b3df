"""Imports every area's tables, so that migrations and drift checks see the whole schema. Owns nothing else."""

from backend import limits_tables
from backend.alerts import tables as alerts_tables
from backend.audit import heads_tables as audit_heads_tables
from backend.audit import personal_tables as audit_personal_tables
from backend.audit import retention_tables as audit_retention_tables
from backend.audit import search_tables as audit_search_tables
from backend.audit import tables as audit_tables
from backend.audit import verification_tables as audit_verification_tables
from backend.auth import access_tables as auth_access_tables
from backend.auth import identity_tables as auth_identity_tables
from backend.auth import oidc_tables as auth_oidc_tables
from backend.auth import tables as auth_tables
from backend.changes import tables as changes_tables
from backend.continuity import tables as continuity_tables
from backend.continuity import tables_markers as continuity_tables_markers
from backend.db import Base
from backend.drafts import tables as drafts_tables
from backend.freeze import tables as freeze_tables
from backend.incidents import tables as incidents_tables
from backend.incidents.postmortem import tables as postmortem_tables
from backend.notifications import tables as notifications_tables
from backend.privacy import tables as privacy_tables
from backend.risk import tables as risk_tables
from backend.roster import tables as roster_tables
from backend.stream import tables as stream_tables
from backend.transactions import tables as transactions_tables

__all__ = [
    "Base",
    "alerts_tables",
    "audit_heads_tables",
    "audit_personal_tables",
    "audit_retention_tables",
    "audit_search_tables",
    "audit_tables",
    "audit_verification_tables",
    "auth_access_tables",
    "auth_identity_tables",
    "auth_oidc_tables",
    "auth_tables",
    "changes_tables",
    "continuity_tables",
    "continuity_tables_markers",
    "drafts_tables",
    "freeze_tables",
    "incidents_tables",
    "limits_tables",
    "notifications_tables",
    "postmortem_tables",
    "privacy_tables",
    "risk_tables",
    "roster_tables",
    "stream_tables",
    "transactions_tables",
]
