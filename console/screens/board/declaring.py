"""Owns the way from a freeze to its incident, for the board and the list of freezes."""

from typing import TYPE_CHECKING

from contract.freeze import Freeze, FreezeStatus

if TYPE_CHECKING:
    from console.doing import Doing


async def declare_from(desk: "Doing", freeze: Freeze) -> None:
    """Declare an incident from a freeze, or make it part of an open one; one that is only latched cannot be linked."""
    from console.screens.alerts.joining import declare_or_join

    if freeze.status is FreezeStatus.LATCHED:
        desk.say("refused", f"{freeze.ref} waits for the database: an incident can name it once it is stored.")
        return
    await declare_or_join(desk, freeze=freeze)
