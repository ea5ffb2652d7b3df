"""Process probes and metrics."""

from fastapi import APIRouter

from backend.monitors import Monitor

router = APIRouter(tags=["ops"])
MONITORS: tuple[Monitor, ...] = ()
