"""Keyed hashes over what waits for the ledger and over its heads: they tell what a process of ours has written from
what a database holds.

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


def head_mac(key: bytes, log: str, size: int, root: bytes) -> bytes:
    """Authenticate a log's head: the database alone cannot append an entry past the outbox and have it signed.

    An older head of ours stays authentic: the signer and the witnesses know that it is older.
    """
    # entries begin with a brace, so that no head is the message of one
    return hmac.digest(key, f"head {log} {size} ".encode() + root, hashlib.sha256)


def is_our_head(key: bytes, log: str, size: int, root: bytes, mac: bytes | None) -> bool:
    """Whether a process that holds the master key has moved the head there; an empty log has nothing to vouch for."""
    return size == 0 or (mac is not None and hmac.compare_digest(head_mac(key, log, size, root), mac))
