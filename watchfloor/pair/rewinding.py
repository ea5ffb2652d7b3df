"""Rewinds a former primary: what only it has is counted first, or its log is kept. Must never destroy the one evidence
of what was lost.
"""

import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from watchfloor.embedded import cluster as clusters
from watchfloor.pair import counting
from watchfloor.pair.errors import PairError
from watchfloor.pair.node import Node

if TYPE_CHECKING:
    from watchfloor.pair.agent import Pair

CHECKPOINT_S: Final = 120.0
KEPT: Final = "kept-log-"
"""Below a node's home, before the instant: the log as it was before the node was rewound."""
_DRAFT: Final = ".draft"


async def rewind(pair: "Pair", node: Node) -> str:
    """Take from a node what the primary does not have; says how.

    Raises:
        PairError: what only it has could neither be counted nor kept, so that nothing was done; or it cannot be copied.
    """
    await node.kill()
    loss = await counting.loss(node, pair.primary, waited=pair.kept.now.waited)
    kept = "" if loss is not None else await _keep_log(pair, node)
    pair.kept.change(lost=loss, lost_of=node.name, kept_log=kept or pair.kept.now.kept_log)
    async with pair.primary.ask(seconds=CHECKPOINT_S) as connection:
        await connection.execute("CHECKPOINT")  # before it the new timeline is not in the control file
    pair.kept.change(broken=node.name)  # half rewound, it is of no use
    try:
        await node.tools.rewind(pair.primary.socket_dir, clusters.SUPERUSER, node.cluster)
    except PairError as error:
        return f"{await pair.copy_anew(node)}, since {error}"
    await node.as_standby()
    pair.kept.change(broken=None, diverged=None)
    return "rewound"


async def _keep_log(pair: "Pair", node: Node) -> str:
    target = node.home / f"{KEPT}{pair.now():%Y%m%dT%H%M%SZ}"
    try:
        await asyncio.to_thread(_copy, node.cluster / counting.LOG, target)
    except OSError as error:  # shutil's own error is one, with a list for its reason
        raise PairError(
            f"what only {node.name} has could not be counted, and its log cannot be kept:"
            f" {error.strerror or 'it could not be copied'}; nothing was rewound: make room where its data are, then"
            " bring it back"
        ) from error
    return str(target)


def _copy(log: Path, target: Path) -> None:
    """Copy a log, whole or not at all."""
    draft = target.with_name(f"{target.name}{_DRAFT}")
    for left in target.parent.glob(f"{KEPT}*{_DRAFT}"):  # of an agent that was killed
        shutil.rmtree(left)
    try:
        shutil.copytree(log, draft)
        draft.chmod(0o700)
        draft.replace(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
