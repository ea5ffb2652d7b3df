"""Server-sent event frames as bytes. Pure; owns the wire form, knows no connection."""

import re
from datetime import datetime

from contract.freeze import LatchedFreezes
from contract.stream import Beat, Topic

_LINE_BREAKS_OF_SOME_READERS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Line ends for readers that split like `str.splitlines`; inside JSON they can only stand in strings."""


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def event_frame(ident: int, topic: str, payload_json: str) -> bytes:
    """One event. `payload_json` must be JSON without raw control characters below U+0020, as jsonb prints it."""
    data = _LINE_BREAKS_OF_SOME_READERS.sub(_escaped, payload_json)
    return f"id: {ident}\nevent: {topic}\ndata: {data}\n\n".encode()


def reset_frame(ident: int) -> bytes:
    """Tells the console to load the overview again; `ident` is where the stream goes on."""
    return event_frame(ident, Topic.RESET.value, "{}")


def latched_frame(latched: LatchedFreezes) -> bytes:
    """What this backend has latched. Without an id, like a sign of life: no other backend could resume after it."""
    data = _LINE_BREAKS_OF_SOME_READERS.sub(_escaped, latched.model_dump_json())
    return f"event: {Topic.LATCHED.value}\ndata: {data}\n\n".encode()


def beat_frame(now: datetime) -> bytes:
    """A sign of life. Without an id, so that the resume point of the console stays."""
    return f"event: {Topic.BEAT.value}\ndata: {Beat(at=now).model_dump_json()}\n\n".encode()
