"""Reads what Patroni's nodes say. Pure: answers in, a view out. Every value is a stranger's until it has passed here.

A node is believed about itself. What the others say of it may be as old as the leader's lock lives: the node that was
killed is listed as the running leader for twenty seconds and more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from backend.continuity.cluster.patroni_line import shown
from contract.recovery import ClusterNode, NodeRole

MAX_MEMBERS: Final = 50
_NAME_CHARS: Final = 63
_MOST_BYTES: Final = 2**63 - 1
_LONGEST_S: Final = 86_400
_PRIMARY: Final = frozenset({"primary", "master"})
"""What it is called from version 4 on, and was before."""
_LEADER: Final = frozenset({"leader", "standby_leader"})
_IN_STEP: Final = frozenset({"sync_standby", "quorum_standby"})
_STOPPED: Final = frozenset(
    {"stopped", "crashed", "start failed", "stop failed", "restart failed", "initdb failed", "initializing new cluster"}
)
_FOLLOWING: Final = frozenset({"streaming", "in archive recovery", "running"})
STREAMING: Final = "streaming"
AWAY: Final = "does not answer"
_DEFAULT_TTL_S: Final = 30
_DEFAULT_LOOP_S: Final = 10


@dataclass(frozen=True, slots=True)
class Said:
    """What one node says of itself."""

    address: str
    name: str
    scope: str
    role: NodeRole
    state: str
    timeline: int | None = None
    location: int | None = None
    """Of a primary: where its log ends. Of a standby: how much of it has arrived."""
    in_step: bool = False
    paused: bool = False
    unlocked: bool = False
    """It knows of no leader, or does not reach the store that says who it is."""


@dataclass(frozen=True, slots=True)
class Member:
    """What the store says of one node."""

    name: str
    leads: bool
    in_step: bool
    state: str
    address: str
    timeline: int | None
    lag_bytes: int | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The cluster's own settings, as far as a drill depends on them."""

    ttl_s: int = _DEFAULT_TTL_S
    loop_s: int = _DEFAULT_LOOP_S
    synchronous: bool = False
    strict: bool = False
    failsafe: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the primary, from the cluster's history."""

    timeline: int
    """The one that ended."""
    at: str
    to: str


@dataclass(frozen=True, slots=True)
class View:
    """Everything that was answered at one moment."""

    said: Mapping[str, Said | str]
    """By address; a text is why there is no answer."""
    members: Sequence[Member] | None
    """None: no node could ask the store."""
    rules: Rules | None
    history: Sequence[Change] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of addresses from earlier answers."""

    @property
    def answers(self) -> list[Said]:
        """Of the nodes that did."""
        return [one for one in self.said.values() if isinstance(one, Said)]

    @property
    def scope(self) -> str:
        """The cluster's name; empty where nobody or not everybody says the same."""
        scopes = {one.scope for one in self.answers}
        return scopes.pop() if len(scopes) == 1 else ""

    @property
    def paused(self) -> bool:
        """Whether the cluster's own failover is switched off."""
        return any(one.paused for one in self.answers)

    def nodes(self) -> list[ClusterNode]:
        """Every node, by name: those that are configured and those that only others speak of."""
        members = {member.name: member for member in self.members or ()}
        found = [self._node(address, one, members) for address, one in self.said.items()]
        known = {node.name for node in found}
        found += [_unasked(member) for member in members.values() if member.name not in known]
        return sorted(found, key=lambda node: node.name)

    def _node(self, address: str, one: Said | str, members: Mapping[str, Member]) -> ClusterNode:
        name = one.name if isinstance(one, Said) else self.names.get(address, address)
        member = members.get(name)
        where = "" if member is None else member.address
        if isinstance(one, str):
            return ClusterNode(name=name, role=NodeRole.UNKNOWN, state=AWAY, address=where)
        follows = one.role is NodeRole.STANDBY
        return ClusterNode(
            name=name,
            role=one.role,
            state=one.state,
            timeline=one.timeline,
            lag_bytes=self._lag(one, member) if follows else None,
            synchronous=follows and (one.in_step or (member is not None and member.in_step)),
            address=where,
        )

    def _lag(self, standby: Said, member: Member | None) -> int | None:
        ends = [one.location for one in self.answers if one.role is NodeRole.PRIMARY]
        if len(ends) == 1 and ends[0] is not None and standby.location is not None:
            return max(0, ends[0] - standby.location)  # now; what the store knows is a round old
        return None if member is None else member.lag_bytes


def _unasked(member: Member) -> ClusterNode:
    role = NodeRole.STANDBY if not member.leads and member.state in _FOLLOWING else NodeRole.UNKNOWN
    return ClusterNode(
        name=member.name, role=role, state=member.state, timeline=member.timeline, lag_bytes=member.lag_bytes,
        synchronous=role is NodeRole.STANDBY and member.in_step, address=member.address,
    )  # fmt: skip


def said_of(address: str, answer: Any) -> Said | str:
    """What a node says of itself, or why that is nothing."""
    own = _table(_table(answer).get("patroni"))
    name, scope = _name(own.get("name")), _name(own.get("scope"))
    if not name or not scope:
        return "its answer is not Patroni's"
    body = _table(answer)
    state = shown(str(body.get("state", "")), _NAME_CHARS)
    role = _role(str(body.get("role", "")), state)
    xlog = _table(body.get("xlog"))
    streams = body.get("replication_state")
    return Said(
        address=address,
        name=name,
        scope=scope,
        role=role,
        state=shown(streams, _NAME_CHARS) if isinstance(streams, str) and role is NodeRole.STANDBY else state,
        timeline=_number(body.get("timeline"), _MOST_BYTES),
        location=_number(xlog.get("location" if role is NodeRole.PRIMARY else "received_location"), _MOST_BYTES),
        in_step=body.get("sync_standby") is True or body.get("quorum_standby") is True,
        paused=body.get("pause") is True,
        unlocked=body.get("cluster_unlocked") is True,
    )


def _role(role: str, state: str) -> NodeRole:
    if state in _STOPPED:
        return NodeRole.STOPPED
    if state != "running":  # starting, stopping, creating replica, unknown, or a word of a later version
        return NodeRole.UNKNOWN
    return NodeRole.PRIMARY if role in _PRIMARY else NodeRole.STANDBY


def members_of(answer: Any) -> list[Member] | None:
    """What the store says of the nodes; None where it says nothing."""
    listed = _table(answer).get("members")
    if not isinstance(listed, list):
        return None
    return [found for one in listed[:MAX_MEMBERS] if (found := _member(_table(one))) is not None]


def _member(body: Mapping[str, Any]) -> Member | None:
    name, role = _name(body.get("name")), body.get("role")
    if not name or not isinstance(role, str):
        return None
    host, port = body.get("host"), _number(body.get("port"), 65_535)
    return Member(
        name=name,
        leads=role in _LEADER,
        in_step=role in _IN_STEP,
        state=shown(str(body.get("state", "")), _NAME_CHARS),
        address=f"{shown(host, _NAME_CHARS)}:{port}" if isinstance(host, str) and port else "",
        timeline=_number(body.get("timeline"), _MOST_BYTES),
        lag_bytes=_number(body.get("receive_lag", body.get("lag")), _MOST_BYTES),
    )


def rules_of(answer: Any) -> Rules | None:
    """The cluster's own settings."""
    body = _table(answer)
    if not body:
        return None
    return Rules(
        ttl_s=_number(body.get("ttl"), _LONGEST_S) or _DEFAULT_TTL_S,
        loop_s=_number(body.get("loop_wait"), _LONGEST_S) or _DEFAULT_LOOP_S,
        synchronous=_is_on(body.get("synchronous_mode")),
        strict=_is_on(body.get("synchronous_mode_strict")),
        failsafe=_is_on(body.get("failsafe_mode")),
    )


def history_of(answer: Any) -> list[Change]:
    """The changes of the primary, oldest first; the newest fifty."""
    found = []
    for line in answer[-MAX_MEMBERS:] if isinstance(answer, list) else ():
        if not isinstance(line, list) or len(line) < 4:  # noqa: PLR2004  timeline, place, reason, time, then the node
            continue
        timeline, at = _number(line[0], _MOST_BYTES), line[3]
        if timeline is not None and isinstance(at, str):
            found.append(Change(timeline=timeline, at=shown(at, 40), to=_name(line[4]) if len(line) > 4 else ""))  # noqa: PLR2004
    return found


def _is_on(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in {"on", "true", "yes", "quorum"})


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _name(value: Any) -> str:
    return shown(value, _NAME_CHARS) if isinstance(value, str) else ""


def _number(value: Any, most: int) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most else None
