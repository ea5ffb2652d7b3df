"""What an approved restore says is lost: those numbers of those processes, and no others. Pure."""

from collections.abc import Mapping
from typing import Any

from backend.audit.approval import approved
from backend.audit.verification.frame import Frame
from backend.audit.verification.numbers import Numbers
from ledger.restored import RESTORED


def excuse_lost(frame: Frame, key: bytes, numbers: Numbers) -> None:
    """Take the numbers that approved restores call lost for accounted for; `key` authenticates the approval."""
    for one in frame.announced:
        # a restore writes its entry into the ledger itself: one that waits in the outbox is none
        if one.event_type == RESTORED and one.seq is not None and approved(one.facts, key) is not None:
            _excuse(one.facts, numbers)


def _excuse(facts: Mapping[str, Any], numbers: Numbers) -> None:
    for lost in facts.get("missing", ()):
        try:
            numbers.excuse(str(lost["boot"]), int(lost["first"]), int(lost["last"]))
        except (KeyError, TypeError, ValueError):
            continue  # nothing is excused by what cannot be read
