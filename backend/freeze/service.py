"""What other areas may use of freezes: putting holds on, lifting them with two people, and what they cover."""

from sqlalchemy.ext.asyncio import AsyncSession

from backend.freeze.core import REPORT_EVERY, effective_mode
from backend.freeze.holds import acknowledge, create, freeze_automatically
from backend.freeze.milestones import follow
from backend.freeze.observing import record as record_observations
from backend.freeze.observing import to_watch
from backend.freeze.store import Standing, standing_of
from backend.freeze.tables import FreezeRow
from backend.freeze.thaw import approve_thaw, request_thaw, withdraw_thaw
from backend.freeze.views import (
    Floor,
    blast_radius,
    floor,
    get_freeze,
    list_freezes,
    list_in_force,
    permit_life,
)
from backend.standins import replace_name

__all__ = [
    "REPORT_EVERY",
    "Floor",
    "Standing",
    "acknowledge",
    "approve_thaw",
    "blast_radius",
    "create",
    "effective_mode",
    "floor",
    "follow",
    "forget_person",
    "freeze_automatically",
    "get_freeze",
    "list_freezes",
    "list_in_force",
    "permit_life",
    "record_observations",
    "request_thaw",
    "standing_of",
    "to_watch",
    "withdraw_thaw",
]


async def forget_person(session: AsyncSession, name: str, *, stand_in: str) -> None:
    """Have a stand-in where the name of an erased person stood."""
    who = (FreezeRow.created_by, FreezeRow.thaw_requested_by, FreezeRow.thawed_by)
    await replace_name(session, who, name, stand_in)
