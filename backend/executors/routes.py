"""HTTP routes of the executors area."""

from fastapi import APIRouter

router = APIRouter(tags=["executors"])
