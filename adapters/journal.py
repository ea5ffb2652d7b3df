"""What an adapter did and saw, a JSON object a line: on standard output, and in a file as evidence. Never a secret."""

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TextIO

MAX_NOTE_CHARS: Final = 2_000
"""Of what the software itself said."""


class Journal:
    """Writes lines, each flushed before the next step is taken."""

    def __init__(
        self,
        adapter: str,
        executors: Sequence[str],
        *,
        now: Callable[[], datetime],
        file: Path | None = None,
        out: TextIO | None = None,
    ) -> None:
        """Begin; `file` is appended to, readable by its owner only.

        Raises:
            OSError: it cannot be written.
        """
        self._about = {"adapter": adapter, "executors": list(executors)}
        self._now = now
        self._outs: list[TextIO] = [out or sys.stdout]
        if file is not None:
            file.touch(mode=0o600)
            self._outs.append(file.open("a", encoding="utf-8"))

    def write(self, what: str, note: str, **more: object) -> None:
        """Write one line."""
        line = {"at": self._now().isoformat(), **self._about, "what": what, "note": printable(note), **more}
        text = json.dumps(line, ensure_ascii=False, default=list) + "\n"
        for out in self._outs:
            out.write(text)
            out.flush()

    def close(self) -> None:
        """Close the file."""
        for out in self._outs[1:]:
            out.close()


def printable(text: str) -> str:
    """Return text from outside without anything that could act on a terminal, bounded."""
    shown = "".join(one if one.isprintable() else " " for one in text[:MAX_NOTE_CHARS])
    return shown if len(text) <= MAX_NOTE_CHARS else f"{shown}… ({len(text):,} characters)"
