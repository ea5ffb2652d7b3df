"""Owns which values of an audit entry are sealed, and what is known of its place in the ledger. Pure."""

from typing import Final

from contract.audit import MASK, AuditEntry, RelatedBy

_COLUMNS: Final = ("ip_address", "user_agent")
"""Sealed fields with a place of their own on the wire; the others stand in the metadata."""
SEALED: Final = "sealed"
"""The metadata's name for them."""


def sealed_fields(entry: AuditEntry) -> list[str]:
    """The fields whose values exist and are not shown."""
    further = entry.metadata.get(SEALED)
    names = list(further) if isinstance(further, dict) else []
    return [*(name for name in _COLUMNS if getattr(entry, name) == MASK), *map(str, names)]


def place_of(entry: AuditEntry) -> str:
    """Where an entry stands in the ledger, short."""
    return f"{entry.log} #{entry.seq:,}" if entry.seq is not None else f"{entry.log}, not in the ledger yet"


def related(entry: AuditEntry) -> list[tuple[RelatedBy, str]]:
    """What can be followed from an entry, and what the others would share with it."""
    shared = {
        RelatedBy.ACTOR: entry.user_id,
        RelatedBy.REQUEST: entry.metadata.get("request_id"),
        RelatedBy.RESOURCE: "/".join(part for part in (entry.resource_type, entry.resource_id) if part)
        if entry.resource_id
        else None,
        RelatedBy.INCIDENT: entry.metadata.get("incident"),
    }
    return [(by, str(value)) for by, value in shared.items() if value]
