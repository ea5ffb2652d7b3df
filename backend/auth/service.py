"""Credential checks."""

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from backend.context import Caller, Runtime
from contract.permissions import Permission


async def authenticate(session: AsyncSession, runtime: Runtime, request: Request) -> Caller:
    """Who is calling."""
    raise NotImplementedError


def require(caller: Caller, permission: Permission, *, route: str) -> None:
    """Refuse a caller who lacks the permission."""
    raise NotImplementedError
