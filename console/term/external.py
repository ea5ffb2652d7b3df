"""Owns how a text is written in the operator's own editor: the console leaves the terminal to it and takes it back.

The file is readable by its owner alone and gone afterwards; meanwhile the console goes on hearing, and paints nothing.
"""

import asyncio
import os
import shlex
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from textual.app import App, SuspendNotSupported

EDITOR_VARIABLES: Final = ("VISUAL", "EDITOR")


class EditorRefusedError(Exception):
    """There is no editor, or it failed; the text is as before."""


def editor_command(environ: Mapping[str, str]) -> list[str]:
    """The editor that the operator has chosen.

    Raises:
        EditorRefusedError: none, or its name cannot be read.
    """
    wanted = next((environ[name] for name in EDITOR_VARIABLES if environ.get(name, "").strip()), "")
    try:
        command = shlex.split(wanted)
    except ValueError as error:
        raise EditorRefusedError(f"$EDITOR cannot be read: {error}.") from error
    if not command:
        raise EditorRefusedError("Neither $VISUAL nor $EDITOR names an editor.")
    return command


@contextmanager
def text_file(text: str, name: str) -> Iterator[Path]:
    """A file of its owner alone that holds the text, in a directory of its owner alone; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="watchfloor-") as directory:
        path = Path(directory) / f"{name}.md"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield path


async def edit_outside(app: App[Any], text: str, command: list[str], begun: Callable[[Path], None]) -> str:
    """Run the editor on the terminal until it ends; `begun` is told the file. Returns the text it left.

    Raises:
        EditorRefusedError: the terminal cannot be left, the editor does not run, or it failed.
    """
    with text_file(text, "section") as path:
        begun(path)
        try:
            with app.suspend(), app.batch_update(), _no_interrupt():
                process = await asyncio.create_subprocess_exec(*command, str(path))
                code = await process.wait()
            written = path.read_text(encoding="utf-8", errors="replace")
        except SuspendNotSupported as error:
            raise EditorRefusedError("This terminal cannot be left to an editor.") from error
        except OSError as error:
            raise EditorRefusedError(f"{command[0]} does not run: {error.strerror or error}.") from error
    if code != 0:
        raise EditorRefusedError(f"{command[0]} ended with {code}: the text is as before.")
    return written.replace("\x00", "").removesuffix("\n")


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl+C in the editor is the editor's. A handler that does nothing is not handed down to it, unlike `ignore`."""

    def nothing(_: int, __: FrameType | None) -> None:
        """The key was meant for the editor."""

    before = signal.signal(signal.SIGINT, nothing)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
