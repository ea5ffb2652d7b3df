"""HTTP routes of the freeze area."""

from fastapi import APIRouter

router = APIRouter(tags=["freeze"])
