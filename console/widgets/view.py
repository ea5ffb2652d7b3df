"""Owns what every drawing function is given: room, characters and time."""

from datetime import datetime
from typing import NamedTuple

from console.widgets.glyphs import Glyphs


class View(NamedTuple):
    """The conditions under which lines are drawn."""

    width: int
    height: int
    glyphs: Glyphs
    desk_now: datetime
    """The operator's clock; `Floor.now` turns it into the server's."""

    def sized(self, width: int, height: int | None = None) -> "View":
        """The same conditions in other room."""
        return self._replace(width=max(width, 0), height=self.height if height is None else max(height, 0))
