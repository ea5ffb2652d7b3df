"""Owns the options that take a point in time."""

from datetime import UTC, datetime
from typing import Final

import click

from console.state.instants import FORMS, parse_instant

SINCE_HELP: Final = f"Only from this time on: {FORMS}."


def instant_option(_context: click.Context, _option: click.Parameter, value: str | None) -> str:
    """Read an option's time into what a route takes; absent stays empty."""
    if not value:
        return ""
    try:
        return parse_instant(value, datetime.now(UTC)).isoformat()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from error
