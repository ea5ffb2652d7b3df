"""What a view of a Patroni cluster means, in sentences. Pure; asks nobody."""

from backend.continuity.cluster.patroni_read import AWAY, STREAMING, View
from contract.recovery import ClusterNode, NodeRole


def problem_of(view: View) -> str:
    """What is wrong, worst first; empty when all is well."""
    if not view.answers:
        told = "; ".join(f"{view.names.get(address, address)}: {why}" for address, why in view.said.items())
        return f"No node of the cluster answers: {told}."
    scopes = sorted({one.scope for one in view.answers})
    if len(scopes) > 1:
        return f"The nodes belong to different clusters: {', '.join(scopes)}."
    nodes = view.nodes()
    return " ".join([*_of_primary(view, nodes), *_of_store(view), *_of_others(view, nodes)])


def _of_primary(view: View, nodes: list[ClusterNode]) -> list[str]:
    primaries = [node.name for node in nodes if node.role is NodeRole.PRIMARY]
    if len(primaries) == 1:
        return []
    if primaries:
        return [f"{' and '.join(primaries)} both say that they are the primary: stop one of them at once."]
    leader = next((member.name for member in view.members or () if member.leads), None)
    if leader is None:
        return ["No node is the primary."]
    ttl = "" if view.rules is None else f", which lives for {view.rules.ttl_s} s"
    return [f"No node says that it is the primary; {leader} holds the leader's lock{ttl}."]


def _of_store(view: View) -> list[str]:
    if view.members is None:
        return ["No node reaches the store in which Patroni keeps who leads."]
    return []


def _of_others(view: View, nodes: list[ClusterNode]) -> list[str]:
    found = [f"{node.name} {AWAY}." for node in nodes if node.role is NodeRole.UNKNOWN and node.state == AWAY]
    for node in nodes:
        ill = node.role is NodeRole.STOPPED or (node.role is NodeRole.UNKNOWN and node.state != AWAY)
        if ill or (node.role is NodeRole.STANDBY and node.state != STREAMING):
            found.append(f"{node.name} does not follow: {node.state or 'it does not say how it is'}.")
    if len(nodes) == 1:
        found.append("There is no standby.")
    if view.rules is not None and view.rules.synchronous and not any(node.synchronous for node in nodes):
        found.append("Commits are meant to wait for a standby, and none is in step.")
    if view.paused:
        found.append("Patroni is paused: it replaces no primary that is lost.")
    return found


def remarks_of(view: View) -> list[str]:
    """What the cluster's own settings mean for a drill."""
    rules = view.rules
    if rules is None:
        return []
    found = [f"A primary that is lost is replaced after {rules.ttl_s} s or more (ttl {rules.ttl_s} s)."]
    if not rules.synchronous:
        found.append(
            "synchronous_mode is off: what was stored last is lost with the primary, and after a kill of Patroni alone "
            "two primaries take writes. Switch it on: patronictl edit-config -s synchronous_mode=true."
        )
    elif not rules.strict:
        found.append("synchronous_mode is on, not strict: without any standby the primary goes on alone.")
    store = "goes on while it reaches all the others" if rules.failsafe else "takes no more writes"
    found.append(
        f"failsafe_mode is {'on' if rules.failsafe else 'off'}: when Patroni's store is away the primary {store}."
    )
    if view.history:
        last = view.history[-1]
        to = f" to {last.to}" if last.to else ""
        found.append(f"The primary last changed at {last.at}{to}; {len(view.history)} changes are remembered.")
    return found
