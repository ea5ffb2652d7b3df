"""The audit."""

from console.screens.base import FloorScreen


class AuditScreen(FloorScreen):
    TITLE_TEXT = "Audit"

    def search(self, text: str) -> None: ...
