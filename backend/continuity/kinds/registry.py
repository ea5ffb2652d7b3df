"""Which kind of step is done by what. Holds no rule."""

from collections.abc import Mapping
from typing import Final

from backend.continuity.kinds.base import Kind

KINDS: Final[Mapping[str, Kind]] = {}
"""By the word of the policy."""
