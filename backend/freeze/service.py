"""What other areas may use of freezes: putting holds on, lifting them with two people, and what they cover."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.freeze.bulk import (
    EPOCH_SQL,
    HOLDS_SQL,
    Acknowledgement,
    read_holds,
    store_acknowledgements,
    store_fates,
)
from backend.freeze.core import REPORT_EVERY, Hold, at_least_as_strict, covering, covers, effective_mode
from backend.freeze.drilled import holds_of_drills, scopes_in_drills
from backend.freeze.drills import get_drill
from backend.freeze.drills import start as start_drill
from backend.freeze.holds import create, freeze_automatically
from backend.freeze.milestones import follow
from backend.freeze.observing import record as record_observations
from backend.freeze.observing import to_watch
from backend.freeze.rollcall import CHECK_INS_SQL, RollCall
from backend.freeze.store import fence
from backend.freeze.tables import FreezeDrillRow, FreezeRow
from backend.freeze.thaw import approve_thaw, request_thaw, withdraw_thaw
from backend.freeze.thawing import touches
from backend.freeze.views import (
    Floor,
    all_in_force,
    blast_radius,
    floor,
    get_freeze,
    list_freezes,
    list_in_force,
    list_latched,
    permit_life,
)
from backend.standins import replace_name

__all__ = [
    "CHECK_INS_SQL",
    "EPOCH_SQL",
    "HOLDS_SQL",
    "REPORT_EVERY",
    "Acknowledgement",
    "Floor",
    "Hold",
    "RollCall",
    "all_in_force",
    "approve_thaw",
    "at_least_as_strict",
    "blast_radius",
    "covering",
    "covers",
    "create",
    "effective_mode",
    "fence",
    "floor",
    "follow",
    "forget_person",
    "freeze_automatically",
    "get_drill",
    "get_freeze",
    "holds_of_drills",
    "list_freezes",
    "list_in_force",
    "list_latched",
    "permit_life",
    "read_holds",
    "record_observations",
    "request_thaw",
    "scopes_in_drills",
    "start_drill",
    "store_acknowledgements",
    "store_fates",
    "to_watch",
    "touches",
    "withdraw_thaw",
]


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood."""
    who = (FreezeRow.created_by, FreezeRow.thaw_requested_by, FreezeRow.thawed_by)
    await replace_name(session, who, name, stand_in)
    await replace_name(session, (FreezeDrillRow.started_by,), name, stand_in)
