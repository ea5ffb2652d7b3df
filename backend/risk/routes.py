"""HTTP routes of the risk area."""

from fastapi import APIRouter

router = APIRouter(tags=["risk"])
