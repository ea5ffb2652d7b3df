"""Owns copying to the operator's clipboard with OSC 52, which works over SSH and needs no program on either side.

Must never start a clipboard program: on a server it would fill the wrong clipboard.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Final

from console.term.sanitize import clean

LIMIT_BYTES: Final = 74_994
"""Largest text: its base64 form fits the 100,000 bytes that common terminals accept in one OSC."""

_SCREEN_CHUNK_BYTES: Final = 250
"""GNU screen drops device strings above 256 bytes."""


class CopyRefusedError(ValueError):
    """The text cannot be copied; the message says why and is meant for the operator."""


def copy_sequence(text: str, environ: Mapping[str, str]) -> str:
    """Return what to write to the terminal so that its clipboard holds the text.

    Control characters are removed first: pasting into a shell must not run anything. Inside tmux or screen the sequence
    is wrapped so that it passes through; tmux gets the bare form as well, because its two settings accept one each.

    Raises:
        CopyRefusedError: nothing to copy, or more than `LIMIT_BYTES`.
    """
    payload = clean(text, limit=LIMIT_BYTES + 1, multiline=True).encode()
    if not payload:
        raise CopyRefusedError("Nothing to copy.")
    if len(payload) > LIMIT_BYTES:
        raise CopyRefusedError(
            f"Too large to copy: {len(payload) / 1000:,.0f} kB or more, terminals take {LIMIT_BYTES / 1000:.0f} kB."
        )
    bare = f"\x1b]52;c;{base64.b64encode(payload).decode()}\x07"
    if environ.get("TMUX") or environ.get("TERM", "").startswith("tmux"):
        return f"\x1bPtmux;{bare.replace(chr(27), chr(27) * 2)}\x1b\\{bare}"
    if environ.get("STY"):
        return "".join(f"\x1bP{chunk}\x1b\\" for chunk in _chunks(bare))
    return bare


def _chunks(text: str) -> Iterator[str]:
    for start in range(0, len(text), _SCREEN_CHUNK_BYTES):
        yield text[start : start + _SCREEN_CHUNK_BYTES]
