"""The approval of a restore: authenticates what its entry says, under a key that the database does not hold. Pure.

Whoever can write to the database can write such an entry, but not approve it.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from ledger import canon
from ledger.canon import CanonError
from ledger.restored import Restoration, RestorationError

APPROVAL: Final = "approval"
"""Member of the entry's facts that authenticates the others."""
_PURPOSE: Final = b"audit/restore/1\0"


def approval(key: bytes, facts: Mapping[str, Any]) -> str:
    """Authenticate the facts of a restore; `key` is `Keyring.verification`."""
    body = canon.encode({name: value for name, value in facts.items() if name != APPROVAL})
    return hmac.digest(key, _PURPOSE + body, hashlib.sha256).hex()


def approved(facts: Mapping[str, Any], key: bytes | None) -> Restoration | None:
    """The restore that an entry's facts tell of, if it was approved; without a key nobody can say that it was not."""
    try:
        told = Restoration.of(facts)
        genuine = key is None or hmac.compare_digest(approval(key, facts), str(facts.get(APPROVAL)))
    except (RestorationError, CanonError, TypeError):
        return None
    return told if genuine else None
