"""The process that prints one document as PDF: JSON on standard input, the PDF on standard output.

Apart from the backend, because setting a long text keeps a core busy for many seconds and cannot be interrupted.
"""

import os
import resource
import sys
from typing import Any, Final

import orjson

from backend.documents.document import Document
from backend.documents.printing import pdf_of

_MEMORY_BYTES: Final = 2**30
"""Ten times what the longest report takes."""
_NICE: Final = 10
"""Trading does not wait for paper."""


def main() -> None:
    """Print what is asked for."""
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    order: dict[str, Any] = orjson.loads(sys.stdin.buffer.read())
    head = tuple((name, value) for name, value in order["head"])
    sections = tuple((title, text) for title, text in order["sections"])
    sys.stdout.buffer.write(pdf_of(Document(order["title"], head, sections), order["footer"]))


if __name__ == "__main__":
    main()
