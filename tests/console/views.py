"""Views for tests that draw without an application."""

from datetime import datetime

from console.widgets.glyphs import UNICODE, Glyphs
from console.widgets.view import View
from tests.console.floor_models import NOW


def view(width: int = 80, height: int = 24, *, glyphs: Glyphs = UNICODE, at: datetime = NOW) -> View:
    """Room, characters and time."""
    return View(width, height, glyphs, at)
