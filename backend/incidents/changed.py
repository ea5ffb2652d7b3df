"""Two people changing the record at once: each fact has the version that changed it last. Pure."""

from collections.abc import Mapping
from typing import Any


def differing(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wants that is not so already."""
    return {fact: value for fact, value in wanted.items() if now[fact] != value}


def overtaken(changed_in: Mapping[str, int], wanted: Mapping[str, Any], seen_version: int | None) -> list[str]:
    """Facts somebody wants to change that others changed after the version they had on the screen.

    Without a version nothing is overtaken: whoever sends none wants it whatever stands there.
    """
    if seen_version is None:
        return []
    return sorted(fact for fact in wanted if changed_in.get(fact, 1) > seen_version)


def raised(changed_in: Mapping[str, int], facts: Mapping[str, Any], version: int) -> dict[str, int]:
    """The versions of all facts after some were changed in one."""
    return {**changed_in, **dict.fromkeys(facts, version)}
