"""Where tests find the public data that lies beside a checkout and is never part of it."""

from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def shared_data(path: str) -> Path:
    """Return a file or folder of the shared data, or skip the test and say what is missing."""
    found = _ROOT / path
    if not found.exists():
        pytest.skip(f"shared data absent: ../shared/data/{path}")
    return found
