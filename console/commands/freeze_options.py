"""Options that the commands about freezes share: a scope as it is typed, and a reason in words."""

from typing import Any

import click
from pydantic import ValidationError

from contract.scope import Scope


def scope_typed(_context: click.Context, _option: click.Parameter, value: Any) -> Any:
    """Read one scope, or each of several.

    Raises:
        click.BadParameter: it is none, and why.
    """
    if isinstance(value, tuple):
        return tuple(map(_read, value))
    return _read(value)


def _read(value: str) -> Scope:
    try:
        return Scope.parse(value)
    except ValidationError as error:
        raise click.BadParameter(str(error.errors()[0]["msg"]).removeprefix("Value error, ")) from error
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def reason_given(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Refuse an empty reason.

    Raises:
        click.BadParameter: there are no words in it.
    """
    if not value.strip():
        raise click.BadParameter("say in a few words why.")
    return value
