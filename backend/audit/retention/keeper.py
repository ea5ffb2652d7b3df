"""Keeps the ledger's retention: copies of full partitions, reading them back, dropping what is due.

Every step may be repeated and may break off anywhere: what was not finished is found again from the tables and the
places. Must never drop anything but through `purge`.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from backend.audit.heads.writing import fenced
from backend.audit.identity import ledger_of
from backend.audit.imported_logs import stated_days
from backend.audit.retention import archives, inventory
from backend.audit.retention.archives import DamagedCopyError, Draft, drafted, folder_of
from backend.audit.retention.expiry import expire
from backend.audit.retention.inventory import Finding, Spot
from backend.audit.retention.purge import purge
from backend.audit.retention.standing import due_at, standing
from backend.audit.retention.survey import Partition, closed
from backend.audit.retention.vouching import voucher_for
from backend.audit.retention_tables import ArchiveCopy
from backend.context import Runtime
from backend.errors import LedgerFaultError
from backend.monitors import Duty, Lead
from backend.stores import NotStoredError, Store, StoreError, open_stores
from contract.retention import CopyState
from ledger.merkle import ProofError

log = structlog.get_logger(__name__)

ROUND_S: Final = 60.0
"""Retention is counted in days; a full partition waits this long for its copies."""
READ_AGAIN_AFTER: Final = timedelta(hours=1)
"""A quarter of a gigabyte is read to learn which legal holds keep a partition: not every minute."""


class Keeper:
    """Sees to retention, as long as its leadership holds."""

    def __init__(self, runtime: Runtime, lead: Lead, stores: Sequence[Store]) -> None:
        self._runtime = runtime
        self._stores = {store.place: store for store in stores}
        self._lead = lead
        self._rests: dict[tuple[str, int], datetime] = {}
        """Partitions whose bytes were read in vain, and until when they are left alone."""

    async def run(self) -> None:
        """Keep for ever; returns only by an exception."""
        while True:
            await self.round()
            await asyncio.sleep(ROUND_S)

    async def round(self) -> None:
        """Do everything that is due now.

        Raises:
            LeadershipLostError: another backend does.
        """
        await self._guarded("expiry", expire(self._runtime, self._lead))
        await self._guarded("check", self.check_copies())
        partitions = await closed(self._runtime)
        for partition in partitions:
            await self._guarded(f"archive {partition}", self.write_copies(partition))
        for partition in partitions:
            await self._guarded(f"purge {partition}", self.drop(partition))

    async def _guarded(self, what: str, step: Awaitable[object]) -> None:
        """One step that fails does not keep the others from being taken; it is taken again in the next round."""
        try:
            await step
        except (LedgerFaultError, ProofError, DBAPIError, OSError) as error:
            log.warning("retention_step_failed", step=what, error=str(error).strip())

    async def check_copies(self, partition: Partition | None = None) -> None:
        """Read back the copies whose turn it is, or all of one partition."""
        async with self._runtime.database.read() as session:
            if partition is None:
                known = await inventory.copies(session)
            else:
                known = await inventory.copies(session, partition.log, partition.seq_from)
        now = self._runtime.clock.now()
        for copy in known:
            store = self._stores.get(copy.place)
            if store is None or copy.sha256 is None:
                continue  # nobody keeps copies there any more, or it was never written
            if partition is not None or inventory.is_due(copy, self._runtime, now):
                await self._check(store, copy, bytes(copy.sha256))

    async def _check(self, store: Store, copy: ArchiveCopy, sha256: bytes) -> None:
        found: archives.Copy | Finding
        try:
            found = await archives.read_back(store, copy.manifest, sha256)
        except NotStoredError as error:
            found = Finding(CopyState.MISSING, str(error))
        except DamagedCopyError as error:
            found = Finding(CopyState.DAMAGED, str(error))
        except StoreError as error:
            found = Finding(CopyState.UNREACHABLE, str(error))
        partition = Partition(copy.log, copy.seq_from, copy.seq_until, None, None)
        await self._note(partition, Spot(store.place, copy.manifest), found)

    async def write_copies(self, partition: Partition) -> None:
        """Write the copies of a partition that are not there, once a witnessed head covers it.

        Raises:
            LedgerFaultError: the entries are not those that were signed.
            ProofError: the tree cannot be worked out.
        """
        runtime = self._runtime
        async with runtime.database.read() as session:
            known = {copy.place: copy for copy in await inventory.copies(session, partition.log, partition.seq_from)}
            wanted = [store for store in self._stores.values() if self._is_wanted(known.get(store.place))]
            if not wanted:
                return
            ledger = await ledger_of(session, runtime)
            voucher = await voucher_for(session, runtime, partition.log, partition.seq_until)
        if isinstance(voucher, str):
            return  # the report says what is lacking
        folder = folder_of(ledger.name, ledger.generation, partition)
        manifest = f"{folder}/{archives.MANIFEST}"
        problem = ""
        try:
            async with drafted(runtime, folder, partition, voucher) as draft:
                for store in wanted:
                    await self._note(partition, Spot(store.place, manifest), await _written(store, draft, known))
        except OSError as error:
            problem = f"no copy could be made: {error.strerror or error}"
        except LedgerFaultError as error:
            problem = str(error)
        for store in wanted if problem else ():
            await self._note(partition, Spot(store.place, manifest), Finding(CopyState.UNWRITTEN, problem))

    def _is_wanted(self, copy: ArchiveCopy | None) -> bool:
        if copy is None or (copy.state == CopyState.MISSING and copy.sha256 is not None):
            return True
        return copy.sha256 is None and inventory.is_due(copy, self._runtime, self._runtime.clock.now())

    async def _note(self, partition: Partition, spot: Spot, found: archives.Copy | Finding) -> None:
        async with fenced(self._runtime, self._lead) as session:
            if isinstance(found, Finding):
                log.error("archive_copy_failing", place=spot.place, state=found.state.value, problem=found.problem)
                await inventory.note_problem(session, self._runtime, partition, spot, found)
            else:
                await inventory.note_sound(session, self._runtime, partition, found)

    async def drop(self, partition: Partition) -> None:
        """Drop a partition if it is due and nothing speaks against it; its copies are read back once more before.

        Raises:
            LedgerFaultError: the entries are not those that were signed.
        """
        stores, now = list(self._stores.values()), self._runtime.clock.now()
        async with self._runtime.database.read() as session:
            due = due_at((await stated_days(session, self._runtime)).get(partition.log), partition)
        rests_until = self._rests.get((partition.log, partition.seq_from), now)
        if due is None or due > now or rests_until > now:
            return  # nothing to ask about: most partitions, most of the time
        async with self._runtime.database.read() as session:
            asked = await standing(session, self._runtime, stores, partition)
        if asked.may_be_read(now):
            await self.check_copies(partition)
            held = await purge(self._runtime, self._lead, stores, partition)
            if held is not None:
                log.warning("purge_held_back", of=str(partition), by=list(held.held_back_by))
            if held is not None and held.was_read_in_vain:
                self._rests[partition.log, partition.seq_from] = now + READ_AGAIN_AFTER


async def _written(store: Store, draft: Draft, known: dict[str, ArchiveCopy]) -> archives.Copy | Finding:
    """Store a copy; what kept it from being stored otherwise."""
    before = known.get(store.place)
    try:
        return await archives.store_copy(store, draft)
    except StoreError as error:
        never = before is None or before.sha256 is None
        return Finding(CopyState.UNWRITTEN if never else CopyState.UNREACHABLE, str(error))
    except (NotStoredError, DamagedCopyError) as error:
        return Finding(CopyState.DAMAGED, str(error))


async def _run(runtime: Runtime, lead: Lead) -> None:
    await Keeper(runtime, lead, open_stores(runtime.settings.archives)).run()


RETENTION = Duty("retention", _run)
