"""What a person does to a cluster that a drill could not bring back, in commands. Pure."""

from backend.continuity.cluster.port import Cluster

PATRONI = "patroni"
_PAIR_AGENT = "curl --unix-socket SOCKET -X POST"
_SOCKET = "SOCKET is in WATCHFLOOR_CLUSTER"


def restart(cluster: Cluster, node: str) -> tuple[str, ...]:
    """Start a primary again that was killed and not replaced."""
    if cluster.provider == PATRONI:
        return (f"Start Patroni on {node} again, then look: patronictl list {cluster.name}",)
    return (f"Start {node} again ({_SOCKET}): {_PAIR_AGENT} 'http://pair/restart?node={node}'",)


def back(cluster: Cluster, node: str) -> tuple[str, ...]:
    """Make a node the primary again after another was promoted."""
    if cluster.provider == PATRONI:
        return (
            f"See who leads and who follows: patronictl list {cluster.name}",
            f"Start Patroni on {node}; if it cannot follow: patronictl reinit {cluster.name} {node}",
            f"Once it streams, have it lead again: patronictl switchover {cluster.name} --candidate {node}",
        )
    return (
        f"Bring {node} back as a standby ({_SOCKET}): {_PAIR_AGENT} 'http://pair/rejoin?node={node}'",
        f"Once it follows, have it lead again: {_PAIR_AGENT} 'http://pair/switch-over?node={node}'",
    )
