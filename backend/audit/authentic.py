"""The keyed hash over what waits for the ledger: tells what a process of ours has written from what a database holds.

Imports nothing of the web or the database, so that the process that verifies can share it.
"""

import hashlib
import hmac


def mac_of(key: bytes, canon: bytes, sealed: bytes | None = None) -> bytes:
    """Authenticate an outbox row: the database alone cannot make one up, or give an entry other personal values."""
    # canonical bytes hold no NUL, so that no two pairs are the same message
    return hmac.digest(key, canon if sealed is None else canon + b"\0" + sealed, hashlib.sha256)


def is_authentic(key: bytes, canon: bytes, mac: bytes, sealed: bytes | None = None) -> bool:
    """Whether a process that holds the master key has written these bytes."""
    return hmac.compare_digest(mac_of(key, canon, sealed), mac)
