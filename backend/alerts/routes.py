"""HTTP routes of the alerts area."""

from fastapi import APIRouter

router = APIRouter(tags=["alerts"])
