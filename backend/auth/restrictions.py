"""May this caller make this request? Role, restrictions and facts in, a refusal or nothing out. Pure.

Owns the meaning of every restriction that the policy can put on a role. Must never let a freeze wait for anything
beyond a sign-in: a session that lacks a factor or is locked may still freeze, and see what is frozen.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from backend.demand import Demand, Effect
from backend.policy.access import HARDWARE_KEY, Role, SignInRules, may_come_from
from contract.permissions import Permission

TWO_FACTORS: Final = 2
"""What `require_2fa` asks for, whichever they are."""
_ENHANCED: Final = "enhanced"


class Barrier(StrEnum):
    """What stands in the way of a request."""

    ADDRESS = "ip_whitelist"
    WINDOW = "time_based_access"
    LOCKED = "locked"
    ENROLMENT = "enrolment"
    TWO_FACTORS = "require_2fa"
    HARDWARE_KEY = "require_hardware_key"
    PERMISSION = "permission"
    READ_ONLY = "read_only"
    EXPORT = "data_export_disabled"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a signed-in person at the time of a request. None: not known, and then not held against them."""

    role: Role
    ip: str | None
    """None is a socket of this machine."""
    factors: frozenset[str] | None
    """What they signed in with."""
    window_open: bool | None
    """Whether one of their access windows is open; asked only of roles with `time_based_access`."""
    elevated: frozenset[Permission] = frozenset()
    """What others have granted them for a time, beyond their role."""
    locked: bool = False
    """Whether their session waits for its factors."""
    must_enrol: bool = False
    """Whether their account has lost its authenticator and has no new one yet."""

    @property
    def permissions(self) -> frozenset[Permission]:
        """Everything they hold now."""
        return self.role.permissions | self.elevated


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not."""

    barrier: Barrier
    message: str
    hint: str | None = None
    told: str = ""
    """For the audit log: without the address, which is sealed there."""


def judge(demand: Demand, standing: Standing, rules: SignInRules) -> Refusal | None:
    """Return what stands in the way of a request, None if nothing does.

    Restrictions stay in force under an elevation: it adds permissions, never exceptions.
    """
    return (
        _address(standing, rules)
        or _window(standing)
        or _session(demand, standing)
        or _permission(demand, standing)
        or _read_only(demand, standing)
        or _export(demand, standing)
    )


def is_standing(standing: Standing, rules: SignInRules) -> Refusal | None:
    """Return why an open connection ends: what stands in the way of whatever is asked, None if nothing does."""
    return _address(standing, rules) or _window(standing)


def is_watched(demand: Demand, role: Role) -> bool:
    """Whether a request is to leave an audit entry although it only reads (`audit_trail = "enhanced"`)."""
    reads = demand.effect in {Effect.READS, Effect.SEES_FREEZES} and not demand.recorded
    return reads and role.restrictions.audit_trail == _ENHANCED


def missing_factor(role: Role, factors: frozenset[str]) -> Barrier | None:
    """Return what a sign-in with these factors lacks for a role."""
    if role.needs_hardware_key and HARDWARE_KEY not in factors:
        return Barrier.HARDWARE_KEY
    if role.restrictions.require_2fa and len(factors) < TWO_FACTORS:
        return Barrier.TWO_FACTORS
    return None


def _address(standing: Standing, rules: SignInRules) -> Refusal | None:
    role = standing.role
    if may_come_from(role, rules, standing.ip):
        return None
    return Refusal(
        Barrier.ADDRESS,
        f"{role.name} may not be used from {standing.ip}.",
        "Connect from a network that the policy names for this role.",
        f"{role.name} may not be used from there",
    )


def _window(standing: Standing) -> Refusal | None:
    role = standing.role
    if not role.restrictions.time_based_access or standing.window_open is not False:
        return None
    return Refusal(
        Barrier.WINDOW,
        f"{role.name} may come in while an access window is open, and none is.",
        "Ask somebody who may grant access for a window.",
        "no access window is open",
    )


def _session(demand: Demand, standing: Standing) -> Refusal | None:
    if demand.effect in {Effect.FREEZES, Effect.SEES_FREEZES, Effect.UNLOCKS}:
        return None
    if standing.locked:
        return Refusal(
            Barrier.LOCKED,
            "Your session is locked, because nobody has used it for a while; freezing still works.",
            "Unlock it in the console, or with `watchfloor sessions unlock`.",
            "the session is locked",
        )
    if demand.effect is Effect.ENROLS:
        return None
    if standing.must_enrol and demand.effect is not Effect.SESSION:
        return Refusal(
            Barrier.ENROLMENT,
            "Your account has no authenticator: until it has one you may freeze and see freezes only.",
            "Enrol a new authenticator.",
            "the account has no authenticator",
        )
    missing = None if standing.factors is None else missing_factor(standing.role, standing.factors)
    if missing is None:
        return None
    what = "a hardware key" if missing is Barrier.HARDWARE_KEY else "two factors"
    return Refusal(
        missing,
        f"{standing.role.name} needs a sign-in with {what}, and this session had none; freezing still works.",
        "Sign in again with every factor that the role needs.",
        f"signed in without {what}",
    )


def _permission(demand: Demand, standing: Standing) -> Refusal | None:
    if demand.permission in standing.permissions:
        return None
    return lacks(demand.permission, standing.role.name)


def lacks(permission: Permission, role: str) -> Refusal:
    """The refusal of whoever does not hold a permission."""
    return Refusal(
        Barrier.PERMISSION,
        f"This needs the permission {permission.value}, which {role} does not hold.",
        told=f"{role} lacks {permission.value}",
    )


def _read_only(demand: Demand, standing: Standing) -> Refusal | None:
    role = standing.role
    if not role.restrictions.read_only or demand.effect is not Effect.CHANGES:
        return None
    if demand.permission in role.read_only_exceptions:
        return None
    return Refusal(
        Barrier.READ_ONLY,
        f"{role.name} may read only, and this changes something (read_only).",
        "The policy names what such a role may do all the same: read_only_exceptions.",
        f"{role.name} is read-only",
    )


def _export(demand: Demand, standing: Standing) -> Refusal | None:
    role = standing.role
    if not (demand.exports and role.restrictions.data_export_disabled):
        return None
    return Refusal(
        Barrier.EXPORT,
        f"The role {role.name} must not take data out (data_export_disabled).",
        "Ask somebody whose role may.",
        f"data export is disabled for {role.name}",
    )
