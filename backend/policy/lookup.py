"""Finds things in a policy's raw data, which need not be valid, for checks that span tables. Pure; owns no check."""

from typing import Any

from backend.policy.mistakes import did_you_mean


def table_of(data: Any, *path: str) -> dict[str, Any]:
    """The table at a path; an empty one where there is none."""
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def list_of(data: Any, *path: str) -> list[Any]:
    """The list at a path; an empty one where there is none."""
    found = table_of(data, *path[:-1]).get(path[-1])
    return found if isinstance(found, list) else []


def no_such(what: str, name: Any, known: Any) -> str:
    """Say that a name refers to nothing, and which one may have been meant."""
    return f"there is no {what} {str(name)!r}{did_you_mean(str(name), known)}"
