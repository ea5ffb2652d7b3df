"""Owns what all commands share: the options --url and --json, the connection, and asking the backend from a command."""

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import click
from pydantic import BaseModel

from console.client import session
from console.client.api import Api
from console.client.touch import Touch, signer
from console.client.unanswered import Notes
from console.commands import output
from console.widgets import glyphs
from console.widgets.words import Sign
from contract.base import Page
from contract.errors import ExitCode

T = TypeVar("T")
P = ParamSpec("P")
_UNATTENDED: Final = frozenset({"status"})
"""Called by prompts and status bars: nobody need be there."""


class Call(NamedTuple):
    """One invocation: which server, as whom, and in which form to answer."""

    target: session.Target
    as_json: bool
    name: str
    """The command's name in the schema of its answer, `alerts.list`."""

    def ask(self, question: Callable[[Api], Awaitable[T]]) -> T:
        """Run one conversation with the backend."""

        async def conversation() -> T:
            async with Api(self.target.url, self.target.token, present=self.name not in _UNATTENDED) as api:
                api.touch = touch()
                api.notes = self.notes()
                return await question(api)

        return asyncio.run(conversation())

    def notes(self) -> Notes:
        """Where freezes of this account are noted while they have no answer."""
        directory = session.state_dir(os.environ)
        return Notes(directory, self.target.url, self.target.token, now=lambda: datetime.now(UTC))

    def answer(self, body: BaseModel | Mapping[str, Any], lines: Callable[[], list[str]]) -> None:
        """Write the answer: JSON when asked for, else text."""
        if self.as_json:
            output.write_json(self.name, body.model_dump(mode="json") if isinstance(body, BaseModel) else body)
        else:
            output.write_lines(lines())

    def answer_page(self, page: Page[Any], lines: Callable[[], list[str]]) -> None:
        """Write one page of a list, and on stderr how to get the next."""
        self.answer(page, lines)
        if page.next_cursor and not self.as_json:
            output.note(f"More: add --cursor {page.next_cursor}")


def touch() -> Touch:
    """The hardware key behind this shell's SSH agent or on USB; what has to be touched is said on stderr."""
    return Touch(lambda: signer(os.environ, pin_prompt()), output.note)


def pin_prompt() -> Callable[[], str] | None:
    """Asks for the PIN of a key on USB; None where nobody is there to be asked."""
    if not sys.stdin.isatty():
        return None
    return lambda: str(click.prompt("PIN of the security key", hide_input=True, err=True))


def command(name: str) -> Callable[[Callable[Concatenate[Call, P], T]], Callable[P, T]]:
    """Give a function the common options and the `Call` they make; `name` goes into the schema of its JSON."""

    def decorate(function: Callable[Concatenate[Call, P], T]) -> Callable[P, T]:
        @click.option("--url", metavar="URL", help="The backend; else WATCHFLOOR_URL, else the local one.")
        @click.option("--json", "as_json", is_flag=True, help="Write one JSON object to stdout.")
        @functools.wraps(function)
        def run(*args: P.args, **options: P.kwargs) -> T:
            url, as_json = options.pop("url"), bool(options.pop("as_json"))
            target = session.resolve(os.environ, url if isinstance(url, str) else None)
            return function(Call(target, as_json, name), *args, **options)

        return run

    return decorate


def paging(function: Callable[P, T]) -> Callable[P, T]:
    """Add the options of every list."""
    limit = click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True, help="Rows at most.")
    cursor = click.option("--cursor", metavar="TEXT", help="Go on where the last page ended.")
    return limit(cursor(function))


def glyph_set() -> glyphs.Glyphs:
    """The drawing characters that stdout can carry."""
    return glyphs.UNICODE if output.unicode_shown() else glyphs.ASCII


def sign(value: Sign, columns: int = 0) -> str:
    """A state as glyph and word, padded to so many columns, in its colour."""
    return output.painted(f"{value.glyph} {value.word}".ljust(columns), value.style)


def cell(value: Sign) -> output.Cell:
    """A state as a cell of a table."""
    return f"{value.glyph} {value.word}", value.style


def finish(code: ExitCode) -> None:
    """End the command with an exit code; OK simply returns."""
    if code is not ExitCode.OK:
        sys.stdout.flush()
        raise click.exceptions.Exit(int(code))


def write_new(path: Path, content: bytes, *, option: str = "--out") -> None:
    """Write a file that was not there before.

    Raises:
        click.BadParameter: it is there, or cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise click.BadParameter(f"{path}: {error.strerror}", param_hint=option) from error
