"""Replaces the name of a person who was erased by their surrogate, in the columns that an area names. Owns no table."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute


async def replace_name(
    session: AsyncSession, columns: tuple[InstrumentedAttribute[Any], ...], name: str, stand_in: str
) -> None:
    """Put the stand-in wherever a column holds exactly the name. Free text is left as people typed it."""
    for column in columns:
        await session.execute(update(column.class_).where(column == name).values({column.key: stand_in}))
