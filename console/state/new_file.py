"""Owns whether a name typed into a dialog can become a new file. Looks at the disk, changes nothing."""

from pathlib import Path


def why_not(typed: str) -> str:
    """What is still to be done before the file can be written; empty when nothing is."""
    if not typed:
        return "name the file"
    try:
        target = Path(typed).expanduser()
        if target.exists():
            return "choose a new name: this file exists"
        return "" if target.parent.is_dir() else "choose a directory that exists"
    except (OSError, RuntimeError, ValueError):
        return "choose a name that can be written"
