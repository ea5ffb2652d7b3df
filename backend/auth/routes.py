"""HTTP routes of the auth area."""

from fastapi import APIRouter

router = APIRouter(tags=["auth"])
