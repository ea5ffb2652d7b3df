"""Owns lists in which what is open comes first, however old it is: the newest of all alone may leave it out."""

from typing import Any

from console.client import incidents
from console.client.api import Api
from contract.base import Page
from contract.incidents import FollowUp, Incident


class OpenFirst(Page[Any]):
    """What is open, then the others, each as far as one page goes."""

    open_total: int | None = None
    """How many are open; None where the backend has not counted them."""
    more_open: bool = False
    """More are open than are listed."""


async def incidents_open_first(api: Api, *, limit: int, **where: str) -> OpenFirst:
    """The newest incidents that are open, then the newest of all that are none of them."""
    going: Page[Incident] = await incidents.incidents(api, limit=limit, **where, status="open")
    newest: Page[Incident] = await incidents.incidents(api, limit=limit, **where)
    known = {one.id for one in going.items}
    return OpenFirst(
        items=[*going.items, *(one for one in newest.items if one.id not in known)],
        next_cursor=newest.next_cursor,
        total=newest.total,
        open_total=going.total,
        more_open=going.next_cursor is not None,
    )


async def follow_ups_open_first(api: Api, *, limit: int, done: bool, **where: str) -> OpenFirst:
    """What is left to do, overdue first; with `done` also what is not any more."""
    left: Page[FollowUp] = await incidents.follow_ups(api, limit=limit, **where)
    known, more = {one.id for one in left.items}, left.next_cursor
    over: list[FollowUp] = []
    if done:
        page = await incidents.follow_ups(api, limit=limit, **where, state="done")
        over, more = [one for one in page.items if one.id not in known], more or page.next_cursor
    return OpenFirst(items=[*left.items, *over], next_cursor=more, more_open=left.next_cursor is not None)
