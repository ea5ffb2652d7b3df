"""Every event type that the backend's source writes down has a category stated for it, not just the fall-back."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import backend
from backend.policy.layers import BUILT_IN
from backend.policy.load import load_policy

_EVENT_TYPE = re.compile(r"[a-z_]+\.[a-z_]+\.[a-z_]+")
_ASGI_MESSAGES = ("http.", "lifespan.")
_ROOT = Path(backend.__file__).parent
_MIN_FOUND = 10
"""Far fewer than there are: the search itself must not silently find nothing."""


def _event_types() -> Iterator[str]:
    for file in _ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and _EVENT_TYPE.fullmatch(text) and not text.startswith(_ASGI_MESSAGES):
                yield text


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_event_type_in_the_source_has_a_stated_category(name: str) -> None:
    audit = load_policy(name).audit
    found = set(_event_types())
    assert len(found) >= _MIN_FOUND
    assert {event for event in found if audit.stated_category(event) is None} == set()
