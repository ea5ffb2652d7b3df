"""HTTP routes of the transactions area."""

from fastapi import APIRouter

router = APIRouter(tags=["transactions"])
