"""HTTP routes of the compliance area."""

from fastapi import APIRouter

router = APIRouter(tags=["compliance"])
