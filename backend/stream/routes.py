"""The stream route."""

from fastapi import APIRouter

router = APIRouter(tags=["stream"])
