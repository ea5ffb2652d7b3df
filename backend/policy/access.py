"""The policy's access part: roles, what they may do, their restrictions, and the rules of signing in."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, model_validator

from backend.policy.base import Count, Flag, Network, PolicyTable, PositiveAmount, PositiveCount, Text, Texts, unique
from contract.permissions import Permission

HARDWARE_KEY: Final = "hardware_key"
"""The name of that factor in the policy and in sessions."""
Permissions = Annotated[tuple[Permission, ...], AfterValidator(unique)]
"""None twice."""
NEVER_ELEVATED: Final = frozenset(
    {
        Permission.OWN_SESSION,
        Permission.APPROVE_ELEVATION,
        Permission.GRANT_ACCESS,
        Permission.REVIEW_ACCESS,
        Permission.MANAGE_USERS,
        Permission.MANAGE_SERVICE_TOKENS,
        Permission.RENEW_PERMIT,
        Permission.OBSERVE_HALTS,
        Permission.RECEIVE_ALERTS,
    }
)
"""What decides about access itself, which a borrowed permission must not, and what only machines do."""


class Restrictions(PolicyTable):
    """What the compliance document demands of the holders of a role."""

    max_trade_size_eth: PositiveAmount | None = None
    require_2fa: Flag = False
    require_hardware_key: Flag = False
    ip_whitelist: tuple[Network, ...] = ()
    """Empty: from anywhere."""
    read_only: Flag = False
    audit_trail: Literal["enhanced"] | None = None
    """`enhanced`: what holders read is in the audit log too."""
    time_based_access: Flag = False
    data_export_disabled: Flag = False


class RoleExtension(PolicyTable):
    """Permissions that Watchfloor's own routes need, kept apart from what the document grants."""

    permissions: tuple[Text, ...] = ()
    read_only_exceptions: Permissions = ()
    """What a `read_only` role may do all the same: permissions that are meant as acts."""
    elevatable: Permissions = ()
    """What holders may be granted for a time, by somebody else."""

    @model_validator(mode="after")
    def _elevation_has_bounds(self) -> Self:
        never = sorted(NEVER_ELEVATED.intersection(self.elevatable))
        if never:
            raise ValueError(f"elevatable must not name {', '.join(never)}")
        return self


class RoleTable(PolicyTable):
    """A role as the file states it."""

    permissions: Texts
    restrictions: Restrictions = Restrictions()
    watchfloor: RoleExtension = RoleExtension()


class PermissionRules(PolicyTable):
    """How stated permissions turn into held ones."""

    inherit: dict[str, Text] = {}
    """A name that stands for every permission of another role."""
    implies: dict[Permission, tuple[Permission, ...]] = {}
    """Holding the first means holding the others."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role with everything it holds worked out."""

    name: str
    permissions: frozenset[Permission]
    restrictions: Restrictions
    read_only_exceptions: frozenset[Permission] = frozenset()
    elevatable: frozenset[Permission] = frozenset()
    needs_hardware_key: bool = False
    """Stated as a restriction, or among the roles that sign in with one."""


def resolve_roles(
    tables: Mapping[str, RoleTable], rules: PermissionRules, hardware_key_roles: tuple[str, ...] = ()
) -> dict[str, Role]:
    """Work out what each role holds: stated, inherited and implied.

    Raises:
        ValueError: a permission or a role does not exist, or roles inherit from one another in a circle.
    """
    return {
        name: Role(
            name,
            _close(_stated(name, tables, rules, ()), rules),
            table.restrictions,
            frozenset(table.watchfloor.read_only_exceptions),
            frozenset(table.watchfloor.elevatable),
            table.restrictions.require_hardware_key or name in hardware_key_roles,
        )
        for name, table in tables.items()
    }


def _stated(
    name: str, tables: Mapping[str, RoleTable], rules: PermissionRules, path: tuple[str, ...]
) -> frozenset[Permission]:
    if name in path:
        raise ValueError(f"roles inherit in a circle: {' → '.join((*path, name))}")
    held: set[Permission] = set()
    for grant in (*tables[name].permissions, *tables[name].watchfloor.permissions):
        if grant in rules.inherit:
            held |= _stated(rules.inherit[grant], tables, rules, (*path, name))
        else:
            held.add(Permission(grant))
    return frozenset(held)


def _close(held: frozenset[Permission], rules: PermissionRules) -> frozenset[Permission]:
    implied = {further for permission in held for further in rules.implies.get(permission, ())}
    return held if implied <= held else _close(held | implied, rules)


class SignInRules(PolicyTable):
    """Watchfloor's own numbers of signing in."""

    failures_before_wait: PositiveCount
    """Wrong sign-ins in a row before the account has to wait."""
    first_wait_seconds: PositiveCount
    """The first wait; it doubles with each further failure."""
    longest_wait_seconds: PositiveCount
    min_password_chars: PositiveCount
    """Length of a password that a person chooses; generated ones are far beyond it."""
    totp_steps_of_tolerance: Count
    """How many 30 s steps a person's clock may be off, either way."""
    signing_key_days: PositiveCount
    """Age at which the key that signs session tokens is replaced."""
    service_token_days: PositiveCount
    """How long a machine's credential works."""
    local_networks: tuple[Network, ...] = ()
    """Addresses that an `ip_whitelist` never refuses."""

    @model_validator(mode="after")
    def _waits_grow(self) -> Self:
        if self.longest_wait_seconds < self.first_wait_seconds:
            raise ValueError("longest_wait_seconds must not be less than first_wait_seconds")
        return self

    def wait_seconds(self, failures: int) -> int:
        """How long an account waits after so many failures in a row; 0 while it need not."""
        beyond = failures - self.failures_before_wait
        if beyond < 0:
            return 0
        doublings = min(beyond, self.longest_wait_seconds.bit_length())
        return min(self.first_wait_seconds << doublings, self.longest_wait_seconds)


class SignIn(PolicyTable):
    """Authentication as the document asks for it."""

    session_hours: PositiveCount
    factors: Texts
    hardware_key_roles: tuple[Text, ...]
    token_claims: Texts
    watchfloor: SignInRules


def may_come_from(role: Role, rules: SignInRules, ip: str | None) -> bool:
    """Whether a role may be used from an address; no address means a local socket, which is allowed."""
    if ip is None or not role.restrictions.ip_whitelist:
        return True
    address = ip_address(ip)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:  # a socket that takes both families
        address = address.ipv4_mapped
    return any(address in network for network in (*role.restrictions.ip_whitelist, *rules.local_networks))


class WindowRules(PolicyTable):
    """When holders of a role with `time_based_access` may come in."""

    longest_days: PositiveCount
    """The longest window that may be granted at once."""


class ElevationRules(PolicyTable):
    """Permissions for a time, approved by another."""

    longest_minutes: PositiveCount
    request_minutes: PositiveCount
    """How long a request waits for somebody to decide."""


class ReviewRules(PolicyTable):
    """Who has what, looked at again and again."""

    scheduled_as: Text
    """Name of the entry of `audit_schedule` that opens one."""
    days_to_decide: PositiveCount
    unused_days: PositiveCount
    """An account nobody signed in to for so long counts as orphaned."""


class AccessRules(PolicyTable):
    """Watchfloor's own numbers of who may do what, and for how long."""

    executor_role: Text
    """The role whose `max_trade_size_eth` executors trade under."""
    windows: WindowRules
    elevation: ElevationRules
    reviews: ReviewRules
