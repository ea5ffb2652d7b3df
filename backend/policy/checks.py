"""Checks that span tables of a policy: do the names fit together? Works on raw data, so that it always runs."""

from collections.abc import Iterator
from typing import Any

from backend.policy import recovery_checks
from backend.policy.lookup import list_of as _list
from backend.policy.lookup import no_such as _no_such
from backend.policy.lookup import table_of as _table
from backend.policy.mistakes import Path
from backend.policy.model import Policy
from contract.permissions import Permission

Finding = tuple[Path, str]
_ACTS = frozenset(
    {
        Permission.EXECUTE_TRADES,
        Permission.MODIFY_STRATEGIES,
        Permission.IMPORT_TRANSACTIONS,
        Permission.IMPORT_AUDIT_LOGS,
    }
)
"""What a role that the document calls read-only must not hold; freezing is meant to be held by one."""


def wrong_names(data: dict[str, Any]) -> Iterator[Finding]:
    """Names that refer to nothing, in data that need not be valid otherwise."""
    roles = _table(data, "roles")
    inherit = _table(data, "permissions", "inherit")
    yield from _unknown_permissions(roles, inherit)
    for name, role in inherit.items():
        if role not in roles:
            yield ("permissions", "inherit", name), _no_such("role", role, roles)
    for index, role in enumerate(_list(data, "sign_in", "hardware_key_roles")):
        if role not in roles:
            yield ("sign_in", "hardware_key_roles", index), _no_such("role", role, roles)
    sealed = _table(data, "watchfloor", "identity").get("break_glass_role")
    if isinstance(sealed, str) and sealed not in roles:
        yield ("watchfloor", "identity", "break_glass_role"), _no_such("role", sealed, roles)
    for group, role in _table(data, "watchfloor", "sso", "roles").items():
        if role not in roles:
            yield ("watchfloor", "sso", "roles", group), _no_such("role", role, roles)
        elif role == sealed:
            yield ("watchfloor", "sso", "roles", group), f"only the sealed account has the role {role}"
    yield from _circles(roles, inherit)
    yield from _unknown_categories(data)
    yield from _unknown_classes(data)
    yield from _unknown_of_access(data, roles)
    yield from _unknown_steps(data)
    yield from _unknown_people(data)
    yield from recovery_checks.wrong_names(data)


def _unknown_of_access(data: dict[str, Any], roles: dict[str, Any]) -> Iterator[Finding]:
    access = _table(data, "watchfloor", "access")
    role = access.get("executor_role")
    if isinstance(role, str) and role not in roles:
        yield ("watchfloor", "access", "executor_role"), _no_such("role", role, roles)
    named = _table(access, "reviews").get("scheduled_as")
    known = {one.get("name") for one in _list(data, "audit_schedule") if isinstance(one, dict)}
    if isinstance(named, str) and named not in known:
        yield ("watchfloor", "access", "reviews", "scheduled_as"), _no_such("scheduled audit", named, known)


def _unknown_steps(data: dict[str, Any]) -> Iterator[Finding]:
    known = {one.get("step") for one in _list(data, "incidents", "procedure") if isinstance(one, dict)}
    for when in ("begun", "done"):
        for step in _table(data, "watchfloor", "incidents", when):
            if step not in known:
                yield ("watchfloor", "incidents", when, step), _no_such("step of the procedure", step, known)


def _unknown_people(data: dict[str, Any]) -> Iterator[Finding]:
    directory = _table(data, "watchfloor", "directory")
    for severity, steps in _table(data, "watchfloor", "escalation").items():
        for at, step in enumerate(steps if isinstance(steps, list) else []):
            for index, name in enumerate(_list(step, "people")):
                if isinstance(name, str) and name.strip() not in directory:
                    place = ("watchfloor", "escalation", severity, at, "people", index)
                    yield place, _no_such("entry of watchfloor.directory", name.strip(), directory)


def _unknown_permissions(roles: dict[str, Any], inherit: dict[str, Any]) -> Iterator[Finding]:
    known = {permission.value for permission in Permission} | set(inherit)
    for role in roles:
        for path in (("permissions",), ("watchfloor", "permissions")):
            for index, permission in enumerate(_list(roles, role, *path)):
                if isinstance(permission, str) and permission not in known:
                    yield ("roles", role, *path, index), _no_such("permission", permission, known)


def _circles(roles: dict[str, Any], inherit: dict[str, Any]) -> Iterator[Finding]:
    for start in roles:
        path, here = [start], _parents(roles, inherit, start)
        while here:
            role = here.pop()
            if role == start:
                yield ("roles", start, "permissions"), f"inherits from itself: {' → '.join((*path, start))}"
                break
            if role not in path:
                path.append(role)
                here += _parents(roles, inherit, role)


def _parents(roles: dict[str, Any], inherit: dict[str, Any], role: str) -> list[str]:
    stated = [*_list(roles, role, "permissions"), *_list(roles, role, "watchfloor", "permissions")]
    return [inherit[grant] for grant in stated if isinstance(grant, str) and inherit.get(grant) in roles]


def _unknown_categories(data: dict[str, Any]) -> Iterator[Finding]:
    categories = _table(data, "audit", "categories")
    mapping = _table(data, "audit", "watchfloor")
    for name in _table(mapping, "event_types"):
        if name not in categories:
            yield ("audit", "watchfloor", "event_types", name), _no_such("audit category", name, categories)
    for name in _table(mapping, "when_unwritable"):
        if name not in categories:
            yield ("audit", "watchfloor", "when_unwritable", name), _no_such("audit category", name, categories)
    fallback = mapping.get("fallback")
    if isinstance(fallback, str) and fallback not in categories:
        yield ("audit", "watchfloor", "fallback"), _no_such("audit category", fallback, categories)


def _unknown_classes(data: dict[str, Any]) -> Iterator[Finding]:
    classes = _table(data, "data_classification")
    for index, name in enumerate(_list(data, "privacy", "watchfloor", "need_to_know")):
        if isinstance(name, str) and name not in classes:
            yield ("privacy", "watchfloor", "need_to_know", index), _no_such("data class", name, classes)
    for field, name in _table(data, "privacy", "watchfloor", "fields").items():
        if isinstance(name, str) and name not in classes:
            yield ("privacy", "watchfloor", "fields", field), _no_such("data class", name, classes)


def doubts(policy: Policy) -> Iterator[Finding]:
    """What is allowed and probably not meant."""
    held = frozenset[Permission]().union(*(role.permissions for role in policy.roles.values()))
    for name, role in policy.roles.items():
        if Permission.OWN_SESSION not in role.permissions:
            yield ("roles", name), "lacks own_session: its holders can never sign out or see who they are"
        if role.restrictions.read_only and role.permissions & _ACTS:
            acts = ", ".join(sorted(role.permissions & _ACTS))
            yield ("roles", name, "restrictions", "read_only"), f"is set, yet the role holds {acts}"
        worthless = (role.elevatable & _ACTS) - role.read_only_exceptions
        if role.restrictions.read_only and worthless:
            acts = ", ".join(sorted(worthless))
            yield ("roles", name, "watchfloor", "elevatable"), f"names {acts}, which a read-only role never may"
    if any(role.elevatable for role in policy.roles.values()) and Permission.APPROVE_ELEVATION not in held:
        yield ("roles",), "an elevation could never be approved: no role holds approve_elevation"
    timed = any(role.restrictions.time_based_access for role in policy.roles.values())
    if timed and Permission.GRANT_ACCESS not in held:
        yield ("roles",), "an access window could never be granted: no role holds grant_access"
    if Permission.FREEZE_OPERATIONS in held and Permission.APPROVE_THAW not in held:
        yield ("roles",), "a freeze could never be lifted: no role holds approve_thaw"
    if Permission.FREEZE_OPERATIONS not in held:
        yield ("roles",), "nobody could stop trading: no role holds freeze_operations"
    yield from recovery_checks.doubts(policy.recovery)
