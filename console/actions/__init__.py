"""The one table of everything an operator can do: keys, names, help, permission and danger of each action.

Key line, `?` help, palette, `:` line, documents and tests read it. Must never import Textual or act by itself.
"""

from collections.abc import Iterable
from typing import Final

from console.actions import (
    alerts,
    audit,
    everywhere,
    floor,
    incidents,
    moving,
    notifications,
    privacy,
    recovery,
    sessions,
)
from console.actions.kinds import Action, Context, Danger
from contract.permissions import Permission

__all__ = [
    "ACTIONS", "Action", "Context", "Danger", "all_commands", "by_id", "commands", "find", "in_contexts", "refusal",
    "starts_sequence",
]  # fmt: skip

ACTIONS: Final[tuple[Action, ...]] = (
    *alerts.WORKING,
    *floor.ON_THE_FLOOR,
    *alerts.SILENCES,
    *alerts.JOINING,
    *audit.SEARCHING,
    *privacy.ERASING,
    *privacy.HOLDING,
    *sessions.SESSIONS,
    *sessions.LOCKED,
    *floor.DRILLING,
    *recovery.LISTED,
    *recovery.ONE,
    *recovery.BACKUPS,
    *notifications.TOLD,
    *incidents.LISTED,
    *incidents.RECORD,
    *incidents.FIGURES,
    *incidents.EVIDENCE,
    *incidents.FOLLOW_UPS,
    *incidents.POSTMORTEM,
    *incidents.TYPING,
    *audit.VERIFYING,
    *moving.LISTS,
    *floor.FREEZING,
    *floor.FOLLOWING,
    *alerts.MORE,
    *audit.LEDGER,
    *moving.SCREENS,
    *incidents.GO,
    *recovery.GO,
    *notifications.GO,
    *everywhere.EVERYWHERE,
    *everywhere.DIALOGS,
)
"""In the order of the key line: what is nearest to the work first, so that a narrow screen shows that."""

_BY_ID: Final = {action.id: action for action in ACTIONS}


def by_id(action_id: str) -> Action:
    """The action of an id.

    Raises:
        KeyError: no such action.
    """
    return _BY_ID[action_id]


def in_contexts(contexts: Iterable[Context]) -> list[Action]:
    """All actions that work in any of these contexts, in the order of the table."""
    wanted = set(contexts)
    return [action for action in ACTIONS if wanted.intersection(action.contexts)]


def find(keys: str, contexts: Iterable[Context]) -> Action | None:
    """The action of a key, or of two keys joined by a space; the first context that knows the key decides."""
    for context in contexts:
        for action in ACTIONS:
            if context in action.contexts and keys in action.keys:
                return action
    return None


def starts_sequence(key: str, contexts: Iterable[Context]) -> bool:
    """Whether a key is the first of two."""
    start = f"{key} "
    return any(known.startswith(start) for action in in_contexts(contexts) for known in action.keys)


def refusal(action: Action, permissions: frozenset[Permission] | None, role: str) -> str:
    """Why a role may not do this, in one plain sentence; empty if it may."""
    if action.permission is None or permissions is None or action.permission in permissions:
        return ""
    return f"Your role {role or 'has no name'} may not do this: it lacks {action.permission.value}."


def commands(contexts: Iterable[Context]) -> dict[str, Action]:
    """What can be typed after `:` in these contexts, by name."""
    return {action.command: action for action in in_contexts(contexts) if action.command}


def all_commands() -> dict[str, Action]:
    """Every command, by name."""
    return {action.command: action for action in ACTIONS if action.command}
