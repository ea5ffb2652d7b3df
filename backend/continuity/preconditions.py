"""What has to be so before a drill touches anything, and again once it is over: the policy's names, looked at.

Changes nothing and never raises: what cannot be found out is not so, and the sentence says why.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from backend import soundness
from backend.continuity.kinds import standing
from backend.continuity.measuring import Look, Steady
from backend.errors import WatchfloorError
from backend.freeze import service as freezes
from backend.incidents import service as incidents
from backend.incidents.service import IncidentFilter
from backend.policy.recovery import PreconditionName
from contract.freeze import Freeze, FreezeStatus
from contract.recovery import BackupMatrix, BackupState, NodeRole, Precondition, Topology
from contract.states import IncidentStatus, Severity

LOOK_LIMIT_S: Final = 10.0
"""What takes longer to find out is not known."""
NAMES_SHOWN: Final = 5
_MIB: Final = 1024 * 1024

Matrix = Callable[[Steady], Awaitable[BackupMatrix]]
"""How the rows of the backup matrix stand."""


@dataclass(frozen=True, slots=True)
class _Found:
    ok: bool
    found: str
    blocking: bool = True
    refs: tuple[str, ...] = ()


_Look = Callable[[Steady, Topology], Awaitable[_Found]]


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def _listed(names: list[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


async def _cluster_reachable(steady: Steady, topology: Topology) -> _Found:
    primary = standing.names_primary(topology)
    if primary is None:
        return _Found(ok=False, found=topology.problem or f"No node is the primary: {standing.in_words(topology)}.")
    if steady.first_primary is not None and primary != steady.first_primary:
        return _Found(ok=False, found=f"{primary} is the primary; before the drill it was {steady.first_primary}.")
    again = " as before" if steady.first_primary is not None else ""
    told = f"{primary} is the primary of {topology.cluster}{again}."
    return _Found(ok=not topology.problem, found=f"{told} {topology.problem}".strip())


async def _standby_healthy(_: Steady, topology: Topology) -> _Found:
    others = [node for node in topology.nodes if node.role is not NodeRole.PRIMARY]
    if not others:
        return _Found(ok=False, found="There is no standby.")
    following = [node.name for node in others if standing.follows(topology, node.name)]
    behind = [f"{node.name} is {node.state or node.role.value}" for node in others if node.name not in following]
    told = f"{_listed(following)} {'follows' if len(following) == 1 else 'follow'} the primary." if following else ""
    told = f"{told} {_listed(behind)}, which does not count as following." if behind else told
    return _Found(ok=not behind, found=told.strip())


async def _standby_lag(steady: Steady, topology: Topology) -> _Found:
    limit = steady.runtime.policy.recovery.max_lag_bytes
    standbys = [node for node in topology.nodes if node.role is NodeRole.STANDBY]
    if not standbys:
        return _Found(ok=False, found="There is no standby whose lag could be told.")
    told = [f"{one.name} {'--' if one.lag_bytes is None else f'{one.lag_bytes:,}'} bytes" for one in standbys]
    ok = all(one.lag_bytes is not None and one.lag_bytes <= limit for one in standbys)
    return _Found(ok=ok, found=f"Behind the primary: {_listed(told)}; the policy allows {limit:,}.")


async def _synchronous_mode(_: Steady, topology: Topology) -> _Found:
    waited_for = [node.name for node in topology.nodes if node.synchronous]
    if topology.synchronous_mode and waited_for:
        return _Found(ok=True, found=f"Commits wait for {_listed(waited_for)}.", blocking=False)
    if topology.synchronous_mode:
        told = "Commits are meant to wait for a standby and none is in step: what is acknowledged now can be LOST."
    else:
        told = "Replication is ASYNCHRONOUS: what is acknowledged in the last moments before a failure is LOST."
    return _Found(ok=False, found=told, blocking=False)


async def _no_critical_incident(steady: Steady, _: Topology) -> _Found:
    wanted = IncidentFilter(status=[IncidentStatus.OPEN], severity=[Severity.CRITICAL], drill=False)
    async with steady.runtime.database.read() as session:
        page = await incidents.incidents(session, steady.runtime, wanted, cursor=None, limit=NAMES_SHOWN)
    if not page.items:
        return _Found(ok=True, found="No critical incident is open.")
    names = _listed([f"{one.id} ({one.title})" for one in page.items])
    count = _counted(page.total or len(page.items), "critical incident is open", "critical incidents are open")
    return _Found(ok=False, found=f"{count}: {names}.", blocking=not steady.before)


async def _freezes(steady: Steady, _: Topology) -> _Found:
    runtime = steady.runtime
    if (waiting := runtime.latched.sentence()) is not None or runtime.latched.unread is not None:
        return _Found(ok=False, found=waiting or f"No permit is given: {runtime.latched.unread}.")
    async with runtime.database.read() as session:
        now = {one.ref: one for one in await freezes.list_in_force(session, runtime) if not one.drill}
    refs = tuple(sorted(now))
    if steady.before:
        return await _freezes_after(steady, now)
    if not refs:
        return _Found(ok=True, found="No freeze is in force.", blocking=False)
    count = _counted(len(refs), "freeze is", "freezes are")
    found = f"{count} in force and must be in force afterwards: {_listed(list(refs))}."
    return _Found(ok=True, found=found, blocking=False, refs=refs)


async def _freezes_after(steady: Steady, now: Mapping[str, Freeze]) -> _Found:
    """Whether the drill has lost a freeze or brought one about; what people did meanwhile is only said."""
    before = {ref for one in steady.before if one.name == "freezes" for ref in one.refs}
    lifted: list[str] = []
    lost: list[str] = []
    for ref in sorted(before - set(now)):
        (lifted if await _was_lifted(steady, ref) else lost).append(ref)
    new = [now[ref] for ref in sorted(set(now) - before)]
    brought = [one.ref for one in new if one.automatic_rule is not None]
    told = [f"{_counted(len(before & set(now)), 'freeze')} of before in force."]
    told += [f"LOST: {_listed(lost)}."] if lost else []
    told += [f"Lifted by people meanwhile: {_listed(lifted)}."] if lifted else []
    told += [f"Put on by a rule meanwhile: {_listed(brought)}."] if brought else []
    by_people = [one.ref for one in new if one.automatic_rule is None]
    told += [f"Put on by people meanwhile: {_listed(by_people)}."] if by_people else []
    return _Found(ok=not lost and not brought, found=" ".join(told), refs=tuple(sorted(now)))


async def _was_lifted(steady: Steady, ref: str) -> bool:
    try:
        async with steady.runtime.database.read() as session:
            found = await freezes.get_freeze(session, steady.runtime, ref)
    except WatchfloorError:  # the database does not know it any more
        return False
    return found.status is FreezeStatus.THAWED and found.thawed_by is not None


async def _ledger(steady: Steady, _: Topology) -> _Found:
    async with steady.runtime.database.read() as session:
        sound, sentence = await soundness.standing(session, steady.runtime)
    return _Found(ok=sound, found=sentence)


async def _disk(steady: Steady, _: Topology) -> _Found:
    wanted = steady.runtime.policy.recovery.free_disk_mb
    free = (await asyncio.to_thread(shutil.disk_usage, steady.runtime.settings.data_dir)).free // _MIB
    found = f"The backend's data directory has {free:,} MiB left; the policy wants {wanted:,}."
    return _Found(ok=free >= wanted, found=found, blocking=not steady.before)


def _backup(matrix: Matrix | None) -> _Look:
    async def look(steady: Steady, _: Topology) -> _Found:
        sources = {source.data for source in steady.runtime.policy.recovery.backups}
        if matrix is None or not sources:
            told = "Nothing here looks at backups: watchfloor.recovery.backups names none."
            return _Found(ok=False, found=told, blocking=False)
        seen = await matrix(steady)
        hours = steady.runtime.policy.recovery.max_backup_age_hours
        oldest = steady.runtime.clock.now() - timedelta(hours=hours)
        rows = [row for row in seen.rows if row.data in sources]
        bad = [
            f"{row.data} {row.state.value}: {row.found}" if row.state is not BackupState.OK
            else f"{row.data}: the newest is older than {hours} h"
            for row in rows
            if row.state is not BackupState.OK or row.newest_at is None or row.newest_at < oldest
        ]  # fmt: skip
        if bad or not rows:
            return _Found(ok=False, found="; ".join(bad) or "No backup was looked at.", blocking=not steady.before)
        return _Found(ok=True, found=f"Younger than {hours} h: {_listed([row.data for row in rows])}.")

    return look


_TITLES: Final[Mapping[PreconditionName, str]] = {
    "cluster_reachable": "The cluster answers and has a primary",
    "standby_healthy": "The standby follows the primary",
    "standby_lag": "The standby is not too far behind",
    "synchronous_mode": "Commits wait for a standby",
    "backup": "The last backup is young enough",
    "no_critical_incident": "No critical incident is open",
    "freezes": "Freezes in force are known and kept",
    "ledger": "The audit ledger is sound, signed and witnessed",
    "disk": "The backend's disk has room",
}
_LOOKS: Final[Mapping[PreconditionName, _Look]] = {
    "cluster_reachable": _cluster_reachable,
    "standby_healthy": _standby_healthy,
    "standby_lag": _standby_lag,
    "synchronous_mode": _synchronous_mode,
    "no_critical_incident": _no_critical_incident,
    "freezes": _freezes,
    "ledger": _ledger,
    "disk": _disk,
}


def looking(matrix: Matrix | None = None) -> Look:
    """What looks at the steady state; without a matrix nothing is said of backups."""
    looks = {**_LOOKS, "backup": _backup(matrix)}

    async def look(steady: Steady) -> list[Precondition]:
        topology = await steady.cluster.topology()
        return [await _one(name, looks[name], steady, topology) for name in steady.plan.preconditions]

    return look


async def _one(name: PreconditionName, look: _Look, steady: Steady, topology: Topology) -> Precondition:
    try:
        async with asyncio.timeout(LOOK_LIMIT_S):
            found = await look(steady, topology)
    except TimeoutError:
        found = _Found(ok=False, found=f"It could not be found out within {LOOK_LIMIT_S:g} s.")
    except (SQLAlchemyError, psycopg.Error, OSError, WatchfloorError) as error:
        why = str(error).strip().splitlines()
        found = _Found(ok=False, found=f"It could not be found out: {why[0] if why else type(error).__name__}")
    return Precondition(
        name=name, title=_TITLES[name], ok=found.ok, found=found.found, blocking=found.blocking, refs=list(found.refs)
    )
