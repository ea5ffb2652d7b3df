"""A recovery drill on an asynchronous pair whose standby lacks the last moments: what the drill counts, and what is so.

What is so is read from a copy of the lost primary's data, in a server of its own: no figure of the drill is used.
Must never touch the data of the pair.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg

from backend.clock import SYSTEM_CLOCK
from backend.continuity.cluster.pair import PairCluster
from contract.recovery import DrillState, RecoveryDrill
from tests.support.demo import HeadlessDemo
from tests.support.pair import Writer, walreceiver
from tests.support.recovery_at_demo import RecoveryDesk
from tests.support.recovery_mishaps import FIRST, Mishaps
from tests.support.servers import DATABASE, Server
from watchfloor.embedded import cluster as clusters
from watchfloor.pair.state import NODES

ROWS: Final = 50
"""Acknowledged while nothing arrives at the standby; it takes well under the second after which that is noticed."""
WRITE_EVERY_S: Final = 0.01
"""Two that write as fast as they can commit in the same microsecond now and then: these could not be told apart."""
OLDER_XIDS: Final = 500
"""More transactions than can be open at once: some that began before the standby lost its line ended after it."""
REPLAY_LIMIT_S: Final = 60.0
STILL_S: Final = 1.5
"""Three times as long as a standby waits before it looks for more."""
_COMMITTED: Final = """
SELECT x FROM generate_series(%s::bigint, %s::bigint) AS x WHERE pg_xact_status(x::text::xid8) = 'committed'
"""
_TIMES: Final = "SELECT count(DISTINCT pg_xact_commit_timestamp(x::text::xid)) FROM unnest(%s::bigint[]) AS x"
_NEXT: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
_MARKERS: Final = "SELECT seq, written_at FROM recovery_markers WHERE drill = %s ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Losses:
    """What was lost, by the lost primary's own data, and the drill that has counted it."""

    drill: RecoveryDrill
    commits: range
    """How many transactions the standby does not have: at least as many as commit times differ, and at most as many as
    there are transaction numbers, of which a transaction with savepoints has several."""
    rows: frozenset[int]
    """Of the writer's rows, those that only the lost primary has, acknowledged or not."""
    acknowledged: frozenset[int]
    """What the writer had been told is stored and nobody has any more."""
    markers: tuple[datetime, ...]
    """The drill's markers that only the lost primary has, by when they were written."""
    last_marker_there: datetime
    """When the last of the standby's markers was written."""

    def __str__(self) -> str:
        measured = self.drill.measured
        return (
            f"lost by the lost primary's data: {_told(self.commits)} transactions, of the writer's "
            f"{len(self.rows)} rows {len(self.acknowledged)} acknowledged, {len(self.markers)} markers; "
            f"the drill counts {measured.transactions_lost} transactions, "
            f"{measured.markers_lost} markers, RPO {measured.rpo_ms} ms"
        )


def _told(commits: range) -> str:
    least, most = commits[0], commits[-1]
    return f"{least}" if least == most else f"{least} to {most}"


def wrong_with(found: Losses) -> Iterator[str]:
    """What the drill says that is not so."""
    drill, measured = found.drill, found.drill.measured
    if drill.state is DrillState.REFUSED or "nothing lost" in drill.sentence:
        yield f"it is {drill.state.value}: {drill.sentence}"
    if drill.state is DrillState.PASSED and not (measured.rpo_met and "transactions lost" in drill.sentence):
        yield "it passed without saying what was lost, or in spite of it"
    if len(found.acknowledged) < ROWS or not found.acknowledged <= found.rows:
        yield f"{len(found.acknowledged)} acknowledged rows are lost, and only the lost primary has {len(found.rows)}"
    if measured.transactions_lost not in found.commits:
        yield f"{_told(found.commits)} transactions are lost, it counts {measured.transactions_lost}"
    if measured.transactions_unacknowledged != 0:
        yield f"it says that {measured.transactions_unacknowledged} cannot have been acknowledged"
    # the answer to the last marker may have been on its way when the primary was killed
    of_markers = {len(found.markers[:end]): found.markers[:end] for end in (len(found.markers), -1)}
    if not measured.markers_lost or measured.markers_lost not in of_markers:
        yield f"{len(found.markers)} markers are lost, it counts {measured.markers_lost}"
    else:
        rpo_ms = (of_markers[measured.markers_lost][-1] - found.last_marker_there) // timedelta(milliseconds=1)
        if measured.rpo_ms is None or abs(measured.rpo_ms - rpo_ms) > 1:
            yield f"the RPO is {rpo_ms} ms by the markers, it says {measured.rpo_ms}"


def lose(desk: RecoveryDesk, demo: HeadlessDemo, data_dir: Path, place: Path) -> Losses:
    """Run the built-in plan on an asynchronous pair and cut the standby's line just before the primary is killed.

    `place` is a directory that every account may enter, for the copy.
    """
    pair = PairCluster(Path(demo.ready["cluster"].removeprefix("pair:")), SYSTEM_CLOCK)
    _date_commits(desk, pair)
    drill = Mishaps(desk, data_dir).up_to(1)
    with Writer(desk.database_url, 2, every_s=WRITE_EVERY_S) as writer:
        writer.until_rows(ROWS)
        receiver = walreceiver(_pid(data_dir))
        os.kill(receiver, signal.SIGSTOP)
        writer.until_rows(ROWS)
        desk.step(drill, 1)
        desk.until(drill.ref, lambda one: one.step == 2)
        writer.stop()
    os.kill(receiver, signal.SIGKILL)  # what lies in its socket is never read
    standby = _url_of(demo, NODES[1])
    _until_replayed(standby)
    with _copy(data_dir / "postgres" / "data", place) as former:
        commits, rows, markers, last = _only_there(former.url, standby, drill.ref)
    desk.step(drill, 2)
    Mishaps(desk, data_dir).to_the_end(drill)
    ended = desk.ended(drill.ref)
    return Losses(ended, commits, rows, frozenset(writer.lost()), markers, last)


def _date_commits(desk: RecoveryDesk, pair: PairCluster) -> None:
    """Have the primary remember when each transaction was committed: one that has savepoints has several numbers."""
    with psycopg.connect(desk.database_url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        connection.execute("ALTER SYSTEM SET autovacuum = off")
    asyncio.run(pair.kill_primary())
    asyncio.run(pair.restart(FIRST))
    assert desk.is_whole(FIRST)


def _pid(data_dir: Path) -> int:
    file = data_dir / f"postgres-{NODES[1]}" / "data" / "postmaster.pid"
    return int(file.read_text().split("\n", 1)[0])


def _url_of(demo: HeadlessDemo, node: str) -> str:
    topology = asyncio.run(PairCluster(Path(demo.ready["cluster"].removeprefix("pair:")), SYSTEM_CLOCK).topology())
    (address,) = [one.address for one in topology.nodes if one.name == node]
    return f"postgresql://{clusters.SUPERUSER}@/{DATABASE}?host={address}"


def _until_replayed(url: str) -> None:
    """A server one of whose processes was killed begins again; it is where it stays once it stands still."""
    deadline = time.monotonic() + REPLAY_LIMIT_S
    before = ""
    while True:
        assert time.monotonic() < deadline, "the standby does not replay what it has"
        with suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as connection:
            now = str(_one(connection, "SELECT pg_last_wal_replay_lsn()"))
            if now == before:
                return
            before = now
        time.sleep(STILL_S)


@contextmanager
def _copy(data: Path, place: Path) -> Iterator[Server]:
    """A copy of a server's data, that runs by itself."""
    server = Server(place / "copy")
    subprocess.run(["cp", "-a", str(data), str(place / "copy" / "data")], check=True)
    (place / "copy" / "data" / "postmaster.pid").unlink(missing_ok=True)
    try:
        yield server.start()
    finally:
        server.stop()


def _only_there(former: str, standby: str, ref: str) -> tuple[range, frozenset[int], tuple[datetime, ...], datetime]:
    with psycopg.connect(former, autocommit=True) as there, psycopg.connect(standby, autocommit=True) as here:
        first = max(3, int(_one(here, _NEXT)) - OLDER_XIDS)
        known = _numbers(here, _COMMITTED, first, int(_one(here, _NEXT)) - 1)
        lost = _numbers(there, _COMMITTED, first, int(_one(there, _NEXT)) - 1) - known
        commits = range(int(_one(there, _TIMES, sorted(lost))), len(lost) + 1)
        rows = _numbers(there, "SELECT id FROM written") - _numbers(here, "SELECT id FROM written")
        kept = {int(seq): at for seq, at in here.execute(_MARKERS, (ref,))}
        markers = [at for seq, at in there.execute(_MARKERS, (ref,)) if int(seq) not in kept]
        return commits, frozenset(rows), tuple(markers), kept[max(kept)]


def _numbers(connection: psycopg.Connection[Any], statement: str, *values: object) -> set[int]:
    return {int(row[0]) for row in connection.execute(statement.encode(), values)}


def _one(connection: psycopg.Connection[Any], statement: str, *values: object) -> Any:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0]
