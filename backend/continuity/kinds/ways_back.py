"""What a person does to a cluster that a drill could not bring back, in commands, by how it stands then. Pure."""

from collections.abc import Iterator

from backend.continuity.cluster.port import Cluster
from backend.continuity.kinds import standing
from contract.recovery import Topology

PATRONI = "patroni"
_PAIR_AGENT = "curl --unix-socket SOCKET -X POST"
_SOCKET = "SOCKET is in WATCHFLOOR_CLUSTER"


def back(cluster: Cluster, first: str, seen: Topology) -> tuple[str, ...]:
    """Have a node lead again and all others follow it."""
    others = [node.name for node in seen.nodes if node.name != first and not standing.follows(seen, node.name)]
    ways = _with_patroni if cluster.provider == PATRONI else _on_the_pair
    return tuple(ways(cluster.name, first, others, seen))


def _with_patroni(cluster: str, first: str, others: list[str], seen: Topology) -> Iterator[str]:
    yield f"See who leads and who follows: patronictl list {cluster}"
    leads = standing.names_primary(seen)
    if leads is None:
        yield f"Start Patroni on {' and '.join([first, *others])}, and wait until one of them leads"
        yield f"If it is not {first}, once that one streams: patronictl switchover {cluster} --candidate {first}"
        return
    for node in others if leads == first else [first]:
        yield f"Start Patroni on {node}; if it cannot follow: patronictl reinit {cluster} {node}"
    if leads != first:
        yield f"Once it streams, have it lead again: patronictl switchover {cluster} --candidate {first}"


def _on_the_pair(_cluster: str, first: str, others: list[str], seen: Topology) -> Iterator[str]:
    leads = standing.names_primary(seen) or seen.leads or first
    if standing.names_primary(seen) is None:
        yield f"Start {leads} again ({_SOCKET}): {_PAIR_AGENT} 'http://pair/restart?node={leads}'"
    for node in others if leads == first else [first]:
        yield f"Bring {node} back as a standby ({_SOCKET}): {_PAIR_AGENT} 'http://pair/rejoin?node={node}'"
    if leads != first:
        yield f"Once it follows, have it lead again: {_PAIR_AGENT} 'http://pair/switch-over?node={first}'"
