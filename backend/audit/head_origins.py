"""How the origins that have signed heads are found: one statement for sessions and plain connections alike.

Must never import SQLAlchemy: the process that verifies reads with it too.
"""

from typing import Final

ORIGINS: Final = """
WITH RECURSIVE known AS (
    SELECT min(origin) AS origin FROM audit_checkpoints
    UNION ALL
    SELECT (SELECT min(origin) FROM audit_checkpoints WHERE origin > known.origin) FROM known
    WHERE known.origin IS NOT NULL)
SELECT origin FROM known WHERE origin IS NOT NULL
"""
"""One look into the index an origin, however many heads it has."""
