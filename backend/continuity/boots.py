"""Which start of the machine this is: what was told by its monotonic clock, or by a process's number, ends with it."""

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The name of this start of the machine; a dash where it tells none: then it counts as the same one always."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip() or "-"
    except OSError:
        return "-"
