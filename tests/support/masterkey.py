"""The key that vouches for heads, as the process under test has it: for ledgers that are made past the sequencer."""

from backend.audit.authentic import head_mac
from backend.clock import SYSTEM_CLOCK
from backend.keyring import load_keyring
from backend.settings import Settings


def vouched(log: str, size: int, root: bytes) -> bytes:
    """What the sequencer would have written beside a head: also somebody who has the master key must be found out."""
    keyring = load_keyring(Settings(database_url="postgresql://unused"), SYSTEM_CLOCK)
    return head_mac(keyring.outbox, log, size, root)
