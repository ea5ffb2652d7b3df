"""Owns what a half-typed command could become. Pure."""

from collections.abc import Callable, Iterable


def complete(text: str, names: Iterable[str], arguments: Callable[[str], list[str]]) -> list[str]:
    """Whole command lines that a text could grow into: command names first, then the arguments of a finished name."""
    name, space, argument = text.lstrip().partition(" ")
    if not space:
        return sorted(candidate for candidate in names if candidate.startswith(name))
    wanted = argument.strip().lower()
    starting = [one for one in arguments(name) if one.lower().startswith(wanted)]
    containing = [one for one in arguments(name) if wanted in one.lower() and one not in starting]
    return [f"{name} {one}" for one in (*starting, *containing)]


def closest(name: str, names: Iterable[str]) -> str | None:
    """The one command that a shortened name can mean; None if there is none or more than one."""
    known = list(names)
    if name in known:
        return name
    starting = [candidate for candidate in known if candidate.startswith(name)] if name else []
    return starting[0] if len(starting) == 1 else None
